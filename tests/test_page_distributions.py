"""The pages of one tensor, distributions and scaling, as a visitor uses them."""

import io
import json
import pickle

import numpy as np
import pytest
from test_frame import open_page

import fp8core as fp8
from fp8core.samples import make_sample

PATHS = ["pages/distributions.py", "pages/scaling.py"]


def metric(app, label):
    return next(m.value for m in app.metric if m.label == label)


@pytest.mark.parametrize("path", PATHS)
def test_the_numbers_shown_are_those_of_fp8core(path):
    app = open_page(path, {"source": "student_t", "size": "65536", "seed": "3", "outlier": "300", "tail": "2", "format": "e4m3fn", "granularity": "1x32", "rule": "rceil", "scale_format": "e8m0fnu"})
    x = make_sample("student_t", (256, 256), seed=3, outlier=300, tail=2)
    report = fp8.measure(x, fp8.quantize(x, "e4m3fn:1x32:rceil:e8m0fnu"))
    assert metric(app, "SQNR") == f"{report.sqnr_db:.2f} dB"
    assert metric(app, "Bits per number") == "8.25"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fmt", ["float32", "tfloat32", "e8m0fnu", "int4", "e2m1fn"])
def test_every_kind_of_format_can_be_drawn(path, fmt):
    for granularity, scale_format in (("none", "float32"), ("1x16", "e4m3fn_float32")):
        app = open_page(path, {"source": "relu", "size": "65536", "format": fmt, "granularity": granularity, "scale_format": scale_format})
        assert len(app.get("plotly_chart")) >= 3


@pytest.mark.parametrize("path", PATHS)
def test_a_rotation_is_measured(path):
    query = {"source": "outlier_channels", "size": "65536", "format": "e2m1fn", "granularity": "1x16", "rotation": "te_rht"}
    app = open_page(path, query)
    x = make_sample("outlier_channels", (256, 256))
    recipe = fp8.make_recipe("e2m1fn", fp8.ScaleSpec((1, 16)), rotation="te_rht")
    assert metric(app, "SQNR") == f"{fp8.measure(x, fp8.quantize(x, recipe)).sqnr_db:.2f} dB"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("recipe", ["te_nvfp4_rht_sr", "deepspeed_fp8", "nf4_64", "ue8m0_element", "torchao_per_row", "gaudi2_maxabs_hw", "hif8_cast"])
def test_every_recipe_of_a_library_can_be_looked_at(path, recipe):
    app = open_page(path, {"source": "relu", "size": "65536", "preset": recipe, "format": "int8", "granularity": "row"})
    x = make_sample("relu", (256, 256))
    report = fp8.measure(x, fp8.quantize(x, recipe, seed=0))
    assert metric(app, "SQNR") == f"{report.sqnr_db:.2f} dB"
    assert any("sets format, scaling and rounding" in caption.value for caption in app.caption)


@pytest.mark.parametrize("path", PATHS)
def test_a_format_of_ones_own_is_measured(path):
    app = open_page(path, {"source": "normal", "size": "65536", "format": "own", "pattern": "table(-1,-0.3,0,0.2,1)", "granularity": "1x32"})
    x = make_sample("normal", (256, 256))
    assert metric(app, "SQNR") == f"{fp8.measure(x, fp8.quantize(x, 'table(-1,-0.3,0,0.2,1):1x32')).sqnr_db:.2f} dB"
    app = open_page(path, {"source": "normal", "size": "65536", "format": "own", "pattern": "e99m99"})
    assert any("FP8 E4M3 is shown instead" in warning.value and "e99m99" in warning.value for warning in app.warning)


@pytest.mark.parametrize("path", [*PATHS, "pages/number.py"])
def test_the_pattern_is_asked_for_where_it_is_used(path):
    app = open_page(path, {"source": "normal", "size": "65536", "pattern": "e3m4"})
    assert "pattern" not in [each.key for each in app.text_input] and app.query_params["pattern"] == "e3m4"
    app.selectbox(key="format").set_value("own").run()
    assert app.text_input(key="pattern").value == "e3m4" and not app.info
    app.text_input(key="pattern").set_value("").run()
    assert any("such as e3m4b3fn; FP8 E4M3 is shown until then" in info.value for info in app.info) and not app.warning


@pytest.mark.parametrize("topic", ["rules", "calibration", "delayed", "nvfp4", "directions"])
@pytest.mark.parametrize("state", [{"preset": "te_nvfp4_rht"}, {"preset": "float32"}, {"format": "own", "pattern": "ue4m4"}, {"format": "own"}], ids=str)
def test_every_topic_takes_them(topic, state):
    open_page("pages/scaling.py", {"size": "65536", "topic": topic} | state)


def test_directions_leave_the_rotation_out_and_say_so():
    app = open_page("pages/scaling.py", {"size": "65536", "granularity": "1x32", "rotation": "hadamard16", "topic": "directions"})
    assert any("compared without it" in info.value for info in app.info)


def npy(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


HUGE_HEADER = json.dumps({"w": {"dtype": "F32", "shape": [2_500_000_000], "data_offsets": [0, 10_000_000_000]}}).encode()
BAD_FILES = {
    "a pickle renamed": ("w.npy", pickle.dumps({"w": 1})),
    "an object array": ("w.npy", npy(np.array([1, "a", None], dtype=object))),
    "a truncated safetensors": ("w.safetensors", (10**5).to_bytes(8, "little") + b'{"w"'),
    "a header that claims 10 GB": ("w.safetensors", len(HUGE_HEADER).to_bytes(8, "little") + HUGE_HEADER + b"\0" * 64),
    "an empty file": ("w.npz", b""),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_upload_gets_a_sentence_and_the_page_lives_on(path, kind):
    app = open_page(path, {"size": "65536"})
    name, data = BAD_FILES[kind]
    app.file_uploader[0].set_value((name, data, "application/octet-stream")).run()
    assert not app.exception
    assert "This file was not opened." in app.error[0].value
    assert metric(app, "SQNR")


@pytest.mark.parametrize("path", PATHS)
def test_an_upload_is_measured(path):
    x = np.random.default_rng(0).standard_normal((64, 80)).astype(np.float32)
    app = open_page(path, {"size": "65536", "granularity": "row"})
    app.file_uploader[0].set_value(("mine.npy", npy(x), "application/octet-stream")).run()
    assert not app.exception
    report = fp8.measure(x, fp8.quantize(x, "row_e4m3"))
    assert metric(app, "SQNR") == f"{report.sqnr_db:.2f} dB"


@pytest.mark.parametrize("path", PATHS)
def test_an_upload_without_floating_point_numbers_says_so(path):
    app = open_page(path, {"size": "65536"})
    app.file_uploader[0].set_value(("ids.npy", npy(np.arange(10)), "application/octet-stream")).run()
    assert not app.exception
    assert "no floating point numbers to quantize" in app.warning[0].value
