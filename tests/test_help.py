"""Help where the eye is: every control, number and figure says what it is."""

import ast
import re
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from opened import NAMES, STATES, opened

import fp8core as fp8
from fp8core.anatomy import loudest
from fp8core.distributions import distribution
from fp8core.gemm.error import error_growth, random_pair
from fp8core.grid import spacing
from fp8core.layers.blocks import scales_of
from fp8core.layers.moments import statistics
from fp8core.number import explain
from fp8core.samples import make_sample
from pages.ui import arithmetic
from pages.ui.charts import distributions, formats, number
from pages.ui.charts.alternatives import alternative
from pages.ui.view import CONTROLS

ROOT = Path(__file__).resolve().parents[1]
DRAWING = [ROOT / "app.py", *sorted(ROOT.glob("pages/**/*.py"))]


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_has_a_sentence_of_help(name):
    help = CONTROLS[name].help
    assert help and help[0].isupper() and help.endswith(".")
    assert len(re.findall(r"[.!?](?=\s+[A-Z]|$)", help)) <= 2


@pytest.mark.parametrize(("path", "query"), STATES, ids=NAMES)
def test_every_number_has_help_and_every_figure_a_text(path, query):
    app = opened(path, query)
    assert not [metric.label for metric in app.metric if not metric.help]
    for chart in app.get("plotly_chart"):
        assert len(chart.proto.alt) > 60 and not re.search(r"\*\*|</|&nbsp;|:gray", chart.proto.alt), chart.proto.alt


def calls(path: Path, name: str) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name]


def test_no_figure_goes_past_the_frame():
    """`frame.figure` asks for a note and makes the text of it; what the pages above do not show is held by this."""
    assert {path.name for path in DRAWING if calls(path, "plotly_chart")} == {"frame.py"}
    assert all(any(keyword.arg == "help" for keyword in call.keywords) for path in DRAWING for call in calls(path, "metric"))


def test_the_text_of_a_figure_tells_axes_series_reach_and_note():
    figure = go.Figure([go.Scatter(x=[1, 2], y=[0.5, 2.25], name="A", mode="lines"), go.Scatter(x=[1], y=[3], name="<b>B</b>", mode="lines+markers")])
    figure.update_layout(xaxis_title="K", yaxis_title="2<sup>k</sup> dB")
    assert alternative(figure, "**What you see:** (0.1, 0.2] and :gray[more].") == "Lines: 2^k dB over K. Shown: A, B. 2^k dB: from 0.5 to 3. What you see: (0.1, 0.2] and more."
    cells = go.Figure(go.Heatmap(z=[[1, np.nan], [3, 7]], colorbar={"title": {"text": "dB"}}))
    assert alternative(cells, "So.") == "Table of colours. dB: from 1 to 7. So."
    assert alternative(go.Figure(go.Bar(x=[2, 4], y=["a", "b"], orientation="h", name="n")).update_layout(xaxis_title="ms"), "So.") == "Bars: ms. ms: from 2 to 4. So."


@pytest.fixture(scope="module")
def loud():
    x = make_sample("lognormal_gradient", (256, 256))
    x[3, 5] = 1e6
    return x


def test_why_sqnr_and_shares(loud):
    q = fp8.quantize(loud, "tensor_e4m3")
    report = fp8.measure(loud, q)
    x, y = loud.double().numpy(), q.dequantize().double().numpy()
    sums, quotient, _ = arithmetic.sqnr(report)
    assert f"Σx² = {np.sum(x**2):.6g}, and Σ(x − x̂)² = {np.sum((x - y) ** 2):.6g}." == sums
    assert quotient.endswith(f"**{10 * np.log10(np.sum(x**2) / np.sum((x - y) ** 2)):.2f} dB**")
    flushed = int(((x != 0) & (y == 0)).sum())
    assert f"{flushed:,} / {x.size:,} = **{100 * flushed / x.size:.6g} %**" in arithmetic.underflow(report, q.recipe)[0]
    clipped = fp8.measure(loud, fp8.quantize(loud, "e4m3fn"))
    beyond = int((np.abs(x) > 464).sum())
    assert beyond and f"{beyond:,} / {x.size:,}" in arithmetic.saturation(clipped, fp8.parse_recipe("e4m3fn"))[0]
    assert "464" in arithmetic.saturation(clipped, fp8.parse_recipe("e4m3fn"))[1]


def test_why_nothing_is_lost_or_rated():
    exact, zeros = (fp8.measure(x, fp8.quantize(x, "tensor_e4m3")) for x in ([1.0, 2.0], [0.0]))
    assert "Nothing was lost" in arithmetic.sqnr(exact)[1]
    assert arithmetic.sqnr(zeros) == ()


def test_one_block_is_not_called_blocks(loud):
    lines = [arithmetic.bits(fp8.measure(loud, fp8.quantize(loud, name)), fp8.RECIPES[name], tuple(loud.shape))[1] for name in ("tensor_e4m3", "mxfp8_e4m3")]
    assert lines == ["1 block of 256 × 256 numbers, with a scale of 32 bits.", "2,048 blocks of at most 1 × 32 numbers, with a scale of 8 bits each."]


def test_why_a_product_and_a_layer(loud):
    a, b = random_pair(64, 64, 256)
    found, = error_growth(a, b, ["tensor_e4m3"], [256])
    sizes, quotient, factors = arithmetic.product(found)
    assert f"{found.rms:.6g}" in sizes and quotient.endswith(f"**{20 * np.log10(found.rms / found.rms_error):.2f} dB**") and quotient.endswith(f"**{found.sqnr_db:.2f} dB**")
    sum_of_shares = 10 ** (-found.sqnr_a_db / 10) + 10 ** (-found.sqnr_b_db / 10)
    assert f"add up to {sum_of_shares:.3g}, and that is {-10 * np.log10(sum_of_shares):.2f} dB." in factors
    x, seen = np.abs(loud.double().numpy()), statistics(loud)
    assert arithmetic.crest_factor(seen) == (f"amax / rms = {x.max():.6g} / {np.sqrt((x**2).mean()):.6g} = **{x.max() / np.sqrt((x**2).mean()):.6g}**",)
    assert arithmetic.binades(seen) == (f"log₂({x.max():.6g} / {x[x > 0].min():.6g}) = **{np.log2(x.max() / x[x > 0].min()):.6g}**",)
    scales = np.asarray(fp8.quantize(loud, "mxfp8_e4m3").scale, dtype=np.float64)
    text, = arithmetic.spread(scales_of(fp8.quantize(loud, "mxfp8_e4m3")))
    assert [float(each) for each in re.findall(r"\d[\d.e+-]*", text)] == pytest.approx([scales.std(), scales.mean(), scales.std() / scales.mean()], rel=1e-4)


@pytest.mark.parametrize(("path", "wanted"), [
    ("pages/matmul.py", ("20 · log₁₀(", "noise shares of")), ("pages/layers.py", ("Σx² = ", "numbers were not zero and became zero", "amax / rms = ", "log₂(")), ("pages/scaling.py", ("Σx² = ", "amax, the largest")),
])  # fmt: skip
def test_numbers_open_their_arithmetic(path, wanted):
    said = "\n".join(each.value for each in opened(path, ()).markdown)
    assert [words for words in wanted if words not in said] == []


@pytest.mark.parametrize("recipe", ["mxfp8_e4m3", "nvfp4", "tensor_e4m3", "nf4_64", "te_nvfp4_rht"])
def test_why_so_many_bits_and_this_scale(recipe, loud):
    q = fp8.quantize(loud, recipe)
    report, part = fp8.measure(loud, q), loudest(loud, q)
    assert float(q.scale.flatten()[part.index]) == part.scale
    assert eval(arithmetic.bits(report, q.recipe, tuple(loud.shape))[-1].split("=")[0].replace(",", "").replace("·", "*")) == pytest.approx(q.bits_per_value)
    text = " ".join(arithmetic.scale(part, q.recipe))
    assert f"**{part.amax:.6g}**" in text and f"**{part.scale:.6g}**" in text
    assert part.stored * part.global_scale == pytest.approx(part.scale)


def test_hover_tells_code_bits_value_and_interval():
    tick = next(text for text in formats.grid_figure([spacing("e4m3fn")], "log").data[0].customdata if "= 28" in text)
    assert "0x5E = 0 1011 110" in tick and "rounded to it: [27, 29]" in tick
    line = number.number_line(explain("0.1", "e4m3fn"))
    assert any("0x1D" in (trace.hovertemplate or "") and "(0.09765625, 0.10546875)" in trace.hovertemplate for trace in line.data)


def test_hover_of_a_bar_tells_bounds_count_share_fate_and_codes():
    x = make_sample("normal", (64, 64))
    q = fp8.quantize(x, "tensor_e4m3")
    figure = distributions.histogram(distribution(x, q, scaled=True), q.recipe.fmt, axis="|x| / scale")
    bar = next(trace for trace in figure.data if trace.name == "normal")
    found = next(row for row in bar.customdata if row[0] == 6)
    assert list(found)[1] == 7 and found[3] == "8 positive codes in it: 0x68 to 0x6F"
    assert "≤ |x| / scale <" in bar.hovertemplate and "<br>normal<br>" in bar.hovertemplate and "%{y:.3f} % of all" in bar.hovertemplate
