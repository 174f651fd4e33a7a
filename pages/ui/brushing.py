"""Linked brushing: a stretch of the histogram, chosen by hand or in the link, that the table of codes and the errors follow."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st

from fp8core.grid import describe_code, exact_text
from fp8core.metrics import ErrorReport, measure
from fp8core.number import interval
from fp8core.quantized import SEED, quantize
from fp8core.recipes import Recipe
from fp8core.spans import Span, parse_span, part, within
from pages.ui import frame
from pages.ui import tensor_reports as work
from pages.ui.language import told, tr
from pages.ui.tensor_reports import Chosen
from pages.ui.view import View

MOST_CODES = 256
SELECTABLE = {"selection_mode": ("points", "box"), "config": {"modeBarButtonsToRemove": ["lasso2d", "autoScale2d"]}}


def take(key: str) -> None:
    """Callback of the histogram: the binades of the bars that were dragged over, or clicked with the tool for panning, become the span."""
    binades = [point["customdata"][0] for point in st.session_state[key].selection.points if point.get("customdata")]
    if binades:
        frame.change(span=str(Span(min(binades), max(binades) + 1)))


def draw(view: View, chosen: Chosen, recipe: Recipe) -> ErrorReport:
    """Draw the control and what is selected -> the report of the selected numbers, of all where nothing is."""
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    with left:
        span = parse_span(frame.control("span").span)
    report = selected(chosen, recipe, span)
    with right, st.container(horizontal=True, vertical_alignment="center"):
        if span is None:
            st.caption(tr("All numbers are selected. Drag over bars at the right above to look at theirs alone."))
        else:
            whole = chosen.x.numel()
            words = tr("Selected: 2^{low} ≤ |x| / scale < 2^{high}, {count:,} of {all:,} numbers").format(low=span.low, high=span.high, count=report.count, all=whole)
            frame.say(words, partial(st.badge, icon=":material/filter_alt:", color="blue"))
            st.button(tr("Clear the selection"), key="span_clear", icon=":material/close:", type="tertiary", on_click=frame.change, kwargs={"span": ""})
    return report


def selected(chosen: Chosen, recipe: Recipe, span: Span | None) -> ErrorReport:
    """Measure the numbers in the span; after their rotation where the recipe rotates."""
    return work.report(chosen, recipe) if span is None else work.ask(chosen, recipe, _measured, recipe, span)


def errors(chosen: Chosen, recipe: Recipe, bare: Recipe, span: Span | None) -> dict[str, ErrorReport]:
    """Reports of the same numbers with their scale and without one, by name."""
    found = {told(recipe.title): selected(chosen, recipe, span)}
    if span is None:
        return found | {tr("without scale"): work.report(chosen, bare)}
    if recipe.rotation == bare.rotation:  # else the numbers of one are not those of the other
        found[tr("without scale")] = work.ask(chosen, bare, _measured, recipe, span)
    return found


def codes(report: ErrorReport, recipe: Recipe) -> tuple[list[dict], int]:
    """One row per code that occurs, by value, the most frequent ones where there are many -> the rows, and how many codes are left out."""
    counts = report.code_histogram
    occurring = np.flatnonzero(counts)
    kept = occurring[np.argsort(-counts[occurring], kind="stable")][:MOST_CODES]
    total = max(int(counts.sum()), 1)
    headings = tr("code"), tr("bit pattern"), tr("value"), tr("exactly"), tr("x / scale that get it")
    rows = [dict(zip(headings, _meaning(int(code), recipe.format, recipe.rounding, recipe.overflow), strict=True)) | {tr("numbers"): int(counts[code]), tr("share (%)"): 100 * int(counts[code]) / total} for code in kept]
    return sorted(rows, key=lambda row: (row[tr("value")] != row[tr("value")], row[tr("value")])), len(occurring) - len(kept)


def table(report: ErrorReport, recipe: Recipe) -> None:
    """Draw the codes, what they mean, and how many of the selected numbers got each."""
    if not report.code_histogram.size:
        st.info(tr("Codes are counted for formats of at most 16 bits; {format} has {bits}.").format(format=told(recipe.fmt.title), bits=recipe.fmt.bits))
        return
    if not report.count:
        st.info(tr("No number lies in this stretch."))
        return
    rows, left_out = codes(report, recipe)
    frame.table(rows, "distribution_codes", height=380, column_config={tr("share (%)"): st.column_config.NumberColumn(format="%.4f")})
    if left_out:
        st.caption(tr("The {shown} most frequent codes; {count:,} more occur.").format(shown=MOST_CODES, count=left_out))


@st.cache_data(max_entries=4096, show_spinner=False)
def _meaning(code: int, fmt: str, rounding: str, overflow: str) -> tuple[str, str, float, str, str]:
    found, reach = describe_code(code, fmt), interval(code, fmt, rounding, overflow)
    return found.hex, found.bits, found.value, exact_text(found.value), "–" if reach is None else str(reach)


def _measured(x, q, recipe: Recipe, span: Span) -> ErrorReport:
    """The report of the numbers that the recipe's own quotients put into the span, in the form of `q`."""
    own = q if q.recipe == recipe else quantize(x, recipe, seed=SEED)
    return measure(*part(x, q, within(x, own, span)))
