"""Number formats as data: what each code of a format means.

A format is a frozen literal; everything else (limits, tables, code of NaN) follows from it.
Adding a format is adding one literal to `FORMATS`.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

SPECIALS = {
    "ieee": "the top exponent field holds infinity and NaN",
    "fn": "no infinity; NaN is the code of all ones, once per sign",
    "fnuz": "no infinity and no negative zero; NaN is the code that negative zero would have",
    "finite": "every code is a finite number",
}


@dataclass(frozen=True, eq=False)
class Format:
    """What every format has. `values[code]` is the meaning of a code; codes run from 0 to 2**bits - 1.

    Two formats are equal when their names are: one name means one table of values.
    """

    name: str
    title: str = ""
    use: str = ""
    source: str = ""

    def __eq__(self, other) -> bool:
        return isinstance(other, Format) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name

    @property
    def storage_bits(self) -> int:
        """Width of the unsigned integer that holds one code: 8, 16 or 32."""
        return next(width for width in (8, 16, 32) if self.bits <= width)

    @cached_property
    def values(self) -> np.ndarray:
        """Value of every code, float64, shape (2**bits,), read-only.

        Raises:
            ValueError: the format has more than 16 bits, so that the table would not be a table any more.
        """
        if self.bits > 16:
            raise ValueError(f"{self.name} has {self.bits} bits: values are listed for formats of at most 16 bits")
        table = self.value_of(np.arange(1 << self.bits))
        table.flags.writeable = False
        return table

    @cached_property
    def finite_values(self) -> np.ndarray:
        """Distinct finite values in ascending order, float64; zero appears once."""
        return np.unique(self.values[np.isfinite(self.values)] + 0.0)

    @property
    def max(self) -> float:
        """Largest finite value."""
        return float(self.value_of(np.array([self.max_code]))[0])

    @property
    def emax(self) -> int:
        """Binade of the largest finite value: floor(log2(max))."""
        return math.frexp(self.max)[1] - 1

    @property
    def ulp_at_max(self) -> float:
        """Distance of the largest finite value to its neighbour below, within its binade."""
        return math.ldexp(1.0, max(self.emin, self.emax) - self.mantissa_bits)

    @property
    def dynamic_range_binades(self) -> float:
        """log2 of the largest over the smallest positive value."""
        return math.log2(self.max) - math.log2(self.min_positive)

    @property
    def min_positive(self) -> float:
        """Smallest value above zero."""
        return self.min_normal if self.min_subnormal is None else self.min_subnormal

    def bit_string(self, code: int) -> str:
        """The bits of a code, most significant first, grouped by field.

        >>> parse_format("e4m3fn").bit_string(0x7E)
        '0 1111 110'
        """
        text = format(code, f"0{self.bits}b")
        ends = np.cumsum([0, *self.fields.values()])
        return " ".join(text[lo:hi] for lo, hi in itertools.pairwise(ends) if hi > lo)


@dataclass(frozen=True, eq=False)
class FloatFormat(Format):
    """Sign, exponent and mantissa fields: value = (-1)^s · 2^(max(e,1) - bias) · (m / 2^mantissa_bits + (e > 0)).

    Args:
        specials: a key of `SPECIALS`.
        signed: False where there is no sign bit; negative numbers have no code then.
        zero: False where exponent field 0 is an ordinary binade, so that neither zero nor subnormals exist (E8M0).
    """

    exponent_bits: int = 0
    mantissa_bits: int = 0
    bias: int = 0
    specials: str = "ieee"
    signed: bool = True
    zero: bool = True

    def __post_init__(self):
        if self.specials not in SPECIALS:
            raise ValueError(f"specials = {self.specials!r} is not one of {', '.join(SPECIALS)}")
        if self.exponent_bits < 1 or self.mantissa_bits < 0:
            raise ValueError(f"{self.name}: {self.exponent_bits} exponent bits and {self.mantissa_bits} mantissa bits; at least 1 and 0 are needed")
        if self.specials == "ieee" and self.mantissa_bits < 1:
            raise ValueError(f"{self.name}: without a mantissa bit the top exponent has no room for both infinity and NaN; use fn or fnuz")
        if self.max_code < 1:
            raise ValueError(f"{self.name}: no positive finite value is left beside infinity and NaN")
        smallest = self.emin - self.mantissa_bits
        largest = (max(self.max_code >> self.mantissa_bits, 1) if self.zero else self.max_code >> self.mantissa_bits) - self.bias
        if smallest < -149 or largest > 127:
            raise ValueError(f"{self.name}: bias {self.bias} gives values from 2^{smallest} to 2^{largest}; decode returns float32, which holds 2^-149 to 2^127")

    @property
    def bits(self) -> int:
        """Width of one code."""
        return self.signed + self.exponent_bits + self.mantissa_bits

    @property
    def fields(self) -> dict[str, int]:
        """Bit fields from the most significant down, with their widths."""
        return {"sign": int(self.signed), "exponent": self.exponent_bits, "mantissa": self.mantissa_bits}

    @property
    def emin(self) -> int:
        """Exponent of the smallest normal binade."""
        return 1 - self.bias if self.zero else -self.bias

    @property
    def sign_code(self) -> int:
        """The sign bit; 0 in an unsigned format."""
        return 1 << (self.bits - 1) if self.signed else 0

    @property
    def magnitude_codes(self) -> int:
        """How many codes there are for one sign."""
        return 1 << (self.exponent_bits + self.mantissa_bits)

    @property
    def max_code(self) -> int:
        """Code of the largest finite value; all codes up to it are finite and ascending."""
        top = self.magnitude_codes - 1
        return {"ieee": top - (1 << self.mantissa_bits), "fn": top - 1, "fnuz": top, "finite": top}[self.specials]

    @property
    def lowest(self) -> float:
        """Most negative finite value; the smallest value in an unsigned format."""
        return -self.max if self.signed else self.min_positive

    @property
    def inf_code(self) -> int | None:
        """Code of +infinity, None where there is none."""
        return self.max_code + 1 if self.specials == "ieee" else None

    @property
    def nan_code(self) -> int | None:
        """The code that encoding writes for NaN, None where there is none."""
        return {"ieee": self.magnitude_codes - 1, "fn": self.magnitude_codes - 1, "fnuz": self.magnitude_codes, "finite": None}[self.specials]

    @property
    def negative_zero(self) -> bool:
        """Whether -0 has a code of its own."""
        return self.signed and self.zero and self.specials != "fnuz"

    @property
    def min_normal(self) -> float:
        """Smallest positive value with full precision."""
        return math.ldexp(1.0, self.emin)

    @property
    def min_subnormal(self) -> float | None:
        """Smallest positive value below min_normal, None where there are no subnormals."""
        return math.ldexp(1.0, self.emin - self.mantissa_bits) if self.zero and self.mantissa_bits else None

    def value_of(self, codes: np.ndarray) -> np.ndarray:
        """Decode integer codes by the definition. -> float64, same shape."""
        codes = np.asarray(codes, np.int64)
        magnitude = codes & (self.magnitude_codes - 1)
        field, mantissa = magnitude >> self.mantissa_bits, magnitude & ((1 << self.mantissa_bits) - 1)
        implicit = (field > 0) | (not self.zero)
        exponent = np.maximum(field, 1 if self.zero else 0) - self.bias - self.mantissa_bits
        value = np.ldexp((mantissa + (implicit << self.mantissa_bits)).astype(np.float64), exponent)
        value[magnitude > self.max_code] = np.nan
        if self.inf_code is not None:
            value[magnitude == self.inf_code] = np.inf
        value = np.where(codes & self.sign_code, -value, value)
        if self.specials == "fnuz":
            value[codes == self.sign_code] = np.nan
        return value


@dataclass(frozen=True, eq=False)
class IntFormat(Format):
    """Two's complement integers times a fixed step: value = code · 2^step_exponent."""

    width: int = 8
    step_exponent: int = 0

    def __post_init__(self):
        if not 2 <= self.width <= 16:
            raise ValueError(f"{self.name}: {self.width} bits; integer formats have 2 to 16")

    @property
    def bits(self) -> int:
        """Width of one code."""
        return self.width

    @property
    def fields(self) -> dict[str, int]:
        """Bit fields from the most significant down, with their widths."""
        return {"sign": 1, "integer": self.width - 1}

    @property
    def step(self) -> float:
        """Distance between neighbours, everywhere the same."""
        return math.ldexp(1.0, self.step_exponent)

    @property
    def max_code(self) -> int:
        """Code of the largest value."""
        return (1 << (self.width - 1)) - 1

    @property
    def lowest(self) -> float:
        """Most negative value; its magnitude is one step above max."""
        return -self.max - self.step

    inf_code = nan_code = None
    negative_zero = False
    signed = zero = True
    specials = "finite"
    exponent_bits = 0

    @property
    def mantissa_bits(self) -> int:
        """Stored bits after the leading one of the largest value: max = (2 - 2^-mantissa_bits) · 2^emax."""
        return self.width - 2

    @property
    def emin(self) -> int:
        """Exponent of the binade in which the step is one ulp: the binade of the largest value."""
        return self.emax

    @property
    def min_normal(self) -> float:
        """The step: an integer has one precision everywhere."""
        return self.step

    min_subnormal = None

    def value_of(self, codes: np.ndarray) -> np.ndarray:
        """Decode integer codes by the definition. -> float64, same shape."""
        codes = np.asarray(codes, np.int64)
        sign = 1 << (self.width - 1)
        return np.ldexp((((codes & (2 * sign - 1)) ^ sign) - sign).astype(np.float64), self.step_exponent)


_OCP_FP8 = "OCP 8-bit Floating Point Specification (OFP8) v1.0"
_OCP_MX = "OCP Microscaling Formats (MX) v1.0"
_FNUZ = "arXiv 2206.02915 (Noune et al.); LLVM APFloat Float8E4M3FNUZ, Float8E5M2FNUZ"

FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        FloatFormat("float32", "FP32", "reference; master weights, accumulators", "IEEE 754-2019 binary32", 8, 23, 127),
        FloatFormat("tfloat32", "TF32", "tensor-core inputs of float32 products; stored in 32 bits, 19 used", "NVIDIA A100 architecture whitepaper", 8, 10, 127),
        FloatFormat("bfloat16", "BF16", "training and inference; the usual baseline for FP8", "Intel bfloat16 hardware numerics definition", 8, 7, 127),
        FloatFormat("float16", "FP16", "inference; training with loss scaling", "IEEE 754-2019 binary16", 5, 10, 15),
        FloatFormat("e5m2", "FP8 E5M2", "gradients; storage of float16-like range", _OCP_FP8, 5, 2, 15),
        FloatFormat("e4m3fn", "FP8 E4M3", "weights and activations; the E4M3 of NVIDIA, Intel and OCP", _OCP_FP8, 4, 3, 7, "fn"),
        FloatFormat("e4m3", "FP8 E4M3 (IEEE-like)", "AWS Trainium 1 and 2", "LLVM APFloat Float8E4M3", 4, 3, 7),
        FloatFormat("e4m3fnuz", "FP8 E4M3 FNUZ", "AMD Instinct MI300 (CDNA3)", _FNUZ, 4, 3, 8, "fnuz"),
        FloatFormat("e5m2fnuz", "FP8 E5M2 FNUZ", "AMD Instinct MI300 (CDNA3), gradients", _FNUZ, 5, 2, 16, "fnuz"),
        FloatFormat("e4m3b11fnuz", "FP8 E4M3 B11 FNUZ", "XLA's hybrid FP8 (bias 11)", "LLVM APFloat Float8E4M3B11FNUZ", 4, 3, 11, "fnuz"),
        FloatFormat("e3m4", "FP8 E3M4", "more precision, less range; AWS Trainium", "LLVM APFloat Float8E3M4", 3, 4, 3),
        FloatFormat("e8m0fnu", "UE8M0 scale", "scales of MX blocks and of DeepSeek-V3.1, never the elements", _OCP_MX, 8, 0, 127, "fn", signed=False, zero=False),
        FloatFormat("e3m2fn", "FP6 E3M2", "MXFP6 elements", _OCP_MX, 3, 2, 3, "finite"),
        FloatFormat("e2m3fn", "FP6 E2M3", "MXFP6 elements, more precision", _OCP_MX, 2, 3, 1, "finite"),
        FloatFormat("e2m1fn", "FP4 E2M1", "MXFP4 and NVFP4 elements", _OCP_MX, 2, 1, 1, "finite"),
        IntFormat("int8", "INT8", "post-training quantization with a scale", "two's complement", 8),
        IntFormat("int4", "INT4", "weight-only quantization with a scale", "two's complement", 4),
        IntFormat("mxint8", "MXINT8", "MXINT8 elements: integers in steps of 2^-6", _OCP_MX, 8, -6),
    )
}

_FLOAT_PATTERN = re.compile(r"e(\d{1,2})m(\d{1,2})(?:b(\d{1,3}))?(fnuz|fn|)")
_INT_PATTERN = re.compile(r"int(\d{1,2})")


def parse_format(name: str | Format) -> Format:
    """Return the format of that name: a key of `FORMATS`, or a pattern.

    Patterns: `e{E}m{M}` of up to 16 bits, with an optional bias `b{B}` and an optional suffix `fn` or `fnuz`, and `int{n}`.
    The bias is 2^(E-1) - 1 unless given (2^(E-1) for fnuz). Below 8 bits `fn` means that every code is finite,
    as in OCP's FP6 and FP4. The prefix `float8_` of torch and ml_dtypes names may stay. A pattern that
    spells out a registered format returns that one.

    Raises:
        ValueError: neither a key nor a pattern, or a pattern that no format can have.

    >>> parse_format("e4m3fn").max, parse_format("e3m4b3fn").max, parse_format("int6").max
    (448.0, 30.0, 31.0)
    """
    if isinstance(name, Format):
        return name
    text = re.sub(r"^float[468]_", "", str(name))
    if text in FORMATS:
        return FORMATS[text]
    if match := _INT_PATTERN.fullmatch(text):
        return IntFormat(text, text.upper(), width=int(match[1]))
    match = _FLOAT_PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{name!r} is not a format: use one of {', '.join(FORMATS)}, or a pattern such as e3m4, e3m4b3fn, e4m3fnuz or int6")
    exponent_bits, mantissa_bits, suffix = int(match[1]), int(match[2]), match[4]
    bits = 1 + exponent_bits + mantissa_bits
    if bits > 16:
        raise ValueError(f"{name!r} has {bits} bits: patterns go up to 16")
    if exponent_bits < 1:
        raise ValueError(f"{name!r} has no exponent bit: use int{bits} for an integer format")
    bias = int(match[3]) if match[3] else (1 << (exponent_bits - 1)) - (suffix != "fnuz")
    specials = "finite" if suffix == "fn" and bits < 8 else suffix or "ieee"
    parsed = FloatFormat(text, text.upper(), "", "pattern", exponent_bits, mantissa_bits, bias, specials)
    return next((known for known in FORMATS.values() if _same_codes(known, parsed)), parsed)


def _same_codes(a: Format, b: FloatFormat) -> bool:
    fields = ("exponent_bits", "mantissa_bits", "bias", "specials", "signed", "zero")
    return isinstance(a, FloatFormat) and all(getattr(a, field) == getattr(b, field) for field in fields)
