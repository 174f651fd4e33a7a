"""Layer reports for a page: computed once per tensor and recipe, with a progress bar, and what the page shows of them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace

import streamlit as st
import torch

from fp8core.checkpoints import Checkpoint
from fp8core.distributions import Distribution, distribution
from fp8core.layers import LayerReport, analyze_tensors, as_layer, kind_of, report, summary, to_rows
from fp8core.metrics import ErrorReport, measure
from fp8core.models import MODELS, activations, load_weights
from fp8core.quantized import quantize
from fp8core.recipes import RECIPES
from pages.ui import frame
from pages.ui.language import tr
from pages.ui.upload import as_text, upload_key
from pages.ui.view import View, sources

MOST_NUMBERS = 1 << 22  # of one tensor: measuring it takes about 0.5 GB for a moment


@dataclass(frozen=True, eq=False)
class Source:
    """What is analysed.

    Args:
        key: tells two sources apart: model and part, or the sha256 of an uploaded file.
        checkpoint: where weights come from; None where `tensors` are analysed.
        tensors: activations by layer.
        model: key of `MODELS` where the weights of a bundled model are analysed, empty otherwise.
    """

    key: str
    checkpoint: Checkpoint | None = None
    tensors: dict[str, torch.Tensor] | None = None
    model: str = ""

    @property
    def names(self) -> list[str]:
        """Every tensor, in the source's own order."""
        return list(self.tensors) if self.checkpoint is None else [*self.checkpoint.infos, *self.checkpoint.refused]

    def report(self, name: str) -> LayerReport:
        """Report on one tensor under no recipe yet."""
        if self.checkpoint is None:
            return next(analyze_tensors({name: self.tensors[name]}, []))
        return report(self.checkpoint, name, [], most=MOST_NUMBERS)

    def read(self, name: str) -> torch.Tensor:
        """Return one tensor in the shape in which it is quantized, 16 bits as float32."""
        if self.checkpoint is None:
            return self.tensors[name]
        x = as_layer(self.checkpoint.read(name), kind_of(name, self.checkpoint.infos[name].shape))
        return x.float() if x.dtype.itemsize == 2 else x


def choose_source(view: View, upload: Checkpoint | None) -> Source:
    """Return what the visitor wants to see: an uploaded file before the model; says so where it is not what the controls say."""
    if upload is not None:
        st.info(tr("These are the tensors of your file {name}. Forget it in the sidebar to come back to the models.").format(name=as_text(upload.filename)))
        return Source(upload_key(), upload)
    if view.part == "activations" and MODELS[view.model].inputs:
        return Source(f"{view.model}/activations", tensors=_activations(view.model))
    if view.part == "activations":
        st.info(tr("{model} comes without inputs, so there are no activations: its weights are shown.").format(model=tr(MODELS[view.model].label)))
    return Source(f"{view.model}/weights", load_weights(view.model), model=view.model)


def reports(source: Source, recipes: tuple[str, ...]) -> list[LayerReport]:
    """Return the reports of all tensors under all recipes; a bar names the tensor at work where that takes time.

    Raises:
        CheckpointError: a damaged tensor.
    """
    kept = _kept(key=f"{source.key}/{recipes!r}")
    place, shown = st.empty(), time.monotonic()
    if kept:
        return kept
    names, found = source.names, []
    try:
        for done, name in enumerate(names):
            if time.monotonic() - shown > 0.15:
                place.progress(done / len(names), tr("Layer {number} of {all}: {name}").format(number=done + 1, all=len(names), name=as_text(name)))
                shown = time.monotonic()
            layer = _layer(key=f"{source.key}/{name}", _name=name, _source=source)
            errors = {recipe: _error(key=f"{source.key}/{recipe}/{name}", _name=name, _recipe=recipe, _source=source) for recipe in recipes} if layer.statistics else {}
            found.append(replace(layer, errors=errors))
    finally:
        place.empty()
    kept[:] = found
    return found


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
            tr("recipe"): RECIPES[s.recipe].title, tr("all layers (dB)"): s.sqnr_db, tr("worst (dB)"): s.worst_sqnr_db, tr("worst layer"): s.worst.removesuffix(".weight"),
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
        title = RECIPES[row["recipe"]].title
        line |= {f"{title}: dB": row["sqnr_db"], f"{title}: {tr('underflow (%)')}": 100 * row["underflow"], f"{title}: {tr('saturation (%)')}": 100 * row["saturation"]}
    return list(table.values())


def kept_rows(layers: list[LayerReport]) -> list[dict]:
    """One row per tensor that stays as it is, with the reason."""
    return [
        {tr("tensor"): row["layer"], tr("kind"): tr(row["kind"]), tr("shape"): row["shape"], tr("type"): row["dtype"], tr("why"): row["kept"]}
        for row in to_rows(layer for layer in layers if not layer.errors)
    ]


def facts(layer: LayerReport) -> dict[str, tuple[str, str]]:
    """What a layer's numbers look like: value and explanation by name."""
    seen = layer.statistics
    return {
        tr("crest factor"): (f"{seen.crest_factor:.1f}", tr("amax / rms: about 5 for a million Gaussian numbers, far more with outliers.")),
        tr("kurtosis"): (f"{seen.kurtosis:,.1f}", tr("3 for a Gaussian; the heavier the tails, the larger.")),
        tr("binades"): (f"{seen.range_binades:.1f}", tr("log₂ of the largest over the smallest magnitude that is not zero.")),
    }


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
        st.toast(tr("This layer cannot be selected: {reason}").format(reason=as_text(str(error))))


@st.cache_resource(max_entries=16, show_spinner=False)
def _kept(key: str) -> list[LayerReport]:
    """A place for the reports of all tensors under all recipes, so that the caches below are asked only where something has changed."""
    return []


@st.cache_resource(max_entries=1024, show_spinner=False)
def _layer(key: str, _name: str, _source: Source) -> LayerReport:
    with _slots():
        return _source.report(_name)


@st.cache_resource(max_entries=4096, show_spinner=False)
def _error(key: str, _name: str, _recipe: str, _source: Source) -> ErrorReport:
    x = _source.read(_name)
    with _slots():
        error = measure(x, quantize(x, _recipe))
    return replace(error, code_histogram=error.code_histogram[:0].copy())


@st.cache_data(max_entries=128, show_spinner=False)
def _distribution(key: str, name: str, recipe: str, _source: Source) -> Distribution:
    x = _source.read(name)
    with _slots():
        return distribution(x, quantize(x, recipe), scaled=True)


@st.cache_resource(max_entries=4, show_spinner=False)
def _activations(model: str) -> dict[str, torch.Tensor]:
    return activations(model)


@st.cache_resource(show_spinner=False)
def _slots() -> threading.BoundedSemaphore:
    """At most two tensors are measured at once on this server; each is given back after one tensor."""
    return threading.BoundedSemaphore(2)
