"""Errors of products for a page: the matrices of a view, computed once per recipe, and turned into a table."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
import torch

from fp8core.gemm.error import OutlierError, ProductError, error_growth, outlier_effect, random_pair
from fp8core.models import load_weights
from fp8core.samples import SAMPLES, make_sample
from pages.ui import arithmetic, snippets
from pages.ui.language import tr
from pages.ui.own_pair import recipe_names
from pages.ui.report_tables import decibel
from pages.ui.view import View, heeded, recipe_title

SIDE = 64  # rows of A and columns of B: 4096 elements of the product are enough for a steady rms
LONGEST = 4096
SHORTEST = 16
_B_SEED = 1000  # B is drawn with another seed than A
FACTORS = (*(step * 10.0**power for power in range(7) for step in (1, 3)), 1e7)


def growth(view: View) -> list[ProductError]:
    """Errors for every recipe at K = 16, 32 and so on up to the longest that the tensor has."""
    return [point for recipe in recipe_names(view) for point in _growth(*_source(view), recipe, _smoothing(view))]


def at_inner(view: View) -> list[ProductError]:
    """Errors for every recipe at the chosen K, or at the tensor's own where that is shorter."""
    return [_at(view, recipe) for recipe in recipe_names(view)]


def outliers(view: View) -> list[OutlierError]:
    """What an outlier column leaves, for every recipe, at the chosen K."""
    return [point for recipe in recipe_names(view) for point in _outliers(*_source(view), recipe, _smoothing(view), view.inner)]


def as_python(view: View, k: int) -> str:
    """The program that gives the numbers of the table and of the figures."""
    a, b = _pair(*_source(view))
    if view.source in SAMPLES:
        drawn = f"from fp8core.samples import make_sample\na = {snippets.sample(view, a.shape)}"
    else:
        model, name = view.source.split("/", 1)
        drawn = f"from fp8core.models import load_weights\na = {snippets.tensor(f'load_weights({model!r})', name)}.flatten(1)[:{SIDE}, :{LONGEST}]"
    ks, smoothing = _doubling(a.shape[1]), "" if _smoothing(view) is None else f", smoothing={view.smoothing}"
    outliers = f"""
for e in outlier_effect(a[:, :{k}], b[:{k}], recipes, {list(FACTORS)}{smoothing}):
    print(f"{{e.recipe}}, first column times {{e.factor:g}}: the others {{e.others_db:.1f}} dB, all {{e.sqnr_db:.1f}} dB")
"""
    return snippets.program(drawn, f"""
from fp8core.gemm.error import error_growth, outlier_effect, random_pair
b = random_pair(1, {SIDE}, {b.shape[0]}, seed={_B_SEED + view.seed})[1]  # normal numbers
recipes = {list(recipe_names(view))}
for e in error_growth(a, b, recipes, {list(dict.fromkeys((*ks, k)))}{smoothing}):
    print(f"{{e.recipe}}, K = {{e.k}}: A {{e.sqnr_a_db:.2f}} dB, B {{e.sqnr_b_db:.2f}} dB, product {{e.sqnr_db:.2f}} dB, rms error {{e.rms_error:.3g}}, largest {{e.max_abs_error:.3g}}, {{e.bits_per_value:.3f}} bits")
""", outliers * (k > 1))  # fmt: skip


def headline(errors: Sequence[ProductError]) -> list[tuple]:
    """The SQNR of the product under each recipe with its arithmetic, for `frame.metrics`."""
    help = tr("SQNR of A·B: 20 log₁₀ of the rms of its elements over that of their errors.")
    return [(recipe_title(e.recipe), decibel(e.sqnr_db), help, arithmetic.product(e)) for e in errors]


def table(errors: Sequence[ProductError]) -> list[dict]:
    """One row per recipe."""
    return [
        {
            tr("recipe"): recipe_title(e.recipe),
            tr("SQNR of A (dB)"): round(e.sqnr_a_db, 2),
            tr("SQNR of B (dB)"): round(e.sqnr_b_db, 2),
            tr("SQNR of A·B (dB)"): round(e.sqnr_db, 2),
            tr("if errors were independent (dB)"): round(e.independent_db, 2),
            tr("largest error"): e.max_abs_error,
            tr("rms error"): e.rms_error,
            tr("1 − cosine"): 1 - e.cosine,
            tr("A flushed to zero (%)"): round(100 * e.underflow_a, 3),
            tr("B flushed to zero (%)"): round(100 * e.underflow_b, 3),
            tr("bits per value"): round(e.bits_per_value, 3),
        }
        for e in errors
    ]


def columns() -> dict:
    """How the table's numbers are shown."""
    return {name: st.column_config.NumberColumn(format="%.3g") for name in (tr("largest error"), tr("rms error"), tr("1 − cosine"))}


def _at(view: View, recipe: str) -> ProductError:
    """The point of the growth at the chosen K, or one of its own where the growth has none there."""
    asked = (*_source(view), recipe, _smoothing(view))
    k = min(view.inner, _pair(*_source(view))[0].shape[1])
    return next((point for point in _growth(*asked) if point.k == k), None) or _growth(*asked, (k,))[0]


def _smoothing(view: View) -> float | None:
    return None if view.smoothing == "none" else view.smoothing


def _source(view: View) -> tuple:
    settings = heeded(view)
    return view.source, view.seed, settings["outlier"], settings["tail"]  # B heeds the seed even where A does not


@st.cache_data(max_entries=8, show_spinner=False)
def _pair(source: str, seed: int, outlier: float, tail: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A: rows of the tensor, at most (64, 4096). B (K, 64): normal numbers."""
    if source in SAMPLES:
        a = make_sample(source, (SIDE, LONGEST), seed=seed, outlier=outlier, tail=tail)
    else:
        model, name = source.split("/", 1)
        matrix = load_weights(model).read(name).float()
        a = matrix.reshape(matrix.shape[0], -1)[:SIDE, :LONGEST]
    return a, random_pair(1, SIDE, a.shape[1], seed=_B_SEED + seed)[1]


@st.cache_data(max_entries=256, show_spinner=False)
def _growth(source: str, seed: int, outlier: float, tail: float, recipe: str, smoothing: float | None, ks: tuple[int, ...] = ()) -> tuple[ProductError, ...]:
    a, b = _pair(source, seed, outlier, tail)
    depth = a.shape[1]
    return error_growth(a, b, [recipe], [min(k, depth) for k in ks] or _doubling(depth), smoothing=smoothing)


def _doubling(depth: int) -> tuple[int, ...]:
    return tuple(SHORTEST << n for n in range(32) if SHORTEST << n <= depth) or (depth,)


@st.cache_data(max_entries=256, show_spinner=False)
def _outliers(source: str, seed: int, outlier: float, tail: float, recipe: str, smoothing: float | None, inner: int) -> tuple[OutlierError, ...]:
    a, b = _pair(source, seed, outlier, tail)
    return outlier_effect(a[:, :inner], b[:inner], [recipe], FACTORS, smoothing=smoothing)
