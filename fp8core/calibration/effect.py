"""What one scale for all does to numbers that lie in order: how many are clipped, flushed and lost, and how well the rest survives."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable

import numpy as np
import torch

from fp8core import kernels
from fp8core.arrays import as_tensor
from fp8core.codec import is_clipped, round_to
from fp8core.formats import Format
from fp8core.metrics import sqnr_db
from fp8core.quantized import quantize
from fp8core.scaling import ScaleSpec

_MOST_BITS = 16  # of a format whose values can be listed


def effect(numbers: torch.Tensor, fmt: Format, amax: float) -> dict[str, float]:
    """Return the shares that are clipped, flushed to zero and lost, and the SQNR of those that are not lost, with the scale that follows from amax.

    Args:
        numbers: float64, finite, ascending, shape (n,); never empty.
        amax: 0 where all numbers are zero, and nothing happens to them.
    """
    if not amax:
        return {"clipped": 0.0, "flushed": 0.0, "lost": 0.0, "sqnr_db": math.nan}
    if kernels.usable(numbers) and fmt.bits <= _MOST_BITS:
        scale = quantize(numbers[-1:], fmt, ScaleSpec(), amax=amax).scale.numpy().reshape(())
        with np.errstate(over="ignore", under="ignore"):
            restored = fmt.finite_values.astype(np.float32) * scale
        if np.isfinite(restored).all():
            return _of_runs(numbers.numpy(), fmt, float(scale), restored.astype(np.float64))
    q = quantize(numbers, fmt, ScaleSpec(), amax=amax)
    restored = q.dequantize()
    usable = restored.isfinite()
    return {
        "clipped": int(is_clipped(numbers / q.element_scale().reshape(()), fmt).sum()) / len(numbers),
        "flushed": int(((numbers != 0) & (restored == 0)).sum()) / len(numbers),
        "lost": int((~usable).sum()) / len(numbers),
        "sqnr_db": sqnr_db(numbers[usable], restored[usable]),
    }


def _of_runs(x: np.ndarray, fmt: Format, scale: float, restored: np.ndarray) -> dict[str, float]:
    """The same from where the numbers of each value begin: numbers in order are rounded to values in order."""
    lost = int(np.searchsorted(x, 0.0)) if not fmt.signed and fmt.nan_code is not None else 0
    values, kept = fmt.finite_values, x[lost:]
    ends = np.concatenate([[0], np.searchsorted(kept, (values[:-1] + values[1:]) / 2 * scale), [len(kept)]])
    signal, noise = kernels.squared_error(kept, ends, restored) if len(kept) else (0.0, 0.0)
    half = fmt.ulp_at_max / 2
    clipped = len(x) - _first(x, lambda number: number / scale > fmt.max + half)
    if fmt.signed:
        clipped += _first(x, lambda number: number / scale >= fmt.lowest - half)
    return {
        "clipped": clipped / len(x),
        "flushed": _flushed(x, fmt, scale, restored, lost) / len(x),
        "lost": lost / len(x),
        "sqnr_db": math.nan if not signal else 10 * math.log10(signal / noise) if noise else math.inf,
    }


def _flushed(x: np.ndarray, fmt: Format, scale: float, restored: np.ndarray, lost: int) -> int:
    """How many numbers are not zero and become it; the first `lost` become NaN."""
    becomes_zero = np.flatnonzero(restored == 0)
    if not becomes_zero.size:
        return 0
    values, (first, last) = fmt.finite_values, becomes_zero[[0, -1]]
    begin = lost if first == 0 else max(_first(x, _reaches(values[first - 1], values[first], fmt, scale)), lost)
    end = len(x) if last == len(values) - 1 else _first(x, _reaches(values[last], values[last + 1], fmt, scale))
    below, after = np.searchsorted(x, 0.0), np.searchsorted(x, 0.0, side="right")
    return int(max(end - begin, 0) - (min(after, end) - max(below, begin) if end > begin else 0))


def _reaches(low: float, high: float, fmt: Format, scale: float) -> Callable[[float], bool]:
    """Whether a number / scale is rounded to the upper one of two neighbouring values, or higher."""
    middle = (low + high) / 2
    upward = bool(as_tensor(round_to(np.array([middle]), fmt))[0] == high)
    return (lambda number: number / scale >= middle) if upward else (lambda number: number / scale > middle)


def _first(x: np.ndarray, test: Callable[[float], bool]) -> int:
    """The place of the first number that passes a test which all after it pass too; the length where none does."""
    return bisect_left(range(len(x)), True, key=lambda place: bool(test(x[place])))
