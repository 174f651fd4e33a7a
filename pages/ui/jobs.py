"""One place for work that takes the whole machine: who comes second waits, sees that, and can leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from pages.ui.language import tr

PLACES = 1
MAX_WAIT_SECONDS = 180.0


class Busy(RuntimeError):
    """All places are taken, and the visitor has waited long enough; the message says so."""


@st.cache_resource(show_spinner=False)
def _places() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(PLACES)


@contextmanager
def heavy_job() -> Iterator[None]:
    """Hold a place while the body runs.

    The place is given back however the body ends: a new run of the page, a closed tab and an error all raise through it at the next
    Streamlit call, and so does waiting, which draws its message again and again.

    Raises:
        Busy: no place became free in time.
    """
    places, message, since = _places(), st.empty(), time.monotonic()
    while not places.acquire(timeout=0.5):
        waited = time.monotonic() - since
        if waited > MAX_WAIT_SECONDS:
            message.empty()
            raise Busy(tr("Another visitor's job still runs after {seconds} s. Try again later.").format(seconds=round(waited)))
        message.info(tr("Another visitor's job is running; yours is next. Waiting for {seconds} s.").format(seconds=round(waited)))
    try:
        message.empty()
        yield
    finally:
        places.release()
