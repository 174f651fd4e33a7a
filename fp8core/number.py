"""What happens to one number: its code, its error, its neighbours, and all the numbers that share its code."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch

from fp8core.codec import encode, ulp_of
from fp8core.formats import FORMATS, FloatFormat, Format, parse_format
from fp8core.grid import Code, describe_code, exact_text, hex_text

_DECIMAL = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?"
_NUMBER = re.compile(rf"(?P<decimal>{_DECIMAL})|(?P<top>{_DECIMAL})/(?P<bottom>{_DECIMAL})|(?P<sign>[+-]?)2(?:\^|\*\*)(?P<power>[+-]?\d{{1,4}})", re.ASCII)
_WORDS = {"inf": math.inf, "infinity": math.inf, "∞": math.inf, "nan": math.nan}
_CODE = re.compile(r"0x[0-9a-f]{1,8}", re.ASCII | re.IGNORECASE)
_LONGEST = 64


@dataclass(frozen=True)
class Interval:
    """The real numbers from `lower` to `upper`, each end included or not.

    The ends are exact: a midpoint of two values of a format of up to 24 significant bits is a float64.
    """

    lower: float
    upper: float
    lower_closed: bool
    upper_closed: bool

    def __contains__(self, x: float) -> bool:
        above = x > self.lower or (self.lower_closed and x == self.lower)
        return above and (x < self.upper or (self.upper_closed and x == self.upper))

    def __str__(self) -> str:
        return f"{'[' if self.lower_closed else '('}{exact_text(self.lower)}, {exact_text(self.upper)}{']' if self.upper_closed else ')'}"


@dataclass(frozen=True)
class NumberReport:
    """One number in one format.

    Args:
        x: the number.
        code: what it became.
        error: value − x; NaN where one of them is infinite or NaN.
        relative_error: |error| / |x|; NaN where x is zero.
        ulp: distance of neighbouring values at x, held at the format's smallest and largest binade.
        error_ulps: |error| / ulp; 0.5 at most for a number in range that was rounded to nearest.
        below, above: the values next to the value; infinity counts as a value; None where there is none.
        rounding, overflow: how it became that.
    """

    x: float
    format: str
    code: Code
    error: float
    relative_error: float
    ulp: float
    error_ulps: float
    below: float | None
    above: float | None
    rounding: str
    overflow: str

    @cached_property
    def interval(self) -> Interval | None:
        """All numbers that get this code, None where there are none or they are not one interval (NaN)."""
        return interval(self.code.code, self.format, self.rounding, self.overflow)

    @property
    def value(self) -> float:
        """The value of the code."""
        return self.code.value


def parse_number(text: str) -> float:
    """Return the float64 that a text means: a decimal, a quotient of two, a power of two such as 2^-9, inf or nan.

    Raises:
        ValueError: it means none of these, or a number that float64 cannot hold; the message repeats the text.

    >>> parse_number("2^-9"), parse_number("-1/3"), parse_number("-inf")
    (0.001953125, -0.3333333333333333, -inf)
    """
    clean = text.strip().replace("−", "-")
    shown = clean if len(clean) <= _LONGEST else clean[:_LONGEST] + "…"
    word = _WORDS.get(clean.lstrip("+-").lower()) if len(clean) - len(clean.lstrip("+-")) <= 1 else None
    if word is not None:
        return -word if clean.startswith("-") else word
    match = _NUMBER.fullmatch(clean) if len(clean) <= _LONGEST else None
    if match is None:
        raise ValueError(f"{shown!r} is not a number: write a decimal such as 0.1 or -3e-5, a fraction such as 1/3, a power such as 2^-9, inf, nan, or a code such as 0x5E")
    if match["bottom"] is not None and float(match["bottom"]) == 0:
        raise ValueError(f"{shown!r} divides by zero: write inf or nan")
    value = _evaluate(match)
    digits = match["decimal"] or match["top"] or "1"
    if math.isinf(value) or (value == 0 and re.search("[1-9]", re.split("[eE]", digits)[0])):
        raise ValueError(f"{shown!r} is beyond float64, which holds magnitudes from 2^-1074 to about 1.8e308")
    return value


def _evaluate(match: re.Match) -> float:
    if match["decimal"] is not None:
        return float(match["decimal"])
    if match["top"] is not None:
        return float(match["top"]) / float(match["bottom"])
    power = int(match["power"])
    return math.copysign(math.ldexp(1.0, power) if power < 1024 else math.inf, -1.0 if match["sign"] == "-" else 1.0)


def explain(text: str, format: str | Format, rounding: str = "half_even", overflow: str = "saturate") -> NumberReport:
    """Return the report of a number, or of a code of the format where the text is one (0x5E).

    A code stands for itself, also where encoding its value gives another: infinity under saturation, the many NaNs of e5m2.

    Raises:
        ValueError: the text is neither; the format does not have that code.
    """
    clean = text.strip()
    if _CODE.fullmatch(clean):
        return report_code(int(clean, 16), format, rounding, overflow)
    return neighbours(parse_number(text), format, rounding, overflow)


def neighbours(x: float, format: str | Format, rounding: str = "half_even", overflow: str = "saturate", *, seed: int = 0) -> NumberReport:
    """Return what encoding makes of one number.

    Raises:
        ValueError: unknown format, rounding or overflow.

    >>> r = neighbours(0.1, "e4m3fn")
    >>> r.code.hex, r.value, r.below, r.above, str(r.interval)
    ('0x1D', 0.1015625, 0.09375, 0.109375, '(0.09765625, 0.10546875)')
    """
    fmt = parse_format(format)
    return _report(float(x), _encode(x, fmt, rounding, overflow, seed), fmt, rounding, overflow)


def report_code(code: int, format: str | Format, rounding: str = "half_even", overflow: str = "saturate") -> NumberReport:
    """Return the report of a code: of its value, which it holds without error.

    Raises:
        ValueError: unknown format, rounding or overflow; the format does not have that code.
    """
    fmt = parse_format(format)
    return _report(describe_code(code, fmt).value, code, fmt, rounding, overflow)


def across(x: float, formats=tuple(FORMATS), rounding: str = "half_even", overflow: str = "saturate") -> tuple[NumberReport, ...]:
    """Return the report of one number in many formats, in their order."""
    return tuple(neighbours(x, format, rounding, overflow) for format in formats)


def text_of(code: int, format: str | Format, rounding: str = "half_even", overflow: str = "saturate") -> str:
    """Return a text from which `explain` comes back to this code: its value where that is encoded so, else the code itself."""
    fmt = parse_format(format)
    value = describe_code(code, fmt).value
    return repr(value).removesuffix(".0") if _encode(value, fmt, rounding, overflow) == code else hex_text(code, fmt)


def _report(x: float, code: int, fmt: Format, rounding: str, overflow: str) -> NumberReport:
    meaning = describe_code(code, fmt)
    ulp = _ulp(x, fmt)
    error = 0.0 if meaning.value == x else meaning.value - x
    below, above = _beside(code, meaning.value, fmt)
    return NumberReport(
        x=x, format=fmt.name, code=meaning, error=error if math.isfinite(error) and math.isfinite(x) else math.nan,
        relative_error=abs(error / x) if x and math.isfinite(error) and math.isfinite(x) else math.nan,
        ulp=ulp, error_ulps=abs(error) / ulp if math.isfinite(error) and math.isfinite(x) else math.nan,
        below=below, above=above, rounding=rounding, overflow=overflow,
    )  # fmt: skip


def interval(code: int, format: str | Format, rounding: str = "half_even", overflow: str = "saturate") -> Interval | None:
    """Return all numbers that are encoded as this code, infinities included.

    Zero and −0 divide the numbers around zero by their sign. With stochastic rounding: the numbers that can get it.
    None: no number does, or they are not one interval, as with the NaN of fnuz formats, which takes both overflows.

    >>> str(interval(0x7E, "e4m3fn", overflow="ieee")), str(interval(0x7F, "e4m3fn", overflow="ieee"))
    ('[432, 464]', '(464, +∞]')
    """
    fmt = parse_format(format)
    value = describe_code(code, fmt).value
    if not math.isfinite(value):
        return _overflow_interval(code, fmt, rounding, overflow)
    lower, upper = _ends(code, value, fmt, rounding, overflow)

    def closed(end: float) -> bool:
        sure = rounding != "stochastic" or end == 0 or math.isinf(end)
        return end == value or (sure and _encode(end, fmt, rounding, overflow) == code)

    return Interval(lower, upper, closed(lower), closed(upper))


def _ends(code: int, value: float, fmt: Format, rounding: str, overflow: str) -> tuple[float, float]:
    below, above = _beside(code, value, fmt)
    lower = _end(value, below, -1, fmt, rounding, overflow)
    upper = _end(value, above, +1, fmt, rounding, overflow)
    if value == 0 and fmt.negative_zero:
        return (lower, -0.0) if math.copysign(1, value) < 0 else (0.0, upper)
    return lower, upper


def _end(value: float, neighbour: float | None, side: int, fmt: Format, rounding: str, overflow: str) -> float:
    """How far the numbers reach that round to `value`, on the side -1 or +1 of it."""
    last = neighbour is None or math.isinf(neighbour)
    if last and _encode(side * math.inf, fmt, "half_even", overflow) == _encode(value, fmt, "half_even", overflow):
        return side * math.inf
    if last and side < 0 and not fmt.signed:
        return 0.0
    if last:
        neighbour = value + side * fmt.ulp_at_max
    outward = side * value > 0 or value == 0
    reaches = {"up": side < 0, "down": side > 0, "toward_zero": outward, "stochastic": True}.get(rounding)
    middle = value + (neighbour - value) / 2
    if reaches is None:
        return middle
    if rounding == "toward_zero" and value * neighbour < 0:  # a code book without zero
        reaches = _encode(middle, fmt, rounding, overflow) == _encode(value, fmt, rounding, overflow)
    if not reaches:
        return value
    return side * math.inf if last and rounding != "stochastic" else neighbour


def _overflow_interval(code: int, fmt: Format, rounding: str, overflow: str) -> Interval | None:
    positive, negative = (_encode(sign * math.inf, fmt, rounding, overflow) == code for sign in (1, -1))
    if positive == negative or (negative and not fmt.signed):
        return None
    if rounding == "stochastic":  # whatever lies beyond the largest value can
        return Interval(fmt.max, math.inf, False, True) if positive else Interval(-math.inf, fmt.lowest, True, False)
    largest = interval(_encode(fmt.max if positive else fmt.lowest, fmt, rounding, overflow), fmt, rounding, overflow)
    if positive:
        return Interval(largest.upper, math.inf, not largest.upper_closed, True)
    return Interval(-math.inf, largest.lower, True, not largest.lower_closed)


def _beside(code: int, value: float, fmt: Format) -> tuple[float | None, float | None]:
    """The next smaller and the next larger value; infinity counts where the format has it."""
    if math.isnan(value):
        return None, None
    if math.isinf(value):
        return (fmt.max, None) if value > 0 else (None, fmt.lowest)
    beyond_lowest, beyond_max = _infinities(fmt)
    return (beyond_lowest if value == fmt.lowest else _next(value, fmt, -1)), (beyond_max if value == fmt.max else _next(value, fmt, +1))


@lru_cache(maxsize=256)
def _infinities(fmt: Format) -> tuple[float | None, float | None]:
    """The format's infinities, negative and positive; None for one that it does not have."""
    below, above = (float(fmt.value_of(np.array([_encode(side * math.inf, fmt, "half_even", "ieee")]))[0]) for side in (-1, 1))
    return below if math.isinf(below) else None, above if math.isinf(above) else None


def _next(value: float, fmt: Format, side: int) -> float | None:
    """The nearest finite value on one side, None at the end."""
    if fmt.bits > 16:
        return _next_wide(value, fmt, side)
    finite = fmt.finite_values
    at = int(np.searchsorted(finite, value)) + side
    return float(finite[at]) if 0 <= at < finite.size else None


def _next_wide(value: float, fmt: FloatFormat, side: int) -> float | None:
    """The same without a table, for signed formats with subnormals: positive codes ascend one by one."""
    if abs(value) == fmt.max and side * value > 0:
        return None
    if value == 0:
        return side * fmt.min_positive
    magnitude = _encode(abs(value), fmt, "half_even", "saturate") + (1 if side * value > 0 else -1)
    return math.copysign(float(fmt.value_of(np.array([magnitude]))[0]), value)


def _encode(x: float, fmt: Format, rounding: str, overflow: str, seed: int = 0) -> int:
    return int(encode([float(x)], fmt, rounding, overflow, seed=seed)[0])


def _ulp(x: float, fmt: Format) -> float:
    return math.nan if math.isnan(x) else float(ulp_of(torch.tensor([x], dtype=torch.float64), fmt))
