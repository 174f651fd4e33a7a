"""Every granularity with every scale rule, and where in the tensor the scales and the errors are."""

from __future__ import annotations

import streamlit as st

from fp8core.quantized import SEED
from fp8core.recipes import Recipe
from fp8core.rules import GENERIC_RULES
from fp8core.scaling import GRANULARITIES
from pages.ui import frame, report_tables, snippets
from pages.ui import tensor_reports as work
from pages.ui.charts import scaling as charts
from pages.ui.language import sentences, told, tr
from pages.ui.tensor_reports import Chosen
from pages.ui.upload import as_text
from pages.ui.view import BY_HAND, View


def draw(view: View, chosen: Chosen, recipe: Recipe) -> None:
    """Draw the topic."""
    frame.heading(tr("{tensor}, {shape}: every granularity with every scale rule, in {format}").format(tensor=as_text(chosen.title), shape=" × ".join(map(str, chosen.x.shape)), format=told(recipe.fmt.title)))
    pairs = {(granularity, rule): work.chosen_recipe(view, granularity, rule) for granularity in GRANULARITIES for rule in GENERIC_RULES}
    reports = work.reports(chosen, pairs)
    by_hand = view.preset == BY_HAND
    marked = tr("The frame marks the pair chosen at the left.") if by_hand else tr("The recipe chosen at the left, {recipe}, is shown below: it need not be one of these pairs.").format(recipe=as_text(told(recipe.title)))
    note = sentences(
        tr("**What you see:** the ratio of signal to error for each pair; below it ↓ the share flushed to zero and ↑ the share clipped."), marked,
        tr("Rules that give a power of two differ in when they round up: floor clips, ceil and rceil do not."),
    )  # fmt: skip
    frame.figure(charts.matrix(reports, (view.granularity, view.rule) if by_hand else None), "matrix", note)
    _maps(chosen, recipe)
    frame.heading(tr("All pairs"))
    rows = report_tables.rows({pairs[pair].name: report for pair, report in reports.items()})
    named = [{tr("granularity"): tr(granularity), tr("rule"): rule} | row for (granularity, rule), row in zip(reports, rows, strict=True)]
    frame.table(named, "scaling_pairs")
    frame.explain(
        tr("What is a scale here?"),
        tr("Always the number that decoding multiplies with: x ≈ decode(code) · scale. Some libraries call its reciprocal the scale. amax is the largest magnitude of a block, max the largest number of the format, emax its binade. Scales cost memory: the last column of the table counts them."),
    )
    frame.copy_python(as_python(chosen, recipe, view))


def as_python(chosen: Chosen, recipe: Recipe, view: View) -> str:
    """The program that gives the numbers of the pair chosen, its maps, and all pairs."""
    each = work.chosen_recipe(view, "tensor", "amax")
    how = ", ".join(filter(None, (repr(each.format), snippets.scale(each.scaling, "fp8.GRANULARITIES[granularity]", "rule"), snippets.settings(each))))
    return work.as_python(chosen, recipe, f"""
from fp8core.distributions import maps
from fp8core.rules import GENERIC_RULES
print(maps(x, q))
for granularity in fp8.GRANULARITIES:
    for rule in GENERIC_RULES:
        r = fp8.measure(x, fp8.quantize(x, fp8.make_recipe({how}){snippets.seed(each, SEED)}))
        print(f"{{granularity}}, {{rule}}: {{r.sqnr_db:.3f}} dB, flushed {{100 * r.underflow:.4f}} %, saturated {{100 * r.saturation:.4f}} %, {{r.bits_per_value:.5f}} bits")
""")  # fmt: skip


def _maps(chosen: Chosen, recipe: Recipe) -> None:
    frame.heading(tr("Where the scales and the errors are: {recipe}").format(recipe=as_text(told(recipe.title))))
    report_tables.headline(chosen, recipe)
    pictures = work.in_cells(chosen, recipe)
    left, right = st.columns(2)
    cell = tr("One cell is {rows} × {columns} numbers.").format(rows=pictures.cell[0], columns=pictures.cell[1])
    with left:
        frame.figure(charts.scale_map(pictures), "scale_map", sentences(tr("**What you see:** the scale of each block, as a power of two. One colour means one scale for all; a bright row, column or block holds something large."), cell))
    with right:
        frame.figure(charts.error_map(pictures), "error_map", sentences(tr("**What you see:** how well each part of the tensor survives. Dark cells sit next to something large and share its scale."), cell))
