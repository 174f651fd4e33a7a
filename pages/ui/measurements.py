"""Benchmarks for a page: run on request, one at a time, kept for the session; recorded runs; rows of the table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from fp8core.bench import BASELINES, BenchCase, BenchResult, Peaks, load, load_note, recorded_runs, run_many
from fp8core.bench.devices import DeviceProfile
from fp8core.bench.roofline import attainable_tflops, intensity, modelled_ms, operand_of, why
from fp8core.gemm import BACKENDS
from fp8core.hardware import Host, probe
from pages.ui import snippets
from pages.ui.jobs import Busy, heavy_job
from pages.ui.language import sentences, told, tr
from pages.ui.own_pair import recipe_names
from pages.ui.upload import as_text
from pages.ui.view import View, recipe_title

_RESULTS = "measurements_results"


@st.cache_resource(show_spinner=False)
def host() -> Host:
    """This machine."""
    return probe()


def device() -> str:
    """Where it is measured."""
    return "cuda" if host().gpu else "cpu"


def cases(view: View) -> list[BenchCase]:
    """The two baselines, then every chosen recipe. The chosen backend is for the recipes; baselines take theirs."""
    names = dict.fromkeys((*reversed(BASELINES), *recipe_names(view)))
    return [
        BenchCase(view.rows, view.columns, view.inner, name, "auto" if name in BASELINES else view.backend, view.seed, view.repeats)
        for name in names
    ]  # fmt: skip


def run_on_request(view: View) -> list[BenchResult]:
    """Draw the button; when it is pressed, measure with a progress bar and a way to stop -> the last results of this session, or []."""
    pressed = st.button(tr("Run on this machine"), key="measurements_run", type="primary", icon=":material/play_arrow:")
    if not pressed:
        return st.session_state.get(_RESULTS, [])
    place = st.empty()
    with place.container():
        bar = st.progress(0.0, tr("waiting"))
        st.button(tr("Stop"), key="measurements_stop", icon=":material/stop:", help=tr("The product that runs now is finished first."))
    wanted = cases(view)
    try:
        with heavy_job(f"a benchmark of {len(wanted)} products, {view.rows} × {view.columns} × {view.inner}"):
            st.session_state[_RESULTS] = run_many(wanted, device(), progress=lambda share, text: bar.progress(share, told(text)))
    except Busy as busy:
        st.warning(str(busy))
    place.empty()
    return st.session_state.get(_RESULTS, [])


def recorded() -> list[tuple[str, list[BenchResult]]]:
    """The runs that come with the project -> (note, results) of each; a file that cannot be read is said and left out."""
    found = []
    for path in recorded_runs().values():
        try:
            found += _by_size(path)
        except ValueError as error:
            st.warning(as_text(told(error)))
    return found


def uploaded() -> list[tuple[str, list[BenchResult]]]:
    """Draw a box for a file with a recorded run -> (note, results) of it; nothing where there is none, or it was refused with the reason."""
    file = st.file_uploader(tr("A recorded run of your own"), type=["csv"], key="measurements_upload", max_upload_size=4, help=tr("What `python -m fp8core bench --save run.csv` wrote, here or elsewhere."))
    if file is None:
        return []
    with TemporaryDirectory() as folder:
        path = Path(folder, "run.csv")
        path.write_bytes(file.getvalue())
        try:
            return _by_size(path)
        except ValueError as error:
            st.error(sentences(tr("This file was not opened."), as_text(told(str(error).replace(path.name, file.name)))))
            return []


def _by_size(path: Path) -> list[tuple[str, list[BenchResult]]]:
    """What a file holds, the results of each machine, day and size by themselves."""
    runs: dict[tuple, list[BenchResult]] = {}
    for r in load(path):
        runs.setdefault((r.host, r.recorded, r.case.shape), []).append(r)
    return [(load_note(path), results) for results in runs.values()]


def as_python(view: View, results: Sequence[BenchResult]) -> str:
    """The program that measures what was measured, or what would be, and shows recorded runs too."""
    wanted = [r.case for r in results] or cases(view)
    first, listed = wanted[0], [case.recipe for case in wanted]
    arguments = f"{first.m}, {first.n}, {first.k}"
    told = f"seed={first.seed}, repeats={first.repeats}"
    made = f"[BenchCase({arguments}, recipe, {told}) for recipe in {listed}]"
    if any(case.backend != "auto" for case in wanted):
        made = f"[BenchCase({arguments}, recipe, backend, {told}) for recipe, backend in {[(case.recipe, case.backend) for case in wanted]}]"
    runs = f"runs = [run_many({made}, {device()!r})]"
    if view.recorded == "shown":
        file = st.session_state.get("measurements_upload")
        paths = "*recorded_runs().values()" if file is None else f"*recorded_runs().values(), {file.name!r}"
        runs = f"from fp8core.bench import load, recorded_runs\n{runs}\nruns += [load(path) for path in ({paths},)]"
    return snippets.program("from fp8core.bench import BenchCase, run_many", runs, """
for results in runs:
    for r in results:
        print(r.recorded or "live", r.case.shape, r.case.recipe, r.kernel, r.label, r.refusal or f"{r.product_ms.median:.3f} ms, {r.tflops:.4f} TFLOP/s, {r.sqnr_db:.2f} dB, largest error {r.max_abs_error:.5f}")
""")  # fmt: skip


def reasons(results: Sequence[BenchResult]) -> str:
    """Why each recipe was faster or slower than BF16, as a Markdown list; empty where there is no BF16 to compare with."""
    baseline = next((r for r in results if r.case.recipe == "bfloat16" and not r.refusal), None)
    if baseline is None:
        return ""
    peaks = Peaks(baseline.peak_tflops, baseline.peak_gb_per_s) if baseline.peak_tflops else None
    return "\n".join(tr("- **{name}**: {reason}").format(name=recipe_title(r.case.recipe), reason=as_text(told(why(r, baseline, peaks)))) for r in results if r.case.recipe not in BASELINES and not r.refusal)


def last_results() -> list[BenchResult]:
    """The last results of this session, or []."""
    return st.session_state.get(_RESULTS, [])


@dataclass(frozen=True)
class RoofPoint:
    """A product under a roofline. `how`: "measured, native", "measured, emulated" or "modelled"; `operand`: the units that multiply."""

    recipe: str
    operand: str
    how: str
    flop_per_byte: float
    tflops: float
    milliseconds: float


def measured_profile(results: Sequence[BenchResult]) -> DeviceProfile | None:
    """This machine by the peaks that were measured along with the results; None where nothing was."""
    ran = next((r for r in results if r.peak_tflops), None)
    return None if ran is None else DeviceProfile(tr("this machine"), {"bfloat16": ran.peak_tflops}, ran.peak_gb_per_s, host().memory_gib or 1.0, tr("measured in the same run"))


def roof_point(r: BenchResult) -> RoofPoint:
    """Where a measured product lies."""
    return RoofPoint(r.case.recipe, BACKENDS[r.kernel].operand, f"measured, {r.kind}", intensity(r.case.recipe, r.case.m, r.case.n, r.case.k), r.tflops, r.product_ms.median)


def roof_recipes(view: View) -> tuple[str, ...]:
    """BF16 and the recipes that the visitor chose."""
    return tuple(dict.fromkeys((BASELINES[0], *recipe_names(view))))


def modelled_points(view: View, profile: DeviceProfile) -> list[RoofPoint]:
    """Where products of the chosen size would lie at best; recipes that no unit takes are left out."""
    size, points = (view.rows, view.columns, view.inner), []
    for recipe in roof_recipes(view):
        with suppress(ValueError):  # the device has no figure for it
            operand = operand_of(recipe, profile)
            points.append(RoofPoint(recipe, operand, "modelled", intensity(recipe, *size), attainable_tflops(profile, operand, intensity(recipe, *size)), modelled_ms(profile, operand, recipe, *size)))
    return points


def roof_table(points: Sequence[RoofPoint]) -> list[dict]:
    """One row per point."""
    return [
        {
            tr("recipe"): recipe_title(point.recipe),
            tr("units"): point.operand,
            tr("how"): tr(point.how),
            tr("FLOP per byte"): round(point.flop_per_byte, 2),
            tr("TFLOP/s"): float(f"{point.tflops:.4g}"),
            tr("time (µs)"): float(f"{1e3 * point.milliseconds:.4g}"),
        }
        for point in points
    ]


def heading(results: Sequence[BenchResult]) -> str:
    """What was measured, and where."""
    first = results[0]
    size = tr("M = {m}, N = {n}, K = {k}").format(m=first.case.m, n=first.case.n, k=first.case.k)
    when = tr("recorded {date}").format(date=first.recorded) if first.recorded else tr("live")
    return f"{when} · {size} · {told(first.host)}"


def refusals(results: Sequence[BenchResult]) -> str:
    """Why some did not run, as a Markdown list; empty where all did."""
    return "\n".join(tr("- **{name}**, {part}: {reason}").format(name=recipe_title(r.case.recipe), part=as_text(r.kernel), reason=as_text(told(r.refusal))) for r in results if r.refusal)


def table(results: Sequence[BenchResult]) -> list[dict]:
    """One row per case, refused ones too."""
    return [_row(r) for r in results]


def _row(r: BenchResult) -> dict:
    def milliseconds(spread, share="median"):
        return None if spread is None else round(getattr(spread, share), 3)

    return {
        tr("recipe"): recipe_title(r.case.recipe),
        tr("kernel"): r.kernel,
        tr("how"): told(r.label),
        tr("product (ms)"): milliseconds(r.product_ms),
        tr("p20 (ms)"): milliseconds(r.product_ms, "p20"),
        tr("p80 (ms)"): milliseconds(r.product_ms, "p80"),
        tr("quantize A (ms)"): milliseconds(r.quantize_a_ms),
        tr("quantize B (ms)"): milliseconds(r.quantize_b_ms),
        tr("A, amax known (ms)"): milliseconds(r.quantize_a_static_ms),
        tr("B, amax known (ms)"): milliseconds(r.quantize_b_static_ms),
        tr("all three (ms)"): milliseconds(r.end_to_end_ms),
        tr("TFLOP/s"): _rounded(r.tflops, 4),
        tr("% of BF16 peak"): None if r.peak_share is None else round(100 * r.peak_share, 1),
        tr("GB/s"): _rounded(r.gb_per_s, 2),
        tr("× BF16"): _rounded(r.speedup_bfloat16, 2),
        tr("× FP32"): _rounded(r.speedup_float32, 2),
        tr("SQNR (dB)"): _rounded(r.sqnr_db, 2),
        tr("largest error"): _rounded(r.max_abs_error, 5),
        tr("runs"): r.runs,
        tr("refused because"): told(r.refusal),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
