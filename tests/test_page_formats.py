"""The page on formats: every axis draws every kind of format, a bad pattern costs nothing, figures stay small."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from fp8core.formats import FORMATS
from fp8core.grid import code_table, describe, spacing
from fp8core.reinterpret import PAIRS, reinterpret
from pages.ui.charts import formats as charts
from pages.ui.number_tables import summary_columns, uses
from pages.ui.theme import colour, colours
from pages.ui.view import View

ROOT = Path(__file__).resolve().parents[1]


def open_formats(**values) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    app.query_params.clear()
    app.query_params.update(View(**values).to_query())
    app.switch_page("pages/formats.py").run()
    assert not app.exception
    return app


def figures(app: AppTest) -> list[dict]:
    return [json.loads(element.proto.spec) for element in app.get("plotly_chart")]


def test_the_page_draws_grid_gaps_and_codes():
    app = open_formats(formats=("e4m3fn", "e5m2"))
    assert len(figures(app)) == 3 + 2 + 1
    assert [tab.label for tab in app.tabs] == ["FP8 E4M3", "FP8 E5M2"]
    assert list(app.dataframe[0].value.columns)[1:] == ["FP8 E4M3 (e4m3fn)", "FP8 E5M2 (e5m2)"]
    assert "448" in list(app.dataframe[0].value["FP8 E4M3 (e4m3fn)"])


def test_wide_formats_are_drawn_in_part_and_the_page_says_so():
    app = open_formats(formats=("bfloat16", "float32"), axis="binade")
    assert not app.tabs
    said = " ".join(caption.value for caption in app.caption)
    assert "BF16, FP32: too many numbers" in said
    assert "at most 8 bits" in said


def test_a_pattern_joins_the_comparison():
    app = open_formats(formats=("e4m3fn",), pattern="int6")
    assert "INT6 (int6)" in app.dataframe[0].value.columns
    assert app.query_params["pattern"] == "int6"
    app.text_input(key="pattern").set_value("E3M4B3FN").run()
    assert "E3M4B3FN (e3m4b3fn)" in app.dataframe[0].value.columns
    assert not app.warning


@pytest.mark.parametrize("bad", ["e9m9", "e3m9q", "int99", "<b>x</b>", "$x$ **y**"])
def test_a_bad_pattern_is_answered_and_costs_nothing(bad):
    app = open_formats(formats=("e4m3fn", "int8"))
    app.text_input(key="pattern").set_value(bad).run()
    assert not app.exception
    assert len(app.warning) == 1
    assert bad in app.warning[0].value.replace("\\", "")
    assert list(app.dataframe[0].value.columns)[1:] == ["FP8 E4M3 (e4m3fn)", "INT8 (int8)"]
    assert app.text_input(key="pattern").value == bad


def test_a_pattern_that_is_already_there_is_shown_once():
    assert len(open_formats(formats=("e4m3fn", "e5m2"), pattern="e4m3b7fn").dataframe[0].value.columns) == 3


@pytest.mark.parametrize("axis", charts.AXES)
def test_every_format_can_be_drawn_on_every_axis(axis):
    spacings = [spacing(name) for name in (*FORMATS, "e1m6", "e5m0fn", "int16")]
    for s in spacings:
        assert len(charts.grid_figure([s], axis).to_json()) < 300_000
    figure = charts.grid_figure(spacings, axis)
    assert len(figure.to_json()) < 1_500_000
    assert figure.layout.xaxis.title.text


def test_a_tick_stands_at_every_value():
    figure = charts.grid_figure([spacing("e2m1fn")], "linear")
    assert list(figure.data[0].x) == [-6, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert list(charts.grid_figure([spacing("e2m1fn")], "scaled").data[0].x)[-1] == 1.0
    assert "1 + 1/2" in charts.grid_figure([spacing("e2m1fn")], "log").data[0].customdata[2]


@pytest.mark.parametrize("relative", [False, True])
def test_gaps_of_every_format(relative):
    for name in (*FORMATS, "int16", "e5m0fn"):
        charts.spacing_figure([spacing(name), spacing("int4")], relative)
    figure = charts.spacing_figure([spacing("int4")], relative=False)
    assert set(figure.data[0].y) == {0.0}


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].bits <= 8] + ["int3", "e1m1fn"])
def test_every_code_has_a_cell(name):
    figure = charts.code_figure(code_table(name), dark=False)
    assert figure.data[0].text.size == 1 << describe(name).bits
    assert "0x" in figure.data[0].customdata[0][0]


def test_short_texts_of_cells():
    assert [charts._short(v) for v in (448.0, 2.0**-9, -(2.0**-9), 3 * 2.0**-9, 0.0, -0.0, float("nan"), 57344.0)] == [
        "448", "2<sup>-9</sup>", "-2<sup>-9</sup>", "0.00586", "0", "-0", "NaN", "57344"]  # fmt: skip


def test_every_format_has_its_row_of_numbers_and_its_source():
    summaries = [describe(name) for name in (*FORMATS, "int9")]
    columns = summary_columns(summaries)
    assert len({len(column) for column in columns.values()}) == 1
    assert len(columns) == len(summaries) + 1
    assert uses(summaries).count("Source: ") == len(FORMATS)


def test_examples_of_patterns_are_one_click_away():
    app = open_formats(formats=("e4m3fn",))
    for pattern in ("e3m4b3fn", "ue4m4", "table(-1,-0.5,0,0.5,1)"):
        app.button(key=f"pattern_{pattern}").click().run()
        assert not app.exception
        assert not app.warning
        assert app.query_params["pattern"] == pattern
        assert list(app.dataframe[0].value.columns)[2].endswith(f"({pattern})")


def test_a_table_of_sixteen_values_fits():
    pattern = f"table({','.join(repr(value) for value in FORMATS['nf4'].table)})"
    app = open_formats(formats=("nf4",), pattern=pattern)
    assert not app.warning
    assert len(app.dataframe[0].value.columns) == 3


@pytest.mark.parametrize(("byte", "pair", "said"), [(0x40, "e4m3", "is **half**"), (0x80, "e4m3", "**NaN** in"), (0x7F, "e4m3", "an ordinary **number**"), (0x7C, "e5m2", "an ordinary **number**")])
def test_one_byte_has_two_readings(byte, pair, said):
    app = open_formats(formats=("e4m3fn",), byte=byte, pair=pair)
    texts = [text.value for text in app.markdown]
    assert any(said in text for text in texts)
    for name in PAIRS[pair]:
        assert any(FORMATS[name].title in text and f"`{FORMATS[name].bit_string(byte)}`" in text for text in texts)
    counts = app.dataframe[1].value["bytes"]
    assert counts.sum() == 256
    assert counts[0] == reinterpret(*PAIRS[pair]).count("half")


def test_a_byte_is_one_click_away():
    app = open_formats(formats=("e4m3fn",))
    app.button(key="byte_80").click().run()
    assert app.query_params["byte"] == "128"
    assert any("**NaN** in" in text.value for text in app.markdown)


def test_a_linear_axis_draws_nothing_that_a_browser_cannot_place():
    figure = charts.grid_figure([spacing("nf4"), spacing("e8m0fnu")], "linear")
    assert max(abs(x) for trace in figure.data for x in trace.x) <= 2.0**20
    assert "left out" in figure.layout.xaxis.title.text
    assert "whole" in charts.grid_figure([spacing("e4m3fn"), spacing("e5m2")], "linear").layout.xaxis.title.text


def test_formats_in_one_figure_have_different_colours():
    names = ["hif8", "nf4", "binary8p4", "e3m2_nosub", "e4m3fn", "float32", "binary8p3"]
    assert len(set(colours(names).values())) == len(names)
    assert colours(["e4m3fn"]) == {"e4m3fn": colour("e4m3fn")}
