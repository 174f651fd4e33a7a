"""Calibrations and delayed scaling -> figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from fp8core.calibration import CALIBRATIONS, Calibration, DelayedScaling, DelayedStep
from fp8core.formats import parse_format
from pages.ui import theme
from pages.ui.charts import parts
from pages.ui.charts.cells import written
from pages.ui.language import told, tr
from pages.ui.number_tables import percent

Table = Mapping[tuple[str, str], Calibration]



def _title(format_name: str) -> str:
    return told(parse_format(format_name).title) or format_name


def _formats(table: Table) -> list[str]:
    return list(dict.fromkeys(name for _, name in table))


def _methods(table: Table) -> list[str]:
    return list(dict.fromkeys(method for method, _ in table))


def thresholds(histogram: tuple[np.ndarray, np.ndarray], table: Table) -> go.Figure:
    """Draw the magnitudes in bins of log2, and below on the same axis the amax that each method chose for each format.

    Args:
        histogram: log2 of the edges and counts, as `Observed.histogram` returns them.
    """
    edges, counts = histogram
    methods, names = _methods(table), _formats(table)
    total = next(iter(table.values())).count
    shown = 100 * counts / total
    traces = [{
        "type": "bar", "x": (edges[:-1] + edges[1:]) / 2, "y": np.where(counts > 0, shown, np.nan), "width": np.diff(edges) * 0.94, "marker": {"color": theme.NEUTRAL}, "opacity": 0.75, "showlegend": False,
        "customdata": np.stack([np.exp2(edges[:-1]), np.exp2(edges[1:]), counts], axis=1),
        "hovertemplate": tr("%{customdata[0]:.4g} ≤ |x| < %{customdata[1]:.4g}<br>%{customdata[2]:,} numbers, %{y:.4f} % of all") + "<extra></extra>",
    } | parts.inside(1)]  # fmt: skip
    for i, name in enumerate(names):
        offset = 0.0 if len(names) == 1 else 0.5 * (i / (len(names) - 1) - 0.5)
        chosen = [table[method, name] for method in methods]
        traces.append({
            "type": "scatter", "x": np.log2([c.amax for c in chosen]), "y": np.arange(len(methods)) + offset, "mode": "markers", "name": _title(name),
            "marker": {"color": theme.colour(name), "symbol": theme.symbol(i), "size": 11},
            "customdata": [[tr(CALIBRATIONS[c.method].title), c.amax, 100 * c.clipped, 100 * c.flushed, c.sqnr_db] for c in chosen],
            "hovertemplate": tr("%{customdata[0]}: amax %{customdata[1]:.5g}<br>clipped %{customdata[2]:.4f} %, flushed %{customdata[3]:.3f} %<br>SQNR %{customdata[4]:.2f} dB") + f"<extra>{_title(name)}</extra>",
        } | parts.inside(2))  # fmt: skip
    ends = [float(np.log2(table[method, names[0]].amax)) for method in methods] if len(names) == 1 else []
    lines = [parts.vertical(end, panel, line={"color": theme.ACCENT, "width": 1.2, "dash": "dot"}, layer="below") for end in ends for panel in (1, 2)]
    lowest, highest = float(edges[0]), max(float(edges[-1]), max(float(np.log2(c.amax)) for c in table.values()) + 0.2)
    step = max(1, round((highest - lowest) / 9))
    ticks = list(range(int(np.ceil(lowest)), int(highest) + 1, step))
    powers = {"range": [lowest - 0.2, highest + 0.2], "tickvals": ticks, "ticktext": [f"2<sup>{k}</sup>" for k in ticks], "zeroline": False}
    axes = {
        "xaxis": powers, "xaxis2": powers | {"title": tr("|x|, and the amax chosen")},
        "yaxis": {"title": tr("share (%), log"), "type": "log", "exponentformat": "power", "dtick": 1},
        "yaxis2": {"tickvals": list(range(len(methods))), "ticktext": [tr(CALIBRATIONS[method].title) for method in methods], "range": [len(methods) - 0.5, -0.5], "zeroline": False},
    }  # fmt: skip
    layout = parts.panels(axes, rows=2, cols=1, shared_xaxes=True, row_heights=(0.5, 0.5), vertical_spacing=0.04)
    layout |= {"height": 480 if len(names) > 1 else 380, "bargap": 0, "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}, "showlegend": len(names) > 1, "shapes": lines}
    return go.Figure(traces, layout)


def effects(table: Table) -> go.Figure:
    """Draw SQNR, clipped and flushed share for method × format; the colour is the gain over clipping nothing."""
    methods, names = _methods(table), _formats(table)
    values = np.array([[table[method, name].sqnr_db for name in names] for method in methods])
    base = np.array([table["amax", name].sqnr_db for name in names])
    gain = values - base
    extra = [[[100 * table[m, n].clipped, 100 * table[m, n].flushed, table[m, n].amax, gain[i, j]] for j, n in enumerate(names)] for i, m in enumerate(methods)]
    text = [[f"<b>{v:.1f} dB</b><br>↑{percent(c / 100)}<br>↓{percent(f / 100)}" for v, (c, f, _, _) in zip(line, pairs, strict=True)] for line, pairs in zip(values, extra, strict=True)]
    cells = {
        "z": np.clip(gain, -12, 12), "x": [_title(name) for name in names], "y": [tr(CALIBRATIONS[method].title) for method in methods], "text": text, "customdata": extra,
        "colorscale": theme.DIVERGING, "zmin": -12, "zmax": 12, "xgap": 3, "ygap": 3, "showscale": False,
        "hovertemplate": tr("%{y} for %{x}: amax %{customdata[2]:.5g}<br>%{text}<br>%{customdata[3]:+.2f} dB against the largest<br>clipped %{customdata[0]:.4f} %, flushed %{customdata[1]:.3f} %") + "<extra></extra>",
    }  # fmt: skip
    layout = {
        "xaxis": {"title": tr("number format"), "side": "top", "type": "category", "showgrid": False}, "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False},
        "height": 480,
    }  # fmt: skip
    return go.Figure(written(cells, 14), layout)


def squared_error(curves: Mapping[str, Calibration], table: Table, energy: float) -> go.Figure:
    """Draw the squared error over the threshold as SQNR, and what the search for the least of it chose.

    Args:
        curves: a search for each format, over more thresholds than those that a choice is made of.
        energy: mean of x².
    """
    traces, hover = [], tr("SQNR %{y:.2f} dB")
    for i, (name, curve) in enumerate(curves.items()):
        c = table["mse", name]
        with np.errstate(divide="ignore"):
            traces.append(_line(i, name, curve.thresholds / curve.largest, 10 * np.log10(energy / curve.losses), hover, "lines"))
        traces.append(_chosen(i, name, c.amax / c.largest, c.sqnr_db, hover))
    largest = parts.vertical(1.0, line={"color": theme.NEUTRAL, "width": 1.2, "dash": "dash"}, layer="below")
    return _over_thresholds(traces, {"title": tr("SQNR (dB)")}, [largest])


def divergence(table: Table, most_points: int = 640) -> go.Figure:
    """Draw what the search for the least divergence found; infinite ones are left out."""
    traces, hover = [], tr("divergence %{y:.5f}")
    for i, name in enumerate(_formats(table)):
        c = table["entropy", name]
        if not c.losses.size:
            continue
        usable = np.flatnonzero(np.isfinite(c.losses) & (c.losses > 0))
        thin = usable[:: max(1, -(-len(usable) // most_points))]
        traces.append(_line(i, name, c.thresholds[thin] / c.largest, c.losses[thin], hover, "markers"))
        best = float(c.losses[c.thresholds == c.amax][0])
        if best > 0:
            traces.append(_chosen(i, name, c.amax / c.largest, best, hover))
    return _over_thresholds(traces, {"title": tr("divergence (nats, log)"), "type": "log", "exponentformat": "power", "dtick": 1})


def _line(index: int, name: str, share: np.ndarray, losses: np.ndarray, hover: str, mode: str) -> dict:
    return {
        "type": "scatter", "x": share, "y": losses, "mode": mode, "name": _title(name), "line": {"color": theme.colour(name), "width": 2, "dash": theme.dash(index)},
        "marker": {"color": theme.colour(name), "symbol": theme.symbol(index), "size": 4},
        "hovertemplate": tr("threshold %{x:.4f} of the largest") + "<br>" + hover + f"<extra>{_title(name)}</extra>",
    }  # fmt: skip


def _chosen(index: int, name: str, share: float, loss: float, hover: str) -> dict:
    return {
        "type": "scatter", "x": [share], "y": [loss], "mode": "markers", "name": _title(name), "showlegend": False,
        "marker": {"color": theme.colour(name), "symbol": theme.symbol(index), "size": 12, "line": {"width": 1.5, "color": theme.NEUTRAL}},
        "hovertemplate": tr("chosen: threshold %{x:.4f} of the largest") + "<br>" + hover + f"<extra>{_title(name)}</extra>",
    }  # fmt: skip


def _over_thresholds(traces: list[dict], y: dict, shapes: Sequence[dict] = ()) -> go.Figure:
    powers = range(-12, 5)
    x = {"title": tr("threshold as a share of the largest |x|"), "type": "log", "tickvals": [2.0**k for k in powers], "ticktext": [f"1/{2**-k}" if k < 0 else str(2**k) for k in powers]}
    return go.Figure(traces, {"xaxis": x, "yaxis": y, "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "itemsizing": "constant"}, "shapes": shapes})


def delayed(steps: Sequence[DelayedStep], scaling: DelayedScaling, chosen: int) -> go.Figure:
    """Draw a run, three panels over the steps: amax and reach; SQNR; shares clipped and flushed. `chosen` is the step with the line."""
    x = [step.step for step in steps]
    amax = [step.amax if 0 < step.amax < np.inf else np.nan for step in steps]
    hover = [[step.step, step.amax, step.scale, step.reach, 100 * step.saturation, 100 * step.underflow, step.sqnr_db, step.current_sqnr_db, step.current_scale] for step in steps]
    sums = tr("step %{customdata[0]}: amax %{customdata[1]:.4g}<br>scale %{customdata[2]:.4g} · max") + f" {scaling.fmt.max:g} = " + tr("reach %{customdata[3]:.4g}<br>clipped %{customdata[4]:.3f} %, flushed %{customdata[5]:.3f} %")
    common = {"x": x, "customdata": hover, "hovertemplate": sums + "<extra></extra>"}
    first, second, third = (parts.inside(panel) for panel in (1, 2, 3))
    traces = [
        {"type": "scatter", "y": [step.reach for step in steps], "mode": "lines", "line": {"shape": "hvh", "color": theme.series(0), "width": 2.5}, "name": tr("reach: scale · max, from the past")} | common | first,
        {"type": "scatter", "y": amax, "mode": "lines+markers", "line": {"color": theme.NEUTRAL, "width": 1.5}, "marker": {"size": 5}, "name": tr("amax of the step")} | common | first,
    ]
    clipped = [step for step in steps if step.saturation > 0]
    if clipped:
        traces.append(common | {
            "type": "scatter", "x": [step.step for step in clipped], "y": [step.amax if step.amax < np.inf else step.reach for step in clipped], "mode": "markers", "name": tr("clipped step"),
            "marker": {"symbol": "x", "size": 10, "color": theme.FATE_COLOURS["saturated"]}, "customdata": [hover[x.index(step.step)] for step in clipped],
        } | first)  # fmt: skip
    for field, name, index, dash in (("current_sqnr_db", tr("SQNR, current scaling"), 2, "dot"), ("sqnr_db", tr("SQNR, delayed"), 0, "solid")):
        traces.append(common | {
            "type": "scatter", "y": np.minimum([getattr(step, field) for step in steps], 150), "mode": "lines+markers", "name": name, "line": {"color": theme.series(index), "width": 2, "dash": dash}, "marker": {"size": 4},
            "hovertemplate": tr("step %{customdata[0]}<br>delayed %{customdata[6]:.2f} dB, current %{customdata[7]:.2f} dB") + "<extra></extra>",
        } | second)  # fmt: skip
    for field, name, fate in (("underflow", tr("share flushed to zero"), "flushed"), ("saturation", tr("share clipped"), "saturated")):
        traces.append({"type": "bar", "y": [100 * getattr(step, field) for step in steps], "name": name, "marker": theme.fate(fate)} | common | third)
    over = {"range": [-0.8, max(x, default=0) + 0.8], "zeroline": False}
    axes = {
        "xaxis": over, "xaxis2": over, "xaxis3": over | {"title": tr("step")},
        "yaxis": {"title": tr("|x|, log"), "type": "log", "exponentformat": "power", "dtick": 1},
        "yaxis2": {"title": tr("SQNR (dB)")},
        "yaxis3": {"title": tr("share (%), log"), "type": "log", "range": [-2.2, 2.1], "dtick": 1, "exponentformat": "power"},
    }  # fmt: skip
    layout = parts.panels(axes, rows=3, cols=1, shared_xaxes=True, row_heights=(0.46, 0.27, 0.27), vertical_spacing=0.05)
    lines = [parts.vertical(chosen, panel, line={"color": theme.ACCENT, "width": 1.5, "dash": "dash"}, layer="below") for panel in (1, 2, 3)]
    layout |= {"height": 640, "barmode": "group", "bargap": 0.1, "legend": {"orientation": "h", "traceorder": "normal", "y": 1.02, "yanchor": "bottom", "x": 0}, "shapes": lines}
    return go.Figure(traces, layout)
