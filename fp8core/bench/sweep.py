"""Measuring recipes over layers and batches: which is faster than bfloat16, and where. The smallest work comes first, as far as the time goes."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fp8core.bench import record, store, timing
from fp8core.bench.record import BenchCase, BenchResult
from fp8core.bench.shapes import BATCHES, MAX_BATCH, LayerShape
from fp8core.hardware import probe

BASELINE = "bfloat16"
SECONDS = 60.0
REPEATS = 5

_PROBE_SIDE = 512
_NUMBER_BYTES = 16  # of working memory for each number of a factor, beside what every recipe keeps: the number in float32 and float64, and a copy
_RECIPE_BYTES = 4  # the most that a recipe keeps of a number
_MEMORY_SHARE = 0.5  # of the machine's memory that one product may need


@dataclass(frozen=True)
class SweepPoint:
    """One recipe, measured or refused, in one layer with one batch."""

    shape: LayerShape
    batch: int
    result: BenchResult


@dataclass(frozen=True)
class LeftOut:
    """A layer and batch that was not tried, with the reason in words."""

    shape: LayerShape
    batch: int
    reason: str


@dataclass(frozen=True)
class Sweep:
    """What was asked for, in that order, and what came of it, in the order in which it was measured.

    Args:
        recipes: names; bfloat16 is always the first.
    """

    recipes: tuple[str, ...]
    shapes: tuple[LayerShape, ...]
    batches: tuple[int, ...]
    points: tuple[SweepPoint, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @classmethod
    def of(cls, recipes: Iterable[str], shapes: Iterable[LayerShape], batches: Iterable[int], found: Iterable[SweepPoint | LeftOut]) -> Sweep:
        """Collect what `points` yielded; `found` may end early."""
        found = tuple(found)
        return cls(
            _with_baseline(recipes),
            tuple(dict.fromkeys(shapes)),
            tuple(dict.fromkeys(batches)),
            tuple(item for item in found if isinstance(item, SweepPoint)),
            tuple(item for item in found if isinstance(item, LeftOut)),
        )

    def matrix(self, recipe: str, figure: Callable[[BenchResult], float | None] = lambda result: result.speedup_bfloat16) -> np.ndarray:
        """Return a heat map of one recipe -> float64 (shapes, batches), NaN where there is no measurement.

        Args:
            figure: what is drawn of a result; how many times faster than bfloat16 its product was, if not given. None becomes NaN.

        Raises:
            ValueError: a recipe that is not in the sweep.
        """
        if recipe not in self.recipes:
            raise ValueError(f"recipe {recipe!r} is not one of {', '.join(self.recipes)}")
        drawn = np.full((len(self.shapes), len(self.batches)), math.nan)
        for point in self.points:
            if point.result.case.recipe == recipe and not point.result.refusal:
                value = figure(point.result)
                drawn[self.shapes.index(point.shape), self.batches.index(point.batch)] = math.nan if value is None else value
        return drawn


def sweep(
    recipes: Sequence[str],
    shapes: Sequence[LayerShape],
    batches: Sequence[int] = BATCHES,
    device: str = "cpu",
    *,
    seconds: float = SECONDS,
    repeats: int = REPEATS,
    progress: Callable[[float, str], None] | None = None,
) -> Sweep:
    """Measure everything that `points` yields. An exception of `progress` passes through, and what was measured is lost: use `points` to keep it.

    Raises:
        ValueError: as `points`.
    """
    return Sweep.of(recipes, shapes, batches, points(recipes, shapes, batches, device, seconds=seconds, repeats=repeats, progress=progress))


def points(
    recipes: Sequence[str],
    shapes: Sequence[LayerShape],
    batches: Sequence[int] = BATCHES,
    device: str = "cpu",
    *,
    seconds: float = SECONDS,
    repeats: int = REPEATS,
    progress: Callable[[float, str], None] | None = None,
) -> Iterator[SweepPoint | LeftOut]:
    """Measure each layer with each batch, every recipe and bfloat16 together, and yield the results as soon as they are there.

    How long a product of all recipes takes is projected from small ones, and from how well that held so far. The quickest comes first;
    what would not end in the seconds that are left is left out, and so are sides beyond `record.MAX_SIDE` and what does not fit into
    the memory. The last product may end a little late, for the projection is not exact.

    Args:
        batches: tokens, 1 to `MAX_BATCH`.
        device: as torch writes it.
        repeats: timed runs of every product, 1 to `record.MAX_REPEATS`.
        progress: called with the share that is done, 0 to 1, and what is done next. An exception that it raises passes through and ends
            the sweep; the caller has what was yielded before.

    Raises:
        ValueError: before anything is measured: no layer; no batch; more than `timing.MAX_CASES` recipes, bfloat16 counted; a recipe,
            batch, repeats or seconds outside of these. At the first result: a device that torch does not have here.
    """
    recipes = _with_baseline(recipes)
    for name, values in (("layer", shapes), ("batch", batches)):
        if not values:
            raise ValueError(f"there is no {name} to measure")
    if len(recipes) > timing.MAX_CASES:
        raise ValueError(f"{len(recipes)} recipes with {BASELINE}: at most {timing.MAX_CASES} run together")
    for batch in batches:
        if type(batch) is not int or not 1 <= batch <= MAX_BATCH:
            raise ValueError(f"batch {batch!r}: it is a whole number from 1 to {MAX_BATCH}")
    if not 0 < seconds < math.inf:
        raise ValueError(f"seconds = {seconds!r}: it is a number above 0")
    for recipe in recipes:
        BenchCase(1, 1, 1, recipe, repeats=repeats)
    wanted = [(shape, batch) for shape in dict.fromkeys(shapes) for batch in dict.fromkeys(batches)]
    return _measure(recipes, wanted, device, seconds, repeats, progress or (lambda share, text: None))


def rows(found: Sweep) -> list[dict[str, Any]]:
    """Return flat rows, one for each recipe in each layer and batch; a spread takes three columns. What was left out is a row without a recipe."""
    table = [_place(point) | store.row(point.result) for point in found.points]
    return table + [_place(item) | {"refusal": item.reason} for item in found.left_out]


def save_csv(found: Sweep, path: str | Path) -> None:
    """Write `rows` as CSV; None becomes an empty cell."""
    table = rows(found)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]) if table else [])
        writer.writeheader()
        writer.writerows(table)


def _with_baseline(recipes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((BASELINE, *recipes)))


def _place(item: SweepPoint | LeftOut) -> dict[str, Any]:
    return {"model": item.shape.model, "layer": item.shape.layer, "n": item.shape.n, "k": item.shape.k, "batch": item.batch}


def _measure(recipes, wanted, device, seconds, repeats, progress) -> Iterator[SweepPoint | LeftOut]:
    started = time.monotonic()
    possible = []
    for shape, batch in wanted:
        if reason := _impossible(shape, batch, len(recipes), device):
            yield LeftOut(shape, batch, reason)
        else:
            possible.append((shape, batch))
    if not possible:
        return
    pace = _Pace.of(recipes, device, repeats, lambda share, text: progress(0.0, f"trying small products: {text}"))
    possible.sort(key=lambda place: pace.seconds(*place))
    projected = spent = 0.0
    for done, (shape, batch) in enumerate(possible):
        expected = pace.seconds(shape, batch) * (spent / projected if projected else 1.0)
        now = time.monotonic()
        left = max(0.0, started + seconds - now)
        if expected > left:
            yield LeftOut(shape, batch, f"would take about {_plain(expected)} s; {_plain(left)} s of {seconds:g} are left")
            continue

        def report(share: float, text: str, done=done, words=f"{shape.layer}, batch {batch}") -> None:
            progress((done + share) / len(possible), f"{words}: {text}")

        cases = [BenchCase(batch, shape.n, shape.k, recipe, repeats=repeats) for recipe in recipes]
        results = timing.run_many(cases, device, report)
        projected += pace.seconds(shape, batch)
        spent += time.monotonic() - now
        yield from (SweepPoint(shape, batch, result) for result in results)
    progress(1.0, "done")


def _impossible(shape: LayerShape, batch: int, recipes: int, device: str) -> str:
    """Why a product is not even tried; empty: it may be."""
    for side in ("n", "k"):
        if getattr(shape, side) > record.MAX_SIDE:
            return f"{side} = {getattr(shape, side)}: sides of at most {record.MAX_SIDE} are measured"
    host = probe()
    memories = [host.memory_gib, host.gpu.memory_gib if device != "cpu" and host.gpu else None]
    memory = min((gib for gib in memories if gib is not None), default=math.inf)
    factors = (batch + shape.n) * shape.k
    needed = (factors * (_NUMBER_BYTES + _RECIPE_BYTES * recipes) + 16 * batch * shape.n) / 2**30
    if needed > _MEMORY_SHARE * memory:
        return f"would need about {_plain(needed)} GiB of memory; at most {_MEMORY_SHARE:.0%} of {_plain(memory)} GiB are used"
    return ""


@dataclass(frozen=True)
class _Pace:
    """Seconds that all recipes take together, in all of their runs.

    Args:
        number: for each number of both factors.
        weight: for each weight, with the first token.
        multiplication: for each weight, with each further token.
        exact: for each multiplication of the float64 product, which the error is taken from.
    """

    number: float
    weight: float
    multiplication: float
    exact: float

    @classmethod
    def of(cls, recipes: Sequence[str], device: str, repeats: int, progress: Callable[[float, str], None]) -> _Pace:
        """Measure products of one and of many tokens."""
        side = _PROBE_SIDE
        one, many = (timing.run_many([BenchCase(batch, side, side, recipe, repeats=1) for recipe in recipes], device, progress) for batch in (1, side))
        one, many = ([result for result in results if not result.refusal] for results in (one, many))
        quantizing = sum(result.quantize_b_ms.median for result in many) / 1e3 / side**2
        first, all_of_them = (sum(result.product_ms.median for result in results) / 1e3 for results in (one, many))
        start = time.perf_counter()
        drawn = torch.randn(side, side).to(device).to(torch.float64)
        drawing = (time.perf_counter() - start) / side**2
        start = time.perf_counter()
        (drawn @ drawn.T).sum().item()
        exact = (time.perf_counter() - start) / side**3
        # each recipe quantizes once, and multiplies twice, beside the timed runs
        return cls(
            number=drawing + quantizing * (repeats + 1),
            weight=first / side**2 * (repeats + 2),
            multiplication=max(0.0, all_of_them - first) / (side**2 * (side - 1)) * (repeats + 2),
            exact=exact,
        )

    def seconds(self, shape: LayerShape, batch: int) -> float:
        weights = shape.n * shape.k
        exact_rows = min(batch, max(1, timing._ERROR_WORK // weights))
        return self.number * (batch * shape.k + weights) + weights * (self.weight + self.multiplication * (batch - 1) + self.exact * exact_rows)


def _plain(value: float) -> str:
    """Two digits, and never an exponent from 0.0001 on."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
