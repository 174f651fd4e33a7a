"""Comparisons for a page: run on request, kept for the server under the versions that were compared; rows of the tables."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fp8core import conformance
from fp8core.conformance import CheckResult
from pages.ui import frame
from pages.ui.jobs import Busy, heavy_job
from pages.ui.language import sentences, told, tr
from pages.ui.upload import as_text

_SYMBOLS = {"passed": "✓", "failed": "✗", "not installed": "○", "not covered": ""}


@st.cache_resource(show_spinner=False)
def _kept() -> dict[tuple, tuple[CheckResult, ...]]:
    """Results by the versions compared: one run serves every visitor."""
    return {}


@st.cache_resource(show_spinner=False)
def versions() -> dict[str, str]:
    """The installed implementations with their versions."""
    return conformance.installed_versions()


def run_on_request() -> tuple[CheckResult, ...]:
    """Draw the button; when it is pressed, compare with a progress bar -> the last results of this server, or ()."""
    key = tuple(versions().items())
    label = tr("Compare again") if key in _kept() else tr("Compare now")
    if st.button(label, key="conformance_run", type="primary", icon=":material/play_arrow:"):
        bar = st.progress(0.0, tr("waiting"))
        try:
            with heavy_job("the comparison with other implementations"):
                results = conformance.run(on_progress=lambda share, text: bar.progress(share, text))
            _kept().clear()
            _kept()[key] = results
            st.rerun()
        except Busy as busy:
            st.warning(str(busy))
        bar.empty()
    return _kept().get(key, ())


def headline(results: Sequence[CheckResult]) -> None:
    """Draw the numbers that matter first."""
    subjects = {kind: {r.subject for r in results if r.kind == kind} for kind in ("format", "recipe")}
    compared = {kind: {r.subject for r in results if r.kind == kind and r.compared} for kind in subjects}
    some = tr("{count} of {all}")
    nobody = tr("For the others no implementation is installed, or none can be; the table says why.")
    shown = (
        (tr("Codes and numbers compared"), _grouped(sum(result.compared for result in results)), ""),
        (tr("Mismatches"), _grouped(sum(result.mismatches for result in results)), tr("Known differences aside; they are listed below.")),
        (tr("Formats compared"), some.format(count=len(compared["format"]), all=len(subjects["format"])), nobody),
        (tr("Recipes compared"), some.format(count=len(compared["recipe"]), all=len(subjects["recipe"])), nobody),
        (tr("Implementations"), some.format(count=len(versions()), all=len(conformance.ORACLES)), ", ".join(f"{name} {version}" for name, version in versions().items())),
    )
    frame.metrics(shown)


def mismatches(results: Sequence[CheckResult]) -> None:
    """Say what differs, or that nothing does."""
    wrong = [result for result in results if result.status == "failed"]
    if not wrong:
        st.success(tr("Everything that was compared is equal."), icon=":material/check_circle:")
    for r in wrong:
        st.error(
            tr("{subject} differs from {oracle} in {count} of {compared} ({aspect}). The first: {input} gives {ours} here and {theirs} there.").format(
                subject=as_text(r.subject), oracle=as_text(r.oracle), count=_grouped(r.mismatches), compared=_grouped(r.compared), aspect=told(r.aspect),
                input=as_text(r.first.input), ours=as_text(r.first.ours), theirs=as_text(r.first.theirs),
            )
        )  # fmt: skip


def grid_rows(results: Sequence[CheckResult]) -> list[dict]:
    """One row per subject, one column per implementation: a symbol and how many numbers were compared."""
    asked = [name for name in conformance.ORACLES if any(result.oracle == name for result in results)]
    rows = []
    for kind, subject in dict.fromkeys((result.kind, result.subject) for result in results):
        mine = [result for result in results if (result.kind, result.subject) == (kind, subject)]
        row = {tr("subject"): subject, tr("kind"): tr(kind)}
        row |= {name: _cell([result for result in mine if result.oracle == name]) for name in asked}
        rows.append(row | {tr("note"): sentences(*dict.fromkeys(told(result.note) for result in mine))})
    return rows


def rows(results: Sequence[CheckResult]) -> list[dict]:
    """One row per comparison."""
    return [
        {
            tr("subject"): r.subject, tr("kind"): tr(r.kind), tr("implementation"): r.oracle, tr("aspect"): told(r.aspect), tr("status"): tr(r.status), tr("compared"): r.compared, tr("mismatches"): r.mismatches,
            tr("first mismatch"): f"{r.first.input}: {r.first.ours} / {r.first.theirs}" if r.first else "",
            tr("known differences"): "; ".join(f"{seen.divergence.key}: {seen.differing}" for seen in r.seen), tr("note"): told(r.note),
        }
        for r in results
    ]  # fmt: skip


def divergence_rows(results: Sequence[CheckResult]) -> list[dict]:
    """One row per known difference; with results, whether it was found."""
    seen = conformance.divergences_seen(results)
    return [
        {
            tr("implementation"): ", ".join(each.oracles), tr("where"): told(each.where), tr("ours"): told(each.ours), tr("theirs"): told(each.theirs), tr("why"): told(each.reason), tr("source"): told(each.source),
            tr("found here"): tr("{state} ({count} numbers)").format(state=tr(seen[each].state), count=_grouped(seen[each].differing)) if each in seen else tr("not compared"),
        }
        for each in (*conformance.FORMAT_DIVERGENCES, *conformance.RECIPE_DIVERGENCES)
    ]  # fmt: skip


def oracle_rows() -> list[dict]:
    """One row per implementation: installed or not, and what it is trusted for."""
    return [
        {tr("implementation"): name, tr("installed"): versions().get(name, tr("no")), tr("last compared with"): about.version, tr("trusted for"): told(about.trusted_for), tr("what it is"): told(about.source)}
        for name, about in conformance.ORACLES.items()
    ]


def advice() -> str:
    """The command that installs what is missing; empty where nothing is."""
    missing = [about.requirement for name, about in conformance.ORACLES.items() if name not in versions()]
    return f"pip install {' '.join(missing)}" if missing else ""


def with_sentences(lines: int, **widths: int) -> dict:
    """Arguments of a table whose cells hold sentences: columns of these widths, together no wider than the page, rows of so many lines."""
    return {"row_height": 10 + 23 * lines, "column_config": {tr(name.replace("_", " ")): st.column_config.TextColumn(width=width) for name, width in widths.items()}}


def _cell(results: list[CheckResult]) -> str:
    if not results:
        return ""
    worst = next(status for status in ("failed", "not installed", "passed", "not covered") if any(result.status == status for result in results))
    wrong = sum(result.mismatches for result in results)
    return f"{_SYMBOLS[worst]} {_grouped(wrong)} / " * bool(wrong) + (f"{_SYMBOLS[worst]} " if not wrong else "") + (_grouped(sum(result.compared for result in results)) if worst != "not installed" else "")


def _grouped(count: int) -> str:
    return f"{count:,}"
