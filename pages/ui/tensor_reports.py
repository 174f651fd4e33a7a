"""One tensor under one recipe, for a page: which tensor, which recipe, and what fp8core says of the pair, computed once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st
import torch

from fp8core.checkpoints import Checkpoint, CheckpointError
from fp8core.compare import Difference
from fp8core.distributions import Distribution, LinearView, Maps, distribution, linear_view, maps
from fp8core.forms import Forms
from fp8core.layers import as_layer, kind_of
from fp8core.metrics import ErrorReport, measure
from fp8core.quantized import SEED, quantize
from fp8core.recipes import RECIPES, Recipe, make_recipe
from fp8core.samples import SAMPLES
from fp8core.scaling import ScaleSpec, parse_granularity
from pages.ui import cached, snippets
from pages.ui.language import told, tr
from pages.ui.own_format import chosen_format
from pages.ui.upload import as_text, upload_key
from pages.ui.view import BY_HAND, View, heeded

MOST_NUMBERS = 1 << 22  # of one tensor: measuring it takes about 0.5 GB for a moment


@dataclass(frozen=True, eq=False)
class Chosen:
    """A tensor and what identifies it in a cache and in a program.

    Args:
        key: tells two tensors apart, whatever they hold.
        code: Python that gives `x`; its last line is `x = …`.
    """

    key: str
    title: str
    x: torch.Tensor
    code: str


def choose_tensor(view: View, upload: Checkpoint | None) -> Chosen | None:
    """Return the tensor that the visitor chose: out of an uploaded file before the source in the view; None where that cannot be read."""
    if upload is not None:
        return _uploaded(upload)
    settings = heeded(view)
    x = cached.tensor(view.source, **settings)
    if view.source in SAMPLES:
        key = "/".join(map(str, (view.source, *settings.values())))
        code = f"from fp8core.samples import make_sample\nx = {snippets.sample(view, x.shape)}"
        return Chosen(key, tr(SAMPLES[view.source].label), x, code)
    model, name = view.source.split("/", 1)
    x = as_layer(x, kind_of(name, x.shape))
    code = f"from fp8core.models import load_weights\nx = {snippets.tensor(f'load_weights({model!r})', name, x.shape)}"
    return Chosen(view.source, name, x, code)


def chosen_recipe(view: View, granularity: str | None = None, rule: str | None = None) -> Recipe:
    """Return the recipe that was chosen by name or that the controls spell out, with another granularity or rule where one is given."""
    if view.preset != BY_HAND and granularity is None and rule is None:
        return RECIPES[view.preset]
    granularity = granularity or view.granularity
    scaling = None if granularity == "none" else ScaleSpec(parse_granularity(granularity), rule or view.rule, view.scale_format)
    return make_recipe(chosen_format(view), scaling, view.rounding, view.overflow, "" if view.rotation == "none" else view.rotation)


def report(chosen: Chosen, recipe: Recipe) -> ErrorReport:
    """Measure the tensor under the recipe."""
    return _report(key=_key(chosen, recipe), _recipe=recipe, _x=chosen.x)


def form_report(chosen: Chosen, recipe: Recipe, forms: Forms) -> ErrorReport:
    """Measure the tensor under the recipe, unless another of its forms is the same."""
    return _report(key=_key(chosen, recipe), _recipe=recipe, _x=chosen.x, _forms=forms)


def reports(chosen: Chosen, recipes: dict, answer: Callable[[Chosen, Recipe], Any] = report) -> dict:
    """Measure the tensor under many recipes, {any key: Recipe} -> {the same key: ErrorReport, or what `answer` returns}; a bar shows where that takes time."""
    found, place, started = {}, st.empty(), time.monotonic()
    for done, (key, recipe) in enumerate(recipes.items()):
        if time.monotonic() - started > 0.4:
            place.progress(done / len(recipes), tr("Recipe {number} of {all}: {name}").format(number=done + 1, all=len(recipes), name=as_text(recipe.name)))
        found[key] = answer(chosen, recipe)
    place.empty()
    return found


def by_binade(chosen: Chosen, recipe: Recipe, scaled: bool) -> Distribution:
    """Count the numbers by binade and fate."""
    return _distribution(key=_key(chosen, recipe), scaled=scaled, _recipe=recipe, _x=chosen.x)


def on_a_line(chosen: Chosen, recipe: Recipe, zoom: int) -> LinearView:
    """Count x / scale on a linear axis."""
    return _linear(key=_key(chosen, recipe), zoom=zoom, _recipe=recipe, _x=chosen.x)


def in_cells(chosen: Chosen, recipe: Recipe) -> Maps:
    """Scale and error, cell by cell."""
    return _maps(key=_key(chosen, recipe), _recipe=recipe, _x=chosen.x)


def ask(chosen: Chosen, recipe: Recipe, question: Callable, *more) -> Any:
    """Return question(x, quantized x, *more), computed once for these arguments, which their `repr` tells apart. For small answers."""
    return _answer(key=f"{_key(chosen, recipe)}/{question.__module__}.{question.__qualname__}{more!r}", _recipe=recipe, _question=question, _more=more, _x=chosen.x)


def form_difference(chosen: Chosen, recipe: Recipe, other: Recipe, forms: Forms) -> Difference:
    """Count where the tensor under two recipes differs."""
    return _difference(key=f"{_key(chosen, recipe)}/{other!r}", _recipe=recipe, _other=other, _forms=forms)


def first_rows(chosen: Chosen, most: int) -> Chosen:
    """Return the tensor, or as many of its first rows as hold about `most` numbers."""
    rows = max(most // chosen.x.shape[1], 1)
    if rows >= chosen.x.shape[0]:
        return chosen
    return Chosen(f"{chosen.key}/first {rows} rows", chosen.title, chosen.x[:rows], f"{chosen.code}[:{rows}]")


def quantized(recipe: Recipe) -> str:
    """Python that quantizes `x`."""
    return f"fp8.quantize(x, {snippets.recipe(recipe)}{snippets.seed(recipe, SEED)})"


def as_python(chosen: Chosen, recipe: Recipe, *more: str) -> str:
    """The program that gives the numbers of `report`, and what more is asked of `x` and `q`."""
    return snippets.program("import fp8core as fp8", chosen.code, f"q = {quantized(recipe)}\nprint(fp8.measure(x, q))", *more)


def distributed(bare: Recipe, zoom: int) -> str:
    """Python for the pictures of `x` and `q`, and for `x` without a scale."""
    return f"""
from fp8core.distributions import distribution, linear_view
bare = {quantized(bare)}
print("without scale", fp8.measure(x, bare))
for axis, d in {{"|x|": distribution(x, bare, scaled=False), "|x| / scale": distribution(x, q, scaled=True)}}.items():
    for fate, counts in d.counts.items():
        print(axis, fate, {{int(binade): int(count) for binade, count in zip(d.binades, counts) if count}})
print(linear_view(x, q, zoom={zoom}).counts)
"""


def _uploaded(upload: Checkpoint) -> Chosen | None:
    name = st.selectbox(tr("Tensor of {file}").format(file=as_text(upload.filename)), list(upload.infos), key="upload_tensor")
    try:
        x = upload.read(name)
    except CheckpointError as error:
        st.error(as_text(told(error)))
        return None
    if not x.dtype.is_floating_point or not x.numel():
        st.warning(tr("{name} holds {dtype} in shape {shape}: there are no floating point numbers to quantize. Choose another tensor.").format(name=as_text(name), dtype=x.dtype, shape=tuple(x.shape)))
        return None
    x = as_layer(x, kind_of(name, x.shape)).float()
    x = x if x.ndim == 2 else x.reshape(1, -1)
    code = f"from fp8core.checkpoints import open_checkpoint\nx = {snippets.tensor(f'open_checkpoint({upload.filename!r})', name, x.shape)}"
    rows = max(MOST_NUMBERS // x.shape[1], 1)
    if x.shape[0] > rows or x.shape[1] > MOST_NUMBERS:
        st.info(tr("This tensor has {count} numbers; what you see is of its first {most} at most.").format(count=f"{x.numel():,}", most=f"{MOST_NUMBERS:,}"))
        x, code = x[:rows, :MOST_NUMBERS], f"{code}[:{rows}, :{MOST_NUMBERS}]"
    return Chosen(f"{upload_key()}/{name}", name, x, code)


def _key(chosen: Chosen, recipe: Recipe) -> str:
    """What tells a tensor under a recipe from all others.

    A page asks its caches a hundred times: Streamlit finds one text, given by its name, in a seventh of the time that a dataclass among positional arguments takes.
    """
    return f"{chosen.key}/{recipe!r}"


@st.cache_resource(max_entries=1024, show_spinner=False)
def _report(key: str, _recipe: Recipe, _x: torch.Tensor, _forms: Forms | None = None) -> ErrorReport:
    with _slots():
        return _forms.report(_recipe) if _forms else measure(_x, _quantize(_x, _recipe))


@st.cache_resource(max_entries=512, show_spinner=False)
def _difference(key: str, _recipe: Recipe, _other: Recipe, _forms: Forms) -> Difference:
    with _slots():
        return _forms.difference(_recipe, _other)


@st.cache_resource(max_entries=64, show_spinner=False)
def _distribution(key: str, scaled: bool, _recipe: Recipe, _x: torch.Tensor) -> Distribution:
    with _slots():
        return distribution(_x, _quantize(_x, _recipe), scaled=scaled)


@st.cache_resource(max_entries=64, show_spinner=False)
def _linear(key: str, zoom: int, _recipe: Recipe, _x: torch.Tensor) -> LinearView:
    with _slots():
        return linear_view(_x, _quantize(_x, _recipe), zoom)


@st.cache_resource(max_entries=64, show_spinner=False)
def _maps(key: str, _recipe: Recipe, _x: torch.Tensor) -> Maps:
    with _slots():
        return maps(_x, _quantize(_x, _recipe))


@st.cache_resource(max_entries=512, show_spinner=False)
def _answer(key: str, _recipe: Recipe, _question: Callable, _more: tuple, _x: torch.Tensor):
    with _slots():
        return _question(_x, _quantize(_x, _recipe), *_more)


def _quantize(x: torch.Tensor, recipe: Recipe):
    return quantize(x, recipe, seed=SEED)


@st.cache_resource(show_spinner=False)
def _slots() -> threading.BoundedSemaphore:
    """At most two tensors are measured at once on this server."""
    return threading.BoundedSemaphore(2)
