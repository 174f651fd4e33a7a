"""What commands print: tables, and how far they are."""

from __future__ import annotations

import sys
from collections.abc import Callable


def progress() -> Callable[[float, str], None] | None:
    """Return what shows the share that is done in one line; None where nobody watches."""
    return _show if sys.stderr.isatty() else None


def _show(share: float, text: str) -> None:
    print(f"\r\033[K{share:4.0%} {text}" if share < 1 else "\r\033[K", end="", file=sys.stderr, flush=True)


def waiting(running: str, seconds: float) -> None:
    """Say what has to end first, once."""
    if seconds < 1:
        print(f"waiting for {running or 'another job'} on this machine to end", file=sys.stderr)


def print_table(rows: list[tuple]) -> None:
    """Columns as wide as the widest cell of the full rows; a short row runs on as it is."""
    width = len(rows[0])
    widths = [max(len(str(row[column])) for row in rows if len(row) == width) for column in range(width)]
    for row in rows:
        print("  ".join(str(cell).ljust(size) for cell, size in zip(row, [*widths[: len(row) - 1], 0], strict=True)).rstrip())
