"""Figures of the page "What happens to one number?": its surroundings, and its error in every format. Report -> Figure."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from fp8core.formats import FORMATS
from fp8core.grid import exact_text
from fp8core.number import NumberReport
from pages.ui.charts.formats import raised
from pages.ui.language import tr
from pages.ui.theme import colour

_GREY = "#8a8f98"


def number_line(report: NumberReport) -> go.Figure:
    """A finite value between its neighbours, the numbers that share its code as a band, and the number itself. Axis in ulps."""
    hue = colour(report.format)
    figure = go.Figure()
    low, high = _reach(report, report.below, -1), _reach(report, report.above, +1)
    pad = 0.16 * (high - low)
    figure.add_shape(type="line", x0=low - pad, x1=high + pad, y0=0, y1=0, line={"color": _GREY, "width": 2})
    if report.interval is not None:
        _draw_interval(figure, report, low - pad, high + pad, hue)
    for value, weight in ((report.below, 2), (report.value, 5), (report.above, 2)):
        if value is not None and math.isfinite(value):
            _draw_value(figure, report, value, weight, hue)
    _draw_number(figure, report, low - pad, high + pad, hue)
    unit = _label(_unit(report))
    figure.update_xaxes(range=[low - pad, high + pad], title=tr("distance from the value, in steps of {unit}").format(unit=unit), zeroline=False, showgrid=False, dtick=0.5)
    figure.update_yaxes(range=[-1.25, 1.6], visible=False, fixedrange=True)
    figure.update_layout(height=300, showlegend=False, margin={"l": 20, "r": 20, "t": 10, "b": 50}, hovermode="closest")
    return figure


def _unit(report: NumberReport) -> float:
    """The larger of the two gaps beside the value, so that both fit."""
    gaps = [abs(report.value - other) for other in (report.below, report.above) if other is not None and math.isfinite(other)]
    return max(gaps, default=report.ulp)


def _place(report: NumberReport, number: float) -> float:
    return (number - report.value) / _unit(report)


def _reach(report: NumberReport, neighbour: float | None, side: int) -> float:
    return _place(report, neighbour) if neighbour is not None and math.isfinite(neighbour) else side * 1.0


def _draw_interval(figure: go.Figure, report: NumberReport, low: float, high: float, hue: str) -> None:
    found = report.interval
    ends = [(found.lower, found.lower_closed, low), (found.upper, found.upper_closed, high)]
    x = [max(low, min(high, _place(report, end))) if math.isfinite(end) else edge for end, _, edge in ends]
    figure.add_shape(type="rect", x0=x[0], x1=x[1], y0=-0.3, y1=0.3, fillcolor=hue, opacity=0.25, line={"width": 0})
    for place, (end, closed, _) in zip(x, ends, strict=True):
        if not math.isfinite(end):
            continue
        belongs = tr("belongs to the value") if closed else tr("does not belong to the value")
        figure.add_scatter(
            x=[place], y=[0], mode="markers", marker={"size": 13, "symbol": "circle" if closed else "circle-open", "color": hue, "line": {"width": 3, "color": hue}},
            hovertemplate=f"{exact_text(end)}<br>{belongs}<extra></extra>",
        )  # fmt: skip
        if end not in (report.below, report.value, report.above):
            figure.add_annotation(x=place, y=-0.42, yanchor="top", text=_label(end), showarrow=False, font={"size": 13})


def _draw_value(figure: go.Figure, report: NumberReport, value: float, weight: int, hue: str) -> None:
    place = _place(report, value)
    figure.add_shape(type="line", x0=place, x1=place, y0=-0.55, y1=0.55, line={"color": hue, "width": weight})
    text = f"<b>{_label(value)}</b>" if value == report.value else _label(value)
    figure.add_annotation(x=place, y=-0.78, yanchor="top", text=text, showarrow=False, font={"size": 16})


def _label(value: float) -> str:
    """A number for a place in the picture: exact where that is a short decimal or a power of two, else nine digits."""
    text = exact_text(value)
    return f"{value:.9g}" if "·" in text else raised(text)


def _draw_number(figure: go.Figure, report: NumberReport, low: float, high: float, hue: str) -> None:
    if math.isnan(report.x):
        figure.add_annotation(x=(low + high) / 2, y=0.95, text=number_text(report.x), showarrow=False, yanchor="bottom", font={"size": 18})
        return
    place = _place(report, report.x) if math.isfinite(report.x) else math.copysign(math.inf, report.x)
    outside = not low <= place <= high
    right, inset = place > high, 0.02 * (high - low)
    x = max(low + inset, min(high - inset, place))
    text = f"{number_text(report.x)} {'→' if right else '←'}" if outside else number_text(report.x)
    figure.add_annotation(x=x, y=0.95, text=text, showarrow=False, yanchor="bottom", xanchor="center" if not outside else "right" if right else "left", font={"size": 18})
    figure.add_scatter(x=[x], y=[0.8], mode="markers", marker={"size": 15, "symbol": "triangle-down" if not outside else "triangle-right" if right else "triangle-left",
                       "color": hue}, hovertemplate=f"x = {report.x!r}<extra></extra>")  # fmt: skip
    if not outside:
        figure.add_shape(type="line", x0=x, x1=x, y0=0, y1=0.75, line={"color": hue, "width": 2, "dash": "dot"})


def errors_figure(reports: tuple[NumberReport, ...]) -> go.Figure:
    """Relative error of one number in many formats as bars on a logarithmic axis, smallest first; what has no such error says why."""
    ordered = sorted(reports, key=lambda r: (not math.isfinite(r.relative_error), r.relative_error if math.isfinite(r.relative_error) else 0.0))
    errors = [100 * r.relative_error for r in ordered if r.relative_error > 0]
    floor = min(min(errors, default=1.0), 12.5) / 8
    top = max(max(errors, default=100.0), 100.0)
    names = [FORMATS[r.format].title if r.format in FORMATS else r.format for r in ordered]
    figure = go.Figure(
        go.Bar(
            x=[100 * r.relative_error if r.relative_error > 0 else None for r in ordered], y=names, orientation="h", marker={"color": [colour(r.format) for r in ordered]},
            customdata=[_error_text(r) for r in ordered], hovertemplate="%{customdata}<extra></extra>",
        )
    )  # fmt: skip
    for r, name in zip(ordered, names, strict=True):
        at = 100 * r.relative_error if r.relative_error > 0 else floor
        figure.add_annotation(x=math.log10(at), y=name, text=_outcome(r), showarrow=False, xanchor="left", xshift=6, font={"size": 13})
    figure.update_xaxes(type="log", range=[math.log10(floor), math.log10(top) + 0.22 * max(1.0, math.log10(top / floor))], title=tr("relative error |x̂ − x| / |x|, in percent"),
                        tickformat="~g", exponentformat="power", dtick=max(1, round(math.log10(top / floor) / 8)))  # fmt: skip
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_layout(height=90 + 27 * len(ordered), showlegend=False, bargap=0.25, margin={"l": 10, "r": 20, "t": 10, "b": 60})
    return figure


def _outcome(report: NumberReport) -> str:
    if math.isfinite(report.relative_error) and report.relative_error > 0:
        return f"{100 * report.relative_error:.3g} % → {report.value:.7g}"
    if report.value == report.x or (math.isnan(report.value) and math.isnan(report.x)):
        return tr("exact")
    return f"→ {exact_text(report.value, 9)}"


def _error_text(report: NumberReport) -> str:
    return f"<b>{report.code.hex}</b> = {report.code.bits}<br>{raised(report.code.arithmetic)}<br>x̂ − x = {report.error:.6g}<br>{report.error_ulps:.4g} ulp"


def number_text(x: float) -> str:
    """A number as short as Python writes it, with the signs of mathematics for infinity."""
    return f"x = {exact_text(x) if not math.isfinite(x) else repr(x).removesuffix('.0')}"
