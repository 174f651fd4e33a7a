"""Codes and rounding, held against ml_dtypes and gfloat: exhaustively where a format has at most 16 bits."""

import numpy as np
import pytest
import torch
from oracles import BOOKS, LADDERS, ML_DTYPES, MODES, PATTERNS, all_bfloat16, edges, gfloat_round, ml_cast, ml_values, random_float32, same, second_writing

import fp8core as fp8
from fp8core.formats import FORMATS, IntFormat

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in cast")  # signalling NaNs among the random bits

INTS = [name for name in FORMATS if isinstance(FORMATS[name], IntFormat)]
UP_TO_16 = [name for name in FORMATS if FORMATS[name].bits <= 16]


@pytest.mark.parametrize("name", ML_DTYPES)
def test_every_code_decodes_as_in_ml_dtypes(name):
    assert same(FORMATS[name].values, ml_values(name))
    codes = np.arange(1 << FORMATS[name].bits)
    assert same(fp8.decode(codes, name), ml_values(name))


@pytest.mark.parametrize("name", UP_TO_16)
def test_every_code_survives_decode_and_encode(name):
    fmt = FORMATS[name]
    codes = np.arange(1 << fmt.bits)
    numbers = codes[np.isfinite(fmt.values)]
    assert np.array_equal(fp8.encode(fp8.decode(numbers, fmt), fmt), numbers)
    if fmt.inf_code is not None:
        assert fp8.encode(np.inf, fmt, overflow="ieee") == fmt.inf_code
    if fmt.nan_code is not None:
        assert fp8.encode(np.nan, fmt) == fmt.nan_code
        assert np.isnan(fmt.values[fmt.nan_code])


@pytest.mark.parametrize("name", ML_DTYPES)
@pytest.mark.parametrize("points", [edges, lambda name: all_bfloat16(), lambda name: random_float32()], ids=["edges", "all bfloat16", "random float32"])
def test_rounds_as_ml_dtypes(name, points):
    x = points(name)
    if FORMATS[name].nan_code is None:
        x = x[~np.isnan(x)]  # ml_dtypes turns NaN into -0 there; ours is tested on its own
    want = ml_cast(x, name)
    if name == "e8m0fnu":  # ml_dtypes 0.6.0 takes these float32 subnormals up to 2^-126, though 2^-127 is nearer
        want[(x > 2.0**-127) & (x < 1.5 * 2.0**-127)] = 2.0**-127
    assert same(fp8.round_to(x, name, overflow="ieee"), want)
    assert same(fp8.decode(fp8.encode(x, name, overflow="ieee"), name), want)
    inside = np.isfinite(want) & np.isfinite(x)
    assert same(fp8.round_to(x[inside], name), want[inside])
    outside = ~np.isfinite(want) & ~np.isnan(x) & ((x > 0) | (FORMATS[name].signed & (x != 0)))
    assert same(fp8.round_to(x[outside], name), np.copysign(FORMATS[name].max, x[outside]))


@pytest.mark.parametrize("overflow", fp8.OVERFLOWS)
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("name", [*LADDERS, *PATTERNS])
def test_rounds_as_gfloat_in_every_mode(name, rounding, overflow):
    fmt = fp8.parse_format(name)
    if fmt.bits == 16:
        x = np.concatenate([random_float32(50_000), edges(name)[::37]]).astype(np.float64)
    else:
        x = np.concatenate([edges(name), random_float32(20_000)]).astype(np.float64)
        x = np.concatenate([x, np.nextafter(x, np.inf), np.nextafter(x, -np.inf)])  # float64 neighbours: no double rounding
    if fmt.nan_code is None:
        x = x[~np.isnan(x)]
    if not fmt.signed:
        x = x[~np.signbit(x) | (x == 0)]  # gfloat keeps the sign; ours is tested on its own
    if fmt.nan_code is None and overflow == "ieee":
        x = x[np.abs(x) <= fmt.max]  # gfloat refuses to overflow where there is neither infinity nor NaN
    assert same(fp8.round_to(x, name, rounding, overflow), gfloat_round(x, name, rounding, overflow))


@pytest.mark.parametrize("overflow", fp8.OVERFLOWS)
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("name", [*BOOKS, "e2m1fn", "e8m0fnu", "int3", "binary8p1", "binary8p3uf", "ue4m3"])
def test_rounds_as_the_definition_written_a_second_time(name, rounding, overflow):
    if name == "e8m0fnu" and rounding == "half_even":
        rounding = "half_away"  # its ties go up
    fmt = fp8.parse_format(name)
    x = edges(name)[:: 11 if fmt.bits > 6 else 1].astype(np.float64)
    x = np.concatenate([x, np.nextafter(x, np.inf), [fmt.lowest, fmt.lowest - fmt.ulp_at_max, fmt.lowest - fmt.ulp_at_max / 2]])
    if name == "e8m0fnu":
        x = x[x != 0]  # there is no zero; tested on its own
    want = second_writing(x, name, rounding, overflow)
    if fmt.nan_code is None and name not in BOOKS and not isinstance(fmt, IntFormat):
        want = np.where(np.isnan(x), fmt.max, want)
    assert same(fp8.round_to(x, name, rounding, overflow), want)


def test_signless_formats_have_no_negative_numbers():
    for name in ("ue4m3", "ue5m3", "binary8p3ue", "binary8p4uf", "ue4m4_nosub"):
        for overflow in fp8.OVERFLOWS:
            assert np.isnan(fp8.round_to([-1e-30, -1.0, -np.inf], name, overflow=overflow)).all()
        assert same(fp8.round_to([-0.0, 0.0], name), [0.0, 0.0])
    assert same(fp8.round_to([-np.inf, -1.0, -0.0, np.nan], "ue3m2finite"), [0.0, 0.0, 0.0, 28.0])  # no NaN either


@pytest.mark.parametrize("rounding", MODES)
def test_float32_is_rounded_from_float64_as_numpy_and_gfloat_do(rounding):
    x = np.random.default_rng(1).integers(0, 1 << 64, 200_000, dtype=np.uint64).view(np.float64)
    x = np.concatenate([x, np.random.default_rng(2).standard_normal(200_000)])
    assert same(fp8.round_to(x, "float32", rounding, "ieee"), gfloat_round(x, "float32", rounding, "ieee"))
    if rounding == "half_even":
        with np.errstate(over="ignore"):
            assert same(fp8.round_to(x, "float32", overflow="ieee"), x.astype(np.float32))


def test_float32_codes_are_the_bits_of_the_number():
    x = random_float32(100_000)
    x = x[~np.isnan(x)]
    assert np.array_equal(fp8.encode(x, "float32", overflow="ieee"), x.view(np.uint32))
    assert same(fp8.decode(x.view(np.uint32), "float32"), x)


def test_tfloat32_drops_thirteen_bits_to_nearest_even():
    x = random_float32(200_000)
    assert same(fp8.round_to(x, "tfloat32", overflow="ieee"), gfloat_round(x, "tfloat32", "half_even", "ieee"))
    assert fp8.FORMATS["tfloat32"].max == (2 - 2**-10) * 2.0**127


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("name", INTS)
def test_integers_round_and_clamp(name, rounding):
    fmt = FORMATS[name]
    halves = np.arange(-2 * fmt.max_code - 9, 2 * fmt.max_code + 10) / 2
    x = np.concatenate([halves, np.nextafter(halves, np.inf), np.nextafter(halves, -np.inf)]) * fmt.step
    steps = x / fmt.step
    want = {
        "half_even": np.rint(steps),
        "half_away": np.trunc(steps) + np.sign(steps) * (np.abs(steps - np.trunc(steps)) >= 0.5),
        "half_toward_zero": np.trunc(steps) + np.sign(steps) * (np.abs(steps - np.trunc(steps)) > 0.5),
        "toward_zero": np.trunc(steps),
        "up": np.ceil(steps),
        "down": np.floor(steps),
    }[rounding]
    assert np.array_equal(fp8.round_to(x, name, rounding), np.clip(want, -fmt.max_code - 1, fmt.max_code) * fmt.step)
    assert np.array_equal(fp8.round_to([np.nan, np.inf, -np.inf], name, rounding), [0.0, fmt.max, fmt.lowest])


@pytest.mark.parametrize("name", ["e4m3fn", "e5m2", "e2m1fn", "int8", "bfloat16"])
def test_stochastic_rounding_is_seeded_unbiased_and_between_neighbours(name):
    x = torch.full((200_000,), 1.0 + 0.3 * 2.0 ** -FORMATS[name].mantissa_bits if name != "int8" else 1.3)
    y = fp8.round_to(x, name, "stochastic", seed=3)
    low, high = fp8.round_to(x[:1], name, "down"), fp8.round_to(x[:1], name, "up")
    assert set(y.tolist()) == {low.item(), high.item()}
    share_up = (y == high).double().mean().item()
    assert abs(share_up - 0.3) < 5 * (0.3 * 0.7 / len(x)) ** 0.5
    assert torch.equal(y, fp8.round_to(x, name, "stochastic", seed=3))
    assert not torch.equal(y, fp8.round_to(x, name, "stochastic", seed=4))
    values = torch.tensor(FORMATS[name].finite_values[:50], dtype=torch.float32)
    assert torch.equal(fp8.round_to(values, name, "stochastic", seed=0), values)


@pytest.mark.parametrize("name", ["e4m3fn", "e5m2", "e4m3fnuz", "e2m1fn", "e8m0fnu", "int8", "float16", "tfloat32"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_every_input_dtype_is_rounded_once(name, dtype):
    x = torch.from_numpy(random_float32(50_000)).to(dtype)
    assert same(fp8.round_to(x, name), fp8.round_to(x.double().numpy(), name))


def test_float64_is_not_rounded_through_float32():
    just_above_the_tie = 1.0625 + 2.0**-40  # float32 would make it the tie, and the tie goes to the even 1.0
    assert fp8.round_to(just_above_the_tie, "e4m3fn") == 1.125


def test_nan_without_a_nan_code():
    assert fp8.round_to(np.nan, "e2m1fn") == 6.0
    assert fp8.round_to(-np.nan, "e3m2fn") == 28.0


def test_e8m0_has_neither_zero_nor_sign():
    assert np.isnan(fp8.round_to(-1.0, "e8m0fnu"))
    assert fp8.round_to([0.0, 1e-45], "e8m0fnu").tolist() == [2.0**-127, 2.0**-127]
    assert np.isnan(fp8.round_to(0.0, "e8m0fnu", overflow="ieee"))


def test_shapes_and_kinds_go_in_and_come_out():
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (base, base.T, base[::-1, ::2], base[:, 1], base[:0], base[2, 3], np.float64(3.3), np.broadcast_to(base[0], (3, 6)), base.astype(">f4")):
        codes = fp8.encode(view, "e4m3fn")
        assert isinstance(codes, np.ndarray)
        assert codes.shape == np.shape(view)
        assert np.array_equal(fp8.decode(codes, "e4m3fn"), fp8.round_to(np.array(view, np.float64), "e4m3fn"))
    t = torch.arange(24.0).reshape(4, 6)
    for view in (t, t.T, t[::2, 1:], t[:0], t[2, 3]):
        codes = fp8.encode(view, "e5m2")
        assert codes.dtype == torch.uint8
        assert codes.shape == view.shape
        assert torch.equal(fp8.decode(codes, "e5m2"), fp8.round_to(view, "e5m2"))
    for view in (t.T, t[::2, 1:]):  # without a warning, which pytest would make an error
        assert torch.equal(fp8.round_to(view, "nf4"), fp8.round_to(view.contiguous(), "nf4"))
        assert fp8.measure(view, fp8.quantize(view, "nf4_64")).count == view.numel()
    assert fp8.encode(t, "float16").dtype == torch.uint16
    assert fp8.encode(t, "tfloat32").dtype == torch.uint32


def test_chunks_meet_without_a_seam():
    x = torch.randn(3 * (1 << 17) + 5, generator=torch.Generator().manual_seed(0))
    pieces = torch.cat([fp8.round_to(part, "e4m3fn") for part in x.split(1000)])
    assert torch.equal(fp8.round_to(x, "e4m3fn"), pieces)


def test_out_is_filled_and_returned():
    x = np.linspace(-500, 500, 1001)
    out, codes = np.empty(1001, np.float32), np.empty(1001, np.uint8)
    assert fp8.round_to(x, "e4m3fn", out=out) is out
    assert fp8.encode(x, "e4m3fn", out=codes) is codes
    assert np.array_equal(out, fp8.decode(codes, "e4m3fn", out=np.empty(1001, np.float32)))
    with pytest.raises(ValueError, match=r"out has shape \(3,\) and torch.float32"):
        fp8.round_to(x, "e4m3fn", out=np.empty(3, np.float32))


def test_errors_repeat_the_value_and_the_rule():
    with pytest.raises(ValueError, match="rounding = 'nearest' is not one of half_even"):
        fp8.encode(1.0, "e4m3fn", rounding="nearest")
    with pytest.raises(ValueError, match="overflow = 'wrap' is not one of saturate, ieee"):
        fp8.round_to(1.0, "e4m3fn", overflow="wrap")
    with pytest.raises(ValueError, match="code 16 does not exist in e2m1fn, whose codes run from 0 to 15"):
        fp8.decode([3, 16], "e2m1fn")
    with pytest.raises(ValueError, match="code -1 does not exist in e4m3fn"):
        fp8.decode([-1], "e4m3fn")
    with pytest.raises(TypeError, match="complex64"):
        fp8.encode(torch.zeros(2, dtype=torch.complex64), "e4m3fn")
    with pytest.raises(TypeError, match="object"):
        fp8.encode(np.array([1.0, None]), "e4m3fn")
    with pytest.raises(TypeError, match=r"codes are integers, not torch\.float32"):
        fp8.decode(torch.zeros(2), "e4m3fn")
