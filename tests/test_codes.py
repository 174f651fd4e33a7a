"""Our kernels for GPUs, under Triton's interpreter on the CPU, against products in float64; and that they compile for GPUs that are not here."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from fp8core import FORMATS, gemm, parse_format, parse_recipe, quantize
from fp8core.codec import decode
from fp8core.gemm import codes
from fp8core.gemm.accumulate import exact_product

pytest.importorskip("triton", reason="triton is there for Linux only")

SHAPES = [(1, 1, 1), (17, 33, 19), (5, 200, 3), (16, 64, 16), (2, 257, 35)]
RECIPES = ["tensor_e4m3", "row_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4", "nvfp4", "mxint8", "deepseek_v3_1x128", "int8_row", "nf4_64", "torchao_tensorwise", "te_mxfp8"]
OTHERS = ["e4m3fn:128x128:amax:float32", "e3m2fn:1x20:amax:float32", "e4m3fnuz:row", "e5m2fnuz:column", "binary8p3:row", "hif8:4x16:rceil:e8m0fnu", "e5m2", "int4:1x32:amax:float32", "int6:3x5:amax:bfloat16", "e2m1fn:1x8:amax:ue5m3", "e3m4:*x7:amax:e4m3fn"]
EIGHT_BITS = [name for name, fmt in FORMATS.items() if fmt.bits <= 8]


def factors(shape, recipe):
    """Quantized A (M, K) and B (K, N) of normal numbers; sizes of rows and columns differ 100 times."""
    m, k, n = shape
    generator = torch.Generator().manual_seed(m * 1000 + k)
    a = torch.randn(m, k, generator=generator) * torch.logspace(-1, 1, m)[:, None]
    b = torch.randn(n, k, generator=generator) * torch.logspace(1, -1, n)[:, None]
    return gemm.operands(a, b, parse_recipe(recipe), seed=0)


def magnitudes(qa, qb):
    """Sums of |a|·|b| of every element, float64."""
    a, b = (torch.as_tensor(q.dequantize()).double().abs() for q in (qa, qb))
    return a @ b


def close(got, qa, qb):
    """Whether a result is within the bound of float32 sums; Source: N. Higham, Accuracy and Stability of Numerical Algorithms, section 3.1."""
    roundings = (qa.shape[1] + 6) * 2.0**-24
    return bool(((got.double() - exact_product(qa, qb)).abs() <= roundings / (1 - roundings) * magnitudes(qa, qb) + 2.0**-140).all())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("recipe", RECIPES + OTHERS)
def test_products_of_codes_are_exact_but_for_float32_sums(recipe, shape):
    qa, qb = factors(shape, recipe)
    assert close(gemm.BACKENDS["triton_codes"].multiply(qa, qb), qa, qb)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("recipe", ["tensor_e4m3", "tensor_e5m2", "row_e4m3", "mxfp8_e4m3", "deepseek_v3_1x128", "deepseek_v3_128x128", "e4m3fnuz:row", "e5m2fnuz:1x20:amax:float32"])
def test_products_of_fp8_units_promoted_in_float32(recipe, shape):
    qa, qb = factors(shape, recipe)
    assert close(gemm.BACKENDS["triton_fp8"].multiply(qa, qb), qa, qb)


@pytest.mark.parametrize("backend", ["triton_fp8", "triton_codes"])
@pytest.mark.parametrize("k", [1, 20, 32, 33, 100])
def test_nothing_is_read_beyond_the_scales(backend, k):
    """What lies behind them in memory is NaN here, as it may be anywhere."""
    qa, qb = factors((3, k, 2), "mxfp8_e4m3")

    def before_nan(scale_codes):
        room = torch.full((scale_codes.numel() + 64,), 255, dtype=torch.uint8)
        room[: scale_codes.numel()] = scale_codes.reshape(-1)
        return room[: scale_codes.numel()].reshape(scale_codes.shape)

    qa, qb = replace(qa, scale_codes=before_nan(qa.scale_codes)), replace(qb, scale_codes=before_nan(qb.scale_codes.T).T)
    assert close(gemm.BACKENDS[backend].multiply(qa, qb), qa, qb)


@pytest.mark.parametrize("other", ["e2m1fn:1x32:floor:e8m0fnu", "int8:row:amax:float32", "nf4:1x64:amax:float32", "e5m2:128x128:amax:float32"])
def test_two_formats_and_two_blocks(other):
    qa, qb = factors((9, 130, 21), "e4m3fn:1x48:amax:float32")[0], factors((9, 130, 21), other)[1]
    assert close(gemm.BACKENDS["triton_codes"].multiply(qa, qb), qa, qb)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # of infinity times what lies beyond the matrix
@pytest.mark.parametrize("name", EIGHT_BITS)
def test_every_code_of_every_format_is_decoded(name):
    """Each code times one; NaN where it is NaN."""
    fmt = parse_format(name)
    all_codes = torch.arange(1 << fmt.bits, dtype=torch.uint8)[:, None]
    one = quantize(torch.ones(1, 1), "e4m3fn")
    qa = quantize(torch.zeros(len(all_codes), 1), fmt)
    qa.codes.copy_(all_codes)
    got, wanted = gemm.BACKENDS["triton_codes"].multiply(qa, one)[:, 0], torch.as_tensor(decode(all_codes[:, 0], fmt))
    np.testing.assert_array_equal(got, wanted + 0.0)


def test_whole_numbers_come_out_exactly():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(-8, 9, shape, generator=generator).float() for shape in ((30, 100), (100, 20)))
    qa, qb = quantize(a, "e4m3fn"), gemm.transpose(quantize(b.T.contiguous(), "int8"))
    assert torch.equal(gemm.BACKENDS["triton_codes"].multiply(qa, qb), a @ b)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("value", [float("nan"), 1e-30, 1e30, 3e38])
@pytest.mark.parametrize("recipe", ["mxfp8_e4m3", "mxfp4", "nvfp4", "te_mxfp8"])
def test_special_and_extreme_numbers_are_those_of_the_reference(recipe, value):
    a, b = torch.randn(4, 96, generator=torch.Generator().manual_seed(1)), torch.eye(96)
    a[1, 40] = value
    qa, qb = quantize(a, recipe), gemm.transpose(quantize(b, "e4m3fn"))
    rounded = 2.0**-22 if qa.global_scale is not None else 0.0  # the reference rounds the product of both scales to float32
    torch.testing.assert_close(gemm.BACKENDS["triton_codes"].multiply(qa, qb), gemm.reference(qa, qb), rtol=rounded, atol=0, equal_nan=True)


def test_scales_are_folded_only_where_bfloat16_holds_the_product():
    small, large = quantize(torch.ones(2, 64), "mxfp8_e4m3"), quantize(torch.full((2, 64), 3e38), "mxfp8_e4m3")
    e4m3 = parse_format("e4m3fn")
    assert codes.foldable(codes.factor(small), e4m3)
    assert not codes.foldable(codes.factor(quantize(torch.full((2, 64), 1e-38), "mxfp8_e4m3")), e4m3)
    assert not codes.foldable(codes.factor(quantize(torch.ones(2, 64), "e4m3fn:1x32:amax:float32")), e4m3)
    assert codes.foldable(codes.factor(quantize(torch.ones(2, 64), "nvfp4")), parse_format("e2m1fn"))
    assert large.scale_codes.max() > small.scale_codes.max()


def test_codes_of_4_and_6_bits_are_read_packed():
    for recipe, bytes_per_row in (("mxfp4", 32), ("mxfp6_e2m3", 48), ("mxfp8_e4m3", 64), ("int6:row", 48)):
        assert codes.factor(quantize(torch.randn(3, 64), recipe)).codes.shape == (3, bytes_per_row)


@pytest.mark.parametrize("name", EIGHT_BITS)
def test_which_values_are_bfloat16(name):
    fmt = parse_format(name)
    as_bfloat16 = torch.tensor(fmt.finite_values).to(torch.bfloat16).double().numpy()
    assert codes.is_bfloat16(fmt) == np.array_equal(as_bfloat16, fmt.finite_values)


@pytest.mark.parametrize(
    ("backend", "recipe", "words"),
    [("triton_codes", "float16", "float16 has 16 bits"), ("triton_codes", "mxfp4", "on the CPU"), ("triton_fp8", "mxfp4", "not a format of FP8 units"), ("triton_fp8", "mxfp8_e4m3", "on the CPU")],
)
def test_what_they_do_not_do_is_said(backend, recipe, words):
    qa, qb = factors((4, 64, 4), recipe)
    assert words in gemm.availability(backend, qa.recipe, qb.recipe)
    with pytest.raises(ValueError, match=words):
        gemm.matmul(qa, qb, backend)


COMPILE = """
import json, sys
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from fp8core import parse_format
from fp8core.gemm import codes, triton_kernels

kernel = triton_kernels.product_kernel
POINTERS = dict(a="*u8", b="*u8", c="*fp32", a_table="*fp32", b_table="*fp32", a_whole="*fp32", b_whole="*fp32")
NUMBERS = dict.fromkeys(("M", "N", "K", "a_stride", "b_stride", "a_scale_stride", "b_scale_stride", "stretch"), "i32")
E4M3 = tuple(codes.layout(parse_format("e4m3fn")))
FLOAT32, E8M0, BYTES = codes.FLOAT32_SCALE, codes.E8M0_SCALE, codes.E4M3_SCALE
CASES = {  # formats, scales, operands, fold, promote
    "codes e4m3 per row": ("e4m3fn", (FLOAT32, 1, 1 << 30, False), tl.bfloat16, False, False),
    "codes mxfp4": ("e2m1fn", (E8M0, 1, 32, True), tl.bfloat16, True, False),
    "codes mxfp6": ("e2m3fn", (E8M0, 1, 32, True), tl.bfloat16, True, False),
    "codes nvfp4": ("e2m1fn", (BYTES, 1, 16, True), tl.bfloat16, True, False),
    "codes int8": ("int8", (FLOAT32, 1, 1 << 30, False), tl.bfloat16, False, False),
    "codes nf4": ("nf4", (FLOAT32, 1, 64, True), tl.float32, False, True),
    "codes hif8 128x128": ("hif8", (FLOAT32, 128, 128, True), tl.bfloat16, False, True),
    "fp8 1x128": ("e4m3fn", (FLOAT32, 1, 128, True), tl.float8e4nv, False, True),
    "fp8 mxfp8": ("e5m2", (E8M0, 1, 32, True), tl.float8e5, False, True),
    "fp8 fnuz": ("e4m3fnuz", (FLOAT32, 1, 1 << 30, False), tl.float8e4b8, False, True),
}
done = {}
for name, arch, warp in json.loads(sys.argv[1]):
    for case, (fmt, scales, operand, fold, promote) in CASES.items():
        if case.startswith("fp8") and (("fnuz" in case) != (name == "hip") or arch == 80):
            continue
        layout = tuple(codes.layout(parse_format(fmt)))
        pointer = "*fp32" if scales[0] == FLOAT32 else "*u8"
        constants = dict(
            A=layout, B=layout, A_SCALES=scales, B_SCALES=scales, E4M3=E4M3, A_OPERAND=operand, B_OPERAND=operand, FOLD=fold, PROMOTE=promote,
            BLOCK_M=64, BLOCK_N=64, BLOCK_K=64,
        )
        signature = POINTERS | NUMBERS | dict(a_scales=pointer, b_scales=pointer) | dict.fromkeys(constants, "constexpr")
        source = ASTSource(fn=kernel, signature={argument: signature[argument] for argument in kernel.arg_names}, constexprs=constants)
        binary = triton.compile(source, target=GPUTarget(name, arch, warp))
        done[f"{name} {arch} {case}"] = len(binary.asm["cubin" if name == "cuda" else "hsaco"])
print(json.dumps(done))
"""


@pytest.mark.parametrize("target", [("cuda", 80, 32), ("cuda", 90, 32), ("cuda", 100, 32), ("hip", "gfx942", 64)], ids=lambda target: f"{target[0]}-{target[1]}")
def test_kernels_compile_for_gpus_that_are_not_here(target):
    """Down to machine code; nothing is run."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"} | {"TRITON_DEFAULT_FP_FUSION": "1"}
    child = subprocess.run([sys.executable, "-c", COMPILE, json.dumps([target])], env=environment, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    sizes = json.loads(child.stdout.splitlines()[-1])
    assert len(sizes) >= 7 and all(size > 1000 for size in sizes.values())
