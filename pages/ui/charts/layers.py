"""Layer reports -> figures: every layer under every recipe, sorted by what differs."""

from __future__ import annotations

import html
import math
import statistics

import numpy as np
import plotly.graph_objects as go

from fp8core.layers import LayerReport, Tiles
from pages.ui import theme
from pages.ui.charts import parts
from pages.ui.charts.cells import written
from pages.ui.language import tr

_ROW_PX = 19  # one layer


def by_difference(reports: list[LayerReport]) -> list[LayerReport]:
    """Sort quantized layers by how far any recipe's SQNR lies from what that recipe reads on most layers (its median), the farthest first.

    A layer that no recipe can rate comes last; layers that were not quantized are left out.
    """
    quantized = [layer for layer in reports if layer.errors]
    usual = {
        recipe: statistics.median(rated)
        for recipe in dict.fromkeys(name for layer in quantized for name in layer.errors)
        if (rated := [layer.errors[recipe].sqnr_db for layer in quantized if recipe in layer.errors and math.isfinite(layer.errors[recipe].sqnr_db)])
    }

    def distance(layer: LayerReport) -> float:
        return max((abs(error.sqnr_db - usual[recipe]) for recipe, error in layer.errors.items() if math.isfinite(error.sqnr_db)), default=-1.0)

    return sorted(quantized, key=distance, reverse=True)


def dots(reports: list[LayerReport], titles: dict[str, str], selected: str = "") -> go.Figure:
    """Draw one line of dots per layer: SQNR, and beside it the shares that were flushed and clipped.

    The names of layer and recipe are `customdata` of every point.

    Args:
        reports: layers; those without errors are left out.
        titles: what each recipe is called, in the order of the legend.
        selected: name of a layer to mark.
    """
    layers = by_difference(reports)
    rows = list(range(len(layers)))
    traces, shapes = [], []
    for layer, row in zip(layers, rows, strict=True):
        rated = [error.sqnr_db for error in layer.errors.values() if math.isfinite(error.sqnr_db)]
        if len(rated) > 1:
            shapes.append(parts.horizontal(row, x0=min(rated), x1=max(rated), xref="x", line={"color": "rgba(128,128,128,0.35)", "width": 2}, layer="below"))
    for index, (recipe, title) in enumerate(titles.items()):
        here = [(row, layer, layer.errors[recipe]) for row, layer in zip(rows, layers, strict=True) if recipe in layer.errors]
        marker = {"symbol": theme.symbol(index), "color": theme.series(index), "size": 9}
        common = {"type": "scatter", "mode": "markers", "marker": marker, "unselected": {"marker": {"opacity": 1}}, "name": title, "legendgroup": recipe}
        common |= {"y": [row for row, _, _ in here], "customdata": [[layer.name, recipe] for _, layer, _ in here]}
        traces.append({"x": [_finite_db(error) for _, _, error in here], "text": [_arithmetic(layer, error) for _, layer, error in here], "hovertemplate": "%{text}" + f"<extra>{title}</extra>"} | common | parts.inside(1))
        for panel, share, words in ((2, "underflow", tr("%{x:.3f} % of all numbers become zero")), (3, "saturation", tr("%{x:.3f} % of all numbers are clipped"))):
            traces.append({"x": [100 * getattr(error, share) for _, _, error in here], "hovertemplate": f"{words}<extra>{title}</extra>", "showlegend": False} | common | parts.inside(panel))
    for row, layer in zip(rows, layers, strict=True):
        if layer.name == selected:
            shapes += [parts.level_band(row - 0.5, row + 0.5, panel, fillcolor="rgba(128,128,128,0.28)", layer="below") for panel in (1, 2, 3)]
    lines = {"range": [len(layers) - 0.4, -0.6], "tickvals": rows, "zeroline": False}
    axes = {"yaxis": lines | {"ticktext": [short(layer.name) for layer in layers], "title": tr("layer, the most unusual first")}, "yaxis2": lines, "yaxis3": lines, "xaxis": {"title": tr("SQNR (dB)")}}
    for panel, title in ((2, tr("underflow (%)")), (3, tr("saturation (%)"))):
        top = max((100 * (error.underflow if panel == 2 else error.saturation) for layer in layers for error in layer.errors.values()), default=0.0)
        axes[f"xaxis{panel}"] = {"title": title, "range": [-0.06 * max(top, 0.1), 1.1 * max(top, 0.1)]}
    layout = parts.panels(axes, rows=1, cols=3, shared_yaxes=True, column_widths=(0.64, 0.18, 0.18), horizontal_spacing=0.025)
    layout |= {"height": 150 + _ROW_PX * max(len(layers), 10), "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0}, "clickmode": "event+select", "shapes": shapes}
    return go.Figure(traces, layout)


def heat_map(reports: list[LayerReport], titles: dict[str, str]) -> go.Figure:
    """Draw SQNR as a table of colours, layers by recipes, sorted as in `dots`."""
    layers = by_difference(reports)
    values = [[_finite_db(layer.errors[recipe]) if recipe in layer.errors else math.nan for recipe in titles] for layer in layers]
    hover = [[_arithmetic(layer, layer.errors[recipe]) if recipe in layer.errors else "" for recipe in titles] for layer in layers]
    cells = {
        "z": values, "x": list(titles.values()), "y": list(range(len(layers))), "colorscale": theme.SEQUENTIAL, "xgap": 2, "ygap": 1,
        "text": [["" if math.isnan(v) else f"{v:.1f}" for v in row] for row in values],
        "customdata": hover, "hovertemplate": "%{customdata}<extra>%{x}</extra>", "colorbar": {"title": {"text": tr("SQNR (dB)")}},
    }  # fmt: skip
    layout = {
        "xaxis": {"title": tr("recipe"), "showgrid": False}, "height": 150 + _ROW_PX * max(len(layers), 10),
        "yaxis": {"range": [len(layers) - 0.5, -0.5], "tickvals": list(range(len(layers))), "ticktext": [short(layer.name) for layer in layers], "title": tr("layer, the most unusual first"), "showgrid": False},
    }  # fmt: skip
    return go.Figure(written(cells), layout)


def outliers(reports: list[LayerReport], titles: dict[str, str], selected: str = "") -> go.Figure:
    """Draw crest factor against SQNR: what an outlier costs under each recipe; names of layer and recipe are `customdata` of every point."""
    layers = [layer for layer in reports if layer.errors]
    traces = []
    for index, (recipe, title) in enumerate(titles.items()):
        here = [(layer, layer.errors[recipe]) for layer in layers if recipe in layer.errors]
        traces.append({
            "type": "scatter", "x": [layer.statistics.crest_factor for layer, _ in here], "y": [_finite_db(error) for _, error in here], "mode": "markers", "name": title,
            "marker": {
                "symbol": theme.symbol(index), "color": theme.series(index),
                "size": [15 if layer.name == selected else 9 for layer, _ in here], "opacity": 0.85,
            },
            "customdata": [[layer.name, recipe] for layer, _ in here], "unselected": {"marker": {"opacity": 0.85}}, "text": [_arithmetic(layer, error) for layer, error in here],
            "hovertemplate": "%{text}" + f"<extra>{title}</extra>",
        })  # fmt: skip
    crests = [layer.statistics.crest_factor for layer in layers if layer.statistics.crest_factor > 0]
    layout = {
        "xaxis": {"title": tr("crest factor amax / rms (logarithmic)"), "type": "log"} | _ticks_1_2_5(crests), "yaxis": {"title": tr("SQNR (dB)")},
        "height": 480, "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0}, "clickmode": "event+select",
    }  # fmt: skip
    return go.Figure(traces, layout)


def tiles(found: Tiles) -> go.Figure:
    """Draw the SQNR of a layer tile by tile, rows downwards as in the matrix."""
    down, across = found.side
    cells = {
        "type": "heatmap", "z": np.where(np.isfinite(found.sqnr_db), found.sqnr_db, np.nan), "x0": across / 2, "dx": across, "y0": down / 2, "dy": down, "colorscale": theme.SEQUENTIAL,
        "customdata": 100 * found.underflow, "hovertemplate": tr("row %{y:.0f}, column %{x:.0f}: %{z:.1f} dB, underflow %{customdata:.2f} %") + "<extra></extra>", "colorbar": {"title": {"text": tr("SQNR (dB)")}},
    }  # fmt: skip
    layout = {"xaxis": {"title": tr("column, inputs of the layer"), "showgrid": False}, "yaxis": {"title": tr("row, outputs of the layer"), "autorange": "reversed", "showgrid": False}, "height": 380}
    return go.Figure([cells], layout)


def short(name: str, most: int = 40) -> str:
    """A tensor's name for an axis: without ".weight", the middle left out where it is long, and nothing in it read as markup."""
    name = name.removesuffix(".weight")
    kept = name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-(most // 2) :]}"
    return html.escape(kept, quote=False)


def _finite_db(error) -> float:
    return error.sqnr_db if math.isfinite(error.sqnr_db) else math.nan


def _arithmetic(layer: LayerReport, error) -> str:
    seen = layer.statistics
    lines = [
        f"<b>{short(layer.name, 60)}</b>",
        tr("{shape}, {bits:.2f} bits per value").format(shape=" × ".join(map(str, layer.shape)), bits=error.bits_per_value),
        tr("SQNR = 20 log₁₀(rms {rms:.4g} / rms error {noise:.3g}) = {sqnr:.1f} dB").format(rms=seen.rms, noise=math.sqrt(error.mse), sqnr=error.sqnr_db),
        tr("crest factor = amax {amax:.4g} / rms {rms:.4g} = {crest:.1f}").format(amax=seen.amax, rms=seen.rms, crest=seen.crest_factor),
        tr("underflow {underflow:.3f} %, saturation {saturation:.3f} % of {count:,} numbers").format(
            underflow=100 * error.underflow, saturation=100 * error.saturation, count=error.count
        ),
    ]
    return "<br>".join(lines)


def _ticks_1_2_5(values: list[float]) -> dict:
    """Ticks 1, 2, 5, 10 … round the values, for a logarithmic axis."""
    if not values:
        return {}
    decades = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    return {"tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
