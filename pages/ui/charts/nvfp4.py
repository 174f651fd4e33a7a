"""One block with two levels of scales, and how the scales spread -> figures."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from fp8core.anatomy import Anatomy, ScaleCounts
from fp8core.formats import Format
from pages.ui import theme
from pages.ui.charts import parts
from pages.ui.charts.formats import raised
from pages.ui.language import tr


def block(part: Anatomy, fmt: Format) -> go.Figure:
    """Draw the elements of a block beside what became of them, over the values that the format has with this scale as lines."""
    places = np.arange(len(part.x))
    grid = fmt.finite_values * part.scale if np.isfinite(part.scale) else np.zeros(1)
    reach = 1.08 * max(np.abs(grid).max(), np.nan_to_num(np.abs(part.x), posinf=0.0).max(initial=0.0)) or 1.0
    levels = [parts.horizontal(level, line={"width": 1, "color": theme.NEUTRAL, "dash": "dot"}, opacity=0.7) for level in np.unique(grid)]
    labels = [parts.words(f"{fmt.finite_values[place]:g}", 1.0, grid[place], xref="paper", xanchor="left", font={"size": 12}) for place in _labelled(grid, 0.065 * reach)]
    stems = [{"type": "line", "x0": place, "x1": place, "y0": before, "y1": after, "line": {"width": 3, "color": theme.ACCENT}, "layer": "below"} for place, before, after in zip(places, part.x, part.restored, strict=True)]
    text = [raised(f"x = {x:.6g}<br>x / scale = {s:.6g}<br>x̂ = {v:g} · {part.scale:.6g} = {y:.6g}<br>x̂ − x = {e:.3g}") for x, s, v, y, e in zip(part.x, part.scaled, part.values, part.restored, part.error, strict=True)]
    hue = theme.colour(fmt.name)
    numbers = ((tr("number x"), part.x, {"size": 11, "symbol": "circle-open", "line": {"width": 2}, "color": theme.NEUTRAL}), (tr("what is left of it, x̂"), part.restored, {"size": 9, "symbol": "diamond", "color": hue}))
    traces = [{"type": "scatter", "x": places, "y": y, "mode": "markers", "name": name, "marker": marker, "customdata": text, "hovertemplate": "%{customdata}<extra></extra>"} for name, y, marker in numbers]
    layout = {
        "xaxis": {"title": tr("element of the block"), "tickvals": places, "ticktext": [str(place) for place in places], "range": [-0.6, len(places) - 0.4], "showgrid": False, "zeroline": False},
        "yaxis": {"title": tr("value"), "range": [-reach, reach], "showgrid": False, "exponentformat": "power"},
        "height": 470, "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0}, "margin": {"r": 46}, "shapes": levels + stems, "annotations": labels,
    }  # fmt: skip
    return go.Figure(traces, layout)


def _labelled(levels: np.ndarray, apart: float) -> list[int]:
    """Places of the levels that have room for a label, from the outside in: the largest first, each at least `apart` from those before it."""
    kept: list[int] = []
    for place in np.argsort(-np.abs(levels), kind="stable"):
        if all(abs(levels[place] - levels[other]) >= apart for other in kept):
            kept.append(int(place))
    return kept if np.ptp(levels) else []


def scales(found: ScaleCounts, title: str) -> go.Figure:
    """Draw how many blocks have a scale in each binade of the scale format; bars below the smallest normal one are subnormal."""
    labels = [tr("0"), *(raised(f"2^{e}") for e in found.binades)]
    kinds = {
        tr("rounded to zero"): ([found.zero, *np.zeros(len(found.binades), int)], theme.fate("flushed")),
        tr("held up at the smallest"): ([0, *found.raised], theme.fate("saturated")),
        tr("subnormal"): ([0, *np.where(found.binades < found.subnormal, found.counts - found.raised, 0)], theme.fate("subnormal")),
        tr("normal"): ([0, *np.where(found.binades >= found.subnormal, found.counts - found.raised, 0)], theme.fate("normal")),
    }
    hover = "%{x}<br>" + tr("{blocks} blocks").format(blocks="%{y:,}")
    traces = [{"type": "bar", "x": labels, "y": counts, "name": name, "marker": marker, "hovertemplate": f"{hover}<extra>{name}</extra>"} for name, (counts, marker) in kinds.items()]
    layout = {
        "xaxis": {"title": title, "type": "category", "tickangle": 0}, "yaxis": {"title": tr("blocks")},
        "height": 470, "barmode": "stack", "bargap": 0.15, "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
    }  # fmt: skip
    return go.Figure(traces, layout)
