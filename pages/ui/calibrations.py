"""Static calibration for a page: which numbers, every method for several formats computed once, and the tables of it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import streamlit as st
import torch

from fp8core.calibration import CALIBRATIONS, Calibration, Observed, calibrate, observe
from fp8core.formats import parse_format
from fp8core.models import MODELS, activations
from pages.ui import frame
from pages.ui.charts import calibration as charts
from pages.ui.language import told, tr
from pages.ui.number_tables import percent
from pages.ui.own_format import named
from pages.ui.tensor_reports import Chosen
from pages.ui.upload import as_text
from pages.ui.view import View

BATCHES = 16
COMPARED = ("int8", "e4m3fn", "e5m2", "e2m1fn")
CURVE = tuple(2.0 ** (step / 8) for step in range(-64, 25))
MOST_BITS = 16  # wider formats have nothing to clip for

Table = dict[tuple[str, str], Calibration]  # by (method, format)


@dataclass(frozen=True, eq=False)
class Source:
    """What is calibrated with: a matrix whose rows are cut into batches.

    Args:
        key: tells two sources apart.
        code: Python that gives `x`.
    """

    key: str
    title: str
    x: torch.Tensor
    code: str


def choose_source(view: View, chosen: Chosen) -> Source:
    """Draw the choice of data and return it: the inputs of a layer of a bundled model, or the tensor of the page."""
    columns = st.columns([1.3, 1, 1.6])
    with columns[0]:
        view = frame.control("calibrated_on")
    if view.calibrated_on == "tensor":
        return of_tensor(chosen)
    with columns[1]:
        view = frame.control("model")
    model = view.model
    if not MODELS[model].inputs:
        model = next(name for name, about in MODELS.items() if about.inputs)
        st.info(tr("{chosen} comes without inputs: you see those of {shown}.").format(chosen=tr(MODELS[view.model].label), shown=tr(MODELS[model].label)))
    inputs = _activations(model)
    layer = view.layer if view.layer in inputs else _widest(inputs)
    with columns[2]:
        st.session_state["calibration_layer"] = layer
        st.selectbox(tr("Layer"), list(inputs), key="calibration_layer", on_change=_take_layer)
    code = f"from fp8core.models import activations\nx = activations({model!r})[{layer!r}]"
    return Source(f"{model}/{layer}", layer, inputs[layer], code)


def of_tensor(chosen: Chosen) -> Source:
    """The tensor of the page as a source."""
    return Source(chosen.key, chosen.title, chosen.x, chosen.code)


def compared(format_name: str) -> tuple[str, ...]:
    """The formats that are compared: the usual four and the visitor's own, where it has something to clip for."""
    own = () if format_name in COMPARED or parse_format(format_name).bits > MOST_BITS else (format_name,)
    return COMPARED + own


def energy(seen: Observed) -> float:
    """Mean of x²."""
    return seen.energy


def observed(source: Source) -> Observed | None:
    """Collect the source's numbers; None where none of them is finite."""
    return _observed(source.key, source.x)


def calibrations(source: Source, formats: tuple[str, ...], percentile: float, momentum: float) -> Table:
    """Run every method for every format; a bar shows where that takes time."""
    pairs = [(method, name) for name in formats for method in CALIBRATIONS]
    found, place, started = {}, st.empty(), time.monotonic()
    for done, (method, name) in enumerate(pairs):
        if time.monotonic() - started > 0.4:
            place.progress(done / len(pairs), tr("{method} for {format}").format(method=tr(CALIBRATIONS[method].title), format=name))
        setting = {"percentile": percentile} if method == "percentile" else {"momentum": momentum} if method == "moving_average" else {}
        found[method, name] = _calibration(source.key, name, method, tuple(setting.items()), source.x)
    place.empty()
    return found


def error_curves(source: Source, formats: tuple[str, ...]) -> dict[str, Calibration]:
    """The squared error of each format over thresholds up to eight times the largest magnitude."""
    return {name: _calibration(source.key, name, "mse", (("shares", CURVE),), source.x) for name in formats}


def rows(table: Table) -> list[dict]:
    """One row per method and format."""
    return [
        {
            tr("format"): told(parse_format(name).title) or name, tr("method"): tr(CALIBRATIONS[method].title), tr("amax"): f"{c.amax:.6g}", tr("of the largest (%)"): round(100 * c.amax / (c.largest or 1.0), 3),
            tr("SQNR (dB)"): round(c.sqnr_db, 3), tr("clipped (%)"): round(100 * c.clipped, 4), tr("flushed (%)"): round(100 * c.flushed, 4),
            tr("numbers"): c.count, tr("NaN"): c.nans, tr("infinite"): c.infs,
        }
        for (method, name), c in table.items()
    ]  # fmt: skip


def methods_explained() -> str:
    """Markdown: what every method does, and who does it so."""
    lines = [tr("- **{name}**: {formula}; {effect} ({source}).").format(name=tr(about.title), formula=tr(about.formula), effect=tr(about.effect), source=as_text(told(about.source))) for about in CALIBRATIONS.values()]
    return "\n".join(lines)


def as_python(formats: tuple[str, ...], percentile: float, momentum: float) -> str:
    """Python that gives the table's numbers of `x`."""
    return f"""
from fp8core.calibration import CALIBRATIONS, calibrate, observe
seen = observe(x.tensor_split({BATCHES}))
for name in {list(formats)}:
    for method in CALIBRATIONS:
        c = calibrate(seen, name, method, percentile={percentile:g}, momentum={momentum:g})
        print(f"{{name}}, {{method}}: amax {{c.amax:.6g}}, SQNR {{c.sqnr_db:.3f}} dB, clipped {{100 * c.clipped:.4f}} %, flushed {{100 * c.flushed:.4f}} %")
"""


def draw_for_tensor(chosen: Chosen, format_name: str) -> str:
    """Draw what each method would clip and flush of one tensor in one format, with one scale: lines on the histogram and a table -> Python for the table's numbers of `x`."""
    fmt, source = parse_format(format_name), of_tensor(chosen)
    seen = observed(source) if fmt.bits <= MOST_BITS else None
    frame.heading(tr("What calibration would make of it"))
    if seen is None or not seen.largest:
        st.caption(tr("There is nothing to choose here: the format has more than {bits} bits, or the tensor no number but zero.").format(bits=MOST_BITS))
        return ""
    default = View()
    table = calibrations(source, (format_name,), default.percentile, default.momentum)
    left, right = st.columns([1, 1.1])
    with left:
        frame.figure(charts.thresholds(seen.histogram(), table), "calibration_lines", tr(
            "**What you see:** the magnitudes of the tensor, and where each method would put the end of the range of {format} with one scale for all. What lies right of a mark is clipped, what lies far left of it is flushed to zero."
        ).format(format=told(fmt.title) or fmt.name))
    with right:
        columns = (tr("method"), tr("amax"), tr("SQNR (dB)"), tr("clipped (%)"), tr("flushed (%)"))
        frame.table([{column: row[column] for column in columns} for row in rows(table)], "calibrations")
        best = max(table.values(), key=lambda c: c.sqnr_db)
        st.markdown(tr("Best SQNR: **{method}**, with {share} clipped and {flushed} flushed to zero.").format(method=tr(CALIBRATIONS[best.method].title), share=percent(best.clipped), flushed=percent(best.flushed)))
        frame.link("pages/scaling.py", tr("Compare several formats, on real activations"), topic="calibration", **named(format_name))
    return as_python((format_name,), default.percentile, default.momentum)


def _widest(inputs: dict[str, torch.Tensor]) -> str:
    """The layer whose largest number stands out most."""
    crest = {name: float(x.abs().max() / x.square().mean().sqrt()) for name, x in inputs.items()}
    return max(crest, key=crest.get)


def _take_layer() -> None:
    frame.change(layer=st.session_state["calibration_layer"])


@st.cache_resource(max_entries=4, show_spinner=False)
def _activations(model: str) -> dict[str, torch.Tensor]:
    return activations(model)


@st.cache_resource(max_entries=2, show_spinner=False)
def _observed(key: str, _x: torch.Tensor) -> Observed | None:
    with _slots():
        try:
            return observe(_x.tensor_split(BATCHES))
        except ValueError:
            return None


@st.cache_resource(max_entries=512, show_spinner=False)
def _calibration(key: str, format_name: str, method: str, setting: tuple, _x: torch.Tensor) -> Calibration:
    seen = _observed(key, _x)
    with _slots():
        return calibrate(seen, format_name, method, **dict(setting))


@st.cache_resource(show_spinner=False)
def _slots() -> threading.BoundedSemaphore:
    """At most two calibrations run at once on this server."""
    return threading.BoundedSemaphore(2)
