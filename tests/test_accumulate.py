"""The emulator against mmaemu, bit for bit, which is held against recordings of an H100 and an RTX 4060; and against the same steps in exact fractions."""

import dataclasses
import math
import warnings
from fractions import Fraction

import mmaemu
import numpy as np
import pytest
import torch
from mmaemu.errors import ExperimentalPresetWarning

from fp8core import gemm, parse_format, parse_recipe, quantize
from fp8core.gemm.accumulate import _fused, accumulate, accumulation_error, accumulation_growth, exact_product
from fp8core.gemm.accumulators import ACCUMULATORS, ROUNDINGS, Accumulator, parse_accumulator
from fp8core.gemm.error import random_pair
from fp8core.quantized import QuantizedTensor

DTYPES = {"e4m3fn": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}
PAIRS = [("e4m3fn", "e4m3fn"), ("e5m2", "e4m3fn"), ("e4m3fn", "e5m2")]
M, N = 7, 9


def unscaled(codes, fmt):
    return QuantizedTensor(codes, torch.ones(1, 1), parse_recipe(fmt))


def finite(codes, fmt):
    return codes.masked_fill(torch.tensor(~np.isfinite(parse_format(fmt).values))[codes.long()], 0)


def any_codes(fmt, rows, k, generator):
    return torch.randint(0, 1 << parse_format(fmt).bits, (rows, k), generator=generator, dtype=torch.uint8)


def rounded(values, fmt):
    return quantize(values, fmt).codes


def _spread(fmt, rows, k, generator):
    return finite(any_codes(fmt, rows, k, generator), fmt)


def _normal(fmt, rows, k, generator):
    return rounded(torch.randn(rows, k, generator=generator), fmt)


def _positive(fmt, rows, k, generator):
    return rounded(torch.rand(rows, k, generator=generator) * 8, fmt)


def _subnormal(fmt, rows, k, generator):
    return torch.randint(0, 2 << parse_format(fmt).mantissa_bits, (rows, k), generator=generator, dtype=torch.uint8) | (torch.randint(0, 2, (rows, k), generator=generator, dtype=torch.uint8) << 7)


def _mostly_zeros(fmt, rows, k, generator):
    return _spread(fmt, rows, k, generator) * (torch.rand(rows, k, generator=generator) < 0.03)


def _signed_zeros(fmt, rows, k, generator):
    return torch.randint(0, 2, (rows, k), generator=generator, dtype=torch.uint8) << 7


def _cancelling(fmt, rows, k, generator):
    """Large numbers, each with its negative at a random place, and small ones between them."""
    codes = _spread(fmt, rows, k, generator) & 0x1F
    half = k // 3
    large = (0x60 | (_spread(fmt, rows, half, generator) & 0x0F)) & 0x7B
    places = torch.randperm(k, generator=generator)
    codes[:, places[:half]], codes[:, places[half : 2 * half]] = large, large | 0x80
    return codes


def _growing(fmt, rows, k, generator):
    """Magnitudes from the smallest to the largest along K, so that the accumulator's exponent moves all the time."""
    top = parse_format(fmt).max_code
    return torch.linspace(0, top, k).to(torch.uint8).expand(rows, k) ^ (torch.randint(0, 2, (rows, k), generator=generator, dtype=torch.uint8) << 7)


def _shrinking(fmt, rows, k, generator):
    return _growing(fmt, rows, k, generator).flip(1)


KINDS = {kind.__name__[1:]: kind for kind in (_spread, _normal, _positive, _subnormal, _mostly_zeros, _signed_zeros, _cancelling, _growing, _shrinking)}


def same_bits(got, wanted):
    """NaN where NaN is wanted, and the same bits elsewhere: -0 is not 0."""
    got, wanted = torch.as_tensor(got), torch.as_tensor(wanted)
    return bool(((got.view(torch.int32) == wanted.view(torch.int32)) | (got.isnan() & wanted.isnan())).all())


MIXED = [*((kind, kind) for kind in KINDS), ("subnormal", "spread"), ("subnormal", "normal"), ("cancelling", "growing")]


@pytest.mark.parametrize("k", [1, 16, 31, 127, 128, 200, 515, 1024])
@pytest.mark.parametrize(("kind_a", "kind_b"), MIXED)
def test_hopper_and_ada_agree_with_mmaemu_bit_for_bit(kind_a, kind_b, k):
    """Both units, with and without promotion, every pair of formats that the hardware takes."""
    generator = torch.Generator().manual_seed(k)
    for fmt_a, fmt_b in PAIRS:
        a, b = KINDS[kind_a](fmt_a, M, k, generator), KINDS[kind_b](fmt_b, N, k, generator)
        for unit in ("hopper", "ada"):
            for fast, name in ((True, f"{unit}_fp8"), (False, f"{unit}_fp8_128")):
                wanted = mmaemu.accumulate(a.view(DTYPES[fmt_a]), b.view(DTYPES[fmt_b]), use_fast_accum=fast, profile=unit, splitk=1, backend="reference")
                assert same_bits(accumulate(unscaled(a, fmt_a), unscaled(b.T, fmt_b), name), wanted), (fmt_a, fmt_b, name)


@pytest.mark.parametrize("unit", ["hopper", "ada"])
@pytest.mark.parametrize("share", [0.001, 0.02, 1.0])
def test_infinity_and_nan_agree_with_mmaemu(unit, share):
    generator = torch.Generator().manual_seed(5)
    for fmt_a, fmt_b in PAIRS:
        a, b = (torch.where(torch.rand(rows, 300, generator=generator) < share, any_codes(fmt, rows, 300, generator) | 0x7C, _spread(fmt, rows, 300, generator)) for rows, fmt in ((40, fmt_a), (50, fmt_b)))
        for fast, name in ((True, f"{unit}_fp8"), (False, f"{unit}_fp8_128")):
            wanted = mmaemu.accumulate(a.view(DTYPES[fmt_a]), b.view(DTYPES[fmt_b]), use_fast_accum=fast, profile=unit, splitk=1, backend="reference")
            assert not wanted.isfinite().all()
            assert same_bits(accumulate(unscaled(a, fmt_a), unscaled(b.T, fmt_b), name), wanted)


@pytest.mark.parametrize(("k", "splits"), [(256, 2), (300, 3), (1000, 4), (1100, 5), (4096, 8)])
def test_splits_of_hopper_agree_with_mmaemu(k, splits):
    generator = torch.Generator().manual_seed(k)
    a, b = (_spread("e4m3fn", rows, k, generator) for rows in (M, N))
    for fast, name in ((True, "hopper_fp8"), (False, "hopper_fp8_128")):
        wanted = mmaemu.accumulate(a.view(DTYPES["e4m3fn"]), b.view(DTYPES["e4m3fn"]), use_fast_accum=fast, profile="hopper", splitk=(splits, "contiguous"), backend="reference")
        unit = dataclasses.replace(ACCUMULATORS[name], splits=splits)
        assert same_bits(accumulate(unscaled(a, "e4m3fn"), unscaled(b.T, "e4m3fn"), unit), wanted)


@pytest.mark.parametrize(("group", "aligned_bits", "sum_bits"), [(32, 25, 23), (4, 8, 5), (16, 23, 23), (8, 24, 23), (1, 10, 10), (64, 30, 12), (5, 3, 7), (1, 2, 4)])
@pytest.mark.parametrize(("kind_a", "kind_b"), MIXED)
def test_any_widths_agree_with_mmaemu(kind_a, kind_b, group, aligned_bits, sum_bits):
    """Blackwell's numbers, and some of no hardware, as mmaemu's model computes them for numbers that are not its own."""
    generator = torch.Generator().manual_seed(group)
    preset = mmaemu.model.Preset("ours", nfma=group, frac=aligned_bits, frac_out=sum_bits, min_exp=-132, late_c=False, slow_chunk=None)
    unit = Accumulator("ours", group=group, aligned_bits=aligned_bits, sum_bits=sum_bits, rounding="toward_zero")
    for fmt_a, fmt_b in PAIRS:
        a, b = KINDS[kind_a](fmt_a, M, 130, generator), KINDS[kind_b](fmt_b, N, 130, generator)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalPresetWarning)
            wanted = mmaemu.model.dot(a[:, None].expand(M, N, 130).contiguous().view(DTYPES[fmt_a]), b[None].expand(M, N, 130).contiguous().view(DTYPES[fmt_b]), preset=preset)
        assert same_bits(accumulate(unscaled(a, fmt_a), unscaled(b.T, fmt_b), unit), wanted)


def test_a_negative_sum_that_is_cut_away_altogether_is_plus_zero():
    """With 2 bits -2^-14 stays; -2^-12 is aligned to 2^-9, as its subnormal factor counts as 2^-6, and takes what was there along."""
    preset = mmaemu.model.Preset("ours", nfma=1, frac=2, frac_out=4, min_exp=-132, late_c=False, slow_chunk=None)
    a, b = torch.tensor([[-(2.0**-8), -(2.0**-9)]]), torch.tensor([[2.0**-6, 2.0**-3]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalPresetWarning)
        wanted = mmaemu.model.dot(a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn), preset=preset)
    unit = Accumulator("ours", group=1, aligned_bits=2, sum_bits=4, rounding="toward_zero")
    got = accumulate(quantize(a, "e4m3fn"), quantize(b.T.contiguous(), "e4m3fn"), unit)
    assert same_bits(got, torch.zeros(1, 1)) and same_bits(got[0], wanted)
    assert float(accumulate(quantize(a[:, :1], "e4m3fn"), quantize(b.T[:1], "e4m3fn"), unit)) == -(2.0**-14)


def exponent_of(value):
    """floor(log2|value|) of a fraction."""
    power = abs(value).numerator.bit_length() - abs(value).denominator.bit_length()
    return power if abs(value) >= Fraction(2) ** power else power - 1


def kept(value, bits, rounding):
    """A fraction, rounded to a multiple of 2^-bits; Python's round of a fraction is half to even."""
    scaled = value * Fraction(2) ** bits
    return Fraction(round(scaled) if rounding == "half_even" else math.trunc(scaled)) / Fraction(2) ** bits


def step_by_step(row, column, fmt_a, fmt_b, unit):
    """One element of the product in fractions, by the words of the module's description."""
    sums, total = [], Fraction(0)
    for start in range(0, len(row), unit.promotion or len(row)):
        total = Fraction(0)
        chunk = range(start, min(start + (unit.promotion or len(row)), len(row)))
        for first in range(chunk.start, chunk.stop, unit.group):
            terms = [(Fraction(x) * Fraction(y), max(exponent_of(Fraction(x)), fmt_a.emin) + max(exponent_of(Fraction(y)), fmt_b.emin)) for x, y in zip(row[first : min(first + unit.group, chunk.stop)], column[first : min(first + unit.group, chunk.stop)], strict=True) if x and y]
            terms += [(total, exponent_of(total))] if total else []
            if not terms:
                continue
            top = max(exponent for _, exponent in terms)
            total = sum(term if unit.aligned_bits is None else kept(term, unit.aligned_bits - top, unit.rounding) for term, _ in terms)
            total = kept(total, unit.sum_bits - max(exponent_of(total), -126), unit.rounding) if total else total
        sums.append(total)
    register = np.float32(0)
    for each in sums:
        register = np.float32(register + np.float32(float(each)))
    return float(register if unit.promotion else total)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(("fmt_a", "fmt_b"), [("e4m3fn", "e4m3fn"), ("e5m2", "e5m2"), ("e2m1fn", "e3m2fn"), ("e4m3fnuz", "e5m2fnuz"), ("float16", "float16"), ("e4m3_nosub", "e2m3fn")])
def test_every_width_and_rounding_agrees_with_fractions(fmt_a, fmt_b, rounding):
    generator, k = torch.Generator().manual_seed(1), 50
    units = [Accumulator("own", group=group, aligned_bits=aligned, sum_bits=bits, rounding=rounding, promotion=promotion) for group, aligned, bits, promotion in ((16, 13, 13, None), (4, 9, 6, 12), (1, 24, 10, None), (32, 25, 23, 32))]
    a, b = parse_format(fmt_a), parse_format(fmt_b)
    qa, qb = (quantize(torch.randn(rows, k, generator=generator) * torch.logspace(-2, 2, k), name) for rows, name in ((3, fmt_a), (2, fmt_b)))
    for unit in [*units, ACCUMULATORS["float32"]]:
        wanted = [[step_by_step(row, column, a, b, unit) for column in qb.dequantize().tolist()] for row in qa.dequantize().tolist()]
        assert same_bits(accumulate(qa, unscaled(qb.codes.T, fmt_b), unit), torch.tensor(wanted)), unit


def test_where_nothing_is_cut_the_sum_is_the_rounded_exact_one():
    """All of K in one step of 40 bits: products of E4M3 span 36, so that only the last rounding is left."""
    generator = torch.Generator().manual_seed(2)
    a, b = (rounded(torch.randn(rows, 512, generator=generator) * 4, "e4m3fn") for rows in (M, N))
    qa, qb = unscaled(a, "e4m3fn"), unscaled(b.T, "e4m3fn")
    exact = exact_product(qa, qb)
    assert same_bits(accumulate(qa, qb, Accumulator("wide", group=512, aligned_bits=40)), exact.to(torch.float32))
    toward_zero = accumulate(qa, qb, Accumulator("wide", group=512, aligned_bits=40, rounding="toward_zero"))
    assert (toward_zero.double().abs() <= exact.abs()).all() and (toward_zero.double() != exact.to(torch.float32).double()).any()


def test_float32_is_a_plain_loop_in_float32():
    a, b = random_pair(M, N, 300, seed=4)
    qa, qb = gemm.operands(a, b.T.contiguous(), parse_recipe("e5m2"))
    x, y = qa.dequantize().numpy(), qb.dequantize().numpy()
    wanted = np.zeros((M, N), np.float32)
    for k in range(300):
        wanted += x[:, k, None] * y[k]
    assert same_bits(accumulate(qa, qb, "float32"), wanted)


def test_a_register_keeps_what_thirteen_bits_do_not():
    """Once the sum is 4096, its 13 fraction bits end at 0.5: one quarter in each of 128 further steps is cut away every time."""
    ones = torch.ones(1, 4096)
    alone = torch.zeros(1, 4096)
    alone[0, ::32] = 0.25
    qa, qb = gemm.operands(torch.cat([ones, alone], 1), torch.ones(1, 8192), parse_recipe("e4m3fn"))
    assert float(accumulate(qa, qb, "hopper_fp8")) == 4096
    assert float(accumulate(qa, qb, "hopper_fp8_128")) == 4096 + 32


@pytest.mark.parametrize("recipe", ["tensor_e4m3", "row_e4m3", "tensor_e5m2"])
def test_scales_that_are_constant_along_k_come_after(recipe):
    a, b = random_pair(M, N, 200, seed=1)
    qa, qb = gemm.operands(a, b.T.contiguous(), parse_recipe(recipe))
    fmt = qa.recipe.format
    bare = accumulate(unscaled(qa.codes, fmt), unscaled(qb.codes, fmt), "hopper_fp8_128")
    assert same_bits(accumulate(qa, qb, "hopper_fp8_128"), bare * (qa.scale * qb.scale))


def test_scales_that_change_along_k_come_at_promotion():
    """DeepSeek's recipes, 1 × 128 against 128 × 128: each partial sum times its scales goes into the register with one rounding."""
    a, b = random_pair(20, 140, 520, seed=1)
    a, b = a * torch.logspace(-2, 2, 520), b * torch.logspace(1, -1, 520)[:, None]
    qa, qb = quantize(a, "deepseek_v3_1x128"), gemm.transpose(quantize(b.T.contiguous(), "deepseek_v3_128x128"))
    got = accumulate(qa, qb, "hopper_fp8_128")
    for i, j in ((0, 0), (3, 127), (19, 139)):
        register = 0.0
        for block in range(5):
            k = slice(128 * block, 128 * block + 128)
            partial = accumulate(unscaled(qa.codes[i : i + 1, k], "e4m3fn"), unscaled(qb.codes[k, j : j + 1], "e4m3fn"), "hopper_fp8")
            scale = np.float32(float(qa.scale[i, block])) * np.float32(float(qb.scale[block, j // 128]))
            register = nearest_float32(Fraction(float(partial)) * Fraction(float(scale)) + Fraction(register))
        assert float(got[i, j]) == register
    torch.testing.assert_close(got.double(), exact_product(qa, qb), rtol=0, atol=2e-3 * float(exact_product(qa, qb).abs().max()))


def nearest_float32(value):
    """The float32 number nearest to a fraction, ties to even."""
    return float(kept(value, 23 - max(exponent_of(value), -126), "half_even")) if value else 0.0


def test_the_fused_multiply_add_rounds_once():
    generator = torch.Generator().manual_seed(3)
    a, b = (torch.randn(4000, generator=generator) for _ in "ab")
    c = -(a * b) * (1 + torch.randint(-3, 4, (4000,), generator=generator) * 2.0 ** torch.randint(-60, 0, (4000,), generator=generator))
    tie_a, tie_b, tie_c = torch.tensor([1 + 2.0**-12, 1.0, -1.0]), torch.tensor([1 + 2.0**-12, 1.0, 1.0]), torch.tensor([2.0**-80, 2.0**-24, 2.0**-25 + 2.0**-48])
    a, b, c = torch.cat([a, tie_a]), torch.cat([b, tie_b]), torch.cat([c, tie_c])
    wanted = [nearest_float32(Fraction(x) * Fraction(y) + Fraction(z)) for x, y, z in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)]
    assert _fused(a, b, c).tolist() == wanted
    assert (_fused(a, b, c) != (a.double() * b.double() + c.double()).float()).any()  # the plain way through float64 rounds twice
    assert _fused(torch.tensor([math.inf, math.nan]), torch.ones(2), torch.ones(2)).isfinite().logical_not().all()


@pytest.mark.parametrize("name", ACCUMULATORS)
def test_rows_are_independent_of_how_many_are_done_at_once(name, monkeypatch):
    qa, qb = gemm.operands(torch.randn(11, 64), torch.randn(5, 64), parse_recipe("row_e4m3"))
    whole = accumulate(qa, qb, name)
    monkeypatch.setitem(accumulate.__globals__, "_ELEMENTS", 200)
    assert torch.equal(accumulate(qa, qb, name), whole)


def test_kinds_names_and_empty_products():
    q = quantize(np.ones((2, 32), np.float32), "e4m3fn")
    got = accumulate(q, gemm.transpose(q), ACCUMULATORS["ada_fp8"])
    assert isinstance(got, np.ndarray) and got.dtype == np.float32 and got.tolist() == [[32, 32], [32, 32]]
    for shape in ((0, 4, 2), (2, 0, 3), (2, 3, 0)):
        qa, qb = quantize(torch.ones(shape[:2]), "e4m3fn"), quantize(torch.ones(shape[1:]), "e4m3fn")
        assert accumulate(qa, qb, "hopper_fp8").shape == (shape[0], shape[2]) and not accumulate(qa, qb, "hopper_fp8").any()
        with pytest.raises(ValueError, match="an empty product has no error"):
            accumulation_error(qa, qb, "hopper_fp8")
    for name, unit in ACCUMULATORS.items():
        assert unit.name == name and unit.title and unit.source and parse_accumulator(name) is parse_accumulator(unit)
    assert len({unit.title for unit in ACCUMULATORS.values()}) == len(ACCUMULATORS)


@pytest.mark.parametrize(("recipe_a", "recipe_b", "unit", "words"), [
    ("e4m3fn", "e4m3fn", "hopper", "'hopper' is not one of float32, hopper_fp8"),
    ("int8_row", "int8_row", "hopper_fp8", "int8 is not a floating point format"),
    ("nf4_64", "nf4_64", "hopper_fp8_128", "nf4 is not a floating point format"),
    ("bfloat16", "e4m3fn", "float32", "products have 12 digits from 2\\^-142"),
    ("e3m12", "e3m12", "float32", "products have 26 digits"),
    ("e8m0fnu", "e4m3fn", "float32", "sums may leave float32"),
    ("mxfp8_e4m3", "mxfp8_e4m3", "hopper_fp8", "scales change every 32 along K, and hopper_fp8 promotes never"),
    ("mxfp8_e4m3", "mxfp8_e4m3", "hopper_fp8_128", "every 32 along K, and hopper_fp8_128 promotes every 128"),
])  # fmt: skip
def test_what_is_not_modelled_is_refused_in_words(recipe_a, recipe_b, unit, words):
    qa, qb = quantize(torch.ones(4, 256), recipe_a), gemm.transpose(quantize(torch.ones(4, 256), recipe_b))
    with pytest.raises(ValueError, match=words):
        accumulate(qa, qb, unit)


def test_shapes_and_rotations_are_refused():
    q = quantize(torch.ones(4, 256), "e4m3fn")
    with pytest.raises(ValueError, match="one K are needed"):
        accumulate(q, q, "float32")
    with pytest.raises(ValueError, match="rotates the numbers"):
        accumulate(quantize(torch.ones(4, 256), "te_nvfp4_rht"), gemm.transpose(q), "float32")
    with pytest.raises(ValueError, match="k = 9: it is between 1 and K = 8"):
        accumulation_growth(torch.ones(2, 8), torch.ones(8, 2), "e4m3fn", ["float32"], [9])


@pytest.mark.parametrize(("numbers", "words"), [
    ({"rounding": "up"}, "rounding = 'up' is not one of toward_zero, half_even"),
    ({"group": 0}, "group = 0: it is between 1 and 1024"),
    ({"group": 4}, "without aligned_bits it is float32 arithmetic"),
    ({"aligned_bits": 41}, "aligned_bits = 41: it is between 1 and 40"),
    ({"aligned_bits": 13, "sum_bits": 24}, "sum_bits = 24: it is between 1 and 23"),
    ({"aligned_bits": 13, "group": 32, "promotion": 48}, "promotion = 48 is not a multiple of the group of 32"),
    ({"splits": 0}, "splits = 0"),
    ({"splits": 2, "promotion": 48}, "splits = 2, promotion = 48"),
])  # fmt: skip
def test_numbers_that_make_no_unit_are_refused(numbers, words):
    with pytest.raises(ValueError, match=words):
        Accumulator("own", **numbers)


def test_cutting_hurts_numbers_of_one_sign_and_promotion_stops_it():
    """Sums of positive numbers grow with K and so does the size of what is cut from each step, always downwards; of numbers with mean zero both grow slower."""
    a, b = random_pair(32, 32, 4096, seed=6)
    errors = {(mean, e.accumulator, e.k): e for mean in (0, 1) for e in accumulation_growth(a + mean, b + mean, "tensor_e4m3", ["float32", "hopper_fp8", "hopper_fp8_128"], [256, 4096])}
    assert errors[1, "hopper_fp8", 4096].relative_error > 30 * errors[1, "hopper_fp8", 256].relative_error > 0
    assert errors[1, "hopper_fp8", 4096].mean_error < -0.95 * errors[1, "hopper_fp8", 4096].rms_error
    assert abs(errors[0, "hopper_fp8", 4096].mean_error) < 0.3 * errors[0, "hopper_fp8", 4096].rms_error
    assert errors[1, "hopper_fp8", 4096].relative_error > 10 * errors[0, "hopper_fp8", 4096].relative_error
    for mean in (0, 1):
        promoted, plain = errors[mean, "hopper_fp8_128", 4096], errors[mean, "float32", 4096]
        assert promoted.relative_error < 1.5 * errors[mean, "hopper_fp8_128", 256].relative_error
        assert plain.relative_error < 1e-6 < promoted.relative_error < errors[mean, "hopper_fp8", 4096].relative_error / 5
        assert promoted.sqnr_db == pytest.approx(-20 * math.log10(promoted.relative_error), abs=1e-6)
        assert promoted.max_abs_error >= promoted.rms_error >= abs(promoted.mean_error)


def test_a_product_of_zeros_has_no_relative_error():
    q = quantize(torch.zeros(2, 8), "e4m3fn")
    report = accumulation_error(q, gemm.transpose(q), "hopper_fp8")
    assert report.rms_error == 0 and math.isnan(report.relative_error)
