"""Forms of one tensor: what is shared is what would have been measured anew."""

import dataclasses
import math

import numpy as np
import pytest
import torch

import fp8core as fp8
from fp8core import forms as module
from fp8core.compare import difference
from fp8core.forms import Forms
from fp8core.samples import make_sample

SPECIAL = make_sample("normal", (64, 64))
SPECIAL[3, 5], SPECIAL[7] = math.nan, 0.0
TENSORS = {"normal": make_sample("normal", (64, 96)), "gradients": make_sample("lognormal_gradient", (64, 64), seed=1), "special": SPECIAL, "zeros": torch.zeros(4, 32)}


def same(ours, theirs) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(dataclasses.astuple(ours), dataclasses.astuple(theirs), strict=True))


@pytest.mark.parametrize("x", TENSORS.values(), ids=TENSORS)
def test_every_report_is_that_of_measure(x):
    forms = Forms(x, seed=3)
    for recipe in fp8.RECIPES.values():
        assert same(forms.report(recipe), fp8.measure(x, fp8.quantize(x, recipe, seed=3))), recipe.name
        assert forms.quantized(recipe).recipe == recipe


def test_differences_are_those_of_difference():
    x = TENSORS["normal"]
    forms, names = Forms(x, seed=3), ("mxfp8_e4m3", "torchao_mxfp8_even", "te_mxfp8", "nvfp4", "te_nvfp4", "mxfp4", "tensor_e4m3")
    for name in names:
        for other in names:
            ours, theirs = (fp8.RECIPES[each] for each in (name, other))
            assert forms.difference(ours, theirs) == difference(fp8.quantize(x, ours, seed=3), fp8.quantize(x, theirs, seed=3))


def test_what_comes_out_the_same_is_measured_once(monkeypatch):
    measured = []
    monkeypatch.setattr(module, "measure", lambda x, q, measure=module.measure: measured.append(q.recipe.name) or measure(x, q))
    forms = Forms(TENSORS["normal"], seed=3)
    for recipe in fp8.RECIPES.values():
        forms.report(recipe)
    assert len(measured) < 0.8 * len(fp8.RECIPES)
