"""Rules of libraries that cannot be installed here, against their steps spelled out number by number in NumPy's float32.

The libraries that can be installed are asked themselves: see test_conformance.py.
"""

import math

import ml_dtypes
import numpy as np
import pytest
import torch

import fp8core as fp8
from fp8core.rules import NON_FINITE, SCALE_RULES
from fp8core.scaling import amax

f32 = np.float32
FLT_MAX = np.finfo(f32).max
E4M3, E5M2, E2M1 = ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.float4_e2m1fn


def saturating(value, dtype, largest):
    """Round to nearest even, saturate, keep NaN."""
    return value if np.isnan(value) else f32(dtype(np.clip(value, -f32(largest), f32(largest))))


def te_encode_scale(largest, amax):
    """recipe_common.cuh, compute_scale_from_amax with epsilon 0."""
    if math.isinf(amax) or amax == 0 or math.isnan(amax):
        return f32(1)
    scale = f32(largest) / amax
    return FLT_MAX if math.isinf(scale) else scale


def power_of_two_below(scale):
    return (np.array(scale, f32).view(np.uint32) & np.uint32(0xFF800000)).view(f32)[()]


def te_current(largest):
    def one(x, amax):
        scale = te_encode_scale(largest, amax)
        return f32(1) / scale, [v * scale for v in x]

    return one


def te_current_pow2(x, amax):
    scale = power_of_two_below(te_encode_scale(448, amax))
    return f32(1) / scale, [v * scale for v in x]


def float_to_e8m0(value):
    """ptx.cuh, the software path."""
    if math.isnan(value):
        return 0xFF
    if math.isinf(value):
        return 0xFE
    if value == 0:
        return 0
    bits = int(np.array(value, f32).view(np.uint32))
    exponent, mantissa = bits >> 23, bits & 0x7FFFFF
    return exponent + (mantissa > 0 and exponent != 0xFE and not (exponent == 0 and mantissa <= 0x400000))


def te_mxfp8(largest):
    def one(x, amax):
        code = float_to_e8m0(amax * f32(1.0 / largest))
        scale = f32(math.ldexp(1, code - 127))
        multiplier = f32(math.ldexp(1, 127 - code))
        return scale, [v * multiplier for v in x]

    return one


def deepseek(x, amax):
    scale = max(amax, f32(1e-4)) / f32(448)
    return scale, [v / scale for v in x]


def deepseek_ue8m0(x, amax):
    scale = max(amax, f32(1e-4)) / f32(448)
    mantissa, exponent = math.frexp(scale)
    scale = f32(math.ldexp(1, exponent - (mantissa == 0.5)))
    return scale, [v / scale for v in x]


def deep_gemm(largest, up):
    def one(x, amax):
        scale = max(amax, f32(1e-4)) / f32(largest)
        if up:
            bits = int(np.array(scale, f32).view(np.uint32))
            exponent = min(max((bits >> 23) + ((bits & 0x7FFFFF) != 0), 1), 254)
            scale = np.array(exponent << 23, np.uint32).view(f32)[()]
        multiplier = f32(1) / scale
        return scale, [v * multiplier for v in x]

    return one


def gaudi(largest, rounding):
    def one(x, amax):
        scale = amax / f32(largest * 0.5)
        if rounding != "arbitrary":
            mantissa, exponent = math.frexp(scale)
            exponent -= mantissa == 0.5
            if rounding == "hw":
                allowed = [4, 0, -4, -8] if largest == 240 else list(range(7, -56, -1))
                exponent = -1000 if scale == 0 else exponent
                exponent = min((e for e in allowed if e >= exponent), default=max(allowed))
            scale = f32(math.ldexp(1, exponent)) if scale or rounding == "hw" else f32(0)
        return scale, [v / scale for v in x]

    return one


ONE_LEVEL = {
    "te_current": (te_current(448), E4M3, 448),
    "te_current_e5m2": (te_current(57344), E5M2, 57344),
    "te_delayed": (te_current(448), E4M3, 448),
    "te_current_pow2": (te_current_pow2, E4M3, 448),
    "te_blockwise": (te_current_pow2, E4M3, 448),
    "te_blockwise_fp32": (te_current(448), E4M3, 448),
    "te_mxfp8": (te_mxfp8(448), E4M3, 448),
    "te_mxfp8_e5m2": (te_mxfp8(57344), E5M2, 57344),
    "deepseek_v3_1x128": (deepseek, E4M3, 448),
    "deepseek_v3_1x128_ue8m0": (deepseek_ue8m0, E4M3, 448),
    "deep_gemm_1x128": (deep_gemm(448, False), E4M3, 448),
    "deep_gemm_1x128_ue8m0": (deep_gemm(448, True), E4M3, 448),
    "gaudi2_maxabs_hw": (gaudi(240, "hw"), ml_dtypes.float8_e4m3, 240),
    "gaudi2_maxabs_pow2": (gaudi(240, "pow2"), ml_dtypes.float8_e4m3, 240),
    "gaudi3_maxabs_hw": (gaudi(448, "hw"), E4M3, 448),
    "gaudi3_maxabs_pow2": (gaudi(448, "pow2"), E4M3, 448),
    "gaudi3_maxabs_arbitrary": (gaudi(448, "arbitrary"), E4M3, 448),
}


def blocks():
    """One block a row: random ones at many sizes, zeros, subnormals, maxima around 2^k, 1.5·2^k and 1.75·2^k."""
    rng = np.random.default_rng(0)
    rows = [rng.standard_normal(16) * 2.0**k for k in (*range(-140, 120, 9), -20, -3, 0, 1, 2, 3)]
    rows += [np.zeros(16), np.full(16, 2.0**-149), np.full(16, FLT_MAX)]
    for k in (-130, -40, -7, 0, 5, 60):
        for significand in (1.0, 1.5, 1.75):
            largest = f32(significand * 2.0**k)
            for top in (largest, np.nextafter(largest, f32(0)), np.nextafter(largest, f32(np.inf))):
                rows.append(np.append(rng.uniform(-1, 1, 15) * top, top))
    with np.errstate(over="ignore"):
        return np.array(rows).astype(f32)


@pytest.mark.parametrize("name", ONE_LEVEL)
def test_a_rule_follows_its_library_step_by_step(name):
    steps, dtype, largest = ONE_LEVEL[name]
    for x in blocks():
        with np.errstate(all="ignore"):
            scale, scaled = steps(x, np.abs(x).max())
            want = np.array([saturating(v, dtype, largest) for v in scaled], f32)
        q = fp8.quantize(x[None], name)
        assert q.scale.item() == scale, (name, x)
        np.testing.assert_array_equal(fp8.decode(q.codes, q.recipe.fmt)[0], want, err_msg=f"{name} {x}")


@pytest.mark.parametrize("factor", [1.0, 2.0**-60, 2.0**70, 2.0**-126])
def test_te_nvfp4_follows_its_steps(factor):
    x = (np.random.default_rng(1).standard_normal((40, 64)) * np.exp2(np.random.default_rng(2).integers(-14, 1, (40, 1))) * factor).astype(f32)
    x[3] = 0
    q = fp8.quantize(x, "te_nvfp4")
    with np.errstate(all="ignore"):
        whole = min(f32(448 * 6) / np.abs(x).max(), FLT_MAX)
        block = np.abs(x).reshape(40, 4, 16).max(axis=2)
        stored = np.minimum(block * f32(whole * f32(1 / 6)), f32(448)).astype(f32).astype(E4M3).astype(f32)
        multiplier = np.minimum(f32(1) / (stored * (f32(1) / whole)), FLT_MAX)
        want = np.clip(x.reshape(40, 4, 16) * multiplier[..., None], -6, 6).astype(E2M1).astype(f32).reshape(40, 64)
    assert np.array_equal(fp8.decode(q.scale_codes, "e4m3fn"), stored)
    assert q.global_scale == f32(1) / whole
    assert np.array_equal(fp8.decode(q.codes, "e2m1fn"), want)
    assert (stored == 0).any() == (fp8.decode(q.scale_codes, "e4m3fn") == 0).any()


def test_deep_gemm_fp4_takes_ties_toward_zero():
    x = np.array([[6.0, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, -0.25, -5.0]], f32)
    q = fp8.quantize(x, "deep_gemm_fp4")
    assert q.dequantize().tolist() == [[6.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, -0.0, -4.0]]


@pytest.mark.parametrize(("policy", "want"), [("ignored", 3.0), ("infinity", math.inf), ("both", math.nan)])
def test_what_counts_for_amax(policy, want):
    got = amax(torch.tensor([[1.0, -3.0, math.nan, -math.inf]]), (None, None), policy).item()
    assert got == want or (math.isnan(got) and math.isnan(want))
    assert policy in NON_FINITE


def test_every_rule_says_what_it_is():
    for name, rule in SCALE_RULES.items():
        assert rule.title and rule.formula and rule.effect and rule.source, name
        assert rule.non_finite in NON_FINITE
        if rule.compute is not None:
            assert "Source:" in rule.compute.__doc__ and rule.scale_formats, name
