"""All registered formats, family by family. Adding a format is adding one literal here."""

from __future__ import annotations

import math

from fp8core.formats.base import Format
from fp8core.formats.floating import FloatFormat
from fp8core.formats.integer import IntFormat
from fp8core.formats.table import TableFormat

_OCP_FP8 = "OCP 8-bit Floating Point Specification (OFP8) v1.0"
_OCP_MX = "OCP Microscaling Formats (MX) v1.0"
_FNUZ = "arXiv 2206.02915 (Noune et al.); LLVM APFloat Float8E4M3FNUZ, Float8E5M2FNUZ"
_NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip


def _p3109(precision: int, signed: bool, extended: bool) -> FloatFormat:
    """An 8-bit format of IEEE P3109: width and precision give the rest; signed extended ones go by the short name."""
    suffix = ("s" if signed else "u") + ("e" if extended else "f")
    words = ("signed" if signed else "unsigned") + ", " + ("with infinity" if extended else "finite")
    name = f"binary8p{precision}" + ("" if suffix == "se" else suffix)
    return p3109_format(name, f"P3109 binary8p{precision} ({words})", 8, precision, signed, extended)


def p3109_format(name: str, title: str, width: int, precision: int, signed: bool, extended: bool) -> FloatFormat:
    """Return a format of IEEE P3109 by its four parameters.

    One NaN, no negative zero, subnormals always; the bias is 2^(width - precision - 1) with a sign and 2^(width - precision) without.

    Raises:
        ValueError: a precision that leaves no exponent bit.
    """
    exponent_bits = width - precision + (not signed)
    if precision < 1 or exponent_bits < 1:
        rule = f"from 1 to {width - signed} leave an exponent bit" if width > signed else "a signed format has at least 2 bits"
        raise ValueError(f"{name}: precision {precision} of {width} bits; {rule}")
    specials = "extended" if extended else "fnuz" if signed else "fn"
    return FloatFormat(name, title, "IEEE draft standard for machine learning", _P3109, exponent_bits, precision - 1, 1 << (exponent_bits - 1), specials, signed)


_P3109 = "IEEE P3109 interim report v4.0 (unapproved draft; names and saturation changed between drafts)"


def _hif8_value(code: int) -> float:
    """HiFloat8: the leading bits after the sign (the dot field) say how many bits the exponent has; the rest is mantissa.

    The exponent is a sign and a magnitude whose leading one is not stored. Seven denormals continue the range as powers of two.
    """
    if code == 0x80:
        return math.nan
    sign, low = (-1.0 if code & 0x80 else 1.0), code & 0x7F
    if low == 0x6F:
        return sign * math.inf
    if low < 8:
        return sign * math.ldexp(1.0, low - 23) if low else 0.0
    dot_bits, exponent_bits = next((bits, width) for bits, lead, width in ((2, 3, 4), (2, 2, 3), (2, 1, 2), (3, 1, 1), (4, 1, 0)) if low >> (7 - bits) == lead)
    mantissa_bits = 7 - dot_bits - exponent_bits
    field, mantissa = (low >> mantissa_bits) & ((1 << exponent_bits) - 1), low & ((1 << mantissa_bits) - 1)
    leading = 1 << (exponent_bits - 1) if exponent_bits else 0
    magnitude = leading | (field & (leading - 1)) if exponent_bits else 0
    return sign * math.ldexp(1 + mantissa / (1 << mantissa_bits), -magnitude if field & leading else magnitude)


FAMILIES: dict[str, tuple[Format, ...]] = {
    "16 bits and more": (
        FloatFormat("float32", "FP32", "reference; master weights, accumulators", "IEEE 754-2019 binary32", 8, 23, 127),
        FloatFormat("tfloat32", "TF32", "tensor-core inputs of float32 products; stored in 32 bits, 19 used", "NVIDIA A100 architecture whitepaper", 8, 10, 127),
        FloatFormat("bfloat16", "BF16", "training and inference; the usual baseline for FP8", "Intel bfloat16 hardware numerics definition", 8, 7, 127),
        FloatFormat("float16", "FP16", "inference; training with loss scaling", "IEEE 754-2019 binary16", 5, 10, 15),
    ),
    "FP8": (
        FloatFormat("e5m2", "FP8 E5M2", "gradients; storage of float16-like range", _OCP_FP8, 5, 2, 15),
        FloatFormat("e4m3fn", "FP8 E4M3", "weights and activations; the E4M3 of NVIDIA, Intel and OCP", _OCP_FP8, 4, 3, 7, "fn"),
        FloatFormat("e4m3", "FP8 E4M3 (IEEE-like)", "AWS Trainium 1 and 2", "LLVM APFloat Float8E4M3", 4, 3, 7),
        FloatFormat("e4m3fnuz", "FP8 E4M3 FNUZ", "AMD Instinct MI300 (CDNA3)", _FNUZ, 4, 3, 8, "fnuz"),
        FloatFormat("e5m2fnuz", "FP8 E5M2 FNUZ", "AMD Instinct MI300 (CDNA3), gradients", _FNUZ, 5, 2, 16, "fnuz"),
        FloatFormat("e4m3b11fnuz", "FP8 E4M3 B11 FNUZ", "XLA's hybrid FP8 (bias 11)", "LLVM APFloat Float8E4M3B11FNUZ", 4, 3, 11, "fnuz"),
        FloatFormat("e3m4", "FP8 E3M4", "more precision, less range; AWS Trainium", "LLVM APFloat Float8E3M4", 3, 4, 3),
        TableFormat("hif8", "HiFloat8", "Huawei Ascend 950: precision tapers from 3 to 0 mantissa bits away from 1", "arXiv 2409.16626 (Luo et al.)", tuple(map(_hif8_value, range(256))), 1.5 * 2.0**15, 2.0**-15),
    ),
    "scales": (
        FloatFormat("e8m0fnu", "UE8M0 scale", "scales of MX blocks and of DeepSeek-V3.1, never the elements", _OCP_MX, 8, 0, 127, "fn", signed=False, zero=False),
        FloatFormat("ue4m3", "UE4M3 scale", "scales of NVFP4 blocks: E4M3 without its sign", "NVIDIA PTX ISA, .ue4m3", 4, 3, 7, "fn", signed=False),
        FloatFormat("ue5m3", "UE5M3 scale", "scales of FP4 blocks without a second scale for the tensor", "CUDA 13.4 __nv_fp8_ue5m3; LLVM APFloat Float8E5M3FNU", 5, 3, 15, "fn", signed=False),
    ),
    "FP6 and FP4": (
        FloatFormat("e3m2fn", "FP6 E3M2", "MXFP6 elements", _OCP_MX, 3, 2, 3, "finite"),
        FloatFormat("e2m3fn", "FP6 E2M3", "MXFP6 elements, more precision", _OCP_MX, 2, 3, 1, "finite"),
        FloatFormat("e2m1fn", "FP4 E2M1", "MXFP4 and NVFP4 elements", _OCP_MX, 2, 1, 1, "finite"),
        FloatFormat("e1m2b1fn", "FP4 E1M2", "Huawei Ascend 950: seven equal steps up to 1.75", "CANN float4_e1m2; en-dtypes", 1, 2, 1, "finite"),
        TableFormat("nf4", "NF4", "QLoRA weights: quantiles of the normal distribution, with an exact zero", "arXiv 2305.14314, appendix E; bitsandbytes csrc/kernels.cu", _NF4),
    ),
    "integers": (
        *(IntFormat(f"int{width}", f"INT{width}", "quantization of weights with a scale", "two's complement", width) for width in (2, 3)),
        IntFormat("int4", "INT4", "weight-only quantization with a scale", "two's complement", 4),
        *(IntFormat(f"int{width}", f"INT{width}", "quantization of weights with a scale", "two's complement", width) for width in (5, 6, 7)),
        IntFormat("int8", "INT8", "post-training quantization with a scale", "two's complement", 8),
        IntFormat("mxint8", "MXINT8", "MXINT8 elements: integers in steps of 2^-6", _OCP_MX, 8, -6),
    ),
    "IEEE P3109": tuple(_p3109(precision, signed, extended) for signed in (True, False) for extended in (True, False) for precision in range(1, 8)),
}

FORMATS: dict[str, Format] = {format.name: format for family in FAMILIES.values() for format in family}
