"""Many recipes on one tensor, and scale rules over one binade of amax -> figures."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from fp8core.formats import parse_format
from fp8core.metrics import ErrorReport
from fp8core.recipes import Recipe
from fp8core.rules import SCALE_RULES
from pages.ui import theme
from pages.ui.charts import parts
from pages.ui.language import told, tr

_LANE_PIXELS = 15
_WIDTHS = (9, 7.2, 5.6, 4.2, 2.8)  # where curves coincide, each still shows beside the one drawn after it


def swarm(libraries: Mapping[str, tuple[Recipe, ...]], reports: Mapping[str, ErrorReport]) -> go.Figure:
    """Draw the SQNR of every recipe as a dot in the row of its library; dots that would touch move to another lane.

    Colour and symbol are the element format; a hollow dot lost numbers. Recipes without a finite SQNR have no dot.

    Args:
        libraries: recipes by library.
        reports: the report of each recipe, by its name.
    """
    low, high = _range([r.sqnr_db for r in reports.values()])
    gap = 0.026 * (high - low)
    dots, y, lines = {}, 0.0, []
    for library, recipes in libraries.items():
        drawn = sorted((r for r in recipes if r.name in reports and math.isfinite(reports[r.name].sqnr_db)), key=lambda r: reports[r.name].sqnr_db)
        ends: list[float] = []
        for recipe in drawn:
            x = reports[recipe.name].sqnr_db
            lane = next((at for at, end in enumerate(ends) if x - end >= gap), len(ends))
            ends[lane:] = [x, *ends[lane + 1 :]]
            dots.setdefault(recipe.format, []).append((recipe, x, y + lane))
        if drawn:
            lines.append((library, y, y + len(ends) - 1))
            y += len(ends) + 0.9
    traces = [_dots(index, name, dots[name], reports) for index, name in enumerate(sorted(dots, key=lambda name: (-parse_format(name).bits, name)))]
    layout = {
        "xaxis": {"title": tr("SQNR (dB)"), "range": [low, high]},
        "yaxis": {"tickvals": [(first + last) / 2 for _, first, last in lines], "ticktext": [tr(library) for library, _, _ in lines], "range": [y - 0.5, -1], "showgrid": False, "zeroline": False, "ticks": ""},
        "height": int(170 + _LANE_PIXELS * y), "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0}, "hovermode": "closest",
        "shapes": [parts.horizontal(last + 0.95, line={"width": 1, "color": "rgba(128,128,128,0.35)"}) for _, _, last in lines[:-1]],
    }  # fmt: skip
    return go.Figure(traces, layout)


def _range(values: list[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    pad = max(0.04 * (max(finite) - min(finite)), 1.0)
    return min(finite) - pad, max(finite) + pad


def _dots(index: int, name: str, dots: list[tuple[Recipe, float, float]], reports: Mapping[str, ErrorReport]) -> dict:
    fmt = parse_format(name)
    symbol, hue = theme.symbol(index), theme.colour(name)
    return {
        "type": "scatter", "x": [x for _, x, _ in dots], "y": [y for _, _, y in dots], "mode": "markers", "name": tr("{format}, {bits} bits").format(format=told(fmt.title), bits=fmt.bits),
        "marker": {"size": 10, "color": hue, "symbol": [symbol + ("-open" if reports[recipe.name].lost else "") for recipe, _, _ in dots], "line": {"width": 1.5, "color": hue}},
        "customdata": [_dot_text(recipe, reports[recipe.name]) for recipe, _, _ in dots], "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip


def _dot_text(recipe: Recipe, report: ErrorReport) -> str:
    scale = tr("no scale") if recipe.scaling is None else tr("scale = {formula}, {block}").format(formula=told(SCALE_RULES[recipe.scaling.rule].formula), block=told(recipe.scaling.granularity))
    shares = tr("flushed {flushed:.3g} %, clipped {clipped:.3g} %, lost {lost}").format(flushed=100 * report.underflow, clipped=100 * report.saturation, lost=report.lost)
    return f"<b>{told(recipe.title)}</b><br>{scale}<br>{report.sqnr_db:.2f} dB, {report.bits_per_value:.4g} " + tr("bits per number") + f"<br>{shares}"


def scale_curves(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> go.Figure:
    """Draw scale · max / amax over the significand of amax for each rule; below 1 the largest number is clipped.

    Args:
        curves: {key of SCALE_RULES: (significand, share)}, as `compare.scale_curve` returns them.
    """
    shares = np.concatenate([share for _, share in curves.values()])
    low, high = float(shares.min()), float(shares.max())
    bottom, top = min(0.78 * low, 0.8), 1.12 * max(high, 1.05)
    clipped = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": bottom, "y1": 1, "fillcolor": theme.FATE_COLOURS["saturated"], "opacity": 0.13, "line": {"width": 0}, "layer": "below"}
    label = parts.words(tr("the largest number is clipped"), 0.985, math.log10(bottom), xref="paper", xanchor="right", yanchor="bottom", font={"color": theme.FATE_COLOURS["saturated"]})
    traces = [
        {
            "type": "scatter", "x": significand[:-1], "y": share[:-1], "mode": "lines", "name": told(SCALE_RULES[rule].title), "line": {"width": _WIDTHS[at % len(_WIDTHS)], "color": theme.series(at), "dash": theme.dash(at), "simplify": False},
            "hovertemplate": told(SCALE_RULES[rule].formula) + "<br>amax = %{x:.4f} · 2<sup>k</sup><br>" + tr("scale · max / amax") + " = %{y:.4f}<extra>" + told(SCALE_RULES[rule].title) + "</extra>",
        }
        for at, (rule, (significand, share)) in enumerate(curves.items())
    ]  # fmt: skip
    marks = [value for value in (0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.5, 2, 3, 4) if bottom <= value <= top]
    layout = {
        "xaxis": {"title": tr("amax within its binade"), "range": [1, 2], "tickvals": [1, 1.25, 1.5, 1.75, 2]},
        "yaxis": {"title": tr("scale · max / amax"), "type": "log", "range": [math.log10(bottom), math.log10(top)], "tickvals": marks, "ticktext": [f"{mark:g}" for mark in marks]},
        "height": 430, "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0}, "hovermode": "closest", "shapes": [clipped], "annotations": [label],
    }  # fmt: skip
    return go.Figure(traces, layout)
