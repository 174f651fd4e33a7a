"""Blocks, amax and scale rules; the rules against exact rational arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

import fp8core as fp8
from fp8core.rules import GENERIC_RULES
from fp8core.scaling import SCALE_FORMATS, amax, compute_scales, expand, from_blocks, parse_granularity, to_blocks

ELEMENTS = ["e4m3fn", "e5m2", "e2m3fn", "e3m2fn", "e2m1fn", "mxint8", "int8", "e4m3fnuz"]
POWER_RULES = ["floor", "ceil", "rceil", "even"]


def floor_log2(value: Fraction) -> int:
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return exponent if Fraction(2) ** exponent <= value else exponent - 1


def ceil_log2(value: Fraction) -> int:
    return floor_log2(value) + (Fraction(2) ** floor_log2(value) != value)


def exact_exponent(rule: str, amax: Fraction, fmt) -> int:
    """The rules as written down, in rational numbers."""
    if rule == "floor":
        return floor_log2(amax) - fmt.emax
    if rule == "ceil":
        return ceil_log2(amax) - fmt.emax
    if rule == "rceil":
        return ceil_log2(amax / Fraction(fmt.max))
    step = Fraction(2) ** (floor_log2(amax) - fmt.mantissa_bits)
    return floor_log2(math.floor(amax / step + Fraction(1, 2)) * step) - fmt.emax


def tricky_amaxes() -> np.ndarray:
    """2^k, 1.5·2^k, 1.75·2^k … over the whole float32 range, and both float32 neighbours of each; subnormals too."""
    k = np.arange(-149, 128)
    points = np.concatenate([np.ldexp(m, k) for m in (1.0, 1.25, 1.5, 1.75, 1.875, 1.9375, 1.96875, 1.984375)])
    points = np.append(points[points < 3.4e38], [448.0, 57344.0, 6.0, 7.5, 28.0, 127.0]).astype(np.float32)
    around = np.concatenate([points, np.nextafter(points, np.float32(np.inf)), np.nextafter(points, np.float32(0))])
    return around[(around > 0) & np.isfinite(around)]


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("rule", POWER_RULES)
def test_power_of_two_rules_are_exact_everywhere(rule, element):
    fmt, amaxes = fp8.parse_format(element), tricky_amaxes()
    spec = fp8.ScaleSpec((1, 1), rule, "e8m0fnu")
    got = compute_scales(torch.from_numpy(amaxes)[:, None], fmt, spec)
    want = [min(max(exact_exponent(rule, Fraction(float(a)), fmt), -127), 127) for a in amaxes]
    assert np.array_equal(got.values.numpy()[:, 0], np.ldexp(1.0, want).astype(np.float32))
    assert np.array_equal(got.codes.numpy()[:, 0].astype(int), np.array(want) + 127)


@pytest.mark.parametrize("element", ELEMENTS)
def test_the_amax_rule_is_the_correctly_rounded_quotient(element):
    fmt, amaxes = fp8.parse_format(element), tricky_amaxes()
    got = compute_scales(torch.from_numpy(amaxes)[:, None], fmt, fp8.ScaleSpec((1, 1)))
    want = np.maximum(amaxes / np.float32(fmt.max), np.float32(2.0**-126))
    assert np.array_equal(got.values.numpy()[:, 0], want)


@pytest.mark.parametrize("rule", ["ceil", "rceil"])
@pytest.mark.parametrize("element", ["e4m3fn", "e5m2", "e2m1fn"])
def test_ceil_and_rceil_never_clip(rule, element):
    x = torch.from_numpy(tricky_amaxes())[:, None]
    x = x[x >= 2.0**-100]
    q = fp8.quantize(x[:, None], fp8.parse_format(element), fp8.ScaleSpec((1, 1), rule, "e8m0fnu"))
    assert fp8.measure(x[:, None], q).saturation == 0.0


def test_nvfp4_anatomy():
    x = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    q = fp8.quantize(x, "nvfp4")
    assert q.global_scale == x.abs().max() / (6 * 448)
    assert q.scale.shape == q.scale_codes.shape == (64, 16)
    assert torch.equal(q.scale, fp8.decode(q.scale_codes, "e4m3fn") * q.global_scale)
    assert int(q.scale_codes.max()) == 0x7E
    block = x[5, 32:48]
    want = fp8.round_to(block.abs().max().double() / 6 / q.global_scale.double(), "e4m3fn")
    assert fp8.decode(q.scale_codes[5, 2], "e4m3fn") == want


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (64, 32), (33, 129), (1, 1000), (1000, 1)])
@pytest.mark.parametrize("granularity", [*fp8.GRANULARITIES, "3x5", "*x2", "7x*"])
def test_blocks_cover_the_matrix_and_never_straddle_rows(shape, granularity):
    block = parse_granularity(granularity)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(from_blocks(to_blocks(x, block), shape), x)
    grid = amax(x, block)
    rows, columns = (length if side is None else min(side, length) for side, length in zip(block, shape, strict=True))
    for i, j in {(0, 0), (grid.shape[0] - 1, grid.shape[1] - 1), (grid.shape[0] // 2, grid.shape[1] // 2)}:
        part = x[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
        assert grid[i, j] == part.abs().max()
        assert torch.all(expand(grid, shape, block)[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns] == grid[i, j])


@pytest.mark.parametrize("scale_format", SCALE_FORMATS)
@pytest.mark.parametrize("rule", GENERIC_RULES)
def test_zero_tiny_and_huge_blocks_have_finite_positive_scales(rule, scale_format):
    x = torch.tensor([[0.0] * 16, [1e-45] * 16, [2.0**-126] * 16, [1.0] * 16, [3e38] * 16])
    q = fp8.quantize(x, fp8.parse_format("e4m3fn"), fp8.ScaleSpec((1, 16), rule, scale_format))
    assert torch.all(q.scale > 0)
    assert torch.all(q.scale.isfinite())
    assert torch.all(q.dequantize()[0] == 0)
    assert torch.all(q.dequantize().isfinite())


@pytest.mark.parametrize(("element", "scale_format"), [("e2m1fn", "e8m0fnu"), ("int8", "float32"), ("e2m1fn", "e4m3fn_float32"), ("mxint8", "e8m0fnu")])
def test_nan_takes_its_block_where_elements_cannot_hold_it(element, scale_format):
    x = torch.ones(2, 64)
    x[0, 3] = torch.nan
    q = fp8.quantize(x, fp8.parse_format(element), fp8.ScaleSpec((1, 32), scale_format=scale_format))
    y = q.dequantize()
    assert torch.all(y[0, :32].isnan())
    assert torch.all(y[0, 32:].isfinite())
    assert torch.all(y[1].isfinite())
    assert fp8.measure(x, q).lost == 31


def test_nan_and_infinity_leave_their_neighbours_alone():
    x = torch.tensor([[1.0, 2.0, torch.nan, torch.inf, -torch.inf, 0.5]])
    q = fp8.quantize(x, "tensor_e4m3")
    assert q.scale.item() == torch.tensor(2.0).div(448).item()
    y = q.dequantize()
    assert y[0, :2].tolist() == [1.0, 2.0]
    assert y[0, 2].isnan()
    assert y[0, 3:5].tolist() == [2.0, -2.0]


def test_what_rounds_beyond_float32_is_counted_as_lost():
    x = torch.full((1, 32), 3.4e38)  # the nearest E4M3 number with a power-of-two scale is 2^128
    q = fp8.quantize(x, fp8.parse_format("e4m3fn"), fp8.ScaleSpec((1, 32), "rceil", "e8m0fnu"))
    assert torch.all(q.dequantize().isinf())
    assert fp8.measure(x, q).lost == 32


def test_specs_refuse_what_they_cannot_mean():
    for bad in [(0, 1), (1,), (1.5, 2), ("row", 1)]:
        with pytest.raises(ValueError, match="block = "):
            fp8.ScaleSpec(bad)
    with pytest.raises(ValueError, match="rule = 'round' is not one of amax, floor"):
        fp8.ScaleSpec(rule="round")
    with pytest.raises(ValueError, match="scale_format = 'fp8' is not one of float32"):
        fp8.ScaleSpec(scale_format="fp8")
    with pytest.raises(ValueError, match="amax_floor = -1"):
        fp8.ScaleSpec(amax_floor=-1)
    for bad in ["rows", "0x4", "1x", "1x2x3", "99999999999x1", ""]:
        with pytest.raises(ValueError, match="granularity"):
            parse_granularity(bad)
    with pytest.raises(ValueError, match=r"shape \(0, 4\) is empty"):
        compute_scales(torch.zeros(0, 4), fp8.parse_format("e4m3fn"), fp8.ScaleSpec())
