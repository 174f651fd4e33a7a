"""Scales as NVIDIA Transformer Engine computes them. Its own word `scale` is the encode multiplier; here it is the decode multiplier.

All arithmetic is float32: numbers are multiplied with the encode scale, then rounded to nearest even and saturated.
"""

from __future__ import annotations

import torch

from fp8core.codec import encode, round_to
from fp8core.formats import Format
from fp8core.rules.base import FLOAT32_MAX, Scales, as_float32_scales, power_of_two_up


def encode_scale(amax: torch.Tensor, fmt: Format) -> torch.Tensor:
    """Return max / amax, rounded once; 1 where amax is 0, infinite or NaN; float32's largest number where the quotient is infinite.

    Its kernels leave NaN out of amax and let infinity in. Its Python reference takes 0 for an infinite amax.

    Source: transformer_engine/common/recipe/recipe_common.cuh, compute_scale_from_amax.
    """
    scale = torch.div(torch.full_like(amax, fmt.max), amax).clamp(max=FLOAT32_MAX)
    return torch.where((amax > 0) & amax.isfinite(), scale, 1.0)


def current(amax: torch.Tensor, fmt: Format) -> Scales:
    """Encode scale = max / amax (see `encode_scale`); the decode scale is its reciprocal.

    Source: transformer_engine/common/recipe/current_scaling.cu.
    """
    scale = encode_scale(amax, fmt)
    return as_float32_scales(1.0 / scale, multiplier=scale)


def current_pow2(amax: torch.Tensor, fmt: Format) -> Scales:
    """As `current`, the mantissa bits of the encode scale cleared: it goes down to a power of two, the decode scale up.

    Float8BlockScaling does so by default.

    Source: transformer_engine/common/recipe/recipe_common.cuh, force_pow_2_scales.
    """
    scale = (encode_scale(amax, fmt).contiguous().view(torch.int32) & ~0x7FFFFF).view(torch.float32)
    return as_float32_scales(1.0 / scale, multiplier=scale)


def delayed(amax: torch.Tensor, fmt: Format) -> Scales:
    """Encode scale = max / amax with margin 0, where amax is the largest of the history, 1024 steps by default, this step's not among them.

    Given no amax of earlier steps, the tensor's own stands for them. Where amax is 0 or not finite the previous scale is kept;
    there is none here, so that it is the initial 1. `calibration.DelayedScaling` keeps the history.

    Source: transformer_engine/common/recipe/delayed_scaling.cu.
    """
    return current(amax, fmt)


def mxfp8(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = 2^⌈log2(amax · (1 / max))⌉, 1 / max rounded to float32; x · 2^-e.

    Zero is stored as 2^-127, an infinite amax as 2^127. Until February 2026 numbers of a block at 2^-127 were multiplied
    with 1, as torchao does.

    Source: transformer_engine/common/util/ptx.cuh, float_to_e8m0 and exp2f_rcp; pull request 2647.
    """
    return power_of_two_up(amax * torch.tensor(1.0 / fmt.max, dtype=torch.float32))


def nvfp4(amax: torch.Tensor, fmt: Format) -> Scales:
    """Two levels: s = 448 · 6 / amax of all, an encode scale; block scale b = E4M3(amax · (s / 6)); x · (1 / (b · (1 / s))).

    s is 1 for a tensor of zeros. b may be 0, for blocks that are tiny beside the rest; its multiplier is held at float32's largest
    number. Kernels of 2025 and the Python reference multiply in another order, (amax / 6) · s: about one code in 200 000 differs.

    Its dequantization kernel multiplies b with amax and 1 / 2688 instead of 1 / s, which may differ in the last bit.

    Source: transformer_engine/common/cast/nvfp4/core_nvfp4.cuh; pytorch/custom_recipes/quantization_ref_nvfp4.py.
    """
    largest = amax.max()
    s = torch.div(torch.full_like(largest, 448.0 * fmt.max), largest).clamp(max=FLOAT32_MAX)
    s = torch.where((largest > 0) & (s > 0), s, 1.0)
    block = (amax * (s * torch.tensor(1.0 / fmt.max, dtype=torch.float32))).clamp(max=FLOAT32_MAX)
    stored = round_to(block, "e4m3fn")
    scale = stored * (1.0 / s)
    return Scales(scale, encode(block, "e4m3fn"), 1.0 / s, multiplier=(1.0 / scale).clamp(max=FLOAT32_MAX))
