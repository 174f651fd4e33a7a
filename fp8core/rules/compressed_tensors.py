"""Scales as compressed-tensors (llm-compressor, vLLM) computes them. Source of every function: compressed-tensors 0.20.0.

All arithmetic is float32; numbers are divided by the scale.
"""

from __future__ import annotations

import torch

from fp8core.codec import encode, round_to
from fp8core.formats import Format
from fp8core.rules.base import Scales, as_e8m0_scales, as_float32_scales, exponent_bits

_MX_MANTISSA_BITS = {"e2m3fn": 3}  # every other element is rounded as if it had FP4's one bit
_ZERO_BLOCK_SCALE = 0.125


def symmetric(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = amax / half of the range: amax / 448 for E4M3, amax / 127.5 for INT8 (from -128 to 127); 2^-23 where that is 0.

    NaN or infinity in a block enters amax: NaN makes the block NaN, an infinite amax makes all finite numbers of it 0.

    Source: quantization/utils/helpers.py, calculate_qparams; lifecycle/forward_helpers.py.
    """
    scale = amax / ((fmt.max - fmt.lowest) / 2 if fmt.specials == "finite" else fmt.max)
    scale = torch.where(scale == 0, torch.finfo(torch.float32).eps, scale)
    return as_float32_scales(scale, divisor=scale)


def mx(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = 2^(⌊log2 amax'⌋ − emax), where amax' is amax plus half an ulp of an FP4 mantissa: the exponent goes up from 1.75.

    The same one mantissa bit serves MXFP4 and MXFP8; MXFP6 E2M3 takes its own three. For E4M3 this equals `rceil` but for a
    significand of exactly 1.75. Zero is stored as 2^-127. Infinity and NaN make the scale NaN here, infinite there (a NaN 2^-127 on
    some processors); so does an amax that rounds up to 2^128 there.

    Source: quantization/utils/mxfp_utils.py, generate_mx_scales.
    """
    bits = amax.contiguous().view(torch.int32) + (1 << (22 - _MX_MANTISSA_BITS.get(fmt.name, 1)))
    rounded = (bits & ~0x7FFFFF).view(torch.float32)
    exponent = exponent_bits(torch.where(amax.isfinite(), rounded, torch.inf)) - 127 - fmt.emax
    exponent = torch.where(amax == 0, -127, exponent)
    non_finite = ~amax.isfinite()
    scales = as_e8m0_scales(exponent, nan=non_finite)
    return Scales(scales.values, scales.codes, None, divisor=torch.where(non_finite, torch.inf, scales.values))


def nvfp4(amax: torch.Tensor, fmt: Format) -> Scales:
    """Two levels: g = 448 · 6 / amax of all, which torch takes as 448 · 6 · (1 / amax), rounded twice, an encode scale; block scale = E4M3(g · (amax / 6)), 0.125 where that is 0; x / (block scale / g).

    g is 1 where the quotient is NaN or infinite.

    Source: quantization/utils/helpers.py, generate_gparam and calculate_qparams with a global scale.
    """
    g = global_encode_scale(amax.max(), fmt)
    block = (g * (amax / fmt.max)).clamp(-448.0, 448.0)
    stored = round_to(block, "e4m3fn")
    stored = torch.where(stored == 0, _ZERO_BLOCK_SCALE, stored)
    scale = stored / g
    return Scales(scale, encode(stored, "e4m3fn"), 1.0 / g, divisor=scale)


def global_encode_scale(tensor_amax: torch.Tensor, fmt: Format) -> torch.Tensor:
    """The g of `nvfp4`, which checkpoints hold as `weight_global_scale`, from the largest amax of all blocks."""
    g = 448.0 * fmt.max / tensor_amax.clamp(min=torch.finfo(torch.float32).tiny)
    return torch.where(g.isfinite(), g, 1.0)
