"""Sweeps over layers and batches for a page: run on request, one at a time, kept for the session, also what an early end left."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fp8core.bench.shapes import MODELS, LayerShape, squares
from fp8core.bench.sweep import REPEATS, Sweep, points, rows
from pages.ui.jobs import Busy, heavy_job
from pages.ui.language import tr
from pages.ui.measurements import device
from pages.ui.own_pair import recipe_names
from pages.ui.upload import as_text
from pages.ui.view import SQUARES, View

_FOUND = "sweeps_found"


def shapes(view: View) -> tuple[LayerShape, ...]:
    """The layers that the visitor chose."""
    return squares() if view.sizes == SQUARES else MODELS[view.sizes].layers


def shapes_code(view: View) -> str:
    """The same in Python."""
    return "squares()" if view.sizes == SQUARES else f"MODELS[{view.sizes!r}].layers"


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
        with heavy_job(tr("a map of {layers} layers and {batches} batches").format(layers=len(asked[1]), batches=len(asked[2]))):
            for item in points(*asked, device(), seconds=view.seconds, repeats=REPEATS, progress=lambda share, text: bar.progress(share, text)):
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
    return tr("live · {done} of {all} sizes measured · {host}").format(done=done, all=len(found.shapes) * len(found.batches), host=where)


def left_out(found: Sweep) -> str:
    """What was not measured and why, as a Markdown list; empty where nothing was left out."""
    return "\n".join(f"- **{as_text(item.shape.layer)}**, {tr('batch {batch}').format(batch=item.batch)}: {as_text(item.reason)}" for item in found.left_out)


def table(found: Sweep) -> pd.DataFrame:
    """One row per recipe, layer and batch, and one for each that was left out; columns that hold nothing are not shown."""
    return pd.DataFrame(rows(found)).dropna(axis="columns", how="all")
