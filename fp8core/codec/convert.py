"""encode and decode: numbers to codes and back, with every rounding mode and overflow policy.

One identity does it, with no branch for subnormals. With e = floor(log2|x|), held at emin or above,
and ulp = 2^(e - mantissa_bits):

    magnitude code = ((e - emin) << mantissa_bits) + round(|x| / ulp)

Formats that are no such ladder (code books, formats without subnormals) are searched in the list of their values.
All arithmetic is exact in float64 (powers of two from their bits, never from log2 or pow), so that every
input dtype is rounded once and only once.
"""

from __future__ import annotations

from functools import lru_cache

import torch

from fp8core import kernels
from fp8core.arrays import as_integers, as_tensor, like, result_like
from fp8core.codec.book import book_codes
from fp8core.codec.chance import seed_or_drawn, uniform
from fp8core.codec.ladder import float_codes, int_codes, is_ladder
from fp8core.formats import FloatFormat, Format, parse_format

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
    - `seed` makes stochastic rounding repeatable, on every device and with any number of threads; None draws one from torch's global generator.

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
    result = result_like(out, source, CODE_DTYPES[fmt.storage_bits])
    if kernels.usable(source, result) and kernels.supports(fmt, rounding):
        kernels.round_flat(source, fmt, rounding, overflow, _seed(rounding, seed), codes=result)
    else:
        for lo, hi, codes in _encoded_chunks(source, fmt, rounding, overflow, seed):
            result.view(-1)[lo:hi] = codes.to(result.dtype)
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
    result = result_like(out, source, torch.float32)
    if kernels.usable(source, result) and source.dtype in CODE_DTYPES.values():
        _check_largest(kernels.dequantize(source, fmt, None, (None, None), result), fmt)
        return _delivered(codes, out, result)
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
    result = result_like(out, source, torch.float32)
    if kernels.usable(source, result) and kernels.supports(fmt, rounding):
        kernels.round_flat(source, fmt, rounding, overflow, _seed(rounding, seed), values=result)
    else:
        for lo, hi, codes in _encoded_chunks(source, fmt, rounding, overflow, seed):
            result.view(-1)[lo:hi] = _decode_chunk(codes, fmt)
    return _delivered(x, out, result)


def _encoded_chunks(source: torch.Tensor, fmt: Format, rounding: str, overflow: str, seed: int | None):
    """The definition of encode, part by part -> (first, last, int64 codes)."""
    build = book_codes if not is_ladder(fmt) else float_codes if isinstance(fmt, FloatFormat) else int_codes
    seed = _seed(rounding, seed)
    for lo, hi in _chunks(source):
        chance = uniform(seed, lo, hi - lo, source.device) if rounding == "stochastic" else None
        yield lo, hi, build(source.reshape(-1)[lo:hi].to(torch.float64), fmt, rounding, overflow, chance)


def _seed(rounding: str, seed: int | None) -> int:
    return seed_or_drawn(seed) if rounding == "stochastic" else 0


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
        _check_largest(int(wrong[0]), fmt)


def _check_largest(code: int, fmt: Format) -> None:
    if not 0 <= code < 1 << fmt.bits:
        raise ValueError(f"code {code} does not exist in {fmt.name}, whose codes run from 0 to {(1 << fmt.bits) - 1}")


def _check_choice(kind: str, value: str, choices: dict) -> None:
    if value not in choices:
        raise ValueError(f"{kind} = {value!r} is not one of {', '.join(choices)}")


def _chunks(source: torch.Tensor):
    size = _CHUNK if source.device.type == "cpu" else max(source.numel(), 1)
    return ((lo, min(lo + size, source.numel())) for lo in range(0, source.numel(), size))


def _delivered(x, out, result: torch.Tensor):
    return like(x, result) if out is None else out
