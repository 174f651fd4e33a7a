"""Figures that only the lessons need: bars for a few recipes, what an outlier does to the numbers beside it, and values on axes that half a page has room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from fp8core.grid import Spacing
from pages.ui import theme
from pages.ui.charts import parts
from pages.ui.charts.formats import grid_figure
from pages.ui.charts.matmul import lines_of
from pages.ui.language import tr
from pages.ui.view import recipe_title


def bars(groups: Sequence[str], series: Mapping[str, Sequence[float]], colours: Mapping[str, str], title: str) -> go.Figure:
    """Draw one bar for each group and each of the series, its SQNR written on it.

    Args:
        groups: named below the axis.
        series: values by name, one for each group.
        colours: by name of the series.
        title: of the axis of groups.
    """
    traces = [
        {
            "type": "bar", "x": list(groups), "y": list(values), "name": name, "marker": {"color": colours[name]}, "text": [f"{value:.1f}" for value in values], "textposition": "outside", "cliponaxis": False,
            "hovertemplate": "%{x}<br>SQNR %{y:.2f} dB" + f"<extra>{name}</extra>",
        }
        for name, values in series.items()
    ]  # fmt: skip
    layout = {
        "barmode": "group", "bargap": 0.25, "showlegend": len(series) > 1, "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}, "height": 380,
        "xaxis": {"title": title, "type": "category", "showgrid": False}, "yaxis": {"title": tr("SQNR (dB)"), "range": [0, 1.12 * max(max(values) for values in series.values())]},
    }  # fmt: skip
    return go.Figure(traces, layout)


def ranking(rows: Mapping[str, float], colours: Mapping[str, str], notes: Mapping[str, str]) -> go.Figure:
    """Draw one lying bar for each row in its order, from the top, with its SQNR and a note at its end."""
    names = list(rows)
    trace = {
        "type": "bar", "orientation": "h", "y": names, "x": [rows[name] for name in names], "marker": {"color": [colours[name] for name in names]},
        "text": [f"{rows[name]:.1f} dB{notes[name] and ' · ' + notes[name]}" for name in names], "textposition": "outside", "cliponaxis": False, "textfont": {"size": 14}, "hovertemplate": "%{y}<br>SQNR %{x:.2f} dB<extra></extra>",
    }  # fmt: skip
    layout = {"height": 130 + 44 * len(names), "showlegend": False, "bargap": 0.25, "xaxis": {"title": tr("SQNR (dB)"), "range": [0, 1.8 * max(rows.values())]}, "yaxis": {"autorange": "reversed", "type": "category", "showgrid": False}}
    return go.Figure([trace], layout)


def beside_an_outlier(factors: Sequence[float], ordinary: Mapping[str, Sequence[tuple[float, float]]]) -> go.Figure:
    """Draw the SQNR of the ordinary numbers of a tensor over the size of its outliers.

    Args:
        factors: outliers in multiples of the rms.
        ordinary: for each recipe, SQNR and share flushed to zero at each factor.
    """
    hover = tr("outliers of %{x:g} × rms<br>the other numbers: SQNR %{y:.1f} dB<br>%{customdata:.2f} % of them became zero")
    traces = [
        {
            "type": "scatter", "mode": "lines+markers", "name": recipe_title(recipe), "x": list(factors), "y": [db for db, _ in ordinary[recipe]], "customdata": [100 * share for _, share in ordinary[recipe]],
            "hovertemplate": f"{hover}<extra>{recipe_title(recipe)}</extra>",
        } | style
        for recipe, style in lines_of(list(ordinary)).items()
    ]  # fmt: skip
    layout = {
        "xaxis": {"type": "log", "title": tr("size of the outliers (× rms)"), "exponentformat": "power", "dtick": 1}, "yaxis": {"title": tr("SQNR of all other numbers (dB)")},
        "height": 430, "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
    }  # fmt: skip
    return go.Figure(traces, layout)


def as_shares(spacings: list[Spacing]) -> go.Figure:
    """Draw all values as shares of the largest of their format."""
    return grid_figure(spacings, "scaled").update_xaxes(title=tr("value / largest value"))


def on_one_range(spacings: list[Spacing], end: float) -> go.Figure:
    """Draw all values, those of the other formats stretched to the range of the first; a band lies from -end to end."""
    top = float(spacings[0].values[-1])
    figure = grid_figure(spacings, "scaled")
    for trace in figure.data:
        trace.x = trace.x * top
    figure.update_xaxes(title=tr("value; other formats stretched to the same range"), range=[-1.04 * top, 1.04 * top], tickvals=[-top, -top / 2, 0, top / 2, top])
    label = parts.words(tr("−{end:g} to {end:g}").format(end=end), 0, 1, yref="paper", yanchor="bottom")
    return figure.update_layout(shapes=[parts.upright_band(-end, end, fillcolor=theme.ACCENT, layer="below")], annotations=[label], margin={"t": 30})


def by_doubling(spacings: list[Spacing]) -> go.Figure:
    """Draw all positive values on a logarithmic axis, every second tick left out."""
    figure = grid_figure(spacings, "log")
    axis = figure.layout.xaxis
    return figure.update_xaxes(tickvals=axis.tickvals[::2], ticktext=axis.ticktext[::2], tickangle=0, title=tr("value (positive half)"))
