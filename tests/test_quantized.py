"""Recipes and quantize: the laws that every recipe keeps, and the figures that the field knows."""

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fp8core as fp8
from fp8core.recipes import parse_recipe

SCALED = [name for name in fp8.RECIPES if fp8.RECIPES[name].scaling is not None]
RULE = {name: fp8.RECIPES[name].scaling.rule for name in SCALED}
ROTATED = {name for name in SCALED if fp8.RECIPES[name].rotation}

# what a library does to a block of zeros, where it is not what one would wish: 0 / 0
ZEROS_BECOME_NAN = {"torchao_inference", "torchao_nvfp4", "modelopt_fp8_packed", "modelopt_nvfp4", "gaudi_maxabs_pow2", "gaudi_maxabs_arbitrary"}
# rules that look at the size of amax itself: a floor under it, a fixed set of scales, or a scale format that ends
ABSOLUTE = {"deepseek", "deepseek_ue8m0", "deep_gemm", "deep_gemm_ue8m0", "torchao_int8", "torchao_nvfp4_one_level", "gaudi_maxabs_hw"}
# formats that reach further below zero than above, where the scale makes use of it
ONE_SIDED = {"torchao_int8_per_row", "compressed_tensors_int8", "compressed_tensors_w4a16", "nf4_64"}


def gaussian(rows=1024, columns=1024, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("recipe", "decibel"), [("tensor_e4m3", 31.5), ("tensor_e5m2", 25.5), ("mxfp4", 18.9), ("nvfp4", 20.4)])
def test_known_sqnr_on_gaussian_data(recipe, decibel):
    x = gaussian()
    assert fp8.measure(x, fp8.quantize(x, recipe)).sqnr_db == pytest.approx(decibel, abs=0.2)


@pytest.mark.parametrize("name", fp8.RECIPES)
def test_names_lead_back_to_the_recipe(name):
    recipe = fp8.RECIPES[name]
    assert parse_recipe(name) is recipe
    spelled = fp8.make_recipe(recipe.format, recipe.scaling, recipe.rounding, recipe.overflow)
    assert (spelled.format, spelled.scaling, spelled.rounding, spelled.overflow) == (recipe.format, recipe.scaling, recipe.rounding, recipe.overflow)
    assert parse_recipe(spelled.name).scaling == recipe.scaling
    assert recipe.title
    assert recipe.source


NOT_TOGETHER = {("float32", "torchao_even"), *((name, "te_nvfp4") for name in ("float32", "tfloat32", "bfloat16", "e8m0fnu", "binary8p1uf", "binary8p1ue"))}


@given(
    fmt=st.sampled_from([*fp8.FORMATS, "e3m2b5", "int5"]), granularity=st.sampled_from([*fp8.GRANULARITIES, "3x7", "*x2"]),
    rule=st.sampled_from(list(fp8.SCALE_RULES)), scale_format=st.sampled_from(list(fp8.SCALE_FORMATS)),
)  # fmt: skip
def test_every_pair_has_a_name_that_parses_back(fmt, granularity, rule, scale_format):
    legal = fp8.SCALE_RULES[rule].scale_formats
    if legal and scale_format not in legal:
        with pytest.raises(ValueError, match=f"rule {rule} stores its scales in"):
            fp8.ScaleSpec(fp8.parse_granularity(granularity), rule, scale_format)
        return
    spec = fp8.ScaleSpec(fp8.parse_granularity(granularity), rule, scale_format)
    if (fmt, rule) in NOT_TOGETHER:
        with pytest.raises(ValueError, match="cannot scale"):
            fp8.make_recipe(fmt, spec)
        return
    recipe = fp8.make_recipe(fmt, spec)
    assert parse_recipe(recipe.name) == recipe
    assert parse_recipe(f"{fmt}:{granularity}:{rule}").scaling.scale_format == (legal[0] if legal else "float32")


@pytest.mark.parametrize(("bad", "why"), [("mxfp9", "'mxfp9' is not a format"), ("e4m3fn:diag", "granularity 'diag'"), ("e4m3fn:row:up", "rule = 'up'"), ("int8:row:amax:int8", "scale_format = 'int8'"), ("a:b:c:d:e", "5 parts")])
def test_bad_recipe_names_are_refused_in_words(bad, why):
    with pytest.raises(ValueError, match=why):
        fp8.quantize(torch.ones(2, 2), bad)


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize("shape", [(1,), (7,), (5, 33), (64, 130), (2, 3, 37), (0,), (3, 0), ()])
def test_any_shape_works_and_numpy_equals_torch(name, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    q, qn = fp8.quantize(x, name, seed=0), fp8.quantize(x.numpy(), name, seed=0)
    assert q.codes.shape == q.dequantize().shape == x.shape
    assert q.dequantize().dtype == torch.float32
    assert isinstance(qn.codes, np.ndarray)
    assert np.array_equal(q.dequantize().numpy(), qn.dequantize())


@pytest.mark.parametrize("name", SCALED)
def test_zeros_stay_zeros(name):
    q = fp8.quantize(torch.zeros(40, 40), name)
    if RULE[name] in ZEROS_BECOME_NAN:
        assert torch.all(q.dequantize().isnan())
        return
    assert torch.all(q.dequantize() == 0)
    assert torch.all(q.scale.isfinite())


@pytest.mark.parametrize("name", [n for n in SCALED if RULE[n] not in ABSOLUTE and n not in ("modelopt_fp8", "fp4_ue5m3")])
@pytest.mark.parametrize("k", [-20, 3, 17])
def test_a_power_of_two_passes_through(name, k):
    x = gaussian(48, 160)
    assert torch.equal(fp8.quantize(x * 2.0**k, name, seed=0).dequantize(), fp8.quantize(x, name, seed=0).dequantize() * 2.0**k)


@pytest.mark.parametrize("name", [n for n in SCALED if n not in ONE_SIDED])
def test_odd_symmetry(name):
    x = gaussian(48, 160)
    assert torch.equal(fp8.quantize(-x, name, seed=0).dequantize(), -fp8.quantize(x, name, seed=0).dequantize())


@pytest.mark.parametrize("name", [n for n in SCALED if n not in ROTATED and fp8.RECIPES[n].rounding != "stochastic"])
def test_transposed_spec_on_the_transpose(name):
    x, recipe = gaussian(70, 150), fp8.RECIPES[name]
    other = fp8.quantize(x.T, fp8.make_recipe(recipe.format, recipe.scaling.transposed, recipe.rounding))
    assert torch.equal(other.dequantize().T, fp8.quantize(x, name).dequantize())


def test_permuting_rows_permutes_a_per_row_result():
    x, order = gaussian(64, 96), torch.randperm(64, generator=torch.Generator().manual_seed(1))
    for name in ("row_e4m3", "mxfp8_e4m3", "deepseek_v3_1x128", "int8_row"):
        assert torch.equal(fp8.quantize(x[order], name).dequantize(), fp8.quantize(x, name).dequantize()[order])


@pytest.mark.parametrize("name", ["mxfp8_e4m3", "mxfp8_e5m2", "mxfp4", "mxfp6_e3m2", "mxfp6_e2m3"])
@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**100), max_value=2.0**100), min_size=1, max_size=70))
def test_mx_recipes_are_idempotent(name, numbers):
    """A second pass changes nothing, unless the first one rounded a block's maximum up into the next binade of scales."""
    x = torch.tensor(numbers, dtype=torch.float32)
    once = fp8.quantize(x, name)
    twice = fp8.quantize(once.dequantize(), name)
    if torch.equal(once.scale, twice.scale):
        assert torch.equal(once.dequantize(), twice.dequantize())


def test_tensor_and_row_e4m3_equal_the_plain_formula_with_ml_dtypes():
    x = gaussian(100, 300).numpy()
    for name, largest in (("tensor_e4m3", np.abs(x).max()), ("row_e4m3", np.abs(x).max(axis=1, keepdims=True))):
        scale = np.float32(largest / np.float32(448))
        want = (x.astype(np.float64) / scale).astype(np.float64)
        codes = fp8.quantize(x, name).codes
        assert np.array_equal(codes, want.astype(ml_dtypes.float8_e4m3fn).view(np.uint8))


def test_ue8m0_recipes_hold_e4m3_elements_and_power_of_two_scales():
    q = fp8.quantize(gaussian(), "deepseek_v3_128x128_ue8m0")
    mantissa, _ = torch.frexp(q.scale)
    assert torch.all(mantissa == 0.5)
    assert q.recipe.format == "e4m3fn"
    assert q.codes.unique().numel() > 100
    assert q.bits_per_value == pytest.approx(8 + 32 / 128**2)


def test_a_static_amax_takes_the_place_of_the_measured_one():
    x = gaussian(8, 64)
    q = fp8.quantize(x, "tensor_e4m3", amax=2.0)
    assert q.scale.item() == torch.tensor(2.0 / 448).item()
    assert q.dequantize().abs().max() == 2.0
    own = fp8.scaling.amax(x, (1, 32))
    assert torch.equal(fp8.quantize(x, "mxfp4", amax=own).codes, fp8.quantize(x, "mxfp4").codes)
    assert torch.equal(fp8.quantize(x, "te_current", amax=own.max()).codes, fp8.quantize(x, "te_current").codes)
    for bad, why in ((torch.ones(3), r"amax has shape \(3,\): it is one number, or one for each block, \(8, 2\)"), (-1.0, "amax = -1.0: it is a number of at least 0"), (float("nan"), "amax = nan")):
        with pytest.raises(ValueError, match=why):
            fp8.quantize(x, "mxfp4", amax=bad)
    with pytest.raises(ValueError, match="has no scaling: an amax has no use there"):
        fp8.quantize(x, "bfloat16", amax=1.0)


def test_a_rotated_recipe_comes_back_and_keeps_products():
    x = gaussian(32, 100)
    x[:, 3] *= 300
    plain, rotated = (fp8.measure(x, fp8.quantize(x, name)) for name in ("te_nvfp4", "te_nvfp4_rht"))
    assert rotated.underflow < plain.underflow
    a, b = gaussian(16, 64), gaussian(64, 16, seed=1)
    got, _ = fp8.gemm.product(a, b, "te_nvfp4_rht")
    assert fp8.sqnr_db(a @ b, got) > 15
    with pytest.raises(ValueError, match="rotates rows"):
        fp8.gemm.transpose(fp8.quantize(a, "te_nvfp4_rht"))


def test_deepseek_clamps_tiny_blocks():
    q = fp8.quantize(torch.full((1, 128), 1e-10), "deepseek_v3_1x128")
    assert q.scale.item() == torch.tensor(1e-4).div(448).item()
    assert torch.all(q.dequantize() == 0)


@pytest.mark.parametrize(("name", "bits"), [("mxfp4", 4.25), ("nvfp4", 4.5 + 32 / 2**20), ("mxfp8_e4m3", 8.25), ("int8_tensor", 8 + 32 / 2**20), ("bfloat16", 16.0), ("mxfp6_e3m2", 6.25)])
def test_bits_per_value(name, bits):
    assert fp8.quantize(gaussian(), name).bits_per_value == pytest.approx(bits, abs=1e-12)


def test_stochastic_recipes_take_a_seed():
    recipe = fp8.make_recipe("e4m3fn", fp8.ScaleSpec(), rounding="stochastic")
    x = gaussian(64, 64)
    a, b = fp8.quantize(x, recipe, seed=1), fp8.quantize(x, recipe, seed=1)
    assert torch.equal(a.codes, b.codes)
    with pytest.raises(ValueError, match="rounding = 'best'"):
        fp8.make_recipe("e4m3fn", rounding="best")
    with pytest.raises(ValueError, match="overflow = 'wrap'"):
        fp8.make_recipe("e4m3fn", overflow="wrap")
