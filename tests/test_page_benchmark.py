"""The page "How fast is it here?": it runs on request, says what it refuses, and shows recorded runs beside."""

import threading
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from fp8core import bench
from fp8core.bench import sweep
from pages.ui import jobs, measurements, sweeps
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


def test_a_pair_of_your_own_is_measured_too():
    page = opened(recorded="hidden", pair_of_own="added", format="e3m4", granularity="1x128", rule="rceil", scale_format="e8m0fnu")
    page.button(key="measurements_run").click().run()
    assert not page.exception
    assert page.dataframe[0].value["recipe"].tolist()[-1] == "e3m4:1x128:rceil:e8m0fnu"
    assert page.dataframe[0].value["kernel"].tolist()[-1] == "dequantize_float32"
    assert any("e3m4" in markdown.value and "BF16" in markdown.value for markdown in page.markdown)


def test_every_recipe_gets_its_sentence():
    page = opened(recorded="hidden")
    page.button(key="measurements_run").click().run()
    said = next(markdown.value for markdown in page.markdown if markdown.value.startswith("- **E4M3 per tensor**"))
    assert len(said.split("\n")) == 2 and all("BF16" in line for line in said.split("\n"))


def test_the_map_is_measured_on_request_and_what_is_left_out_is_said(monkeypatch):
    def points(recipes, shapes, batches, device, *, seconds, repeats, progress):
        progress(0.5, "measuring")
        for place, shape in enumerate(shapes):
            for batch in batches:
                if place:
                    yield sweep.LeftOut(shape, batch, "would take about 14 s; 9 s of 60 are left")
                else:
                    results = bench.run_many([bench.BenchCase(batch, 16, 16, name, repeats=1) for name in ("bfloat16", *recipes)], device)
                    yield from (sweep.SweepPoint(shape, batch, result) for result in results)

    page = opened(measure="pays", batches=(1, 16))
    assert not page.exception and "Nothing has been measured yet" in page.info[0].value and not page.get("plotly_chart")
    monkeypatch.setattr(sweeps, "points", points)
    page.button(key="sweeps_run").click().run()
    assert not page.exception
    assert len(page.get("plotly_chart")) == 2
    assert any("2 of 12 sizes measured" in caption.value for caption in page.caption)
    assert any("would take about 14 s" in markdown.value for markdown in page.markdown)
    assert len(page.dataframe[0].value) == 2 * 3 + 10


def test_the_roofline_of_this_machine_wants_a_measurement_first():
    page = opened(measure="roofline")
    assert not page.exception and "Nothing has been measured yet" in page.info[0].value
    page = opened(recorded="hidden")
    page.button(key="measurements_run").click().run()
    page.button_group(key="measure").set_value("roofline").run()
    assert not page.exception
    assert set(page.dataframe[0].value["how"]) <= {"measured, native", "measured, emulated"} and len(page.dataframe[0].value) == 4


def test_other_machines_are_modelled_and_their_figures_can_be_changed():
    page = opened(measure="roofline", machine="B200", rows=1024, columns=1024, inner=1024)
    assert not page.exception
    rows = page.dataframe[0].value
    assert set(rows["how"]) == {"modelled"} and rows.set_index("recipe").loc["MXFP4", "units"] == "float4"
    assert any("Modelled, not measured" in caption.value for caption in page.caption)
    before = rows.set_index("recipe").loc["BF16 cast", "time (µs)"]
    page.number_input(key="roofline_B200_bfloat16").set_value(1.0).run()
    assert page.query_params["peaks"] in ("B200:bfloat16=1.0", ["B200:bfloat16=1.0"])
    assert page.dataframe[0].value.set_index("recipe").loc["BF16 cast", "time (µs)"] > 20 * before
    assert any("changed by hand" in caption.value for caption in page.caption)


def test_a_link_brings_changed_figures_and_a_bad_one_is_named():
    page = opened(measure="roofline", machine="B200", peaks="B200:bfloat16=1.0")
    assert page.number_input(key="roofline_B200_bfloat16").value == 1.0
    assert any("changed by hand" in caption.value for caption in page.caption)
    assert not any("changed by hand" in caption.value for caption in opened(measure="roofline", machine="H100 SXM", peaks="B200:bfloat16=1.0").caption)
    for bad in ("B300x:bfloat16=1", "B200:bfloat16=0", "B200:bfloat16=inf", "B200:sums=1", "B200", "B200:bfloat16=1,bfloat16=2", "B200:bfloat16=x"):
        with pytest.raises(ValueError, match="peaks"):
            View(peaks=bad)


def test_an_uploaded_run_is_shown_and_a_bad_one_is_answered(tmp_path):
    bench.save(bench.run_many([bench.BenchCase(16, 16, 16, "mxfp4", repeats=1)]), tmp_path / "run.csv", note="from elsewhere")
    page = opened()
    page.file_uploader(key="measurements_upload").set_value(("run.csv", (tmp_path / "run.csv").read_bytes(), "text/csv")).run()
    assert not page.exception and len(page.dataframe) == len(bench.recorded_runs()) + 1
    assert any(caption.value == "from elsewhere" for caption in page.caption)
    page.file_uploader(key="measurements_upload").set_value(("mine.csv", b"m,n\n1,2", "text/csv")).run()
    assert not page.exception and page.error[0].value.startswith(r"This file was not opened. mine\.csv") and "recipe" in page.error[0].value


def test_a_file_of_two_sizes_is_shown_as_two_runs(tmp_path):
    bench.save(bench.run_many([bench.BenchCase(side, 16, 16, name, repeats=1) for side in (16, 32) for name in ("bfloat16", "mxfp4")]), tmp_path / "run.csv")
    page = opened()
    before = len(page.dataframe)
    page.file_uploader(key="measurements_upload").set_value(("run.csv", (tmp_path / "run.csv").read_bytes(), "text/csv")).run()
    assert not page.exception and len(page.dataframe) == before + 2
    assert [sum(f"M = {side}, N = 16" in caption.value for caption in page.caption) for side in (16, 32)] == [1, 1]


def test_figures_of_refused_results_are_empty_and_do_not_fail():
    refused = [bench.BenchResult(bench.BenchCase(), "a host", refusal="no")]
    assert not charts.trade_figure(refused).data and not charts.time_figure(refused).data[0].x


def test_a_turn_is_given_back_after_an_error():
    with pytest.raises(KeyError), jobs.heavy_job("a job"):
        raise KeyError
    with jobs.heavy_job("a job"):
        pass


def test_who_comes_second_waits_and_is_told_for_what(monkeypatch):
    monkeypatch.setattr(jobs, "MAX_WAIT_SECONDS", 0.1)
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with jobs.heavy_job("a benchmark of 6 products"):
            entered.set()
            leave.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert entered.wait(10)
        with pytest.raises(jobs.Busy, match="still runs a benchmark of 6 products, after"), jobs.heavy_job("a job"):
            pass
    finally:
        leave.set()
        thread.join()
    with jobs.heavy_job("a job"):
        pass
