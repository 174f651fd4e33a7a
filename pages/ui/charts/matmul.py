"""Figures of the page "What survives a product?": errors of products -> Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from fp8core.gemm.accumulate import AccumulationError
from fp8core.gemm.accumulators import ACCUMULATORS, Accumulator
from fp8core.gemm.error import OutlierError, ProductError
from fp8core.recipes import parse_recipe
from pages.ui.charts import parts
from pages.ui.language import tr
from pages.ui.theme import NEUTRAL, colour, dash, series, symbol
from pages.ui.view import recipe_title


def lines_of(recipes: Sequence[str]) -> dict[str, dict]:
    """Line and marker of each recipe: the colour is that of its format, the dash tells recipes of one format apart, the symbol all of them."""
    seen: dict[str, int] = {}
    styles = {}
    for name in recipes:
        fmt = parse_recipe(name).format
        turn = seen[fmt] = seen.get(fmt, -1) + 1
        styles[name] = {
            "line": {"color": colour(fmt), "dash": dash(turn)},
            "marker": {"color": colour(fmt), "symbol": symbol(len(styles)), "size": 7},
        }
    return styles


def growth_figure(points: Sequence[ProductError]) -> go.Figure:
    """Root mean square error of the product's elements against K, both axes logarithmic, with a line that grows like √K."""
    hover = tr("K = %{x}<br>rms error %{y:.4g}<br>largest error %{customdata[0]:.4g}<br>rms of the exact product %{customdata[1]:.4g}")
    traces = [
        _line(name, style, hover, x=[p.k for p in mine], y=[p.rms_error or None for p in mine], customdata=[[p.max_abs_error, p.rms] for p in mine])
        for name, mine, style in _by_recipe(points)
    ]  # fmt: skip
    ks = sorted({p.k for p in points})
    if points and len(ks) > 1:
        start = max(p.rms_error for p in points if p.k == ks[0]) * 1.6
        traces.append({
            "type": "scatter", "x": ks, "y": [start * (k / ks[0]) ** 0.5 for k in ks], "name": tr("grows like √K"), "mode": "lines", "line": {"color": NEUTRAL, "width": 1, "dash": "dot"}, "hoverinfo": "skip",
        })  # fmt: skip
    return _figure(traces, _k_axis(ks), {"type": "log", "title": tr("rms error of an element of A·B"), "exponentformat": "power", "dtick": 1})


def sqnr_figure(points: Sequence[ProductError]) -> go.Figure:
    """SQNR of the product against K."""
    hover = tr("K = %{x}<br>A·B %{y:.1f} dB<br>A %{customdata[0]:.1f} dB, B %{customdata[1]:.1f} dB<br>noise shares added: %{customdata[2]:.1f} dB")
    traces = [
        _line(name, style, hover, x=[p.k for p in mine], y=[p.sqnr_db for p in mine], customdata=[[p.sqnr_a_db, p.sqnr_b_db, p.independent_db] for p in mine])
        for name, mine, style in _by_recipe(points)
    ]  # fmt: skip
    return _figure(traces, _k_axis(sorted({p.k for p in points})), {"title": tr("SQNR of A·B (dB)")})


def outlier_figure(points: Sequence[OutlierError]) -> go.Figure:
    """SQNR of what the ordinary columns contribute, against the size of the outlier column."""
    hover = tr("first column of A times %{x:.4g}<br>the other columns: %{y:.1f} dB<br>whole product: %{customdata[0]:.1f} dB<br>%{customdata[1]:.1f} % of A became zero")
    traces = [
        _line(name, style, hover, x=[p.factor for p in mine], y=[p.others_db for p in mine], customdata=[[p.sqnr_db, 100 * p.underflow_a] for p in mine])
        for name, mine, style in _by_recipe(points)
    ]  # fmt: skip
    return _figure(traces, {"type": "log", "title": tr("factor on the first column of A"), "exponentformat": "power", "dtick": 1}, {"title": tr("SQNR of the other columns (dB)")})


def accumulation_figure(panels: Mapping[str, tuple[Sequence[AccumulationError], Sequence[ProductError]]], units: Mapping[str, Accumulator]) -> go.Figure:
    """Relative error of sums against K, both axes logarithmic, one panel for each kind of numbers, beside what quantizing them cost.

    Args:
        panels: by their headings.
        units: by the names in the errors. Points without an error, which a logarithmic axis cannot show, are left out.
    """
    traces, axes = [], {}
    for panel, (errors, quantized) in enumerate(panels.values(), 1):
        place = parts.inside(panel) | {"showlegend": panel == 1}
        hover = tr("K = %{x}<br>rms error %{customdata[0]:.3g} % of the sums' rms<br>mean error %{customdata[1]:.3g} %, largest %{customdata[2]:.3g} %<br>SQNR %{customdata[3]:.1f} dB")
        for name, unit in units.items():
            mine = [e for e in errors if e.accumulator == name and e.relative_error > 0]
            extra = [[100 * e.relative_error, 100 * e.mean_error / e.rms, 100 * e.max_abs_error / e.rms, e.sqnr_db] for e in mine]
            title = tr(unit.title)
            traces.append({
                "type": "scatter", "mode": "lines+markers", "name": title, "legendgroup": name, "hovertemplate": f"{hover}<extra>{title}</extra>",
                "x": [e.k for e in mine], "y": [e.relative_error for e in mine], "customdata": extra,
            } | _unit_style(name, unit) | place)  # fmt: skip
        hover = tr("K = %{x}<br>rounding the numbers to E4M3 costs %{customdata:.3g} %<br>and is not counted in the other lines")
        traces.append({
            "type": "scatter", "mode": "lines", "name": tr("for comparison: rounding to E4M3"), "legendgroup": "quantization", "line": {"color": NEUTRAL, "dash": "dot", "width": 2},
            "x": [e.k for e in quantized], "y": [e.rms_error / e.rms for e in quantized], "customdata": [100 * e.rms_error / e.rms for e in quantized], "hovertemplate": f"{hover}<extra></extra>",
        } | place)  # fmt: skip
        axes[f"xaxis{panel if panel > 1 else ''}"] = _k_axis(sorted({e.k for e in quantized}))
        axes[f"yaxis{panel if panel > 1 else ''}"] = {"type": "log", "exponentformat": "power", "dtick": 1}
    axes["yaxis"]["title"] = tr("rms error / rms of the exact sums")
    layout = parts.panels(axes, rows=1, cols=len(panels), shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=tuple(panels))
    return go.Figure(traces, layout | {"height": 460, "legend": {"orientation": "h", "y": -0.2, "x": 0, "yanchor": "top"}})


def _unit_style(name: str, unit: Accumulator) -> dict:
    """Colour and symbol are those of the hardware, one's own comes last; with promotion the line is dashed and the symbols are hollow."""
    kinds = list(dict.fromkeys((each.group, each.aligned_bits) for each in ACCUMULATORS.values()))
    turn = kinds.index((unit.group, unit.aligned_bits)) if name in ACCUMULATORS else len(kinds)
    return {
        "line": {"color": series(turn), "dash": "solid" if unit.promotion is None else "dash", "width": 2},
        "marker": {"color": series(turn), "symbol": symbol(turn) + ("" if unit.promotion is None else "-open"), "size": 8},
    }


def _by_recipe(points):
    styles = lines_of(list(dict.fromkeys(p.recipe for p in points)))
    return [(name, [p for p in points if p.recipe == name], style) for name, style in styles.items()]


def _title(name: str) -> str:
    return recipe_title(name)


def _line(name: str, style: dict, hover: str, **points) -> dict:
    return {"type": "scatter", "name": _title(name), "mode": "lines+markers", "hovertemplate": f"{hover}<extra>{_title(name)}</extra>"} | points | style


def _k_axis(ks: Sequence[int]) -> dict:
    return {"type": "log", "title": tr("K, numbers added in each sum"), "tickvals": list(ks), "ticktext": [str(k) for k in ks]}


def _figure(traces: list[dict], x: dict, y: dict) -> go.Figure:
    return go.Figure(traces, {"xaxis": x, "yaxis": y, "legend": {"orientation": "h", "y": -0.22, "x": 0, "yanchor": "top"}})
