"""One tensor under many recipes: forms that come out the same are measured once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from fp8core.compare import Difference, difference
from fp8core.metrics import ErrorReport, measure
from fp8core.quantized import QuantizedTensor, quantize
from fp8core.recipes import Recipe


class Forms:
    """The quantized forms of one tensor, kept as long as this is.

    Libraries give one thing many names, and rules that differ often choose the same scales: of all recipes, nearly half come out as another one does.

    Args:
        x: the tensor, on the CPU; it must not change.
        seed: for recipes that round stochastically.

    >>> from fp8core.recipes import RECIPES
    >>> forms = Forms(torch.tensor([[1.0, 2.0, 300.0]]))
    >>> forms.report(RECIPES["tensor_e4m3"]).max_abs == measure(forms.x, quantize(forms.x, "tensor_e4m3")).max_abs
    True
    """

    def __init__(self, x: torch.Tensor, seed: int | None = None):
        self.x, self.seed = x, seed
        self._made: dict[Recipe, QuantizedTensor] = {}
        self._measured: dict[tuple, list[tuple[QuantizedTensor, ErrorReport]]] = {}

    def quantized(self, recipe: Recipe) -> QuantizedTensor:
        """Return quantize(x, recipe)."""
        steps = replace(recipe, name="", title="", source="")
        if steps not in self._made:
            self._made[steps] = quantize(self.x, recipe, seed=self.seed)
        return replace(self._made[steps], recipe=recipe)

    def report(self, recipe: Recipe) -> ErrorReport:
        """Return measure(x, quantize(x, recipe))."""
        q = self.quantized(recipe)
        alike = self._measured.setdefault(_meaning(recipe), [])
        for other, report in alike:
            if _same(q, other):
                return replace(report, bits_per_value=q.bits_per_value)
        alike.append((q, measure(self.x, q)))
        return alike[-1][1]

    def difference(self, recipe: Recipe, other: Recipe) -> Difference:
        """Return where the forms of two recipes differ."""
        q, other_q = self.quantized(recipe), self.quantized(other)
        return Difference(self.x.numel(), 0, 0, 0) if _meaning(recipe) == _meaning(other) and _same(q, other_q) else difference(q, other_q)


def _meaning(recipe: Recipe) -> tuple:
    """What else it takes to read codes and scales."""
    return recipe.format, recipe.rotation, recipe.scaling and recipe.scaling.block


def _same(q: QuantizedTensor, other: QuantizedTensor) -> bool:
    return np.array_equal(q.scale, other.scale) and np.array_equal(q.codes, other.codes)
