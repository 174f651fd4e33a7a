"""How figures look: one colour per format, one Plotly template for light and dark, one stylesheet. No Streamlit.

Families of formats share a hue, from the middle of the scale so that they stand out on white and on near-black. The colours of the first member of each family,
of series and of fates are at least ΔE 10 apart also for a colour-blind reader; what shares a figure has a symbol, a dash or a pattern besides, for which there is no colour at all.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import plotly.graph_objects as go

ACCENT = "#D55E00"
NEUTRAL = "#808080"
SEQUENTIAL = "Viridis"
DIVERGING = "RdBu"

FORMAT_COLOURS = {
    "float32": "#808080", "tfloat32": "#A0894F", "bfloat16": "#1E7B5A", "float16": "#55B266",
    "e4m3fn": "#2389D2", "e4m3": "#49A5E0", "e4m3fnuz": "#4A68C8", "e4m3b11fnuz": "#8298E2", "e3m4": "#22A3B3",
    "e5m2": "#D55E00", "e5m2fnuz": "#EF8F55",
    "e3m2fn": "#A5489B", "e2m3fn": "#CC79A7", "e2m1fn": "#6C51C2",
    "int8": "#CFA04A", "int4": "#B5790A", "mxint8": "#DDAA33",
    "e8m0fnu": "#9C6B4A", "ue4m3": "#B98B66", "ue5m3": "#7D5A44",
    "hif8": "#7A9A01", "nf4": "#94447E", "e1m2b1fn": "#AC93E6",
    "int2": "#8F6A1E", "int3": "#A3741A", "int5": "#C0850F", "int6": "#CC890A", "int7": "#D38B05",
}  # fmt: skip

FATE_COLOURS = {"flushed": "#C2609A", "subnormal": "#55BDEB", "normal": "#2389D2", "saturated": "#D55E00", "lost": "#5C646C"}
_FATE_PATTERNS = {"flushed": "/", "subnormal": ".", "normal": "", "saturated": "x", "lost": "-"}

_SERIES = ("#2389D2", "#D55E00", "#6C51C2", "#C97EA7", "#A89274", "#386B7A", "#5B7354", "#808080")
_SYMBOLS = (
    "circle", "diamond", "square", "triangle-up", "x", "cross", "triangle-down", "pentagon",
    "hourglass", "bowtie", "triangle-left", "triangle-right", "diamond-tall", "hexagon", "star-square", "star-triangle-up",
)  # fmt: skip
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_OTHER_COLOURS = ("#5B8FA8", "#B5533C", "#3E9C8F", "#B08900", "#A07CC5", "#6C7A89", "#A3A380", "#6E8B3D")
_INKS = {(False, False): "#262C38", (True, False): "#E3E7EE", (False, True): "#000000", (True, True): "#FFFFFF"}
_HEIGHT = 450  # Plotly's, where a figure names none
_FONT = '"Source Sans", "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif'

LARGE = 1.35
# What grows with the type for a projector, by the part of a figure that it stands in; "font" stands for every font.
_GROWS = {"layout": ("height",), "font": ("size",), "marker": ("size",), "line": ("width",), "margin": ("l", "r", "t", "b"), "annotation": ("xshift", "yshift"), "title": ("standoff",)}


def colour(format_name: str) -> str:
    """The colour of a format; formats without one of their own take another by their name, always the same."""
    return FORMAT_COLOURS.get(format_name) or _OTHER_COLOURS[zlib.crc32(format_name.encode()) % len(_OTHER_COLOURS)]


def colours(format_names: Iterable[str]) -> dict[str, str]:
    """The colours of formats in one figure: where two would have the same, the later one takes one that is free."""
    found: dict[str, str] = {}
    for name in format_names:
        free = (each for each in (colour(name), *_OTHER_COLOURS, *_SERIES) if each not in found.values())
        found[name] = next(free, colour(name))
    return found


def series(index: int) -> str:
    """The colour of the n-th of several things that have none of their own; the ninth repeats the first."""
    return _SERIES[index % len(_SERIES)]


def symbol(index: int) -> str:
    """The marker of the n-th of several things; the seventeenth repeats the first."""
    return _SYMBOLS[index % len(_SYMBOLS)]


def dash(index: int) -> str:
    """The line of the n-th of several things; the seventh repeats the first."""
    return _DASHES[index % len(_DASHES)]


def fate(key: str) -> dict:
    """The marker of bars of a fate: its colour, and a pattern for those who do not see the colour."""
    return {"color": FATE_COLOURS[key], "pattern": {"shape": _FATE_PATTERNS[key], "fillmode": "overlay", "fgcolor": "#FFFFFF", "fgopacity": 0.75, "size": 6, "solidity": 0.25}}


def stylesheet(grey: str, paper: str) -> str:
    """CSS for what the theme of the page has no setting for.

    Args:
        grey: the colour of quiet text; Streamlit's own captions are paler than 4.5 : 1.
        paper: the colour behind the page, and of text on its primary colour; Streamlit writes white there on any blue.
    """
    return f"""<style>
[data-testid="stMultiSelectTagsContainer"] [data-tag], button[kind="primary"] {{ color: {paper}; }}
[data-testid="stMultiSelectTagsContainer"] [data-tag] * {{ color: inherit; }}
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p {{ color: {grey}; opacity: 1; }}
[data-testid="stMarkdown"] p code {{ white-space: nowrap; }}
.st-key-lessons_choices button p {{ font-size: 1.2rem; }}
[data-testid="stMetricValue"] {{ font-size: 1.7rem; }}
.st-key-question h2 {{ font-size: 1.25rem; font-weight: 600; padding: 0.25rem 0 0.5rem; }}
</style>"""


def styled(figure: go.Figure, dark: bool = False, large: bool = False) -> go.Figure:
    """Give a figure this project's template and return it; `frame.figure` does so with the visitor's theme.

    Args:
        large: with the type and the contrast for a projector, as `enlarged` makes figures for it.
    """
    return figure.update_layout(template=_template(dark, large))


def enlarged(figure: go.Figure) -> go.Figure:
    """Return a copy for a projector: taller, and all that has a size of its own is larger by as much as the template's type."""
    drawn = figure.to_plotly_json()
    layout = {"height": _HEIGHT} | drawn["layout"]
    layout.pop("template", None)
    return go.Figure([_grown(trace, "trace") for trace in drawn["data"]], _grown(layout, "layout"))


def _grown(node: dict[str, Any], part: str) -> dict[str, Any]:
    grown = dict(node)
    for key, value in node.items():
        if key in _GROWS.get(part, ()) and value is not None:
            grown[key] = value * LARGE if isinstance(value, int | float) else [each * LARGE for each in value]
        elif isinstance(value, dict):
            grown[key] = _grown(value, "font" if key.endswith("font") else key)
        elif key in ("annotations", "shapes"):
            grown[key] = [_grown(each, key[:-1]) for each in value]
    return grown


@lru_cache(maxsize=4)
def _template(dark: bool, large: bool) -> go.layout.Template:
    size = LARGE if large else 1
    ink, paper, ground = _INKS[dark, large], *(("#1B2029", "#12161D") if dark else ("#FFFFFF", "#FFFFFF"))
    grid, line, zero = (f"rgba(128,128,128,{strength * size:.3g})" for strength in (0.22, 0.6, 0.45))
    axis = {
        "automargin": True, "gridcolor": grid, "zerolinecolor": zero, "linecolor": line,
        "ticks": "outside", "tickcolor": line, "title": {"font": {"size": 15 * size}, "standoff": 12 * size}, "tickfont": {"size": 14 * size},
    }  # fmt: skip
    layout = go.Layout(
        font={"family": _FONT, "size": 15 * size, "color": ink}, paper_bgcolor=ground, plot_bgcolor="rgba(0,0,0,0)", colorway=_SERIES,
        margin={"l": 12, "r": 16, "t": 36 * size, "b": 12, "pad": 0}, xaxis=axis, yaxis=axis, hovermode="closest", hoverdistance=40,
        hoverlabel={"font": {"family": _FONT, "size": 14 * size, "color": ink}, "bgcolor": paper, "bordercolor": line, "align": "left"},
        legend={"font": {"size": 14 * size}, "bgcolor": "rgba(0,0,0,0)", "title": {"font": {"size": 14 * size}}}, coloraxis={"colorbar": {"outlinewidth": 0}},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "rgba(128,128,128,0.7)", "activecolor": ink}, separators=". ",
    )  # fmt: skip
    bar = {"outlinewidth": 0, "tickfont": {"size": 13 * size}, "title": {"font": {"size": 14 * size}}}
    return go.layout.Template(layout=layout, data={"heatmap": [{"colorbar": bar}], "bar": [{"marker": {"line": {"width": 0}}, "error_x": {"color": ink}}]})
