"""Every backend against the definition, over odd sizes; the tolerance is the proven bound of float32 sums, nothing tuned."""

import numpy as np
import pytest
import torch

from fp8core import RECIPES, ScaleSpec, gemm, make_recipe, parse_recipe, quantize
from fp8core.gemm import native
from fp8core.gemm.error import error_growth, independent_db, outlier_effect, product_error, random_pair

UNIT = {"float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
SHAPES = [(1, 1, 1), (17, 33, 19), (5, 200, 3), (64, 64, 64), (2, 257, 130)]
EXTRA = ["e5m2:row", "e4m3fnuz:tensor", "e5m2fnuz:row", "e4m3fn:1x48", "e3m4:64x64:rceil:e8m0fnu", "int6:row", "bfloat16:row", "e4m3fn"]


def pair(shape, recipe):
    """Quantized A (M, K) and B (K, N) of normal numbers; sizes of rows and columns differ 100 times."""
    m, k, n = shape
    generator = torch.Generator().manual_seed(m * 1000 + k)
    a = torch.randn(m, k, generator=generator) * torch.logspace(-1, 1, m)[:, None]
    b = torch.randn(n, k, generator=generator) * torch.logspace(1, -1, n)[:, None]
    return gemm.operands(a, b, parse_recipe(recipe), seed=0)


def exact_parts(q):
    """decode(codes) · scale in float64, nothing rounded."""
    values = torch.tensor(q.recipe.fmt.values)[q.codes.long()] if q.recipe.fmt.bits <= 16 else q.dequantize().double()
    return values if q.recipe.scaling is None else values * q.element_scale().double()


def allowed(name, a, b):
    """Bound of |computed - exact| for one backend.

    K products, K - 1 sums and at most 6 roundings of scales and operands around them, in float32; Source: N. Higham, Accuracy and
    Stability of Numerical Algorithms, section 3.1: gamma_n = n u / (1 - n u). An inexact backend rounds its result once more to
    its own format (`dequantize_bfloat16` both operands too), subnormal results of float16 to a multiple of 2^-24.
    """
    roundings = (a.shape[1] + 6) * UNIT["float32"]
    coarse = {"dequantize_bfloat16": 3 * UNIT["bfloat16"], "bfloat16": UNIT["bfloat16"], "fp8_row_bfloat16": UNIT["bfloat16"], "float16": UNIT["float16"]}
    coarse = coarse.get(name, 0.0)
    share = (1 + roundings / (1 - roundings)) / (1 - coarse) - 1  # (1 + u)^n <= 1 / (1 - n u)
    return share * (a.abs() @ b.abs()) + (2.0**-25 if name == "float16" else 2.0**-140)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("recipe", [name for name in (*RECIPES, *EXTRA) if name != "ue8m0_element"])  # negative numbers are NaN there
def test_every_available_backend_agrees_with_the_exact_product(recipe, shape):
    qa, qb = pair(shape, recipe)
    a, b = exact_parts(qa), exact_parts(qb)
    ran = []
    for name in gemm.BACKENDS:
        if gemm.availability(name, qa.recipe, qb.recipe, "cpu", shape) is None:
            c = gemm.matmul(qa, qb, name)
            assert c.dtype == torch.float32 and c.shape == (shape[0], shape[2])
            assert ((c.double() - a @ b).abs() <= allowed(name, a, b)).all(), name
            ran.append(name)
    assert {"reference", "dequantize_float32", "dequantize_bfloat16"} <= set(ran)


@pytest.mark.parametrize("name", gemm.BACKENDS)
def test_every_backend_runs_or_says_why_not(name):
    """Where this host cannot do it, the test is skipped with the sentence that a page shows."""
    recipe = {"int8": "int8_row", "tfloat32": "tfloat32", "fp8_blocks": "mxfp8_e4m3", "fp8_tensor": "tensor_e4m3", "float32": "float32"}.get(name)
    recipe = recipe or next((form for form in ("bfloat16", "float16") if name.startswith(form)), "row_e4m3")
    qa, qb = pair((16, 64, 16), recipe)
    reason = gemm.availability(name, qa.recipe, qb.recipe)
    if reason:
        assert " " in reason and not reason.endswith(".")
        with pytest.raises(ValueError, match="cannot do this product") as raised:
            gemm.matmul(qa, qb, name)
        assert reason in str(raised.value)
        pytest.skip(reason)
    assert gemm.matmul(qa, qb, name).isfinite().all()


@pytest.mark.parametrize(
    ("name", "recipe", "shape", "words"),
    [
        ("fp8_tensor", "row_e4m3", None, "more than one scale"),
        ("fp8_row", "mxfp8_e4m3", None, "changes every 32 along K"),
        ("fp8_row", "int8_row", None, "int8 is not an FP8 format that torch has"),
        ("fp8_unscaled", "e3m4:row", None, "e3m4 is not an FP8 format"),
        ("fp8_blocks", "row_e4m3", None, "nothing to cut"),
        ("fp8_blocks", "mxfp4", None, "e2m1fn is not an FP8 format"),
        ("fp8_blocks", "e4m3fn:1x24", None, "every 24 along K, which is not a multiple of 16"),
        ("int8", "row_e4m3", None, "not an integer format"),
        ("int8", "int8_row", (1, 131072, 1), "K = 131072 is above 131071"),
        ("int8", "mxint8", None, "changes every 32 along K"),
        ("tfloat32", "tfloat32", None, "CUDA devices only"),
        ("float16", "float16", (100_000, 100_000, 100_000), "the limit is 20 s"),
        ("bfloat16", "bfloat16:row", None, "overflow before the scale"),
        ("bfloat16", "row_e4m3", None, "e4m3fn is not bfloat16"),
    ],
)
def test_refusals_have_words(name, recipe, shape, words):
    recipe = parse_recipe(recipe)
    assert words in gemm.availability(name, recipe, gemm.transpose_recipe(recipe), "cpu", shape)


def test_a_block_longer_than_k_is_one_scale():
    a, b = torch.randn(4, 20), torch.randn(20, 3)
    _, ran = gemm.product(a, b, "mxfp8_e4m3")
    assert ran == "dequantize_float32" or ran.startswith("fp8")
    qa, qb = pair((4, 20, 3), "mxfp8_e4m3")
    assert gemm.availability("fp8_row", qa.recipe, qb.recipe, "cpu", (4, 20, 3)) is None


def test_int8_sums_are_exact():
    """Sums that float32 cannot hold: int32 can, and only the last step rounds."""
    k = 4099
    values = torch.full((1, k), 127.0)
    q = quantize(values, make_recipe("int8", ScaleSpec((1, None))))
    assert float(gemm.matmul(q, gemm.transpose(q), "int8")) == float(torch.tensor(127.0 * 127.0 * k).float())


def test_auto_takes_codes_as_they_are_and_says_so():
    a, b = torch.randn(8, 32), torch.randn(32, 8)
    assert gemm.product(a, b, "int8_row")[1] == "int8"
    assert gemm.product(a, b, "mxfp4")[1] == "dequantize_float32"
    assert gemm.product(a, b, "float32")[1] == "float32"
    for recipe in ("tensor_e4m3", "row_e4m3", "bfloat16", "float16", "tfloat32"):
        assert gemm.BACKENDS[gemm.product(a, b, recipe)[1]].exact


def test_product_puts_blocks_along_k():
    a, b = random_pair(3, 5, 64, seed=1)
    c, _ = gemm.product(a, b, "mxfp8_e4m3", "reference")
    wanted = quantize(a, "mxfp8_e4m3").dequantize() @ quantize(b.T.contiguous(), "mxfp8_e4m3").dequantize().T
    torch.testing.assert_close(c, wanted, rtol=1e-6, atol=1e-6)


def test_transpose_keeps_values_and_sizes():
    q = quantize(torch.randn(40, 100), "nvfp4")
    t = gemm.transpose(q)
    assert t.shape == (100, 40) and t.nbytes == q.nbytes and t.recipe.scaling.block == (16, 1)
    assert torch.equal(t.dequantize(), q.dequantize().T)
    assert gemm.transpose(t).recipe == q.recipe


def test_a_floor_under_amax_survives_the_transpose():
    floored = ScaleSpec((1, 128), amax_floor=1e-4)
    assert gemm.transpose_recipe(make_recipe("e4m3fn", floored)).scaling == ScaleSpec((128, 1), amax_floor=1e-4)


def test_the_kind_that_went_in_comes_out():
    a, b = np.ones((2, 3), np.float32), np.ones((3, 2), np.float32)
    c, _ = gemm.product(a, b, "row_e4m3")
    assert isinstance(c, np.ndarray) and c.dtype == np.float32
    assert isinstance(gemm.matmul(quantize(a, "int8_tensor"), quantize(b, "int8_tensor")), np.ndarray)
    assert isinstance(gemm.product(torch.ones(2, 3), torch.ones(3, 2), "row_e4m3")[0], torch.Tensor)


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 3), (2, 3, 0)])
def test_empty_matrices(shape):
    m, k, n = shape
    c, _ = gemm.product(torch.ones(m, k), torch.ones(k, n), "mxfp8_e4m3")
    assert c.shape == (m, n) and not c.any()


@pytest.mark.parametrize(("a", "b", "words"), [((3, 4), (5, 6), r"one K, and here it is 4 and 5"), ((3,), (3, 4), "takes two matrices"), ((2, 3, 4), (4, 2), "two matrices")])
def test_shapes_are_checked(a, b, words):
    with pytest.raises(ValueError, match=words):
        gemm.product(torch.ones(a), torch.ones(b), "row_e4m3")


def test_unknown_backend_and_recipe():
    with pytest.raises(ValueError, match="'cublas' is not one of auto, fp8_tensor"):
        gemm.product(torch.ones(2, 2), torch.ones(2, 2), "row_e4m3", "cublas")
    with pytest.raises(ValueError, match="neither one of"):
        gemm.product(torch.ones(2, 2), torch.ones(2, 2), "no_recipe")


def test_nan_and_infinity_reach_the_result():
    a = torch.ones(2, 16)
    a[0, 0] = torch.nan
    for name in ("reference", "dequantize_float32", "fp8_row"):
        qa, qb = quantize(a, "row_e4m3"), gemm.transpose(quantize(torch.ones(2, 16), "row_e4m3"))
        if gemm.availability(name, qa.recipe, qb.recipe) is None:
            c = gemm.matmul(qa, qb, name)
            assert c[0].isnan().all() and c[1].isfinite().all()


def test_reference_in_float64_and_without_tf32():
    qa, qb = pair((3, 40, 2), "row_e4m3")
    a, b = exact_parts(qa).float().double(), exact_parts(qb).float().double()
    torch.testing.assert_close(gemm.reference(qa, qb, torch.float64), a @ b, rtol=1e-14, atol=0)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        gemm.reference(qa, qb)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_stochastic_product_repeats_with_a_seed():
    recipe = make_recipe("e4m3fn", ScaleSpec((1, None)), rounding="stochastic")
    a, b = random_pair(4, 4, 64)
    first, again, other = (gemm.product(a, b, recipe, seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_torch_that_refuses_becomes_a_reason(monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError("no such kernel. Details follow.\nTraceback")

    monkeypatch.setattr(torch, "_scaled_mm", refuse)
    gemm._probe.cache_clear()
    try:
        recipe = parse_recipe("tensor_e4m3")
        assert gemm.availability("fp8_tensor", recipe, recipe) == "torch refuses: no such kernel"
        assert gemm.choose(recipe, recipe) == "dequantize_float32"
    finally:
        gemm._probe.cache_clear()


def test_a_torch_that_is_wrong_is_not_used(monkeypatch):
    real = torch._int_mm
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: real(a, b) + 1)
    gemm._probe.cache_clear()
    try:
        assert "wrong numbers" in gemm.availability("int8", RECIPES["int8_row"], gemm.transpose_recipe(RECIPES["int8_row"]))
    finally:
        gemm._probe.cache_clear()


def test_padding_adds_nothing():
    codes = torch.full((3, 5), 7, dtype=torch.uint8).view(torch.float8_e4m3fn)
    padded = native._padded(codes, 16, 16)
    assert padded.shape == (16, 16) and padded.dtype == codes.dtype
    assert torch.equal(padded.view(torch.uint8)[:3, :5], codes.view(torch.uint8)) and padded.float().count_nonzero() == 15


def test_error_of_a_product():
    a, b = random_pair(32, 32, 512)
    report = product_error(a, b, "tensor_e4m3")
    assert report.k == 512 and abs(report.sqnr_db - report.independent_db) < 0.6
    assert report.max_abs_error >= report.rms_error > 0 and 0.99 < report.cosine < 1
    assert product_error(a, b, "float32").sqnr_db == float("inf")
    assert independent_db(float("inf"), float("inf")) == float("inf")


def test_errors_of_stochastic_recipes_are_the_same_again():
    a, b = random_pair(8, 8, 64)
    assert product_error(a, b, "te_nvfp4_sr") == product_error(a, b, "te_nvfp4_sr")
    assert outlier_effect(a, b, ["te_nvfp4_sr"], [1, 10]) == outlier_effect(a, b, ["te_nvfp4_sr"], [1, 10])


def test_errors_grow_with_the_root_of_k():
    """Errors of normal numbers are independent, so that their sum over K grows like the square root of K: 16 times K, 4 times the error."""
    small, large = error_growth(*random_pair(64, 64, 1024), ["int8_tensor"], [64, 1024])
    assert 3.2 < large.rms_error / small.rms_error < 5.5
    with pytest.raises(ValueError, match="k = 2048: it is between 1 and K = 1024"):
        error_growth(*random_pair(2, 2, 1024), ["int8_tensor"], [2048])


def test_an_outlier_takes_the_other_columns_with_int8_and_not_with_e4m3():
    a, b = random_pair(32, 32, 128)
    calm, loud = outlier_effect(a, b, ["int8_tensor"], [1.0, 1e4])
    floating = outlier_effect(a, b, ["tensor_e4m3"], [1e3])[0]
    assert calm.others_db > 35 and loud.others_db < 1 and loud.sqnr_db > 30
    assert floating.others_db > 25
    with pytest.raises(ValueError, match="factor = 0"):
        outlier_effect(a, b, ["int8_tensor"], [0])
    with pytest.raises(ValueError, match="K of at least 2"):
        outlier_effect(a[:, :1], b[:1], ["int8_tensor"], [1.0])


def test_product_error_and_random_pair_check_their_input():
    with pytest.raises(ValueError, match="one K are needed"):
        product_error(torch.ones(2, 3), torch.ones(4, 2), "row_e4m3")
    with pytest.raises(ValueError, match="k = 0: it is between 1"):
        random_pair(2, 2, 0)


def test_smoothing_saves_a_product_from_a_loud_column():
    a, b = random_pair(32, 32, 256, seed=3)
    a[:, 0] *= 1000
    plain, smoothed = (product_error(a, b, "int8_tensor", smoothing=alpha) for alpha in (None, 0.5))
    assert smoothed.sqnr_db > plain.sqnr_db + 3  # though A by itself reads worse: the loud column no longer dominates it
    assert smoothed.underflow_a < plain.underflow_a / 4
    harmed, saved = (outlier_effect(*random_pair(32, 32, 256, seed=3), ["int8_tensor"], [1000.0], smoothing=alpha)[0].others_db for alpha in (None, 0.5))
    assert saved > harmed + 10
    with pytest.raises(ValueError, match="alpha = 2"):
        product_error(a, b, "int8_tensor", smoothing=2)
