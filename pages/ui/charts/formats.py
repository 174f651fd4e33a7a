"""Figures of the page "Which numbers exist?": the values of formats, their spacing, their codes. Report -> Figure."""

from __future__ import annotations

import math
import re
from functools import lru_cache

import numpy as np
import plotly.graph_objects as go

from fp8core.grid import Code, Spacing, describe_code, exact_text
from fp8core.number import interval
from fp8core.reinterpret import MEANINGS, Reinterpretation
from pages.ui.charts.cells import written
from pages.ui.language import told, tr
from pages.ui.number_tables import kind_word
from pages.ui.theme import FATE_COLOURS, colours, dash, symbol

AXES = ("log", "linear", "scaled", "binade")
_MOST_BINADES = 48
_MOST_IN_DETAIL = 16  # formats; of more, hover shows less of each value, as all of it would take a megabyte


def grid_figure(spacings: list[Spacing], axis: str) -> go.Figure:
    """The values of each format as ticks on one axis, or, with axis "binade", as dots in one row per binade."""
    return _binade_figure(spacings) if axis == "binade" else _axis_figure(spacings, axis)


def _axis_figure(spacings: list[Spacing], axis: str) -> go.Figure:
    figure, shades = go.Figure(), colours(s.name for s in spacings)
    for row, s in enumerate(spacings):
        kept = np.ones(s.values.size, bool) if s.complete else s.positions == 1
        values = s.values[kept] if axis == "log" else s.all_values if s.complete else np.concatenate([-s.values[kept][::-1], [0.0], s.values[kept]])
        share = s.values[-1] if axis == "scaled" else 1.0
        if axis == "linear":
            values = values[np.abs(values) <= _farthest(spacings)]
        figure.add_scatter(
            x=(values / share).astype(np.float64), y=np.full(values.size, row), mode="markers", name=told(s.title), showlegend=False,
            marker={"symbol": "line-ns", "opacity": 1, "size": [14 if value and abs(value) < s.min_normal else 26 for value in values], "line": {"width": 1.6, "color": shades[s.name]}},
            customdata=[_value_text(s, value) if len(spacings) <= _MOST_IN_DETAIL else raised(exact_text(float(value))) for value in values],
            hovertemplate="%{customdata}<extra>" + told(s.title) + "</extra>",
        )  # fmt: skip
    names = [f"<b>{told(s.title)}</b><br>{_shown(s, axis)}" for s in spacings]
    figure.update_yaxes(tickvals=list(range(len(spacings))), ticktext=names, range=[len(spacings) - 0.5, -0.5], showgrid=False, zeroline=False)
    figure.update_layout(height=130 + 74 * len(spacings), margin={"l": 10, "r": 20, "t": 20, "b": 60}, hovermode="closest")
    _number_axis(figure, spacings, axis)
    return figure


def _number_axis(figure: go.Figure, spacings: list[Spacing], axis: str) -> None:
    if axis == "log":
        low = min(int(s.binades[0]) for s in spacings)
        high = max(int(s.binades[-1]) for s in spacings) + 1
        exponents = _marks(low, high, 16)
        figure.update_xaxes(type="log", tickvals=[2.0**e for e in exponents], ticktext=[f"2<sup>{e}</sup>" for e in exponents],
                            range=[math.log10(2) * (low - 0.7), math.log10(2) * (high + 0.2)], title=tr("value (positive half), every doubling equally wide"))  # fmt: skip
    elif axis == "scaled":
        figure.update_xaxes(range=[-1.04, 1.04], title=tr("value as a share of the format's largest value, which is where scaling puts amax"))
    else:
        reach = 1.04 * min(float(s.values[-1]) for s in spacings)
        whole = all(max(s.values[-1], np.abs(s.negative).max(initial=0.0)) <= _farthest(spacings) for s in spacings)
        figure.update_xaxes(range=[-reach, reach], title=tr("value; drag to zoom, double-click to see every format whole") if whole else tr("value; drag to zoom, double-click to see more. What lies a million times farther out is left out"))


def _farthest(spacings: list[Spacing]) -> float:
    """The largest magnitude that a linear axis draws: browsers cannot place a mark at 2^127 on an axis that ends at 1."""
    return 2.0**20 * min(float(s.values[-1]) for s in spacings)


def _binade_figure(spacings: list[Spacing]) -> go.Figure:
    figure, shades = go.Figure(), colours(s.name for s in spacings)
    for at, s in enumerate(spacings):
        offset = (0.5 - (at + 0.5) / len(spacings)) * 0.8
        draw = _binade_dots if s.complete else _binade_bands
        figure.add_trace(draw(s, offset, symbol(at), shades[s.name], len(spacings) <= _MOST_IN_DETAIL))
    low, high = _binade_range(spacings)
    rows = _marks(low, high, 24)
    figure.update_xaxes(title=tr("place within the binade: value / 2<sup>binade</sup>"), range=[0.97, 2.03], tickvals=[1 + k / 8 for k in range(9)],
                        ticktext=["1", "1⅛", "1¼", "1⅜", "1½", "1⅝", "1¾", "1⅞", "2"])  # fmt: skip
    figure.update_yaxes(title=tr("binade (values from here up to twice this)"), range=[low - 0.7, high + 0.7], zeroline=False,
                        tickvals=rows, ticktext=[f"2<sup>{e}</sup>" for e in rows])  # fmt: skip
    figure.update_layout(height=min(max(320, 150 + (high - low + 1) * (8 + 7 * len(spacings))), 1100), hovermode="closest",
                         margin={"l": 10, "r": 20, "t": 40, "b": 60}, legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0})  # fmt: skip
    return figure


def _binade_dots(s: Spacing, offset: float, symbol: str, shade: str, detailed: bool) -> go.Scatter:
    return go.Scatter(
        x=s.positions, y=s.binades + offset, mode="markers", name=told(s.title), marker={"size": 6, "symbol": symbol, "color": shade},
        customdata=[_value_text(s, value, detailed) for value in s.values], hovertemplate="%{customdata}<extra>" + told(s.title) + "</extra>",
    )  # fmt: skip


def _binade_bands(s: Spacing, offset: float, symbol: str, shade: str, detailed: bool) -> go.Scatter:
    x, y, text = [], [], []
    for binade in np.unique(s.binades):
        inside = s.binades == binade
        x += [float(s.positions[inside].min()), float(s.positions[inside].max()), None]
        y += [float(binade) + offset] * 3
        text += [tr("{count} values in this binade").format(count=int(s.per_binade[inside][0]))] * 3
    return go.Scatter(x=x, y=y, mode="lines", name=told(s.title), line={"width": 4, "color": shade}, customdata=text,
                      hovertemplate="%{customdata}<extra>" + told(s.title) + "</extra>")  # fmt: skip


def _binade_range(spacings: list[Spacing]) -> tuple[int, int]:
    """The binades shown at first: those of the fully drawn formats, no more than a screen has room for."""
    drawn = [s for s in spacings if s.complete and s.values.size and np.ptp(s.binades) < _MOST_BINADES] or spacings
    low, high = min(int(s.binades[0]) for s in drawn), max(int(s.binades[-1]) for s in drawn)
    return (low, high) if high - low < _MOST_BINADES else (max(low, -_MOST_BINADES // 2), min(high, _MOST_BINADES // 2))


def spacing_figure(spacings: list[Spacing], relative: bool) -> go.Figure:
    """Distance from each value to the next one over the value, both in doublings; relative: as a share of the value.

    The binades shown at first are those of `_binade_range`: a 16-bit format would otherwise leave the others no room.
    """
    figure, shades = go.Figure(), colours(s.name for s in spacings)
    low, high = _binade_range(spacings)
    heights = []
    for at, s in enumerate(spacings):
        steps = (s.relative if relative else s.steps)[:-1]
        heights.append(np.log2(steps[(s.binades[:-1] >= low) & (s.binades[:-1] <= high)]))
        figure.add_scatter(
            x=np.log2(s.values[:-1]), y=np.log2(steps), name=told(s.title), mode="lines+markers" if s.complete else "lines",
            line={"width": 2, "color": shades[s.name], "dash": dash(at), "shape": "linear" if relative else "hv"}, marker={"size": 5, "symbol": symbol(at)},
            customdata=[_step_text(value, step) for value, step in zip(s.values[:-1], s.steps[:-1], strict=True)],
            hovertemplate="%{customdata}<extra>" + told(s.title) + "</extra>",
        )  # fmt: skip
    title = tr("distance to the next value, as a share of the value") if relative else tr("distance to the next value")
    heights = np.concatenate(heights) if any(part.size for part in heights) else np.zeros(1)
    _power_ticks(figure.update_xaxes, low, high + 1, tr("value"), share=False)
    _power_ticks(figure.update_yaxes, heights.min(), heights.max(), title, share=relative)
    figure.update_layout(height=430, hovermode="closest", margin={"l": 10, "r": 20, "t": 40, "b": 60}, legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0})
    return figure


def _power_ticks(update, low: float, high: float, title: str, *, share: bool) -> None:
    marks = _marks(math.floor(low), math.ceil(high), 12)
    texts = [f"{100 * 2.0**e:.3g} %" if share else f"2<sup>{e}</sup>" for e in marks]
    update(tickvals=marks, ticktext=texts, range=[low - 0.04 * (high - low) - 0.1, high + 0.04 * (high - low) + 0.1], title=title, zeroline=False)


def code_figure(table: tuple[Code, ...], dark: bool) -> go.Figure:
    """All codes of a format of at most 8 bits: rows by the leading bits, columns by the last four; colour by sign and binade."""
    columns = min(16, len(table))  # a power of two, as the number of codes is
    rows = len(table) // columns
    figure = go.Figure(
        written({
            "z": np.array(_shades(table)).reshape(rows, columns), "zmin": -1, "zmax": 1, "colorscale": _SHADES["dark" if dark else "light"], "showscale": False, "xgap": 2, "ygap": 2, "hoverongaps": True,
            "text": np.array([_short(row.value) for row in table]).reshape(rows, columns),
            "customdata": np.array([_code_text(row) for row in table]).reshape(rows, columns), "hovertemplate": "%{customdata}<extra></extra>",
        }, 12)
    )  # fmt: skip
    figure.update_xaxes(title=tr("last four bits (hexadecimal)"), tickvals=list(range(columns)), ticktext=[f"{c:X}" for c in range(columns)], side="top", showgrid=False, zeroline=False)
    figure.update_yaxes(title=tr("leading bits") if rows > 2 else None, showticklabels=rows > 1, tickvals=list(range(rows)), ticktext=[f"{r:X}_" for r in range(rows)], autorange="reversed", showgrid=False, zeroline=False)
    figure.update_layout(height=110 + 34 * rows, margin={"l": 10, "r": 10, "t": 70, "b": 10})
    return figure


_SHADES = {
    "light": [[0, "#6baed6"], [0.49, "#eff6fb"], [0.5, "#ffffff"], [0.51, "#fff4e8"], [1, "#fd9a4a"]],
    "dark": [[0, "#1f6fa8"], [0.49, "#15232f"], [0.5, "#0e1117"], [0.51, "#2d2013"], [1, "#b45d11"]],
}


_MARKS = "½×!∙"  # of the kinds in `MEANINGS`, for those who do not see the colours


def reading_figure(found: Reinterpretation, chosen: int) -> go.Figure:
    """All bytes of two formats: 16 × 16, coloured by what the second reading makes of the first; the chosen byte in a frame."""
    kinds = list(MEANINGS)
    place = np.array([kinds.index(meaning) for meaning in found.meanings]).reshape(-1, 16)
    texts = [f"<b>0x{code:02X}</b><br>{told(found.first.title)}: {raised(exact_text(float(a)))}<br>{told(found.second.title)}: {raised(exact_text(float(b)))}" for code, (a, b) in enumerate(zip(found.first.values, found.second.values, strict=True))]
    colours = [FATE_COLOURS["normal"], FATE_COLOURS["saturated"], FATE_COLOURS["flushed"], FATE_COLOURS["lost"]]
    steps = [[(at + edge) / len(kinds), colours[at]] for at in range(len(kinds)) for edge in (0, 1)]
    figure = go.Figure(written({"z": place, "zmin": -0.5, "zmax": len(kinds) - 0.5, "colorscale": steps, "showscale": False, "xgap": 2, "ygap": 2, "customdata": np.array(texts).reshape(-1, 16), "hovertemplate": "%{customdata}<extra></extra>",
                                  "text": np.array(list(_MARKS))[place]}, 12))  # fmt: skip
    names = {"half": tr("half"), "number_becomes_nan": tr("number → NaN"), "special_becomes_number": tr("NaN, ∞ → number"), "other": tr("other")}
    for at, kind in enumerate(kinds):
        if found.count(kind):
            figure.add_scatter(x=[None], y=[None], mode="markers", name=f"{_MARKS[at]} {names[kind]}", marker={"symbol": "square", "size": 12, "color": colours[at]})
    row, column = divmod(chosen, 16)
    figure.add_shape(type="rect", x0=column - 0.5, x1=column + 0.5, y0=row - 0.5, y1=row + 0.5, line={"width": 3.5, "color": "#F0E442"})
    figure.update_xaxes(title=tr("last four bits (hexadecimal)"), tickvals=list(range(16)), ticktext=[f"{c:X}" for c in range(16)], range=[-0.5, 15.5], showgrid=False, zeroline=False)
    figure.update_yaxes(title=tr("leading bits"), tickvals=list(range(16)), ticktext=[f"{r:X}_" for r in range(16)], range=[15.5, -0.5], showgrid=False, zeroline=False)
    figure.update_layout(height=400, legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0}, hovermode="closest")
    return figure


def _shades(table: tuple[Code, ...]) -> list[float]:
    """Colour coordinates from -1 to 1: the sign of each value, stronger with its binade; NaN, a gap, for infinity and NaN."""
    magnitudes = [math.log2(abs(row.value)) for row in table if row.value and math.isfinite(row.value)]
    low, span = min(magnitudes), max(max(magnitudes) - min(magnitudes), 1.0)
    return [
        math.nan if not math.isfinite(row.value) else 0.0 if row.value == 0 else math.copysign(0.1 + 0.9 * (math.log2(abs(row.value)) - low) / span, row.value)
        for row in table
    ]  # fmt: skip


def _short(value: float) -> str:
    """A number for a small cell: exact where that takes at most six characters or is a power of two, else three digits."""
    text = exact_text(value, 6)
    if re.fullmatch(r"-?2\^-?\d+", text):
        return raised(text)
    return f"{value:.3g}" if "·" in text else text


def _code_text(row: Code) -> str:
    return raised(f"<b>{row.hex}</b> = {row.bits}<br>{row.arithmetic}<br>{kind_word(row.kind)}")


def _value_text(s: Spacing, value: float, detailed: bool = True) -> str:
    at = np.searchsorted(s.values, value)
    if at < s.values.size and s.values[at] == value:
        row = describe_code(int(s.codes[at]), s.name)
        reach = "<br>" + tr("rounded to it: {interval}").format(interval=_interval(int(s.codes[at]), s.name)) if detailed else ""
        return raised(f"{row.arithmetic}<br>{row.hex} = {row.bits}, {kind_word(row.kind)}{reach}")
    return raised(exact_text(float(value)))


@lru_cache(maxsize=4096)
def _interval(code: int, name: str) -> str:
    return str(interval(code, name))


def _step_text(value: float, step: float) -> str:
    return raised(f"{exact_text(float(value))} → {exact_text(float(value + step))}<br>{exact_text(float(step))} = {step / value:.3%}")


def _shown(s: Spacing, axis: str) -> str:
    if not s.complete:
        return tr("powers of two only")
    if axis != "log":
        return tr("all {count} values").format(count=s.all_values.size)
    return tr("1 positive value") if s.values.size == 1 else tr("all {count} positive values").format(count=s.values.size)


def _marks(low: int, high: int, most: int) -> list[int]:
    """Multiples of 1, 2, 4, 8 … between two exponents, about so many."""
    stride = 1 << max(0, math.ceil(math.log2(max(high - low, 1) / most)))
    return list(range(-(-low // stride) * stride, high + 1, stride))


def raised(text: str) -> str:
    """A text with its powers as superscripts, which figures show: 2^-9."""
    return re.sub(r"\^(-?\d+|\(.*?\))", r"<sup>\1</sup>", text)
