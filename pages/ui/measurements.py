"""Benchmarks for a page: run on request, one at a time, kept for the session; recorded runs; rows of the table."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fp8core.bench import BASELINES, BenchCase, BenchResult, load, load_note, recorded_runs, run_many
from fp8core.hardware import Host, probe
from fp8core.recipes import parse_recipe
from pages.ui.jobs import Busy, heavy_job
from pages.ui.language import tr
from pages.ui.upload import as_text
from pages.ui.view import View

_RESULTS = "measurements_results"


@st.cache_resource(show_spinner=False)
def host() -> Host:
    """This machine."""
    return probe()


def cases(view: View) -> list[BenchCase]:
    """The two baselines, then every chosen recipe. The chosen backend is for the recipes; baselines take theirs."""
    names = dict.fromkeys((*reversed(BASELINES), *view.recipes))
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
    try:
        with heavy_job():
            device = "cuda" if host().gpu else "cpu"
            st.session_state[_RESULTS] = run_many(cases(view), device, progress=lambda share, text: bar.progress(share, text))
    except Busy as busy:
        st.warning(str(busy))
    place.empty()
    return st.session_state.get(_RESULTS, [])


def recorded() -> list[tuple[str, list[BenchResult]]]:
    """The runs that come with the project -> (note, results) of each; a file that cannot be read is said and left out."""
    found = []
    for path in recorded_runs().values():
        try:
            found.append((load_note(path), load(path)))
        except ValueError as error:
            st.warning(as_text(str(error)))
    return found


def heading(results: Sequence[BenchResult]) -> str:
    """What was measured, and where."""
    first = results[0]
    size = tr("M = {m}, N = {n}, K = {k}").format(m=first.case.m, n=first.case.n, k=first.case.k)
    when = tr("recorded {date}").format(date=first.recorded) if first.recorded else tr("live")
    return f"{when} · {size} · {first.host}"


def refusals(results: Sequence[BenchResult]) -> str:
    """Why some did not run, as a Markdown list; empty where all did."""
    return "\n".join(f"- **{_title(r)}**, {as_text(r.kernel)}: {as_text(r.refusal)}" for r in results if r.refusal)


def table(results: Sequence[BenchResult]) -> list[dict]:
    """One row per case, refused ones too."""
    return [_row(r) for r in results]


def _row(r: BenchResult) -> dict:
    def milliseconds(spread, share="median"):
        return None if spread is None else round(getattr(spread, share), 3)

    return {
        tr("recipe"): _title(r),
        tr("kernel"): r.kernel,
        tr("how"): r.label,
        tr("product (ms)"): milliseconds(r.product_ms),
        tr("p20 (ms)"): milliseconds(r.product_ms, "p20"),
        tr("p80 (ms)"): milliseconds(r.product_ms, "p80"),
        tr("quantize A (ms)"): milliseconds(r.quantize_a_ms),
        tr("quantize B (ms)"): milliseconds(r.quantize_b_ms),
        tr("all three (ms)"): milliseconds(r.end_to_end_ms),
        tr("TFLOP/s"): _rounded(r.tflops, 4),
        tr("GB/s"): _rounded(r.gb_per_s, 2),
        tr("× BF16"): _rounded(r.speedup_bfloat16, 2),
        tr("× FP32"): _rounded(r.speedup_float32, 2),
        tr("SQNR (dB)"): _rounded(r.sqnr_db, 2),
        tr("largest error"): _rounded(r.max_abs_error, 5),
        tr("runs"): r.runs,
        tr("refused because"): r.refusal,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _title(r: BenchResult) -> str:
    return parse_recipe(r.case.recipe).title or r.case.recipe
