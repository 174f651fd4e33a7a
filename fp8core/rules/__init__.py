"""Scale rules: how the scale of a block follows from its amax. Adding a rule is adding one literal to `SCALE_RULES`.

The first five go with every format, block and scale format. The others follow one library through every step of its arithmetic,
each in the file of that library: see the docstring of its function for the formula, its source and its edge cases.
"""

from fp8core.rules import bitsandbytes, compressed_tensors, deepseek, gaudi, generic, modelopt, torchao, transformer_engine
from fp8core.rules.base import FLOAT32_MAX, NON_FINITE, ScaleRule, Scales

_TE = "NVIDIA Transformer Engine"
_AO = "torchao 0.18.0"
_CT = "compressed-tensors 0.20.0"
_MO = "NVIDIA Model Optimizer 0.47.0"
_FP32 = ("float32",)
_E8M0 = ("e8m0fnu",)
_TWO_LEVELS = ("e4m3fn_float32",)


def _upstream(title, formula, effect, source, compute, scale_formats, non_finite="both", **limits) -> ScaleRule:
    return ScaleRule(title, formula, effect, source, compute=compute, scale_formats=scale_formats, non_finite=non_finite, **limits)


SCALE_RULES: dict[str, ScaleRule] = {
    "amax": ScaleRule("amax", "amax / max", "the block's largest value lands on the format's largest; stored in UE8M0 this rounds to the nearest power of two", "common practice"),
    "floor": ScaleRule("floor", "2^(⌊log₂ amax⌋ − emax)", "clips block maxima whose significand is above that of the format's max", "OCP MX v1.0 section 6.3", generic.floor_up_from),
    "ceil": ScaleRule("ceil", "2^(⌈log₂ amax⌉ − emax)", "never clips where max is above 2^emax; leaves up to one binade unused", "torchao ScaleCalculationMode.CEIL", generic.ceil_up_from),
    "rceil": ScaleRule("rceil", "2^⌈log₂(amax / max)⌉", "the smallest power of two that never clips", "torchao ScaleCalculationMode.RCEIL; NVIDIA MXFP8 (arXiv 2506.08027)", generic.rceil_up_from),
    "even": ScaleRule("even", "2^(⌊log₂ round(amax)⌋ − emax), amax rounded to the mantissa of the elements", "clips less than floor and wastes less than ceil", "torchao ScaleCalculationMode.EVEN", generic.even_up_from),
    "te_current": _upstream("TE current", "1 / (max / amax)", "two roundings to float32; 1 where amax is 0 or not finite", _TE, transformer_engine.current, _FP32, "infinity"),
    "te_current_pow2": _upstream("TE current, power of two", "1 / 2^⌊log₂(max / amax)⌋", "as rceil, but 1 where amax is 0 or not finite", _TE, transformer_engine.current_pow2, _FP32, "infinity"),
    "te_delayed": _upstream("TE delayed", "1 / (max / largest amax of the history)", "clips what grows past the history", _TE, transformer_engine.delayed, _FP32, "infinity"),
    "te_mxfp8": _upstream("TE MXFP8", "2^⌈log₂(amax · (1/max))⌉", "never clips but where 1/max was rounded down", _TE, transformer_engine.mxfp8, _E8M0, "infinity"),
    "te_nvfp4": _upstream("TE NVFP4", "E4M3(amax · s/6) / s, s = 448 · 6 / amax of all", "block scales may be 0 beside a large outlier", _TE, transformer_engine.nvfp4, _TWO_LEVELS, "infinity", most_max=FLOAT32_MAX / 448),
    "torchao_training": _upstream("torchao training", "1 / (max / amax), amax ≥ 1e-12", "NaN makes its block NaN", _AO, torchao.float8_training, _FP32),
    "torchao_training_pow2": _upstream("torchao training, power of two", "1 / 2^⌊log₂(max / amax)⌋, amax ≥ 1e-12", "as rceil", _AO, torchao.float8_training_pow2, _FP32),
    "torchao_inference": _upstream("torchao inference", "amax / max", "a block of zeros becomes NaN", _AO, torchao.float8_inference, _FP32),
    "torchao_int8": _upstream("torchao INT8", "amax / 127.5, ≥ 2^-23", "uses −128; the largest positive value is clipped by half a step", _AO, torchao.int8_symmetric, _FP32),
    "torchao_floor": _upstream("torchao MX floor", "2^(⌊log₂ amax⌋ − emax)", "as floor", _AO, torchao.mx_floor, _E8M0),
    "torchao_ceil": _upstream("torchao MX ceil", "2^(⌈log₂ amax⌉ − emax)", "as ceil", _AO, torchao.mx_ceil, _E8M0),
    "torchao_even": _upstream("torchao MX even", "2^(⌊log₂ round(amax)⌋ − emax)", "as even", _AO, torchao.mx_even, _E8M0, most_mantissa_bits=22),
    "torchao_rceil": _upstream("torchao MX rceil", "2^⌈log₂(amax / max)⌉", "as rceil; blocks at 2^-127 are multiplied with 1", _AO, torchao.mx_rceil, _E8M0),
    "torchao_nvfp4": _upstream("torchao NVFP4", "E4M3(amax / 6 / t) · t, at least 2^-6 · t, t = amax of all / 2688", "block scales stop at E4M3's smallest normal number", _AO, torchao.nvfp4, _TWO_LEVELS),
    "torchao_nvfp4_one_level": _upstream("torchao NVFP4, one level", "E4M3(amax / 6), 2^-6 to 448", "tiny tensors underflow", _AO, torchao.nvfp4_one_level, ("e4m3fn",)),
    "deepseek": _upstream("DeepSeek", "max(amax, 1e-4) / max", "tiny blocks keep a scale that is too large for them", "DeepSeek-V3 inference/kernel.py", deepseek.v3, _FP32, "infinity"),
    "deepseek_ue8m0": _upstream("DeepSeek UE8M0", "2^⌈log₂(max(amax, 1e-4) / max)⌉", "a power of two, kept as FP32", "DeepSeek-V3.1 inference/kernel.py", deepseek.v3_ue8m0, _FP32, "infinity"),
    "deep_gemm": _upstream("DeepGEMM", "max(amax, 1e-4) / max", "as DeepSeek, but multiplied with the reciprocal", "DeepGEMM deep_gemm/utils/math.py", deepseek.deep_gemm, _FP32),
    "deep_gemm_ue8m0": _upstream("DeepGEMM UE8M0", "2^⌈log₂(max(amax, 1e-4) / max)⌉", "a power of two, kept as FP32", "DeepGEMM deep_gemm/utils/math.py", deepseek.deep_gemm_ue8m0, _FP32),
    "compressed_tensors": _upstream("compressed-tensors", "amax / half of the range", "amax / 127.5 for INT8; 2^-23 for zeros", _CT, compressed_tensors.symmetric, _FP32),
    "compressed_tensors_mx": _upstream("compressed-tensors MX", "2^(⌊log₂ round(amax)⌋ − emax), rounded as FP4", "the exponent goes up from 1.75 for FP8 too", _CT, compressed_tensors.mx, _E8M0),
    "compressed_tensors_nvfp4": _upstream("compressed-tensors NVFP4", "E4M3(g · amax / 6) / g, g = 448 · 6 / amax of all", "0.125 / g for blocks of zeros", _CT, compressed_tensors.nvfp4, _TWO_LEVELS),
    "modelopt_fp8": _upstream("ModelOpt FP8", "1 / (448 / amax), 1/448 where amax ≤ 2^-24", "tiny tensors underflow", _MO, modelopt.fp8, _FP32),
    "modelopt_fp8_packed": _upstream("ModelOpt FP8, packed", "amax / max", "a block of zeros becomes NaN", _MO, modelopt.fp8_packed, _FP32),
    "modelopt_mxfp4": _upstream("ModelOpt MXFP4", "2^⌈log₂(amax / 6)⌉", "never clips; ties go toward zero", _MO, modelopt.mxfp4, _E8M0),
    "modelopt_mxfp8": _upstream("ModelOpt MXFP8", "2^⌈log₂(amax / 448)⌉", "never clips", _MO, modelopt.mxfp8, _E8M0),
    "modelopt_nvfp4": _upstream("ModelOpt NVFP4", "E4M3(amax / (6 t)) · t, at least 2^-9 · t, t = amax of all / 2688", "block scales go down to E4M3's smallest number", _MO, modelopt.nvfp4, _TWO_LEVELS),
    "gaudi_maxabs_pow2": _upstream("Gaudi maxabs pow2", "2^⌈log₂(amax / (max · 0.5))⌉", "headroom of one to two binades", "Intel Neural Compressor", gaudi.maxabs_pow2, _FP32),
    "gaudi_maxabs_hw": _upstream("Gaudi maxabs hw", "the next of the hardware's scales: 16^n on Gaudi 2", "few scales, no multiplication: the exponent bias moves", "Intel Neural Compressor", gaudi.maxabs_hw, _FP32),
    "gaudi_maxabs_arbitrary": _upstream("Gaudi maxabs arbitrary", "amax / (max · 0.5)", "headroom of one binade", "Intel Neural Compressor", gaudi.maxabs_arbitrary, _FP32),
    "bitsandbytes": _upstream("bitsandbytes", "amax", "the largest number of a block becomes exactly ±1", "bitsandbytes 0.50.2", bitsandbytes.four_bit, _FP32),
}

GENERIC_RULES = tuple(name for name, rule in SCALE_RULES.items() if rule.compute is None)

__all__ = ["GENERIC_RULES", "NON_FINITE", "SCALE_RULES", "ScaleRule", "Scales"]
