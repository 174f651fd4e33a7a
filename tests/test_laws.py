"""Laws that every format keeps under every rounding and overflow, and every recipe."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import BOOKS, PATTERNS, round_exactly, same

import fp8core as fp8
from fp8core.formats import FORMATS, FloatFormat, TableFormat, parse_format
from fp8core.recipes import RECIPES
from fp8core.rotation import ROTATIONS

NAMES = [*FORMATS, *PATTERNS, *BOOKS, "int12", "e4m9"]
DETERMINISTIC = [mode for mode in fp8.ROUNDINGS if mode != "stochastic"]
NEAREST = [mode for mode in DETERMINISTIC if mode.startswith("half")]
MIRROR = {"up": "down", "down": "up"}

names = st.sampled_from(NAMES)
roundings = st.sampled_from(DETERMINISTIC)
overflows = st.sampled_from(list(fp8.OVERFLOWS))
numbers = st.lists(st.one_of(st.floats(allow_nan=False), st.floats(-500, 500, allow_nan=False), st.floats(-1, 1, allow_nan=False)), min_size=1, max_size=30)


def is_symmetric(fmt) -> bool:
    """Whether −x is a value wherever x is."""
    if fmt.bits > 16:
        return True
    finite = fmt.finite_values
    return bool(fmt.signed and np.array_equal(finite, -finite[::-1]))


# ---- formats


@pytest.mark.parametrize("overflow", fp8.OVERFLOWS)
@pytest.mark.parametrize("name", [name for name in NAMES if parse_format(name).bits <= 16])
def test_1_every_code_is_the_code_of_its_value(name, overflow):
    """Duplicates aside: the second code of a value, of NaN, and infinity where it saturates."""
    fmt = parse_format(name)
    codes = np.arange(1 << fmt.bits)
    own = np.isfinite(fmt.values)
    _, first = np.unique(np.stack([fmt.values, np.signbit(fmt.values)]), axis=1, return_index=True)
    own[np.setdiff1d(codes, first)] = False
    for rounding in DETERMINISTIC:
        assert np.array_equal(fp8.encode(fmt.values[own], fmt, rounding, overflow), codes[own])
    assert same(fp8.decode(codes, fmt), fmt.values)
    if fmt.inf_code is not None and overflow == "ieee":
        assert fp8.encode(np.inf, fmt, overflow=overflow) == fmt.inf_code


@given(names, roundings, overflows, numbers)
@settings(max_examples=400, deadline=None)
def test_2_rounding_twice_is_rounding_once(name, rounding, overflow, x):
    once = fp8.round_to(np.array(x), name, rounding, overflow)
    once = once[~np.isnan(once) & ~np.isinf(once)]
    assert same(fp8.round_to(once, name, rounding, overflow), once)


@given(names, roundings, overflows, numbers)
@settings(max_examples=400, deadline=None)
def test_2_rounding_is_monotone(name, rounding, overflow, x):
    y = fp8.round_to(np.sort(np.array(x)), name, rounding, overflow).astype(np.float64)
    y = y[~np.isnan(y)]  # overflow without infinity
    assert not np.any(y[1:] < y[:-1])


@given(names, roundings, overflows, numbers)
@settings(max_examples=400, deadline=None)
def test_2_rounding_is_odd(name, rounding, overflow, x):
    fmt, x = parse_format(name), np.array(x)
    if not is_symmetric(fmt):
        return
    ours, mirrored = fp8.round_to(x, fmt, rounding, overflow), -fp8.round_to(-x, fmt, MIRROR.get(rounding, rounding), overflow)
    number = ~np.isnan(ours)
    if fmt.specials == "finite" and isinstance(fmt, TableFormat):
        middle = (fmt.finite_values[1:] + fmt.finite_values[:-1]) / 2
        number &= ~np.isin(np.abs(x), np.abs(middle))  # a tie of a code book goes to the even code, wherever that is
    assert np.array_equal(ours[number], mirrored[number])
    assert np.array_equal(np.isnan(ours), np.isnan(mirrored))


@given(names, roundings, numbers)
@settings(max_examples=400, deadline=None)
def test_3_the_result_is_a_neighbour_and_the_nearest_where_it_should_be(name, rounding, x):
    fmt = parse_format(name)
    if fmt.bits > 16:
        return
    values, x = fmt.finite_values, np.array(x)
    x = x[(x >= values[0]) & (x <= values[-1])]
    y = fp8.round_to(x, fmt, rounding).astype(np.float64)
    low, high = values[np.searchsorted(values, x, "right") - 1], values[np.searchsorted(values, x, "left")]
    assert np.all((y == low) | (y == high))
    for number, got, below, above in zip(map(Fraction, x), map(Fraction, y), map(Fraction, low), map(Fraction, high), strict=True):
        if rounding in NEAREST:
            assert abs(number - got) == min(number - below, above - number)
        elif rounding != "toward_zero":
            assert got == (above if rounding == "up" else below)
        elif not below < 0 < above:
            assert abs(got) <= abs(number)


@pytest.mark.parametrize("name", [name for name in NAMES if parse_format(name).bits <= 16])
def test_3_midpoints_and_their_float64_neighbours(name):
    fmt = parse_format(name)
    values = fmt.finite_values if fmt.bits <= 8 else fmt.finite_values[:: max(1, fmt.finite_values.size // 999)]
    values = np.unique(values)
    at = np.searchsorted(fmt.finite_values, values)[:-1]
    low, high = fmt.finite_values[at], fmt.finite_values[at + 1]
    middle = (low + high) / 2
    for rounding in NEAREST:
        assert np.array_equal(fp8.round_to(np.nextafter(middle, -np.inf), fmt, rounding), low.astype(np.float32))
        assert np.array_equal(fp8.round_to(np.nextafter(middle, np.inf), fmt, rounding), high.astype(np.float32))
    larger = np.where(np.abs(low) > np.abs(high), low, high)
    apart = np.abs(low) != np.abs(high)
    assert np.array_equal(fp8.round_to(middle, fmt, "half_away")[apart], larger[apart].astype(np.float32))
    assert np.array_equal(fp8.round_to(middle, fmt, "half_toward_zero")[apart], np.where(larger == high, low, high)[apart].astype(np.float32))
    if isinstance(fmt, FloatFormat) and fmt.zero:
        assert not np.any(fp8.encode(middle, fmt) & 1)


@pytest.mark.parametrize("name", [name for name in NAMES if isinstance(parse_format(name), FloatFormat)])
def test_4_powers_of_two_and_what_lies_just_below_them(name):
    """Over all of float32: exponents come from the bits and never from a logarithm."""
    fmt = parse_format(name)
    powers = np.ldexp(1.0, np.arange(-149, 128)).astype(np.float32)
    inside = powers[(powers >= fmt.min_normal) & (powers <= fmt.max)]
    assert np.array_equal(fp8.round_to(inside, fmt), inside)
    below = np.nextafter(inside, np.float32(0)).astype(np.float64)
    got = fp8.round_to(below, fmt, "down").astype(np.float64)
    precision = np.ldexp(1.0, np.frexp(below)[1] - 1 - fmt.mantissa_bits)
    normal = below >= fmt.min_normal
    assert np.array_equal(got[normal], (np.floor(below / precision) * precision)[normal])
    assert np.all(got <= below) or not fmt.zero


@given(names, roundings, st.integers(-40, 40), st.lists(st.floats(1, 2, exclude_max=True), min_size=1, max_size=20))
@settings(max_examples=300, deadline=None)
def test_7_a_power_of_two_passes_through_the_normal_range(name, rounding, k, significands):
    fmt = parse_format(name)
    if not isinstance(fmt, FloatFormat) or (rounding == "half_even" and not fmt.mantissa_bits):  # without a mantissa a tie looks at the exponent
        return
    x = np.array(significands)
    for start in (0, k):
        if not fmt.min_normal <= math.ldexp(1.0, start) <= math.ldexp(2.0, start) <= fmt.max:
            return
    assert np.array_equal(fp8.round_to(np.ldexp(x, k), fmt, rounding), np.ldexp(fp8.round_to(x, fmt, rounding), k))


# ---- recipes

# Away from what these recipes fix in absolute terms: scales that are powers of 16, elements that have no scale.
FIXED_STEPS = {name for name, recipe in RECIPES.items() if recipe.scaling is None or "maxabs_hw" in name}
SCALED = [name for name, recipe in RECIPES.items() if recipe.scaling is not None and recipe.rounding != "stochastic"]
ROWWISE = [name for name in SCALED if RECIPES[name].scaling.block[0] == 1 and fp8.SCALE_FORMATS[RECIPES[name].scaling.scale_format].global_format is None]


def normal(rows=32, columns=512, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def same_numbers(a, b) -> bool:
    return same(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("name", SCALED)
def test_2_quantizing_twice_changes_nothing_under_the_same_scales(name):
    once = fp8.quantize(normal(), name)
    twice = fp8.quantize(once.dequantize(), name)
    if not RECIPES[name].rotation and torch.equal(once.scale, twice.scale):
        assert same_numbers(once.dequantize(), twice.dequantize())
    assert (once.dequantize() - twice.dequantize()).norm() < (once.dequantize() - normal()).norm()


@pytest.mark.parametrize("name", SCALED)
def test_2_quantizing_is_odd(name):
    if not is_symmetric(RECIPES[name].fmt) and RECIPES[name].format != "nf4":
        shown = fp8.quantize(normal(), name)
        mirrored = fp8.quantize(-normal(), name)
        assert torch.equal(shown.scale, mirrored.scale)  # integers have one more number below zero than above
        return
    if RECIPES[name].format == "nf4":
        assert torch.equal(fp8.quantize(normal(), name).scale, fp8.quantize(-normal(), name).scale)
        return
    assert torch.equal(fp8.quantize(-normal(), name).dequantize(), -fp8.quantize(normal(), name).dequantize())


@pytest.mark.parametrize("k", [-6, -1, 1, 9])
@pytest.mark.parametrize("name", [name for name in SCALED if name not in FIXED_STEPS])
def test_7_a_power_of_two_passes_through_a_recipe(name, k):
    if "one_level" in name or RECIPES[name].scaling.scale_format in ("ue5m3", "e4m3fn"):
        k = int(math.copysign(1, k))  # scales of eight bits run out of range
    x = normal()
    assert same_numbers(fp8.quantize(x * 2.0**k, name).dequantize(), fp8.quantize(x, name).dequantize() * 2.0**k)


@pytest.mark.parametrize("name", ROWWISE)
def test_7_permuting_rows_permutes_the_result(name):
    x, order = normal(), torch.randperm(32, generator=torch.Generator().manual_seed(1))
    assert same_numbers(fp8.quantize(x[order], name).dequantize(), fp8.quantize(x, name).dequantize()[order])


@pytest.mark.parametrize("name", SCALED)
def test_6_rows_of_the_transpose_are_columns(name):
    recipe = RECIPES[name]
    if recipe.rotation:
        assert ROTATIONS[recipe.rotation].size > 1  # a rotation runs along the last axis
        return
    x = normal(144, 272)
    down = fp8.Recipe("transposed", recipe.format, recipe.scaling.transposed, rounding=recipe.rounding, overflow=recipe.overflow)
    a, b = fp8.quantize(x.T.contiguous(), recipe), fp8.quantize(x, down)
    assert torch.equal(a.codes, b.codes.T)
    assert torch.equal(a.scale, b.scale.T)


@pytest.mark.parametrize("name", SCALED)
def test_6_blocks_do_not_see_each_other_and_ragged_tails_are_cropped(name):
    x = normal(17, 517)
    q = fp8.quantize(x, name)
    assert q.codes.shape == x.shape and q.dequantize().shape == x.shape
    if name in ROWWISE and not RECIPES[name].rotation:
        alone = torch.cat([fp8.quantize(row[None], name).dequantize() for row in x])
        assert same_numbers(alone, q.dequantize())


@given(st.sampled_from(SCALED), st.lists(st.floats(-(2.0**60), 2.0**60, width=32), min_size=1, max_size=70))
@settings(max_examples=200, deadline=None)
def test_finite_numbers_stay_within_their_blocks_range(name, x):
    x = torch.tensor(x, dtype=torch.float32)
    q = fp8.quantize(x, name)
    y = q.dequantize()
    if RECIPES[name].rotation or not bool((q.scale.isfinite() & (q.scale > 0)).all()):
        return
    limit = float(q.scale.max()) * max(RECIPES[name].fmt.max, -RECIPES[name].fmt.lowest)
    assert bool((y.isnan() | (y.abs() <= limit * (1 + 2.0**-20))).all())


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.scaling is not None and recipe.scaling.rule == "amax"])
def test_amax_recipes_are_their_formula_in_rational_numbers(name):
    """scale = amax / max, rounded once to its format (relative to the tensor's scale, where there is one); element = x / scale, rounded once."""
    recipe, fmt = RECIPES[name], RECIPES[name].fmt
    store = fp8.SCALE_FORMATS[recipe.scaling.scale_format]
    x = (normal(32, 48, seed=5) * torch.exp2(torch.arange(48) % 7 - 3.0)).numpy()
    x[1, 1:4] = 0, -0.0, 1e-30
    q = fp8.quantize(x, name)
    assert (store.global_format is None) == (q.global_scale is None)
    whole = Fraction(1)
    if store.global_format:
        whole = Fraction(float(np.float32(np.float64(np.abs(x).max()) / (fmt.max * parse_format(store.element).max))))
        assert float(q.global_scale) == float(whole)
    rows, columns = (min(length, side or length) for side, length in zip(recipe.scaling.block, x.shape, strict=True))
    for i, j in np.ndindex(q.scale.shape):
        block = x[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
        wanted = Fraction(float(np.abs(block).max())) / Fraction(fmt.max) / whole
        stored = float(np.float32(float(wanted))) if store.element == "float32" else round_exactly(wanted, store.element, "half_even", "saturate")
        assert float(q.scale[i, j]) == float(np.float32(stored * float(whole)))
        scale = Fraction(float(q.scale[i, j]))
        codes = q.codes[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
        for number, value in list(zip(block.ravel().tolist(), fp8.decode(codes, fmt).ravel().tolist(), strict=True))[:200]:
            want = round_exactly(Fraction(number) / scale, fmt.name, recipe.rounding, "saturate")
            assert value == want, (number, value, want)
