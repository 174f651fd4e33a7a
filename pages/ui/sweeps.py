"""Sweeps over layers and batches for a page: run on request, one at a time, kept for the session, also what an early end left."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fp8core.bench.shapes import MODELS, LayerShape, squares
from fp8core.bench.sweep import REPEATS, LeftOut, Sweep, SweepPoint, points
from pages.ui import measurements
from pages.ui.jobs import Busy, heavy_job
from pages.ui.language import told, tr
from pages.ui.own_pair import recipe_names
from pages.ui.upload import as_text
from pages.ui.view import SQUARES, View

_FOUND = "sweeps_found"


def shapes(view: View) -> tuple[LayerShape, ...]:
    """The layers that the visitor chose."""
    return squares() if view.sizes == SQUARES else MODELS[view.sizes].layers


def as_python(view: View, found: Sweep | None) -> str:
    """The program that measures what was measured, or what would be."""
    recipes, layers, batches = (recipe_names(view), shapes(view), view.batches) if found is None else (found.recipes[1:], found.shapes, found.batches)
    model = next((key for key, about in MODELS.items() if about.layers == layers), None)
    return f"""
from fp8core.bench.shapes import {"MODELS" if model else "squares"}
from fp8core.bench.sweep import sweep

found = sweep({list(recipes)}, {f"MODELS[{model!r}].layers" if model else "squares()"}, {list(batches)}, {measurements.device()!r}, seconds={view.seconds})
for p in found.points:
    r = p.result
    print(p.shape.layer, p.batch, r.case.recipe, r.kernel, r.refusal or f"{{r.product_ms.median:.3f}} ms, {{r.speedup_bfloat16:.2f}} × BF16, {{r.sqnr_db:.2f}} dB")
for left in found.left_out:
    print(left.shape.layer, left.batch, left.reason)
"""


def run_on_request(view: View) -> Sweep | None:
    """Draw the button; when it is pressed, measure with a progress bar and a way to stop -> the last sweep of this session, or None."""
    if not st.button(tr("Measure the map"), key="sweeps_run", type="primary", icon=":material/play_arrow:"):
        return st.session_state.get(_FOUND)
    place = st.empty()
    with place.container():
        bar = st.progress(0.0, tr("waiting"))
        st.button(tr("Stop"), key="sweeps_stop", icon=":material/stop:", help=tr("The product that runs now is finished first; what was measured stays."))
    asked, found = (recipe_names(view), shapes(view), view.batches), []
    try:
        with heavy_job(f"a map of {len(asked[1])} layers and {len(asked[2])} batches"):
            for item in points(*asked, measurements.device(), seconds=view.seconds, repeats=REPEATS, progress=lambda share, text: bar.progress(share, told(text))):
                found.append(item)
                st.session_state[_FOUND] = Sweep.of(*asked, found)
    except Busy as busy:
        st.warning(str(busy))
    place.empty()
    return st.session_state.get(_FOUND)


def heading(found: Sweep) -> str:
    """What was measured, and where."""
    where = found.points[0].result.host if found.points else ""
    done = len({(point.shape, point.batch) for point in found.points})
    return tr("live · {done} of {all} sizes measured · {host}").format(done=done, all=len(found.shapes) * len(found.batches), host=told(where))


def left_out(found: Sweep) -> str:
    """What was not measured and why, as a Markdown list; empty where nothing was left out."""
    return "\n".join(tr("- **{name}**, {part}: {reason}").format(name=as_text(told(item.shape.layer)), part=tr("batch {batch}").format(batch=item.batch), reason=as_text(told(item.reason))) for item in found.left_out)


def table(found: Sweep) -> pd.DataFrame:
    """One row per recipe, layer and batch, and one for each that was left out; columns that hold nothing are not shown."""
    measured = [_place(point) | row for point, row in zip(found.points, measurements.table([point.result for point in found.points]), strict=True)]
    missing = [_place(item) | {tr("refused because"): told(item.reason)} for item in found.left_out]
    return pd.DataFrame(measured + missing).replace("", None).dropna(axis="columns", how="all")


def _place(item: SweepPoint | LeftOut) -> dict:
    return {tr("layer"): item.shape.layer, "N": item.shape.n, "K": item.shape.k, tr("batch (tokens)"): item.batch}
