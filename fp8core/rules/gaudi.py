"""Scales as Intel Neural Compressor computes them for Gaudi. It calls full scale what is `max` here: 240 on Gaudi 2, 448 on Gaudi 3.

A backoff below 1 leaves headroom above the amax that calibration saw. Its defaults there are 0.25 for activations and 0.5 for
weights; the recipes here take the weights' 0.5. Neural Compressor computes in bfloat16, the rules here in float32.
"""

from __future__ import annotations

import torch

from fp8core.codec import pow2
from fp8core.formats import Format
from fp8core.rules.base import Scales, as_float32_scales, ceil_log2

_BACKOFF = 0.5
_HARDWARE = {240.0: (-8, 4, 4), 448.0: (-55, 7, 1)}  # max of the format: lowest and highest exponent of a scale, step between exponents


def maxabs_pow2(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = 2^⌈log2(amax / (max · backoff))⌉; 0 for a block of zeros, which becomes NaN.

    Source: neural_compressor/torch/algorithms/fp8_quant/_core: scale_methods/round_scales_function.py, ScaleToPow2; fp_utils.py.
    """
    scales = _from_exponent(amax, _exponent(amax, fmt))
    exact = amax / (fmt.max * _BACKOFF)
    scale = torch.where((exact == 0) | exact.isinf(), exact, scales.values)
    return as_float32_scales(scale, divisor=scale)


def maxabs_hw(amax: torch.Tensor, fmt: Format) -> Scales:
    """The scale of `maxabs_pow2`, rounded up to one that the exponent bias of the hardware can take.

    Gaudi 2, whose E4M3 ends at 240: 2^-8, 2^-4, 1 or 2^4; Gaudi 3: 2^-55 to 2^7. Beyond these it is held at the end. Formats that
    neither machine has are scaled as on Gaudi 3.

    Source: as above, ScaleToHwAligned; EXP_BIAS_SETS of fp_utils.py.
    """
    lowest, highest, step = _HARDWARE.get(fmt.max, _HARDWARE[448.0])
    exponent = -(-_exponent(amax, fmt) // step) * step
    return _from_exponent(amax, exponent.clamp(lowest, highest))


def maxabs_arbitrary(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = amax / (max · backoff), not rounded; 0 for a block of zeros, which becomes NaN.

    Source: as above, ScaleIdentity.
    """
    scale = amax / (fmt.max * _BACKOFF)
    return as_float32_scales(scale, divisor=scale)


def _exponent(amax: torch.Tensor, fmt: Format) -> torch.Tensor:
    scale = amax / (fmt.max * _BACKOFF)
    usable = scale.isfinite() & (scale > 0)
    return torch.where(usable, ceil_log2(torch.where(usable, scale, 1.0)), torch.where(scale == 0, -149, 127)).clamp(-149, 127)


def _from_exponent(amax: torch.Tensor, exponent: torch.Tensor) -> Scales:
    scale = torch.where(amax.isnan(), torch.nan, pow2(exponent).to(torch.float32))
    return as_float32_scales(scale, divisor=scale)
