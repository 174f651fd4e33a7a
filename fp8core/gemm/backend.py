"""What a matmul backend is, and the case that it is asked about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from fp8core.quantized import QuantizedTensor, quantize
from fp8core.recipes import Recipe, make_recipe


@dataclass(frozen=True)
class Case:
    """A product that a backend may be able to do: (M, K) by `recipe_a` times (K, N) by `recipe_b`.

    Args:
        recipe_b: as it lies on the (K, N) matrix, so that blocks along K are its rows.
        device: as torch writes it: "cpu", "cuda:0".
        shape: (M, K, N), None where only the kind of product is asked about.
    """

    recipe_a: Recipe
    recipe_b: Recipe
    device: str = "cpu"
    shape: tuple[int, int, int] | None = None

    @property
    def step_a(self) -> int | None:
        """How many neighbours along K share a scale in A; None: all of them."""
        return self._step(self.recipe_a, 1)

    @property
    def step_b(self) -> int | None:
        """How many neighbours along K share a scale in B; None: all of them."""
        return self._step(self.recipe_b, 0)

    @property
    def per_tensor(self) -> bool:
        """Whether each matrix has one scale."""
        return all(recipe.scaling is None or recipe.scaling.block == (None, None) for recipe in (self.recipe_a, self.recipe_b))

    def _step(self, recipe: Recipe, axis: int) -> int | None:
        side = None if recipe.scaling is None else recipe.scaling.block[axis]
        return None if side is None or (self.shape is not None and side >= self.shape[1]) else side


@dataclass(frozen=True)
class Backend:
    """One way to multiply two quantized matrices.

    Args:
        title: what runs.
        operand: what the processor multiplies: float32 or a key of `hardware.CPU_OPERANDS`.
        multiply: (M, K) and (K, N) -> float32 (M, N), as torch tensors; both have at least one element.
        refuses: why it cannot do a case, in words, or None. It looks at the formats and the scales; whether the host's torch
            can do it is found out by running it.
        exact: codes and scales are used as they are and the result is float32, so that it differs from the reference by the
            rounding of float32 sums only. False: something is rounded on the way, as `title` says.
        dequantizes: numbers are decoded and scaled first, so that any recipe works and the product is one of wider numbers.
        prepare: lays both factors out and returns what then only multiplies; None where there is nothing to lay out. See `ready`.
        sample: the recipe of the small product that is run to find out whether the host can do it; "" for unscaled codes.
    """

    title: str
    operand: str
    multiply: Callable[[QuantizedTensor, QuantizedTensor], torch.Tensor]
    refuses: Callable[[Case], str | None]
    exact: bool = True
    dequantizes: bool = False
    prepare: Callable[[QuantizedTensor, QuantizedTensor], Callable[[], torch.Tensor]] | None = None
    sample: str = ""

    def ready(self, qa: QuantizedTensor, qb: QuantizedTensor) -> Callable[[], torch.Tensor]:
        """Return the product of two factors as a function that may be called many times; what is done once, such as packing codes, is done here."""
        return partial(self.multiply, qa, qb) if self.prepare is None else self.prepare(qa, qb)


def transpose(q: QuantizedTensor) -> QuantizedTensor:
    """Return q.T of a matrix: codes and scales transposed, nothing rounded again, the recipe's blocks on their side.

    (N, K) with blocks of (1, 32) becomes (K, N) with blocks of (32, 1).

    Raises:
        ValueError: the recipe rotates along the rows; see `operands`.
    """
    recipe = transpose_recipe(q.recipe)
    return replace(q, codes=q.codes.T, scale=q.scale.T, recipe=recipe, scale_codes=None if q.scale_codes is None else q.scale_codes.T)


def transpose_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe that does to x.T what this one does to x.

    Raises:
        ValueError: it rotates, which goes along rows only.
    """
    if recipe.rotation:
        raise ValueError(f"recipe {recipe.name!r} rotates rows: its transpose would rotate columns; `operands` makes the factors of a product")
    if recipe.scaling is None or recipe.scaling.transposed == recipe.scaling:
        return recipe
    return make_recipe(recipe.format, recipe.scaling.transposed, recipe.rounding, recipe.overflow)


def operands(a, b_rows, recipe: Recipe, *, seed: int | None = None) -> tuple[QuantizedTensor, QuantizedTensor]:
    """Quantize A (M, K) and the transpose of B (N, K), so that blocks lie along K in both -> factors (M, K) and (K, N).

    Where the recipe rotates, the factors stand for the rotated matrices: both are rotated alike along K, so that their product is the product.
    """
    qa, qb = quantize(a, recipe, seed=seed), quantize(b_rows, recipe, seed=None if seed is None else seed + 1)
    plain = replace(recipe, rotation="")
    return replace(qa, recipe=plain), transpose(replace(qb, recipe=plain))


def nothing(case: Case) -> None:
    """Refuse nothing."""
