"""Delayed scaling, step by step: what the history knows, what the scale follows from it, and what that costs."""

from __future__ import annotations

import math

import streamlit as st

from fp8core.calibration import SCENARIOS, DelayedScaling, DelayedStep, make_steps, simulate
from fp8core.recipes import Recipe
from pages.ui import frame
from pages.ui.charts import calibration as charts
from pages.ui.language import told, tr
from pages.ui.number_tables import percent
from pages.ui.report_tables import decibel
from pages.ui.tensor_reports import Chosen
from pages.ui.view import View

STEPS, COUNT = 64, 4096


def draw(view: View, chosen: Chosen, recipe: Recipe) -> None:
    """Draw the topic. It has tensors of its own: a short training, of which only the seed and the format are the visitor's."""
    view = frame.control("scenario")
    left, middle, right = st.columns(3)
    with left:
        frame.control("history")
    with middle:
        frame.control("algorithm")
    with right:
        view = frame.control("margin")
    frame.heading(tr("{scenario} in {format}: the scale comes one step late").format(scenario=tr(SCENARIOS[view.scenario].title).capitalize(), format=told(recipe.fmt.title) or recipe.fmt.name))
    st.markdown(tr(SCENARIOS[view.scenario].description))
    scaling = DelayedScaling(recipe.fmt.name, view.history, view.algorithm, view.margin)
    steps = _run(view.scenario, view.seed, scaling)
    frame.figure(
        charts.delayed(steps, scaling, view.step), "delayed", tr("**What you see:** the reach is the largest number that is not clipped. It follows amax one step late: where amax jumps above it, a cross marks the clipped step; where it stays high after amax has fallen, small numbers are flushed to zero. Below, the ratio of signal to error beside that of a scale from the step's own amax."),
        on_select=_take_step, selection_mode="points",
    )  # fmt: skip
    view = frame.control("step")
    _arithmetic(steps[view.step], scaling)
    frame.heading(tr("All steps"))
    frame.table(_rows(steps), "delayed_steps", height=280)
    frame.explain(tr("Why late, and what follows from it?"), tr(
        "Current scaling reads a tensor twice: once for its amax, once to round it. Delayed scaling reads it once, with the scale of the steps before, and notes its amax on the way. The first step has no past and uses the scale 1.\n\n"
        "- *max* over a long history is safe against jumps but remembers one outlier for as long as the history is; a history of 1 forgets at once and clips whatever grows.\n"
        "- A step of zeros does not enter the history. An infinity does: with *max* the scale then stands still until the infinity has left the history.\n"
        "- A margin of m leaves m binades free above amax: fewer clipped steps, and m binades less at the small end.\n\n"
        "Transformer Engine: history 1024, max, margin 0. Megatron-LM's own defaults: history 1, most recent. "
        "Transformer Engine calls the reciprocal, max / amax, the scale; here the scale is what decoding multiplies with."
    ))
    frame.copy_python(f"""
from fp8core.calibration import DelayedScaling, make_steps, simulate

scaling = DelayedScaling({recipe.fmt.name!r}, history_length={view.history}, algorithm={view.algorithm!r}, margin={view.margin})
steps = simulate(make_steps({view.scenario!r}, {STEPS}, {COUNT}, seed={view.seed}), scaling)
print(steps[{view.step}])
for s in steps:
    print(f"step {{s.step}}: amax {{s.amax:.6g}}, scale {{s.scale:.6g}}, SQNR {{s.sqnr_db:.3f}} dB, clipped {{100 * s.saturation:.4f}} %, flushed {{100 * s.underflow:.4f}} %; current {{s.current_sqnr_db:.3f}} dB")
""")


def _arithmetic(step: DelayedStep, scaling: DelayedScaling) -> None:
    shown = (
        (tr("amax of this step"), f"{step.amax:.4g}", tr("The scale of this step does not know it yet.")),
        (tr("Reach"), f"{step.reach:.4g}", tr("scale · max: what lies beyond is clipped.")),
        (tr("SQNR, delayed"), decibel(step.sqnr_db), tr("With the scale of the steps before.")),
        (tr("SQNR, current"), decibel(step.current_sqnr_db), tr("With the scale of this step's own amax.")),
        (tr("Clipped"), percent(step.saturation), tr("Share of the numbers of this step beyond the reach.")),
        (tr("Flushed to zero"), percent(step.underflow), tr("Share of the numbers of this step that were not zero and became zero.")),
    )
    frame.metrics(shown)
    left, right = st.columns([1.25, 1])
    with left:
        st.markdown(f"**{tr('The scale of step {step}').format(step=step.step)}**")
        st.markdown(_scale_in_words(step, scaling))
    with right:
        st.markdown(f"**{tr('Its history')}**")
        frame.table(_history(step, scaling), "delayed_history", height=250)


def _scale_in_words(step: DelayedStep, scaling: DelayedScaling) -> str:
    largest = scaling.fmt.max
    own = tr("Its own amax would have given {amax:.5g} / {max:g} = **{scale:.6g}**.").format(amax=step.amax, max=largest, scale=step.current_scale) if 0 < step.amax < math.inf else tr("Its own amax, {amax:g}, would have given no scale; **{scale:.6g}** is used then.").format(amax=step.amax, scale=step.current_scale)
    after = tr("Its amax enters the history now, for the next step.") if step.amax else tr("A step of zeros does not enter the history.")
    if not step.history:
        how = tr("There is no past yet: the scale is **1**, so that the reach is max = {max:g}.").format(max=largest)
    elif step.kept:
        how = tr("The history holds {amax}, which gives no scale: the one before stays, **{scale:.6g}**.").format(amax="∞" if math.inf in step.history else "NaN", scale=step.scale)
    else:
        used = _used(step, scaling)
        margin = f" · 2<sup>−{scaling.margin}</sup>" if scaling.margin else ""
        how = tr("Encode scale = max{margin} / amax = {max:g}{margin} / {amax:.6g} = {encode:.6g}, and the scale is its reciprocal, **{scale:.6g}**.").format(margin=margin, max=largest, amax=used, encode=1 / step.scale, scale=step.scale)
    return "\n".join(f"1. {line}" for line in (how, tr("Reach = {scale:.6g} · {max:g} = **{reach:.6g}**; every |x| of this step that is larger is clipped to it.").format(scale=step.scale, max=largest, reach=step.reach), own, after))


def _used(step: DelayedStep, scaling: DelayedScaling) -> float:
    """The entry of the history that the scale follows from."""
    return step.history[-1] if scaling.algorithm == "most_recent" else max(amax for amax in step.history if not math.isnan(amax))


def _history(step: DelayedStep, scaling: DelayedScaling) -> list[dict]:
    used = None if step.kept or not step.history else _used(step, scaling)
    places = list(enumerate(reversed(step.history), start=1))
    marked = next((place for place, amax in places if amax == used), None)
    return [{tr("place, newest first"): place, tr("amax"): f"{amax:.6g}", tr("sets the scale"): "←" if place == marked else ""} for place, amax in places] or [{tr("place, newest first"): "–", tr("amax"): tr("nothing yet"), tr("sets the scale"): ""}]


def _rows(steps: tuple[DelayedStep, ...]) -> list[dict]:
    return [
        {
            tr("step"): s.step, tr("amax"): f"{s.amax:.6g}", tr("scale"): f"{s.scale:.6g}", tr("reach"): f"{s.reach:.6g}", tr("current scale"): f"{s.current_scale:.6g}",
            tr("SQNR (dB)"): round(s.sqnr_db, 3), tr("current (dB)"): round(s.current_sqnr_db, 3), tr("clipped (%)"): round(100 * s.saturation, 4), tr("flushed (%)"): round(100 * s.underflow, 4),
            tr("current, clipped (%)"): round(100 * s.current_saturation, 4), tr("current, flushed (%)"): round(100 * s.current_underflow, 4), tr("scale kept"): s.kept,
        }
        for s in steps
    ]  # fmt: skip


def _take_step() -> None:
    points = st.session_state["delayed"].selection.points
    if points:
        frame.change(step=int(points[0]["x"]))


@st.cache_resource(max_entries=256, show_spinner=False)
def _run(scenario: str, seed: int, scaling: DelayedScaling) -> tuple[DelayedStep, ...]:
    return simulate(make_steps(scenario, STEPS, COUNT, seed=seed), scaling)
