"""All registered recipes, library by library. Adding a recipe is adding one literal here.

The formula and the edge cases of a library's recipe are in the docstring of its rule in `fp8core.rules`; its source is there too.
"""

from __future__ import annotations

from fp8core.recipes.base import Recipe
from fp8core.scaling import ScaleSpec

_MX = "OCP Microscaling Formats (MX) v1.0, section 6.3 (floor)"
_V3 = "DeepSeek-V3 technical report (arXiv 2412.19437) and its inference/kernel.py: scale = max(amax, 1e-4) / 448"
_V31 = "DeepSeek-V3.1, scale_fmt ue8m0: the scale rounded up to a power of two and kept as float32; elements stay E4M3"
_DEEP_GEMM = "DeepGEMM deep_gemm/utils/math.py"
_TE = "NVIDIA Transformer Engine, "
_MEGATRON = "Megatron-LM calls Transformer Engine's "
_AO = "torchao 0.18.0, "
_CT = "compressed-tensors 0.20.0, preset "
_MO = "NVIDIA Model Optimizer 0.47.0, "
_INC = "Intel Neural Compressor, FP8 quantization for Gaudi; weights' backoff 0.5"
_DS = "DeepSpeed csrc/fp_quantizer: groups of 512, all codes finite, ties away. Its kernel takes numbers below the smallest normal one up to it; here they round to it or to 0"

_TENSOR, _ROW, _MX_SCALES = ScaleSpec((None, None)), ScaleSpec((1, None)), ScaleSpec((1, 32), "floor", "e8m0fnu")

LIBRARIES: dict[str, tuple[Recipe, ...]] = {
    "Plain": (
        Recipe("float32", "float32", None, "FP32", "no quantization"),
        Recipe("tfloat32", "tfloat32", None, "TF32 cast", "no scale"),
        Recipe("bfloat16", "bfloat16", None, "BF16 cast", "no scale"),
        Recipe("float16", "float16", None, "FP16 cast", "no scale"),
        Recipe("tensor_e4m3", "e4m3fn", _TENSOR, "E4M3 per tensor", "scale = amax / 448"),
        Recipe("tensor_e5m2", "e5m2", _TENSOR, "E5M2 per tensor", "scale = amax / 57344"),
        Recipe("row_e4m3", "e4m3fn", _ROW, "E4M3 per row", "scale = amax / 448 of each row"),
        Recipe("column_e4m3", "e4m3fn", ScaleSpec((None, 1)), "E4M3 per column", "scale = amax / 448 of each column"),
        Recipe("hif8_cast", "hif8", None, "HiFloat8 cast", "arXiv 2409.16626: no scale, ties away; most precise near 1", rounding="half_away"),
        Recipe("int8_tensor", "int8", _TENSOR, "INT8 per tensor", "scale = amax / 127"),
        Recipe("int8_row", "int8", _ROW, "INT8 per row", "scale = amax / 127 of each row"),
        Recipe("int4_1x128", "int4", ScaleSpec((1, 128)), "INT4 1×128", "scale = amax / 7 of each block; weight-only group quantization"),
        Recipe("ue8m0_element", "e8m0fnu", None, "UE8M0 as the element", "what articles say of DeepSeek-V3.1, and it is not so: without a sign every negative number is lost"),
        Recipe("signed_e8m0_element", "e8m0fn", None, "UE8M0 as the element, with a sign", "the same with a sign bit, so that what is left of the numbers can be seen: powers of two"),
    ),
    "OCP MX v1.0": (
        Recipe("mxfp8_e4m3", "e4m3fn", _MX_SCALES, "MXFP8 E4M3", _MX),
        Recipe("mxfp8_e5m2", "e5m2", _MX_SCALES, "MXFP8 E5M2", _MX),
        Recipe("mxfp6_e2m3", "e2m3fn", _MX_SCALES, "MXFP6 E2M3", _MX),
        Recipe("mxfp6_e3m2", "e3m2fn", _MX_SCALES, "MXFP6 E3M2", _MX),
        Recipe("mxfp4", "e2m1fn", _MX_SCALES, "MXFP4", _MX),
        Recipe("mxint8", "mxint8", _MX_SCALES, "MXINT8", _MX),
    ),
    "NVIDIA NVFP4": (
        Recipe("nvfp4", "e2m1fn", ScaleSpec((1, 16), "amax", "e4m3fn_float32"), "NVFP4", "NVIDIA: global = amax / (6 · 448) in FP32, block scale = amax of the block / 6 / global in E4M3"),
        Recipe("nvfp4_2d", "e2m1fn", ScaleSpec((16, 16), "amax", "e4m3fn_float32"), "NVFP4 16×16", "NVIDIA: the same for blocks of 16 × 16, so that a weight and its transpose have the same scales"),
        Recipe("fp4_ue5m3", "e2m1fn", ScaleSpec((1, 16), "amax", "ue5m3"), "FP4 1×16 with UE5M3 scales", "one level, as the scales reach from 2^-17 to 114688: CUDA 13.4 __nv_fp8_ue5m3, AMD Quark's AMDFP4"),
    ),
    "DeepSeek": (
        Recipe("deepseek_v3_1x128", "e4m3fn", ScaleSpec((1, 128), "deepseek"), "DeepSeek-V3 1×128", _V3),
        Recipe("deepseek_v3_128x128", "e4m3fn", ScaleSpec((128, 128), "deepseek"), "DeepSeek-V3 128×128", _V3),
        Recipe("deepseek_v3_1x128_ue8m0", "e4m3fn", ScaleSpec((1, 128), "deepseek_ue8m0"), "DeepSeek-V3.1 1×128 UE8M0", _V31),
        Recipe("deepseek_v3_128x128_ue8m0", "e4m3fn", ScaleSpec((128, 128), "deepseek_ue8m0"), "DeepSeek-V3.1 128×128 UE8M0", _V31),
        Recipe("deep_gemm_1x128", "e4m3fn", ScaleSpec((1, 128), "deep_gemm"), "DeepGEMM 1×128", _DEEP_GEMM + ", per_token_cast_to_fp8"),
        Recipe("deep_gemm_128x128", "e4m3fn", ScaleSpec((128, 128), "deep_gemm"), "DeepGEMM 128×128", _DEEP_GEMM + ", per_block_cast_to_fp8"),
        Recipe("deep_gemm_1x128_ue8m0", "e4m3fn", ScaleSpec((1, 128), "deep_gemm_ue8m0"), "DeepGEMM 1×128 UE8M0", _DEEP_GEMM + ", ceil_to_ue8m0"),
        Recipe("deep_gemm_fp4", "e2m1fn", ScaleSpec((1, 32), "deep_gemm_ue8m0"), "DeepGEMM FP4 1×32", _DEEP_GEMM + ", per_token_cast_to_fp4; ties toward zero", "half_toward_zero"),
    ),
    "Transformer Engine": (
        Recipe("te_delayed", "e4m3fn", ScaleSpec((None, None), "te_delayed"), "TE DelayedScaling, E4M3", _TE + "DelayedScaling, forward; the tensor's own amax stands for the history"),
        Recipe("te_delayed_e5m2", "e5m2", ScaleSpec((None, None), "te_delayed"), "TE DelayedScaling, E5M2", _TE + "DelayedScaling, gradients of HYBRID; the tensor's own amax stands for the history"),
        Recipe("te_current", "e4m3fn", ScaleSpec((None, None), "te_current"), "TE Float8CurrentScaling, E4M3", _TE + "Float8CurrentScaling, forward"),
        Recipe("te_current_e5m2", "e5m2", ScaleSpec((None, None), "te_current"), "TE Float8CurrentScaling, E5M2", _TE + "Float8CurrentScaling, gradients of HYBRID"),
        Recipe("te_current_pow2", "e4m3fn", ScaleSpec((None, None), "te_current_pow2"), "TE Float8CurrentScaling, power of two", _TE + "Float8CurrentScaling with power-of-two scales"),
        Recipe("te_blockwise", "e4m3fn", ScaleSpec((1, 128), "te_current_pow2"), "TE Float8BlockScaling 1×128", _TE + "Float8BlockScaling: activations and gradients, power-of-two scales by default"),
        Recipe("te_blockwise_128x128", "e4m3fn", ScaleSpec((128, 128), "te_current_pow2"), "TE Float8BlockScaling 128×128", _TE + "Float8BlockScaling: weights, power-of-two scales by default"),
        Recipe("te_blockwise_fp32", "e4m3fn", ScaleSpec((1, 128), "te_current"), "TE Float8BlockScaling 1×128, FP32 scales", _TE + "Float8BlockScaling with NVTE_FP8_BLOCK_SCALING_FP32_SCALES"),
        Recipe("te_mxfp8", "e4m3fn", ScaleSpec((1, 32), "te_mxfp8"), "TE MXFP8BlockScaling", _TE + "MXFP8BlockScaling; E4M3 for gradients too"),
        Recipe("te_mxfp8_e5m2", "e5m2", ScaleSpec((1, 32), "te_mxfp8"), "TE MXFP8BlockScaling, E5M2", _TE + "MXFP8BlockScaling with HYBRID: gradients"),
        Recipe("te_nvfp4", "e2m1fn", ScaleSpec((1, 16), "te_nvfp4"), "TE NVFP4BlockScaling", _TE + "NVFP4BlockScaling: activations"),
        Recipe("te_nvfp4_2d", "e2m1fn", ScaleSpec((16, 16), "te_nvfp4"), "TE NVFP4BlockScaling 16×16", _TE + "NVFP4BlockScaling: weights"),
        Recipe("te_nvfp4_rht", "e2m1fn", ScaleSpec((1, 16), "te_nvfp4"), "TE NVFP4BlockScaling, rotated", _TE + "NVFP4BlockScaling: activations of the weight gradient, after the random Hadamard transform", rotation="te_rht"),
        Recipe("te_nvfp4_sr", "e2m1fn", ScaleSpec((1, 16), "te_nvfp4"), "TE NVFP4BlockScaling, stochastic", _TE + "NVFP4BlockScaling: gradients, rounded stochastically", "stochastic"),
        Recipe("te_nvfp4_rht_sr", "e2m1fn", ScaleSpec((1, 16), "te_nvfp4"), "TE NVFP4BlockScaling, rotated and stochastic", _TE + "NVFP4BlockScaling: gradients of the weight gradient", "stochastic", rotation="te_rht"),
    ),
    "Megatron-LM": (
        Recipe("megatron_delayed", "e4m3fn", ScaleSpec((None, None), "te_delayed"), "Megatron-LM delayed", _MEGATRON + "DelayedScaling, with a history of 1 step and most_recent by default"),
        Recipe("megatron_tensorwise", "e4m3fn", ScaleSpec((None, None), "te_current"), "Megatron-LM tensorwise", _MEGATRON + "Float8CurrentScaling for --fp8-recipe tensorwise"),
        Recipe("megatron_blockwise", "e4m3fn", ScaleSpec((1, 128), "te_current_pow2"), "Megatron-LM blockwise", _MEGATRON + "Float8BlockScaling for --fp8-recipe blockwise"),
        Recipe("megatron_mxfp8", "e4m3fn", ScaleSpec((1, 32), "te_mxfp8"), "Megatron-LM MXFP8", _MEGATRON + "MXFP8BlockScaling for --fp8-recipe mxfp8"),
        Recipe("megatron_nvfp4", "e2m1fn", ScaleSpec((1, 16), "te_nvfp4"), "Megatron-LM NVFP4", _MEGATRON + "NVFP4BlockScaling, without arguments"),
    ),
    "DeepSpeed": (
        Recipe("deepspeed_fp8", "e4m3finite_nosub", ScaleSpec((1, 512)), "DeepSpeed FP8 (E4M3 to 480)", _DS, "half_away"),
        Recipe("deepspeed_fp6", "e3m2finite_nosub", ScaleSpec((1, 512)), "DeepSpeed FP6 (E3M2)", _DS, "half_away"),
    ),
    "torchao": (
        Recipe("torchao_tensorwise", "e4m3fn", ScaleSpec((None, None), "torchao_training"), "torchao tensorwise", _AO + "float8 training, recipe tensorwise"),
        Recipe("torchao_tensorwise_e5m2", "e5m2", ScaleSpec((None, None), "torchao_training"), "torchao tensorwise, E5M2", _AO + "float8 training, gradients of recipe tensorwise"),
        Recipe("torchao_rowwise", "e4m3fn", ScaleSpec((1, None), "torchao_training_pow2"), "torchao rowwise", _AO + "float8 training, recipe rowwise: power-of-two scales"),
        Recipe("torchao_rowwise_fp32", "e4m3fn", ScaleSpec((1, None), "torchao_training"), "torchao rowwise, FP32 scales", _AO + "float8 training, recipe rowwise_with_gw_hp"),
        Recipe("torchao_blockwise_1x128", "e4m3fn", ScaleSpec((1, 128), "torchao_training"), "torchao blockwise 1×128", _AO + "prototype/blockwise_fp8_training: activations"),
        Recipe("torchao_blockwise_128x128", "e4m3fn", ScaleSpec((128, 128), "torchao_training"), "torchao blockwise 128×128", _AO + "prototype/blockwise_fp8_training: weights"),
        Recipe("torchao_per_tensor", "e4m3fn", ScaleSpec((None, None), "torchao_inference"), "torchao PerTensor", _AO + "Float8DynamicActivationFloat8WeightConfig, PerTensor"),
        Recipe("torchao_per_row", "e4m3fn", ScaleSpec((1, None), "torchao_inference"), "torchao PerRow", _AO + "Float8DynamicActivationFloat8WeightConfig, PerRow"),
        Recipe("torchao_int8_per_row", "int8", ScaleSpec((1, None), "torchao_int8"), "torchao INT8 PerRow", _AO + "Int8DynamicActivationInt8WeightConfig"),
        *(
            Recipe(f"torchao_{name}_{mode}", element, ScaleSpec((1, 32), f"torchao_{mode}"), f"torchao {title} {mode}", _AO + f"MXTensor, ScaleCalculationMode.{mode.upper()}")
            for name, element, title in (("mxfp8", "e4m3fn", "MXFP8"), ("mxfp8_e5m2", "e5m2", "MXFP8 E5M2"), ("mxfp6_e2m3", "e2m3fn", "MXFP6 E2M3"), ("mxfp6_e3m2", "e3m2fn", "MXFP6 E3M2"), ("mxfp4", "e2m1fn", "MXFP4"))
            for mode in ("floor", "rceil", "ceil", "even")
        ),
        Recipe("torchao_nvfp4", "e2m1fn", ScaleSpec((1, 16), "torchao_nvfp4"), "torchao NVFP4", _AO + "NVFP4Tensor with a per-tensor scale"),
        Recipe("torchao_nvfp4_one_level", "e2m1fn", ScaleSpec((1, 16), "torchao_nvfp4_one_level"), "torchao NVFP4, one level", _AO + "NVFP4Tensor without a per-tensor scale"),
    ),
    "compressed-tensors": (
        Recipe("compressed_tensors_fp8", "e4m3fn", ScaleSpec((None, None), "compressed_tensors"), "compressed-tensors FP8", _CT + "FP8: weights and static activations per tensor"),
        Recipe("compressed_tensors_fp8_dynamic", "e4m3fn", ScaleSpec((1, None), "compressed_tensors"), "compressed-tensors FP8_DYNAMIC", _CT + "FP8_DYNAMIC: weights per channel, activations per token"),
        Recipe("compressed_tensors_fp8_block", "e4m3fn", ScaleSpec((128, 128), "compressed_tensors"), "compressed-tensors FP8_BLOCK, weights", _CT + "FP8_BLOCK: weights"),
        Recipe("compressed_tensors_fp8_block_1x128", "e4m3fn", ScaleSpec((1, 128), "compressed_tensors"), "compressed-tensors FP8_BLOCK, activations", _CT + "FP8_BLOCK: activations"),
        Recipe("compressed_tensors_mxfp8", "e4m3fn", ScaleSpec((1, 32), "compressed_tensors_mx"), "compressed-tensors MXFP8", _CT + "MXFP8"),
        Recipe("compressed_tensors_mxfp6", "e2m3fn", ScaleSpec((1, 32), "compressed_tensors_mx"), "compressed-tensors MXFP6", _CT + "MXFP6A16"),
        Recipe("compressed_tensors_mxfp4", "e2m1fn", ScaleSpec((1, 32), "compressed_tensors_mx"), "compressed-tensors MXFP4", _CT + "MXFP4"),
        Recipe("compressed_tensors_nvfp4", "e2m1fn", ScaleSpec((1, 16), "compressed_tensors_nvfp4"), "compressed-tensors NVFP4", _CT + "NVFP4"),
        Recipe("compressed_tensors_int8", "int8", ScaleSpec((1, None), "compressed_tensors"), "compressed-tensors INT8", _CT + "INT8 (W8A8): weights per channel, activations per token"),
        Recipe("compressed_tensors_w4a16", "int4", ScaleSpec((1, 128), "compressed_tensors"), "compressed-tensors W4A16", _CT + "W4A16: weights in groups of 128"),
    ),
    "Model Optimizer": (
        Recipe("modelopt_fp8", "e4m3fn", ScaleSpec((None, None), "modelopt_fp8"), "ModelOpt FP8", _MO + "fake quantization"),
        Recipe("modelopt_fp8_packed", "e4m3fn", ScaleSpec((None, None), "modelopt_fp8_packed"), "ModelOpt FP8, packed", _MO + "FP8QTensor"),
        Recipe("modelopt_mxfp8", "e4m3fn", ScaleSpec((1, 32), "modelopt_mxfp8"), "ModelOpt MXFP8", _MO + "MXFP8QTensor"),
        Recipe("modelopt_mxfp4", "e2m1fn", ScaleSpec((1, 32), "modelopt_mxfp4"), "ModelOpt MXFP4", _MO + "MXFP4QTensor: ties toward zero", "half_toward_zero"),
        Recipe("modelopt_nvfp4", "e2m1fn", ScaleSpec((1, 16), "modelopt_nvfp4"), "ModelOpt NVFP4", _MO + "NVFP4QTensor"),
    ),
    "Intel Gaudi": (
        Recipe("gaudi2_maxabs_hw", "e4m3", ScaleSpec((None, None), "gaudi_maxabs_hw"), "Gaudi 2 maxabs_hw", _INC),
        Recipe("gaudi2_maxabs_pow2", "e4m3", ScaleSpec((None, None), "gaudi_maxabs_pow2"), "Gaudi 2 maxabs_pow2", _INC),
        Recipe("gaudi3_maxabs_hw", "e4m3fn", ScaleSpec((None, None), "gaudi_maxabs_hw"), "Gaudi 3 maxabs_hw", _INC),
        Recipe("gaudi3_maxabs_pow2", "e4m3fn", ScaleSpec((None, None), "gaudi_maxabs_pow2"), "Gaudi 3 maxabs_pow2", _INC),
        Recipe("gaudi3_maxabs_arbitrary", "e4m3fn", ScaleSpec((None, None), "gaudi_maxabs_arbitrary"), "Gaudi 3 maxabs_arbitrary", _INC),
    ),
    "bitsandbytes": (
        Recipe("nf4_64", "nf4", ScaleSpec((1, 64), "bitsandbytes"), "NF4 1×64", "bitsandbytes 0.50.2; QLoRA (arXiv 2305.14314)"),
    ),
}

RECIPES: dict[str, Recipe] = {recipe.name: recipe for library in LIBRARIES.values() for recipe in library}

INPUTS: dict[str, str] = {
    "deepseek_v3_128x128": "deepseek_v3_1x128",
    "deepseek_v3_128x128_ue8m0": "deepseek_v3_1x128_ue8m0",
    "deep_gemm_128x128": "deep_gemm_1x128",
    "te_blockwise_128x128": "te_blockwise",
    "te_nvfp4_2d": "te_nvfp4",
    "nvfp4_2d": "nvfp4",
    "torchao_blockwise_128x128": "torchao_blockwise_1x128",
    "compressed_tensors_fp8_block": "compressed_tensors_fp8_block_1x128",
    **dict.fromkeys(("int4_1x128", "nf4_64", "compressed_tensors_w4a16", "compressed_tensors_mxfp6", "deepspeed_fp6", "deepspeed_fp8"), ""),
}
"""What a library does to the inputs of a layer whose weights it quantizes by a recipe, where that is not the same: another recipe, or "" for nothing."""


def namesakes(name: str) -> list[Recipe]:
    """Return the recipes with the element format, the blocks and the scale format of the named one, which comes first; none that rotates, whose codes mean something else.

    >>> [recipe.name for recipe in namesakes("int8_row")][:2]
    ['int8_row', 'torchao_int8_per_row']
    """
    first = RECIPES[name]
    alike = [each for each in RECIPES.values() if each.scaling and not each.rotation and _shape(each) == _shape(first)]
    return [first, *(each for each in alike if each is not first)]


def _shape(recipe: Recipe) -> tuple:
    return (recipe.format, recipe.scaling.block, recipe.scaling.scale_format) if recipe.scaling else (recipe.format,)


def inputs_of(recipe: Recipe) -> Recipe | None:
    """Return the recipe of a layer's inputs that goes with one for its weights; None where inputs are left as they are."""
    name = INPUTS.get(recipe.name, recipe.name)
    return RECIPES.get(name, recipe) if name else None
