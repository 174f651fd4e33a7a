"""Scales as NVIDIA Model Optimizer computes them. Source of every function: nvidia-modelopt 0.47.0, modelopt/torch/quantization.

All arithmetic is float32.
"""

from __future__ import annotations

import torch

from fp8core.codec import encode, pow2, round_to
from fp8core.formats import Format
from fp8core.rules.base import Scales, as_e8m0_scales, as_float32_scales, ceil_log2


def fp8(amax: torch.Tensor, fmt: Format) -> Scales:
    """Encode scale = 448 / amax, which torch takes as 448 · (1 / amax), rounded twice; x · scale; an amax of at most 2^-24 counts as 1. The decode scale is the reciprocal.

    Source: tensor_quant.py, the eager FP8 fake quantization.
    """
    scale = fmt.max / torch.where(amax <= 2.0**-24, 1.0, amax)
    return as_float32_scales(1.0 / scale, multiplier=scale)


def fp8_packed(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = amax / 448 and x / scale; a block of zeros becomes NaN.

    Source: qtensor/fp8_tensor.py, FP8QTensor.quantize.
    """
    scale = amax / fmt.max
    return as_float32_scales(scale, divisor=scale)


def mxfp4(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = 2^⌈log2(amax / 6)⌉, at least 2^-127; x / scale. The elements' ties go toward zero there.

    Source: qtensor/mxfp4_tensor.py, MXFP4QTensor.quantize.
    """
    scales = as_e8m0_scales(_exponent(amax / fmt.max), nan=amax.isnan())
    return Scales(scales.values, scales.codes, None, divisor=scales.values)


def mxfp8(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = 2^⌈log2(amax / 448)⌉, from 2^-127 to 2^127; x · 2^-e. A block of zeros is multiplied with 2^127.

    NaN in a block counts as a quotient that is not above 0, and gives 2^-127.

    Source: qtensor/mxfp8_tensor.py, MXFP8QTensor.quantize.
    """
    exponent = _exponent(amax / fmt.max)
    return as_e8m0_scales(exponent, multiplier=pow2(-exponent.clamp(-127, 127)).to(torch.float32))


def _exponent(descale: torch.Tensor) -> torch.Tensor:
    """⌈log2⌉ by the bits, where Model Optimizer takes it of a float32 logarithm that rounds just above a power of two."""
    usable = (descale > 0) & descale.isfinite()
    return torch.where(usable, ceil_log2(torch.where(usable, descale, 1.0)), torch.where(descale.isinf(), 127, -127))


def nvfp4(amax: torch.Tensor, fmt: Format) -> Scales:
    """Two levels: t = amax of all / (6 · 448); block scale = E4M3(amax / (6 · t)), from 2^-9 to 448, with 1 where that quotient is 0; x / (block scale · t).

    Source: qtensor/nvfp4_tensor.py, NVFP4QTensor.quantize.
    """
    tensor_scale = amax.max() / (fmt.max * 448.0)
    block = amax / (fmt.max * tensor_scale)
    block = torch.where(block == 0, 1.0, block).clamp(2.0**-9, 448.0)
    scale = round_to(block, "e4m3fn") * tensor_scale
    return Scales(scale, encode(block, "e4m3fn"), tensor_scale, divisor=scale)
