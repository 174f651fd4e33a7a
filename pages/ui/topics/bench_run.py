"""The benchmark of one size: every chosen recipe beside both baselines, and recorded runs of other machines."""

from __future__ import annotations

import streamlit as st

from pages.ui import frame, measurements, own_pair
from pages.ui.charts import benchmark as charts
from pages.ui.language import told, tr
from pages.ui.view import View


def draw(view: View) -> None:
    """Draw the topic."""
    view = own_pair.draw(view)
    live = measurements.run_on_request(view)
    if live:
        _show(live, "benchmark")
    else:
        st.info(tr("Nothing has been measured yet. FP32 and BF16 are always measured along with the recipes you chose, so that speeds compare within one run."))
    if view.recorded == "shown":
        frame.heading(tr("Recorded runs"))
        for number, (note, results) in enumerate(measurements.recorded()):
            _show(results, f"benchmark_recorded_{number}", note)
        for number, (note, results) in enumerate(measurements.uploaded()):
            _show(results, f"benchmark_uploaded_{number}", note)
    frame.explain(
        tr("How is this measured?"),
        tr("Random normal matrices, never zeros. One run to warm up, then every recipe takes its turn once per round, so that drift of the machine hits all alike; each round takes another copy of the quantized matrices, so that a cache does not help. Shown are the median and the 20th and 80th percentile; on a GPU by its own clock, with the cache overwritten before each run. Dynamic scaling takes the amax of the matrix itself; “amax known” is static scaling, which has it beforehand; on a processor it can still take longer, because scales are then a step of their own, while dynamic scaling is one pass. TFLOP/s counts 2·M·N·K operations over the time of the product; the peak is that of a large BF16 product in the same run. SQNR is against the product of the original matrices in float64. A product that would take more than 20 s is refused."),
    )
    frame.explain(
        tr("Why is FP8 slower than BF16 on most processors?"),
        tr("Without FP8 instructions the numbers are converted first, which takes longer than the smaller matrices save. What 8 bits save then is memory. GPUs of compute capability 8.9 and above, and AMD's MI300, multiply FP8 in hardware."),
    )
    frame.copy_python(measurements.as_python(view, live))


def _show(results: list, name: str, note: str = "") -> None:
    """Draw one run: times, speed beside precision, what was refused and why, the table."""
    st.caption(measurements.heading(results))
    if note:
        st.caption(told(note))
    if any(not r.refusal for r in results):
        frame.figure(charts.time_figure(results), f"{name}_times", tr("**What you see:** the product alone, and striped what quantizing its two matrices takes, which a program pays for activations at every step and for weights once."))
        frame.figure(charts.trade_figure(results), f"{name}_trade", tr("**What you see:** further up is faster, further right is closer to the exact product. Filled: the processor multiplies this format itself. Hollow: emulated, the numbers are converted to a wider format first, which takes time of its own."))
        if reasons := measurements.reasons(results):
            st.markdown(reasons)
    if refused := measurements.refusals(results):
        st.info(tr("Not measured:") + "\n" + refused)
    frame.table(measurements.table(results), name)
