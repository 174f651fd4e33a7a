"""One tensor under several recipes, whatever its size."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from fp8core import kernels
from fp8core.arrays import at_least_float32
from fp8core.checkpoints import Checkpoint, TensorInfo
from fp8core.layers.kinds import as_layer
from fp8core.layers.moments import Statistics, of_moments, statistics
from fp8core.metrics import ErrorReport, in_one_pass, measure
from fp8core.parts import PartialReport, column_peaks, quantize_part, spans_rows
from fp8core.quantized import SEED, quantize
from fp8core.recipes import Recipe

PART = 1 << 22
"""Numbers of a tensor that are in memory at once, about; a larger tensor is read and measured in parts."""


def measure_stored(checkpoint: Checkpoint, info: TensorInfo, kind: str, recipes: list[Recipe]) -> tuple[Statistics, dict[str, ErrorReport]]:
    """Measure a tensor in one piece, or, where it is large, some rows at a time: two passes over it where scales span all rows. Stochastic rounding draws anew in each part."""

    def read(part: slice) -> torch.Tensor:
        return at_least_float32(as_layer(checkpoint.read(info.name, part), kind))

    parts = _parts(info, kind, recipes)
    return (_measure_parts(read, parts, recipes) if parts else None) or measure_whole(as_layer(checkpoint.read(info.name), kind), recipes)


def _measure_parts(read: Callable[[slice], torch.Tensor], parts: list[slice], recipes: list[Recipe]) -> tuple[Statistics, dict[str, ErrorReport]] | None:
    """The same part by part; None where one pass cannot do that, as numbers are not finite or have 64 bits."""
    peaks = _peaks(read, parts, recipes)
    if not all(bool(each.isfinite().all()) for each in peaks.values()):
        return None
    seen, found = None, {recipe.name: PartialReport(recipe) for recipe in recipes}
    for number, part in enumerate(parts):
        x = read(part)
        if not all(in_one_pass(x, recipe) for recipe in recipes):
            return None
        here = kernels.moments(x)
        seen = here if seen is None else seen + here
        for recipe in recipes:
            found[recipe.name].add(x, quantize_part(x, recipe, peaks[recipe.rotation] if spans_rows(recipe) else None, seed=SEED + number))
    return of_moments(seen), {name: partial.report() for name, partial in found.items()}


def _peaks(read: Callable[[slice], torch.Tensor], parts: list[slice], recipes: list[Recipe]) -> dict[str, torch.Tensor]:
    """What scales that span all rows have to know, by rotation."""
    spanning, found = {recipe.rotation: recipe for recipe in recipes if spans_rows(recipe)}, {}
    for part in parts if spanning else ():
        x = read(part)
        for rotation, recipe in spanning.items():
            here = column_peaks(x, recipe)
            found[rotation] = torch.maximum(found[rotation], here) if rotation in found else here
    return found


def _parts(info: TensorInfo, kind: str, recipes: list[Recipe]) -> list[slice]:
    """Rows of the first axis that are measured together: about PART numbers, and whole blocks of every recipe and of the file; none where the tensor is one piece."""
    if len(info.shape) < 2:  # seen as one row
        return []
    inside = 1 if kind == "convolution" else math.prod(info.shape[1:-1])
    steps = [side // math.gcd(side, inside) for recipe in recipes if recipe.scaling is not None and (side := recipe.scaling.block[0]) is not None]
    step = math.lcm(info.row_step, *steps)
    rows = max(PART // (info.count // info.shape[0]) // step, 1) * step
    return [slice(first, min(first + rows, info.shape[0])) for first in range(0, info.shape[0], rows)] if rows < info.shape[0] else []


def measure_whole(x: torch.Tensor, recipes: list[Recipe]) -> tuple[Statistics, dict[str, ErrorReport]]:
    x = at_least_float32(x)
    return statistics(x), {recipe.name: measure(x, quantize(x, recipe, seed=SEED)) for recipe in recipes}
