"""The threads that the loops run in: bounded, ours, and the same for all sessions of a server.

Loops never run in the calling thread, so that its way of treating subnormal numbers is of no matter.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

import torch

_SMALLEST = 1 << 15  # numbers; fewer are not worth a second thread
_LARGEST = 1 << 19  # numbers of one piece: what is between two steps stays in the second-level cache
_here = threading.local()
_pool: ThreadPoolExecutor | None = None
_making = threading.Lock()


def run(work: Callable, pieces: Iterable) -> list:
    """Return [work(piece) for each piece], done by at most `torch.get_num_threads()` threads at once.

    Work that itself calls `run` is done where it is.
    """
    pieces = list(pieces)
    if getattr(_here, "is_ours", False):
        return [work(piece) for piece in pieces]
    pool, hands = _ready(), max(min(torch.get_num_threads(), len(pieces)), 1)
    waiting, results, lock = iter(enumerate(pieces)), [None] * len(pieces), threading.Lock()

    def take_turns():
        while True:
            with lock:
                place, piece = next(waiting, (None, None))
            if place is None:
                return
            results[place] = work(piece)

    for turn in [pool.submit(take_turns) for _ in range(hands)]:
        turn.result()
    return results


def in_one_thread(work: Callable, *args):
    """Return work(*args), done by one of the threads, which does there whatever it asks of `run`: for many small jobs, each of which would be handed over."""
    return run(lambda context: context.run(work, *args), [copy_context()])[0]


@dataclass(frozen=True)
class Piece:
    """A part of a matrix that lies contiguously, in whole blocks: which numbers, in how many columns, and which blocks."""

    numbers: slice
    columns: int
    blocks: slice


def pieces(rows: int, columns: int, block_rows: int, block_columns: int, *, cut_blocks: bool = False, threads: int | None = None) -> list[Piece]:
    """Cut a matrix into pieces that all threads can share: some rows each, or parts of one row where rows are long.

    Args:
        cut_blocks: a block that spans a whole axis may be cut along it, so that pieces share it; else only where blocks meet.
        threads: how many to cut for, all of torch's if not given.
    """
    wanted = min(max(rows * columns // (4 * (threads or torch.get_num_threads())), _SMALLEST), _LARGEST)
    across = -(-columns // block_columns)
    one_block_down, one_block_across = cut_blocks and block_rows >= rows, cut_blocks and block_columns >= columns
    if (block_rows == 1 or one_block_down) and columns > wanted:
        side = 1 if one_block_across else block_columns
        step = max(wanted // side, 1) * side
        return [
            Piece(
                slice(row * columns + first, row * columns + min(first + step, columns)),
                min(first + step, columns) - first,
                slice((0 if one_block_down else row * across) + first // block_columns, (0 if one_block_down else row * across) + -(-min(first + step, columns) // block_columns)),
            )
            for row in range(rows) for first in range(0, columns, step)
        ]  # fmt: skip
    side = 1 if one_block_down else block_rows
    step = max(wanted // (side * columns), 1) * side
    return [
        Piece(slice(first * columns, min(first + step, rows) * columns), columns, slice(0, across) if one_block_down else slice(first // block_rows * across, -(-min(first + step, rows) // block_rows) * across))
        for first in range(0, rows, step)
    ]


def _ready() -> ThreadPoolExecutor:
    global _pool
    with _making:
        if _pool is None:
            _pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="fp8core", initializer=_begin)
        return _pool


def _begin() -> None:
    _here.is_ours = True
    torch.set_flush_denormal(False)


def _forget() -> None:
    """A forked process has none of its parent's threads."""
    global _pool, _making
    _pool, _making = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
