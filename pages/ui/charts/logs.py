"""Logs of a training -> figures."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from fp8core.te_statistics import LogEntry
from pages.ui import theme
from pages.ui.charts.layers import short
from pages.ui.language import tr


def steps_map(entries: Sequence[LogEntry], title: str) -> go.Figure:
    """Draw one statistic as colours, layers by steps, in the order in which they occur; the entries are of one tensor and statistic."""
    layers, steps = list(dict.fromkeys(each.layer for each in entries)), sorted({each.step for each in entries})
    known = {(each.layer, each.step): each.value for each in entries}
    cells = {
        "type": "heatmap", "z": [[known.get((layer, step)) for step in steps] for layer in layers], "x": steps, "y": list(range(len(layers))), "colorscale": theme.SEQUENTIAL,
        "customdata": [[short(layer, 60)] * len(steps) for layer in layers], "hovertemplate": tr("%{customdata}<br>step %{x}: %{z:.5g}") + "<extra></extra>", "colorbar": {"title": {"text": title}},
    }  # fmt: skip
    rows = list(range(len(layers)))
    return go.Figure([cells], {
        "xaxis": {"title": tr("step"), "showgrid": False}, "height": 150 + 19 * max(len(layers), 10),
        "yaxis": {"range": [len(layers) - 0.5, -0.5], "tickvals": rows, "ticktext": [short(layer) for layer in layers], "title": tr("layer"), "showgrid": False},
    })  # fmt: skip
