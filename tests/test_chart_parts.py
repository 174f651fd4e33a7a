"""Parts of figures, beside what Plotly's own calls make of the same."""

import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from pages.ui.charts import parts

RED = {"color": "red", "width": 2}


def panelled() -> go.Figure:
    """Three panels side by side with a trace in each; Plotly leaves lines out of empty ones."""
    return make_subplots(rows=1, cols=3).add_traces([go.Scatter(x=[1], y=[1])] * 3, rows=[1, 1, 1], cols=[1, 2, 3])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda panel: parts.vertical(2.0, panel, line=RED, layer="below"), lambda figure: figure.add_vline(x=2.0, line=RED, layer="below")),
        (lambda panel: parts.horizontal(2.0, panel, line=RED, opacity=0.7), lambda figure: figure.add_hline(y=2.0, line=RED, opacity=0.7)),
        (lambda panel: parts.upright_band(2.0, 3.0, panel, fillcolor="red"), lambda figure: figure.add_vrect(x0=2.0, x1=3.0, fillcolor="red", line_width=0)),
        (lambda panel: parts.level_band(2.0, 3.0, panel, fillcolor="red"), lambda figure: figure.add_hrect(y0=2.0, y1=3.0, fillcolor="red", line_width=0)),
    ],
)
def test_lines_and_bands_are_those_of_plotly_in_every_panel(ours, theirs):
    assert go.Figure(layout={"shapes": [ours(panel) for panel in (1, 2, 3)]}).layout.shapes == theirs(panelled()).layout.shapes


def test_words_are_an_annotation_without_an_arrow():
    assert go.Figure(layout={"annotations": [parts.words("here", 1, 2, font={"size": 13})]}) == go.Figure().add_annotation(text="here", x=1, y=2, showarrow=False, font={"size": 13})


@pytest.mark.parametrize("arrangement", [{"rows": 2, "cols": 1, "shared_xaxes": True, "row_heights": (0.7, 0.3)}, {"rows": 1, "cols": 3, "shared_yaxes": True, "subplot_titles": ("a", "b", "c")}])
def test_panels_are_where_plotly_puts_them(arrangement):
    theirs = make_subplots(**arrangement)
    theirs.update_xaxes(title="x", row=1, col=1)
    assert go.Figure(layout=parts.panels({"xaxis": {"title": "x"}}, **arrangement)).layout == theirs.layout


def test_what_is_said_of_one_figure_does_not_stay_for_the_next():
    parts.panels({"xaxis": {"title": "x"}}, rows=1, cols=2)["yaxis"]["title"] = "y"
    fresh = parts.panels({}, rows=1, cols=2)
    assert "title" not in fresh["xaxis"] and "title" not in fresh["yaxis"]


def test_a_trace_is_put_into_the_panel_that_plotly_would_choose():
    theirs = make_subplots(rows=1, cols=2).add_scatter(x=[1], y=[1], row=1, col=2)
    assert go.Figure([{"type": "scatter", "x": [1], "y": [1]} | parts.inside(2)]).data == theirs.data
