"""Figure -> the text that takes its place for those who do not see it."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import plotly.graph_objects as go

from pages.ui.language import tr

_MOST_NAMES = 8
_MARKUP = re.compile(r"\*\*|`|\\(?=\W)|</?[a-z]+/?>")
_COLOURED = re.compile(r":[a-z]+\[([^\]]*)\]")


def alternative(figure: go.Figure, note: str) -> str:
    """Say what is drawn over what, for which series, how far the numbers reach, and what the note below the figure says.

    Args:
        note: Markdown, already translated.
    """
    return " ".join(filter(None, (_drawn(figure), _series(figure), _reach(figure), plain(note))))


def plain(text: str) -> str:
    """Markdown or a figure's text as it is read aloud.

    >>> plain("**What you see:** 2<sup>k</sup>,&nbsp;`0x1D`")
    'What you see: 2^k, 0x1D'
    """
    return " ".join(_MARKUP.sub("", _COLOURED.sub(r"\1", html.unescape(text.replace("<sup>", "^").replace("<br>", " ")))).split())


def _drawn(figure: go.Figure) -> str:
    kinds = {"heatmap": tr("Table of colours"), "bar": tr("Bars"), "lines": tr("Lines"), "markers": tr("Points")}
    found = [each.type if each.type != "scatter" else "lines" if "lines" in (each.mode or "lines") else "markers" for each in figure.data if getattr(each, "mode", "") != "text"]
    kind = ", ".join(dict.fromkeys(kinds[each] for each in found)) or tr("Empty figure")
    across, up = (", ".join(dict.fromkeys(plain(axis.title.text) for axis in select() if axis.title.text)) for select in (figure.select_xaxes, figure.select_yaxes))
    if across and up:
        return tr("{kind}: {up} over {across}.").format(kind=kind, up=up, across=across)
    return tr("{kind}: {axis}.").format(kind=kind, axis=across or up) if across or up else f"{kind}."


def _series(figure: go.Figure) -> str:
    names = list(dict.fromkeys(plain(each.name) for each in figure.data if each.name))
    if len(names) < 2:
        return ""
    shown = ", ".join(names[:_MOST_NAMES])
    return tr("Shown: {names}.").format(names=shown) if len(names) <= _MOST_NAMES else tr("Shown: {names} and {count} more.").format(names=shown, count=len(names) - _MOST_NAMES)


def _reach(figure: go.Figure) -> str:
    """The smallest and the largest number drawn, where the axis that tells them is one of plain numbers."""
    if maps := [each for each in figure.data if each.type == "heatmap"]:
        told, values = maps[0].colorbar.tickvals is None and maps[0].showscale is not False, [each.z for each in maps]
        title = maps[0].colorbar.title.text
    else:
        flat = bool(figure.data) and figure.data[0].orientation == "h"
        axes = list(figure.select_xaxes() if flat else figure.select_yaxes())
        told = len(axes) == 1 and axes[0].tickvals is None and axes[0].visible is not False
        title, values = axes[0].title.text if told else "", [each.x if flat else each.y for each in figure.data]
    finite = _finite(values) if told and title else np.empty(0)
    return tr("{axis}: from {low} to {high}.").format(axis=plain(title), low=f"{finite.min():.4g}", high=f"{finite.max():.4g}") if finite.size else ""


def _finite(values: Iterable) -> np.ndarray:
    try:
        numbers = np.concatenate([np.ravel(_unpacked(each)).astype(np.float64) for each in values if each is not None])
    except ValueError:  # names of things
        return np.empty(0)
    return numbers[np.isfinite(numbers)]


def _unpacked(values: Any) -> np.ndarray:
    """An array of a figure, also of one that was copied: those are text in base 64."""
    return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]) if isinstance(values, dict) else np.asarray(values, object)
