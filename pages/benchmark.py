"""How fast is it here?"""

import streamlit as st

from pages.ui import frame, measurements
from pages.ui.charts import benchmark as charts
from pages.ui.language import tr

view = frame.page(__file__, "recipes", "rows", "columns", "inner", "repeats", "backend", "recorded")


def show(results: list, name: str, note: str = "") -> None:
    """Draw one run: times, speed beside precision, what was refused and why, the table."""
    st.caption(measurements.heading(results))
    if note:
        st.caption(note)
    if any(not r.refusal for r in results):
        frame.figure(charts.time_figure(results), f"{name}_times", tr("**What you see:** the product alone in full colour, and in pale what quantizing its two matrices takes, which a program pays for activations at every step and for weights once."))
        frame.figure(charts.trade_figure(results), f"{name}_trade", tr("**What you see:** further up is faster, further right is closer to the exact product. Filled: the processor multiplies this format itself. Hollow: emulated, the numbers are converted to a wider format first, which takes time of its own."))
    if refused := measurements.refusals(results):
        st.info(tr("Not measured:") + "\n" + refused)
    frame.table(measurements.table(results), name)


st.subheader(tr("This machine"), anchor=False)
st.caption(measurements.host().label)
live = measurements.run_on_request(view)
if live:
    show(live, "benchmark")
else:
    st.info(tr("Nothing has been measured yet. FP32 and BF16 are always measured along with the recipes you chose, so that speeds compare within one run."))

if view.recorded == "shown":
    st.subheader(tr("Recorded runs"), anchor=False)
    for number, (note, results) in enumerate(measurements.recorded()):
        show(results, f"benchmark_recorded_{number}", note)

frame.explain(
    tr("How is this measured?"),
    tr("Random normal matrices, never zeros. One run to warm up, then every recipe takes its turn once per round, so that drift of the machine hits all alike. Shown are the median and the 20th and 80th percentile; on a GPU by its own clock, with the cache overwritten before each run. TFLOP/s counts 2·M·N·K operations over the time of the product. SQNR is against the product of the original matrices in float64. A product that would take more than 20 s is refused."),
)
frame.explain(
    tr("Why is FP8 slower than BF16 on most processors?"),
    tr("Without FP8 instructions the numbers are converted first, which takes longer than the smaller matrices save. What 8 bits save then is memory. GPUs of compute capability 8.9 and above, and AMD's MI300, multiply FP8 in hardware."),
)
frame.copy_python(f'''
from fp8core.bench import BenchCase, run_many

cases = [BenchCase({view.rows}, {view.columns}, {view.inner}, recipe, repeats={view.repeats}) for recipe in {["float32", "bfloat16", *view.recipes]}]
for r in run_many(cases):
    print(r.case.recipe, r.kernel, r.kind, r.refusal or f"{{r.product_ms.median:.2f}} ms, {{r.tflops:.3f}} TFLOP/s, {{r.sqnr_db:.1f}} dB")
''')
