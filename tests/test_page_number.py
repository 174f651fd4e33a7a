"""The page on one number: clicking bits, hostile texts, every special number in every format."""

import itertools
import json
import math
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from test_frame import open_page

from fp8core.codec import OVERFLOWS, ROUNDINGS
from fp8core.formats import FAMILIES, FORMATS
from fp8core.grid import describe_code
from fp8core.number import across, explain, parse_number
from pages.ui.charts import number as charts
from pages.ui.number_tables import formula, kind_word, number_columns, percent, sharers, value_text
from pages.ui.view import View

ROOT = Path(__file__).resolve().parents[1]
SPECIAL = ("0.1", "-0.1", "nan", "inf", "-inf", "-0", "0", "1e300", "-1e300", "5e-324", "2^-9", "2^-140", "1", "448", "464", "1/3")


def open_number(**values) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    app.query_params.clear()
    app.query_params.update(View(**values).to_query())
    app.switch_page("pages/number.py").run()
    assert not app.exception
    return app


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def test_a_tenth():
    app = open_number(number="0.1", format="e4m3fn")
    assert metrics(app) == {"Value": "0.1015625", "Error": "0.001562", "Relative error": "1.56 %", "Error in ulp": "0.2", "Kind": "normal"}
    assert [button.label for button in app.button if button.key.startswith("bit_")] == list("00011101")
    assert any("(1 + 5/8) = 0.1015625" in markdown.value for markdown in app.markdown)
    assert len(app.dataframe[0].value) == len(FORMATS) - len(FAMILIES["IEEE P3109"])
    assert len(json.loads(app.get("plotly_chart")[0].proto.spec)["data"]) == 6  # both ends, three values, the number


def test_a_click_on_a_bit_changes_the_number_and_the_link():
    app = open_number(number="0.1", format="e4m3fn")
    app.button(key="bit_7").click().run()
    assert not app.exception
    assert metrics(app)["Value"] == "-0.1015625"
    assert app.query_params["number"] == "-0.1015625"
    assert app.text_input(key="number").value == "-0.1015625"
    app.button(key="bit_7").click().run()
    app.button(key="bit_0").click().run()
    assert metrics(app)["Value"] == "0.09375"


def test_clicks_reach_the_codes_that_no_number_has():
    app = open_number(number="57344", format="e5m2")
    app.button(key="bit_2").click().run()
    app.button(key="bit_1").click().run()
    app.button(key="bit_0").click().run()
    assert app.query_params["number"] == "0x7C"
    assert metrics(app)["Kind"] == "infinity"
    app.button(key="bit_0").click().run()
    assert metrics(app)["Kind"] == "NaN"
    app.button(key="bit_7").click().run()
    assert app.query_params["number"] == "0xFD"


@pytest.mark.parametrize("name", ["float32", "tfloat32", "int4", "e8m0fnu", "mxint8"])
def test_every_width_has_its_bits(name):
    app = open_number(number="0.7", format=name)
    assert len([button for button in app.button if button.key.startswith("bit_")]) == FORMATS[name].bits
    before = explain("0.7", name).code.code
    app.button(key="bit_1").click().run()
    assert not app.exception
    assert explain(app.query_params["number"], name).code.code == before ^ 2


@pytest.mark.parametrize("text", ["", "abc", "0,1", "1e999", "<script>alert(1)</script>", "**0.1**", "1/0"])
def test_a_text_that_is_no_number_keeps_the_last_one(text):
    app = open_number(number="0.1")
    app.text_input(key="number").set_value(text).run()
    assert not app.exception
    assert metrics(app)["Value"] == "0.1015625"
    assert app.query_params["number"] == "0.1"


def test_a_code_of_a_wider_format_is_answered_in_words():
    app = open_number(number="0xFFF", format="e4m3fn")
    assert "does not exist in e4m3fn" in app.warning[0].value.replace("\\", "")
    app.text_input(key="number").set_value("1").run()
    assert not app.warning
    assert metrics(app)["Value"] == "1"


@pytest.mark.parametrize("text", ["nan", "-inf", "1e300", "-0"])
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_special_numbers_have_a_page(text, overflow):
    assert len(open_number(number=text, overflow=overflow).metric) == 5


@pytest.mark.parametrize("name", ["float32", "float16", "e5m2", "e4m3fn", "e4m3fnuz", "e8m0fnu", "e2m1fn", "int8", "mxint8"])
def test_special_numbers_have_pictures_and_words_in_every_format(name):
    for text, overflow in zip((*SPECIAL, f"{FORMATS[name].max_code:#x}"), itertools.cycle(("ieee", "saturate")), strict=False):
        report = explain(text, name, overflow=overflow)
        assert "None" not in sharers(report, "half_even")
        assert kind_word(report.code.kind)
        assert formula(report.code.arithmetic)
        if math.isfinite(report.value):
            figure = charts.number_line(report)
            assert all(math.isfinite(x) for trace in figure.data for x in trace.x)
            assert all(math.isfinite(note.x) for note in figure.layout.annotations)


@pytest.mark.parametrize("text", SPECIAL)
@pytest.mark.parametrize("rounding", ["half_even", "stochastic"])
def test_errors_in_every_format(text, rounding):
    assert rounding in ROUNDINGS
    reports = across(parse_number(text), rounding=rounding)
    figure = charts.errors_figure(reports)
    assert len(figure.layout.annotations) == len(FORMATS)
    low, high = figure.layout.xaxis.range
    assert math.isfinite(low)
    assert low < high
    columns = number_columns(reports)
    assert {len(column) for column in columns.values()} == {len(FORMATS)}


def test_the_number_line_shows_which_ends_belong():
    figure = charts.number_line(explain("1", "e4m3fn"))
    assert [trace.marker.symbol for trace in figure.data] == ["circle", "circle", *["line-ns"] * 3, "triangle-down"]
    assert list(figure.data[0].x) == [-0.25]
    figure = charts.number_line(explain("0.1", "e4m3fn"))
    assert [trace.marker.symbol for trace in figure.data][:2] == ["circle-open", "circle-open"]
    assert charts.number_line(explain("1000", "e4m3fn")).data[-1].marker.symbol == "triangle-right"
    assert charts.number_line(explain("-1000", "e4m3fn")).data[-1].marker.symbol == "triangle-left"


def test_words_and_formulas():
    assert formula(describe_code(0x5E, "e4m3fn").arithmetic) == r"$(-1)^{0} \cdot 2^{11 - 7} \cdot (1 + 6/8) = 28$"
    assert formula("+∞") == r"$+\infty$"
    assert value_text(explain("0.1", "float32").value) == "0.100000001"
    assert percent(math.nan) == "–"
    assert [percent(share) for share in (1.0, 0.9999, 0.4123, 1 / 3e4, 1e-9, 0.0, 18.53)] == ["100 %", "> 99.9 %", "41.2 %", "0.00333 %", "< 0.001 %", "0 %", "1853 %"]
    assert "(464, +∞]" in sharers(explain("0x7F", "e4m3fn", overflow="ieee"), "half_even")
    assert "no number is rounded" in sharers(explain("0x7C", "e5m2"), "half_even")


def test_families_say_which_formats_are_compared_and_the_chosen_one_always_is():
    app = open_number(number="0.3", format="nf4", families=("integers", "IEEE P3109"))
    rows = list(app.dataframe[0].value["format"])
    assert set(rows) == {fmt.title for family in ("integers", "IEEE P3109") for fmt in FAMILIES[family]} | {FORMATS["nf4"].title}
    assert "FP8 E4M3" not in rows


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_page(family):
    app = open_number(number="-1/3", format=FAMILIES[family][-1].name, families=(family,))
    assert list(app.dataframe[0].value["format"]) == [fmt.title for fmt in FAMILIES[family]]


def test_labels_of_code_books_are_short():
    figure = charts.number_line(explain("0.3", "nf4"))
    assert all("·" not in note.text for note in figure.layout.annotations)
    assert charts._label(2.0**-40) == "2<sup>-40</sup>"


def test_an_emptied_number_and_what_a_link_cannot_set():
    app = open_page("pages/number.py", {"number": "0.1", "plan": "nonsense"})
    assert app.warning[0].value.replace("\\", "").endswith("; it is ignored.")
    app.text_input(key="number").set_value("").run()
    assert any("Number is empty; 0.1 is shown instead." in caption.value.replace("\\", "") for caption in app.caption)


def test_a_format_of_ones_own():
    app = open_page("pages/number.py", {"number": "0.1", "format": "own", "pattern": "table(-1,-0.25,0,0.125,1)", "preset": "mxfp4"})
    assert next(m.value for m in app.metric if m.label == "Value") == "0.125"
    app = open_page("pages/number.py", {"number": "0.1", "format": "own", "pattern": "e4"})
    assert any("is shown instead" in warning.value and "is not a format" in warning.value for warning in app.warning)
