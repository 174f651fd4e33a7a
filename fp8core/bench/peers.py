"""What the kernels are timed against: functions of other packages as they are called there, and plain passes of numpy and torch.

A peer is one literal of `PEERS`. Its package is imported when it is used and not before. Each of its functions takes what the job
works on and the name of the format or recipe, does all that need not be timed, and returns the call to be timed.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass

import numpy as np
import torch

from fp8core.bench.plain_reports import report_in_numpy, report_in_torch
from fp8core.conformance.formats import gfloat_info
from fp8core.conformance.oracles import import_module
from fp8core.formats import parse_format
from fp8core.quantized import QuantizedTensor
from fp8core.recipes import parse_recipe

_SAME = 1e-5  # relative: far above the rounding of a float32 scale, far below the step of any format here
_MOST_DIFFERENT = 0.01  # share of the numbers


@dataclass(frozen=True)
class Peer:
    """An implementation that ours is timed against.

    Args:
        package: what pip installs.
        functions: by operation, a key of `kernels.OPERATIONS`: (input, format or recipe) -> the call, which returns what ours returns.
        note: what one should know of the comparison.
    """

    package: str
    functions: dict[str, Callable]
    note: str = ""

    @property
    def version(self) -> str:
        """Installed version, "" where it is not installed."""
        return installed_version(self.package)


def installed_version(package: str) -> str:
    """Return the version of a package that is installed, without importing it, "" where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def agreement(ours, theirs) -> str:
    """Compare two results of one job: tensors, arrays, or records of them -> what is to be said of the difference.

    Raises:
        ValueError: they are not the same thing: another number of numbers, or more than 1 % of them differ.

    >>> agreement(np.array([1.0, 2.0]), torch.tensor([1.0, 2.0])), agreement(np.array([1.0, 2.0]), np.array([1.0, 2.0000002]))
    ('equal', 'equal within 1e-07')
    """
    a, b = _in_a_row(ours), _in_a_row(theirs)
    if a.shape != b.shape:
        raise ValueError(f"it computes something else: {b.size} numbers where ours are {a.size}")
    differ = int(np.count_nonzero(~np.isclose(b, a, rtol=_SAME, atol=0, equal_nan=True)))
    if differ > _MOST_DIFFERENT * a.size:
        raise ValueError(f"it computes something else: {differ} of {a.size} numbers differ from ours")
    if differ:
        return f"{differ} of {a.size} numbers differ"
    unequal = (a != b) & np.isfinite(a)
    return f"equal within {np.max(np.abs(b - a)[unequal] / np.abs(a[unequal])):.0e}" if unequal.any() else "equal"


def _in_a_row(result) -> np.ndarray:
    if is_dataclass(result):
        result = [getattr(result, field.name) for field in fields(result)]
    if isinstance(result, list | tuple):
        return np.concatenate([_in_a_row(part) for part in result])
    return np.asarray(result, np.float64).reshape(-1)


def _load(path: str):
    """Import a module without the warnings of its import; ImportError says what is missing."""
    return import_module(path) or importlib.import_module(path)


# ---- casts: torch, ml_dtypes, en_dtypes, gfloat, pychop, microxcaling

_TORCH_DTYPES = {"e4m3fn": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2, "bfloat16": torch.bfloat16, "float16": torch.float16}
_ML_DTYPES = {"e4m3fn": "float8_e4m3fn", "e5m2": "float8_e5m2", "e2m1fn": "float4_e2m1fn", "bfloat16": "bfloat16"}
_EN_DTYPES = {"hif8": "hifloat8"}
_MICROXCALING = {"e4m3fn": "fp8_e4m3", "e5m2": "fp8_e5m2", "e2m1fn": "fp4_e2m1"}


def _torch_cast(x: torch.Tensor, name: str):
    dtype = _TORCH_DTYPES[name]
    return lambda: x.to(dtype).to(torch.float32)


def _torch_cast_reused(x: torch.Tensor, name: str):
    narrow, wide = torch.empty(x.shape, dtype=_TORCH_DTYPES[name]), torch.empty_like(x)

    def call():
        narrow.copy_(x)
        return wide.copy_(narrow)

    return call


def _torch_encode(x: torch.Tensor, name: str):
    dtype = _TORCH_DTYPES[name]
    return lambda: x.to(dtype).view(torch.uint8)


def _torch_encode_reused(x: torch.Tensor, name: str):
    narrow = torch.empty(x.shape, dtype=_TORCH_DTYPES[name])
    return lambda: narrow.copy_(x).view(torch.uint8)


def _torch_decode(codes: torch.Tensor, name: str):
    narrow = codes.view(_TORCH_DTYPES[name])
    return lambda: narrow.to(torch.float32)


def _torch_decode_reused(codes: torch.Tensor, name: str):
    narrow, wide = codes.view(_TORCH_DTYPES[name]), torch.empty(codes.shape)
    return lambda: wide.copy_(narrow)


def _torch_fake_quantize(x: torch.Tensor, name: str):
    fmt = parse_format(name)
    return lambda: torch.fake_quantize_per_tensor_affine(x, 1.0, 0, int(fmt.lowest), int(fmt.max))


def _ml_dtypes(x: torch.Tensor, name: str):
    array, dtype = x.numpy(), getattr(_load("ml_dtypes"), _ML_DTYPES[name])
    return lambda: array.astype(dtype).astype(np.float32)


def _en_dtypes(x: torch.Tensor, name: str):
    array, dtype = x.numpy(), getattr(_load("en_dtypes"), _EN_DTYPES[name])
    return lambda: array.astype(dtype).astype(np.float32)


def _gfloat(x: torch.Tensor, name: str):
    return _gfloat_torch(x.numpy(), name)


def _gfloat_torch(x, name: str):
    gfloat, info = _load("gfloat"), gfloat_info(parse_format(name))
    return lambda: gfloat.round_ndarray(info, x, gfloat.RoundMode.TiesToEven, True)


def _pychop(x: torch.Tensor, name: str):
    return _pychop_torch(x.numpy(), name)


def _pychop_torch(x, name: str):
    fmt = parse_format(name)
    chop = _load("pychop").Chop(fmt.exponent_bits, fmt.mantissa_bits, rmode=1)
    return lambda: chop(x)


def _microxcaling(x: torch.Tensor, name: str):
    elements = _load("mx.elemwise_ops")
    return lambda: elements._quantize_elemwise(x, _MICROXCALING[name], round="even", saturate_normals=True)


def _microxcaling_blocks(x: torch.Tensor, name: str):
    blocks, recipe = _load("mx.mx_ops"), parse_recipe(name)
    element = _MICROXCALING[recipe.format]
    return lambda: blocks._quantize_mx(x, 8, element, axes=[-1], block_size=recipe.scaling.block[1], round="even")


# ---- torchao


def _torchao_mx(x: torch.Tensor, name: str):
    mx, modes = _load("torchao.prototype.mx_formats.mx_tensor"), _load("torchao.prototype.mx_formats.config").ScaleCalculationMode
    dtype = {"e4m3fn": torch.float8_e4m3fn, "e2m1fn": torch.float4_e2m1fn_x2}[parse_recipe(name).format]

    def call():
        scales, codes = mx.to_mx(x, dtype, 32, modes.FLOOR)
        return mx.to_dtype(codes, scales, dtype, 32, torch.float32)

    return call


def _torchao_nvfp4(x: torch.Tensor, name: str):
    nvfp4 = _load("torchao.prototype.mx_formats.nvfp4_tensor")
    return lambda: nvfp4.NVFP4Tensor.to_nvfp4(x, per_tensor_scale=nvfp4.per_tensor_amax_to_scale(x.abs().max())).dequantize(torch.float32)


def _torchao_training(x: torch.Tensor, name: str):
    """Tensorwise, or scales along rows or columns."""
    steps, granularity = _load("torchao.float8.float8_scaling_utils"), _load("torchao.float8.config").ScalingGranularity
    axis = {(None, None): None, (1, None): -1, (None, 1): 0}[parse_recipe(name).scaling.block]
    about = {} if axis is None else {"scaling_granularity": granularity.AXISWISE, "axiswise_dim": axis}
    return lambda: steps.hp_tensor_to_float8_dynamic(x, torch.float8_e4m3fn, None, **about).to_original_precision()


def _torchao_primitives(x: torch.Tensor, name: str):
    """Blocks of any shape."""
    primitives = _load("torchao.quantization.quant_primitives")
    block = [length if side is None else side for side, length in zip(parse_recipe(name).scaling.block, x.shape, strict=True)]

    def call():
        scale = primitives._choose_scale_float8(x, block)
        return primitives._dequantize_affine_float8(primitives._quantize_affine_float8(x, scale), scale)

    return call


def _torchao_blockwise(x: torch.Tensor, name: str):
    """1 × 128 and 128 × 128; it brings no way back, so codes are multiplied with their scales here."""
    rows, columns = parse_recipe(name).scaling.block
    kernels = _load("torchao.prototype.blockwise_fp8_training.kernels")
    quantize = kernels.torch_blockwise_scale_act_quant_lhs if rows == 1 else kernels.torch_blockwise_scale_weight_quant

    def call():
        codes, scales = quantize(x)
        tiles = codes.to(torch.float32).view(x.shape[0] // rows, rows, x.shape[1] // columns, columns)
        return (tiles * scales[:, None, :, None]).view(x.shape)

    return call


# ---- plain passes


def _np_histogram(x: torch.Tensor, name: str):
    return lambda: _binades(x.numpy(), lambda magnitude: np.histogram(magnitude, bins=np.exp2(np.arange(-149, 129))))


def _np_histogram_log2(x: torch.Tensor, name: str):
    """The log2 first, in float32, so that numbers just below a power of two may be counted above it."""
    return lambda: _binades(x.numpy(), lambda magnitude: np.histogram(np.log2(magnitude[magnitude > 0]), bins=277, range=(-149, 128)))


def _binades(x: np.ndarray, histogram: Callable):
    """What `binade_histogram` holds, in its order: binades, counts, zeros, NaNs, infinities."""
    counts, _ = histogram(np.abs(x))
    used = np.flatnonzero(counts)
    lowest, highest = (used[0], used[-1] + 1) if used.size else (0, 0)
    return np.arange(lowest, highest) - 149, counts[lowest:highest], np.count_nonzero(x == 0), np.count_nonzero(np.isnan(x)), np.count_nonzero(np.isinf(x))


def _numpy_report(given: tuple[torch.Tensor, QuantizedTensor], name: str):
    return lambda: report_in_numpy(given[0].numpy(), given[1])


def _torch_report(given: tuple[torch.Tensor, QuantizedTensor], name: str):
    return lambda: report_in_torch(*given)


_ONE_THREAD = "one thread"
_PYCHOP = "its E4M3 ends at 240, and no number here is beyond"

PEERS: dict[str, Peer] = {
    "torch cast": Peer("torch", {"round_to": _torch_cast, "encode": _torch_encode, "decode": _torch_decode}),
    "torch cast, outputs reused": Peer("torch", {"round_to": _torch_cast_reused, "encode": _torch_encode_reused, "decode": _torch_decode_reused}),
    "torch fake_quantize": Peer("torch", {"round_to": _torch_fake_quantize}),
    "ml_dtypes": Peer("ml_dtypes", {"round_to": _ml_dtypes}, _ONE_THREAD),
    "en_dtypes": Peer("en_dtypes", {"round_to": _en_dtypes}, _ONE_THREAD),
    "gfloat, numpy": Peer("gfloat", {"round_to": _gfloat}, _ONE_THREAD),
    "gfloat, torch": Peer("gfloat", {"round_to": _gfloat_torch}),
    "pychop, numpy": Peer("pychop", {"round_to": _pychop}, _PYCHOP),
    "pychop, torch": Peer("pychop", {"round_to": _pychop_torch}, _PYCHOP),
    "microxcaling": Peer("microxcaling", {"round_to": _microxcaling, "fake_quantize": _microxcaling_blocks}),
    "torchao MX": Peer("torchao", {"fake_quantize": _torchao_mx}),
    "torchao NVFP4": Peer("torchao", {"fake_quantize": _torchao_nvfp4}),
    "torchao float8 training": Peer("torchao", {"fake_quantize": _torchao_training}),
    "torchao float8 primitives": Peer("torchao", {"fake_quantize": _torchao_primitives}),
    "torchao blockwise training": Peer("torchao", {"fake_quantize": _torchao_blockwise}),
    "np.histogram, edges 2^k": Peer("numpy", {"binade_histogram": _np_histogram}, _ONE_THREAD),
    "np.histogram of log2": Peer("numpy", {"binade_histogram": _np_histogram_log2}, _ONE_THREAD),
    "separate passes, numpy": Peer("numpy", {"measure": _numpy_report}, _ONE_THREAD),
    "separate passes, torch": Peer("torch", {"measure": _torch_report}),
}
