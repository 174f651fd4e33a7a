"""Long work item by item: a bar that says what is done and how long the rest takes, a way to stop, and a way to go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import accumulate

import streamlit as st

from pages.ui.language import tr
from pages.ui.upload import as_text

_STOPPED, _DONE = "progress_stopped", "progress_done"
_QUICK_SECONDS = 0.15  # what is done sooner needs no bar


def one_by_one(job: str, names: Sequence[str], work: Callable[[str], object], sizes: Sequence[int] = ()) -> list:
    """Return [work(name) for each name]; of work that the visitor has stopped, what was done by then.

    A stopped job stays stopped until the visitor lets it go on. `work` should remember its results, so that this begins where it was.

    Args:
        job: tells this work from other work; the same after a rerun.
        names: text of strangers, shown while each is at work.
        sizes: how much work each one is, for the estimate; all the same unless given.
    """
    place = st.empty()
    stopped, found = st.session_state.get(_STOPPED, ("", []))
    if stopped == job:
        with place.container(horizontal=True, vertical_alignment="center"):
            st.info(tr("Stopped: {number} of {all} layers are shown.").format(number=len(found), all=len(names)))
            st.button(tr("Go on"), key="progress_go_on", icon=":material/play_arrow:", on_click=_go_on)
        return found
    st.session_state[_DONE] = found = []  # it grows in place: a run that a click ends can write nothing more to the session
    bar, started, before = None, time.monotonic(), [0, *accumulate(sizes or [1] * len(names))]
    shown = started
    try:
        for done, name in enumerate(names):
            if time.monotonic() - shown > _QUICK_SECONDS:
                bar, shown = bar or _draw(place, job), time.monotonic()
                share = before[done] / max(before[-1], 1)
                rest = (shown - started) * (1 / share - 1) if share else 0
                words = tr("Layer {number} of {all}, about {seconds} s left: {name}") if rest > 5 else tr("Layer {number} of {all}: {name}")
                bar.progress(share, words.format(number=done + 1, all=len(names), name=as_text(name), seconds=round(rest)))
            found.append(work(name))
    finally:
        place.empty()
    return found


def _draw(place, job: str):
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0)
        st.button(tr("Stop"), key=f"progress_stop_{job}", icon=":material/stop:", on_click=_stop, args=(job,))
    return bar


def _stop(job: str) -> None:
    st.session_state[_STOPPED] = job, st.session_state[_DONE]


def _go_on() -> None:
    st.session_state.pop(_STOPPED, None)
