"""Figures of the page "How fast is it here?": benchmark records -> Figure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from fp8core.bench import BenchResult
from fp8core.bench.devices import DeviceProfile
from fp8core.bench.sweep import Sweep
from fp8core.recipes import parse_recipe
from pages.ui.charts.cells import written
from pages.ui.charts.matmul import lines_of
from pages.ui.language import told, tr
from pages.ui.theme import DIVERGING, NEUTRAL, colour
from pages.ui.view import recipe_title

_UNITS = {"float4": "FP4", "float8": "FP8", "bfloat16": "BF16", "float16": "FP16", "tfloat32": "TF32", "float32": "FP32", "int8": "INT8"}
_LABEL_RATIO = 1.5  # of two roofs; the label of a closer one goes below its line


def time_figure(results: Sequence[BenchResult]) -> go.Figure:
    """Milliseconds of the product with its 20th to 80th percentile, and of quantizing A and B beside it; quickest on top."""
    ran = sorted((r for r in results if not r.refusal), key=lambda r: r.product_ms.median, reverse=True)
    labels, striped = [_label(r) for r in ran], {"pattern": {"shape": "/", "fillmode": "replace", "size": 6, "solidity": 0.5}}
    figure = go.Figure()
    figure.add_bar(
        y=labels, x=[r.quantize_a_ms.median + r.quantize_b_ms.median for r in ran], showlegend=False, orientation="h", offsetgroup="quantizing",
        marker={"color": [colour(_format(r)) for r in ran]} | striped,
        customdata=[[r.quantize_a_ms.median, r.quantize_b_ms.median] for r in ran],
        hovertemplate=tr("quantizing A %{customdata[0]:.2f} ms, B %{customdata[1]:.2f} ms") + "<extra>%{y}</extra>",
    )  # fmt: skip
    figure.add_bar(
        y=labels, x=[r.product_ms.median for r in ran], showlegend=False, orientation="h", offsetgroup="product",
        marker={"color": [colour(_format(r)) for r in ran]},
        error_x={
            "type": "data", "symmetric": False, "thickness": 2, "width": 5,
            "array": [r.product_ms.p80 - r.product_ms.median for r in ran], "arrayminus": [r.product_ms.median - r.product_ms.p20 for r in ran],
        },
        customdata=[[r.product_ms.p20, r.product_ms.p80, r.kernel, _arithmetic(r)] for r in ran],
        hovertemplate=tr("product %{x:.2f} ms (%{customdata[0]:.2f} to %{customdata[1]:.2f})<br>kernel %{customdata[2]}<br>%{customdata[3]}") + "<extra>%{y}</extra>",
    )  # fmt: skip
    for group, words, look in (("quantizing", tr("quantizing A and B, by this package"), striped), ("product", tr("product: median, line from 20th to 80th percentile"), {})):
        figure.add_bar(x=[None], y=labels[:1], name=words, orientation="h", offsetgroup=group, marker={"color": NEUTRAL} | look)
    figure.update_layout(barmode="group", bargap=0.25, legend={"orientation": "h", "y": 1.02, "x": 0, "yanchor": "bottom", "traceorder": "reversed"}, height=110 + 44 * max(len(ran), 3))
    figure.update_xaxes(title=tr("milliseconds"), rangemode="tozero")
    figure.update_yaxes(automargin=True, title=tr("recipe"))
    return figure


def trade_figure(results: Sequence[BenchResult]) -> go.Figure:
    """Speed of the product against its SQNR: up and to the right is better; hollow points are emulated."""
    figure = go.Figure()
    ran = [r for r in results if not r.refusal]
    styles = lines_of([r.case.recipe for r in ran])
    for r in ran:
        marker = styles[r.case.recipe]["marker"]
        symbol = marker["symbol"] if r.kind == "native" else f"{marker['symbol']}-open"
        figure.add_scatter(
            x=[r.sqnr_db], y=[r.tflops * 1000], name=_title(r), mode="markers", marker={**marker, "symbol": symbol, "size": 12, "line": {"width": 2.5, "color": marker["color"]}},
            hovertemplate=tr("SQNR %{x:.1f} dB<br>%{y:.1f} GFLOP/s<br>") + _arithmetic(r) + f"<extra>{_label(r)}</extra>",
        )  # fmt: skip
    figure.update_layout(height=440)
    figure.update_xaxes(title=tr("SQNR of the product against float64 (dB)"))
    figure.update_yaxes(title=tr("GFLOP/s"), rangemode="tozero")
    return figure


def pays_figure(found: Sweep, recipe: str) -> go.Figure:
    """How many times faster than BF16, layers down and batches across; empty where nothing was measured."""
    speedups = found.matrix(recipe)
    kernels = {(point.shape, point.batch): point.result for point in found.points if point.result.case.recipe == recipe}
    rows = [f"{told(shape.layer)}<br>{shape.n} × {shape.k}" if shape.model != "square" else shape.layer for shape in found.shapes]
    about = [[_about(kernels.get((shape, batch))) for batch in found.batches] for shape in found.shapes]
    figure = go.Figure(written({
        "z": np.log2(speedups), "x": [str(batch) for batch in found.batches], "y": rows, "customdata": about, "colorscale": DIVERGING, "zmin": -2, "zmax": 2, "xgap": 2, "ygap": 2,
        "text": [["" if np.isnan(value) else f"{value:.2f} ×" for value in line] for line in speedups],
        "hovertemplate": tr("%{y}, batch %{x}: %{text}<br>%{customdata}") + "<extra></extra>",
        "colorbar": {"title": tr("× BF16"), "tickvals": [-2, -1, 0, 1, 2], "ticktext": ["¼", "½", "1", "2", "4"]},
    }))  # fmt: skip
    figure.update_layout(height=120 + 44 * len(rows))
    figure.update_xaxes(title=tr("batch (tokens)"), type="category", showgrid=False)
    figure.update_yaxes(autorange="reversed", type="category", automargin=True, showgrid=False)
    return figure


def roofline_figure(profile: DeviceProfile, points: Sequence) -> go.Figure:
    """Roofs of a device's units over operations per byte, and products below them; hollow points are emulated."""
    figure = go.Figure()
    ridges = [1e3 * peak / profile.gb_per_s for _, peak in profile.tflops]
    left, right = (min([point.flop_per_byte for point in points] + ridges) / 8, max([point.flop_per_byte for point in points] + ridges) * 8)
    roofs: dict[float, list[str]] = {}
    for operand, peak in profile.tflops:
        roofs.setdefault(peak, []).append(operand)
    above = math.inf
    for peak, operands in sorted(roofs.items(), reverse=True):
        ridge = 1e3 * peak / profile.gb_per_s
        words = ", ".join(_UNITS.get(operand, operand) for operand in operands)
        place = "top left" if above / peak > _LABEL_RATIO else "bottom left"
        above = peak
        figure.add_scatter(
            x=[left, ridge, right], y=[left * profile.gb_per_s / 1e3, peak, peak], mode="lines+text", text=["", "", f"{words}: {peak:.4g}"], textposition=place, line={"color": NEUTRAL, "width": 1.5}, showlegend=False,
            hovertemplate=tr("{operands}: {peak:.4g} TFLOP/s, from {ridge:.3g} FLOP per byte on").format(operands=words, peak=peak, ridge=ridge) + "<extra></extra>",
        )  # fmt: skip
    styles = lines_of([point.recipe for point in points])
    for point in points:
        marker = styles[point.recipe]["marker"]
        symbol = f"{marker['symbol']}-open" if "emulated" in point.how else marker["symbol"]
        figure.add_scatter(
            x=[point.flop_per_byte], y=[point.tflops], name=recipe_title(point.recipe), mode="markers", marker={**marker, "symbol": symbol, "size": 12, "line": {"width": 2, "color": marker["color"]}},
            hovertemplate=tr("%{x:.3g} FLOP per byte<br>%{y:.4g} TFLOP/s<br>") + tr("{how}, {units}").format(how=tr(point.how), units=point.operand) + f"<extra>{recipe_title(point.recipe)}</extra>",
        )  # fmt: skip
    figure.update_layout(height=480)
    figure.update_xaxes(title=tr("arithmetic intensity (FLOP per byte)"), type="log", dtick=1)
    figure.update_yaxes(title=tr("TFLOP/s"), type="log", dtick=1)
    return figure


def _about(r: BenchResult | None) -> str:
    """The kernel and its time, or why there is none."""
    if r is None:
        return tr("not measured")
    return told(r.refusal) or tr("{kernel}, {kind}: {ms:.3g} ms").format(kernel=r.kernel, kind=tr(r.kind), ms=r.product_ms.median)


def _format(r: BenchResult) -> str:
    return parse_recipe(r.case.recipe).format


def _title(r: BenchResult) -> str:
    return recipe_title(r.case.recipe)


def _label(r: BenchResult) -> str:
    return f"{_title(r)} · {tr(r.kind)}"


def _arithmetic(r: BenchResult) -> str:
    """How the speed follows from the time."""
    return tr("2 · {m} · {n} · {k} / {ms:.2f} ms = {speed:.3f} TFLOP/s").format(m=r.case.m, n=r.case.n, k=r.case.k, ms=r.product_ms.median, speed=r.tflops)
