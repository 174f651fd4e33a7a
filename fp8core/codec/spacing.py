"""How far apart the values of a format lie, and where they end."""

from __future__ import annotations

import torch

from fp8core.codec.bits import exponent_of, pow2
from fp8core.codec.book import book_of
from fp8core.codec.ladder import is_ladder
from fp8core.formats import Format


def ulp_of(x: torch.Tensor, fmt: Format) -> torch.Tensor:
    """Return the distance of neighbouring values of `fmt` at these float64 numbers -> float64.

    The binade is held at emin or above (subnormals share the ulp of the smallest binade) and at emax or below.
    """
    if not is_ladder(fmt):
        values = book_of(fmt, x.device).values
        upper = torch.searchsorted(values, x.contiguous()).clamp_(1, values.numel() - 1)
        return values[upper] - values[upper - 1]
    return pow2(exponent_of(x.abs()).clamp(fmt.emin, max(fmt.emin, fmt.emax)) - fmt.mantissa_bits)


def is_clipped(x: torch.Tensor, fmt: Format) -> torch.Tensor:
    """Return which numbers lie more than half an ulp beyond the format's largest or lowest value -> bool, same shape."""
    half = fmt.ulp_at_max / 2
    return (x > fmt.max + half) | (x < fmt.lowest - half if fmt.signed else False)
