"""The numbers on which formats are compared: where rounding changes its mind, and beyond."""

from __future__ import annotations

import numpy as np

from fp8core.formats import Format

_WIDE_SAMPLES = 20_000
_RANDOM = 4_000


def format_points(fmt: Format, dtype: type) -> np.ndarray:
    """Return every value, every midpoint, the overflow edges and ±0, NaN, ±infinity, with both neighbours of each, and random bit patterns -> float32 or float64, shape (n,).

    Neighbours are those in float32, and in float64 too where that is the dtype. Formats of more than 16 bits have no list
    of values: random ones, and those next to the limits and to every power of two, stand for them.
    """
    values = _some_values(fmt) if fmt.bits > 16 else fmt.finite_values
    top, bottom = values[-1] + fmt.ulp_at_max, values[0] - (fmt.ulp_at_max if fmt.signed else 0.0)
    middle = (values[1:] + values[:-1]) / 2
    edges = np.array([top, bottom, (values[-1] + top) / 2, (values[0] + bottom) / 2, values[0], values[-1], 2 * top, 2 * bottom, -top, 1e30, -1e30, fmt.min_normal, -fmt.min_normal, fmt.min_positive, fmt.min_positive / 2, -fmt.min_positive / 2])
    with np.errstate(over="ignore", invalid="ignore"):
        points = np.concatenate([values, middle, edges]).astype(np.float32)
        points = _with_neighbours(points)
        if dtype is np.float64:
            exact = _with_neighbours(np.concatenate([values, middle, edges]))
            points = np.concatenate([points.astype(np.float64), exact])
    with np.errstate(invalid="ignore"):
        random = np.random.default_rng(1).integers(0, 1 << 32, _RANDOM, dtype=np.uint32).view(np.float32).astype(dtype)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45], np.float32).astype(dtype)
    return np.concatenate([points, random, special])


def _with_neighbours(points: np.ndarray) -> np.ndarray:
    infinity = points.dtype.type(np.inf)
    return np.concatenate([points, np.nextafter(points, infinity), np.nextafter(points, -infinity)])


def _some_values(fmt: Format) -> np.ndarray:
    rng = np.random.default_rng(0)
    codes = np.concatenate([rng.integers(0, fmt.max_code, _WIDE_SAMPLES), np.arange(64), fmt.max_code - np.arange(64), (np.arange(1, 1 << fmt.exponent_bits) << fmt.mantissa_bits) - 1])
    codes = np.unique(np.concatenate([codes, codes + 1]).clip(0, fmt.max_code))
    positive = fmt.value_of(codes)
    return np.unique(np.concatenate([-positive, positive]) + 0.0)
