"""Layer reports for a page: computed once per tensor and recipe, with a progress bar, and what the page shows of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st
import torch

from fp8core.distributions import Distribution, distribution
from fp8core.layers import LayerReport, Scales, Tiles, scales_of, summary, tiles_of, to_rows
from fp8core.quantized import SEED, quantize
from fp8core.recipes import RECIPES
from fp8core.te_statistics import blockwise_dynamic_range
from pages.ui import arithmetic, frame, snippets
from pages.ui.language import told, tr
from pages.ui.layer_sources import Source
from pages.ui.progress import one_by_one
from pages.ui.upload import as_text
from pages.ui.view import recipe_title, sources


def reports(source: Source, recipes: tuple[str, ...], names: Sequence[str] | None = None) -> list[LayerReport]:
    """Return the reports of all tensors, or of these, under all recipes, of those that were measured where the visitor has stopped that.

    Raises:
        CheckpointError: a damaged tensor.
    """
    wanted = source.names if names is None else names
    job = f"{source.key}/{recipes!r}" + ("" if names is None else f"/{len(names)} to plan")
    kept = _kept(key=job)
    if not kept:
        found = one_by_one(job, wanted, lambda name: _measured(source, name, recipes), [source.nbytes_of(name) for name in wanted])
        if len(found) < len(wanted):
            return found
        kept[:] = found
    return kept


def selected_layer(layers: list[LayerReport], name: str) -> LayerReport | None:
    """The quantized layer of that name; without one, the first of these."""
    quantized = [layer for layer in layers if layer.errors]
    return next((layer for layer in quantized if layer.name == name), quantized[0] if quantized else None)


def layer_distribution(source: Source, name: str, recipe: str) -> Distribution:
    """Count the numbers of one layer by binade of x / scale and by what becomes of them."""
    return _distribution(source.key, name, recipe, source)


def summary_rows(layers: list[LayerReport]) -> list[dict]:
    """One row per recipe over all layers."""
    return [
        {
            tr("recipe"): recipe_title(s.recipe), tr("all layers (dB)"): s.sqnr_db, tr("worst (dB)"): s.worst_sqnr_db, tr("worst layer"): s.worst.removesuffix(".weight"),
            tr("underflow (%)"): 100 * s.underflow, tr("saturation (%)"): 100 * s.saturation, tr("bits"): s.bits_per_value,
            tr("MB before"): s.stored_nbytes / 1e6, tr("MB after"): s.nbytes / 1e6,
        }
        for s in summary(layers).values()
    ]  # fmt: skip


def layer_rows(layers: list[LayerReport]) -> list[dict]:
    """One row per quantized layer: what its numbers look like, and for each recipe SQNR, underflow and saturation."""
    table: dict[str, dict] = {}
    for row in to_rows(layer for layer in layers if layer.errors):
        line = table.setdefault(row["layer"], {
            tr("layer"): row["layer"], tr("kind"): tr(row["kind"]), tr("shape"): row["shape"], tr("numbers"): row["count"],
            tr("crest factor"): row["crest_factor"], tr("kurtosis"): row["kurtosis"], tr("range (binades)"): row["range_binades"],
        })  # fmt: skip
        title = recipe_title(row["recipe"])
        line |= {tr("{recipe}: {words}").format(recipe=title, words=words): value for words, value in (("dB", row["sqnr_db"]), (tr("underflow (%)"), 100 * row["underflow"]), (tr("saturation (%)"), 100 * row["saturation"]))}
    return list(table.values())


def kept_rows(layers: list[LayerReport]) -> list[dict]:
    """One row per tensor that stays as it is, with the reason."""
    return [
        {tr("tensor"): row["layer"], tr("kind"): tr(row["kind"]), tr("shape"): row["shape"], tr("type"): row["dtype"], tr("why"): told(row["kept"])}
        for row in to_rows(layer for layer in layers if not layer.errors)
    ]


def facts(layer: LayerReport) -> dict[str, tuple]:
    """What a layer's numbers look like: value, explanation and arithmetic by name."""
    seen = layer.statistics
    return {
        tr("crest factor"): (f"{seen.crest_factor:.1f}", tr("amax / rms: about 5 for a million Gaussian numbers, far more with outliers."), arithmetic.crest_factor(seen)),
        tr("kurtosis"): (f"{seen.kurtosis:,.1f}", tr("3 for a Gaussian; the heavier the tails, the larger.")),
        tr("binades"): (f"{seen.range_binades:.1f}", tr("log₂ of the largest over the smallest magnitude that is not zero."), arithmetic.binades(seen)),
    }


def block_facts(source: Source, name: str, recipe: str) -> dict[str, tuple]:
    """What the blocks of a layer look like under a recipe: value, explanation and arithmetic by name."""
    span, scales = _blocks(source.key, name, recipe, source)
    help = tr("Of the {count:,} scales of this recipe, which decoding multiplies with.").format(count=scales.count)
    return {
        tr("block binades"): (f"{span:.1f}", tr("The same within 32 neighbours of a row, where it is most: what one scale of a block has to span.")),
        tr("scale, smallest"): (f"{scales.smallest:.3g}", help),
        tr("scale, largest"): (f"{scales.largest:.3g}", help),
        tr("scale, std / mean"): (f"{scales.spread:.3g}", tr("Standard deviation over mean: 0 where one scale would do for all."), arithmetic.spread(scales)),
    }


def tiles(source: Source, name: str, recipe: str) -> Tiles:
    """The error of a layer under a recipe, in tiles."""
    return _tiles(source.key, name, recipe, source)


def as_python(source: Source, recipes: Sequence[str], name: str = "", recipe: str = "") -> str:
    """The program that gives the numbers of the tables, and of one layer under a recipe where one is shown."""
    found = f"analyze_tensors(activations, {list(recipes)})" if source.checkpoint is None else f"analyze(checkpoint, {list(recipes)}{source.limit})"
    tables = f"""
from fp8core.layers import {found.split("(")[0]}, summary
found = list({found})
for s in summary(found).values():
    print(f"{{s.recipe}}: {{s.sqnr_db:.2f}} dB, worst {{s.worst_sqnr_db:.2f}} dB in {{s.worst}}, underflow {{100 * s.underflow:.2f}} %, saturation {{100 * s.saturation:.2f}} %, {{s.bits_per_value:.2f}} bits, {{s.nbytes / 1e6:.2f}} MB")
for layer in found:
    if seen := layer.statistics:
        print(f"{{layer.name}}: crest factor {{seen.crest_factor:.2f}}, kurtosis {{seen.kurtosis:.2f}}, {{seen.range_binades:.2f}} binades")
    for recipe, r in layer.errors.items():
        print(f"{{layer.name}}, {{recipe}}: {{r.sqnr_db:.2f}} dB, underflow {{100 * r.underflow:.2f}} %, saturation {{100 * r.saturation:.2f}} %")
"""
    if not name:
        return snippets.program(source.code, tables)
    seed = snippets.seed(RECIPES[recipe], SEED)
    return snippets.program(source.code, tables, source.read_code(name), f"""
import fp8core as fp8
from fp8core.distributions import distribution
from fp8core.layers import scales_of, tiles_of
from fp8core.recipes import RECIPES
from fp8core.te_statistics import blockwise_dynamic_range
q = fp8.quantize(x, {recipe!r}{seed})
print(distribution(x, q, scaled=True))
print("block binades", blockwise_dynamic_range(x.nan_to_num(0, 0, 0)))
print(scales_of(q))
print(tiles_of(x, q).sqnr_db.round(1))
""")  # fmt: skip


def column_config(rows: list[dict]) -> dict:
    """Two decimals for every column of fractions."""
    fractions = {key for row in rows for key, value in row.items() if isinstance(value, float)}
    return {key: st.column_config.NumberColumn(format="%.2f") for key in fractions}


def take_point(key: str) -> None:
    """Callback of a chart: the layer and the recipe of the point that was clicked become the selected ones."""
    points = st.session_state[key].selection.points
    if points:
        name, recipe = points[0]["customdata"][:2]
        _select(layer=name, recipe=recipe)


def take_row(key: str, layers: list[LayerReport]) -> None:
    """Callback of the table: the layer of the row that was clicked becomes the selected one."""
    rows = st.session_state[key].selection.rows
    if rows and rows[0] < len(layers):
        _select(layer=layers[rows[0]].name)


def link_to_distribution(source: Source, layer: LayerReport, recipe: str) -> None:
    """Draw a link to the page of distributions with this tensor and recipe, where a link can name the tensor."""
    name = f"{source.model}/{layer.name}"
    if name in sources():
        frame.link("pages/distributions.py", tr("Look closer at this tensor"), source=name, preset=recipe)


def _select(**values) -> None:
    try:
        frame.change(**values)
    except ValueError as error:
        st.toast(tr("This layer cannot be selected: {reason}").format(reason=as_text(told(error))))


@st.cache_resource(max_entries=16, show_spinner=False)
def _kept(key: str) -> list[LayerReport]:
    """A place for the reports of all tensors under all recipes, so that the caches below are asked only where something has changed."""
    return []


def _measured(source: Source, name: str, recipes: tuple[str, ...]) -> LayerReport:
    """The report of one tensor; what is known of it is not measured again, and all that is not in one reading."""
    layers, errors = _store()
    missing = [recipe for recipe in recipes if (source.key, name, recipe) not in errors]
    layer = layers.get((source.key, name))
    if layer is None or (layer.statistics is not None and missing):
        with _slots():
            layer = source.report(name, missing)
        for recipe, error in layer.errors.items():
            errors[source.key, name, recipe] = replace(error, code_histogram=error.code_histogram[:0].copy())
        layers[source.key, name] = layer = replace(layer, errors={})
    return replace(layer, errors={recipe: errors[source.key, name, recipe] for recipe in recipes} if layer.statistics is not None else {})


class _Bounded(OrderedDict):
    """A dict that forgets what was put in first."""

    def __init__(self, most: int):
        super().__init__()
        self._most = most

    def __setitem__(self, key, value) -> None:
        super().__setitem__(key, value)
        while len(self) > self._most:
            self.popitem(last=False)


@st.cache_resource(show_spinner=False)
def _store() -> tuple[_Bounded, _Bounded]:
    """What is known of tensors, by source and name, and of their errors, by source, name and recipe; shared by all sessions."""
    return _Bounded(16_384), _Bounded(65_536)


@st.cache_data(max_entries=128, show_spinner=False)
def _distribution(key: str, name: str, recipe: str, _source: Source) -> Distribution:
    x = _source.read(name)
    with _slots():
        return distribution(x, quantize(x, recipe, seed=SEED), scaled=True)


@st.cache_data(max_entries=256, show_spinner=False)
def _blocks(key: str, name: str, recipe: str, _source: Source) -> tuple[float, Scales]:
    x = _source.read(name)
    with _slots():
        return blockwise_dynamic_range(torch.where(x.isfinite(), x, 0.0)), scales_of(quantize(x, recipe, seed=SEED))


@st.cache_resource(max_entries=64, show_spinner=False)
def _tiles(key: str, name: str, recipe: str, _source: Source) -> Tiles:
    x = _source.read(name)
    with _slots():
        return tiles_of(x, quantize(x, recipe, seed=SEED))


@st.cache_resource(show_spinner=False)
def _slots() -> threading.BoundedSemaphore:
    """At most two tensors are measured at once on this server; each is given back after one tensor."""
    return threading.BoundedSemaphore(2)
