"""The page of layers: what it shows, what it does with uploads, good and bad. Clicks on charts and rows are for a browser."""

import io
import json
import pickle

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from test_frame import open_page as open_any

from fp8core.layers import analyze, analyze_tensors
from fp8core.models import activations, load_weights
from fp8core.recipes import RECIPES
from pages.ui import layer_reports, layer_sources
from pages.ui.charts import layers as charts
from pages.ui.upload import as_text

TWO = {"model": "digits", "recipes": "int8_tensor,mxfp4"}


def open_page(**query) -> AppTest:
    return open_any("pages/layers.py", query)


def upload(app: AppTest, name: str, data: bytes) -> AppTest:
    app.file_uploader[0].set_value((name, data, "application/octet-stream")).run()
    assert not app.exception
    return app


def npy(array, **save) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **save)
    return buffer.getvalue()


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def safetensors(shape, data: bytes, nbytes=None) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, len(data) if nbytes is None else nbytes]}}).encode()
    return len(header).to_bytes(8, "little") + header + data


def headings(app: AppTest) -> list[str]:
    return [each.value for each in app.subheader]


@pytest.fixture(scope="module")
def reports():
    return list(analyze(load_weights("digits"), ["int8_tensor", "mxfp4"]))


def test_the_page_shows_the_numbers_of_the_core(reports):
    app = open_page(**TWO)
    summary, layers, kept = (table.value for table in app.dataframe)
    assert list(summary["recipe"]) == ["INT8 per tensor", "MXFP4"]
    by_name = {layer.name: layer for layer in reports}
    assert set(layers["layer"]) == {name for name, layer in by_name.items() if layer.errors}
    for _, row in layers.iterrows():
        assert row["MXFP4: dB"] == pytest.approx(by_name[row["layer"]].errors["mxfp4"].sqnr_db, rel=1e-12)  # sums may be taken in another order while the loops are not ready
        assert row["INT8 per tensor: underflow (%)"] == 100 * by_name[row["layer"]].errors["int8_tensor"].underflow
    assert len(kept) == sum(1 for layer in reports if layer.reason)
    assert all("stays in high precision" in why for why in kept["why"])


@pytest.mark.parametrize("chart", ["dots", "colours", "outliers"])
def test_every_picture_draws_and_names_its_axes(chart):
    app = open_page(**TWO, layers_chart=chart)
    layout = json.loads(app.get("plotly_chart")[0].proto.spec)["layout"]
    assert "text" in layout["xaxis"]["title"]
    assert "text" in layout["yaxis"]["title"]


def test_a_link_opens_its_layer_and_an_unknown_one_opens_the_most_unusual(reports):
    assert headings(open_page(**TWO, layer="hidden.0.weight"))[0] == r"hidden\.0\.weight: 128 × 64"
    first = charts.by_difference(reports)[0].name
    assert headings(open_page(**TWO, layer="<script>"))[0].startswith(as_text(first))


def test_activations_are_shown_where_there_are_inputs():
    app = open_page(**TWO, part="activations")
    assert set(app.dataframe[1].value["kind"]) == {"activation"}
    assert list(app.dataframe[1].value["layer"]) == [layer.name for layer in charts.by_difference(list(analyze_tensors(activations("digits"), ["int8_tensor", "mxfp4"])))]
    app = open_page(model="silero_vad", recipes="mxfp4", part="activations")
    assert "comes without inputs" in app.info[0].value
    assert set(app.dataframe[1].value["kind"]) == {"convolution", "matrix"}


def test_an_upload_replaces_the_model_outlives_a_change_of_page_and_is_forgotten():
    rng = np.random.default_rng(0)
    app = upload(open_page(**TWO), "mine.npz", npz(**{"a.weight": rng.standard_normal((8, 64)), "b*.weight": rng.standard_t(2, (8, 64)), "words": np.array(["x"])}))
    assert set(app.dataframe[1].value["layer"]) == {"a.weight", "b*.weight"}
    assert "text" in app.dataframe[2].value["why"][0]
    app.switch_page("pages/formats.py").run()
    app.switch_page("pages/layers.py").run()
    assert set(app.dataframe[1].value["layer"]) == {"a.weight", "b*.weight"}
    app.button(key="upload_forget").click().run()
    assert "output.weight" in set(app.dataframe[1].value["layer"])
    assert not app.info


def test_an_upload_without_a_matrix_says_so():
    app = upload(open_page(**TWO), "v.npy", npy(np.ones(5, np.float32)))
    assert "No tensor here is quantized" in app.info[1].value
    assert "a vector of 5" in app.dataframe[0].value["why"][0]
    app = upload(app, "odd.npz", npz(nothing=np.zeros((0, 3)), zeros=np.zeros((4, 4), np.float32), nan=np.full((4, 40), np.nan, np.float32)))
    assert set(app.dataframe[1].value["layer"]) == {"zeros", "nan"}


BAD = {
    "pickle.npy": (pickle.dumps({"weight": [1.0]}), "pickle"),
    "short.safetensors": (safetensors([1000], bytes(4000))[:-1], "w"),
    "objects.npy": (npy(np.array([{}, None], dtype=object), allow_pickle=True), "Python objects"),
    "huge.safetensors": ((10 * 10**9).to_bytes(8, "little") + b"{}", r"10,000,000,000 bytes"),
    "huge_tensor.safetensors": (safetensors([2_500_000_000], b"", 10 * 10**9), "this file holds"),
    "huge.npy": (npy(np.zeros((2, 2), np.float32)).replace(b"(2, 2), }" + b" " * 14, b"(2500000000, 1), }" + b" " * 5), "10,000,000,000"),
    "*_[x](http://evil).npy": (b"", "evil"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_upload_gets_its_sentence_and_the_page_lives_on(name):
    data, words = BAD[name]
    app = upload(open_page(**TWO), name, data)
    (error,) = app.error
    assert as_text(words) in error.value
    assert "](http" not in error.value
    assert "output.weight" in set(app.dataframe[1].value["layer"])
    app = upload(app, "fine.npy", npy(np.eye(4, dtype=np.float32)))
    assert not app.error
    assert list(app.dataframe[1].value["layer"]) == ["fine"]


def test_a_file_that_is_damaged_inside_is_found_when_it_is_read():
    good = npz(w=np.random.default_rng(0).standard_normal((40, 40)))
    middle = len(good) // 2
    app = upload(open_page(**TWO), "damaged.npz", good[:middle] + bytes([good[middle] ^ 255]) + good[middle + 1 :])
    assert "cannot be read to its end" in app.error[0].value
    assert app.button(key="upload_forget").click().run().dataframe


def test_layers_are_sorted_by_what_differs():
    layers = list(analyze(load_weights("silero_vad"), ["tensor_e4m3", "int8_tensor"]))
    ranked = charts.by_difference(layers)
    assert all(layer.errors for layer in ranked)
    usual = {recipe: np.median([layer.errors[recipe].sqnr_db for layer in ranked]) for recipe in ranked[0].errors}
    distance = [max(abs(error.sqnr_db - usual[recipe]) for recipe, error in layer.errors.items()) for layer in ranked]
    assert distance == sorted(distance, reverse=True)


def test_figures_hold_every_layer_once_per_recipe_and_no_markup_of_names(reports):
    titles = {recipe: RECIPES[recipe].title for recipe in ("int8_tensor", "mxfp4")}
    figure = charts.dots(reports, titles, "output.weight")
    assert len(figure.data) == 3 * len(titles)
    assert {tuple(point) for trace in figure.data for point in trace.customdata} == {(layer.name, recipe) for layer in reports if layer.errors for recipe in titles}
    assert charts.short("a<b>&.weight") == "a&lt;b&gt;&amp;"
    assert len(charts.short("x" * 300)) <= 41
    for draw in (charts.dots, charts.heat_map, charts.outliers):
        draw([], titles)


def test_reports_are_kept_per_tensor_and_recipe(monkeypatch):
    source = layer_sources.Source("test/kept", load_weights("digits"))
    asked = []
    report = layer_sources.report
    monkeypatch.setattr(layer_sources, "report", lambda checkpoint, name, recipes, **limits: asked.extend(recipes) or report(checkpoint, name, recipes, **limits))
    found = layer_reports.reports(source, ("mxfp4",))
    assert asked == ["mxfp4"] * len(found)
    asked.clear()
    layer_reports.reports(source, ("mxfp4", "int8_row"))
    assert set(asked) == {"int8_row"}
    asked.clear()
    assert [set(layer.errors) for layer in layer_reports.reports(source, ("mxfp4",))] == [set(layer.errors) for layer in found]
    assert not asked
