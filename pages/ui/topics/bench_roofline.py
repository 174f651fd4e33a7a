"""The roofline: what a machine could do at most, by data sheet or by what was measured on it, and where products lie below it."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from fp8core.bench import BenchResult
from fp8core.bench.devices import DEVICES, DeviceProfile, parse_peaks, write_peaks
from pages.ui import frame, measurements, own_pair, snippets
from pages.ui.charts import benchmark as charts
from pages.ui.language import told, tr
from pages.ui.view import HERE, View


def draw(view: View) -> None:
    """Draw the topic."""
    view = own_pair.draw(view)
    view = frame.control("machine")
    if view.machine == HERE:
        measured = measurements.last_results()
        profile = measurements.measured_profile(measured)
        if profile is None:
            st.info(tr("Nothing has been measured yet: run a benchmark under “one size”, which measures the peaks of this machine too. Or choose a machine that is not here."))
            return
        st.caption(tr("Measured on this machine: {tflops:.3g} TFLOP/s of a large BF16 product, {gb_per_s:.3g} GB/s of a large copy.").format(tflops=profile.peak("bfloat16"), gb_per_s=profile.gb_per_s))
        points = [measurements.roof_point(r) for r in measured if not r.refusal]
        note = tr("**What you see:** the line rises with the memory's speed until it meets what the units can do. A point on the rising part waits for the memory, one under the flat part for the units. Points are measured; emulated ones are hollow. A format with units of its own may lie above the roof of BF16.")
    else:
        profile = _edited(view)
        st.caption(tr("Modelled, not measured: peaks by {source}. No product reaches them.").format(source=told(profile.source)))
        points = measurements.modelled_points(view, profile)
        note = tr("**What you see:** the roofs of this machine's units, and where a product of the chosen size would lie at best under each recipe. Formats without units of their own take the next wider ones that hold their values exactly. All of it is modelled.")
    frame.figure(charts.roofline_figure(profile, points), f"roofline_{view.machine}", note)
    frame.table(measurements.roof_table(points), "roofline")
    frame.explain(
        tr("How are these numbers made?"),
        tr("Operations are 2·M·N·K. Bytes are both matrices as stored, scales included, read once, and the float32 result, written once. Their ratio is the arithmetic intensity. The least time is the larger of operations over the peak and bytes over the bandwidth; quantizing is not in it."),
    )
    frame.copy_python(_measured_code(view, measured) if view.machine == HERE else _modelled_code(view, points))


def _measured_code(view: View, measured: list[BenchResult]) -> str:
    """The program that measures where products lie under this machine's roof."""
    return snippets.program(measurements.as_python(replace(view, recorded="hidden"), measured), """
from fp8core.bench.roofline import intensity
from fp8core.gemm import BACKENDS
for r in runs[0]:
    if not r.refusal:
        print(f"{r.case.recipe}: {BACKENDS[r.kernel].operand}, {intensity(r.case.recipe, r.case.m, r.case.n, r.case.k):.2f} FLOP per byte, {r.tflops:.4g} TFLOP/s; peaks {r.peak_tflops:.3g} TFLOP/s, {r.peak_gb_per_s:.3g} GB/s")
""")  # fmt: skip


def _modelled_code(view: View, points: list[measurements.RoofPoint]) -> str:
    """The program that gives where products lie at best."""
    changed = view.peaks.startswith(f"{view.machine}:")
    return f"""
from fp8core.bench.devices import {"parse_peaks" if changed else "DEVICES"}
from fp8core.bench.roofline import attainable_tflops, intensity, modelled_ms, operand_of

machine = {f"parse_peaks({view.peaks!r})" if changed else f"DEVICES[{view.machine!r}]"}
size = {view.rows}, {view.columns}, {view.inner}
for recipe in {[point.recipe for point in points]}:
    units, flop_per_byte = operand_of(recipe, machine), intensity(recipe, *size)
    print(f"{{recipe}}: {{units}}, {{flop_per_byte:.2f}} FLOP per byte, {{attainable_tflops(machine, units, flop_per_byte):.4g}} TFLOP/s, {{1e3 * modelled_ms(machine, units, recipe, *size):.4g}} µs")
"""


def _edited(view: View) -> DeviceProfile:
    """Draw the figures of the chosen machine as fields that can be changed -> its profile with them. The link holds what was changed."""
    device, asked = DEVICES[view.machine], parse_peaks(view.peaks)
    profile = asked if asked and asked.name == device.name else device
    with st.expander(tr("Change its figures"), icon=":material/tune:"):
        columns = st.columns(4)
        for place, (figure, value) in enumerate((("gb_per_s", profile.gb_per_s), *profile.tflops)):
            key = _key(device.name, figure)
            st.session_state[key] = value
            words = tr("memory, GB/s") if figure == "gb_per_s" else tr("{operand}, TFLOP/s").format(operand=figure)
            columns[place % 4].number_input(words, min_value=0.1, max_value=1e9, key=key, on_change=_take, args=(device.name,))
    return profile


def _take(name: str) -> None:
    """Callback of the fields: what stands in them goes into the link."""
    device = DEVICES[name]
    tflops = {operand: st.session_state[_key(name, operand)] for operand in device.operands}
    frame.change(peaks=write_peaks(replace(device, tflops=tflops, gb_per_s=st.session_state[_key(name, "gb_per_s")])))


def _key(name: str, figure: str) -> str:
    return f"roofline_{name}_{figure}"
