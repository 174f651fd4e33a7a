"""encode and decode: numbers to codes and back, with every rounding mode and overflow policy.

One identity does it, with no branch for subnormals. With e = floor(log2|x|), held at emin or above,
and ulp = 2^(e - mantissa_bits):

    magnitude code = ((e - emin) << mantissa_bits) + round(|x| / ulp)

Formats that are no such ladder (code books, formats without subnormals) are searched in the list of their values.
All arithmetic is exact in float64 (powers of two from their bits, never from log2 or pow), so that every
input dtype is rounded once and only once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from fp8core.arrays import as_integers, as_tensor, like
from fp8core.formats import FloatFormat, Format, IntFormat, parse_format

ROUNDINGS = {
    "half_even": "to nearest, ties to the even code",
    "half_away": "to nearest, ties away from zero",
    "half_toward_zero": "to nearest, ties toward zero",
    "toward_zero": "toward zero",
    "up": "toward +infinity",
    "down": "toward -infinity",
    "stochastic": "up or down at random, in proportion to nearness",
}
OVERFLOWS = {
    "saturate": "beyond the largest value: the largest value, infinity too",
    "ieee": "beyond the largest value: infinity, or NaN where there is no infinity",
}
CODE_DTYPES = {8: torch.uint8, 16: torch.uint16, 32: torch.uint32}
_CHUNK = 1 << 17  # elements: the float64 temporaries of one chunk stay in the CPU's cache


def encode(x, format: str | Format, rounding: str = "half_even", overflow: str = "saturate", *, seed: int | None = None, out=None):
    """Return the code of every number: uint8, uint16 or uint32 by the format's width, same shape and kind as `x`.

    - NaN becomes the format's NaN. A format without one takes its largest value, as the `cvt` instructions of NVIDIA do
      for FP4 and FP6; integers and code books take the value nearest to 0.
    - Overflow is what rounds beyond the largest value as if the exponent had no end; formats without infinity and NaN
      saturate under both policies. Under `ieee` the directed modes stop at the largest value where IEEE 754 section 7.4 says so.
    - -0 keeps its sign where the format has it. In an unsigned float format numbers below zero become NaN, without a NaN the smallest value.
    - A format without zero (E8M0) takes its smallest value for everything below it; zero itself becomes NaN under `ieee`.
      Its ties go up, as in ml_dtypes and torch, where gfloat looks for an even exponent.
    - A tie between two values of a code book goes to the even code, away from zero where both or none are even.
    - `seed` makes stochastic rounding repeatable; None draws from torch's global generator.

    Args:
        x: torch tensor or array of any shape; float32, float64, bfloat16, float16, or integers.
        out: preallocated result of that dtype and shape, of the kind of `x`.

    Raises:
        ValueError: unknown format, rounding or overflow; `out` of another shape or dtype.
        TypeError: `x` does not hold real numbers.

    >>> encode([448.0, 1.0, -0.0], "e4m3fn")
    array([126,  56, 128], dtype=uint8)
    """
    fmt, source = parse_format(format), as_tensor(x)
    _check_choice("rounding", rounding, ROUNDINGS)
    _check_choice("overflow", overflow, OVERFLOWS)
    generator = _generator(rounding, seed, source.device)
    result = _result(out, source, CODE_DTYPES[fmt.storage_bits])
    for lo, hi in _chunks(source):
        result.view(-1)[lo:hi] = _encode_chunk(source.reshape(-1)[lo:hi].to(torch.float64), fmt, rounding, overflow, generator).to(result.dtype)
    return _delivered(x, out, result)


def decode(codes, format: str | Format, *, out=None):
    """Return the value of every code as float32, which holds the values of every format exactly; same shape and kind as `codes`.

    Args:
        codes: unsigned integers below 2**bits, as `encode` returns them.
        out: preallocated float32 result, of the kind of `codes`.

    Raises:
        ValueError: unknown format; a code that the format does not have; `out` of another shape or dtype.
        TypeError: `codes` are not integers.

    >>> decode([126, 56, 127], "e4m3fn")
    array([448.,   1.,  nan], dtype=float32)
    """
    fmt, source = parse_format(format), as_integers(codes)
    result = _result(out, source, torch.float32)
    for lo, hi in _chunks(source):
        chunk = source.reshape(-1)[lo:hi].to(torch.int64)
        if fmt.bits < 8 * source.element_size() or source.dtype.is_signed:
            _check_codes(chunk, fmt)
        result.view(-1)[lo:hi] = _decode_chunk(chunk, fmt)
    return _delivered(codes, out, result)


def round_to(x, format: str | Format, rounding: str = "half_even", overflow: str = "saturate", *, seed: int | None = None, out=None):
    """Return decode(encode(x)) in one pass: the nearest values of the format, float32, same shape and kind as `x`.

    Args and errors as in `encode`; `out` is float32.

    >>> round_to([0.1, 1000.0], "e4m3fn")
    array([1.015625e-01, 4.480000e+02], dtype=float32)
    """
    fmt, source = parse_format(format), as_tensor(x)
    _check_choice("rounding", rounding, ROUNDINGS)
    _check_choice("overflow", overflow, OVERFLOWS)
    generator = _generator(rounding, seed, source.device)
    result = _result(out, source, torch.float32)
    for lo, hi in _chunks(source):
        codes = _encode_chunk(source.reshape(-1)[lo:hi].to(torch.float64), fmt, rounding, overflow, generator)
        result.view(-1)[lo:hi] = _decode_chunk(codes, fmt)
    return _delivered(x, out, result)


def exponent_of(magnitude: torch.Tensor) -> torch.Tensor:
    """Return floor(log2) of non-negative float64 numbers, from their bits -> int64.

    Zero and float64 subnormals give -1023, below every format's smallest binade; infinity and NaN give 1024.
    """
    return (magnitude.view(torch.int64) >> 52) - 1023


def pow2(exponent: torch.Tensor) -> torch.Tensor:
    """Return 2.0**exponent exactly -> float64, for int64 exponents from -1022 to 1023."""
    return ((exponent + 1023) << 52).view(torch.float64)


def ulp_of(x: torch.Tensor, fmt: Format) -> torch.Tensor:
    """Return the distance of neighbouring values of `fmt` at these float64 numbers -> float64.

    The binade is held at emin or above (subnormals share the ulp of the smallest binade) and at emax or below.
    """
    if not _is_ladder(fmt):
        values = _book(fmt, x.device).values
        upper = torch.searchsorted(values, x).clamp_(1, values.numel() - 1)
        return values[upper] - values[upper - 1]
    return pow2(exponent_of(x.abs()).clamp(fmt.emin, max(fmt.emin, fmt.emax)) - fmt.mantissa_bits)


def is_clipped(x: torch.Tensor, fmt: Format) -> torch.Tensor:
    """Return which numbers lie more than half an ulp beyond the format's largest or lowest value -> bool, same shape."""
    half = fmt.ulp_at_max / 2
    return (x > fmt.max + half) | (x < fmt.lowest - half if fmt.signed else False)


def _is_ladder(fmt: Format) -> bool:
    """Whether codes follow from the exponent and the rounded significand."""
    return isinstance(fmt, IntFormat) or (isinstance(fmt, FloatFormat) and (fmt.gradual or not fmt.zero))


def _encode_chunk(x: torch.Tensor, fmt: Format, rounding: str, overflow: str, generator) -> torch.Tensor:
    """float64 numbers -> int64 codes, same shape."""
    build = _book_codes if not _is_ladder(fmt) else _float_codes if isinstance(fmt, FloatFormat) else _int_codes
    return build(x, fmt, rounding, overflow, generator)


def _float_codes(x, fmt: FloatFormat, rounding, overflow, generator):
    negative, infinite, nan = torch.signbit(x), torch.isinf(x), torch.isnan(x)
    magnitude = torch.where(infinite | nan, 0.0, x.abs())
    binade = exponent_of(magnitude).clamp_(fmt.emin, 1000)
    below = (binade - fmt.emin) << fmt.mantissa_bits
    parity = below if fmt.zero and not fmt.mantissa_bits else None  # with mantissa bits the significand is even where the code is
    codes = below + _round_significand(magnitude * pow2(fmt.mantissa_bits - binade), negative, rounding, generator, parity)
    if not fmt.zero:
        codes -= 1 << fmt.mantissa_bits
    over = codes > fmt.max_code
    limit = fmt.max_code if overflow == "saturate" else next(code for code in (fmt.inf_code, fmt.nan_code, fmt.max_code) if code is not None)
    codes = torch.where(infinite, limit, torch.where(over, _overflow_codes(negative, rounding, fmt.max_code, limit), codes))
    if not fmt.zero:
        codes = codes.clamp_(min=0)
        nan = nan | ((x == 0) & (overflow == "ieee"))
    if fmt.signed:
        keeps_sign = negative if fmt.negative_zero else negative & (codes != 0)
        codes = codes | (keeps_sign.to(torch.int64) * fmt.sign_code)
    elif fmt.nan_code is None:
        codes = torch.where(x < 0, 0, codes)
    else:
        nan = nan | (x < 0)
    return torch.where(nan, fmt.max_code if fmt.nan_code is None else fmt.nan_code, codes)


def _overflow_codes(negative, rounding, max_code, limit):
    """IEEE 754 section 7.4: a mode that rounds toward zero on this side of zero stops at the largest finite value."""
    stops = {"toward_zero": torch.ones_like(negative), "up": negative, "down": ~negative}.get(rounding)
    return limit if stops is None else torch.where(stops, max_code, limit)


def _int_codes(x, fmt: IntFormat, rounding, overflow, generator):
    negative = torch.signbit(x)
    steps = torch.nan_to_num(x, nan=0.0).abs().clamp_(max=4.0 * fmt.max) / fmt.step
    significand = _round_significand(steps, negative, rounding, generator)
    whole = torch.where(negative, -significand, significand).clamp_(-fmt.max_code - 1, fmt.max_code)
    return whole & ((1 << fmt.bits) - 1)


@dataclass(frozen=True, eq=False)
class _Book:
    """The distinct finite values of a format in ascending order, float64, and their codes, int64."""

    values: torch.Tensor
    codes: torch.Tensor
    negative_zero_code: int | None
    negative_infinity_code: int | None


@lru_cache(maxsize=64)
def _book(fmt: Format, device: torch.device) -> _Book:
    table = fmt.values
    order = np.flatnonzero(np.isfinite(table))
    values, first = np.unique(table[order] + 0.0, return_index=True)
    minus_zero, minus_infinity = (np.flatnonzero(where) for where in ((table == 0) & np.signbit(table), table == -np.inf))
    return _Book(
        torch.tensor(values, device=device), torch.tensor(order[first], device=device),
        int(minus_zero[0]) if minus_zero.size else None, int(minus_infinity[0]) if minus_infinity.size else None,
    )  # fmt: skip


def _book_codes(x, fmt: Format, rounding, overflow, generator):
    book, nan = _book(fmt, x.device), torch.isnan(x)
    numbers = torch.where(nan, 0.0, x)
    inside = numbers.clamp(fmt.lowest, fmt.max)
    upper = torch.searchsorted(book.values, inside, right=True).clamp_(1, book.values.numel() - 1)
    low, high = book.values[upper - 1], book.values[upper]
    low_code, high_code = book.codes[upper - 1], book.codes[upper]
    codes = torch.where(_takes_upper(inside, low, high, low_code, high_code, rounding, generator), high_code, low_code)
    if overflow == "ieee":
        top, bottom = fmt.max + fmt.ulp_at_max, fmt.lowest - fmt.ulp_at_max
        codes = torch.where(_overflows(numbers, fmt.max, top, fmt.max_code, rounding, generator), _limit(fmt, fmt.inf_code), codes)
        codes = torch.where(_overflows(-numbers, -fmt.lowest, -bottom, int(book.codes[0]), _MIRRORED.get(rounding, rounding), generator) & fmt.signed, _limit(fmt, book.negative_infinity_code, int(book.codes[0])), codes)
    if book.negative_zero_code is not None:
        codes = torch.where(torch.signbit(x) & (codes == book.codes[torch.searchsorted(book.values, 0.0)]), book.negative_zero_code, codes)
    if isinstance(fmt, FloatFormat) and not fmt.signed:
        nan = nan | (x < 0)
    return codes if fmt.nan_code is None else torch.where(nan, fmt.nan_code, codes)


_MIRRORED = {"up": "down", "down": "up"}


def _limit(fmt: Format, infinity: int | None, largest: int | None = None) -> int:
    return next(code for code in (infinity, fmt.nan_code, fmt.max_code if largest is None else largest) if code is not None)


def _takes_upper(x, low, high, low_code, high_code, rounding, generator):
    """Which of two neighbouring values a number from `low` to `high` is rounded to: True for the upper one."""
    middle = (low + high) / 2
    outward = (high.abs() > low.abs()) | ((high.abs() == low.abs()) & (x >= 0))
    same_parity = (low_code & 1) == (high_code & 1)
    takes = {
        "half_even": lambda: (x > middle) | ((x == middle) & torch.where(same_parity, outward, (high_code & 1) == 0)),
        "half_away": lambda: (x > middle) | ((x == middle) & outward),
        "half_toward_zero": lambda: (x > middle) | ((x == middle) & ~outward),
        "toward_zero": lambda: (x > low) & torch.where((low < 0) & (high > 0), high.abs() <= low.abs(), x < 0),
        "up": lambda: x > low,
        "down": lambda: torch.zeros_like(x, dtype=torch.bool),
        "stochastic": lambda: torch.rand(x.shape, dtype=torch.float64, device=x.device, generator=generator) < (x - low) / (high - low),
    }[rounding]()
    return takes | (x == high)


def _overflows(x, largest: float, beyond: float, largest_code: int, rounding, generator):
    """Which numbers are rounded away from the largest value to the one that would come after it."""
    inside = x.clamp(largest, beyond)
    low, high = torch.full_like(inside, largest), torch.full_like(inside, beyond)
    code = torch.full_like(inside, largest_code, dtype=torch.int64)
    if rounding in ("toward_zero", "down"):
        return torch.isposinf(x)
    return (x > largest) & _takes_upper(inside, low, high, code, code + 1, rounding, generator)


def _round_significand(scaled, negative, rounding, generator, parity=None):
    """Round non-negative float64 numbers to integers -> int64; `negative` is the sign that the directed modes look at.

    `parity` is added before a tie asks for an even number.
    """
    if rounding == "half_even" and parity is None:
        return torch.round(scaled).to(torch.int64)
    whole = torch.floor(scaled)
    rest = scaled - whole
    goes_up = {
        "half_even": lambda: (rest > 0.5) | ((rest == 0.5) & ((parity + whole.to(torch.int64)) & 1 == 1)),
        "half_away": lambda: rest >= 0.5,
        "half_toward_zero": lambda: rest > 0.5,
        "toward_zero": lambda: torch.zeros_like(negative),
        "up": lambda: (rest > 0) & ~negative,
        "down": lambda: (rest > 0) & negative,
        "stochastic": lambda: torch.rand(rest.shape, dtype=torch.float64, device=rest.device, generator=generator) < rest,
    }[rounding]()
    return whole.to(torch.int64) + goes_up


def _decode_chunk(codes: torch.Tensor, fmt: Format) -> torch.Tensor:
    """int64 codes -> float32 values."""
    if fmt.bits <= 16:
        return _table(fmt, codes.device)[codes]
    # Wider formats are float32 with fewer mantissa bits: their codes are the leading bits of a float32.
    return (codes << (32 - fmt.bits)).to(torch.int32).view(torch.float32)


@lru_cache(maxsize=64)
def _table(fmt: Format, device: torch.device) -> torch.Tensor:
    return torch.tensor(fmt.values, dtype=torch.float32, device=device)


def _check_codes(codes: torch.Tensor, fmt: Format) -> None:
    wrong = codes[(codes < 0) | (codes >= 1 << fmt.bits)]
    if wrong.numel():
        raise ValueError(f"code {int(wrong[0])} does not exist in {fmt.name}, whose codes run from 0 to {(1 << fmt.bits) - 1}")


def _generator(rounding, seed, device):
    if rounding != "stochastic" or seed is None:
        return None
    return torch.Generator(device=device).manual_seed(seed)


def _check_choice(kind: str, value: str, choices: dict) -> None:
    if value not in choices:
        raise ValueError(f"{kind} = {value!r} is not one of {', '.join(choices)}")


def _chunks(source: torch.Tensor):
    size = _CHUNK if source.device.type == "cpu" else max(source.numel(), 1)
    return ((lo, min(lo + size, source.numel())) for lo in range(0, source.numel(), size))


def _result(out, source: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if out is None:
        return torch.empty(source.shape, dtype=dtype, device=source.device)
    result = out if isinstance(out, torch.Tensor) else torch.from_numpy(out)
    if result.shape != source.shape or result.dtype != dtype or not result.is_contiguous():
        raise ValueError(
            f"out has shape {tuple(result.shape)} and {result.dtype}, contiguous: {result.is_contiguous()}; "
            f"it must be contiguous with shape {tuple(source.shape)} and {dtype}"
        )
    return result


def _delivered(x, out, result: torch.Tensor):
    return like(x, result) if out is None else out
