"""What the searches for a clipping threshold cost most time with: divergences of histograms, the order of numbers, and the error of numbers that lie in order."""

from __future__ import annotations

import math

import numpy as np

from fp8core.kernels.compiling import bits_of, compiled, float_of, summing
from fp8core.kernels.pool import run

_PARTS = 16
_PART = 1 << 18  # numbers; their sums are added in order, whatever the number of threads


@compiled
def _divergence_rows(counts, beyond, ends, first_level, begins, losses):
    """Fill the losses of some thresholds.

    counts: float64 (B,); beyond: float64 (T,), what lies beyond each threshold; ends: int64 (T,), bins up to it; begins: int64, where each level
    begins, those of threshold t from first_level[t] to first_level[t + 1].
    """
    spread = np.empty(counts.size, np.float64)
    for t in range(ends.size):
        end, inside, spread_sum = ends[t], 0.0, 0.0
        for level in range(first_level[t], first_level[t + 1]):
            begin = begins[level]
            after = begins[level + 1] if level + 1 < first_level[t + 1] else end
            mass, places = 0.0, 0
            for i in range(begin, after):
                mass += counts[i]
                places += 1 if counts[i] > 0 else 0
            share = mass / places if places else 0.0
            for i in range(begin, after):
                spread[i] = share if counts[i] > 0 else 0.0
            inside += mass
            spread_sum += share * places
        if inside == 0 or (counts[end - 1] + beyond[t] > 0 and spread[end - 1] == 0):
            losses[t] = np.inf
            continue
        total, loss = inside + beyond[t], 0.0
        for i in range(end):
            number = counts[i] + beyond[t] if i == end - 1 else counts[i]
            if number > 0:
                p, q = number / total, spread[i] / spread_sum
                if p != q:
                    loss += p * math.log(p / q)
        losses[t] = loss


def divergences(counts: np.ndarray, beyond: np.ndarray, ends: np.ndarray, first_level: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Return the Kullback-Leibler divergence in nats for each threshold -> float64 (T,); arguments as in `_divergence_rows`."""
    losses = np.empty(ends.size)

    def work(part: slice):
        _divergence_rows(counts, beyond[part], ends[part], first_level[part.start : part.stop + 1], begins, losses[part])

    step = max(-(-ends.size // _PARTS), 1)
    run(work, [slice(first, min(first + step, ends.size)) for first in range(0, ends.size, step)])
    return losses


@compiled
def _sort(x, keys, room, result):
    """Write the numbers of float32 (n,) in ascending order, -0 before 0, by three passes over 11 bits of their keys; `keys` and `room` are uint32 (n,)."""
    counts = np.zeros((3, 2048), np.int64)
    for i in range(x.size):
        bits = np.uint32(bits_of(x[i]))
        key = np.uint32(~bits) if bits >> np.uint32(31) else np.uint32(bits | np.uint32(1 << 31))
        keys[i] = key
        counts[0, key & np.uint32(2047)] += 1
        counts[1, (key >> np.uint32(11)) & np.uint32(2047)] += 1
        counts[2, key >> np.uint32(22)] += 1
    for digit in range(3):
        place = 0
        for bin in range(2048):
            counts[digit, bin], place = place, place + counts[digit, bin]
    for i in range(x.size):
        digit = keys[i] & np.uint32(2047)
        room[counts[0, digit]] = keys[i]
        counts[0, digit] += 1
    for i in range(x.size):
        digit = (room[i] >> np.uint32(11)) & np.uint32(2047)
        keys[counts[1, digit]] = room[i]
        counts[1, digit] += 1
    for i in range(x.size):
        key = keys[i]
        digit = key >> np.uint32(22)
        bits = np.uint32(key & np.uint32(0x7FFFFFFF)) if key >> np.uint32(31) else np.uint32(~key)
        result[counts[2, digit]] = float_of(np.int32(bits))
        counts[2, digit] += 1


@compiled
def _merge(low, high, result):
    """Merge two ascending arrays into a third."""
    i, j = 0, 0
    for place in range(result.size):
        if j == high.size or (i < low.size and low[i] <= high[j]):
            result[place] = low[i]
            i += 1
        else:
            result[place] = high[j]
            j += 1


@compiled
def _merge_magnitudes(x, first, result):
    """Write the magnitudes of ascending numbers in ascending order; those from `first` on are not below zero."""
    i, j = first - 1, first
    for place in range(x.size):
        if j == x.size or (i >= 0 and -x[i] <= x[j]):
            result[place] = -x[i]
            i -= 1
        else:
            result[place] = abs(x[j])
            j += 1


def in_order(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of float32 (n,), none of them NaN, in ascending order, and their magnitudes in ascending order -> float64 (n,) each."""
    halves = [slice(0, x.size // 2), slice(x.size // 2, x.size)]
    parts, whole, magnitudes = np.empty_like(x), np.empty(x.size, np.float64), np.empty(x.size, np.float64)
    run(lambda half: _sort(x[half], np.empty(half.stop - half.start, np.uint32), np.empty(half.stop - half.start, np.uint32), parts[half]), halves)
    run(lambda _: _merge(parts[halves[0]], parts[halves[1]], whole), [None])
    run(lambda first: _merge_magnitudes(whole, first, magnitudes), [int(np.searchsorted(whole, 0.0))])
    return whole, magnitudes


@summing
def _energies(x, value):
    signal, noise = 0.0, 0.0
    for i in range(x.size):
        error = x[i] - value
        signal += x[i] * x[i]
        noise += error * error
    return signal, noise


@compiled
def _error_of_part(x, first, ends, values, sums):
    """Add Σx² and Σ(x − v)² of a part of some numbers, the first of which has the place `first`, to float64 (2,); value i is that of the places ends[i] to ends[i + 1]."""
    place, i = 0, np.searchsorted(ends, first, side="right") - 1
    while place < x.size:
        after = min(ends[i + 1] - first, x.size)
        signal, noise = _energies(x[place:after], values[i])
        sums[0] += signal
        sums[1] += noise
        place = max(after, place)
        i += 1


def squared_error(x: np.ndarray, ends: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Return Σx² and Σ(x − v)² of numbers in ascending order, float64 (n,).

    Args:
        ends: where the numbers of each value begin, from 0 to n, int64 (V + 1,).
        values: what they become, float64 (V,).
    """

    def work(part: slice):
        sums = np.zeros(2)
        _error_of_part(x[part], part.start, ends, values, sums)
        return sums

    parts = run(work, [slice(first, min(first + _PART, x.size)) for first in range(0, x.size, _PART)])
    signal, noise = (math.fsum(part[place] for part in parts) for place in (0, 1))
    return signal, noise


def warm() -> None:
    """Go once through every loop."""
    one = np.zeros(1, np.int64)
    divergences(np.ones(2), np.zeros(1), one + 2, np.array([0, 1]), one)
    squared_error(np.ones(2), np.array([0, 2]), np.ones(1))
    in_order(np.ones(2, np.float32))
