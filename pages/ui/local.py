"""Checkpoints on the machine where the dashboard runs: those in the folder that its operator named, and no others."""

from __future__ import annotations

import os
import time
from pathlib import Path

from fp8core.checkpoints import SUFFIXES

VARIABLE = "FP8_CHECKPOINTS"
NONE = "none"
_MOST, _FRESH_SECONDS = 500, 2.0
_seen: dict[str, float] = {}
_looked = -_FRESH_SECONDS


def folder() -> Path | None:
    """The folder that was named when the dashboard was started; None where none was."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else None


def checkpoints() -> tuple[str, ...]:
    """NONE, and the names of the checkpoints in the folder: files, and folders with .safetensors files. One that was there once stays a name."""
    global _looked
    if folder() is not None and time.monotonic() - _looked > _FRESH_SECONDS:
        _looked = time.monotonic()
        _seen.update(dict.fromkeys(_found(folder()), 0.0))
    return (NONE, *sorted(_seen))


def path_of(name: str) -> Path:
    """Where a checkpoint lies that `checkpoints` has named."""
    if name == NONE or name not in checkpoints():
        raise ValueError(f"{name!r} is not a checkpoint in the folder of {VARIABLE}")
    return folder() / name


def _found(place: Path) -> list[str]:
    try:
        entries = sorted(place.iterdir())[:_MOST]
        return [each.name for each in entries if (each.is_file() and each.suffix in SUFFIXES) or (each.is_dir() and any(each.glob("*.safetensors")))]
    except OSError:
        return []  # the folder is gone: what was seen of it stays a name, and opening one says what is wrong
