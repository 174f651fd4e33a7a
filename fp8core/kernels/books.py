"""What only the list of a format's values tells of numbers and their codes: errors in ulps, what is clipped, how often each code occurs."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from fp8core.codec.book import book_of
from fp8core.formats import Format, parse_format
from fp8core.kernels.compiling import compiled, widened
from fp8core.kernels.jobs import as_flat
from fp8core.kernels.pool import pieces, run

_COPIES = 4  # of a histogram: neighbours that fall into one bin do not wait for each other


class Listed(NamedTuple):
    """A format's values: by code, where the value of each code lies in the ascending list, that list, and half an ulp beyond its ends."""

    of_code: np.ndarray
    place: np.ndarray
    values: np.ndarray
    above: float
    below: float


@lru_cache(maxsize=16)
def listed(fmt: Format) -> Listed:
    """Return the list of a format of at most 16 bits."""
    values, half = book_of(fmt, torch.device("cpu")).values.numpy(), fmt.ulp_at_max / 2
    place = np.minimum(np.searchsorted(values, np.nan_to_num(fmt.values, nan=0.0)), len(values) - 1)
    return Listed(np.ascontiguousarray(fmt.values, np.float64), place.astype(np.int64), values, fmt.max + half, fmt.lowest - half if fmt.signed else -np.inf)


@compiled
def _book_rows(x, codes, columns, block_rows, block_columns, scales, of_code, place, values, above, below, in_ulps, clipped, histogram):
    """Raise the largest error in ulps, float64 (1,), of the finite numbers that came back finite; count the clipped ones, int64 (1,), and codes, int64 (copies, codes)."""
    blocks_across, last, last_code = (columns + block_columns - 1) // block_columns, values.size - 1, np.uint64(of_code.size - 1)
    largest, beyond = 0.0, 0
    for row in range(x.size // columns):
        for block in range(blocks_across):
            scale = scales[row // block_rows * blocks_across + block]
            start = row * columns + block * block_columns
            for i in range(start, min(start + block_columns, (row + 1) * columns)):
                code = np.uint64(codes[i]) & last_code
                histogram[i & (_COPIES - 1), code] += 1
                number = np.float64(widened(x[i]))
                is_finite = abs(number) < np.inf
                scaled = (number if is_finite else 0.0) / np.float64(scale)
                beyond += 1 if (scaled > above) | (scaled < below) else 0
                value = of_code[code]
                if not is_finite or not abs(np.float32(np.float32(value) * scale)) < np.inf:
                    continue
                upper = place[code]
                while upper < last and values[upper] < scaled:
                    upper += 1
                while upper > 0 and values[upper - 1] >= scaled:
                    upper -= 1
                upper = max(upper, 1)
                gap = abs(scaled - value) / (values[upper] - values[upper - 1])
                largest = gap if gap > largest else largest
    in_ulps[0] = max(in_ulps[0], largest)
    clipped[0] += beyond


def book_errors(matrix: torch.Tensor, codes: torch.Tensor, fmt: Format, scale: torch.Tensor, block: tuple[int, int]) -> tuple[float, int, np.ndarray]:
    """Compare a matrix (R, C), not float64, with its codes and scales -> the largest error in ulps, how many numbers are clipped, how often each code occurs."""
    source, source_codes, scales, known = as_flat(matrix), as_flat(codes), as_flat(scale), listed(fmt)

    def work(piece):
        found = np.zeros(1), np.zeros(1, np.int64), np.zeros((_COPIES, known.of_code.size), np.int64)
        _book_rows(source[piece.numbers], source_codes[piece.numbers], piece.columns, *block, scales[piece.blocks], *known, *found)
        return float(found[0][0]), int(found[1][0]), found[2].sum(axis=0)

    parts = run(work, pieces(*matrix.shape, *block, cut_blocks=True))
    return max(part[0] for part in parts), sum(part[1] for part in parts), sum(part[2] for part in parts)


def warm() -> None:
    """Go once through the loop."""
    book_errors(torch.ones(2, 32), torch.ones(2, 32, dtype=torch.uint8), parse_format("nf4"), torch.ones(2, 1), (1, 32))
