"""What Transformer Engine logged while a model was trained: one statistic, layers by steps."""

from __future__ import annotations

import streamlit as st

from fp8core.te_statistics import LogEntry, read_log
from pages.ui import frame
from pages.ui.charts import logs as charts
from pages.ui.language import sentences, told, tr
from pages.ui.layer_sources import Source
from pages.ui.upload import MOST_MB, as_text
from pages.ui.view import View

_HELD = "layers_logs_entries"


def draw(view: View, source: Source) -> None:
    """Draw the topic."""
    st.file_uploader(tr("A statistics log of Transformer Engine"), type=["log", "txt"], key="layers_logs_file", on_change=_take, max_upload_size=MOST_MB, help=tr("nvdlfw_inspect_globalrank-0.log in the folder nvdlfw_inspect_statistics_logs."))
    held = st.session_state.get(_HELD)
    if isinstance(held, str):
        st.error(sentences(tr("This log was not read."), as_text(told(held))))
    if not isinstance(held, tuple):
        st.info(tr("Nothing is open. With its debug features on, Transformer Engine writes statistics of every layer's inputs, weights and gradients while it trains; open that log to see them over the steps. What each name means is at the end of this page."))
    else:
        _show(*held)
    frame.explain(tr("What do the names mean?"), tr(
        "**underflows%**: codes that are zero, zeros of the tensor among them, so that it is at least what the other topics call underflow. **overflows%**: numbers beyond scale · max. "
        "**scale_inv_min, scale_inv_max**: the smallest and largest scale, which is what decoding multiplies with. **dynamic_range**: log₂ of the largest over the smallest magnitude that is not zero; "
        "**max_blockwise_dynamic_range**: the same within the block where it is most. **cur_amax**: the largest magnitude. **mse**: mean squared error. `fp8core.te_statistics` computes all of them for any tensor and recipe."
    ))


def _show(name: str, entries: list[LogEntry]) -> None:
    kinds = list(dict.fromkeys((each.tensor, each.statistic) for each in entries))
    tensor, statistic = st.selectbox(tr("Statistic"), kinds, key="layers_logs_kind", format_func=lambda kind: as_plain(*kind))
    chosen = [each for each in entries if (each.tensor, each.statistic) == (tensor, statistic)]
    frame.figure(charts.steps_map(chosen, statistic), "layers_logs_map", tr("**What you see:** one row per layer, steps from left to right. A band that changes its colour is a layer whose numbers wander away from its format."))
    frame.table([{tr("layer"): each.layer, tr("tensor"): each.tensor, tr("statistic"): each.statistic, tr("step"): each.step, tr("value"): each.value} for each in chosen], "layers_logs_rows")
    frame.copy_python(f"""
from pathlib import Path

from fp8core.te_statistics import read_log

for each in read_log(Path({name!r}).read_text("utf-8", "replace").splitlines()):
    if (each.tensor, each.statistic) == {(tensor, statistic)!r}:
        print(f"{{each.layer}}, step {{each.step}}: {{each.value!r}}")
""")


def as_plain(tensor: str, statistic: str) -> str:
    """What a kind of statistic is called in the menu."""
    return f"{tensor}: {statistic}" if tensor else statistic


def _take() -> None:
    file = st.session_state["layers_logs_file"]
    if file is None:
        st.session_state.pop(_HELD, None)
        return
    try:
        st.session_state[_HELD] = file.name, read_log(file.getvalue().decode("utf-8", errors="replace").splitlines(), most=500_000)
    except ValueError as error:
        st.session_state[_HELD] = str(error)
