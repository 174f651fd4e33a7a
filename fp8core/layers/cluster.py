"""The same analysis on several machines, or in several processes of one: a Dask cluster takes a tensor at a time."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from fp8core.checkpoints import Checkpoint, open_checkpoint
from fp8core.layers.report import LayerReport, report
from fp8core.packed import decoded

PACKAGE = "distributed==2026.8.0"
_AHEAD = 4  # tensors for each thread of the cluster that wait there, so that none is idle
_SOON_ENOUGH = 3600.0  # seconds for one tensor, its retries included


@contextmanager
def cluster_client(address: str = "", workers: int = 0) -> Iterator[Any]:
    """Connect to a scheduler, or start one here with so many worker processes -> a `distributed.Client`; both end with the block.

    Raises:
        ValueError: the package is not installed; no scheduler answers at the address.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ValueError(f"--scheduler and --workers need the package distributed: pip install {PACKAGE}") from error
    if address:
        try:
            client = Client(address, timeout=10)
        except (OSError, TimeoutError, ValueError) as error:
            raise ValueError(f"no Dask scheduler answers at {address!r}: {error}") from error
        with client:
            yield client
    else:
        with _deaf_children():
            cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1")
        with cluster, Client(cluster) as client:
            yield client


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes that start within this leave Ctrl-C to us: they end with the cluster, and not with a traceback each."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)  # None: it was not set by Python


def analyze_on(client: Any, path: str | os.PathLike, recipes: Sequence[str], names: Iterable[str], progress: Callable[[int, int, str], None] | None = None) -> Iterator[LayerReport]:
    """Report on tensors of a checkpoint as `analyze` does, in the same order, bit for bit; the tensors of a worker that dies are given to another.

    Args:
        client: of `cluster_client`, or any `distributed.Client`.
        path: where the checkpoint lies, for the workers too: a path that all of them have, or a URL.
        recipes: names.
        progress: called with (done, all, name) before each report is waited for.

    Raises:
        ValueError: as `analyze`, from a worker.
    """
    source = os.fspath(path) if "://" in os.fspath(path) else os.path.abspath(path)
    wanted = list(names)
    waiting, left = deque(), iter(wanted)
    threads = max(sum(client.nthreads().values()), 1)

    def hand_out() -> None:
        while len(waiting) < _AHEAD * threads and (name := next(left, None)) is not None:
            waiting.append(client.submit(_report, source, name, tuple(recipes), pure=False, retries=2))

    for done, name in enumerate(wanted):
        hand_out()
        if progress is not None:
            progress(done, len(wanted), name)
        yield waiting.popleft().result(timeout=_SOON_ENOUGH)


def _report(source: str, name: str, recipes: tuple[str, ...]) -> LayerReport:
    return report(_opened(source), name, recipes)


@lru_cache(maxsize=2)
def _opened(source: str) -> Checkpoint:
    return decoded(open_checkpoint(source))
