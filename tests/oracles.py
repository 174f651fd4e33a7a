"""The trusted implementations that ours is held against: ml_dtypes for round-half-even, gfloat for every rounding mode."""

from __future__ import annotations

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
from gfloat import Domain, FormatInfo, RoundMode

from fp8core.formats import FloatFormat, parse_format

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
SIGNED_FLOATS = [name for name in ML_DTYPES if name != "e8m0fnu"]


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
    """The same format described to gfloat."""
    fmt = parse_format(name)
    assert isinstance(fmt, FloatFormat)
    assert fmt.zero
    high_nans = {"ieee": (1 << fmt.mantissa_bits) - 1, "fn": 1, "fnuz": 0, "finite": 0}[fmt.specials]
    return FormatInfo(
        name, fmt.bits, fmt.mantissa_bits + 1, bias=fmt.bias, is_signed=True, domain=Domain.Extended if fmt.specials == "ieee" else Domain.Finite,
        has_nz=fmt.specials != "fnuz", num_high_nans=high_nans, has_subnormals=True, is_twos_complement=False,
    )  # fmt: skip


def gfloat_round(x: np.ndarray, name: str, rounding: str, overflow: str) -> np.ndarray:
    """float64 numbers rounded by gfloat, float64; exact for any float64 input."""
    with np.errstate(all="ignore"):
        return gfloat.round_ndarray(gfloat_info(name), np.asarray(x, np.float64), GFLOAT_MODES[rounding], overflow == "saturate")


def same(got, want) -> bool:
    """Equal as numbers, NaN for NaN, and -0 told from +0."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    number = ~np.isnan(want)
    return np.array_equal(got, want, equal_nan=True) and np.array_equal(np.signbit(got[number]), np.signbit(want[number]))


def edges(name: str) -> np.ndarray:
    """float32: every value, every midpoint and both float32 neighbours of each, both overflow edges, specials; both signs."""
    fmt = parse_format(name)
    values = fmt.finite_values[fmt.finite_values >= 0]
    beyond = 2 * values[-1] - values[-2]
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
