"""The two searches for a clipping threshold: least squared error, and least divergence of the histograms."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from fp8core import kernels
from fp8core.codec import round_to
from fp8core.formats import Format, IntFormat

FIRST_BIN = 128
_SMALLEST_SCALE = 2.0**-126
_AT_ONCE = 64  # thresholds: what is between two steps stays small


class Totals(NamedTuple):
    """Sums over the first numbers of an ascending sequence.

    Args:
        unit: the largest magnitude, by which the numbers are divided: it keeps the squares of tiny numbers from underflowing.
        sums, squares: of the first 0, 1, … n numbers and of their squares, float64 (n + 1,).
    """

    unit: float
    sums: np.ndarray
    squares: np.ndarray


def running_totals(numbers: torch.Tensor) -> Totals:
    """Return the running totals of numbers in ascending order, float64 (n,)."""
    x = numbers.numpy()
    unit = max(abs(x[0]), abs(x[-1]))
    return Totals(unit, *(np.concatenate([[0.0], np.cumsum((x / unit) ** power)]) for power in (1, 2)))


def squared_errors(numbers: torch.Tensor, thresholds: np.ndarray, fmt: Format, totals: Totals | None = None) -> np.ndarray:
    """Return the mean of (x − x̂)² for each threshold, x̂ being quantized with the float32 scale threshold / max -> float64 (T,).

    All numbers that round to one value v lie between its midpoints with its neighbours; with the sums of x and x² over them, taken
    from running totals, they add Σx² − 2vΣx + nv². So a threshold costs two look-ups per value of the format, however many numbers
    there are. Formats of more than 16 bits have no list of values and are rounded number by number.

    Args:
        numbers: float64, ascending, shape (n,).
        thresholds: float64, positive, shape (T,).
        totals: of the numbers, where they are known already.
    """
    scales = np.maximum(thresholds / fmt.max, _SMALLEST_SCALE).astype(np.float32).astype(np.float64)
    if fmt.bits > 16:
        return np.array([float(((round_to(numbers / scale, fmt).to(torch.float64) * scale - numbers) ** 2).mean()) for scale in scales])
    x, (unit, sums, squares) = numbers.numpy(), totals or running_totals(numbers)
    values = fmt.finite_values
    midpoints = (values[:-1] + values[1:]) / 2
    losses = np.empty(len(scales))
    for i, scale in enumerate(scales):
        ends = np.concatenate([[0], np.searchsorted(x, midpoints * scale), [len(x)]])
        v = values * scale / unit
        losses[i] = (np.diff(squares[ends]) - 2 * v * np.diff(sums[ends]) + np.diff(ends) * v * v).sum()
    return np.maximum(losses, 0.0) / len(x) * unit * unit


def equal_bins(magnitudes: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Count ascending magnitudes in equal bins from zero to the largest -> counts (B,) and edges (B + 1,), as np.histogram does, which looks at every number."""
    edges = np.linspace(0.0, magnitudes[-1], bins + 1)
    return np.diff(np.append(np.searchsorted(magnitudes, edges[:-1]), len(magnitudes))), edges


def divergences(counts: np.ndarray, edges: np.ndarray, fmt: Format) -> tuple[np.ndarray, np.ndarray]:
    """Return thresholds edges[i] for i from 128 to the number of bins, and KL(P ‖ Q) of each in nats -> two float64 arrays (T,).

    P is the histogram up to the threshold, with all that lies beyond added to its last bin. Q is the histogram up to the threshold
    without that, each level's numbers spread evenly over those of its bins that are not empty. Empty bins count in neither; where P has
    numbers and Q has none the divergence is infinite. The count of the first bin is taken from its neighbour, as zeros never get lost.

    The library knows integers only, with 2^(bits − 1) equal levels from zero to the threshold, and its `scaled_e4m3` only in the search
    for the least squared error. Here a format that is no integer puts each bin on the level to which the format rounds the bin's centre
    divided by threshold / max; its levels are fine near zero and coarse at the threshold, so that the divergence asks for less clipping.

    Args:
        counts: numbers in equal bins of |x|, shape (B,), B of 128 or more.
        edges: of the bins, from zero, shape (B + 1,).

    Source: NVIDIA TensorRT, tools/pytorch-quantization, calib/histogram.py, _compute_amax_entropy.
    """
    counts = counts.astype(np.float64)
    counts[0] = counts[1]
    below = np.concatenate([[0.0], np.cumsum(counts)])
    ends = np.arange(FIRST_BIN, len(counts) + 1)
    beyond = below[-1] - below[ends]
    if kernels.usable():
        return edges[ends], kernels.divergences(counts, beyond, ends, *_level_begins(len(counts), fmt))
    losses = np.array([_divergence(counts[:end], rest, _levels_below(end, fmt)) for end, rest in zip(ends, beyond, strict=True)])
    return edges[ends], losses


def _levels_below(bins: int, fmt: Format) -> np.ndarray:
    """The level of each bin up to the threshold, as integers from 0."""
    return np.cumsum(np.diff(_landing(bins, np.array([bins]), fmt)[0], prepend=np.nan) != 0) - 1


@lru_cache(maxsize=16)
def _level_begins(bins: int, fmt: Format) -> tuple[np.ndarray, np.ndarray]:
    """Where the levels of each threshold begin: int64 (T + 1,), the place of its first in the second array, which holds bins -> two int64 arrays."""
    ends = np.arange(FIRST_BIN, bins + 1)
    counts, begins = [], []
    for some in np.split(ends, range(_AT_ONCE, len(ends), _AT_ONCE)):
        landing = _landing(some[-1], some, fmt)
        new = np.diff(landing, axis=1, prepend=np.nan) != 0
        new &= np.arange(some[-1]) < some[:, None]
        counts.append(new.sum(axis=1))
        begins.append(np.nonzero(new)[1])
    return np.concatenate([[0], np.cumsum(np.concatenate(counts))]), np.concatenate(begins)


def _landing(bins: int, ends: np.ndarray, fmt: Format) -> np.ndarray:
    """What the first `bins` bins are rounded to for each threshold -> (T, bins), levels of an integer or values of the format."""
    if isinstance(fmt, IntFormat):
        return (np.arange(bins) << (fmt.bits - 1)) // ends[:, None]
    return round_to((np.arange(bins) + 0.5) * fmt.max / ends[:, None], fmt)


def _divergence(inside: np.ndarray, beyond: float, level: np.ndarray) -> float:
    used = inside > 0
    if not used.any():
        return np.inf
    mass, places = np.bincount(level, inside), np.bincount(level, used)
    spread = np.where(used, (mass / np.maximum(places, 1))[level], 0.0)
    reference = inside.copy()
    reference[-1] += beyond
    if reference[-1] and not spread[-1]:
        return np.inf
    p, q = reference[reference > 0] / reference.sum(), spread[reference > 0] / spread.sum()
    return float((p * np.log(p / q)).sum())
