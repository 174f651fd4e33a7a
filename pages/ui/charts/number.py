"""Figures of the page "What happens to one number?": its surroundings, and its error in every format. Report -> Figure."""

from __future__ import annotations

import math
from typing import NamedTuple

import plotly.graph_objects as go

from fp8core.codec import encode
from fp8core.formats import FORMATS
from fp8core.grid import describe_code, exact_text
from fp8core.number import NumberReport, interval
from pages.ui.charts import parts
from pages.ui.charts.formats import raised
from pages.ui.language import told, tr
from pages.ui.number_tables import percent
from pages.ui.theme import colour

_GREY = "#8a8f98"


def number_line(report: NumberReport) -> go.Figure:
    """A finite value between its neighbours, the numbers that share its code as a band, and the number itself. Axis in ulps."""
    hue = colour(report.format)
    low, high = _reach(report, report.below, -1), _reach(report, report.above, +1)
    pad = 0.16 * (high - low)
    drawn = _Drawn([], [_line(low - pad, high + pad, 0, 0, color=_GREY, width=2)], [])
    if report.interval is not None:
        _draw_interval(drawn, report, low - pad, high + pad, hue)
    for value, weight in ((report.below, 2), (report.value, 5), (report.above, 2)):
        if value is not None and math.isfinite(value):
            _draw_value(drawn, report, value, weight, hue)
    _draw_number(drawn, report, low - pad, high + pad, hue)
    title = tr("distance from the value, in steps of {unit}").format(unit=_label(_unit(report)))
    layout = {
        "xaxis": {"range": [low - pad, high + pad], "title": title, "zeroline": False, "showgrid": False, "dtick": 0.5},
        "yaxis": {"range": [-1.25, 1.6], "visible": False, "fixedrange": True},
        "height": 300, "showlegend": False, "margin": {"l": 20, "r": 20, "t": 10, "b": 50}, "hovermode": "closest", "shapes": drawn.shapes, "annotations": drawn.annotations,
    }  # fmt: skip
    return go.Figure(drawn.traces, layout)


class _Drawn(NamedTuple):
    """What is drawn so far."""

    traces: list[dict]
    shapes: list[dict]
    annotations: list[dict]


def _line(x0: float, x1: float, y0: float, y1: float, **line) -> dict:
    return {"type": "line", "x0": x0, "x1": x1, "y0": y0, "y1": y1, "line": line}


def _unit(report: NumberReport) -> float:
    """The larger of the two gaps beside the value, so that both fit."""
    gaps = [abs(report.value - other) for other in (report.below, report.above) if other is not None and math.isfinite(other)]
    return max(gaps, default=report.ulp)


def _place(report: NumberReport, number: float) -> float:
    return (number - report.value) / _unit(report)


def _reach(report: NumberReport, neighbour: float | None, side: int) -> float:
    return _place(report, neighbour) if neighbour is not None and math.isfinite(neighbour) else side * 1.0


def _draw_interval(drawn: _Drawn, report: NumberReport, low: float, high: float, hue: str) -> None:
    found = report.interval
    ends = [(found.lower, found.lower_closed, low), (found.upper, found.upper_closed, high)]
    x = [max(low, min(high, _place(report, end))) if math.isfinite(end) else edge for end, _, edge in ends]
    drawn.shapes.append({"type": "rect", "x0": x[0], "x1": x[1], "y0": -0.3, "y1": 0.3, "fillcolor": hue, "opacity": 0.25, "line": {"width": 0}})
    for place, (end, closed, _) in zip(x, ends, strict=True):
        if not math.isfinite(end):
            continue
        belongs = tr("belongs to the value") if closed else tr("does not belong to the value")
        drawn.traces.append({
            "type": "scatter", "x": [place], "y": [0], "mode": "markers", "marker": {"size": 13, "symbol": "circle" if closed else "circle-open", "color": hue, "line": {"width": 3, "color": hue}},
            "hovertemplate": f"{exact_text(end)}<br>{belongs}<extra></extra>",
        })  # fmt: skip
        if end not in (report.below, report.value, report.above):
            drawn.annotations.append(parts.words(_label(end), place, -0.42, yanchor="top", font={"size": 13}))


def _draw_value(drawn: _Drawn, report: NumberReport, value: float, weight: int, hue: str) -> None:
    place = _place(report, value)
    drawn.shapes.append(_line(place, place, -0.55, 0.55, color=hue, width=weight))
    text = f"<b>{_label(value)}</b>" if value == report.value else _label(value)
    drawn.annotations.append(parts.words(text, place, -0.78, yanchor="top", font={"size": 16}))
    drawn.traces.append({
        "type": "scatter", "x": [place] * 5, "y": [-0.5, -0.25, 0, 0.25, 0.5], "mode": "markers", "marker": {"symbol": "line-ns", "size": 12, "color": hue}, "hovertemplate": _value_text(report, value) + "<extra></extra>",
    })  # fmt: skip


def _value_text(report: NumberReport, value: float) -> str:
    """Code, bits, value and interval of a value on the line."""
    code = report.code.code if value == report.value else int(encode([value], report.format)[0])
    found, reach = describe_code(code, report.format), interval(code, report.format, report.rounding, report.overflow)
    return raised(f"<b>{found.hex}</b> = {found.bits}<br>{found.arithmetic}<br>{'–' if reach is None else reach}")


def _label(value: float) -> str:
    """A number for a place in the picture: exact where that is a short decimal or a power of two, else nine digits."""
    text = exact_text(value)
    return f"{value:.9g}" if "·" in text else raised(text)


def _draw_number(drawn: _Drawn, report: NumberReport, low: float, high: float, hue: str) -> None:
    if math.isnan(report.x):
        drawn.annotations.append(parts.words(number_text(report.x), (low + high) / 2, 0.95, yanchor="bottom", font={"size": 18}))
        return
    place = _place(report, report.x) if math.isfinite(report.x) else math.copysign(math.inf, report.x)
    outside = not low <= place <= high
    right, inset = place > high, 0.02 * (high - low)
    x = max(low + inset, min(high - inset, place))
    text = f"{number_text(report.x)} {'→' if right else '←'}" if outside else number_text(report.x)
    drawn.annotations.append(parts.words(text, x, 0.95, yanchor="bottom", xanchor="center" if not outside else "right" if right else "left", font={"size": 18}))
    symbol = "triangle-down" if not outside else "triangle-right" if right else "triangle-left"
    drawn.traces.append({"type": "scatter", "x": [x], "y": [0.8], "mode": "markers", "marker": {"size": 15, "symbol": symbol, "color": hue}, "hovertemplate": f"x = {report.x!r}<extra></extra>"})
    if not outside:
        drawn.shapes.append(_line(x, x, 0, 0.75, color=hue, width=2, dash="dot"))


def errors_figure(reports: tuple[NumberReport, ...]) -> go.Figure:
    """Relative error of one number in many formats as bars on a logarithmic axis, smallest first; what has no such error says why."""
    ordered = sorted(reports, key=lambda r: (not math.isfinite(r.relative_error), r.relative_error if math.isfinite(r.relative_error) else 0.0))
    errors = [100 * r.relative_error for r in ordered if r.relative_error > 0]
    floor = min(min(errors, default=1.0), 12.5) / 8
    top = max(max(errors, default=100.0), 100.0)
    names = [told(FORMATS[r.format].title) if r.format in FORMATS else r.format for r in ordered]
    bars = {
        "type": "bar", "x": [100 * r.relative_error if r.relative_error > 0 else None for r in ordered], "y": names, "orientation": "h", "marker": {"color": [colour(r.format) for r in ordered]},
        "customdata": [_error_text(r) for r in ordered], "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip
    ends = [math.log10(100 * r.relative_error if r.relative_error > 0 else floor) for r in ordered]
    outcomes = [parts.words(_outcome(r), end, name, xanchor="left", xshift=6, font={"size": 13}) for r, end, name in zip(ordered, ends, names, strict=True)]
    layout = {
        "xaxis": {
            "type": "log", "range": [math.log10(floor), math.log10(top) + 0.22 * max(1.0, math.log10(top / floor))], "title": tr("relative error |x̂ − x| / |x|, in percent"),
            "tickformat": "~g", "exponentformat": "power", "dtick": max(1, round(math.log10(top / floor) / 8)),
        },
        "yaxis": {"autorange": "reversed", "showgrid": False, "title": tr("number format")},
        "height": 90 + 27 * len(ordered), "showlegend": False, "bargap": 0.25, "margin": {"l": 10, "r": 20, "t": 10, "b": 60}, "annotations": outcomes,
    }  # fmt: skip
    return go.Figure([bars], layout)


def _outcome(report: NumberReport) -> str:
    if math.isfinite(report.relative_error) and report.relative_error > 0:
        return f"{percent(report.relative_error)} → {report.value:.7g}"
    if report.value == report.x or (math.isnan(report.value) and math.isnan(report.x)):
        return tr("exact")
    return f"→ {exact_text(report.value, 9)}"


def _error_text(report: NumberReport) -> str:
    return f"<b>{report.code.hex}</b> = {report.code.bits}<br>{raised(report.code.arithmetic)}<br>x̂ − x = {report.error:.6g}<br>{report.error_ulps:.4g} ulp"


def number_text(x: float) -> str:
    """A number as short as Python writes it, with the signs of mathematics for infinity."""
    return f"x = {exact_text(x) if not math.isfinite(x) else repr(x).removesuffix('.0')}"
