"""A layer block by block: where in it the error is, and how its scales differ."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from fp8core.arrays import as_matrix, as_tensor
from fp8core.quantized import QuantizedTensor

MOST_TILES = 64
"""Along one side, so that a picture of them stays readable."""


@dataclass(frozen=True)
class Scales:
    """The scales of a quantized tensor.

    Args:
        count: how many there are.
        smallest, largest, std: of them.
        spread: std over mean; 0 where there is one, NaN where the mean is 0 or not finite.
    """

    count: int
    smallest: float
    largest: float
    std: float
    spread: float


def scales_of(q: QuantizedTensor) -> Scales:
    """Describe the scales of a quantized tensor.

    >>> from fp8core.quantized import quantize
    >>> scales_of(quantize([[127.0, 0.0], [0.0, 254.0]], "int8_row"))
    Scales(count=2, smallest=1.0, largest=2.0, std=0.5, spread=0.3333333333333333)
    """
    scale = as_tensor(q.scale).double().reshape(-1)
    mean, std = float(scale.mean()), float(scale.std(correction=0))
    return Scales(scale.numel(), float(scale.min()), float(scale.max()), std, std / mean if mean and math.isfinite(mean) else math.nan)


@dataclass(frozen=True, eq=False)
class Tiles:
    """The error of a matrix, tile by tile.

    Args:
        side: rows and columns of a tile; those at the ends may be smaller.
        sqnr_db: (⌈R / side⌉, ⌈C / side⌉); NaN where a tile is all zeros, infinity where nothing was lost.
        underflow: shares of numbers that were not zero and became zero, in the same shape.
    """

    side: tuple[int, int]
    sqnr_db: np.ndarray
    underflow: np.ndarray


def tiles_of(x, q: QuantizedTensor, side: int = 32) -> Tiles:
    """Cut a tensor, seen as a matrix, into tiles -> the error of each, in float64; numbers that are not finite are left out.

    Args:
        side: of a tile, at least; more where there would be more than MOST_TILES along it.
    """
    source, restored = as_matrix(as_tensor(x)).double(), as_matrix(as_tensor(q.dequantize())).double()
    sides = tuple(max(side, -(-length // MOST_TILES)) for length in source.shape)
    usable = source.isfinite() & restored.isfinite()
    source, restored = (torch.where(usable, each, 0.0) for each in (source, restored))
    with np.errstate(divide="ignore", invalid="ignore"):
        sqnr = 10 * np.log10(_added(source.square(), sides) / _added((source - restored).square(), sides))
        share = _added(((source != 0) & (restored == 0)).double(), sides) / _added(torch.ones_like(source), sides)
    return Tiles(sides, sqnr, share)


def _added(x: torch.Tensor, sides: tuple[int, int]) -> np.ndarray:
    rows, columns = x.shape
    padded = torch.nn.functional.pad(x, (0, -columns % sides[1], 0, -rows % sides[0]))
    return padded.unflatten(1, (-1, sides[1])).sum(2).unflatten(0, (-1, sides[0])).sum(1).numpy()
