"""Recipes whose library cannot be asked here: their steps written a second time, in NumPy's float32, from the source that each recipe names.

Nothing of `fp8core.rules` or `fp8core.codec` is used: elements and scales are rounded by ml_dtypes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import ml_dtypes
import numpy as np

F32 = np.float32
_LARGEST = np.finfo(F32).max
_TYPES = {
    "e4m3fn": (ml_dtypes.float8_e4m3fn, 448.0), "e5m2": (ml_dtypes.float8_e5m2, 57344.0), "e4m3": (ml_dtypes.float8_e4m3, 240.0),
    "e2m1fn": (ml_dtypes.float4_e2m1fn, 6.0), "int8": (None, 127.0), "int4": (None, 7.0),
}  # fmt: skip

Block = tuple[int | None, int | None]
Scaled = tuple[np.ndarray, np.ndarray]
Steps = Callable[[np.ndarray, np.ndarray, float], Scaled]


def follow(x: np.ndarray, element: str, block: Block, steps: Steps, *, counts: str) -> tuple[np.ndarray, np.ndarray]:
    """Quantize a matrix by written-out steps -> elements (R, C) and decode scales, one per block.

    Args:
        steps: (blocks (r, rows, c, columns), amax (r, 1, c, 1), max of the format) -> (decode scale like amax, numbers to round like blocks).
        counts: what enters amax: "finite" numbers, "infinity" too, or "all", so that one NaN makes it NaN.
    """
    dtype, largest = _TYPES[element]
    rows, columns = (length if side is None else min(side, length) for side, length in zip(block, x.shape, strict=True))
    padded = np.pad(x, ((0, -x.shape[0] % rows), (0, -x.shape[1] % columns)))
    blocks = padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns)
    magnitude = np.abs(blocks)
    left_out = {"finite": ~np.isfinite(magnitude), "infinity": np.isnan(magnitude), "all": False}[counts]
    amax = np.where(left_out, F32(0), magnitude).max(axis=(1, 3), keepdims=True)
    scale, scaled = steps(blocks, amax, largest)
    if element in ("int8", "int4", "e2m1fn") and counts == "finite":  # the elements have no NaN: the scale says it
        scale = np.where(np.isnan(blocks).any(axis=(1, 3), keepdims=True), F32(np.nan), scale)
    elements = _rounded(scaled, dtype, largest).reshape(padded.shape)[: x.shape[0], : x.shape[1]]
    return elements, scale[:, 0, :, 0].astype(F32)


def _rounded(scaled: np.ndarray, dtype, largest: float) -> np.ndarray:
    """To nearest even, saturating; NaN stays, and becomes 0 in integers and the largest value in FP4."""
    if dtype is None:
        return np.clip(np.rint(np.nan_to_num(scaled, nan=0.0, posinf=largest, neginf=-largest - 1)), -largest - 1, largest) + 0.0
    nearest = np.where(np.isnan(scaled), np.nan if dtype is not ml_dtypes.float4_e2m1fn else largest, _nearest(np.abs(scaled), dtype, largest))
    return np.where(np.signbit(scaled) & ~np.isnan(scaled), -nearest, nearest)


def _nearest(magnitude: np.ndarray, dtype, largest: float) -> np.ndarray:
    """The nearest of ml_dtypes' values, ties to the even code; its own cast would round float64 to float32 first."""
    values = np.arange(1 << (3 if dtype is ml_dtypes.float4_e2m1fn else 7), dtype=np.uint8).view(dtype).astype(np.float64)
    values = values[values <= largest]
    middles = (values[1:] + values[:-1]) / 2
    lower, upper = (np.searchsorted(middles, magnitude.astype(np.float64), side) for side in ("left", "right"))
    return values[np.where(lower % 2 == 0, lower, upper)]  # they differ at a tie only, where one of the two codes is even


def _divided(blocks, scale) -> Scaled:
    return scale, blocks / scale


def _multiplied(blocks, scale, multiplier) -> Scaled:
    return scale, blocks * multiplier


def _up_to_power_of_two(scale: np.ndarray) -> np.ndarray:
    """The smallest power of two that is not below, by frexp; infinity and NaN stay."""
    mantissa, exponent = np.frexp(scale)
    return np.where(np.isfinite(scale) & (scale > 0), np.ldexp(F32(1), exponent - (mantissa == 0.5)), scale).astype(F32)


# ---- plain formulas: quotients in float64, rounded once


def plain(blocks, amax, largest) -> Scaled:
    scale = np.maximum(amax.astype(np.float64) / largest, 2.0**-126).astype(F32)
    return scale, blocks.astype(np.float64) / scale


def nvfp4(blocks, amax, largest) -> Scaled:
    whole = F32(max(np.float64(amax.max()) / (largest * 448), 2.0**-126))
    wanted = np.clip(amax.astype(np.float64) / largest / whole, 2.0**-9, 448)
    scale = (_nearest(wanted, ml_dtypes.float8_e4m3fn, 448.0) * whole).astype(F32)
    return scale, blocks.astype(np.float64) / scale


# ---- Transformer Engine


def te_encode_scale(amax, largest) -> np.ndarray:
    """recipe_common.cuh, compute_scale_from_amax with epsilon 0."""
    quotient = F32(largest) / amax
    return np.where((amax == 0) | np.isinf(amax), F32(1), np.where(np.isinf(quotient), _LARGEST, quotient)).astype(F32)


def te_current(blocks, amax, largest) -> Scaled:
    scale = te_encode_scale(amax, largest)
    return _multiplied(blocks, F32(1) / scale, scale)


def te_current_pow2(blocks, amax, largest) -> Scaled:
    scale = (te_encode_scale(amax, largest).view(np.uint32) & np.uint32(0xFF800000)).view(F32)
    return _multiplied(blocks, F32(1) / scale, scale)


def te_mxfp8(blocks, amax, largest) -> Scaled:
    """ptx.cuh, float_to_e8m0 as its software path has it, and exp2f_rcp."""
    value = amax * F32(1.0 / largest)
    bits = value.view(np.uint32).astype(np.int64)
    exponent, mantissa = bits >> 23, bits & 0x7FFFFF
    code = exponent + ((mantissa > 0) & (exponent != 0xFE) & ~((exponent == 0) & (mantissa <= 0x400000)))
    code = np.where(np.isinf(value), 0xFE, code)
    return _multiplied(blocks, np.ldexp(F32(1), code - 127), np.ldexp(F32(1), 127 - code))


def te_nvfp4(blocks, amax, largest) -> Scaled:
    """core_nvfp4.cuh: compute_global_encode_scaling_factor_FP4, compute_decoding_scaling_factor, compute_scaling_coefficient."""
    top = amax.max()
    whole = np.minimum(F32(448 * 6) / top, _LARGEST)
    whole = F32(1) if top == 0 or whole == 0 else whole
    stored = np.minimum(np.minimum(amax * F32(whole * F32(1 / 6)), _LARGEST), F32(448)).astype(ml_dtypes.float8_e4m3fn).astype(F32)
    decode = F32(1) / whole
    return _multiplied(blocks, stored * decode, np.minimum(F32(1) / (stored * decode), _LARGEST))


# ---- DeepSeek and DeepGEMM


def deepseek(blocks, amax, largest) -> Scaled:
    return _divided(blocks, np.maximum(amax, F32(1e-4)) / F32(largest))


def deepseek_ue8m0(blocks, amax, largest) -> Scaled:
    return _divided(blocks, _up_to_power_of_two(np.maximum(amax, F32(1e-4)) / F32(largest)))


def deep_gemm(blocks, amax, largest) -> Scaled:
    scale = np.maximum(amax, F32(1e-4)) / F32(largest)
    return _multiplied(blocks, scale, F32(1) / scale)


def deep_gemm_ue8m0(blocks, amax, largest) -> Scaled:
    """math.py, ceil_to_ue8m0: by the bits, the exponent held from 1 to 254."""
    bits = (np.maximum(amax, F32(1e-4)) / F32(largest)).astype(F32).view(np.uint32)
    exponent = np.clip((bits >> 23) + ((bits & 0x7FFFFF) != 0), 1, 254).astype(np.uint32)
    scale = (exponent << np.uint32(23)).view(F32)
    return _multiplied(blocks, scale, F32(1) / scale)


# ---- Intel Gaudi


def gaudi(blocks, amax, largest, *, rounding: str) -> Scaled:
    """fp_utils.py and round_scales_function.py with the weights' backoff of 0.5, in float32 instead of bfloat16."""
    scale = amax / F32(largest * 0.5)
    if rounding != "arbitrary":
        scale = _up_to_power_of_two(scale)
    if rounding == "hw":
        allowed = np.ldexp(F32(1), np.array([-8, -4, 0, 4] if largest == 240 else range(-55, 8)))
        scale = np.where(np.isnan(scale), scale, allowed[np.minimum(np.searchsorted(allowed, scale), len(allowed) - 1)])
    return _divided(blocks, scale)


_ANY, _ROW, _COLUMN = (None, None), (1, None), (None, 1)
_PLAIN = {
    "tensor_e4m3": ("e4m3fn", _ANY, plain), "tensor_e5m2": ("e5m2", _ANY, plain), "row_e4m3": ("e4m3fn", _ROW, plain), "column_e4m3": ("e4m3fn", _COLUMN, plain),
    "int8_tensor": ("int8", _ANY, plain), "int8_row": ("int8", _ROW, plain), "int4_1x128": ("int4", (1, 128), plain),
    "nvfp4": ("e2m1fn", (1, 16), nvfp4), "nvfp4_2d": ("e2m1fn", (16, 16), nvfp4),
}  # fmt: skip
_KERNELS = {
    "te_delayed": ("e4m3fn", _ANY, te_current), "te_delayed_e5m2": ("e5m2", _ANY, te_current), "te_current": ("e4m3fn", _ANY, te_current),
    "te_current_e5m2": ("e5m2", _ANY, te_current), "te_current_pow2": ("e4m3fn", _ANY, te_current_pow2), "te_blockwise": ("e4m3fn", (1, 128), te_current_pow2),
    "te_blockwise_128x128": ("e4m3fn", (128, 128), te_current_pow2), "te_blockwise_fp32": ("e4m3fn", (1, 128), te_current),
    "te_mxfp8": ("e4m3fn", (1, 32), te_mxfp8), "te_mxfp8_e5m2": ("e5m2", (1, 32), te_mxfp8), "te_nvfp4": ("e2m1fn", (1, 16), te_nvfp4), "te_nvfp4_2d": ("e2m1fn", (16, 16), te_nvfp4),
    "megatron_delayed": ("e4m3fn", _ANY, te_current), "megatron_tensorwise": ("e4m3fn", _ANY, te_current), "megatron_blockwise": ("e4m3fn", (1, 128), te_current_pow2),
    "megatron_mxfp8": ("e4m3fn", (1, 32), te_mxfp8), "megatron_nvfp4": ("e2m1fn", (1, 16), te_nvfp4),
    "deepseek_v3_1x128": ("e4m3fn", (1, 128), deepseek), "deepseek_v3_128x128": ("e4m3fn", (128, 128), deepseek),
    "deepseek_v3_1x128_ue8m0": ("e4m3fn", (1, 128), deepseek_ue8m0), "deepseek_v3_128x128_ue8m0": ("e4m3fn", (128, 128), deepseek_ue8m0),
}  # fmt: skip
_TORCH = {
    "deep_gemm_1x128": ("e4m3fn", (1, 128), deep_gemm), "deep_gemm_128x128": ("e4m3fn", (128, 128), deep_gemm), "deep_gemm_1x128_ue8m0": ("e4m3fn", (1, 128), deep_gemm_ue8m0),
    **{f"gaudi{n}_maxabs_{kind}": (element, _ANY, partial(gaudi, rounding=kind)) for n, element, kinds in ((2, "e4m3", ("hw", "pow2")), (3, "e4m3fn", ("hw", "pow2", "arbitrary"))) for kind in kinds},
}  # fmt: skip

STEPS: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    name: partial(follow, element=element, block=block, steps=steps, counts=counts)
    for counts, recipes in (("finite", _PLAIN), ("infinity", _KERNELS), ("all", _TORCH))
    for name, (element, block, steps) in recipes.items()
}
