"""Every pair of format and scaling that the menus offer can be multiplied here, and the kernel that did it is named."""

import itertools

import pytest
import torch

from fp8core import FORMATS, RECIPES, ScaleSpec, gemm, make_recipe
from fp8core.rules import GENERIC_RULES
from fp8core.scaling import GRANULARITIES, SCALE_FORMATS, SCALE_RULES, parse_granularity

SHAPE = (5, 40, 3)
UNSIGNED = {name for name, fmt in FORMATS.items() if fmt.lowest >= 0}  # negative numbers are NaN or zero in them


def scalings():
    """Every scale rule with every granularity, and every scale format with one of each."""
    for name, rule in itertools.product(GRANULARITIES, GENERIC_RULES):
        yield ScaleSpec(parse_granularity(name), rule)
    for stored, rule in itertools.product(SCALE_FORMATS, GENERIC_RULES):
        if not SCALE_RULES[rule].scale_formats or stored in SCALE_RULES[rule].scale_formats:
            yield ScaleSpec((1, 32), rule, stored)
    yield None


def check(recipe):
    m, k, n = SHAPE
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(shape, generator=generator) for shape in ((m, k), (k, n)))
    if recipe.format in UNSIGNED:
        a, b = a.abs(), b.abs()
    c, kernel = gemm.product(a, b, recipe, seed=0)
    assert kernel in gemm.BACKENDS and gemm.BACKENDS[kernel].exact and c.shape == (m, n)
    qa, qb = gemm.operands(a, b.T, recipe, seed=0)
    exact = gemm.reference(qa, qb, torch.float64)
    bound = (k + 6) * 2.0**-23 * gemm.reference(Magnitudes(qa), Magnitudes(qb), torch.float64).abs() + 2.0**-120
    wrong = (c.double() - exact).abs() > bound
    assert not (wrong & exact.isfinite()).any(), f"{recipe.name} by {kernel}"


class Magnitudes:
    """The magnitudes of a quantized matrix, as far as `reference` asks."""

    def __init__(self, q):
        self.values = torch.as_tensor(q.dequantize()).abs().nan_to_num(0.0)

    def dequantize(self):
        return self.values


@pytest.mark.parametrize("name", FORMATS)
def test_every_scaling_of_a_format_gives_a_product(name):
    for scaling in scalings():
        check(make_recipe(name, scaling))


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_gives_a_product(name):
    check(RECIPES[name])
