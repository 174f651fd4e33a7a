"""Parts of figures as dicts, so that a figure is put together in one step: `go.Figure(traces, layout)`.

Plotly's own way, `make_subplots` and then a call for each trace, axis, line and word, checks what is there already once more at every call:
a figure with forty lines across it takes half a second that way, and a few milliseconds this way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from plotly.subplots import make_subplots


def vertical(x: float, panel: int = 1, **shape: Any) -> dict:
    """A line over the whole height of a panel."""
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "xref": f"x{_number(panel)}", "yref": f"y{_number(panel)} domain"} | shape


def horizontal(y: float, panel: int = 1, **shape: Any) -> dict:
    """A line over the whole width of a panel."""
    return {"type": "line", "x0": 0, "x1": 1, "y0": y, "y1": y, "xref": f"x{_number(panel)} domain", "yref": f"y{_number(panel)}"} | shape


def upright_band(x0: float, x1: float, panel: int = 1, **shape: Any) -> dict:
    """A filled stretch of the horizontal axis, over the whole height of a panel."""
    return vertical(x0, panel, type="rect", x1=x1, line={"width": 0}) | shape


def level_band(y0: float, y1: float, panel: int = 1, **shape: Any) -> dict:
    """A filled stretch of the vertical axis, over the whole width of a panel."""
    return horizontal(y0, panel, type="rect", y1=y1, line={"width": 0}) | shape


def words(text: str, x: Any, y: Any, **annotation: Any) -> dict:
    """A text without an arrow."""
    return {"text": text, "x": x, "y": y, "showarrow": False} | annotation


def inside(panel: int) -> dict:
    """What puts a trace into a panel."""
    return {"xaxis": f"x{_number(panel)}", "yaxis": f"y{_number(panel)}"}


def panels(axes: dict[str, dict], **arrangement: Any) -> dict:
    """The layout of several panels, counted row by row from 1: their axes as `make_subplots(**arrangement)` places them, with more said of each.

    Args:
        axes: {"xaxis2": what is said of the horizontal axis of the second panel, …}.
        arrangement: lists as tuples.
    """
    layout = {name: dict(part) if isinstance(part, dict) else list(part) for name, part in _arranged(**arrangement).items()}
    return layout | {name: layout[name] | said for name, said in axes.items()}


@lru_cache(maxsize=16)
def _arranged(**arrangement: Any) -> dict:
    layout = make_subplots(**{name: list(value) if isinstance(value, tuple) else value for name, value in arrangement.items()}).to_dict()["layout"]
    return {name: part for name, part in layout.items() if name != "template"}


def _number(panel: int) -> str:
    return "" if panel == 1 else str(panel)
