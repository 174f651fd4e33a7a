"""Scales as bitsandbytes computes them for its 4-bit code books."""

from __future__ import annotations

import torch

from fp8core.formats import Format
from fp8core.rules.base import Scales, as_float32_scales


def four_bit(amax: torch.Tensor, fmt: Format) -> Scales:
    """Scale = amax, as the code book ends at 1; x · (1 / max(amax, 1e-38)) in float32.

    bitsandbytes looks the product up between thresholds that are rounded to float32, and a number equal to one goes down; ours
    takes the exact midpoints. Its CUDA kernels cut blocks out of the flattened tensor, so that they may run over the end of a row.

    Source: bitsandbytes 0.50.2, backends/default/ops.py, quantize_4bit.
    """
    return as_float32_scales(amax, multiplier=1.0 / amax.clamp(min=1e-38))
