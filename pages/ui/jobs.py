"""Work that takes the whole machine: who comes second waits, sees for what, and can leave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from fp8core.bench.turn import turn
from pages.ui.language import told, tr
from pages.ui.upload import as_text

MAX_WAIT_SECONDS = 180.0


class Busy(RuntimeError):
    """The machine is taken, and the visitor has waited long enough; the message says so."""


@contextmanager
def heavy_job(job: str) -> Iterator[None]:
    """Hold the machine while the body runs.

    It is given back however the body ends: a new run of the page, a closed tab and an error all raise through it at the next
    Streamlit call, and so does waiting, which draws its message again and again.

    Args:
        job: what it is, in English, for those who wait; they may read another language.

    Raises:
        Busy: it did not become free in time.
    """
    message = st.empty()

    def waiting(running: str, seconds: float) -> None:
        words = {"job": as_text(told(running)) or tr("another job"), "seconds": round(seconds)}
        if seconds > MAX_WAIT_SECONDS:
            message.empty()
            raise Busy(tr("This machine still runs {job}, after {seconds} s of waiting. Try again later.").format(**words))
        message.info(tr("This machine runs {job}; yours is next. Waiting for {seconds} s.").format(**words))

    with turn(job, waiting):
        message.empty()
        yield
