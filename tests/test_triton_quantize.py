"""The kernels for GPUs against `fp8.quantize` on the CPU: the same codes, scales and stored scales, bit for bit, under Triton's interpreter; and that they compile."""

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import fp8core as fp8
from fp8core import kernels
from fp8core.codec import pack
from fp8core.formats import FORMATS
from fp8core.kernels import fused
from fp8core.rules import GENERIC_RULES
from fp8core.scaling import SCALE_FORMATS

if not fused._has_triton():
    pytest.skip("the package triton is not installed: it has no builds for this system", allow_module_level=True)

KERNELS = "fp8core.kernels.triton_quantize"
NARROW = [name for name in FORMATS if fp8.parse_format(name).bits <= 8]
PATTERNS = ["ue4m4", "e3m2_nosub", "e4m3b3fn", "binary6p3uf", "table(-1,-0.5,0,0.5,1)", "table(1,2,-0.0,0)", "table(-3,-1,2,nan,inf,-inf)"]
COMPILED = {
    "targets": ["cuda:80", "cuda:90", "hip:gfx942"],
    "recipes": [
        "e4m3fn:1x128:amax:float32",
        "e4m3fn:tensor:amax:float32",
        "e2m1fn:1x16:amax:e4m3fn_float32",
        "e2m3fn:1x32:floor:e8m0fnu",
        "int8:row:even:bfloat16",
        "hif8:32x32:amax:ue5m3",
        "binary8p1:column:amax:e4m3fn",
    ],
}
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@pytest.fixture(scope="module")
def compiled():
    """What the compiler makes of the kernels, in a process of its own: where triton was imported to interpret, nothing can be compiled."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    program = Path(__file__).with_name("compiled_kernels.py")
    done = subprocess.run([sys.executable, program, json.dumps(COMPILED)], capture_output=True, text=True, cwd=program.parents[1], env={**environment, "PYTHONPATH": "."})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(autouse=True, scope="module")
def interpreter():
    """Kernels that run on the CPU, for this module only: they are interpreted if the variable is set when their module is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        import_anew()
        yield
    forget()


def forget():
    sys.modules.pop(KERNELS, None)
    vars(kernels).pop("triton_quantize", None)


def import_anew():
    forget()
    return importlib.import_module(KERNELS)


def in_one_pass(x, recipe):
    """As `quantize`, by the kernels; they are asked for codes, which begin as something else."""
    codes = torch.full(x.shape, 0xA5, dtype=torch.uint8)
    with np.errstate(all="ignore"):
        scales = fused.quantize_matrix(x, recipe, codes=codes)
    return fp8.QuantizedTensor(codes, scales.values, recipe, scales.codes, scales.global_scale)


def check(x, recipe: str):
    """Compare with the definition in torch."""
    recipe = fp8.parse_recipe(recipe)
    with kernels.set_aside():
        expected = fp8.quantize(x, recipe)
    found = in_one_pass(x, recipe)
    assert found.scale_codes.dtype == expected.scale_codes.dtype
    assert torch.equal(found.scale_codes.to(torch.int64), expected.scale_codes.to(torch.int64))
    assert torch.equal(found.scale.nan_to_num(nan=-1.0), expected.scale.nan_to_num(nan=-1.0))
    assert (found.global_scale is None) == (expected.global_scale is None)
    assert found.global_scale is None or torch.equal(found.global_scale, expected.global_scale)
    different = torch.nonzero(found.codes != expected.codes)
    assert not len(different), (x[tuple(different[0])].item(), found.codes[tuple(different[0])].item(), expected.codes[tuple(different[0])].item())


def wild(shape, seed=0) -> torch.Tensor:
    """Numbers of all sizes, rows of like sizes, zeros of both signs, NaN and infinity."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) * 10.0 ** rng.uniform(-42, 37, (shape[0], 1)) * 10.0 ** rng.uniform(-4, 0, shape)
    x[rng.random(shape) < 0.1] = 0.0
    x[rng.random(shape) < 0.05] = -0.0
    x[: shape[0] // 3][rng.random((shape[0] // 3, shape[1])) < 0.02] = math.inf
    x[: shape[0] // 4][rng.random((shape[0] // 4, shape[1])) < 0.02] = -math.nan
    x[-1] = 0.0
    return torch.from_numpy(x).to(torch.float32)


@pytest.mark.parametrize("name", [*NARROW, *PATTERNS])
def test_every_format_at_its_decision_points(name):
    fmt = fp8.parse_format(name)
    values = fmt.finite_values.astype(np.float32)
    with np.errstate(all="ignore"):
        points = np.concatenate([values, (values[1:] + values[:-1]) / 2])
        points = np.concatenate([points, np.nextafter(points, np.float32(math.inf)), np.nextafter(points, np.float32(-math.inf)), np.float32([0.0, -0.0, math.inf, -math.inf, 1e-45])])
        points = points[(np.abs(points) <= fmt.max) | np.isinf(points)]
        rows = np.concatenate([points, np.zeros(-len(points) % 31, np.float32)]).reshape(-1, 31)
        rows = np.pad(rows, ((0, 1), (1, 0)), constant_values=fmt.max)  # in every row the largest value, so that the scale is 1
        scaled = rows * np.float32(1.7)
    rows[-1, 5] = math.nan
    for x in (rows, scaled[: 1 << 7]):
        check(torch.from_numpy(x), f"{name}:row:amax:float32")


@pytest.mark.parametrize("rule", GENERIC_RULES)
@pytest.mark.parametrize("store", SCALE_FORMATS)
def test_every_rule_and_scale_format(rule, store):
    x = wild((24, 40))
    for name in ("e4m3fn", "e2m1fn", "int8", "mxint8", "e5m2fnuz", "nf4", "ue5m3", "binary8p1"):
        check(x, f"{name}:1x16:{rule}:{store}")


@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (1, 67), (33, 70)], ids=str)
@pytest.mark.parametrize("granularity", ["tensor", "row", "column", "1x16", "1x128", "3x5", "32x32", "*x4", "7x*"])
def test_every_block_and_dtype(granularity, shape):
    x = wild(shape, seed=3)
    for dtype in DTYPES:
        check(x.to(dtype), f"e4m3fn:{granularity}:amax:float32")
        check(x.to(dtype), f"e2m3fn:{granularity}:rceil:e8m0fnu")
        check(x.to(dtype), f"e2m1fn:{granularity}:amax:e4m3fn_float32")


@pytest.mark.parametrize("granularity", ["tensor", "row", "column", "5x*", "*x3", "200x110", "128x128"])
def test_blocks_that_no_tile_holds(granularity):
    x = wild((3, 17001), seed=4) if granularity in ("row", "5x*") else wild((17001, 3), seed=5) if granularity in ("column", "*x3") else wild((210, 230), seed=6)
    check(x, f"e4m3fn:{granularity}:amax:float32")
    check(x, f"int8:{granularity}:even:bfloat16")
    check(x.to(torch.bfloat16), f"e2m1fn:{granularity}:floor:e8m0fnu")


@pytest.mark.parametrize("name", ["e4m3fn", "e2m3fn", "int8", "binary8p2", "binary8p7"])
@pytest.mark.parametrize("scaling", ["amax:float32", "amax:bfloat16", "ceil:float32", "floor:e8m0fnu"])
def test_scales_of_every_size(name, scaling):
    """Quotients are exact where the scale lies beyond what float32 can be divided by."""
    rng = np.random.default_rng(8)
    significands = (1 + rng.integers(0, 1 << 23, (277, 64)) / (1 << 23)) * rng.choice([-1, 1], (277, 64)) * 2.0 ** rng.integers(-12, 1, (277, 64))
    with np.errstate(over="ignore"):
        x = (significands * 2.0 ** np.arange(-149, 128)[:, None]).astype(np.float32)
    check(torch.from_numpy(np.where(np.isinf(x), np.float32(3e38), x)), f"{name}:row:{scaling}")


def test_random_bits():
    x = torch.from_numpy(np.random.default_rng(9).integers(0, 1 << 32, (512, 32), dtype=np.uint64).astype(np.uint32).view(np.float32))
    for name in ("e4m3fn", "e5m2", "e2m1fn", "int4", "e4m3b11fnuz"):
        check(x, f"{name}:1x8:amax:float32")
        check(x, f"{name}:1x8:amax:e4m3fn")


@pytest.mark.parametrize("overflow", fp8.OVERFLOWS)
@pytest.mark.parametrize("name", ["e4m3fn", "e5m2", "int8", "ue4m3", "hif8", "binary8p1"])
def test_what_overflows(name, overflow):
    x = wild((12, 40), seed=10)
    spec = fp8.ScaleSpec((1, 8), "floor", "e4m3fn", 2.0**-20 / 3)
    recipe = fp8.Recipe(f"{name}_{overflow}", name, spec, overflow=overflow)
    with kernels.set_aside():
        expected = fp8.quantize(x, recipe)
    found = in_one_pass(x, recipe)
    assert torch.equal(found.codes, expected.codes)
    assert torch.equal(found.scale_codes, expected.scale_codes)


@pytest.mark.parametrize("name", ["e2m1fn", "nf4", "e2m3fn", "int6"])
@pytest.mark.parametrize("shape, granularity", [((5, 64), "1x16"), ((3, 40), "row"), ((9, 36), "*x12"), ((7, 3001), "tensor"), ((3, 5), "tensor"), ((1, 9), "row"), ((2, 20004), "row")], ids=str)
def test_packed_codes(name, shape, granularity):
    recipe, x = fp8.parse_recipe(f"{name}:{granularity}:amax:float32"), wild(shape, seed=11)
    with kernels.set_aside():
        expected = fp8.quantize(x, recipe).codes
    codes, beyond = torch.empty(shape, dtype=torch.uint8), 8
    for both in ({"codes": codes}, {}):
        packed = torch.full((-(-x.numel() * recipe.fmt.bits // 8) + beyond,), 0xA5, dtype=torch.uint8)
        with np.errstate(all="ignore"):
            fused.quantize_matrix(x, recipe, packed=packed, **both)
        assert torch.equal(packed[:-beyond], pack(expected, recipe.fmt.bits))
        assert (packed[-beyond:] == 0xA5).all()
    assert torch.equal(codes, expected)


@pytest.mark.parametrize(
    "recipe, reason",
    [
        ("e4m3fn", "no scaling"),
        ("te_mxfp8", "rule te_mxfp8 follows"),
        ("deepspeed_fp8", "rounding half_away"),
        ("float16:tensor:amax:float32", "float16 has 16 bits"),
    ],
)
def test_refusals_have_reasons(recipe, reason):
    recipe = fp8.parse_recipe(recipe)
    assert reason in fused.refuses(recipe)
    with pytest.raises(ValueError, match=reason):
        fused.quantize_matrix(torch.ones(2, 4), recipe, codes=torch.empty(2, 4, dtype=torch.uint8))


def test_numbers_and_places_that_are_refused(monkeypatch):
    recipe = fp8.parse_recipe("e2m1fn:1x16:amax:float32")
    assert "float64" in fused.refuses(recipe, torch.float64)
    assert fused.refuses_to_pack(fp8.parse_recipe("e4m3fn:1x16:amax:float32"), (4, 32)) == "codes of 8 bits: the kernels pack 4 and 6"
    assert "rows of 33 codes" in fused.refuses_to_pack(recipe, (2, 33))
    assert "blocks of 3 columns" in fused.refuses_to_pack(fp8.parse_recipe("e2m1fn:1x3:amax:float32"), (2, 12))
    with pytest.raises(ValueError, match="rows of 33 codes"):
        fused.quantize_matrix(torch.ones(2, 33), recipe, packed=torch.empty(33, dtype=torch.uint8))
    monkeypatch.setattr(fused, "_has_triton", lambda: False)
    assert fused.refuses(recipe) == "the package triton is not installed"


def test_quantize_takes_them_where_it_may(monkeypatch):
    taken = []
    kernel = fused.quantize_matrix
    monkeypatch.setattr(fused, "quantize_matrix", lambda matrix, recipe, **results: taken.append(recipe.name) or kernel(matrix, recipe, **results))
    x = torch.randn(3, 4, 32)
    for name, amax, fits in (("mxfp8_e4m3", None, True), ("nvfp4", None, True), ("te_mxfp8", None, False), ("mxfp8_e4m3", 1.0, False)):
        with kernels.set_aside():
            expected = fp8.quantize(x, name, amax=amax)
        assert not taken
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "fusable", lambda *tensors: True)
            patch.setattr(kernels, "usable", lambda *tensors: False)
            found = fp8.quantize(x, name, amax=amax)
        assert taken == [name] * fits
        taken.clear()
        assert torch.equal(found.codes, expected.codes)
        assert torch.equal(found.scale, expected.scale)
        assert found.shape == x.shape


def test_they_are_for_gpus():
    assert not kernels.fusable(torch.ones(1))
    gpu = type("OnGPU", (), {"device": torch.device("cuda")})()
    assert kernels.fusable(gpu)
    with kernels.set_aside():
        assert not kernels.fusable(gpu)


@pytest.mark.parametrize("target", COMPILED["targets"])
@pytest.mark.parametrize("recipe", COMPILED["recipes"])
def test_they_compile_for_gpus(recipe, target, compiled):
    """And on NVIDIA's they read 16 bytes at a time, and divide with remainders that are not rounded, also of blocks of one column."""
    kernels_of = {name: facts for where, what, name, facts in compiled if (where, what) == (target, recipe)}
    assert set(kernels_of) == {"peaks", "quantize_all"} if ":tensor:" in recipe else {"peaks", "scale_and_quantize"} if "e4m3fn_float32" in recipe else {"scale_and_quantize"}
    for name, facts in kernels_of.items():
        assert facts["bytes"] > 0
        if target.startswith("cuda"):
            assert facts["wide_loads"]
            assert facts["remainders"] == (name != "peaks" and recipe.split(":")[0] in ("e4m3fn", "e2m1fn"))
