"""A plan: which recipe each layer gets for a number of bits, in the forms that libraries take, and the checkpoint written by it."""

from __future__ import annotations

import streamlit as st

from fp8core.packed import LAYOUTS
from fp8core.plan import EXPORTS, Plan, frontier, to_line, uniform
from pages.ui import frame, plans, whole_models
from pages.ui.charts import plans as charts
from pages.ui.language import tr
from pages.ui.layer_reports import Source
from pages.ui.upload import as_text
from pages.ui.view import View

_WRITTEN = "layers_plan_written"


def draw(view: View, source: Source) -> None:
    """Draw the topic."""
    if not plans.tensors(source):
        st.info(tr("No tensor here is a matrix of numbers in high precision: there is nothing to plan."))
        return
    left, right = st.columns([2, 1], gap="large")
    with left:
        frame.control("candidates")
    with right:
        view = frame.control("bits")
    found = plans.costs(source, view.candidates)
    try:
        recipes, by_hand = plans.chosen(view, source, found)
    except ValueError as error:
        st.warning(as_text(str(error)))
        return
    count = plans.weights_of(source, found)
    nbits, error = plans.total(found, recipes)
    if error is None:
        st.warning(tr("The plan in this link has a recipe that is not among those to choose from at the top: add it there, or go back to the best one."))
        st.button(tr("Back to the best for the budget"), key="layers_plan_reset", on_click=plans.forget)
        return
    _numbers(view, source, found, recipes, nbits / count, error, by_hand)
    if by_hand:
        st.button(tr("Back to the best for the budget"), key="layers_plan_reset", icon=":material/undo:", on_click=plans.forget)
    st.subheader(tr("The plan, layer by layer"), anchor=False)
    st.caption(tr("Click a recipe to change it. The link of this page holds the plan."))
    plans.table(source, found, recipes, view.candidates)
    _exports(source, recipes)
    frame.copy_python(_python(source, view))


def _numbers(view: View, source: Source, found, recipes: dict[str, str], bits: float, error: float, by_hand: bool) -> None:
    """Bits and error of the plan, beside the frontier and one recipe for all."""
    count, measured = plans.weights_of(source, found), plans.measured(source)
    same = {recipe: uniform(found, recipe) for recipe in view.candidates if len([cost for cost in found if cost.recipe == recipe]) == len(recipes)}
    points = {recipe: (each.nbits / count, whole_models.noise(source.model, each.recipes) if measured else each.error) for recipe, each in same.items()}
    plan_error = whole_models.noise(source.model, recipes) if measured else error
    columns = st.columns(4)
    columns[0].metric(tr("bits per weight"), f"{bits:.3f}", help=tr("Scales included, over the {layers} layers of the plan, {count:,} weights.").format(layers=len(recipes), count=count))
    columns[1].metric(tr("error, predicted"), f"{error:.3g}", help=tr("The sum of the layers' noise-to-signal ratios."))
    if measured:
        outcome = whole_models.outcome(source.model, recipes)
        columns[2].metric(tr("error, measured"), f"{plan_error:.3g}", help=tr("Noise-to-signal ratio of the model's output with the whole plan at work."))
        key, label = ("cosine_mean", tr("cosine with float32")) if "cosine_mean" in outcome.metrics else ("accuracy", tr("accuracy"))
        columns[3].metric(label, f"{outcome.metrics[key]:.4f}", help=tr("What the model achieves on its own data with the whole plan at work."))
    elif not by_hand:
        columns[2].metric(tr("no choice is below"), f"{plans.best(view, source, found).bound:.3g}", help=tr("What no choice of so many bits can go below: the plan is at most this far from the best."))
    note = tr("**What you see:** each mark is one recipe for all layers; the star is the plan. Errors of marks and star are measured on the model; the line is what the layers, each measured alone, predict for the best plan of so many bits.") if measured else tr("**What you see:** each mark is one recipe for all layers, the line the best choice layer by layer, the star the plan. Errors are those of the weights alone; each layer counts once.")
    frame.figure(charts.pareto([(each.nbits / count, each.error) for each in frontier(found)], points, (bits, plan_error), measured), "layers_pareto", note)


def _exports(source: Source, recipes: dict[str, str]) -> None:
    plan = Plan(source.weights.filename, recipes)
    st.subheader(tr("Take it with you"), anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        for name, export in EXPORTS.items():
            left_out = export.left_out(plan)
            words = tr(" ({count} layers have no form there)").format(count=len(left_out)) if left_out else ""
            st.download_button(tr(export.title) + words, export.text(plan), export.file, key=f"layers_plan_{name}", icon=":material/download:", type="tertiary", on_click="ignore")
        plans.open_file(plans.tensors(source))
    with right:
        layout = st.radio(tr("The quantized checkpoint"), plans.layouts(), key="layers_plan_layout", format_func=lambda key: tr(LAYOUTS[key].title))
        reason = plans.refusal(source, recipes, layout)
        if reason:
            st.caption(tr("It cannot be written so:") + " " + as_text(reason))
        elif source.path is not None and source.weights.nbytes > plans.MOST_NBYTES:
            st.caption(tr("It is too large for a download. On this machine, with the plan as JSON from the left:"))
            st.code(f"python -m fp8core export {source.path} --plan plan.json --to FOLDER --layout {layout}", language="bash")
        else:
            _write(source, recipes, layout)


def _write(source: Source, recipes: dict[str, str], layout: str) -> None:
    wanted = (source.key, to_line(recipes), layout)
    if st.button(tr("Write it, and prove that it decodes"), key="layers_plan_write", type="primary", icon=":material/save:"):
        st.session_state[_WRITTEN] = (wanted, *plans.written(source, recipes, layout))
    held = st.session_state.get(_WRITTEN)
    if held is not None and held[0] == wanted:
        st.success(held[2])
        st.download_button(tr("Download the checkpoint (.zip)"), held[1], "quantized.zip", "application/zip", key="layers_plan_zip", icon=":material/download:", on_click="ignore")


def _python(source: Source, view: View) -> str:
    costs = f'of_model("{source.model}", {list(view.candidates)})' if plans.measured(source) else f'of_weights(analyze(checkpoint, {list(view.candidates)}, plannable(checkpoint)))'
    opened = f'load_weights("{source.model}")' if source.model else f'open_checkpoint("{as_text(source.weights.filename)}")'
    return f'''
from fp8core.checkpoints import open_checkpoint
from fp8core.layers import analyze
from fp8core.models import load_weights
from fp8core.packed import verify, write_quantized
from fp8core.plan import choose, of_model, of_weights, plannable

checkpoint = {opened}
costs = {costs}
weights = sum(checkpoint.infos[name].count for name in {{cost.layer for cost in costs}})
plan = choose(costs, {view.bits} * weights)
write_quantized(checkpoint, plan.recipes, "quantized")
assert not any(each.different for each in verify(checkpoint, plan.recipes, "quantized"))
'''
