"""Our kernels as they run on a GPU, compiled and not interpreted: in a process of their own, where torch sees one."""

import os
import subprocess
import sys

import pytest
import torch

PROGRAM = """
import sys

import torch

from fp8core import gemm, parse_recipe, quantize

recipe = parse_recipe(sys.argv[1])
x, y = (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed, shape in enumerate(((130, 300), (70, 300))))
on_gpu, by_definition = quantize(x.cuda(), recipe), quantize(x, recipe)
assert torch.equal(on_gpu.codes.cpu(), by_definition.codes), "codes"
assert torch.equal(on_gpu.scale.cpu(), by_definition.scale), "scales"
qa, qb = gemm.operands(x.cuda(), y.cuda(), recipe)
exact, ran = gemm.reference(qa, qb, torch.float64), []
for name in ("triton_codes", "triton_codes_bfloat16", "triton_fp8"):
    if gemm.availability(name, qa.recipe, qb.recipe, "cuda:0", (130, 300, 70)) is None:
        error = (gemm.matmul(qa, qb, name).double() - exact).abs().max() / exact.abs().max()
        assert error < (2.0**-10 if name == "triton_fp8" else 2.0**-7 if name.endswith("bfloat16") else 2.0**-18), (name, float(error))
        ran.append(name)
assert "triton_codes" in ran, ran
c, kernel = gemm.product(x.cuda(), y.cuda().T, recipe)
assert c.is_cuda and kernel in gemm.BACKENDS
"""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
@pytest.mark.parametrize("recipe", ["tensor_e4m3", "row_e4m3", "mxfp8_e4m3", "mxfp6_e2m3", "mxfp4", "nvfp4", "deepseek_v3_1x128", "int8_row", "nf4_64", "hif8:row"])
def test_kernels_on_the_gpu_give_what_the_definition_gives(recipe):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    child = subprocess.run([sys.executable, "-c", PROGRAM, recipe], env=environment, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
