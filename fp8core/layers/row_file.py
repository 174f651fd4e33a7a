"""The rows of an analysis as a CSV file that grows layer by layer, so that a run that was stopped can go on."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from fp8core.checkpoints import Checkpoint
from fp8core.checkpoints.source import quote
from fp8core.layers.report import LayerReport, to_rows


def finished_rows(path: str | Path, checkpoint: Checkpoint, recipes: Sequence[str]) -> list[dict]:
    """Read the rows of the layers that a stopped run has completed; every cell is text, as it stands in the file.

    Rows after the first layer that is not complete are left out; an absent or empty file has none.

    Args:
        recipes: names, in the order of the run that goes on.

    Raises:
        ValueError: a file with other columns, of another checkpoint, or of other recipes.
    """
    if not Path(path).exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        text = file.read()
    text = text[: text.rfind("\n") + 1]  # the last line may have been cut off
    lines = list(csv.reader(io.StringIO(text, newline="")))
    if not lines:
        return []
    columns, *lines = lines
    if columns != _columns():
        raise ValueError(f"{path}: its columns are {quote(','.join(columns))}, and those of an analysis are {','.join(_columns())}")
    rows = [dict(zip(columns, line, strict=False)) for line in lines]
    finished = []
    for name, group in groupby(rows, key=lambda row: row["layer"] if row else ""):
        layer = list(group)
        used = [row.get("recipe") for row in layer]
        if any(len(row) < len(columns) for row in layer) or (used != [""] and used != list(recipes)[: len(used)]):
            raise ValueError(f"{path}: the rows of layer {quote(name)} are of recipes {', '.join(map(quote, used))}, and this run has {', '.join(recipes)}: name those, or another file")
        _check_same(path, checkpoint, layer[0])
        if used != [""] and len(used) < len(recipes):
            break
        finished += layer
    return finished


def keep_rows(path: str | Path, rows: Iterable[dict]) -> None:
    """Replace a file by one with these rows and no others; it is never seen half written."""
    beside = Path(f"{path}.part")
    with open(beside, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _columns(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(beside, path)


def append_rows(path: str | Path, reports: Iterable[LayerReport]) -> Iterator[list[dict]]:
    """Write the rows of each report as soon as it is there -> those rows."""
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _columns(), lineterminator="\n")
        for layer in reports:
            rows = to_rows([layer])
            writer.writerows(rows)
            file.flush()
            yield rows


def _columns() -> list[str]:
    return list(to_rows([LayerReport("", (), "unreadable", "", 0, 0, None, {}, "")])[0])


def _check_same(path: str | Path, checkpoint: Checkpoint, row: dict) -> None:
    info = checkpoint.infos.get(row["layer"])
    if info is None and row["layer"] in checkpoint.refused:
        return
    if info is None or row["shape"] != "×".join(map(str, info.shape)):
        raise ValueError(f"{path}: layer {quote(row['layer'])} of shape {quote(row['shape'])} is not in {checkpoint.filename}: the file belongs to another checkpoint")
