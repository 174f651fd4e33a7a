"""Every recipe of every library on one tensor; what scale rules do; where one name means several things."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from functools import partial

import streamlit as st

from fp8core.codec import ROUNDINGS
from fp8core.compare import scale_curve
from fp8core.forms import Forms
from fp8core.quantized import SEED
from fp8core.recipes import LIBRARIES, RECIPES, Recipe, namesakes
from fp8core.rules import GENERIC_RULES, SCALE_RULES
from pages.ui import frame, report_tables, snippets
from pages.ui import tensor_reports as work
from pages.ui.charts import rules as charts
from pages.ui.language import told, tr
from pages.ui.number_tables import percent
from pages.ui.tensor_reports import Chosen
from pages.ui.upload import as_text
from pages.ui.view import View, recipe_title

MOST_NUMBERS = 1 << 18  # of one tensor, which all recipes share
NAMES = {"MXFP8": "mxfp8_e4m3", "MXFP4": "mxfp4", "NVFP4": "nvfp4", "INT8 row-wise": "int8_row"}
_ELEMENTS = ("deepseek_v3_1x128_ue8m0", "signed_e8m0_element", "ue8m0_element")


def draw(view: View, chosen: Chosen, recipe: Recipe) -> None:
    """Draw the topic."""
    part = work.first_rows(chosen, MOST_NUMBERS)
    if part is not chosen:
        st.caption(tr("All recipes are measured on the first {rows} rows, {count} numbers.").format(rows=part.x.shape[0], count=f"{part.x.numel():,}"))
    view = frame.control("library")
    libraries = LIBRARIES if view.library == "all" else {view.library: LIBRARIES[view.library]}
    forms = Forms(part.x, SEED)
    measured = partial(work.form_report, forms=forms)
    reports = work.reports(part, {each.name: each for recipes in libraries.values() for each in recipes}, measured)
    frame.heading(tr("{tensor}: {count} recipes on the same numbers").format(tensor=as_text(chosen.title), count=len(reports)))
    left, right = st.columns([2, 1])
    with left:
        _swarm(libraries, reports)
    with right:
        _curves(view, recipe)
    frame.table(rows(libraries, reports), "all_rules", height=420)
    _disagreement(part, forms)
    _element(part, measured)
    frame.copy_python(as_python(part, recipe, view))


def _swarm(libraries: dict, reports: dict) -> None:
    narrow = {name: report for name, report in reports.items() if RECIPES[name].fmt.bits <= 9}
    unseen = [recipe_title(name) for name, report in narrow.items() if not math.isfinite(report.sqnr_db)]
    if len(unseen) < len(narrow):
        frame.figure(
            charts.swarm(libraries, narrow),
            "swarm",
            tr(
                "**What you see:** one dot for each recipe, further right is better; colour and symbol are the element format. Hollow dots lost numbers to NaN or infinity. Recipes of one format lie together: within such a group, only the scale differs."
            ),
        )
    if unseen:
        st.caption(tr("Without a dot, as they lost nothing or everything: {titles}.").format(titles=as_text(", ".join(unseen))))


def _curves(view: View, recipe: Recipe) -> None:
    scale_format = view.scale_format
    curves = {rule: scale_curve(recipe.fmt, rule, scale_format) for rule in GENERIC_RULES}
    st.markdown(f"**{tr('The same amax, five rules, {format}').format(format=as_text(told(recipe.fmt.title)))}**")
    frame.figure(
        charts.scale_curves(curves),
        "scale_curves",
        tr(
            "**What you see:** the scale of a block for every amax within one doubling, relative to amax / max. At 1 the largest number of the block lands on the largest of the format; below, it is clipped; above, codes stay unused. One doubling further all repeats."
        ),
    )


def rows(libraries: dict[str, tuple[Recipe, ...]], reports: dict) -> list[dict]:
    """One row per recipe: what it is, what it does to the tensor, who says so."""
    return [_row(library, recipe, reports[recipe.name]) for library, recipes in libraries.items() for recipe in recipes]


def _row(library: str, recipe: Recipe, report) -> dict:
    spec = recipe.scaling
    return {
        tr("library"): tr(library), tr("recipe"): told(recipe.title), tr("element"): told(recipe.fmt.title), tr("block"): told(spec.granularity.replace("x", " × ")) if spec else "–",
        tr("scale"): told(SCALE_RULES[spec.rule].formula) if spec else tr("none"), tr("SQNR (dB)"): round(report.sqnr_db, 2), tr("flushed (%)"): round(100 * report.underflow, 4),
        tr("clipped (%)"): round(100 * report.saturation, 4), tr("lost"): report.lost, tr("bits per number"): round(report.bits_per_value, 4), tr("name"): recipe.name, tr("source"): told(recipe.source),
    }  # fmt: skip


def disagreements(chosen: Chosen, forms: Forms) -> list[dict]:
    """One row for each recipe that shares a name with others: how far it is from the plain recipe of that name, and why."""
    return [_disagreement_row(chosen, name, first, each, forms) for name, first in NAMES.items() for each in namesakes(first)]


def _disagreement_row(chosen: Chosen, name: str, first: str, recipe: Recipe, forms: Forms) -> dict:
    found = work.form_difference(chosen, recipe, RECIPES[first], forms)
    rule = SCALE_RULES[recipe.scaling.rule]
    library = next(library for library, recipes in LIBRARIES.items() if recipe in recipes)
    return {
        tr("name"): tr(name), tr("library"): tr(library), tr("recipe"): told(recipe.title), tr("codes that differ"): found.codes, tr("of all (%)"): round(100 * found.codes / found.count, 3), tr("scales that differ"): found.scales,
        tr("scale"): told(rule.formula), tr("rounding"): tr(ROUNDINGS[recipe.rounding]), tr("what it does"): tr(rule.effect),
    }  # fmt: skip


def _disagreement(chosen: Chosen, forms: Forms) -> None:
    with st.expander(tr("Where libraries disagree under one name"), icon=":material/call_split:"):
        st.markdown(
            tr("Each recipe beside the plain one of its name, **{names}**: same elements, same blocks, same scale format, the same tensor. Counted are elements whose codes differ.").format(
                names=as_text(", ".join(recipe_title(first) for first in NAMES.values()))
            )
        )
        frame.table(disagreements(chosen, forms), "disagreements", height="content")
        for rule in dict.fromkeys(each.scaling.rule for first in NAMES.values() for each in namesakes(first)):
            st.markdown(tr("- **{name}**: {reason}").format(name=as_text(tr(SCALE_RULES[rule].title)), reason=as_text(told(small_print(rule)))))


def small_print(rule: str) -> str:
    """What a rule's own description says, without its source; its effect where it has none."""
    found = SCALE_RULES[rule]
    about = inspect.getdoc(found.compute or found.up_from) or f"{found.formula}: {found.effect}."
    return re.sub(r"\s*See `_\w+`[^.]*\.", "", " ".join(about.split("Source:")[0].split()))


def _element(chosen: Chosen, measured: Callable) -> None:
    reports = work.reports(chosen, {name: RECIPES[name] for name in _ELEMENTS}, measured)
    real, signed, bare = (reports[name] for name in _ELEMENTS)
    frame.heading(tr("UE8M0: the format of the scale, not of the numbers"))
    st.markdown(
        tr(
            "DeepSeek-V3.1 stores its **scales** in UE8M0, eight exponent bits and nothing else; the numbers themselves stay in E4M3: **{real}** on this tensor. "
            "Were UE8M0 the format of the **elements**, as some articles say, a number could only be a power of two and never negative: {lost} of {count} numbers ({share}) have no code and are lost. "
            "With a sign bit added, which makes nine bits, **{signed}** is left: every number is off by up to a third."
        ).format(real=report_tables.decibel(real.sqnr_db), lost=f"{bare.lost:,}", count=f"{bare.count:,}", share=percent(bare.lost / max(bare.count, 1)), signed=report_tables.decibel(signed.sqnr_db))
    )  # fmt: skip
    library = {name: next(library for library, recipes in LIBRARIES.items() if RECIPES[name] in recipes) for name in _ELEMENTS}
    frame.table([_row(library[name], RECIPES[name], reports[name]) for name in _ELEMENTS], "ue8m0_element")


def as_python(chosen: Chosen, recipe: Recipe, view: View) -> str:
    """The program that gives the numbers of the tables and curves."""
    listed = "fp8.RECIPES.values()" if view.library == "all" else f"LIBRARIES[{view.library!r}]"
    return snippets.program(chosen.code, f"""
import fp8core as fp8
from fp8core.compare import difference, scale_curve
from fp8core.recipes import {"" if view.library == "all" else "LIBRARIES, "}namesakes
from fp8core.rules import GENERIC_RULES
def quantized(recipe):
    return fp8.quantize(x, recipe, seed={SEED})

for recipe in [*{listed}, *{list(_ELEMENTS)}]:
    r = fp8.measure(x, quantized(recipe))
    print(f"{{fp8.parse_recipe(recipe).name}}: {{r.sqnr_db:.2f}} dB, flushed {{100 * r.underflow:.4f}} %, clipped {{100 * r.saturation:.4f}} %, lost {{r.lost}}, {{r.bits_per_value:.4f}} bits")
for first in {list(NAMES.values())}:  # where libraries disagree under one name
    for recipe in namesakes(first):
        found = difference(quantized(recipe), quantized(first))
        print(f"{{recipe.name}} against {{first}}: codes {{found.codes}}, scales {{found.scales}}")
for rule in GENERIC_RULES:
    significand, share = scale_curve({recipe.format!r}, rule, {view.scale_format!r}, points=4)
    print(rule, share.round(4))
""")  # fmt: skip
