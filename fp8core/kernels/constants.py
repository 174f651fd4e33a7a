"""What the loops need to know of a format: a handful of numbers, so that one compiled loop serves every format."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from fp8core.codec.book import book_steps
from fp8core.codec.ladder import is_ladder
from fp8core.formats import FloatFormat, Format, IntFormat

ROUNDING_NUMBERS = {"half_even": 0, "half_away": 1, "half_toward_zero": 2, "toward_zero": 3, "up": 4, "down": 5, "stochastic": 6}
SINGLE, LEADING_BITS, DOUBLE, BOOK = range(4)  # ways to round
_MOST_LEADING_BITS, _MOST_BUCKETS = 8, 1 << 13  # of an index


class Single(NamedTuple):
    """Rounding in float32, to nearest even, of magnitudes held at `most` or below: |x| + c rounds to a whole number of ulps where c = 2^(e + 23 - mantissa_bits)."""

    most_above: np.int32
    most_below: np.int32
    emin_bits: np.int32
    shift: np.int32
    top: np.float32
    limit: np.float32
    nan: np.float32
    zero: np.float32
    code_shift: np.int32
    max_code: np.int32
    limit_code: np.int32
    nan_code: np.int32
    sign_code: np.int32
    sign_shift: np.int32
    zero_keeps_sign: np.int32
    wraps: np.int32


class Double(NamedTuple):
    """Rounding in float64, in every mode."""

    rounding: int
    mantissa_bits: int
    emin_bits: int
    max_code: int
    lowest_code: int
    limit_code: int
    stops_above: bool
    stops_below: bool
    nan_code: int
    sign_code: int
    zero_keeps_sign: bool
    wraps: int
    below_zero_code: int
    zero_code: int
    first_code: int
    parity_by_code: bool


class Index(NamedTuple):
    """Where to look in a code book: magnitudes are cut into buckets by their leading bits, so that none holds more than one decision point.

    starts: how many decision points lie below each bucket, of the negative magnitudes in descending order and then of the others; empty where
    no such buckets were found.
    """

    lowest: int
    shift: int
    starts: np.ndarray


class Constants(NamedTuple):
    """All of a format under one rounding and overflow policy. `way`: how it is rounded; the parts that it does not use hold anything.

    steps, step_codes: a code book's decision points, ascending float64, and the codes between them; filled up with NaN, which lies nowhere,
    to a power of two, one of them at least.
    index: where to look for them.
    specials: codes of NaN and -0 in a code book, -1 for none, and of numbers below zero in an unsigned format.
    """

    way: int
    bits: int
    single: Single
    double: Double
    steps: np.ndarray
    step_codes: np.ndarray
    index: Index
    specials: tuple[int, int, int, int]
    decoding: Decoding


class Decoding(NamedTuple):
    """Codes to values by arithmetic, for signed formats with subnormals; `arithmetic` is False for all others, which have only a table."""

    arithmetic: bool
    mantissa_bits: np.int32
    bias_bits: np.int32
    max_code: np.int32
    infinite_code: np.int32
    nan_code: np.int32
    sign_shift: np.int32
    magnitude_bits: np.int32
    last_code: np.int64
    bits: int
    table: np.ndarray


class Rule(NamedTuple):
    """A scale rule that needs no more than amax: amax / divide_by, or where `up_from` is not 0 a power of two; see `rules.generic`.

    The scale is stored relative to another one, and not below `smallest`; `nan_marks` where a NaN makes the scale of its block NaN.
    """

    divide_by: float
    up_from: float
    emax: int
    amax_floor: float
    smallest: float
    relative_to: float
    nan_marks: bool


@lru_cache(maxsize=256)
def constants(fmt: Format, rounding: str, overflow: str) -> Constants:
    """Return the constants of a format; see `supports` for what has some."""
    no_steps, no_codes = np.zeros(1), np.zeros(1, np.int64)
    if not is_ladder(fmt):
        steps, step_codes, specials = book_steps(fmt, rounding, overflow)
        padded = np.pad(steps, (0, (1 << steps.size.bit_length()) - steps.size), constant_values=np.nan)
        return Constants(BOOK, fmt.bits, _NO_SINGLE, _NO_DOUBLE, padded, step_codes, _index(steps), specials, decoding(fmt))
    way, single = DOUBLE, _NO_SINGLE
    if rounding == "half_even" and _fits_single(fmt):
        way, single = SINGLE, _single(fmt, overflow)
    elif rounding == "half_even" and _is_cut_float32(fmt):
        way, single = LEADING_BITS, _leading(fmt, overflow)
    return Constants(way, fmt.bits, single, _double(fmt, rounding, overflow), no_steps, no_codes, _NO_INDEX, (0, 0, 0, 0), decoding(fmt))


def _index(steps: np.ndarray) -> Index:
    """Find the widest buckets that do. A decision point at zero lies below the first bucket of the positive magnitudes, -0 being taken as 0."""
    magnitudes = np.abs(steps[(steps != 0) & np.isfinite(steps)]).view(np.int64)
    for leading_bits in range(_MOST_LEADING_BITS + 1) if magnitudes.size else ():
        shift = 52 - leading_bits
        lowest = int(magnitudes.min()) >> shift
        count = (int(magnitudes.max()) >> shift) - lowest + 2
        if count > _MOST_BUCKETS:
            return _NO_INDEX
        edges = ((lowest + np.arange(1, count)) << shift).view(np.float64)  # where buckets of positive magnitudes meet
        below_positive = np.searchsorted(steps, np.concatenate([[0.0], edges]), side="left")
        below_positive[0] = np.searchsorted(steps, 0.0, side="right")
        below_negative = np.searchsorted(steps, np.concatenate([[-np.inf], -edges[::-1]]), side="right")
        below_negative[0] = 0
        starts = np.concatenate([below_negative, below_positive])
        ends = np.concatenate([starts[1:], [steps.size]])
        ends[count - 1] = np.searchsorted(steps, 0.0, side="left")
        if (ends - starts).max() <= 1:
            return Index(lowest, shift, starts.astype(np.int32))
    return _NO_INDEX


@lru_cache(maxsize=256)
def decoding(fmt: Format) -> Decoding:
    """Return the constants of decoding a format. Of the formats wider than 16 bits codes are the leading bits of a float32; they have no table."""
    table = np.zeros(1, np.float32) if fmt.bits > 16 else fmt.values.astype(np.float32)
    last_code = np.int64(0 if fmt.bits > 16 else (1 << fmt.bits) - 1)
    fits = isinstance(fmt, FloatFormat) and fmt.signed and fmt.gradual and fmt.mantissa_bits > 0 and fmt.bits <= 16 and fmt.emin >= -126
    if not fits:
        return Decoding(False, *(np.int32(0),) * 7, last_code, fmt.bits, table)
    return Decoding(
        arithmetic=True,
        mantissa_bits=np.int32(fmt.mantissa_bits),
        bias_bits=np.int32((127 - fmt.bias) * (1 << 23)),
        max_code=np.int32(fmt.max_code),
        infinite_code=np.int32(-1 if fmt.inf_code is None else fmt.inf_code),
        nan_code=np.int32(-1 if fmt.nan_code is None else fmt.nan_code),
        sign_shift=np.int32(32 - fmt.bits),
        magnitude_bits=np.int32(fmt.magnitude_codes - 1),
        last_code=last_code,
        bits=fmt.bits,
        table=table,
    )


def supports(fmt: Format, rounding: str) -> bool:
    """Return whether there is a loop: for all but code books that are rounded stochastically."""
    return rounding != "stochastic" or is_ladder(fmt)


def exact_quotients(divisors: torch.Tensor, occupied: torch.Tensor | None = None) -> bool:
    """Return whether quotients by these divisors can be rounded by way of float32 and its exact remainder, which must not underflow.

    With divisors from 2^-60 to 2^60 it can only underflow where the quotient is below 2^-40, which every format of that way rounds to zero.
    """
    fits = (divisors >= 2.0**-60) & (divisors <= 2.0**60)
    return bool((fits if occupied is None else fits | ~occupied).all())


def _fits_single(fmt: Format) -> bool:
    if isinstance(fmt, IntFormat):
        return fmt.bits <= 16 and -40 < fmt.step_exponent < 40
    if not fmt.signed or not fmt.gradual or fmt.mantissa_bits == 0 or fmt.bits > 16:
        return False
    return fmt.min_positive >= 2.0**-39 and fmt.emax + 25 - fmt.mantissa_bits <= 127


def _is_cut_float32(fmt: Format) -> bool:
    """Whether a format is float32 with fewer mantissa bits."""
    return isinstance(fmt, FloatFormat) and fmt.bits >= 16 and (fmt.exponent_bits, fmt.bias, fmt.specials, fmt.signed, fmt.subnormals) == (8, 127, "ieee", True, True)


def _emin(fmt: Format) -> int:
    """The binade whose ulp is the smallest step; integers have one step everywhere, the ulp of the binade of their largest value."""
    return fmt.step_exponent + fmt.mantissa_bits if isinstance(fmt, IntFormat) else fmt.emin


def _limit_code(fmt: Format, overflow: str) -> int:
    if overflow == "saturate":
        return fmt.max_code
    return next(code for code in (fmt.inf_code, fmt.nan_code, fmt.max_code) if code is not None)


def _single(fmt: Format, overflow: str) -> Single:
    whole = isinstance(fmt, IntFormat)
    limit_code = _limit_code(fmt, overflow)
    stays = limit_code == fmt.max_code
    nan_code = 0 if whole else fmt.max_code if fmt.nan_code is None else fmt.nan_code
    return Single(
        most_above=_bits(fmt.max if stays else 4.0 * fmt.max),
        most_below=_bits(-fmt.lowest if stays else 4.0 * fmt.max),
        emin_bits=np.int32((_emin(fmt) + 127) << 23),
        shift=np.int32((23 - fmt.mantissa_bits) << 23),
        top=np.float32(-fmt.lowest),
        limit=np.float32(-fmt.lowest if stays else fmt.values[limit_code]),
        nan=np.float32(fmt.values[nan_code]),
        zero=np.float32(-0.0 if fmt.negative_zero else 0.0),
        code_shift=np.int32(23 - fmt.mantissa_bits),
        max_code=np.int32(fmt.max_code + whole),
        limit_code=np.int32(limit_code + whole),
        nan_code=np.int32(nan_code),
        sign_code=np.int32(0 if whole else fmt.sign_code),
        sign_shift=np.int32(32 - fmt.bits),
        zero_keeps_sign=np.int32(fmt.negative_zero),
        wraps=np.int32((1 << fmt.bits) - 1 if whole else 0),
    )


def _bits(number: float) -> np.int32:
    return np.float32(number).view(np.int32)


def _leading(fmt: FloatFormat, overflow: str) -> Single:
    """For formats that are float32 with fewer mantissa bits: the number of bits cut off, and the bits of the limits."""
    cut = 32 - fmt.bits
    return _NO_SINGLE._replace(
        code_shift=np.int32(cut),
        max_code=np.int32(fmt.max_code << cut),
        limit_code=np.int32(_limit_code(fmt, overflow) << cut),
        nan_code=np.int32(fmt.nan_code << cut),
    )


def _double(fmt: Format, rounding: str, overflow: str) -> Double:
    whole = isinstance(fmt, IntFormat)
    limit_code = _limit_code(fmt, overflow)
    nan_code = 0 if whole else fmt.max_code if fmt.nan_code is None else fmt.nan_code
    return Double(
        rounding=ROUNDING_NUMBERS[rounding],
        mantissa_bits=fmt.mantissa_bits,
        emin_bits=(_emin(fmt) + 1023) << 52,
        max_code=fmt.max_code,
        lowest_code=fmt.max_code + whole,
        limit_code=limit_code,
        stops_above=rounding in ("toward_zero", "down"),
        stops_below=rounding in ("toward_zero", "up"),
        nan_code=nan_code,
        sign_code=0 if whole else fmt.sign_code,
        zero_keeps_sign=fmt.negative_zero,
        wraps=(1 << fmt.bits) - 1 if whole else 0,
        below_zero_code=-1 if fmt.signed else 0 if fmt.nan_code is None else fmt.nan_code,
        zero_code=fmt.nan_code if not fmt.zero and overflow == "ieee" and fmt.nan_code is not None else -1,
        first_code=0 if fmt.zero else 1 << fmt.mantissa_bits,
        parity_by_code=not whole and fmt.zero and fmt.mantissa_bits == 0,
    )


_NO_INDEX = Index(0, 0, np.zeros(0, np.int32))
_NO_SINGLE = Single(*(np.int32(0),) * 4, *(np.float32(0),) * 4, *(np.int32(0),) * 8)
_NO_DOUBLE = Double(*(0,) * 6, False, False, 0, 0, False, 0, 0, 0, 0, False)
