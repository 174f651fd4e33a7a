"""One tensor under several recipes, whatever its size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch

from fp8core import kernels
from fp8core.checkpoints import Checkpoint, TensorInfo
from fp8core.layers.kinds import as_layer
from fp8core.layers.moments import Statistics, of_moments, statistics
from fp8core.metrics import ErrorReport, in_one_pass, measure
from fp8core.parts import PartialReport, column_peaks, quantize_part, spans_rows
from fp8core.quantized import quantize
from fp8core.recipes import Recipe

PART = 1 << 22
"""Numbers of a tensor that are in memory at once, about; a larger tensor is read and measured in parts."""

SEED = 0
"""Of recipes that round stochastically, so that an analysis gives the same rows again."""


def measure_stored(checkpoint: Checkpoint, info: TensorInfo, kind: str, recipes: list[Recipe]) -> tuple[Statistics, dict[str, ErrorReport]]:
    """Measure a tensor in one piece, or, where it is large, some rows at a time: two passes over it where scales span all rows. Stochastic rounding draws anew in each part."""
    rows = _rows_of_parts(info, kind, recipes) if len(info.shape) > 1 else info.count
    if len(info.shape) > 1 and rows < info.shape[0]:
        parts = [slice(first, min(first + rows, info.shape[0])) for first in range(0, info.shape[0], rows)]

        def read(part: slice) -> torch.Tensor:
            x = as_layer(checkpoint.read(info.name, part), kind)
            return x.float() if x.dtype.itemsize == 2 else x

        peaks: dict[str, torch.Tensor] = {}
        spanning = {recipe.rotation: recipe for recipe in recipes if spans_rows(recipe)}
        for part in parts if spanning else ():
            x = read(part)
            for rotation, recipe in spanning.items():
                here = column_peaks(x, recipe)
                peaks[rotation] = torch.maximum(peaks[rotation], here) if rotation in peaks else here
        first = read(parts[0])
        if all(in_one_pass(first, recipe) for recipe in recipes) and all(bool(each.isfinite().all()) for each in peaks.values()):
            del first
            return _measure_parts(read, parts, recipes, peaks)
    return measure_whole(as_layer(checkpoint.read(info.name), kind), recipes)


def _measure_parts(read: Callable[[slice], torch.Tensor], parts: list[slice], recipes: list[Recipe], peaks: Mapping[str, torch.Tensor]) -> tuple[Statistics, dict[str, ErrorReport]]:
    seen, found = None, {recipe.name: PartialReport(recipe) for recipe in recipes}
    for number, part in enumerate(parts):
        x = read(part)
        here = kernels.moments(x)
        seen = here if seen is None else seen + here
        for recipe in recipes:
            found[recipe.name].add(x, quantize_part(x, recipe, peaks[recipe.rotation] if spans_rows(recipe) else None, seed=SEED + number))
    return of_moments(seen), {name: partial.report() for name, partial in found.items()}


def _rows_of_parts(info: TensorInfo, kind: str, recipes: list[Recipe]) -> int:
    """How many rows of the first axis make a part: of about PART numbers, and whole blocks of every recipe and of the file."""
    inside = 1 if kind == "convolution" else math.prod(info.shape[1:-1])
    steps = [side // math.gcd(side, inside) for recipe in recipes if recipe.scaling is not None and (side := recipe.scaling.block[0]) is not None]
    step = math.lcm(info.row_step, *steps)
    return max(PART // (info.count // info.shape[0]) // step, 1) * step


def measure_whole(x: torch.Tensor, recipes: list[Recipe]) -> tuple[Statistics, dict[str, ErrorReport]]:
    x = x.float() if x.dtype.itemsize == 2 else x  # the same numbers, and loops that are ready
    return statistics(x), {recipe.name: measure(x, quantize(x, recipe, seed=SEED)) for recipe in recipes}
