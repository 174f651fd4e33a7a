"""Scales as torchao computes them, step by step. Source of every function: torchao 0.18.0, the file named in it."""

from __future__ import annotations

from dataclasses import replace

import torch

from fp8core.codec import encode, exponent_of, pow2, round_to
from fp8core.formats import Format
from fp8core.rules.base import Scales, as_e8m0_scales, as_float32_scales, exponent_bits, mantissa_bits, power_of_two_up

_SMALLEST_AMAX = 1e-12
_MIN_NORMAL = 2.0**-126
_E4M3_EPS = 2.0**-6


def float8_training(amax: torch.Tensor, fmt: Format) -> Scales:
    """Encode scale = max / amax, the quotient taken in float64, amax at least 1e-12; x · scale in float32.

    A NaN makes all of its block NaN. An infinite amax makes the scale 0: finite numbers become 0, infinity NaN.

    Source: torchao/float8/float8_utils.py, amax_to_scale; float8_training_tensor.py.
    """
    scale = _training_scale(amax, fmt)
    return as_float32_scales(1.0 / scale, multiplier=scale)


def float8_training_pow2(amax: torch.Tensor, fmt: Format) -> Scales:
    """As `float8_training`, the encode scale rounded down to a power of two: the decode scale goes up.

    torchao takes exp2(floor(log2(scale))) in float32, whose log2 rounds; ours reads the exponent, which is exact.

    Source: torchao/float8/float8_utils.py, _round_scale_down_to_power_of_2.
    """
    scale = _training_scale(amax, fmt)
    power = torch.where(scale.isfinite() & (scale > 0), pow2(exponent_of(scale.to(torch.float64)).clamp(-1022, 1023)).to(torch.float32), scale)
    return as_float32_scales(1.0 / power, multiplier=power)


def _training_scale(amax: torch.Tensor, fmt: Format) -> torch.Tensor:
    return (fmt.max / amax.to(torch.float64).clamp(min=_SMALLEST_AMAX)).to(torch.float32)


def float8_inference(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = amax / max and x / scale, both in float32; a block of zeros has scale 0 and becomes NaN.

    Source: torchao/quantization/quant_primitives.py, _choose_scale_float8 and _quantize_affine_float8.
    """
    scale = amax / fmt.max
    return as_float32_scales(scale, divisor=scale)


def int8_symmetric(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = amax / 127.5 (half of the range from -128 to 127), at least float32's epsilon; x · (1 / scale) in float32.

    Source: torchao/quantization/quant_primitives.py, _choose_qparams_affine and _quantize_affine_no_dtype_cast.
    """
    scale = (amax / ((fmt.max - fmt.lowest) / 2)).clamp(min=torch.finfo(torch.float32).eps)
    return as_float32_scales(scale, multiplier=1.0 / scale)


def mx_floor(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = 2^(⌊log2 amax⌋ − emax). See `_mx` for zero, infinity and NaN.

    Source: torchao/prototype/mx_formats/mx_tensor.py, to_mx with ScaleCalculationMode.FLOOR.
    """
    return _mx(amax, _field_exponent(amax), fmt)


def mx_ceil(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = 2^(⌈log2 amax⌉ − emax). See `_mx` for zero, infinity and NaN.

    Source: torchao/prototype/mx_formats/mx_tensor.py, to_mx with ScaleCalculationMode.CEIL.
    """
    return _mx(amax, _field_exponent(amax) + (mantissa_bits(amax) > 0), fmt)


def mx_even(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = 2^(⌊log2 amax'⌋ − emax), where amax' is amax plus half an ulp of the elements' mantissa. See `_mx`.

    Source: torchao/prototype/mx_formats/mx_tensor.py, to_mx with ScaleCalculationMode.EVEN.
    """
    bits = amax.contiguous().view(torch.int32) + (1 << (22 - fmt.mantissa_bits))
    rounded = torch.where(amax.isnan(), amax, (bits & ~0x7FFFFF).view(torch.float32))
    return _mx(rounded, _field_exponent(rounded), fmt)


def _field_exponent(amax: torch.Tensor) -> torch.Tensor:
    return exponent_bits(amax) - 127


def _mx(amax: torch.Tensor, exponent: torch.Tensor, fmt: Format) -> Scales:
    """Store exponent − emax in E8M0 and divide by the scale in float32, where the divisor is never below 2^-126.

    A block of zeros stores 2^-127. A block with a NaN stores NaN; one with an infinity 2^(128 − emax), so that the infinity
    is clipped.
    """
    unbiased = (exponent - fmt.emax).clamp(-127, 128)
    codes = torch.where(amax.isnan(), 255, unbiased + 127).to(torch.uint8)
    scales = as_e8m0_scales(codes.to(torch.int64) - 127, nan=codes == 255)
    divisor = torch.where(codes == 255, torch.inf, scales.values.clamp(min=_MIN_NORMAL))
    return Scales(scales.values, scales.codes, None, divisor=divisor)


def mx_rceil(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = 2^⌈log2(amax / max)⌉, the quotient in float32; x · 2^-e in float32.

    A NaN is stored as NaN, an infinite quotient as 2^127. A block whose scale is 2^-127, as one of zeros, is multiplied with 1
    and not with 2^127.
    In eager mode torchao takes ⌈log2⌉ in float32, whose rounding misses quotients just above a power of two; ours reads
    the bits, as the instruction cvt.rp.satfinite.ue8m0x2 does that torchao uses on Blackwell.

    Source: torchao/prototype/mx_formats/mx_tensor.py, _to_mx_rceil.
    """
    scales = power_of_two_up(amax / fmt.max)
    return replace(scales, multiplier=torch.where(scales.codes == 0, 1.0, scales.multiplier))


def nvfp4(amax: torch.Tensor, fmt: Format) -> Scales:
    """Two levels: tensor scale t = amax of all / (448 · 6); block scale = E4M3(amax / 6 / t), from 2^-6 to 448; x · ((1 / t) / block scale).

    The lower end 2^-6 is E4M3's smallest normal number, though its smallest is 2^-9. All in float32. A tensor of zeros has t = 0 and becomes NaN.

    Source: torchao/prototype/mx_formats/nvfp4_tensor.py, nvfp4_quantize and per_tensor_amax_to_scale.
    """
    tensor_scale = amax.max() / (448.0 * fmt.max)
    block = (amax / fmt.max / tensor_scale).clamp(_E4M3_EPS, 448.0)
    stored = round_to(block, "e4m3fn")
    return Scales(stored * tensor_scale, encode(block, "e4m3fn"), tensor_scale, multiplier=(1.0 / tensor_scale) / stored)


def nvfp4_one_level(amax: torch.Tensor, fmt: Format) -> Scales:
    """Block scale = E4M3(amax / 6), from 2^-6 to 448, and no scale for the tensor; x · (1 / block scale) in float32.

    Source: torchao/prototype/mx_formats/nvfp4_tensor.py, nvfp4_quantize without a per_tensor_scale.
    """
    block = (amax / fmt.max).clamp(_E4M3_EPS, 448.0)
    stored = round_to(block, "e4m3fn")
    return Scales(stored, encode(block, "e4m3fn"), None, multiplier=1.0 / stored)
