"""NVFP4 from inside: one block from its amax to its codes, and how the block scales spread over E4M3."""

from __future__ import annotations

import math

import streamlit as st

from fp8core.anatomy import Anatomy, ScaleCounts, anatomy, pick_block, scale_counts, scale_format_of
from fp8core.formats import Format
from fp8core.quantized import QuantizedTensor
from fp8core.recipes import RECIPES, Recipe
from fp8core.rules import SCALE_RULES
from pages.ui import frame, report_tables
from pages.ui import tensor_reports as work
from pages.ui.charts import nvfp4 as charts
from pages.ui.language import sentences, told, tr
from pages.ui.tensor_reports import Chosen
from pages.ui.upload import as_text
from pages.ui.view import View


def draw(view: View, chosen: Chosen, recipe: Recipe) -> None:
    """Draw the topic; the recipe is chosen here, as the sidebar's need not be an NVFP4 one."""
    left, right = st.columns([1, 2])
    with left:
        view = frame.control("two_level")
    with right:
        view = frame.control("pick")
    recipe = RECIPES[view.two_level]
    if view.pick == "number":
        view = frame.control("block")
        index = view.block
    else:
        index = work.ask(chosen, recipe, pick_block, view.pick)
    part = work.ask(chosen, recipe, anatomy, index)
    counts, store = work.ask(chosen, recipe, scale_counts), work.ask(chosen, recipe, _store)
    frame.heading(
        tr("Block {index} of {blocks} of {tensor}: row {row}, columns {first} to {last}").format(
            index=part.index, blocks=f"{counts.blocks:,}", tensor=as_text(chosen.title), row=part.row, first=part.column, last=part.column + len(part.x) - 1
        )
    )
    st.markdown(steps(part, recipe, store))
    left, right = st.columns([3, 2])
    with left:
        frame.figure(
            charts.block(part, recipe.fmt),
            "nvfp4_block",
            tr("**What you see:** the numbers of the block as circles, what is left of them as diamonds, and all values that {format} has with this scale as dotted lines, its own numbers at the right. The stems are the errors.").format(
                format=told(recipe.fmt.title)
            ),
        )
    with right:
        frame.figure(charts.scales(counts, tr("block scale as stored, in {format}").format(format=told(store.title))), "nvfp4_scales", spread(counts))
    frame.table(elements(part, recipe.fmt), "nvfp4_elements", height="content")
    frame.heading(tr("The whole tensor: {recipe}").format(recipe=as_text(told(recipe.title))))
    report_tables.headline(chosen, recipe)
    frame.explain(
        tr("Why two levels?"),
        tr(
            "E2M1 has seven positive values, from 0.5 to 6, so that 16 numbers at most share a scale. A scale in FP32 would cost 2 bits for each of them; in E4M3 it costs half a bit, and follows amax more closely than a power of two. "
            "But E4M3 ends at 448 and at 2^-9: one more scale for the whole tensor, in FP32, puts the largest block scale at 448. Blocks that are far smaller than the largest then run out of range at the lower end, and there the libraries differ."
        ),
    )  # fmt: skip
    frame.copy_python(as_python(chosen, recipe, view, part.index))


def _store(x, q: QuantizedTensor) -> Format:
    return scale_format_of(q)


def steps(part: Anatomy, recipe: Recipe, store: Format) -> str:
    """The arithmetic of the scales with its numbers in it, as a Markdown list."""
    usual = tr("amax of all numbers **{amax:.6g}** → global scale {amax:.6g} / ({largest} · {store:g}) = **{scale:.6g}**, in FP32")
    held = tr("amax of all numbers **{amax:.6g}**, which gives no usable quotient by {largest} · {store:g}; the global scale is **{scale:.6g}**")
    by_formula = math.isclose(part.global_scale, part.amax_of_all / recipe.fmt.max / store.max, rel_tol=1e-5)
    largest, words = f"{recipe.fmt.max:g}", SCALE_RULES[recipe.scaling.rule]
    lines = [
        (usual if by_formula else held).format(amax=part.amax_of_all, largest=largest, store=store.max, scale=part.global_scale),
        tr("amax of this block **{amax:.6g}** → block scale wanted: {amax:.6g} / {largest} / {scale:.6g} = **{wanted:.6g}**").format(amax=part.amax, largest=largest, scale=part.global_scale, wanted=part.wanted),
        tr("stored in {format}: code **0x{code:02X}** = `{bits}`, which means **{stored:.6g}**").format(format=told(store.title), code=part.scale_code, bits=store.bit_string(part.scale_code), stored=part.stored),
        tr("effective scale: {stored:.6g} · {scale:.6g} = **{effective:.6g}**; every number of the block is divided by it and rounded to {format}").format(
            stored=part.stored, scale=part.global_scale, effective=part.scale, format=told(recipe.fmt.title)
        ),
        tr("{recipe}: {words}").format(recipe=as_text(told(recipe.title)), words=as_text(told(recipe.source) if words.compute is None else tr("{formula}; {effect}").format(formula=told(words.formula), effect=told(words.effect)))),
    ]
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))


def spread(counts: ScaleCounts) -> str:
    """What becomes of the block scales, in words."""
    seen = tr("**What you see:** the scales of all {blocks} blocks, by binade.").format(blocks=f"{counts.blocks:,}")
    raised = int(counts.raised.sum())
    lost = tr("{zero} are rounded to zero, {raised} held up above what their amax asks for, {empty} hold only zeros.").format(zero=f"{counts.zero:,}", raised=f"{raised:,}", empty=f"{counts.empty:,}")
    return sentences(seen, lost, tr("{nan} are NaN.").format(nan=f"{counts.nan:,}") if counts.nan else "")


def elements(part: Anatomy, fmt: Format) -> list[dict]:
    """One row per element of the block."""
    return [
        {
            tr("element"): place, tr("x"): float(x), tr("x / scale"): float(scaled), tr("code"): f"0x{int(code):X}", tr("bit pattern"): fmt.bit_string(int(code)), tr("value"): f"{value:g}", tr("x̂"): float(restored), tr("error x̂ − x"): float(error),
        }
        for place, (x, scaled, code, value, restored, error) in enumerate(zip(part.x, part.scaled, part.codes, part.values, part.restored, part.error, strict=True))
    ]  # fmt: skip


def as_python(chosen: Chosen, recipe: Recipe, view: View, index: int) -> str:
    """The program that gives the numbers of the block and of the whole tensor."""
    picked = str(index) if view.pick == "number" else f"pick_block(x, q, {view.pick!r})"
    return work.as_python(chosen, recipe, f"""
from fp8core.anatomy import anatomy{"" if view.pick == "number" else ", pick_block"}, scale_counts
part = anatomy(x, q, {picked})
print(part)
for x_i, scaled, code, value, restored in zip(part.x, part.scaled, part.codes, part.values, part.restored):
    print(f"{{x_i:.9g}} / scale = {{scaled:.9g}} -> 0x{{code:X}} = {{value:g}} -> {{restored:.9g}}")
print(scale_counts(x, q))
""")  # fmt: skip
