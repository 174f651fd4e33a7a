"""What the rules have in common, and what no oracle is asked for; the rules themselves are compared in test_conformance.py."""

import math

import numpy as np
import pytest
import torch

import fp8core as fp8
from fp8core.rules import NON_FINITE, SCALE_RULES
from fp8core.scaling import amax


def test_deep_gemm_fp4_takes_ties_toward_zero():
    x = np.array([[6.0, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, -0.25, -5.0]], np.float32)
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


@pytest.mark.parametrize("rule", SCALE_RULES)
def test_every_format_goes_with_a_rule_or_is_refused_by_name(rule):
    x = np.float32([[1e-30, 1.0, 3.0, 1e30] * 8, [0.0] * 32])
    for fmt in fp8.FORMATS.values():
        for scale_format in SCALE_RULES[rule].scale_formats or ("float32",):
            try:
                recipe = fp8.make_recipe(fmt, fp8.ScaleSpec((1, 16), rule, scale_format))
            except ValueError as error:
                assert f"cannot scale {fmt.name}" in str(error)
                continue
            with np.errstate(all="ignore"):
                assert fp8.quantize(x, recipe).dequantize().shape == x.shape
