"""Plans -> figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from pages.ui import theme
from pages.ui.language import tr
from pages.ui.view import recipe_title

Point = tuple[float, float]  # bits per weight, error


def pareto(frontier: Sequence[Point], uniform: Mapping[str, Point], plan: Point, measured: bool) -> go.Figure:
    """Draw bits per weight against error: the best that can be chosen layer by layer, one recipe for all layers, and the plan.

    Args:
        measured: whether `uniform` and `plan` were measured on the model's output, and the frontier predicted from layers alone.
    """
    line = [(bits, error) for bits, error in frontier if error > 0]
    name = tr("predicted from layers alone") if measured else tr("best choice layer by layer")
    traces = [{
        "type": "scatter", "mode": "lines", "x": [bits for bits, _ in line], "y": [error for _, error in line], "name": name, "line": {"color": theme.series(0), "shape": "hv"},
        "hovertemplate": tr("%{x:.3f} bits, error %{y:.3g}") + f"<extra>{name}</extra>",
    }]  # fmt: skip
    for place, (recipe, (bits, error)) in enumerate(each for each in uniform.items() if each[1][1] > 0):
        title = recipe_title(recipe)
        traces.append({
            "type": "scatter", "mode": "markers", "x": [bits], "y": [error], "name": title, "marker": {"size": 11, "symbol": theme.symbol(place), "color": theme.series(place + 1)},
            "hovertemplate": tr("every layer {title}: %{{x:.3f}} bits, error %{{y:.3g}}").format(title=title) + "<extra></extra>",
        })  # fmt: skip
    if plan[1] > 0:
        traces.append({
            "type": "scatter", "mode": "markers", "x": [plan[0]], "y": [plan[1]], "name": tr("the plan"), "marker": {"size": 17, "symbol": "star", "color": theme.ACCENT, "line": {"width": 1, "color": "#FFFFFF"}},
            "hovertemplate": tr("the plan: %{x:.3f} bits, error %{y:.3g}") + "<extra></extra>",
        })  # fmt: skip
    error = tr("noise-to-signal ratio of the model's output") if measured else tr("sum of the layers' noise-to-signal ratios")
    return go.Figure(traces, {
        "xaxis": {"title": tr("bits per weight, scales included")}, "yaxis": {"title": error, "type": "log", "exponentformat": "power", "dtick": 1}, "height": 430,
        "legend": {"yanchor": "top", "y": 1.0, "x": 1.02},
    })  # fmt: skip
