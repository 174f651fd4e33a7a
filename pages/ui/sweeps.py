"""Sweeps over layers and batches for a page: run on request, one at a time, kept for the session, also what an early end left."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import streamlit as st

from fp8core.bench.shapes import MODELS, LayerShape, squares
from fp8core.bench.sweep import REPEATS, Sweep, points, rows
from pages.ui.jobs import Busy, heavy_job
from pages.ui.language import told, tr
from pages.ui.measurements import device
from pages.ui.own_pair import recipe_names
from pages.ui.upload import as_text
from pages.ui.view import SQUARES, View

_FOUND = "sweeps_found"
_HEADINGS = {
    "model": "model", "layer": "layer", "batch": "batch (tokens)", "recipe": "recipe", "backend": "backend", "seed": "seed", "repeats": "repeats", "host": "machine", "device": "device", "kernel": "kernel", "kind": "how",
    "runs": "runs", "date": "date", "recorded": "recorded", "driver": "driver", "clock_mhz": "clock (MHz)", "refusal": "refused because", "tflops": "TFLOP/s", "gb_per_s": "GB/s", "peak_tflops": "peak (TFLOP/s)",
    "peak_gb_per_s": "peak (GB/s)", "speedup_bfloat16": "× BF16", "speedup_float32": "× FP32", "sqnr_db": "SQNR (dB)", "max_abs_error": "largest error", "error_rows": "rows compared",
}  # fmt: skip
_TOLD = ("kind", "refusal", "layer", "host")
_SPREADS = {
    "quantize_a_ms": "quantize A (ms)", "quantize_b_ms": "quantize B (ms)", "quantize_a_static_ms": "A, amax known (ms)", "quantize_b_static_ms": "B, amax known (ms)", "product_ms": "product (ms)", "end_to_end_ms": "all three (ms)",
}  # fmt: skip


def shapes(view: View) -> tuple[LayerShape, ...]:
    """The layers that the visitor chose."""
    return squares() if view.sizes == SQUARES else MODELS[view.sizes].layers


def shapes_code(view: View) -> str:
    """The same in Python."""
    return "squares()" if view.sizes == SQUARES else f'MODELS["{view.sizes}"].layers'


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
            for item in points(*asked, device(), seconds=view.seconds, repeats=REPEATS, progress=lambda share, text: bar.progress(share, told(text))):
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
    return "\n".join(f"- **{as_text(told(item.shape.layer))}**, {tr('batch {batch}').format(batch=item.batch)}: {as_text(told(item.reason))}" for item in found.left_out)


def table(found: Sweep) -> pd.DataFrame:
    """One row per recipe, layer and batch, and one for each that was left out, as the command line saves them; columns that hold nothing are not shown."""
    lines = [{name: told(value) if value and name in _TOLD else value for name, value in row.items()} for row in rows(found)]
    return pd.DataFrame(lines).dropna(axis="columns", how="all")


def headings(columns: Iterable[str]) -> dict[str, str]:
    """What the columns of the table are called."""
    spreads = {f"{name}_{part}": f"{tr(words)}, {tr(part)}" for name, words in _SPREADS.items() for part in ("median", "p20", "p80")}
    return {name: heading for name, heading in ({name: tr(words) for name, words in _HEADINGS.items()} | spreads).items() if name in columns}
