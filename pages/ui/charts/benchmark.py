"""Figures of the page "How fast is it here?": benchmark records -> Figure."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from fp8core.bench import BenchResult
from fp8core.recipes import parse_recipe
from pages.ui.charts.matmul import lines_of
from pages.ui.language import tr
from pages.ui.theme import NEUTRAL, colour


def time_figure(results: Sequence[BenchResult]) -> go.Figure:
    """Milliseconds of the product with its 20th to 80th percentile, and of quantizing A and B beside it; quickest on top."""
    ran = sorted((r for r in results if not r.refusal), key=lambda r: r.product_ms.median, reverse=True)
    labels = [_label(r) for r in ran]
    figure = go.Figure()
    figure.add_bar(
        y=labels, x=[r.quantize_a_ms.median + r.quantize_b_ms.median for r in ran], showlegend=False, orientation="h",
        marker={"color": [colour(_format(r)) for r in ran], "opacity": 0.35},
        customdata=[[r.quantize_a_ms.median, r.quantize_b_ms.median] for r in ran],
        hovertemplate=tr("quantizing A %{customdata[0]:.2f} ms, B %{customdata[1]:.2f} ms") + "<extra>%{y}</extra>",
    )  # fmt: skip
    figure.add_bar(
        y=labels, x=[r.product_ms.median for r in ran], showlegend=False, orientation="h",
        marker={"color": [colour(_format(r)) for r in ran]},
        error_x={
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 5, "color": NEUTRAL,
            "array": [r.product_ms.p80 - r.product_ms.median for r in ran], "arrayminus": [r.product_ms.median - r.product_ms.p20 for r in ran],
        },
        customdata=[[r.product_ms.p20, r.product_ms.p80, r.kernel, _arithmetic(r)] for r in ran],
        hovertemplate=tr("product %{x:.2f} ms (%{customdata[0]:.2f} to %{customdata[1]:.2f})<br>kernel %{customdata[2]}<br>%{customdata[3]}") + "<extra>%{y}</extra>",
    )  # fmt: skip
    for words, opacity in ((tr("quantizing A and B, by this package"), 0.35), (tr("product: median, line from 20th to 80th percentile"), 1.0)):
        figure.add_scatter(x=[None], y=[None], name=words, mode="markers", marker={"color": NEUTRAL, "opacity": opacity, "symbol": "square", "size": 12})
    figure.update_layout(barmode="group", bargap=0.25, legend={"orientation": "h", "y": 1.02, "x": 0, "yanchor": "bottom", "traceorder": "reversed"}, height=110 + 44 * max(len(ran), 3))
    figure.update_xaxes(title=tr("milliseconds"), rangemode="tozero")
    figure.update_yaxes(automargin=True)
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


def _format(r: BenchResult) -> str:
    return parse_recipe(r.case.recipe).format


def _title(r: BenchResult) -> str:
    return parse_recipe(r.case.recipe).title or r.case.recipe


def _label(r: BenchResult) -> str:
    return f"{_title(r)} · {tr(r.kind)}"


def _arithmetic(r: BenchResult) -> str:
    """How the speed follows from the time."""
    return tr("2 · {m} · {n} · {k} / {ms:.2f} ms = {speed:.3f} TFLOP/s").format(m=r.case.m, n=r.case.n, k=r.case.k, ms=r.product_ms.median, speed=r.tflops)
