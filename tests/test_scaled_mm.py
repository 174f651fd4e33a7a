"""Layouts of torch's block-scaled products; the products themselves run on GPUs only."""

import pytest
import torch
from torchao.prototype.mx_formats.utils import to_blocked

from fp8core import gemm, parse_recipe, quantize
from fp8core.gemm import scaled_mm


@pytest.mark.parametrize("shape", [(1, 1), (128, 4), (130, 5), (300, 17)], ids=str)
def test_scales_lie_in_the_order_of_torchao(shape):
    scales = torch.randint(0, 255, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(scaled_mm.swizzled(scales), to_blocked(scales).reshape(-1))


def test_one_scale_of_a_tile_lies_where_the_formula_says():
    scales = torch.zeros(256, 8, dtype=torch.uint8)
    scales[128 + 70, 6] = 9
    assert scaled_mm.swizzled(scales).nonzero().item() == 3 * 512 + 16 * (70 % 32) + 4 * (70 // 32) + 2


@pytest.mark.parametrize(
    ("backend", "recipe", "codes", "dtype", "scales"),
    [
        ("scaled_blocks", "deepseek_v3_1x128", (64, 320), torch.float8_e4m3fn, (64, 3)),
        ("scaled_blocks", "deepseek_v3_128x128", (64, 320), torch.float8_e4m3fn, (4, 1)),
        ("scaled_mxfp8", "mxfp8_e5m2", (64, 320), torch.float8_e5m2, (128 * 12,)),
        ("scaled_mxfp4", "mxfp4", (64, 160), torch.float4_e2m1fn_x2, (128 * 12,)),
        ("scaled_nvfp4", "nvfp4", (64, 160), torch.float4_e2m1fn_x2, (128 * 20,)),
    ],
)
def test_what_torch_is_given(monkeypatch, backend, recipe, codes, dtype, scales):
    """Shapes as the checks of torch's CUDA code want them: rows and K in whole 32s, columns of B contiguous, scales for what was padded."""
    given = {}

    def record(a, b, scale_a, recipe_a, scale_b, recipe_b, swizzle_a, swizzle_b, output_dtype):
        given.update(a=a, b=b, scales=[scale_a, scale_b])
        return torch.zeros(a.shape[0], b.shape[1])

    monkeypatch.setattr(scaled_mm, "scaled_mm", record)
    qa, qb = gemm.operands(torch.randn(50, 300), torch.randn(33, 300), parse_recipe(recipe))
    assert gemm.BACKENDS[backend].multiply(qa, qb).shape == (50, 33)
    assert given["a"].shape == codes and given["a"].dtype == dtype and given["b"].t().is_contiguous()
    for scale in given["scales"]:
        block = scale[0] if isinstance(scale, list) else scale
        assert tuple(block.shape) == scales and (block.ndim == 1 or block.stride(0) == 1)
    if isinstance(given["scales"][0], list):
        assert torch.equal(given["scales"][0][1], qa.global_scale.reshape(1))


@pytest.mark.parametrize(
    ("backend", "recipe", "words"),
    [
        ("scaled_blocks", "deepseek_v3_128x128", "not 1 × 128 in one factor"),
        ("scaled_blocks", "mxfp4", "e2m1fn is not e4m3fn or e5m2"),
        ("scaled_blocks", "deepseek_v3_1x128", "torch refuses"),
        ("scaled_mxfp8", "deepseek_v3_1x128", "scales are not e8m0fnu of every 32"),
        ("scaled_mxfp8", "tensor_e4m3", "scales are not e8m0fnu of every 32"),
        ("scaled_mxfp4", "mxfp8_e4m3", "e4m3fn is not e2m1fn"),
        ("scaled_nvfp4", "mxfp4", "scales are not e4m3fn_float32 of every 16"),
    ],
)
def test_what_they_do_not_do_is_said(backend, recipe, words):
    if torch.cuda.is_available() and words == "torch refuses":
        pytest.skip("this host has a GPU, which may take it")
    qa, qb = (quantize(torch.randn(64, 256), recipe), gemm.transpose(quantize(torch.randn(64, 256), recipe)))
    assert words in gemm.availability(backend, qa.recipe, qb.recipe)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
@pytest.mark.parametrize("recipe", ["deepseek_v3_1x128", "mxfp8_e4m3", "mxfp4", "nvfp4"])
def test_products_on_a_gpu_are_those_of_the_reference(recipe):
    """Where the GPU takes them."""
    qa, qb = gemm.operands(torch.randn(50, 384, device="cuda"), torch.randn(48, 384, device="cuda"), parse_recipe(recipe))
    backend = next(name for name, each in scaled_mm.BACKENDS.items() if each.sample == recipe)
    if reason := gemm.availability(backend, qa.recipe, qb.recipe, "cuda:0", (50, 384, 48)):
        pytest.skip(reason)
    torch.testing.assert_close(gemm.matmul(qa, qb, backend), gemm.reference(qa, qb), rtol=2.0**-7, atol=1e-2)
