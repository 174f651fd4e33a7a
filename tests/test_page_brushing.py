"""Linked brushing on the page of distributions: the link, the table of codes, the errors, and the way back."""

import base64
import json

import numpy as np
import pytest
from test_frame import open_page, view_of

import fp8core as fp8
from fp8core.distributions import distribution
from fp8core.number import interval
from fp8core.samples import make_sample
from fp8core.spans import Span, part, within
from pages.ui import brushing
from pages.ui.charts import distributions

QUERY = {"source": "normal", "size": "65536", "format": "e4m3fn", "granularity": "1x32", "rule": "rceil", "scale_format": "e8m0fnu"}
RECIPE = "e4m3fn:1x32:rceil:e8m0fnu"


def codes(app):
    return next((frame.value for frame in app.dataframe if "code" in frame.value), ())


@pytest.mark.parametrize("span", ["", "2^3..2^6", "2^-4..2^9"])
def test_the_codes_are_those_of_fp8core(span):
    app = open_page("pages/distributions.py", QUERY | {"span": span})
    x = make_sample("normal", (256, 256))
    q = fp8.quantize(x, RECIPE)
    low, high = map(int, span.replace("2^", "").split("..")) if span else (0, 0)
    chosen = within(x, q, Span(low, high)).numpy() if span else np.ones((256, 256), bool)
    counts = np.bincount(q.codes.numpy()[chosen], minlength=256)
    shown = codes(app)
    assert {int(code, 16): count for code, count in zip(shown["code"], shown["numbers"], strict=True)} == {code: count for code, count in enumerate(counts.tolist()) if count}
    assert np.array_equal(shown["value"].to_numpy(), q.recipe.fmt.values[[int(code, 16) for code in shown["code"]]])
    assert shown["x / scale that get it"].tolist() == [str(interval(int(code, 16), "e4m3fn")) for code in shown["code"]]
    assert shown["share (%)"].sum() == pytest.approx(100)
    assert shown["value"].is_monotonic_increasing


def test_the_errors_are_those_of_the_selected_numbers():
    app = open_page("pages/distributions.py", QUERY | {"span": "2^3..2^6"})
    x = make_sample("normal", (256, 256))
    q = fp8.quantize(x, RECIPE)
    chosen = within(x, q, Span(3, 6))
    figure = next(json.loads(chart.proto.spec) for chart in app.get("plotly_chart") if "SQNR in the binade" in chart.proto.spec)
    for trace, quantized in zip(figure["data"], (q, fp8.quantize(x, "e4m3fn")), strict=True):
        report = fp8.measure(*part(x, quantized, chosen))
        drawn = report.binade_sqnr_db[report.binade_count >= 20]
        y = trace["y"]
        assert np.allclose(np.frombuffer(base64.b64decode(y["bdata"]), y["dtype"]) if isinstance(y, dict) else y, drawn.clip(-5, 120))
    assert any("2^3 ≤ |x| / scale < 2^6" in text.value and f"{int(chosen.sum()):,} of 65,536" in text.value for text in app.markdown)


def test_the_selection_is_cleared():
    app = open_page("pages/distributions.py", QUERY | {"span": "2^3..2^6"})
    assert view_of(app).span == app.text_input(key="span").value == "2^3..2^6"
    app.button(key="span_clear").click().run()
    assert not app.exception
    assert view_of(app).span == app.text_input(key="span").value == ""
    assert len(codes(app)) > 200


def test_what_is_no_span_is_told_and_changes_nothing():
    app = open_page("pages/distributions.py", QUERY | {"span": "2^6..2^3"})
    assert "2^6..2^3" in app.warning[0].value.replace("\\", "") and view_of(app).span == ""
    app.text_input(key="span").set_value("3..6").run()
    assert not app.exception
    assert view_of(app).span == "" and any("is not two powers of two" in caption.value for caption in app.caption)


@pytest.mark.parametrize(
    "query",
    [{"format": "float32"}, {"format": "bfloat16", "granularity": "none"}, {"preset": "te_nvfp4_rht"}, {"format": "own", "pattern": "ue4m4", "rounding": "stochastic"}],
    ids=str,
)
def test_every_kind_of_recipe_can_be_brushed(query):
    app = open_page("pages/distributions.py", QUERY | {"granularity": "tensor"} | query)
    for span in ("", "2^-1..2^2", "2^90..2^91"):
        app.text_input(key="span").set_value(span).run()
        assert not app.exception
        shown = len(codes(app))
        assert shown <= brushing.MOST_CODES
        assert (shown == 0) == (query.get("format") == "float32" or span == "2^90..2^91")


def test_a_drag_over_bars_selects_whole_binades(monkeypatch):
    changed = {}
    points = [{"customdata": [4, 5, 10, ""]}, {"customdata": [6, 7, 1, ""]}, {}]
    monkeypatch.setattr(brushing.st, "session_state", {"after": type("State", (), {"selection": type("Selection", (), {"points": points})})})
    monkeypatch.setattr(brushing.frame, "change", changed.update)
    brushing.take("after")
    assert changed == {"span": "2^4..2^7"}
    points.clear()
    changed.clear()
    brushing.take("after")
    assert not changed


def test_the_histogram_marks_the_span():
    x = make_sample("normal", (64, 64))
    q = fp8.quantize(x, "tensor_e4m3")
    marked = distributions.histogram(distribution(x, q, scaled=True), q.recipe.fmt, axis="|x| / scale", span=Span(3, 6)).layout.shapes[-1]
    assert (marked.x0, marked.x1, marked.line.width) == (3, 6, 3)
