"""Scale rules that are no library's own: they go with every format and every scale format."""

from __future__ import annotations

import torch

from fp8core.codec import exponent_of, pow2
from fp8core.formats import Format


def floor_exponent(amax: torch.Tensor, fmt: Format) -> torch.Tensor:
    """⌊log2 amax⌋ − emax: a block maximum whose significand is above that of the format's max is clipped."""
    return exponent_of(amax) - fmt.emax


def ceil_exponent(amax: torch.Tensor, fmt: Format) -> torch.Tensor:
    """⌈log2 amax⌉ − emax."""
    return floor_exponent(amax, fmt) + (amax > pow2(exponent_of(amax).clamp(-1022, 1023)))


def rceil_exponent(amax: torch.Tensor, fmt: Format) -> torch.Tensor:
    """⌈log2(amax / max)⌉ of the exact quotient."""
    floor = floor_exponent(amax, fmt)
    return floor + (amax > fmt.max * pow2(floor.clamp(-1022, 1023)))


def even_exponent(amax: torch.Tensor, fmt: Format) -> torch.Tensor:
    """⌊log2 amax⌋ − emax, after amax was rounded to the mantissa of the elements."""
    rounds_up_from = 2.0 - 2.0 ** -(fmt.mantissa_bits + 1)
    return floor_exponent(amax, fmt) + (amax >= rounds_up_from * pow2(exponent_of(amax).clamp(-1022, 1023)))
