"""Rows against columns, flat blocks against square ones: why a weight and its transpose disagree."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from fp8core.compare import values_apart
from fp8core.directions import directions, transposed
from fp8core.metrics import ErrorReport, measure
from fp8core.quantized import SEED, QuantizedTensor, quantize
from fp8core.recipes import Recipe, make_recipe
from fp8core.scaling import ScaleSpec
from pages.ui import frame, snippets
from pages.ui import tensor_reports as work
from pages.ui.charts import directions as charts
from pages.ui.language import sentences, told, tr
from pages.ui.number_tables import percent
from pages.ui.tensor_reports import Chosen
from pages.ui.upload import as_text
from pages.ui.view import View

SIDES = (16, 32, 128)
MOST_NUMBERS = 1 << 18  # of one tensor, which all shapes share
SHAPES = {"rows": lambda side: (1, side), "columns": lambda side: (side, 1), "square": lambda side: (side, side)}
ELEMENTS = {"e4m3fn": "E4M3", "e5m2": "E5M2", "e2m1fn": "E2M1", "nvfp4": "E2M1, two levels", "int8": "INT8", "int4": "INT4"}


def draw(view: View, chosen: Chosen, recipe: Recipe) -> None:
    """Draw the topic."""
    if recipe.rotation:
        st.info(tr("A rotation turns the numbers of a row into each other, so that it has a direction of its own: rows and columns are compared without it."))
        recipe = replace(recipe, rotation="")
    _both_ways(chosen, recipe)
    _flat_and_square(view, chosen)
    frame.explain(
        tr("Why does a weight disagree with its transpose?"),
        tr(
            "A product adds along its inner axis, and hardware wants one scale for the numbers that are added together. The forward pass adds along the rows of a weight, the backward pass along its columns: "
            "blocks of 1 × n must be cut twice, once from the weight and once from its transpose, and the same number comes out differently. The gradient then belongs to a weight that the forward pass never saw. "
            "Square blocks, or one scale for all, are the same both ways; their blocks hold more numbers, so that each follows its amax less closely."
        ),
    )  # fmt: skip
    frame.copy_python(as_python(chosen, recipe, view))


def _both_ways(chosen: Chosen, recipe: Recipe) -> None:
    other = transposed(recipe)
    frame.heading(tr("{recipe}, on the tensor and on its transpose").format(recipe=as_text(told(recipe.title))))
    if other == recipe:
        st.info(tr("This scaling has no direction: rows and columns give the same numbers. Choose one scale per row, or per block of 1 × n, to see a difference."))
        st.button(tr("One scale per block of 1 × 32"), on_click=frame.change, kwargs={"granularity": "1x32"}, key="directions_1x32")
        return
    found = work.ask(chosen, recipe, _directions)
    left, right = st.columns(2)
    with left:
        frame.figure(
            charts.gap(found),
            "direction_gap",
            tr("**What you see:** the largest difference between the two in each part of the tensor, in per cent of the tensor's rms. One cell is {rows} × {columns} numbers.").format(rows=found.cell[0], columns=found.cell[1]),
        )
    with right:
        frame.metrics([(tr("Numbers that differ"), percent(found.difference.share), tr("Share of all elements whose value after dequantizing depends on the direction."))])
        pairs = ((tr("along rows"), recipe, found.along_rows), (tr("along columns"), other, found.along_columns))
        frame.table([_row({tr("scales"): name}, each, report) for name, each, report in pairs], "both_directions")


def _directions(x, q: QuantizedTensor):
    return directions(x, q.recipe, seed=SEED)


def _row(head: dict, recipe: Recipe, report, differ: float | None = None) -> dict:
    block = told(recipe.scaling.granularity.replace("x", " × ")) if recipe.scaling else "–"
    row = head | {tr("block"): block, tr("SQNR (dB)"): round(report.sqnr_db, 2), tr("flushed (%)"): round(100 * report.underflow, 4), tr("bits per number"): round(report.bits_per_value, 4)}
    return row if differ is None else row | {tr("differ from the transpose (%)"): round(100 * differ, 2)}


def shaped(view: View) -> dict[tuple[int, str, str], Recipe]:
    """Every element format in every block shape, with the rule and the scale format of the controls -> {(side, element, shape): recipe}."""
    return {(side, element, shape): _recipe(view, element, block(side)) for side in SIDES for element in ELEMENTS for shape, block in SHAPES.items()}


def _recipe(view: View, element: str, block: tuple[int, int]) -> Recipe:
    if element == "nvfp4":
        return make_recipe("e2m1fn", ScaleSpec(block, "amax", "e4m3fn_float32"), view.rounding, view.overflow)
    return make_recipe(element, ScaleSpec(block, view.rule, view.scale_format), view.rounding, view.overflow)


def _both_reports(x, q: QuantizedTensor) -> tuple[ErrorReport, ErrorReport, float]:
    """The report of a recipe, that of its transpose, and the share of the elements that differ between the two."""
    other, along_rows = transposed(q.recipe), measure(x, q)
    if other == q.recipe:
        return along_rows, along_rows, 0.0
    turned = quantize(x, other, seed=SEED)
    return along_rows, measure(x, turned), values_apart(q, turned) / max(x.numel(), 1)


def _flat_and_square(view: View, chosen: Chosen) -> None:
    frame.heading(tr("Flat blocks against square ones"))
    chosen = work.first_rows(chosen, MOST_NUMBERS)
    recipes = {key: recipe for key, recipe in shaped(view).items() if key[2] != "columns"}
    found = work.reports(chosen, recipes, lambda chosen, recipe: work.ask(chosen, recipe, _both_reports))
    reports = {(side, element, shape): found[side, element, "rows"][1] if shape == "columns" else found[side, element, shape][0] for side in SIDES for element in ELEMENTS for shape in SHAPES}
    names = {element: tr(name) for element, name in ELEMENTS.items()}
    frame.figure(
        charts.shapes(reports, names),
        "block_shapes",
        sentences(
            tr("**What you see:** square blocks usually lie further left: one scale for n² numbers fits each of them less well than one for n. What they buy is that the transpose is quantized to the same numbers, and a fraction of the scales to store. The rule and the scale format are those at the left; two levels are an E4M3 scale per block and an FP32 scale for all, as in NVFP4."),
            tr("Measured on {count} numbers.").format(count=f"{chosen.x.numel():,}"),
        ),
    )
    rows = [_row({tr("element"): names[element], "n": side}, recipe, report, differ) for ((side, element, _), recipe), (report, _, differ) in zip(recipes.items(), found.values(), strict=True)]
    frame.table(rows, "block_shapes_compared", height=420)


def as_python(chosen: Chosen, recipe: Recipe, view: View) -> str:
    """The program that gives the numbers of both directions, and of flat blocks against square ones."""
    seed = snippets.seed(recipe, SEED)
    both = f"""
import fp8core as fp8
from fp8core.directions import directions
found = directions(x, {snippets.recipe(recipe)}{seed})
print(f"{{100 * found.difference.share:.3f}} % of the numbers differ")
for way, r in {{"along rows": found.along_rows, "along columns": found.along_columns}}.items():
    print(f"{{way}}: {{r.sqnr_db:.2f}} dB, flushed {{100 * r.underflow:.4f}} %, {{r.bits_per_value:.4f}} bits")
"""
    part = work.first_rows(chosen, MOST_NUMBERS)
    cut = f"x = x[:{part.x.shape[0]}]" if part is not chosen else ""
    how = ", ".join(filter(None, ("element", "fp8.ScaleSpec(block, rule, scale_format)", snippets.settings(_recipe(view, "int8", (1, 16))))))
    elements = dict.fromkeys(ELEMENTS, (view.rule, view.scale_format)) | {"nvfp4": ("amax", "e4m3fn_float32")}
    return snippets.program(chosen.code, both, cut, f"""
for side in {SIDES}:
    for element, rule, scale_format in {[("e2m1fn" if element == "nvfp4" else element, *how) for element, how in elements.items()]}:
        for block in (1, side), (side, side):
            found = directions(x, fp8.make_recipe({how}){snippets.seed(_recipe(view, "int8", (1, 16)), SEED)})
            r = found.along_rows
            print(f"{{element}}, {{block}}: {{r.sqnr_db:.2f}} dB, flushed {{100 * r.underflow:.4f}} %, {{r.bits_per_value:.4f}} bits, {{100 * found.difference.share:.2f}} % differ from the transpose")
""")  # fmt: skip
