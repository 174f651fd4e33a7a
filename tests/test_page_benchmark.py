"""The page "How fast is it here?": it runs on request, says what it refuses, and shows recorded runs beside."""

import threading
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from fp8core import bench
from pages.ui import jobs, measurements
from pages.ui.charts import benchmark as charts
from pages.ui.view import View

APP = str(Path(__file__).parents[1] / "app.py")


def opened(**values):
    at = AppTest.from_file(APP, default_timeout=120).switch_page("pages/benchmark.py")
    at.session_state["frame_view"] = View(**{"rows": 64, "columns": 64, "inner": 64, "repeats": 5, "recipes": ("tensor_e4m3", "mxfp4"), **values})
    return at.run()


def test_it_opens_with_the_recorded_runs_and_measures_nothing():
    page = opened()
    assert not page.exception
    assert "Nothing has been measured yet" in page.info[0].value
    assert len(page.dataframe) == len(bench.recorded_runs()) >= 1
    assert page.dataframe[0].value["how"].str.startswith("recorded ").all()
    assert not opened(recorded="hidden").dataframe


def test_run_measures_the_recipes_and_both_baselines():
    page = opened(recorded="hidden")
    page.button(key="measurements_run").click().run()
    assert not page.exception
    rows = page.dataframe[0].value
    assert list(rows["recipe"]) == ["FP32", "BF16 cast", "E4M3 per tensor", "MXFP4"]
    assert (rows["product (ms)"] > 0).all() and (rows["runs"] == 5).all()
    assert len(page.get("plotly_chart")) == 2
    assert page.caption[1].value.startswith("live · M = 64") or any(c.value.startswith("live · M = 64") for c in page.caption)
    page.select_slider(key="inner").set_value(128).run()
    assert list(page.dataframe[0].value["recipe"]) == list(rows["recipe"])  # the last results stay, under their own heading


def test_refusals_are_shown_in_the_words_of_the_core():
    page = opened(recorded="hidden", backend="int8")
    page.button(key="measurements_run").click().run()
    assert not page.exception
    reason = "e2m1fn is not an integer format of at most 8 bits"
    assert any(reason in info.value for info in page.info)
    assert page.dataframe[0].value["refused because"].tolist()[-1] == reason


def test_every_size_and_repeat_the_page_offers_is_a_case():
    for side in (64, 4096):
        for repeats in (5, 50):
            assert len(measurements.cases(View(rows=side, columns=side, inner=side, repeats=repeats))) == 6


def test_figures_of_refused_results_are_empty_and_do_not_fail():
    refused = [bench.BenchResult(bench.BenchCase(), "a host", refusal="no")]
    assert not charts.trade_figure(refused).data and not charts.time_figure(refused).data[0].x


def test_a_place_is_given_back_after_an_error():
    with pytest.raises(KeyError), jobs.heavy_job():
        raise KeyError
    with jobs.heavy_job():
        pass


def test_who_comes_second_waits_and_is_told(monkeypatch):
    monkeypatch.setattr(jobs, "MAX_WAIT_SECONDS", 0.1)
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with jobs.heavy_job():
            entered.set()
            leave.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert entered.wait(10)
        with pytest.raises(jobs.Busy, match="Another visitor's job still runs"), jobs.heavy_job():
            pass
    finally:
        leave.set()
        thread.join()
    with jobs.heavy_job():
        pass
