"""The page "What survives a product?": it draws, it computes what the core computes, and it follows its controls."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from test_frame import open_page

from fp8core.gemm.accumulate import accumulation_growth
from fp8core.gemm.accumulators import ACCUMULATORS, Accumulator
from fp8core.gemm.error import product_error, random_pair
from pages.ui import accumulations, products
from pages.ui.charts import matmul as charts
from pages.ui.view import View

APP = str(Path(__file__).parents[1] / "app.py")


@pytest.fixture
def page():
    at = AppTest.from_file(APP, default_timeout=60).switch_page("pages/matmul.py")
    at.session_state["frame_view"] = View(recipes=("tensor_e4m3", "int8_tensor"), inner=256)
    return at.run()


def test_it_draws_its_figures_and_tables(page):
    assert not page.exception
    assert len(page.get("plotly_chart")) == 4 and len(page.dataframe) == 2
    rows = page.dataframe[0].value
    assert list(rows["recipe"]) == ["E4M3 per tensor", "INT8 per tensor"]
    assert rows["SQNR of A (dB)"].between(25, 50).all()
    assert page.subheader[1].value == "By recipe, at K = 256"


def test_the_table_holds_what_the_core_computes(page):
    a, b = products._pair("normal", 0, 1, 3)
    wanted = product_error(a[:, :256], b[:256], "tensor_e4m3")
    assert page.dataframe[0].value["SQNR of A·B (dB)"][0] == round(wanted.sqnr_db, 2)


def test_a_pair_of_your_own_is_compared_too(page):
    page.button_group(key="pair_of_own").set_value("added").run()
    page.selectbox(key="format").set_value("hif8").run()
    page.selectbox(key="granularity").set_value("1x32").run()
    assert not page.exception
    name = page.dataframe[0].value["recipe"].tolist()[-1]
    assert name.startswith("hif8:1x") and page.dataframe[0].value["SQNR of A·B (dB)"].tolist()[-1] > 15
    assert name in page.code[0].value


def test_it_follows_its_controls(page):
    page.select_slider(key="inner").set_value(64).run()
    assert page.subheader[1].value == "By recipe, at K = 64"
    page.select_slider(key="inner").set_value(4096).run()
    page.select_slider(key="outlier").set_value(1000).run()
    assert not page.exception
    flushed = page.dataframe[0].value["A flushed to zero (%)"].tolist()
    assert flushed[0] < 1 and flushed[1] > 90  # an outlier of 1000 rms: E4M3 hardly notices, INT8 with one scale keeps nothing else


def test_a_matrix_of_a_model_with_few_columns(page):
    source = next(name for name in products.load_weights("digits").infos if name.endswith("weight") and len(products.load_weights("digits").infos[name].shape) == 2)
    page.selectbox(key="source").set_value(f"digits/{source}").run()
    assert not page.exception
    page.select_slider(key="inner").set_value(4096).run()
    assert not page.exception
    assert any("columns only" in caption.value for caption in page.caption)


@pytest.mark.parametrize("recipe", ["mxfp4", "float32"])
def test_recipes_with_and_without_errors_draw(recipe):
    view = View(source="student_t", recipes=(recipe,), inner=64)
    growth = products.growth(view)
    assert [point.k for point in growth] == [16 << n for n in range(9)]
    for figure in (charts.growth_figure(growth), charts.sqnr_figure(growth), charts.outlier_figure(products.outliers(view))):
        assert figure.data[0].name and figure.to_json()


def test_smoothing_is_measured_and_in_the_python():
    query = {"source": "outlier_channels", "recipes": "int8_tensor", "inner": "64", "smoothing": "0.5"}
    plain, smoothed = (open_page("pages/matmul.py", query | {"smoothing": alpha}) for alpha in ("none", "0.5"))
    shown = [app.dataframe[0].value.iloc[0]["SQNR of A·B (dB)"] for app in (plain, smoothed)]
    assert shown[0] != shown[1]
    assert "smoothing=0.5" in smoothed.code[0].value


def test_accumulators_are_compared_at_the_chosen_k(page):
    shown = page.dataframe[1].value
    assert list(shown["numbers"]) == ["mean 0"] * 3 + ["mean 1"] * 3
    assert list(shown["accumulator"][:3]) == ["float32, one by one", "Hopper FP8, not promoted", "Hopper FP8, promoted every 128"]
    wanted = accumulation_growth(*random_pair(32, 32, 4096, seed=0, mean=1), "tensor_e4m3", ["hopper_fp8"], [256])[0]
    assert shown["rms error (%)"][4] == 100 * wanted.relative_error and shown["mean error (%)"][4] < -0.7 * shown["rms error (%)"][4]
    assert shown["SQNR (dB)"][4] == round(wanted.sqnr_db, 2)


def test_a_unit_of_ones_own_has_its_controls():
    query = {"accumulators": "own,ada_fp8", "fraction_bits": "6", "promotion": "64", "inner": "1000", "recipes": "tensor_e4m3"}
    app = open_page("pages/matmul.py", query)
    assert not app.exception
    rows = app.dataframe[1].value
    assert list(rows["fraction bits"]) == [6, 13, 6, 13] and list(rows["promoted"][:2]) == ["every 64", "never"]
    app.select_slider(key="promotion").set_value("never").run()
    never = app.dataframe[1].value
    assert never["rms error (%)"][2] > 3 * rows["rms error (%)"][2]
    app.multiselect(key="accumulators").set_value(["float32"]).run()
    assert not app.exception and {control.key for control in app.select_slider}.isdisjoint({"fraction_bits", "promotion"})


def test_every_accumulator_draws_with_a_style_of_its_own():
    view = View(accumulators=(*ACCUMULATORS, "own"), fraction_bits=23)
    grown, quantized = accumulations.growth(view), accumulations.quantization(view)
    figure = charts.accumulation_figure({accumulations.heading(mean): (grown[mean], quantized[mean]) for mean in grown}, accumulations.units(view))
    count = len(ACCUMULATORS) + 2
    assert len(figure.data) == 2 * count and len({trace.name for trace in figure.data}) == count
    assert len({(trace.line.color, trace.line.dash) for trace in figure.data}) == count
    assert [trace.xaxis for trace in figure.data] == ["x"] * count + ["x2"] * count
    assert figure.layout.xaxis.type == figure.layout.yaxis2.type == "log" and figure.layout.yaxis.title.text
    assert all(value > 0 for trace in figure.data for value in trace.y)


def test_points_without_an_error_are_left_out_of_the_logarithmic_figure():
    exact = Accumulator("own", "wide", group=512, aligned_bits=40)
    errors = accumulation_growth(*(x.round() for x in random_pair(4, 4, 64)), "e4m3fn", [exact], [16, 64])
    assert [e.rms_error for e in errors] == [0, 0]
    assert charts.accumulation_figure({"whole numbers": (errors, ())}, {"own": exact}).data[0].x == ()
