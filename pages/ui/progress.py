"""Long work item by item: a bar that says what is done and how long the rest takes, a way to stop, and a way to go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import streamlit as st

from pages.ui.language import tr
from pages.ui.upload import as_text

_STOPPED, _PARTLY = "progress_stopped", "progress_partly"
_QUICK_SECONDS = 0.15  # what is done sooner needs no bar


def one_by_one(job: str, names: Sequence[str], work: Callable[[str], object]) -> list:
    """Return [work(name) for each name]; of work that the visitor has stopped, what was done by then.

    A stopped job stays stopped until the visitor lets it go on. `work` should remember its results, so that this begins where it was.

    Args:
        job: tells this work from other work; the same after a rerun.
        names: text of strangers, shown while each is at work.
    """
    place = st.empty()
    if st.session_state.get(_STOPPED) == job:
        found = st.session_state[_PARTLY]
        with place.container(horizontal=True, vertical_alignment="center"):
            st.info(tr("Stopped: {number} of {all} layers are shown.").format(number=len(found), all=len(names)))
            st.button(tr("Go on"), key="progress_go_on", icon=":material/play_arrow:", on_click=_go_on)
        return found
    found, bar, started = [], None, time.monotonic()
    shown = started
    try:
        for done, name in enumerate(names):
            if time.monotonic() - shown > _QUICK_SECONDS:
                bar, shown = bar or _draw(place, job), time.monotonic()
                rest = (shown - started) / done * (len(names) - done) if done else 0
                words = tr("Layer {number} of {all}, about {seconds} s left: {name}") if rest > 5 else tr("Layer {number} of {all}: {name}")
                bar.progress(done / len(names), words.format(number=done + 1, all=len(names), name=as_text(name), seconds=round(rest)))
            found.append(work(name))
    finally:  # also where a click on the button, or on anything else, ends this run
        st.session_state[_PARTLY] = found
        place.empty()
    return found


def _draw(place, job: str):
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0)
        st.button(tr("Stop"), key="progress_stop", icon=":material/stop:", on_click=_stop, args=(job,))
    return bar


def _stop(job: str) -> None:
    st.session_state[_STOPPED] = job


def _go_on() -> None:
    st.session_state.pop(_STOPPED, None)
