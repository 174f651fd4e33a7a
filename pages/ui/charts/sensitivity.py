"""What quantized layers do to products and to a whole model -> figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from fp8core.sensitivity import Growth, ProductReport, Sensitivity
from pages.ui import theme
from pages.ui.charts import parts
from pages.ui.charts.cells import written
from pages.ui.charts.layers import short
from pages.ui.language import tr

_ROW_PX = 19


def products_map(reports: Sequence[ProductReport], titles: dict[str, str]) -> go.Figure:
    """Draw the SQNR of every layer's product as colours, layers by recipes, in the order of the run; hover tells what weights and inputs have to do with it."""
    layers = list(dict.fromkeys(each.layer for each in reports))
    found = {(each.layer, each.recipe): each for each in reports}
    values = [[_finite(found[layer, recipe].product_sqnr_db) for recipe in titles] for layer in layers]
    hover = [[_told(found[layer, recipe]) for recipe in titles] for layer in layers]
    cells = {
        "z": values, "x": list(titles.values()), "y": list(range(len(layers))), "colorscale": theme.SEQUENTIAL, "xgap": 2, "ygap": 1,
        "text": [["" if math.isnan(value) else f"{value:.1f}" for value in row] for row in values],
        "customdata": hover, "hovertemplate": "%{customdata}<extra>%{x}</extra>", "colorbar": {"title": {"text": tr("SQNR (dB)")}},
    }  # fmt: skip
    return go.Figure(written(cells), _rows_layout(layers) | {"xaxis": {"title": tr("recipe"), "showgrid": False}})


def alone_bars(found: Sequence[Sensitivity], whole_db: float) -> go.Figure:
    """Draw what each layer does: the model with it alone quantized, and with all but it, as SQNR of the model's output; layers in the order of the run.

    Args:
        whole_db: SQNR of the output with all layers quantized.
    """
    rows, names = list(range(len(found))), [short(each.layer) for each in found]
    alone = {
        "type": "scatter", "mode": "markers", "name": tr("only this layer quantized"), "x": [_finite(each.alone.output_sqnr_db) for each in found], "y": rows,
        "marker": {"size": 9, "color": theme.series(0)}, "text": names, "hovertemplate": tr("%{text}: %{x:.1f} dB with only this layer quantized") + "<extra></extra>",
    }  # fmt: skip
    others = {
        "type": "scatter", "mode": "markers", "name": tr("all but this layer"), "x": [_finite(each.all_but.output_sqnr_db) for each in found], "y": rows,
        "marker": {"size": 9, "symbol": "diamond", "color": theme.series(1)}, "text": names, "xaxis": "x2",
        "hovertemplate": tr("%{text}: %{x:.2f} dB with all layers but this one quantized") + "<extra></extra>",
    }  # fmt: skip
    layout = parts.panels(
        {"xaxis": {"title": tr("model output with only this layer (dB)")}, "xaxis2": {"title": tr("with all but this layer (dB)"), "nticks": 6}, "yaxis": _rows_axis(names), "yaxis2": {"range": [len(rows) - 0.5, -0.5], "showticklabels": False}},
        rows=1, cols=2, shared_yaxes=True, column_widths=(0.62, 0.38), horizontal_spacing=0.03,
    )  # fmt: skip
    shapes = [parts.vertical(whole_db, 2, line={"color": theme.NEUTRAL, "dash": "dot", "width": 1})] if math.isfinite(whole_db) else []
    return go.Figure([alone, others | parts.inside(2)], layout | {"height": _height(rows), "shapes": shapes, "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0}})


def growth_lines(found: Sequence[Growth]) -> go.Figure:
    """Draw each layer's own error and what has come together by then, in the order of the run."""
    places, names = list(range(1, len(found) + 1)), [short(each.layer) for each in found]
    traces = [
        {
            "type": "scatter", "mode": "lines+markers", "name": name, "x": places, "y": [_finite(value) for value in values], "text": names, "marker": {"size": 6, "symbol": theme.symbol(index)},
            "line": {"color": theme.series(index), "dash": theme.dash(index)}, "hovertemplate": "%{text}: %{y:.1f} dB" + f"<extra>{name}</extra>",
        }
        for index, (name, values) in enumerate(((tr("this layer's own"), [each.local_sqnr_db for each in found]), (tr("come together so far"), [each.cumulative_sqnr_db for each in found])))
    ]  # fmt: skip
    return go.Figure(traces, {"xaxis": {"title": tr("layer, in the order of the run")}, "yaxis": {"title": tr("SQNR of the layer's output (dB)")}, "height": 400, "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0}})


def _told(report: ProductReport) -> str:
    lines = [
        f"<b>{short(report.layer, 60)}</b>",
        tr("product x · wᵀ, both quantized: {sqnr} dB").format(sqnr=_figure(report.product_sqnr_db)),
        tr("with only the weights quantized: {sqnr} dB").format(sqnr=_figure(report.by_weights_db)),
        tr("with only the inputs quantized: {sqnr} dB").format(sqnr=_figure(report.by_inputs_db)),
        tr("weights {weights} dB, inputs {inputs} dB").format(weights=_figure(report.weight_sqnr_db), inputs=_figure(report.input_sqnr_db)),
    ]
    return "<br>".join(lines)


def _rows_layout(layers: Sequence[str]) -> dict:
    return {"height": _height(layers), "yaxis": _rows_axis([short(layer) for layer in layers])}


def _rows_axis(names: Sequence[str]) -> dict:
    return {"range": [len(names) - 0.5, -0.5], "tickvals": list(range(len(names))), "ticktext": list(names), "title": tr("layer, in the order of the run"), "showgrid": False}


def _height(rows: Sequence) -> int:
    return 150 + _ROW_PX * max(len(rows), 10)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan


def _figure(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.1f}"
