"""Whose turn it is: work that takes the whole machine is done by one process at a time, for two timings at once are both wrong."""

from __future__ import annotations

import getpass
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

FOLDER = Path(tempfile.gettempdir())
_POLL_SECONDS = 0.5
_LONGEST = 200


@contextmanager
def turn(job: str, waiting: Callable[[str, float], None] | None = None) -> Iterator[None]:
    """Hold this machine while the body runs; whoever comes second, in this process or in another one of the same user, waits.

    The turn ends with the body or with the process, however either ends.

    Args:
        job: what runs, for those who wait; one line.
        waiting: called about twice a second with what runs and for how many seconds one has waited. An exception that it raises
            passes through, and the place in the queue is lost.

    Raises:
        OSError: the folder for temporary files cannot be written.

    >>> with turn("a product of two matrices"):
    ...     pass
    """
    lock, name = FileLock(_path(".lock"), thread_local=False), _path(".job")
    since = time.monotonic()
    while True:
        try:
            lock.acquire(timeout=_POLL_SECONDS if waiting else -1)
            break
        except Timeout:
            waiting(_running(name), time.monotonic() - since)
    try:
        name.write_text(job[:_LONGEST], encoding="utf-8")
        yield
    finally:
        name.unlink(missing_ok=True)
        lock.release()


def _path(suffix: str) -> Path:
    return FOLDER / f"fp8core-{getpass.getuser()}{suffix}"


def _running(name: Path) -> str:
    """What runs now; empty in the moment in which nobody has said it."""
    with suppress(OSError, UnicodeDecodeError):
        return name.read_text(encoding="utf-8")
    return ""
