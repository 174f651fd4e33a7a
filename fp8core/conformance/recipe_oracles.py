"""How to ask each oracle for a recipe: numbers in, what it stores out. A recipe is one row of `RECIPE_ORACLES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from fp8core.conformance.formats import gfloat_info
from fp8core.conformance.oracles import import_module, load
from fp8core.formats import parse_format


@dataclass(frozen=True, eq=False)
class Answer:
    """What an oracle made of a matrix (R, C).

    Args:
        elements: values of the elements before they are multiplied with a scale, float64 (R, C).
        scales: decode multipliers, one per block; with `global_scale` the stored scales of the blocks alone.
        global_scale: decode multiplier of the whole tensor, where there are two levels.
        dequantized: elements times scales, float32 (R, C), where an oracle shows nothing else.
    """

    elements: np.ndarray | None = None
    scales: np.ndarray | None = None
    global_scale: float | None = None
    dequantized: np.ndarray | None = None


@dataclass(frozen=True)
class RecipeOracle:
    """One recipe of one oracle.

    Args:
        ask: matrix (R, C) float32 -> Answer.
        ragged: whether it takes sides that are no multiple of the block.
        note: what one should know of the comparison.
        needs: a module of another package that the oracle imports for this recipe, "" where there is none.
    """

    recipe: str
    oracle: str
    ask: Callable[[np.ndarray], Answer]
    ragged: bool = False
    note: str = ""
    needs: str = ""


def _values(codes: torch.Tensor, element: str) -> np.ndarray:
    return parse_format(element).value_of(codes.view(torch.uint8).numpy())


def _pairs(packed: torch.Tensor, element: str, *, low_first: bool = True) -> np.ndarray:
    """Two 4-bit codes in each byte, (R, C / 2) -> values (R, C)."""
    low, high = packed & 0xF, packed >> 4
    return _values(torch.stack([low, high] if low_first else [high, low], dim=-1).flatten(-2), element)


def _powers(codes: torch.Tensor) -> np.ndarray:
    return _values(codes, "e8m0fnu").astype(np.float32)


# ---- gfloat: the scale of OCP MX section 6.3, and its rounding


def _gfloat_mx(x: np.ndarray, *, element: str) -> Answer:
    block, info = import_module("gfloat.block"), gfloat_info(parse_format(element))
    blocks = x.astype(np.float64).reshape(-1, 32)
    scales = np.array([block.compute_scale_amax(info.emax, each) for each in blocks])
    gfloat = load("gfloat")
    rounded = gfloat.round_ndarray(info, blocks / scales[:, None], gfloat.RoundMode.TiesToEven, True)
    return Answer(rounded.reshape(x.shape), scales.reshape(x.shape[0], -1).astype(np.float32))


# ---- torchao


def _ao_dtype(element: str):
    constants = import_module("torchao.prototype.mx_formats.constants")
    return {"e4m3fn": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2, "e2m1fn": getattr(torch, "float4_e2m1fn_x2", None)}.get(element) or {"e2m3fn": constants.DTYPE_FP6_E2M3, "e3m2fn": constants.DTYPE_FP6_E3M2}[element]


def _ao_mx(x: np.ndarray, *, element: str, mode: str) -> Answer:
    mode = import_module("torchao.prototype.mx_formats.config").ScaleCalculationMode[mode.upper()]
    scales, codes = import_module("torchao.prototype.mx_formats.mx_tensor").to_mx(torch.from_numpy(x), _ao_dtype(element), 32, mode)
    return Answer(_pairs(codes, element) if element == "e2m1fn" else _values(codes, element), _powers(scales))


def _ao_training(x: np.ndarray, *, element: str, rows: bool, pow2: bool) -> Answer:
    granularity = import_module("torchao.float8.config").ScalingGranularity
    about = {"scaling_granularity": granularity.AXISWISE, "axiswise_dim": -1} if rows else {}
    made = import_module("torchao.float8.float8_scaling_utils").hp_tensor_to_float8_dynamic(torch.from_numpy(x), _ao_dtype(element), None, round_scales_to_power_of_2=pow2, **about)
    return Answer(_values(made._data, element), (1.0 / made._scale).numpy())


def _ao_inference(x: np.ndarray, *, rows: bool) -> Answer:
    primitives, matrix = import_module("torchao.quantization.quant_primitives"), torch.from_numpy(x)
    scale = primitives._choose_scale_float8(matrix, [1 if rows else x.shape[0], x.shape[1]])
    return Answer(_values(primitives._quantize_affine_float8(matrix, scale), "e4m3fn"), scale.numpy())


def _ao_int8(x: np.ndarray) -> Answer:
    made = import_module("torchao.quantization.quantize_.workflows.int8.int8_tensor").Int8Tensor.from_hp(torch.from_numpy(x), import_module("torchao.quantization").PerRow())
    return Answer(made.qdata.double().numpy(), made.scale.numpy())


def _ao_blockwise(x: np.ndarray, *, function: str) -> Answer:
    codes, scales = getattr(import_module("torchao.prototype.blockwise_fp8_training.kernels"), function)(torch.from_numpy(x))
    return Answer(_values(codes.contiguous(), "e4m3fn").reshape(x.shape), scales.float().numpy())


def _ao_nvfp4(x: np.ndarray, *, levels: int) -> Answer:
    tensor, matrix = import_module("torchao.prototype.mx_formats.nvfp4_tensor"), torch.from_numpy(x)
    whole = tensor.per_tensor_amax_to_scale(matrix.abs().max()) if levels == 2 else None
    scales, codes = tensor.nvfp4_quantize(matrix, 16, whole)
    return Answer(_pairs(codes, "e2m1fn"), _values(scales, "e4m3fn"), None if whole is None else float(whole))


# ---- compressed-tensors


def _ct(x: np.ndarray, *, element: str, levels: int = 1, **about) -> Answer:
    """Scales of the strategy from the matrix itself, then `quantize`; a symmetric scheme has no zero points."""
    args = import_module("compressed_tensors.quantization")
    helpers, forward = import_module("compressed_tensors.quantization.utils.helpers"), import_module("compressed_tensors.quantization.lifecycle.forward")
    fmt, matrix = parse_format(element), torch.from_numpy(x)
    integers = fmt.exponent_bits == 0
    chosen = args.QuantizationArgs(num_bits=fmt.bits, type="int" if integers else "float", symmetric=True, **about)
    whole = helpers.generate_gparam(matrix.min(), matrix.max()) if levels == 2 else None
    scales = _ct_scales(matrix, chosen, whole, helpers)
    codes = forward.quantize(matrix, scales, None, chosen, dtype=torch.int8 if integers else None, global_scale=whole)
    return Answer(codes.double().numpy(), scales.float().numpy(), None if whole is None else float(1.0 / whole))


def _ct_scales(matrix: torch.Tensor, chosen, whole, helpers) -> torch.Tensor:
    if chosen.strategy == "block":
        height, width = chosen.block_structure
        tiles = matrix.reshape(matrix.shape[0] // height, height, matrix.shape[1] // width, width)
        return helpers.calculate_qparams(tiles.amin((1, 3)), tiles.amax((1, 3)), chosen)[0]
    per_token = chosen.strategy == "token"  # tokens are the second of three axes there
    scales, _ = helpers.compute_dynamic_scales_and_zp(matrix[None] if per_token else matrix, chosen, torch.nn.Module(), global_scale=whole)
    return scales[0] if per_token else scales


# ---- NVIDIA Model Optimizer


def _modelopt(name: str):
    return getattr(import_module("modelopt.torch.quantization.qtensor"), name)


def _mo_fp8(x: np.ndarray) -> Answer:
    made, scale = _modelopt("FP8QTensor").quantize(torch.from_numpy(x))
    return Answer(_values(made._quantized_data, "e4m3fn"), scale.numpy())


def _mo_fp8_fake(x: np.ndarray) -> Answer:
    """Only the dequantized numbers come out."""
    matrix = torch.from_numpy(x)
    return Answer(dequantized=import_module("modelopt.torch.quantization.tensor_quant").fp8_eager(matrix, matrix.abs().max()).numpy())


def _mo_mxfp8(x: np.ndarray) -> Answer:
    made, scales = _modelopt("MXFP8QTensor").quantize(torch.from_numpy(x))
    return Answer(_values(made._quantized_data, "e4m3fn"), _powers(scales))


def _mo_mxfp4(x: np.ndarray) -> Answer:
    made, scales = _modelopt("MXFP4QTensor").quantize(torch.from_numpy(x), 32)
    return Answer(_pairs(made._quantized_data, "e2m1fn"), _powers(scales.reshape(x.shape[0], -1)))


def _mo_nvfp4(x: np.ndarray) -> Answer:
    made, scales, whole = _modelopt("NVFP4QTensor").quantize(torch.from_numpy(x.copy()), 16)
    return Answer(_pairs(made._quantized_data, "e2m1fn"), _values(scales, "e4m3fn"), float(whole))


# ---- bitsandbytes


def _bnb_nf4(x: np.ndarray) -> Answer:
    codes, state = import_module("bitsandbytes.functional").quantize_4bit(torch.from_numpy(x), blocksize=64, quant_type="nf4")
    return Answer(_pairs(codes.reshape(x.shape[0], -1), "nf4", low_first=False), state.absmax.numpy())


# ---- recipes whose library cannot be asked here


_STEPS_NOTE = "its library cannot be installed here: its steps were written a second time from its source"
_BY_STEPS = (
    "tensor_e4m3", "tensor_e5m2", "row_e4m3", "column_e4m3", "int8_tensor", "int8_row", "int4_1x128", "nvfp4", "nvfp4_2d",
    "te_delayed", "te_delayed_e5m2", "te_current", "te_current_e5m2", "te_current_pow2", "te_blockwise", "te_blockwise_128x128", "te_blockwise_fp32",
    "te_mxfp8", "te_mxfp8_e5m2", "te_nvfp4", "te_nvfp4_2d", "megatron_delayed", "megatron_tensorwise", "megatron_blockwise", "megatron_mxfp8", "megatron_nvfp4",
    "deepseek_v3_1x128", "deepseek_v3_128x128", "deepseek_v3_1x128_ue8m0", "deepseek_v3_128x128_ue8m0", "deep_gemm_1x128", "deep_gemm_128x128", "deep_gemm_1x128_ue8m0",
    "gaudi2_maxabs_hw", "gaudi2_maxabs_pow2", "gaudi3_maxabs_hw", "gaudi3_maxabs_pow2", "gaudi3_maxabs_arbitrary",
)  # fmt: skip


def _by_steps(x: np.ndarray, *, recipe: str) -> Answer:
    return Answer(*import_module("fp8core.conformance.steps").STEPS[recipe](x))


_AO_ELEMENTS = {"mxfp8": "e4m3fn", "mxfp8_e5m2": "e5m2", "mxfp6_e2m3": "e2m3fn", "mxfp6_e3m2": "e3m2fn", "mxfp4": "e2m1fn"}
_GROUP32 = {"strategy": "group", "group_size": 32, "scale_dtype": torch.uint8, "zp_dtype": torch.uint8}

RECIPE_ORACLES: tuple[RecipeOracle, ...] = (
    *(
        RecipeOracle(name, "gfloat", partial(_gfloat_mx, element=element))
        for name, element in (("mxfp8_e4m3", "e4m3fn"), ("mxfp8_e5m2", "e5m2"), ("mxfp6_e2m3", "e2m3fn"), ("mxfp6_e3m2", "e3m2fn"), ("mxfp4", "e2m1fn"), ("mxint8", "mxint8"))
    ),
    RecipeOracle("torchao_tensorwise", "torchao", partial(_ao_training, element="e4m3fn", rows=False, pow2=False), ragged=True),
    RecipeOracle("torchao_tensorwise_e5m2", "torchao", partial(_ao_training, element="e5m2", rows=False, pow2=False), ragged=True),
    RecipeOracle("torchao_rowwise", "torchao", partial(_ao_training, element="e4m3fn", rows=True, pow2=True), ragged=True),
    RecipeOracle("torchao_rowwise_fp32", "torchao", partial(_ao_training, element="e4m3fn", rows=True, pow2=False), ragged=True),
    RecipeOracle("torchao_per_tensor", "torchao", partial(_ao_inference, rows=False), ragged=True),
    RecipeOracle("torchao_per_row", "torchao", partial(_ao_inference, rows=True), ragged=True),
    RecipeOracle("torchao_int8_per_row", "torchao", _ao_int8, ragged=True),
    *(
        RecipeOracle(f"torchao_{name}_{mode}", "torchao", partial(_ao_mx, element=element, mode=mode))
        for name, element in _AO_ELEMENTS.items() for mode in ("floor", "rceil", "ceil", "even")
    ),
    RecipeOracle("torchao_blockwise_1x128", "torchao", partial(_ao_blockwise, function="torch_blockwise_scale_act_quant_lhs"), needs="triton"),
    RecipeOracle("torchao_blockwise_128x128", "torchao", partial(_ao_blockwise, function="torch_blockwise_scale_weight_quant"), needs="triton"),
    RecipeOracle("torchao_nvfp4", "torchao", partial(_ao_nvfp4, levels=2)),
    RecipeOracle("torchao_nvfp4_one_level", "torchao", partial(_ao_nvfp4, levels=1)),
    RecipeOracle("compressed_tensors_fp8", "compressed-tensors", partial(_ct, element="e4m3fn", strategy="tensor"), ragged=True),
    RecipeOracle("compressed_tensors_fp8_dynamic", "compressed-tensors", partial(_ct, element="e4m3fn", strategy="token", dynamic=True), ragged=True),
    RecipeOracle("compressed_tensors_fp8_block", "compressed-tensors", partial(_ct, element="e4m3fn", strategy="block", block_structure=[128, 128])),
    RecipeOracle("compressed_tensors_fp8_block_1x128", "compressed-tensors", partial(_ct, element="e4m3fn", strategy="group", group_size=128)),
    RecipeOracle("compressed_tensors_mxfp8", "compressed-tensors", partial(_ct, element="e4m3fn", **_GROUP32)),
    RecipeOracle("compressed_tensors_mxfp6", "compressed-tensors", partial(_ct, element="e2m3fn", **_GROUP32)),
    RecipeOracle("compressed_tensors_mxfp4", "compressed-tensors", partial(_ct, element="e2m1fn", **_GROUP32)),
    RecipeOracle("compressed_tensors_nvfp4", "compressed-tensors", partial(_ct, element="e2m1fn", levels=2, strategy="tensor_group", group_size=16, scale_dtype=torch.float8_e4m3fn, zp_dtype=torch.float8_e4m3fn)),
    RecipeOracle("compressed_tensors_int8", "compressed-tensors", partial(_ct, element="int8", strategy="token", dynamic=True), ragged=True),
    RecipeOracle("compressed_tensors_w4a16", "compressed-tensors", partial(_ct, element="int4", strategy="group", group_size=128)),
    RecipeOracle("modelopt_fp8", "modelopt", _mo_fp8_fake, ragged=True, note="fake quantization: the dequantized numbers are compared"),
    RecipeOracle("modelopt_fp8_packed", "modelopt", _mo_fp8, ragged=True),
    RecipeOracle("modelopt_mxfp8", "modelopt", _mo_mxfp8, ragged=True),
    RecipeOracle("modelopt_mxfp4", "modelopt", _mo_mxfp4),
    RecipeOracle("modelopt_nvfp4", "modelopt", _mo_nvfp4),
    RecipeOracle("nf4_64", "bitsandbytes", _bnb_nf4),
    *(RecipeOracle(name, "steps", partial(_by_steps, recipe=name), ragged=True, note=_STEPS_NOTE) for name in _BY_STEPS),
)  # fmt: skip

# Libraries whose recipes no implementation can be asked for, and what was done instead.
NO_ORACLE = {
    "Plain": "a cast without a scale: its format is compared above",
    "NVIDIA NVFP4": "no library's recipe: its formula is compared with rational arithmetic in the tests",
    "DeepSeek": "its kernels run on GPUs only; how ties of its FP4 go is tested number by number",
    "Transformer Engine": "rotated or rounded at random: its parts are compared, the whole keeps the laws of the tests",
    "DeepSpeed": "its kernels run on GPUs only; ours is an approximation below the smallest normal number",
}
