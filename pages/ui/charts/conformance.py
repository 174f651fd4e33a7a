"""Comparisons -> figure: families of formats and libraries of recipes against implementations."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from fp8core.conformance import ORACLES, CheckResult
from fp8core.formats import FAMILIES
from fp8core.recipes import LIBRARIES
from pages.ui.charts.cells import written
from pages.ui.language import told, tr

# Blue and vermilion stay apart for every kind of colour blindness; the symbols say the same without colour.
_STATES = {"passed": (1, "#2389D2", "✓"), "not installed": (2, "#9AA0A6", "○"), "failed": (3, "#D55E00", "✗")}
_ROW_PX = 30


def grid_figure(results: Sequence[CheckResult]) -> go.Figure:
    """Draw one cell per family and implementation: whether its members agree, and how many were compared; names and counts on hover."""
    oracles = [name for name in ORACLES if any(result.oracle == name for result in results)]
    families = _families(results)
    cells = [[_cell(names, oracle, results) for oracle in oracles] for names in families.values()]
    stops = [[edge, colour] for code, colour, _ in _STATES.values() for edge in ((code - 1) / 3, code / 3)]
    figure = go.Figure(
        written({
            "x": [name.replace("-", "-<br>") for name in oracles], "y": list(families), "z": [[cell[0] for cell in row] for row in cells], "text": [[cell[1] for cell in row] for row in cells], "customdata": [[cell[2] for cell in row] for row in cells],
            "hovertemplate": "%{y}, %{x}<br>%{customdata}<extra></extra>", "zmin": 0.5, "zmax": 3.5, "colorscale": stops, "showscale": False, "xgap": 3, "ygap": 3, "hoverongaps": False,
        }, 14)
    )  # fmt: skip
    figure.update_layout(height=90 + _ROW_PX * len(families), xaxis={"side": "top", "showgrid": False, "fixedrange": True, "type": "category", "tickangle": 0}, yaxis={"autorange": "reversed", "showgrid": False, "fixedrange": True, "type": "category"})
    return figure


def _families(results: Sequence[CheckResult]) -> dict[str, set[tuple[str, str]]]:
    """Label of a row -> its members as (kind, name), only those with something compared."""
    registered = {("format", fmt.name): tr(name) for name, family in FAMILIES.items() for fmt in family}
    registered |= {("recipe", recipe.name): tr("recipes: {library}").format(library=tr(name)) for name, library in LIBRARIES.items() for recipe in library}
    found: dict[str, set[tuple[str, str]]] = {}
    for result in results:
        if result.oracle:
            found.setdefault(registered.get((result.kind, result.subject), tr("formats of one's own")), set()).add((result.kind, result.subject))
    return found


def _cell(names: set[tuple[str, str]], oracle: str, results: Sequence[CheckResult]) -> tuple[int | None, str, str]:
    """Code, text and hover of one cell."""
    mine = [result for result in results if result.oracle == oracle and (result.kind, result.subject) in names]
    if not mine:
        return None, "", ""
    state = next(status for status in ("failed", "passed", "not installed") if any(result.status == status for result in mine))
    members = dict.fromkeys(result.subject for result in mine if result.compared or state == "not installed")
    lines = [f"{name}: {sum(r.compared for r in mine if r.subject == name):,} " + ("✗" if any(r.mismatches for r in mine if r.subject == name) else "") for name in members]
    hover = told(mine[0].note) if state == "not installed" else "<br>".join(lines[:30] + (["…"] if len(lines) > 30 else []))
    wrong = len({result.subject for result in mine if result.status == "failed"})
    code, _, symbol = _STATES[state]
    return code, f"{symbol} {wrong if wrong else len(members)}", hover
