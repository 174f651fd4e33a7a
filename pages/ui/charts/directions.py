"""Rows against columns, and flat blocks against square ones -> figures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from fp8core.directions import Directions
from fp8core.metrics import ErrorReport
from pages.ui import theme
from pages.ui.charts import parts
from pages.ui.language import tr

_SYMBOLS = ("triangle-right", "triangle-down", "square")


def gap(found: Directions) -> go.Figure:
    """Draw the largest difference of each cell, as a share of the tensor's rms."""
    rows, columns = found.gap.shape
    high, wide = found.cell
    cells = {
        "type": "heatmap", "z": (100 * found.gap).astype(np.float32), "x0": wide / 2, "dx": wide, "y0": high / 2, "dy": high,
        "colorscale": theme.SEQUENTIAL, "colorbar": {"title": tr("% of rms")}, "zmin": 0, "zmax": max(100 * float(found.gap.max(initial=0.0)), 1e-6),
        "hovertemplate": tr("largest difference %{z:.3g} % of rms<br>row %{y:.0f}, column %{x:.0f}") + "<extra></extra>",
    }  # fmt: skip
    layout = {
        "xaxis": {"title": tr("column"), "range": [0, columns * wide], "showgrid": False}, "yaxis": {"title": tr("row"), "range": [rows * high, 0], "showgrid": False},
        "height": 470,
    }  # fmt: skip
    return go.Figure([cells], layout)


def shapes(reports: Mapping[tuple[int, str, str], ErrorReport], names: Mapping[str, str]) -> go.Figure:
    """Draw SQNR of each element format, one panel for each length of a block: along rows, along columns, square.

    Args:
        reports: {(side, element, shape): report}; shape is one of "rows", "columns", "square".
        names: what each element is called.
    """
    places = {element: place for place, element in enumerate(names)}
    sides = list(dict.fromkeys(side for side, _, _ in reports))
    words = {"rows": tr("1 × {n}, along rows"), "columns": tr("{n} × 1, along columns"), "square": tr("{n} × {n}, square")}
    traces = []
    for at, (shape, word) in enumerate(words.items()):
        for panel, side in enumerate(sides, 1):
            shown = [(element, reports[side, element, shape]) for element in names if (side, element, shape) in reports]
            traces.append({
                "type": "scatter", "x": [report.sqnr_db for _, report in shown], "y": [places[element] + 0.24 * (at - 1) for element, _ in shown], "mode": "markers", "name": word.format(n="n"),
                "legendgroup": shape, "showlegend": panel == 1, "marker": {"size": 11, "symbol": _SYMBOLS[at], "color": theme.series(at)},
                "customdata": [(100 * report.underflow, report.bits_per_value, names[element]) for element, report in shown],
                "hovertemplate": "%{customdata[2]}, " + word.format(n=side) + "<br>" + tr("SQNR %{x:.2f} dB<br>flushed to zero %{customdata[0]:.3g} %<br>%{customdata[1]:.4g} bits per number") + "<extra></extra>",
            } | parts.inside(panel))  # fmt: skip
    finite = [report.sqnr_db for report in reports.values() if np.isfinite(report.sqnr_db)] or [0.0, 1.0]
    pad = 0.06 * (max(finite) - min(finite)) + 0.5
    numbers = ["", *range(2, len(sides) + 1)]
    axes = {f"xaxis{number}": {"title": tr("SQNR (dB)"), "range": [min(finite) - pad, max(finite) + pad]} for number in numbers}
    axes |= {f"yaxis{number}": {"tickvals": list(places.values()), "ticktext": list(names.values()), "range": [len(names) - 0.4, -0.6], "showgrid": False, "zeroline": False} for number in numbers}
    layout = parts.panels(axes, rows=1, cols=len(sides), shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=tuple(f"n = {side}" for side in sides))
    lines = [parts.horizontal(between + 0.5, panel, line={"width": 1, "color": "rgba(128,128,128,0.3)"}) for between in range(len(names) - 1) for panel in range(1, len(sides) + 1)]
    layout |= {"height": 150 + 52 * len(names), "legend": {"orientation": "h", "y": 1.14, "yanchor": "bottom", "x": 0}, "margin": {"t": 80}, "shapes": lines}
    return go.Figure(traces, layout)
