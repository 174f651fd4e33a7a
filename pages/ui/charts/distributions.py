"""Distribution -> figure: histograms over the zones of a format."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go

from fp8core.distributions import Distribution, LinearView
from fp8core.formats import Format
from fp8core.grid import binade_of, hex_text
from fp8core.spans import Span
from pages.ui import theme
from pages.ui.charts import parts
from pages.ui.language import told, tr

_LETTER = 0.0175  # width of a letter of a zone's label, as a share of half a page


def fate_labels() -> dict[str, str]:
    """What each fate is called."""
    return {
        "flushed": tr("flushed to zero"),
        "subnormal": tr("subnormal"),
        "normal": tr("normal"),
        "saturated": tr("saturated"),
        "lost": tr("NaN or infinity"),
    }


def histogram(d: Distribution, fmt: Format | None, *, axis: str, span: Span | None = None) -> go.Figure:
    """Draw one bar per binade, stacked by what becomes of its numbers; `customdata` of a bar begins with its binade.

    Args:
        fmt: draw this format's zones behind the bars; None where its limits do not lie on this axis.
        axis: title of the horizontal axis.
        span: the binades to mark.
    """
    total, bars = max(d.count, 1), []
    held = _held(fmt, d.binades.tolist()) if fmt is not None else [""] * d.binades.size
    for fate, label in fate_labels().items():
        counts = d.counts[fate]
        if not counts.any():
            continue
        bars.append({
            "type": "bar", "x": d.binades + 0.5, "y": 100 * counts / total, "width": 0.92, "name": label, "marker": theme.fate(fate),
            "customdata": [[int(e), int(e) + 1, int(c), inside] for e, c, inside in zip(d.binades, counts, held, strict=True)],
            "hovertemplate": tr("2^%{customdata[0]} ≤ |x| < 2^%{customdata[1]}<br>%{customdata[2]:,} numbers, %{y:.3f} % of all").replace("|x|", axis) + f"<br>{label}<br>%{{customdata[3]}}<extra></extra>",
        })  # fmt: skip
    lowest, highest = (int(d.binades[0]), int(d.binades[-1]) + 1) if d.binades.size else (-10, 10)
    zones = {}
    if fmt is not None:
        lowest, highest = _widened(lowest, highest, fmt)
        zones = _zones(fmt, lowest, highest)
    if span is not None:
        zones["shapes"] = [*zones.get("shapes", ()), parts.upright_band(max(span.low, lowest - 0.3), min(span.high, highest + 0.3), fillcolor="rgba(0,0,0,0)", line={"width": 3, "color": theme.ACCENT})]
    layout = {
        "barmode": "stack", "bargap": 0, "legend": {"orientation": "h", "y": -0.28, "x": 0}, "margin": {"t": 56},  # room for the names of the zones below the toolbar
        "xaxis": {"title": axis, "range": [lowest - 0.3, highest + 0.3]} | _powers_of_two(lowest, highest),
        "yaxis": {"title": tr("share of all numbers (%)"), "rangemode": "tozero"},
    }  # fmt: skip
    return go.Figure(bars, layout | zones)


def selectable(figure: go.Figure) -> go.Figure:
    """Let a drag over the bars select them instead of moving the axis, and return the figure."""
    return figure.update_layout(dragmode="select", selectdirection="h")


def _held(fmt: Format, binades: list[int]) -> list[str]:
    """What codes a format has for the magnitudes of each binade, in words."""
    if fmt.bits > 16:
        return [""] * len(binades)
    values = fmt.values
    found = np.flatnonzero(np.isfinite(values) & (values > 0))
    places = binade_of(values[found])
    words = []
    for binade in binades:
        codes = found[places == binade]
        first, last = (hex_text(int(code), fmt) for code in (codes[0], codes[-1])) if codes.size else ("", "")
        several = tr("{count} positive codes in it: {first} to {last}").format(count=codes.size, first=first, last=last)
        words.append(several if codes.size > 1 else tr("1 positive code in it: {first}").format(first=first) if codes.size else tr("the format has no number in it"))
    return words


def _widened(lowest: int, highest: int, fmt: Format) -> tuple[int, int]:
    """Show the format's ends where they are not far from the data."""
    bottom, top = math.floor(math.log2(fmt.min_positive)) - 2, fmt.emax + 3
    return min(lowest, max(bottom, lowest - 12)), max(highest, min(top, highest + 12))


def _powers_of_two(lowest: int, highest: int) -> dict:
    step = max(1, math.ceil((highest - lowest) / 16))
    ticks = list(range(lowest - lowest % step, highest + 1, step))
    return {"tickvals": ticks, "ticktext": [f"2<sup>{k}</sup>" for k in ticks], "showgrid": False}


def _zones(fmt: Format, lowest: int, highest: int) -> dict[str, list[dict]]:
    """The zones of a format as shapes, and as annotations the names of those that are wide enough."""
    flush, normal, top = math.log2(fmt.min_positive) - 1, math.log2(fmt.min_normal), math.log2(fmt.max)
    zones = [("flushed", lowest - 1, flush), ("subnormal", flush, normal), ("normal", max(flush, normal), top), ("saturated", top, highest + 1)]
    if fmt.min_subnormal is None:
        zones = [("flushed", lowest - 1, flush), ("normal", flush, top), zones[-1]]
    bands, labels = [], []
    for fate, left, right in zones:
        left, right = max(left, lowest - 0.3), min(right, highest + 0.3)
        if left >= right:
            continue
        bands.append(parts.upright_band(left, right, fillcolor=theme.FATE_COLOURS[fate], opacity=0.13, layer="below"))
        label = fate_labels()[fate]
        if (right - left) / (highest - lowest) > len(label) * _LETTER:
            labels.append(parts.words(label, (left + right) / 2, 1.0, yref="paper", yanchor="bottom", font={"size": 13}))
    return {"shapes": bands, "annotations": labels}


def linear(view: LinearView, fmt: Format) -> go.Figure:
    """Draw a linear histogram of x / scale with a tick for every number of the format."""
    width = float(view.edges[1] - view.edges[0])
    centres = (view.edges[:-1] + view.edges[1:]) / 2
    traces = [{
        "type": "bar", "x": centres, "y": view.counts, "width": width, "name": tr("numbers of the tensor"), "marker": {"color": theme.FATE_COLOURS["normal"], "line": {"width": 0}},
        "hovertemplate": tr("x / scale near %{x:.4g}<br>%{y:,} numbers") + "<extra></extra>",
    }]  # fmt: skip
    if 0 < view.grid.size <= 1024:
        traces.append({
            "type": "scatter", "x": view.grid, "y": [0.0] * view.grid.size, "mode": "markers", "name": tr("numbers of {format}").format(format=told(fmt.title) or fmt.name), "yaxis": "y2",
            "marker": {"symbol": "line-ns-open", "size": 18, "color": theme.ACCENT, "line": {"width": 1.5}},
            "hovertemplate": tr("%{x:.6g} is a number of the format") + "<extra></extra>",
        })  # fmt: skip
    layout = {
        "bargap": 0, "legend": {"orientation": "h", "y": -0.28, "x": 0},
        "xaxis": {"title": tr("x / scale"), "range": [float(view.edges[0]), float(view.edges[-1])]},
        "yaxis": {"title": tr("numbers per bin"), "rangemode": "tozero"},
        "yaxis2": {"overlaying": "y", "range": [-0.03, 1], "visible": False, "fixedrange": True, "title": tr("numbers per bin"), "rangemode": "tozero"},
    }  # fmt: skip
    return go.Figure(traces, layout)


def error_by_binade(reports: dict) -> go.Figure:
    """Draw the SQNR of each binade for several recipes: {recipe name: ErrorReport}."""
    traces = []
    for index, (name, report) in enumerate(reports.items()):
        enough = report.binade_count >= 20
        traces.append({
            "type": "scatter", "x": report.binades[enough] + 0.5, "y": report.binade_sqnr_db[enough].clip(-5, 120), "name": name, "mode": "lines+markers",
            "line": {"dash": theme.dash(index)}, "marker": {"symbol": theme.symbol(index), "size": 8},
            "hovertemplate": tr("numbers near 2^%{x:.0f}<br>SQNR %{y:.1f} dB") + f"<extra>{name}</extra>",
        })  # fmt: skip
    binades = [int(b) for report in reports.values() for b in report.binades[report.binade_count >= 20]] or [0]
    layout = {
        "legend": {"orientation": "h", "y": -0.28, "x": 0},
        "xaxis": {"title": tr("|x|")} | _powers_of_two(min(binades), max(binades) + 1), "yaxis": {"title": tr("SQNR in the binade (dB)")},
    }  # fmt: skip
    return go.Figure(traces, layout)
