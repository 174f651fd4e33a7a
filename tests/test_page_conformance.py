"""The page "Can I trust it?": it compares on request, keeps the result for all, shows known differences and what to install."""

from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from fp8core import conformance
from fp8core.conformance import CheckResult, Mismatch
from pages.ui import conformance_reports as reports
from pages.ui.charts import conformance as charts

APP = str(Path(__file__).parents[1] / "app.py")
SOME = ("e4m3fn", "int8", "hif8", "mxfp4", "nvfp4")


@pytest.fixture
def few(monkeypatch):
    """Compare five subjects with three implementations, so that a click takes a second."""
    real = conformance.run
    monkeypatch.setattr(conformance, "run", lambda on_progress=None: real(SOME, ("ml_dtypes", "gfloat", "numpy"), on_progress))
    monkeypatch.setattr(conformance, "installed_versions", lambda: {"ml_dtypes": "0.6.0", "gfloat": "0.5.2", "numpy": "2"})
    reports.versions.clear()
    reports._kept().clear()
    yield
    reports.versions.clear()
    reports._kept().clear()


def opened() -> AppTest:
    page = AppTest.from_file(APP, default_timeout=120).switch_page("pages/conformance.py").run()
    assert not page.exception
    return page


def test_it_opens_with_what_is_known_and_compares_nothing(few):
    page = opened()
    assert "Nothing has been compared yet" in page.info[0].value
    differences, oracles = page.dataframe[0].value, page.dataframe[1].value
    assert len(differences) == len(conformance.FORMAT_DIVERGENCES) + len(conformance.RECIPE_DIVERGENCES)
    assert (differences["found here"] == "not compared").all() and (differences["why"] != "").all()
    assert list(oracles["implementation"]) == list(conformance.ORACLES)
    assert any("python -m fp8core conformance" in code.value for code in page.code)
    assert any(code.value.startswith("pip install en_dtypes==") for code in page.code)


def test_a_click_compares_and_everyone_sees_the_result(few):
    page = opened()
    page.button(key="conformance_run").click().run()
    assert not page.exception
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Mismatches"] == "0" and int(shown["Codes and numbers compared"].replace(",", "")) > 300_000
    assert page.success[0].value == "Everything that was compared is equal."
    grid = page.dataframe[0].value.set_index("subject")
    assert list(grid.index) == list(SOME)
    assert grid.loc["e4m3fn", "ml_dtypes"].startswith("✓ ") and grid.loc["e4m3fn", "gfloat"].startswith("✓ ")
    assert "none of the oracles asked has it" in grid.loc["nvfp4", "note"]
    assert opened().metric[0].value == page.metric[0].value
    assert len(page.get("plotly_chart")) == 1


def test_a_mismatch_is_shown_with_its_first_number():
    wrong = CheckResult("e4m3fn", "format", "gfloat", "decode", "failed", 256, 3, Mismatch("code 0x01", "0.1", "0.2"))
    missing = CheckResult("e5m2", "format", "ml_dtypes", "", "not installed", note="not installed: pip install ml_dtypes==0.6.0")
    grid = reports.grid_rows((wrong, missing))
    assert (grid[0]["gfloat"], grid[1]["ml_dtypes"].strip()) == ("✗ 3 / 256", "○")
    drawn = charts.grid_figure((wrong, missing, replace(wrong, subject="e3m3", status="passed", mismatches=0, first=None))).data[0]
    assert [list(row) for row in drawn.text] == [["○ 1", "✗ 1"], ["", "✓ 1"]]
    agreeing = charts.grid_figure((replace(missing, oracle="gfloat"), replace(wrong, status="passed", mismatches=0, first=None))).data[0]
    assert [list(row) for row in agreeing.text] == [["✓ 1"]]
    assert "pip install" in drawn.customdata[0][0] and "✗" in drawn.customdata[0][1]
