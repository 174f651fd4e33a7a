"""The matrices on which recipes are compared: every edge of an amax that a scale rule can trip over."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fp8core.recipes import Recipe
from fp8core.scaling import SCALE_FORMATS

# Significands at which some rule changes its mind: powers of two, the max of an element format, the thresholds of rounded amaxes.
_SIGNIFICANDS = (1.0, 1.25, 1.5, 1.75, 1.875, 1.9375, 1.96875, 1.984375)
_EXPONENTS = range(-149, 128)
_FEW_EXPONENTS = (-149, -140, -133, -128, -127, -126, -125, -120, -100, -64, -40, -24, -15, -14, -9, -7, -6, -3, -1, 0, 1, 2, 3, 7, 8, 9, 15, 16, 40, 64, 100, 118, 119, 125, 126, 127)
_CONSTANTS = (1e-4, 1e-12, 2.0**-24, 448.0, 57344.0, 6.0, 7.5, 28.0, 127.0, 127.5, 240.0, 2688.0, 448 * 2.0**-127, 448 / 3.4028235e38)


def recipe_matrices(recipe: Recipe, ragged: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (what it is, matrix): float32, whose sides are multiples of the recipe's block unless `ragged`.

    Random numbers of one and of many binades; blocks whose amax is an edge; zeros; subnormal numbers; infinity and NaN in some blocks.
    Where all blocks share one scale, every edge has a matrix of its own.
    """
    rng = np.random.default_rng(0)
    shared = None in recipe.scaling.block or SCALE_FORMATS[recipe.scaling.scale_format].global_format is not None
    rows, columns = (64 if side is None else side for side in recipe.scaling.block)
    if recipe.scaling.block[0] is None:
        rows = 16
    shape = (rows * max(1, 32 // rows), columns * max(1, 256 // columns))
    yield "normal", rng.standard_normal(shape).astype(np.float32)
    yield "many binades", (rng.standard_normal(shape) * np.exp2(rng.uniform(-18, 18, shape))).astype(np.float32)
    yield "short significands", _short(rng, shape)
    yield "zeros", np.zeros(shape, np.float32)
    yield "one zero block", _with_zero_block(rng, shape, rows, columns)
    for label, numbers in {"infinity": [np.inf], "minus infinity": [-np.inf], "NaN": [np.nan], "infinity and NaN": [np.inf, np.nan]}.items():
        x = rng.standard_normal(shape).astype(np.float32)
        x[0, : len(numbers)] = numbers
        yield label, x
    yield "midpoints", _midpoints(recipe, columns if rows == 1 else shape[1], shape[0])
    if ragged:
        yield "ragged", rng.standard_normal((5, 37)).astype(np.float32)
        yield "ragged, wide", rng.standard_normal((3, 300)).astype(np.float32)
    if not shared and rows == 1:
        amaxes = _edges(_EXPONENTS)
        count = -(-amaxes.size // 8) * 8
        yield "edges", _blocks_with_amax(rng, np.resize(amaxes, count), (1, columns)).reshape(-1, 8 * columns)
        return
    if recipe.scaling.block == (1, None):
        yield "edges", _blocks_with_amax(rng, _edges(_EXPONENTS), (1, columns)).reshape(-1, columns)
        return
    for amax in _edges(_FEW_EXPONENTS)[:: 3 if rows * columns <= 1024 else 11]:
        x = _blocks_with_amax(rng, np.array([amax]), shape).reshape(shape)
        fading = np.exp2(-np.arange(shape[1] // columns)).astype(np.float32).repeat(columns)
        yield f"amax {float(amax).hex()}", x * fading[None, :] if shape[1] > columns else x


def _edges(exponents) -> np.ndarray:
    """Significands times powers of two and some constants, with both float32 neighbours; positive and finite."""
    points = np.concatenate([np.ldexp(significand, np.array(exponents)) for significand in _SIGNIFICANDS])
    points = np.append(points[points < 3.4e38], _CONSTANTS).astype(np.float32)
    around = np.concatenate([points, np.nextafter(points, np.float32(np.inf)), np.nextafter(points, np.float32(0))])
    return np.unique(around[(around > 0) & np.isfinite(around)])


def _blocks_with_amax(rng: np.random.Generator, amaxes: np.ndarray, block: tuple[int, int]) -> np.ndarray:
    """Blocks (len(amaxes), size): one number is ±amax, half of the others are multiples of amax / 64, where ties are, half are random."""
    size = block[0] * block[1]
    shares = np.where(rng.random((amaxes.size, size)) < 0.5, rng.integers(-64, 65, (amaxes.size, size)) / 64, rng.uniform(-1, 1, (amaxes.size, size)))
    x = (shares * amaxes[:, None].astype(np.float64)).astype(np.float32)
    x[:, 0] = amaxes * rng.choice([-1, 1], amaxes.size)
    return x


def _midpoints(recipe: Recipe, columns: int, rows: int) -> np.ndarray:
    """Values and midpoints of the elements with both float32 neighbours, the largest value at the head of every row: its amax gives a scale of 1 or so."""
    values = recipe.fmt.finite_values
    points = np.concatenate([values, (values[1:] + values[:-1]) / 2]).astype(np.float32)
    points = np.concatenate([points, np.nextafter(points, np.float32(np.inf)), np.nextafter(points, np.float32(-np.inf))])
    points = points[np.abs(points) <= recipe.fmt.max]
    down = -(-points.size // ((columns - 1) * rows)) * rows
    x = np.empty((down, columns), np.float32)
    x[:, 0], x[:, 1:] = recipe.fmt.max, np.resize(points, (down, columns - 1))
    return x


def _short(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Integers times powers of two: many of them are ties."""
    return np.ldexp(rng.integers(-63, 64, shape), rng.integers(-8, 3, shape)).astype(np.float32)


def _with_zero_block(rng: np.random.Generator, shape: tuple[int, int], rows: int, columns: int) -> np.ndarray:
    x = rng.standard_normal(shape).astype(np.float32)
    x[:rows, :columns] = 0
    x[-1, -1] = -0.0
    return x
