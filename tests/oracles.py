"""The trusted implementations that ours is held against: ml_dtypes for round-half-even, gfloat for every rounding mode, and definitions written a second time."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
from gfloat import Domain, FormatInfo, RoundMode
from gfloat.types import Signedness

from fp8core.formats import FORMATS, FloatFormat, parse_format

ML_DTYPES = {
    "bfloat16": ml_dtypes.bfloat16,
    "float16": np.float16,
    "e5m2": ml_dtypes.float8_e5m2,
    "e4m3fn": ml_dtypes.float8_e4m3fn,
    "e4m3": ml_dtypes.float8_e4m3,
    "e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "e4m3b11fnuz": ml_dtypes.float8_e4m3b11fnuz,
    "e3m4": ml_dtypes.float8_e3m4,
    "e8m0fnu": ml_dtypes.float8_e8m0fnu,
    "e3m2fn": ml_dtypes.float6_e3m2fn,
    "e2m3fn": ml_dtypes.float6_e2m3fn,
    "e2m1fn": ml_dtypes.float4_e2m1fn,
}
GFLOAT_MODES = {
    "half_even": RoundMode.TiesToEven,
    "half_away": RoundMode.TiesToAway,
    "toward_zero": RoundMode.TowardZero,
    "up": RoundMode.TowardPositive,
    "down": RoundMode.TowardNegative,
}
NEAREST = ("half_even", "half_away", "half_toward_zero")
MODES = (*GFLOAT_MODES, "half_toward_zero")
P3109 = [name for name in FORMATS if name.startswith("binary8p")]
LADDERS = [name for name, fmt in FORMATS.items() if isinstance(fmt, FloatFormat) and fmt.zero and fmt.bits <= 16]  # every float format that gfloat rounds into
PATTERNS = ["e3m4b5fn", "e2m5", "e6m1fnuz", "e1m6fn", "e5m0fn", "e2m2fnuz", "e4m3extended", "e3m2extended", "ue4m4", "ue5m2", "ue4m3extended", "ue3m0fn", "binary4p2", "binary6p3", "binary6p3uf", "binary5p1", "binary3p1sf", "binary7p7u"]
BOOKS = ["hif8", "nf4", "e4m3_nosub", "e4m3fn_nosub", "e5m2fnuz_nosub", "ue4m4_nosub", "e4m3finite_nosub", "table(-1,0,1)", "table(0.5,nan,3,-2,inf,-inf,0.25)", "table(1,2,4,8,16)"]


def ml_values(name: str) -> np.ndarray:
    """Value of every code by ml_dtypes, float64."""
    bits = parse_format(name).bits
    with np.errstate(invalid="ignore"):
        return np.arange(1 << bits).astype(np.uint16 if bits == 16 else np.uint8).view(ML_DTYPES[name]).astype(np.float64)


def ml_cast(x: np.ndarray, name: str) -> np.ndarray:
    """float32 numbers rounded by ml_dtypes, float64."""
    assert x.dtype == np.float32
    with np.errstate(over="ignore", invalid="ignore"):
        return x.astype(ML_DTYPES[name]).astype(np.float64)


def gfloat_info(name: str) -> FormatInfo:
    """The same format described to gfloat: P3109's by gfloat's own definition, others by their fields."""
    fmt = parse_format(name)
    assert isinstance(fmt, FloatFormat)
    assert fmt.zero
    if name.startswith("binary"):
        width, precision = re.fullmatch(r"binary(\d+)p(\d+)[sufe]*", name).groups()
        sign, domain = Signedness.Unsigned if "u" in name else Signedness.Signed, Domain.Finite if name.endswith("f") else Domain.Extended
        return gfloat.formats.format_info_p3109(int(width), int(precision), sign, domain)
    high_nans = {"ieee": (1 << fmt.mantissa_bits) - 1, "fn": 1, "fnuz": 0, "finite": 0, "extended": 0 if fmt.signed else 1}[fmt.specials]
    return FormatInfo(
        name, fmt.bits, fmt.mantissa_bits + 1, bias=fmt.bias, is_signed=fmt.signed, domain=Domain.Extended if fmt.specials in ("ieee", "extended") else Domain.Finite,
        has_nz=fmt.negative_zero, num_high_nans=high_nans, has_subnormals=fmt.subnormals, is_twos_complement=False,
    )  # fmt: skip


def gfloat_round(x: np.ndarray, name: str, rounding: str, overflow: str) -> np.ndarray:
    """float64 numbers rounded by gfloat, float64; exact for any float64 input.

    Ties toward zero are ties away of the float64 next to the number, towards zero: only where the number is a tie does that make a difference.
    """
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        if rounding == "half_toward_zero":
            x, rounding = np.where((x == 0) | ~np.isfinite(x), x, np.nextafter(x, 0.0)), "half_away"
        return gfloat.round_ndarray(gfloat_info(name), x, GFLOAT_MODES[rounding], overflow == "saturate")


def second_writing(x: np.ndarray, name: str, rounding: str, overflow: str) -> np.ndarray:
    """Rounding into any list of values, number by number in rational arithmetic -> float64.

    The list is the format's own finite values, with one more beyond each end, as `ulp_at_max` says; what is rounded there overflows.
    """
    return np.array([round_exactly(number, name, rounding, overflow) for number in np.asarray(x, np.float64).tolist()])


def round_exactly(x: float | Fraction, name: str, rounding: str, overflow: str) -> float:
    """One number, rational if need be, rounded as in `second_writing`."""
    return _rounded_once(x, *_listed(name), rounding, overflow)


@lru_cache(maxsize=64)
def _listed(name: str):
    """The format, its finite values in ascending order, and the first code of each."""
    fmt, codes = parse_format(name), {}
    for code, value in enumerate(fmt.values.tolist()):
        if math.isfinite(value):
            codes.setdefault(value, code)
    return fmt, [Fraction(value) for value in sorted(codes)], codes


def _rounded_once(x: float | Fraction, fmt, values: list[Fraction], codes: dict, rounding: str, overflow: str) -> float:
    no_sign = isinstance(fmt, FloatFormat) and not fmt.signed
    if math.isnan(x) or (no_sign and x < 0):
        return math.nan if fmt.nan_code is not None else 0.0 + min((float(v) for v in values), key=abs)
    top, bottom, ulp = values[-1], values[0], Fraction(fmt.ulp_at_max)
    if math.isinf(x):
        chosen = top + ulp if x > 0 else bottom - ulp
    else:
        exact = Fraction(x)
        ends = [bottom - ulp] * (bottom < 0), [top + ulp]
        ladder = [*ends[0], *values, *ends[1]]
        low = max((v for v in ladder if v <= exact), default=ladder[0])
        high = min((v for v in ladder if v >= exact), default=ladder[-1])
        chosen = _chosen(exact, low, high, codes, fmt, rounding)
    if overflow == "saturate" or (fmt.inf_code is None and fmt.nan_code is None):
        chosen = min(max(chosen, bottom), top)
    stops_at_top = rounding in ("toward_zero", "down") and not math.isinf(x)
    stops_at_bottom = rounding in ("toward_zero", "up") and not math.isinf(x)
    if chosen > top:
        return float(top) if stops_at_top else math.inf if fmt.inf_code is not None else math.nan
    if chosen < bottom:
        if stops_at_bottom or not fmt.signed:
            return float(bottom)
        return -math.inf if -math.inf in fmt.values else math.nan if fmt.nan_code is not None else float(bottom)
    result = float(chosen)
    return math.copysign(result, x) if result == 0 and fmt.negative_zero else result


def _chosen(x: Fraction, low: Fraction, high: Fraction, codes: dict, fmt, rounding: str) -> Fraction:
    inner, outer = (low, high) if abs(low) < abs(high) or (abs(low) == abs(high) and x >= 0) else (high, low)
    if low == high or rounding in ("down", "up", "toward_zero"):
        no_zero_between = low < 0 < high
        return {"down": low, "up": high, "toward_zero": inner if no_zero_between else low if x > 0 else high}.get(rounding, low)
    if x - low != high - x:
        return low if x - low < high - x else high
    if rounding == "half_even":
        low_is_even, high_is_even = (_parity(value, other, codes) == 0 for value, other in ((low, high), (high, low)))
        return outer if low_is_even == high_is_even else low if low_is_even else high
    return outer if rounding == "half_away" else inner


def _parity(value: Fraction, other: Fraction, codes: dict) -> int:
    """Last bit of a value's code; one beyond the end continues the count of its neighbour."""
    return codes[float(value)] & 1 if float(value) in codes else (codes[float(other)] + 1) & 1


def same(got, want) -> bool:
    """Equal as numbers, NaN for NaN, and -0 told from +0."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    number = ~np.isnan(want)
    return np.array_equal(got, want, equal_nan=True) and np.array_equal(np.signbit(got[number]), np.signbit(want[number]))


def edges(name: str) -> np.ndarray:
    """float32: every value, every midpoint and both float32 neighbours of each, both overflow edges, specials; both signs."""
    fmt = parse_format(name)
    values = fmt.finite_values[fmt.finite_values >= 0]
    beyond = values[-1] + fmt.ulp_at_max
    midpoints = np.append((values[1:] + values[:-1]) / 2, (values[-1] + beyond) / 2)
    with np.errstate(over="ignore"):
        points = np.concatenate([values, midpoints, [beyond, 2 * beyond, 1e30]]).astype(np.float32)
        inf = np.float32(np.inf)
        around = np.concatenate([points, np.nextafter(points, inf), np.nextafter(points, -inf), [0.0, np.inf, np.nan]]).astype(np.float32)
    return np.concatenate([around, -around])


def all_bfloat16() -> np.ndarray:
    """All 2^16 bfloat16 numbers, as float32."""
    return (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)


def random_float32(count: int = 10**6, seed: int = 0) -> np.ndarray:
    """Seeded random bit patterns as float32: every binade, subnormals, NaN and infinity."""
    return np.random.default_rng(seed).integers(0, 1 << 32, count, dtype=np.uint32).view(np.float32)
