"""Calibration and delayed scaling, on the pages that show them, as a visitor uses them."""

import json

import numpy as np
import pytest
from test_frame import open_page, view_of
from test_page_distributions import metric, npy

import fp8core as fp8
from fp8core.calibration import ALGORITHMS, CALIBRATIONS, SCENARIOS, DelayedScaling, calibrate, make_steps, observe, simulate
from fp8core.models import activations
from fp8core.samples import make_sample

SMALL = {"size": "65536"}


def table_of(app, columns):
    """The one table with these columns."""
    return next(frame.value for frame in app.dataframe if set(columns) <= set(frame.value.columns))


def figures(app) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def test_calibration_shows_the_numbers_of_fp8core():
    app = open_page("pages/scaling.py", {"topic": "calibration", "model": "digits", "layer": "hidden.1", "percentile": "99.9", "momentum": "0.5"})
    seen = observe(activations("digits")["hidden.1"].tensor_split(16))
    shown = table_of(app, ["method", "clipped (%)"])
    assert len(shown) == 4 * len(CALIBRATIONS)
    for row, (name, method) in zip(shown.to_dict("records"), ((name, method) for name in ("int8", "e4m3fn", "e5m2", "e2m1fn") for method in CALIBRATIONS), strict=True):
        c = calibrate(seen, name, method, percentile=99.9, momentum=0.5)
        assert row["format"] == fp8.parse_format(name).title
        assert row["method"] == CALIBRATIONS[method].title
        assert (row["amax"], row["SQNR (dB)"], row["clipped (%)"], row["flushed (%)"]) == (f"{c.amax:.6g}", round(c.sqnr_db, 3), round(100 * c.clipped, 4), round(100 * c.flushed, 4))
    assert len(figures(app)) == 4


def test_a_model_without_inputs_is_told_and_another_shown():
    app = open_page("pages/scaling.py", {"topic": "calibration", "model": "silero_vad"})
    assert any("comes without inputs" in info.value for info in app.info)
    assert app.selectbox(key="calibration_layer").options == list(activations("minilm"))


def test_another_layer_can_be_chosen_and_stays_in_the_link():
    app = open_page("pages/scaling.py", {"topic": "calibration", "model": "digits"})
    app.selectbox(key="calibration_layer").set_value("hidden.0").run()
    assert not app.exception
    assert view_of(app).layer == "hidden.0"
    assert app.query_params["layer"] in ("hidden.0", ["hidden.0"])


@pytest.mark.parametrize("fmt", ["float32", "e8m0fnu", "nf4", "e2m1fn", "int4"])
@pytest.mark.parametrize("path", ["pages/scaling.py", "pages/distributions.py"])
def test_every_kind_of_format_can_be_calibrated(path, fmt):
    app = open_page(path, {"topic": "calibration", "calibrated_on": "tensor", "source": "relu", "format": fmt, **SMALL})
    assert not app.exception


@pytest.mark.parametrize("path", ["pages/scaling.py", "pages/distributions.py"])
@pytest.mark.parametrize("fill", [0.0, float("nan")])
def test_a_tensor_without_numbers_says_so(path, fill):
    app = open_page(path, {"topic": "calibration", "calibrated_on": "tensor", **SMALL})
    app.file_uploader[0].set_value(("empty.npy", npy(np.full((8, 8), fill, np.float32)), "application/octet-stream")).run()
    assert not app.exception
    assert any("nothing to c" in text.value.lower() for text in [*app.info, *app.caption])


def test_distributions_show_what_each_method_clips():
    app = open_page("pages/distributions.py", {"source": "student_t", "tail": "2", "format": "int8", **SMALL})
    shown = table_of(app, ["method", "clipped (%)"])
    seen = observe(make_sample("student_t", (256, 256), tail=2).tensor_split(16))
    for row, method in zip(shown.to_dict("records"), CALIBRATIONS, strict=True):
        c = calibrate(seen, "int8", method)
        assert (row["amax"], row["clipped (%)"], row["SQNR (dB)"]) == (f"{c.amax:.6g}", round(100 * c.clipped, 4), round(c.sqnr_db, 3))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_delayed_scaling_shows_the_numbers_of_fp8core(scenario):
    app = open_page("pages/scaling.py", {"topic": "delayed", "scenario": scenario, "history": "8", "margin": "1", "step": "34", "seed": "2", "format": "e5m2"})
    steps = simulate(make_steps(scenario, seed=2), DelayedScaling("e5m2", 8, margin=1))
    step = steps[34]
    assert metric(app, "Reach") == f"{step.reach:.4g}"
    assert metric(app, "amax of this step") == f"{step.amax:.4g}"
    assert list(table_of(app, ["step", "reach"])["scale"]) == [f"{s.scale:.6g}" for s in steps]
    assert list(table_of(app, ["place, newest first"])["amax"]) == [f"{a:.6g}" for a in reversed(step.history)]
    assert any(f"**{step.scale:.6g}**" in text.value for text in app.markdown)
    spec = figures(app)[0]
    assert spec["layout"]["shapes"][0]["x0"] == 34


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("step", [0, 1, 21, 22, 40, 63])
@pytest.mark.parametrize("scenario", ["zeros", "non_finite"])
def test_the_arithmetic_of_every_step_can_be_written(algorithm, step, scenario):
    app = open_page("pages/scaling.py", {"topic": "delayed", "scenario": scenario, "history": "2", "algorithm": algorithm, "step": str(step), "format": "int8"})
    steps = simulate(make_steps(scenario), DelayedScaling("int8", 2, algorithm))
    words = next(text.value for text in app.markdown if "Reach =" in text.value)
    assert f"**{steps[step].reach:.6g}**" in words
    assert ("There is no past yet" in words) == (step == 0)
    assert ("which gives no scale" in words) == (steps[step].kept and step > 0)
    assert ("does not enter" in words) == (steps[step].amax == 0)


@pytest.mark.parametrize("fmt", ["float32", "e8m0fnu", "nf4"])
def test_delayed_scaling_can_be_drawn_for_every_kind_of_format(fmt):
    assert len(figures(open_page("pages/scaling.py", {"topic": "delayed", "format": fmt}))) == 1

