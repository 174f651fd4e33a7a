"""One pass over the numbers of a tensor for what describes them: moments, ends, zeros, and counts on a linear axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fp8core.kernels.compiling import bits_of, compiled, float_of, inlined, summing, widened
from fp8core.kernels.jobs import as_flat
from fp8core.kernels.pool import pieces, run

_STRETCH = 512
_PIECES = 2  # the same pieces whatever the number of threads, so that sums are too
_REST = np.int32(2**31 - 1)
_INFINITY = np.int32(0xFF << 23)


@dataclass(frozen=True)
class Moments:
    """What is known of the finite numbers of a tensor; all zero where there are none.

    Args:
        count: how many they are.
        mean: of them.
        second, third, fourth: sums of powers of x − mean.
        squares: sum of x².
        largest, smallest: of the magnitudes, the smallest of those that are not zero; 0 where all are.
        zeros: exact zeros, counted.
    """

    count: int
    mean: float
    second: float
    third: float
    fourth: float
    squares: float
    largest: float
    smallest: float
    zeros: int

    def __add__(self, other: Moments) -> Moments:
        merged = np.zeros(5)
        _merge_pieces(np.array([[each.count, each.mean, each.second, each.third, each.fourth] for each in (self, other)], np.float64), merged)
        return Moments(
            int(merged[0]), *merged[1:].tolist(), squares=self.squares + other.squares, largest=max(self.largest, other.largest),
            smallest=min(self.smallest or np.inf, other.smallest or np.inf) if self.smallest or other.smallest else 0.0, zeros=self.zeros + other.zeros,
        )  # fmt: skip


@inlined
def _finite_line(x, line, kept):
    """Fill a line with numbers, 0 for what is not finite, and a line that tells them apart -> finite numbers, zeros, and the largest and smallest magnitude as bits."""
    finite, zeros, largest, smallest = np.int32(0), np.int32(0), np.int32(0), _INFINITY
    one, none = np.int32(1), np.int32(0)
    for i in range(x.size):
        number = np.float32(widened(x[i]))
        magnitude = np.int32(bits_of(number) & _REST)
        counts = magnitude < _INFINITY
        line[i] = np.float64(number if counts else np.float32(0))
        kept[i] = 1.0 if counts else 0.0
        finite += one if counts else none
        zeros += one if magnitude == 0 else none
        held = magnitude if counts else none
        largest = held if held > largest else largest
        above_zero = held if held > 0 else _INFINITY
        smallest = above_zero if above_zero < smallest else smallest
    return finite, zeros, largest, smallest


@summing
def _sum_and_squares(line, count):
    total, squares = 0.0, 0.0
    for i in range(count):
        total += line[i]
        squares += line[i] * line[i]
    return total, squares


@summing
def _powers(line, kept, count, mean):
    second, third, fourth = 0.0, 0.0, 0.0
    for i in range(count):
        deviation = (line[i] - mean) * kept[i]
        square = deviation * deviation
        second += square
        third += square * deviation
        fourth += square * square
    return second, third, fourth


@inlined
def _merge(a, b):
    """Add the numbers that `b` stands for to those of `a`: arrays of count, mean and three sums of powers.

    Source: P. Pébay, Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical moments, SAND2008-6212, section 3.1.
    """
    n, m = a[0], b[0]
    if m == 0:
        return
    both, gap = n + m, b[1] - a[1]
    step = gap / both
    fourth = a[4] + b[4] + gap * step**3 * n * m * (n * n - n * m + m * m) + 6 * step * step * (n * n * b[2] + m * m * a[2]) + 4 * step * (n * b[3] - m * a[3])
    third = a[3] + b[3] + gap * step * step * n * m * (n - m) + 3 * step * (n * b[2] - m * a[2])
    a[0], a[1], a[2], a[3], a[4] = both, a[1] + step * m, a[2] + b[2] + gap * step * n * m, third, fourth


@compiled
def _moment_rows(x, moments, squares, ends, zeros):
    """Add what describes some numbers: moments float64 (5,), squares float64 (1,), ends float64 (2,): largest and smallest magnitude, zeros int64 (1,)."""
    line, kept, here = np.empty(_STRETCH, np.float64), np.empty(_STRETCH, np.float64), np.empty(5, np.float64)
    for start in range(0, x.size, _STRETCH):
        part = x[start : start + _STRETCH]
        finite, none, largest, smallest = _finite_line(part, line, kept)
        total, energy = _sum_and_squares(line, part.size)
        here[0] = finite
        here[1] = total / finite if finite else 0.0
        here[2], here[3], here[4] = _powers(line, kept, part.size, here[1])
        _merge(moments, here)
        squares[0] += energy
        zeros[0] += none
        ends[0] = max(ends[0], np.float64(float_of(largest)))
        ends[1] = min(ends[1], np.float64(float_of(smallest)))


@compiled
def _merge_pieces(parts, moments):
    """Add up pieces, moments float64 (P, 5), in their order."""
    for i in range(parts.shape[0]):
        _merge(moments, parts[i])


def moments(x: torch.Tensor) -> Moments:
    """Return the moments of a tensor of any shape, not float64."""
    source = as_flat(x)

    def work(piece):
        found = np.zeros(5), np.zeros(1), np.array([0.0, np.inf]), np.zeros(1, np.int64)
        _moment_rows(source[piece.numbers], *found)
        return found

    parts = run(work, pieces(1, source.size, 1, 1, threads=_PIECES) if source.size else [])
    merged = np.zeros(5)
    if parts:
        _merge_pieces(np.stack([part[0] for part in parts]), merged)
    smallest = min((float(part[2][1]) for part in parts), default=np.inf)
    return Moments(
        int(merged[0]), *merged[1:].tolist(), squares=float(sum(part[1][0] for part in parts)), largest=max((float(part[2][0]) for part in parts), default=0.0),
        smallest=smallest if smallest < np.inf else 0.0, zeros=int(sum(part[3][0] for part in parts)),
    )  # fmt: skip


@compiled
def _quotient_rows(x, columns, block_rows, block_columns, scales, edges, counts, seen):
    """Count the finite quotients x / scale between edges float64 (B + 1,), equally far apart, into counts int64 (B,); seen float64 (2,): the largest magnitude and how many are finite.

    Without counts only the second is done.
    """
    blocks_across, bins = (columns + block_columns - 1) // block_columns, counts.size
    first, last = edges[0], edges[bins]
    to_bins, largest, finite = bins / (last - first) if bins else 0.0, 0.0, 0
    for row in range(x.size // columns):
        for block in range(blocks_across):
            scale = np.float64(scales[row // block_rows * blocks_across + block])
            start = row * columns + block * block_columns
            for i in range(start, min(start + block_columns, (row + 1) * columns)):
                quotient = np.float64(widened(x[i])) / scale
                if not abs(quotient) < np.inf:
                    continue
                finite += 1
                largest = max(largest, abs(quotient))
                if bins and first <= quotient <= last:
                    place = min(int((quotient - first) * to_bins), bins - 1)
                    while quotient < edges[place]:
                        place -= 1
                    while place < bins - 1 and quotient >= edges[place + 1]:
                        place += 1
                    counts[place] += 1
    seen[0] = max(seen[0], largest)
    seen[1] += finite


def quotients(matrix: torch.Tensor, scale: torch.Tensor, block: tuple[int, int], edges: np.ndarray | None = None) -> tuple[np.ndarray, float, int]:
    """Count the quotients x / scale of a matrix (R, C), not float64, as np.histogram does between equally distant edges.

    Returns:
        counts, int64, one fewer than there are edges, none without edges; the largest magnitude of a quotient; how many quotients are finite.
    """
    source, scales, between = as_flat(matrix), as_flat(scale), np.zeros(1) if edges is None else edges

    def work(piece):
        found = np.zeros(between.size - 1, np.int64), np.zeros(2)
        _quotient_rows(source[piece.numbers], piece.columns, *block, scales[piece.blocks], between, *found)
        return found

    parts = run(work, pieces(*matrix.shape, *block, cut_blocks=True))
    return sum(part[0] for part in parts), max(float(part[1][0]) for part in parts), int(sum(part[1][1] for part in parts))


def warm() -> None:
    """Go once through every loop that float32 numbers take."""
    moments(torch.ones(2, 32))
    quotients(torch.ones(2, 32), torch.ones(2, 1), (1, 32), np.array([0.0, 1.0]))
