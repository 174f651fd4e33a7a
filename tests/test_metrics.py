"""The error report against the same quantities written out in numpy."""

import math

import numpy as np
import pytest
import torch

import fp8core as fp8


@pytest.mark.parametrize("name", [name for name in fp8.RECIPES if name != "ue8m0_element"])  # negative numbers are lost there
def test_report_agrees_with_numpy(name):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((60, 130)) * np.exp2(rng.integers(-12, 6, (60, 130)))).astype(np.float32)
    x[::7, ::5] = 0
    q = fp8.quantize(x, name, seed=0)
    r, y = fp8.measure(x, q), q.dequantize().astype(np.float64)
    error = x - y
    assert r.mse == pytest.approx(np.mean(error**2), rel=1e-12, abs=0)
    assert r.max_abs == np.abs(error).max()
    assert r.cosine == pytest.approx(np.vdot(x.astype(float), y) / np.linalg.norm(x.astype(float)) / np.linalg.norm(y), rel=1e-12)
    assert r.underflow == np.mean((x != 0) & (y == 0))
    assert r.zeros == np.sum(x == 0)
    assert r.count == x.size
    if np.any(error):
        assert r.sqnr_db == pytest.approx(20 * np.log10(np.linalg.norm(x.astype(float)) / np.linalg.norm(error)), rel=1e-9)
    exponents = np.frexp(x[x != 0])[1] - 1
    assert r.binades[0] == exponents.min()
    assert r.binades[-1] == exponents.max()
    for binade, count, mse, sqnr in zip(r.binades, r.binade_count, r.binade_mse, r.binade_sqnr_db, strict=True):
        inside = (x != 0) & (np.frexp(x)[1] - 1 == binade)
        assert count == inside.sum()
        if count:
            assert mse == pytest.approx(np.mean(error[inside] ** 2), rel=1e-9)
        if count and mse:
            assert sqnr == pytest.approx(10 * np.log10(np.sum(x[inside].astype(float) ** 2) / np.sum(error[inside] ** 2)), abs=1e-9)
    if q.recipe.fmt.bits <= 16:
        assert np.array_equal(r.code_histogram, np.bincount(q.codes.ravel(), minlength=1 << q.recipe.fmt.bits))
        assert r.codes_used == len(np.unique(q.codes))


@pytest.mark.parametrize("name", ["tensor_e4m3", "row_e4m3", "nvfp4", "int8_row", "deepseek_v3_1x128", "mxfp8_e4m3"])
def test_rounding_to_nearest_costs_at_most_half_an_ulp_unless_clipped(name):
    x = torch.randn(200, 256, generator=torch.Generator().manual_seed(3))
    r = fp8.measure(x, fp8.quantize(x, name))
    assert (r.max_ulp <= 0.5 + 1e-12) == (r.saturation == 0)


def test_formats_of_subnormals_only_have_the_ulp_of_their_only_binade():
    x = [1.0, 1.95, 0.01]
    assert fp8.measure(x, fp8.quantize(x, "e1m6")).max_ulp <= 0.5
    assert fp8.parse_format("e1m6").ulp_at_max == 2.0**-5


def test_saturation_counts_what_is_clipped_by_more_than_half_an_ulp():
    x = [448.0, 463.9, 464.0, 464.1, 1e9, -1e9, 1.0, 0.0]
    for overflow, lost in (("saturate", 0), ("ieee", 3)):
        r = fp8.measure(x, fp8.quantize(x, fp8.make_recipe("e4m3fn", overflow=overflow)))
        assert r.saturation == 3 / 8
        assert r.lost == lost


def test_nan_and_infinity_are_counted_and_kept_out_of_the_errors():
    x = torch.tensor([1.0, torch.nan, torch.inf, -torch.inf, 0.0, 2.0])
    r = fp8.measure(x, fp8.quantize(x, "tensor_e4m3"))
    assert (r.nans, r.infs, r.zeros, r.lost, r.count) == (1, 2, 1, 0, 6)
    assert r.mse == 0.0
    assert r.sqnr_db == math.inf


def test_nothing_to_measure_is_said_with_nan():
    empty = fp8.measure(torch.zeros(0, 4), fp8.quantize(torch.zeros(0, 4), "mxfp4"))
    assert math.isnan(empty.sqnr_db)
    assert math.isnan(empty.mse)
    assert empty.count == 0
    assert empty.binades.size == 0
    zeros = fp8.measure(torch.zeros(3, 3), fp8.quantize(torch.zeros(3, 3), "mxfp4"))
    assert math.isnan(zeros.sqnr_db)
    assert zeros.mse == 0.0
    assert zeros.zeros == 9


def test_wide_formats_have_no_code_histogram():
    r = fp8.measure([1.1, 2.2], fp8.quantize([1.1, 2.2], "tfloat32"))
    assert r.code_histogram.size == 0


def test_subnormal_and_huge_numbers_do_not_break_the_binades():
    x = torch.tensor([2.0**-149, 2.0**-126, 2.0**127], dtype=torch.float32)
    r = fp8.measure(x, fp8.quantize(x, "bfloat16"))
    assert r.binades[0] == -149
    assert r.binades[-1] == 127
    assert np.all(r.binade_sqnr_db[[23, -1]] == np.inf)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"x has shape \(2,\) and q has shape \(3,\)"):
        fp8.measure([1.0, 2.0], fp8.quantize([1.0, 2.0, 3.0], "tensor_e4m3"))


def test_sqnr_of_equal_and_of_zero():
    assert fp8.sqnr_db([1.0], [1.0]) == math.inf
    assert math.isnan(fp8.sqnr_db([0.0], [1.0]))
    assert math.isnan(fp8.cosine([0.0], [1.0]))
