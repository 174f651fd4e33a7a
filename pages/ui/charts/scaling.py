"""Scaling comparisons -> figures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from fp8core.distributions import Maps
from fp8core.metrics import ErrorReport
from pages.ui import theme
from pages.ui.charts.cells import written
from pages.ui.language import tr
from pages.ui.number_tables import percent


def matrix(reports: Mapping[tuple[str, str], ErrorReport], chosen: tuple[str, str] | None) -> go.Figure:
    """Draw SQNR for granularity × scale rule.

    Args:
        reports: {(granularity, rule): report}.
        chosen: the pair that the page shows in detail, which gets a frame; None where it shows a recipe that is put together otherwise.
    """
    rows, columns = (list(dict.fromkeys(pair[side] for pair in reports)) for side in (0, 1))
    values = np.array([[reports[row, column].sqnr_db for column in columns] for row in rows])
    share = [[(100 * reports[row, column].underflow, 100 * reports[row, column].saturation) for column in columns] for row in rows]
    text = [[f"<b>{v:.1f} dB</b><br>↓{percent(u / 100)}  ↑{percent(s / 100)}" for v, (u, s) in zip(line, pairs, strict=True)] for line, pairs in zip(values, share, strict=True)]
    cells = {
        "z": values, "x": columns, "y": [tr(row) for row in rows], "text": text, "customdata": share, "colorscale": theme.SEQUENTIAL, "xgap": 3, "ygap": 3,
        "colorbar": {"title": tr("SQNR (dB)")},
        "hovertemplate": tr("granularity %{y}, rule %{x}<br>SQNR %{z:.2f} dB<br>flushed to zero %{customdata[0]:.3f} %<br>saturated %{customdata[1]:.3f} %") + "<extra></extra>",
    }  # fmt: skip
    layout = {
        "xaxis": {"title": tr("scale rule"), "type": "category", "side": "top", "showgrid": False},
        "yaxis": {"title": tr("granularity"), "type": "category", "autorange": "reversed", "showgrid": False},
        "height": 110 + 62 * len(rows),
    }  # fmt: skip
    if chosen in reports:
        i, j = rows.index(chosen[0]), columns.index(chosen[1])
        layout["shapes"] = [{"type": "rect", "x0": j - 0.5, "x1": j + 0.5, "y0": i - 0.5, "y1": i + 0.5, "line": {"width": 4, "color": theme.ACCENT}}]
    return go.Figure(written(cells), layout)


def scale_map(maps: Maps) -> go.Figure:
    """Draw log2 of the scale of each cell."""
    return _map(maps.scale_log2, maps.cell, tr("log₂ scale"), tr("largest scale 2^%{z:.2f}"), "Cividis")


def error_map(maps: Maps) -> go.Figure:
    """Draw the SQNR of each cell; exact cells count as 100 dB."""
    return _map(np.minimum(maps.sqnr_db, 100.0), maps.cell, tr("SQNR (dB)"), tr("SQNR %{z:.1f} dB"), theme.SEQUENTIAL)


def _map(values: np.ndarray, cell: tuple[int, int], title: str, hover: str, colours) -> go.Figure:
    rows, columns = values.shape
    cells = {
        "type": "heatmap", "z": values.astype(np.float32), "x0": cell[1] / 2, "dx": cell[1], "y0": cell[0] / 2, "dy": cell[0], "colorscale": colours, "colorbar": {"title": title},
        "hovertemplate": hover + tr("<br>row %{y:.0f}, column %{x:.0f}") + "<extra></extra>",
    }  # fmt: skip
    finite = values[np.isfinite(values)]
    if finite.size and np.ptp(finite) < 0.5:
        middle = float(finite.mean())
        cells |= {"zmin": middle - 1, "zmax": middle + 1}
    return go.Figure([cells], {"xaxis": {"title": tr("column"), "range": [0, columns * cell[1]], "showgrid": False}, "yaxis": {"title": tr("row"), "range": [rows * cell[0], 0], "showgrid": False}})
