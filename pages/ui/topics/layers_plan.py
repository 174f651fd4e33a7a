"""A plan: which recipe each layer gets for a number of bits, in the forms that libraries take, and the checkpoint written by it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import streamlit as st

from fp8core.packed import LAYOUTS
from fp8core.plan import EXPORTS, Chosen, Cost, Plan, cautions, frontier, plannable, to_line, uniform
from pages.ui import frame, plans, snippets, whole_models
from pages.ui.charts import plans as charts
from pages.ui.language import sentences, told, tr
from pages.ui.layer_sources import Source
from pages.ui.upload import as_text
from pages.ui.view import View

_WRITTEN = "layers_plan_written"
_OF_BUDGET = {"bits": "bits", "error": "ceiling", "same": "recipe"}


def draw(view: View, source: Source) -> None:
    """Draw the topic."""
    if not plans.tensors(source):
        st.info(tr("No tensor here is a matrix of numbers in high precision: there is nothing to plan."))
        _left_out(source)
        return
    frame.control("candidates")
    left, middle, right = st.columns(3, gap="medium")
    with left:
        view = frame.control("budget")
    with middle:
        view = frame.control(_OF_BUDGET[view.budget])
    with right:
        view = frame.control("fused")
    candidates = tuple(dict.fromkeys((*view.candidates, view.recipe))) if view.budget == "same" else view.candidates
    found = plans.costs(source, candidates, view.fused, view.budget)
    try:
        recipes, by_hand = plans.chosen(view, source, found)
        plan = plans.total(found, recipes, candidates)
    except ValueError as error:
        st.warning(as_text(told(error)))
        if view.plan:
            st.button(tr("Back to the best for the budget"), key="layers_plan_reset", on_click=plans.forget)
        plans.open_file(source)
        return
    _numbers(view, source, found, candidates, plan, by_hand)
    if by_hand:
        st.button(tr("Back to the best for the budget"), key="layers_plan_reset", icon=":material/undo:", on_click=plans.forget)
    frame.heading(tr("The plan, layer by layer"))
    st.caption(tr("Click a recipe to change it. The link of this page holds the plan."))
    _left_out(source)
    plans.table(source, found, recipes, candidates, view.fused)
    layout = _exports(source, recipes)
    frame.copy_python(_python(source, view, candidates, by_hand, layout))


def _left_out(source: Source) -> None:
    """Say which tensors have too many numbers to be measured here."""
    if large := plans.too_large(source):
        st.caption(tr("Left out, as files that are sent here are measured up to {most:,} numbers per tensor: {count} larger ones, such as {layer}. The command line has no such limit.").format(most=source.most, count=len(large), layer=as_text(large[0])))


def _numbers(view: View, source: Source, found: Sequence[Cost], candidates: tuple[str, ...], plan: Chosen, by_hand: bool) -> None:
    """Bits and error of the plan, beside the frontier and one recipe for all."""
    count, measured, recipes = plans.weights_of(source, found), plans.measured(source), dict(plan.recipes)
    bits, error = plan.nbits / count, plan.error
    same = {recipe: uniform(found, recipe) for recipe in candidates if len([cost for cost in found if cost.recipe == recipe]) == len(recipes)}
    points = {recipe: (each.nbits / count, whole_models.noise(source.model, each.recipes) if measured else each.error) for recipe, each in same.items()}
    plan_error = whole_models.noise(source.model, recipes) if measured else error
    shown = [
        (tr("bits per weight"), f"{bits:.3f}", tr("Scales included, over the {layers} layers of the plan, {count:,} weights.").format(layers=len(recipes), count=count)),
        (tr("error, predicted"), f"{error:.3g}", tr("The sum of the layers' noise-to-signal ratios.")),
    ]
    if measured:
        outcome = whole_models.outcome(source.model, recipes)
        key, label = ("cosine_mean", tr("cosine with float32")) if "cosine_mean" in outcome.metrics else ("accuracy", tr("accuracy"))
        shown += [
            (tr("error, measured"), f"{plan_error:.3g}", tr("Noise-to-signal ratio of the model's output with the whole plan at work.")),
            (label, f"{outcome.metrics[key]:.4f}", tr("What the model achieves on its own data with the whole plan at work.")),
        ]
    elif not by_hand and view.budget == "bits":
        shown.append((tr("no choice is below"), f"{plans.best(view, source, found).bound:.3g}", tr("What no choice of so many bits can go below: the plan is at most this far from the best.")))
    frame.metrics(shown, columns=st.columns(4)[: len(shown)])
    note = tr("**What you see:** each mark is one recipe for all layers; the star is the plan. Errors of marks and star are measured on the model; the line is what the layers, each measured alone, predict for the best plan of so many bits.") if measured else tr("**What you see:** each mark is one recipe for all layers, the line the best choice layer by layer, the star the plan. Errors are those of the weights alone; each layer counts once.")
    frame.figure(charts.pareto([(each.nbits / count, each.error) for each in frontier(found)], points, (bits, plan_error), measured), "layers_pareto", note)


def _exports(source: Source, recipes: dict[str, str]) -> str:
    """Draw the ways out -> the layout chosen for the checkpoint; empty where it cannot be written so."""
    plan = Plan(source.weights.filename, recipes)
    frame.heading(tr("Take it with you"))
    left, right = st.columns(2, gap="large")
    with left:
        for name, export in EXPORTS.items():
            left_out = export.left_out(plan)
            words = tr(" ({count} layers have no form there)").format(count=len(left_out)) if left_out else ""
            st.download_button(tr(export.title) + words, export.text(plan), export.file, key=f"layers_plan_{name}", icon=":material/download:", type="tertiary", on_click="ignore")
        plans.open_file(source)
    with right:
        st.session_state["layers_plan_layout"] = st.session_state.get("layers_plan_layout", next(iter(LAYOUTS)))  # set anew, as its words may be in another language now
        layout = st.radio(tr("The quantized checkpoint"), list(LAYOUTS), key="layers_plan_layout", format_func={key: tr(LAYOUTS[key].title) for key in LAYOUTS}.get)
        reason = plans.refusal(source, recipes, layout)
        if reason:
            st.caption(sentences(tr("It cannot be written so:"), as_text(told(reason))))
        elif source.path is not None and source.weights.nbytes > plans.MOST_NBYTES:
            st.caption(tr("It is too large for a download. On this machine, with the plan as JSON from the left:"))
            st.code(f"python -m fp8core export {shlex.quote(str(source.path))} --plan plan.json --to FOLDER --layout {layout}", language="bash")
        else:
            _write(source, recipes, layout)
            for known in cautions(source.weights.infos, recipes, layout, plans.model_type(source)):
                st.warning(as_text(told(known)), icon=":material/info:")
    return "" if reason else layout


def _write(source: Source, recipes: dict[str, str], layout: str) -> None:
    wanted = (source.key, to_line(recipes), layout)
    if st.button(tr("Write it, and prove that it decodes"), key="layers_plan_write", type="primary", icon=":material/save:"):
        try:
            st.session_state[_WRITTEN] = (wanted, *plans.written(source, recipes, layout))
        except ValueError as error:
            st.error(as_text(told(error)))
    held = st.session_state.get(_WRITTEN)
    if held is not None and held[0] == wanted:
        st.success(plans.proof(held[2]))
        if layout != "deepseek":
            st.caption(tr("Load it with the class that its config.json names: layers are found by the names that this class gives them."))
        st.download_button(tr("Download the checkpoint (.zip)"), held[1], "quantized.zip", "application/zip", key="layers_plan_zip", icon=":material/download:", on_click="ignore")


def _python(source: Source, view: View, candidates: tuple[str, ...], by_hand: bool, layout: str) -> str:
    """The program that gives the numbers of the plan, and writes it where that can be done."""
    measured = plans.measured(source)
    plan = {
        "bits": f"plan = choose(costs, {view.bits} * count)",
        "error": f"plan = cheapest(costs, 10 ** ({-view.ceiling} / 10){'' if measured else ' * len(layers)'})",
        "same": f"plan = uniform(costs, {view.recipe!r})",
    }[view.budget]
    if by_hand:
        plan = f"plan = priced(costs, from_line({view.plan!r}, layers))"
    if measured:
        costs = f"from fp8core.plan import of_model\ncosts = of_model({source.model!r}, {list(candidates)})"
    else:
        everything = "" if plannable(source.weights) else ", everything=True"
        costs = f"from fp8core.layers import analyze\nfrom fp8core.plan import of_weights, plannable\ncosts = of_weights(analyze(checkpoint, {list(candidates)}, plannable(checkpoint{everything}){source.limit}))"
    if view.budget != "same":
        costs += "\nfrom fp8core.plan import writable\ncosts = writable(costs, {name: info.shape for name, info in checkpoint.infos.items()})"
    if view.fused == "apart":
        costs += "\nfrom fp8core.plan import apart\ncosts = apart(costs)"
    numbers = f"""
from fp8core.plan import {"from_line, priced" if by_hand else plan.split()[2].partition("(")[0]}, frontier
layers = list(dict.fromkeys(cost.layer for cost in costs))
count = sum(checkpoint.infos[layer].count for layer in layers)
{plan}
print(f"{{plan.nbits / count:.3f}} bits per weight, error {{plan.error:.3g}} predicted, {{plan.bound:.3g}} at least")
for layer, recipe in plan.recipes.items():
    (cost,) = (cost for cost in costs if (cost.layer, cost.recipe) == (layer, recipe))
    print(f"{{layer}}: {{recipe or 'as stored'}}, {{cost.nbits / checkpoint.infos[layer].count:.3f}} bits, error {{cost.error:.2e}}")
for each in frontier(costs):
    print(f"the best for {{each.nbits / count:.3f}} bits: error {{each.error:.3g}}")
"""
    outcome = f"""
from fp8core.plan import noise_to_signal
from fp8core.sensitivity import end_to_end
outcome = end_to_end({source.model!r}, plan.recipes)
print(f"error {{noise_to_signal(outcome.output_sqnr_db):.3g}} measured, {{outcome.metrics}}")
"""
    beside = "" if source.path is None else f", beside={str(source.path)!r}"
    written = f"""
from fp8core.packed import verify, write_quantized
write_quantized(checkpoint, plan.recipes, "quantized", {layout!r}{beside})  # a new folder
print(sum(each.different for each in verify(checkpoint, plan.recipes, "quantized")), "numbers differ from what was meant")
"""
    return snippets.program(source.weights_code, costs, numbers, outcome * measured, written * bool(layout))
