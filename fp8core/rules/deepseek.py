"""Scales as DeepSeek's inference code and DeepGEMM compute them, in float32."""

from __future__ import annotations

import torch

from fp8core.codec import pow2
from fp8core.formats import Format
from fp8core.rules.base import Scales, as_float32_scales, ceil_log2

_SMALLEST_AMAX = 1e-4


def v3(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = max(amax, 1e-4) / 448 and x / scale. The floor under amax costs tiny gradients all their precision.

    The floor came with V3.1; the kernel's first release had none, so that a block of zeros became NaN. Triton's division may be
    off by one ulp of float32 on a GPU.

    Source: DeepSeek-V3 inference/kernel.py, act_quant_kernel.
    """
    scale = amax.clamp(min=_SMALLEST_AMAX) / fmt.max
    return as_float32_scales(scale, divisor=scale)


def v3_ue8m0(amax: torch.Tensor, fmt: Format) -> Scales:
    """The scale of `v3` rounded up to a power of two and kept as float32; the elements stay E4M3.

    The kernel takes exp2(ceil(log2(scale))); ours reads the bits, which is exact.

    Source: DeepSeek-V3.1 inference/kernel.py with scale_fmt = "ue8m0" in inference/configs/config_v3.1.json.
    """
    scale = _up(amax.clamp(min=_SMALLEST_AMAX) / fmt.max)
    return as_float32_scales(scale, divisor=scale)


def deep_gemm(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = max(amax, 1e-4) / max, and x · (1 / scale), where the kernel above divides.

    Source: DeepGEMM deep_gemm/utils/math.py, per_token_cast_to_fp8, per_block_cast_to_fp8, per_token_cast_to_fp4.
    """
    scale = amax.clamp(min=_SMALLEST_AMAX) / fmt.max
    return as_float32_scales(scale, multiplier=1.0 / scale)


def deep_gemm_ue8m0(amax: torch.Tensor, fmt: Format) -> Scales:
    """The scale of `deep_gemm` rounded up to a power of two by its bits, whose exponent is held from -126 to 127: an infinite or NaN amax gives 2^127.

    Source: DeepGEMM deep_gemm/utils/math.py, ceil_to_ue8m0.
    """
    scale = _up(amax.clamp(min=_SMALLEST_AMAX) / fmt.max).nan_to_num(nan=2.0**127, posinf=2.0**127)
    return as_float32_scales(scale, multiplier=1.0 / scale)


def _up(scale: torch.Tensor) -> torch.Tensor:
    finite = scale.isfinite()
    return torch.where(finite, pow2(ceil_log2(torch.where(finite, scale, 1.0)).clamp(-126, 127)).to(torch.float32), scale)
