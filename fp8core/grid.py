"""Which numbers a format has: its limits in one summary, its values as far as a chart can draw them, its codes one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

import numpy as np

from fp8core.codec import encode
from fp8core.formats import FloatFormat, Format, IntFormat, parse_format

KINDS = {
    "zero": "zero",
    "subnormal": "below the smallest normal number: no implicit leading one, fewer significant bits",
    "normal": "an implicit leading one, full precision",
    "infinity": "infinity",
    "nan": "not a number",
}


@dataclass(frozen=True)
class FormatSummary:
    """The numbers by which formats are compared.

    Args:
        exponent_bits, mantissa_bits, bias: None where the format has no such field.
        min_normal: smallest number of full precision; the step of an integer format.
        min_subnormal: None where there are no subnormals.
        dynamic_range_binades, dynamic_range_decades: log2 and log10 of the largest over the smallest positive value.
        relative_precision: half an ulp over the value at the start of a binade, 2^-(mantissa_bits + 1): no normal number is
            rounded to nearest with a larger relative error. None where the spacing does not follow the binades.
        machine_epsilon: distance from 1 to the next larger value, None where 1 has none.
        finite_count, positive_count, unit_count: distinct finite values: all, above zero, and from 0 to 1.
        inf_codes, nan_codes: how many codes mean infinity and NaN.
    """

    name: str
    title: str
    use: str
    source: str
    bits: int
    fields: str
    exponent_bits: int | None
    mantissa_bits: int | None
    bias: int | None
    max: float
    lowest: float
    min_normal: float
    min_subnormal: float | None
    dynamic_range_binades: float
    dynamic_range_decades: float
    relative_precision: float | None
    machine_epsilon: float | None
    finite_count: int
    positive_count: int
    unit_count: int
    inf_codes: int
    nan_codes: int
    negative_zero: bool


def describe(format: str | Format) -> FormatSummary:
    """Return the summary of a format of any width.

    Formats of up to 16 bits are counted code by code, wider ones (float32, tfloat32) by formula.

    >>> s = describe("e4m3fn")
    >>> s.max, s.min_subnormal, s.finite_count, s.nan_codes, s.relative_precision
    (448.0, 0.001953125, 253, 2, 0.0625)
    """
    fmt = parse_format(format)
    is_float = isinstance(fmt, FloatFormat)
    counts = _counts_by_table(fmt) if fmt.bits <= 16 else _counts_by_formula(fmt)
    return FormatSummary(
        name=fmt.name, title=fmt.title, use=fmt.use, source=fmt.source, bits=fmt.bits,
        fields=" + ".join(f"{width} {field}" for field, width in fmt.fields.items() if width),
        exponent_bits=fmt.exponent_bits if is_float else None, mantissa_bits=fmt.mantissa_bits if is_float else None, bias=fmt.bias if is_float else None,
        max=fmt.max, lowest=fmt.lowest, min_normal=fmt.min_normal, min_subnormal=fmt.min_subnormal,
        dynamic_range_binades=fmt.dynamic_range_binades, dynamic_range_decades=fmt.dynamic_range_binades * math.log10(2),
        relative_precision=math.ldexp(1.0, -fmt.mantissa_bits - 1) if is_float else None,
        machine_epsilon=_machine_epsilon(fmt), negative_zero=fmt.negative_zero, **counts,
    )  # fmt: skip


def _counts_by_table(fmt: Format) -> dict[str, int]:
    finite = fmt.finite_values
    return {
        "finite_count": finite.size,
        "positive_count": int((finite > 0).sum()),
        "unit_count": int(((finite >= 0) & (finite <= 1)).sum()),
        "inf_codes": int(np.isinf(fmt.values).sum()),
        "nan_codes": int(np.isnan(fmt.values).sum()),
    }


def _counts_by_formula(fmt: FloatFormat) -> dict[str, int]:
    """The same counts of a signed format with zero, infinity and NaN in the IEEE 754 layout: its positive codes ascend."""
    return {
        "finite_count": 2 * fmt.max_code + 1,
        "positive_count": fmt.max_code,
        "unit_count": min(fmt.bias << fmt.mantissa_bits, fmt.max_code) + 1,
        "inf_codes": 2,
        "nan_codes": 2 * ((1 << fmt.mantissa_bits) - 1),
    }


def _machine_epsilon(fmt: Format) -> float | None:
    if fmt.bits > 16:
        return math.ldexp(1.0, -fmt.mantissa_bits)
    finite = fmt.finite_values
    at = int(np.searchsorted(finite, 1.0))
    return float(finite[at + 1] - 1.0) if at + 1 < finite.size and finite[at] == 1.0 else None


@dataclass(frozen=True, eq=False)
class Spacing:
    """Positive finite values of a format and the distance from each to the next one.

    Args:
        values: ascending, shape (V,).
        codes: their codes, shape (V,).
        steps: distance to the next larger value, shape (V,); NaN at the largest.
        complete: True where every positive value is listed. Formats of more than 8 bits list the first and the last
            value of every binade, between which the steps are equal.
        per_binade: how many values each listed value's binade has, shape (V,).
        min_normal: values below it are subnormal.
        negative: the negative values, listed likewise, ascending, shape (W,).
        has_zero: whether zero is a value.
    """

    name: str
    title: str
    values: np.ndarray
    codes: np.ndarray
    steps: np.ndarray
    complete: bool
    per_binade: np.ndarray
    min_normal: float
    negative: np.ndarray
    has_zero: bool

    @property
    def relative(self) -> np.ndarray:
        """Steps over values."""
        return self.steps / self.values

    @property
    def binades(self) -> np.ndarray:
        """floor(log2(value)), int64."""
        return binade_of(self.values)

    @property
    def positions(self) -> np.ndarray:
        """Place of each value in its binade: value / 2^binade, from 1 up to but not including 2."""
        return np.ldexp(self.values, -self.binades)

    @property
    def all_values(self) -> np.ndarray:
        """The listed values with zero and the negative ones, ascending."""
        return np.concatenate([self.negative, [0.0] if self.has_zero else [], self.values])


def spacing(format: str | Format) -> Spacing:
    """Return the positive values of a format with their distances, bounded to what a chart can draw.

    >>> s = spacing("e2m1fn")
    >>> s.values.tolist(), s.steps[:-1].tolist()
    ([0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], [0.5, 0.5, 0.5, 1.0, 1.0, 2.0])
    """
    fmt = parse_format(format)
    values, steps, per_binade = _by_table(fmt) if fmt.bits <= 16 else _by_formula(fmt)
    return Spacing(
        name=fmt.name, title=fmt.title, values=values, codes=encode(values, fmt).astype(np.int64), steps=steps, complete=fmt.bits <= 8,
        per_binade=per_binade, min_normal=fmt.min_normal, negative=_negative(fmt, values), has_zero=bool(fmt.zero),
    )  # fmt: skip


def _negative(fmt: Format, positive: np.ndarray) -> np.ndarray:
    if fmt.bits <= 8:
        return fmt.finite_values[fmt.finite_values < 0]
    mirrored = -positive[positive <= -fmt.lowest][::-1]
    return np.unique(np.append(mirrored, fmt.lowest)) if fmt.signed else mirrored


def binade_of(values: np.ndarray) -> np.ndarray:
    """floor(log2(value)) of positive numbers, from their bits -> int64."""
    return np.frexp(values)[1].astype(np.int64) - 1


def _by_table(fmt: Format):
    values = fmt.finite_values[fmt.finite_values > 0]
    steps = np.append(np.diff(values), np.nan)
    binades = binade_of(values)
    per_binade = np.unique(binades, return_inverse=True, return_counts=True)
    per_binade = per_binade[2][per_binade[1]]
    if fmt.bits <= 8:
        return values, steps, per_binade
    changes = np.diff(binades) != 0
    edge = np.append(True, changes) | np.append(changes, True)
    return values[edge], steps[edge], per_binade[edge]


def _by_formula(fmt: FloatFormat):
    binades = np.arange(fmt.emin - fmt.mantissa_bits, fmt.emax + 1)
    ulps = np.ldexp(1.0, np.maximum(binades, fmt.emin) - fmt.mantissa_bits)
    first = np.ldexp(1.0, binades)
    last = np.minimum(2 * first - ulps, fmt.max)
    values, at = np.unique(np.concatenate([first, last]), return_index=True)
    steps = np.concatenate([ulps, ulps])[at]
    steps[-1] = np.nan
    per_binade = np.round((last - first) / ulps).astype(np.int64) + 1
    return values, steps, np.concatenate([per_binade, per_binade])[at]


@dataclass(frozen=True)
class Code:
    """One code of a format and what it means.

    Args:
        bits: its bits, grouped by field.
        kind: a key of `KINDS`.
        arithmetic: how the fields make the value, such as `(-1)^0 · 2^(11 − 7) · (1 + 6/8) = 28`.
    """

    code: int
    hex: str
    bits: str
    value: float
    kind: str
    arithmetic: str


def code_table(format: str | Format) -> tuple[Code, ...]:
    """Return every code of a format in order.

    Raises:
        ValueError: the format has more than 8 bits.
    """
    fmt = parse_format(format)
    if fmt.bits > 8:
        raise ValueError(f"{fmt.name} has {fmt.bits} bits: a table of codes is made for formats of at most 8 bits")
    return tuple(describe_code(code, fmt) for code in range(1 << fmt.bits))


def describe_code(code: int, format: str | Format) -> Code:
    """Return what one code means.

    Raises:
        ValueError: the format does not have that code.

    >>> describe_code(0x5E, "e4m3fn").arithmetic
    '(-1)^0 · 2^(11 − 7) · (1 + 6/8) = 28'
    """
    fmt = parse_format(format)
    if not 0 <= code < 1 << fmt.bits:
        raise ValueError(f"code {code:#x} does not exist in {fmt.name}, whose codes run from 0x0 to {(1 << fmt.bits) - 1:#x}")
    return _described(int(code), fmt)


@lru_cache(maxsize=8192)
def _described(code: int, fmt: Format) -> Code:
    value = float(fmt.value_of(np.array([code]))[0])
    return Code(code, hex_text(code, fmt), fmt.bit_string(code), value, kind_of(value, fmt), _arithmetic(code, value, fmt))


def hex_text(code: int, fmt: Format) -> str:
    """A code in hexadecimal, as wide as the format: 0x5E."""
    return f"0x{code:0{-(-fmt.bits // 4)}X}"


def kind_of(value: float, fmt: Format) -> str:
    """The key of `KINDS` that a value of this format belongs to."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "infinity"
    if value == 0:
        return "zero"
    return "subnormal" if fmt.min_subnormal is not None and abs(value) < fmt.min_normal else "normal"


def _arithmetic(code: int, value: float, fmt: Format) -> str:
    if not math.isfinite(value):
        return exact_text(value)
    if isinstance(fmt, IntFormat):
        whole = str(code) if code <= fmt.max_code else f"({code} − {1 << fmt.bits})"
        return f"{whole}{f' · 2^{fmt.step_exponent}' if fmt.step_exponent else ''} = {exact_text(value)}"
    if not isinstance(fmt, FloatFormat):
        return f"table[{code}] = {exact_text(value)}"
    magnitude = code & (fmt.magnitude_codes - 1)
    field, mantissa = magnitude >> fmt.mantissa_bits, magnitude & ((1 << fmt.mantissa_bits) - 1)
    leading = int(field > 0 or not fmt.gradual)
    if value == 0 and leading:
        return exact_text(value)
    exponent = field if leading else 1
    factors = [f"(-1)^{int(code & fmt.sign_code > 0)}"] if fmt.signed else []
    factors.append(f"2^({exponent} − {fmt.bias})")
    if fmt.mantissa_bits:
        factors.append(f"({leading} + {mantissa}/{1 << fmt.mantissa_bits})")
    elif not leading:
        factors.append("0")
    return f"{' · '.join(factors)} = {exact_text(value)}"


def exact_text(value: float, digits: int = 12) -> str:
    """A number written exactly: as a decimal where `digits` characters hold it, else as an odd integer times a power of two.

    >>> exact_text(28.0), exact_text(2.0**-9), exact_text(2.0**-149), exact_text(-3 * 2.0**-20), exact_text(-0.0)
    ('28', '0.001953125', '2^-149', '-3 · 2^-20', '-0')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+∞" if value > 0 else "−∞"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    decimal = f"{Decimal(value):f}"
    if len(decimal.lstrip("-")) <= digits:
        return decimal
    numerator, denominator = Fraction(value).as_integer_ratio()
    twos = (numerator & -numerator).bit_length() - 1
    odd, power = numerator >> twos, twos - denominator.bit_length() + 1
    return f"{'-' if odd < 0 else ''}2^{power}" if abs(odd) == 1 else f"{odd} · 2^{power}"
