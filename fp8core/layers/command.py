"""python -m fp8core analyze CHECKPOINT: which layers of a checkpoint suffer."""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from fp8core.checkpoints import Checkpoint, open_checkpoint
from fp8core.checkpoints.source import inner
from fp8core.console import print_table, progress
from fp8core.layers.cluster import analyze_on, cluster_client
from fp8core.layers.report import LayerReport, analyze, to_rows
from fp8core.layers.row_file import append_rows, finished_rows, keep_rows
from fp8core.packed import decoded
from fp8core.recipes import parse_recipe

RECIPES = ("bfloat16", "int8_row", "tensor_e4m3", "mxfp8_e4m3", "nvfp4", "mxfp4")
INTERRUPTED = 130  # what a shell expects of a command that Ctrl-C has ended


def add_to(commands) -> None:
    """Add the command to those of `python -m fp8core`."""
    analysis = commands.add_parser("analyze", help="measure every layer of a checkpoint under several recipes")
    analysis.add_argument("checkpoint", metavar="CHECKPOINT", help="a .safetensors, .npy or .npz file, a folder of .safetensors files, or their index")
    analysis.add_argument("--recipes", default=",".join(RECIPES), metavar="NAMES", help="separated by commas; all of them: python -m fp8core recipes")
    analysis.add_argument("--worst", type=int, default=10, metavar="N", help="how many layers to show, the lowest SQNR first (default 10)")
    analysis.add_argument("--csv", metavar="FILE", help="write every layer under every recipe as CSV, layer by layer as they are measured")
    analysis.add_argument("--resume", action="store_true", help="go on after the layers that the file of --csv holds already")
    where = analysis.add_mutually_exclusive_group()
    where.add_argument("--scheduler", metavar="ADDRESS", help="let the Dask cluster at this address do it, as in tcp://host:8786; its workers have to reach the checkpoint")
    where.add_argument("--workers", type=int, metavar="N", help="start so many worker processes here and let them do it")
    analysis.set_defaults(command=_analyze)


def _analyze(options: argparse.Namespace) -> int:
    recipes = [parse_recipe(name.strip()) for name in options.recipes.split(",") if name.strip()]
    if not recipes:
        raise ValueError(f"--recipes {options.recipes!r} names no recipe")
    if options.worst < 0:
        raise ValueError(f"--worst {options.worst} is not a number of layers, at least 0")
    if options.resume and not options.csv:
        raise ValueError("--resume goes on with the file of --csv, and none is named")
    if options.csv and not Path(options.csv).absolute().parent.is_dir():
        raise ValueError(f"--csv {options.csv!r}: there is no such folder")
    if options.workers is not None and options.workers < 1:
        raise ValueError(f"--workers {options.workers} is not a number of processes, at least 1")
    names = [recipe.name for recipe in recipes]
    checkpoint = decoded(open_checkpoint(options.checkpoint))
    rows = finished_rows(options.csv, checkpoint, names) if options.resume else []
    finished = {row["layer"] for row in rows}
    left = [name for name in (*checkpoint.infos, *checkpoint.refused) if name not in finished]
    if options.csv:
        keep_rows(options.csv, rows)
    done = 0
    try:
        with _reports(options, checkpoint, names, left) as reports:
            for new in append_rows(options.csv, reports) if options.csv else (to_rows([layer]) for layer in reports):
                rows += new
                done += 1
    except KeyboardInterrupt:
        how = f"; --csv {options.csv} --resume goes on from there" if options.csv else "; with --csv it could go on from there"
        print(f"\nstopped after {len(finished) + done} of {len(finished) + len(left)} tensors{how}", file=sys.stderr)
        return INTERRUPTED
    _print(checkpoint, rows, names, options.worst, len(finished))
    return 0


@contextmanager
def _reports(options: argparse.Namespace, checkpoint: Checkpoint, recipes: list[str], names: list[str]) -> Iterator[Iterator[LayerReport]]:
    """The reports, measured in this process or by a cluster."""
    watched = _watched(checkpoint, names)
    if not options.scheduler and not options.workers:
        yield analyze(checkpoint, recipes, names, watched)
        return
    with cluster_client(options.scheduler or "", options.workers or 0) as client:
        yield analyze_on(client, options.checkpoint, recipes, names, watched)


def _watched(checkpoint: Checkpoint, names: list[str]) -> Callable[[int, int, str], None] | None:
    """Show how much of the bytes is done, and how long the rest should take."""
    show = progress()
    if show is None:
        return None
    before = [0, *accumulate(checkpoint.infos[name].nbytes if name in checkpoint.infos else 0 for name in names)]
    started = time.perf_counter()

    def step(done: int, every: int, name: str) -> None:
        share = before[done] / max(before[-1], 1)
        rest = f", about {(1 / share - 1) * (time.perf_counter() - started):.0f} s left" if share else ""
        show(min(share, 0.99), f"{done} of {every}, {inner(name)}{rest}")

    return step


def _print(checkpoint: Checkpoint, rows: list[dict], recipes: list[str], most: int, resumed: int) -> None:
    if (show := progress()) is not None:
        show(1, "")
    measured: dict[str, dict[str, dict]] = {}
    for row in rows:
        if row["recipe"]:
            measured.setdefault(row["layer"], {})[row["recipe"]] = row
    kept = sum(1 for row in rows if not row["recipe"])
    again = f", {resumed} of all from the file" if resumed else ""
    print(f"{inner(checkpoint.filename)}: {len(measured)} tensors measured, {kept} left as they are{again}; {checkpoint.nbytes:,} bytes")
    if not measured:
        print("no tensor here is quantized; the file of --csv says why, tensor by tensor")
        return
    print()
    print_table([("recipe", "bits per value", "median SQNR (dB)", "lowest SQNR (dB)", "in"), *_by_recipe(measured, recipes)])
    ranked = sorted(measured, key=lambda name: min((value for value in map(_sqnr_db, measured[name].values()) if not math.isnan(value)), default=math.inf))
    if most:
        print()
        print_table([
            ("layer", "shape", "crest factor", "kurtosis", *(f"{name} (dB)" for name in recipes)),
            *((inner(name), first["shape"], _figure(first["crest_factor"]), _figure(first["kurtosis"]), *(_figure(measured[name][recipe]["sqnr_db"]) for recipe in recipes)) for name in ranked[:most] for first in [measured[name][recipes[0]]]),
        ])  # fmt: skip


def _by_recipe(measured: dict[str, dict[str, dict]], recipes: list[str]) -> Iterator[tuple]:
    for recipe in recipes:
        rows = [layer[recipe] for layer in measured.values()]
        counts = [int(row["count"]) for row in rows]
        bits = sum(count * float(row["bits_per_value"]) for count, row in zip(counts, rows, strict=True)) / sum(counts)
        rated = sorted((value, row["layer"]) for row in rows if not math.isnan(value := _sqnr_db(row)))
        lowest, name = rated[0] if rated else (math.nan, "")
        yield recipe, f"{bits:.4g}", _figure(statistics.median(value for value, _ in rated) if rated else math.nan), _figure(lowest), inner(name) or "-"


def _sqnr_db(row: dict) -> float:
    return float(row["sqnr_db"])


def _figure(value: str | float) -> str:
    number = float(value)
    return "-" if math.isnan(number) else "exact" if math.isinf(number) else f"{number:.2f}"
