"""Powers of two and exponents of float64 numbers, exactly: from their bits, never from log2 or pow."""

from __future__ import annotations

import torch


def exponent_of(magnitude: torch.Tensor) -> torch.Tensor:
    """Return floor(log2) of non-negative float64 numbers, from their bits -> int64.

    Zero and float64 subnormals give -1023, below every format's smallest binade; infinity and NaN give 1024.
    """
    return (magnitude.view(torch.int64) >> 52) - 1023


def pow2(exponent: torch.Tensor) -> torch.Tensor:
    """Return 2.0**exponent exactly -> float64, for int64 exponents from -1022 to 1023."""
    return ((exponent + 1023) << 52).view(torch.float64)
