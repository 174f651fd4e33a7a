"""quantize: a tensor becomes codes and scales, and comes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fp8core.arrays import as_integers, as_matrix, as_tensor, like
from fp8core.codec import decode, encode
from fp8core.formats import Format
from fp8core.recipes import Recipe, make_recipe, parse_recipe
from fp8core.rotation import rotate, rotate_back
from fp8core.rules import Scales
from fp8core.scaling import Block, ScaleSpec, compute_scales, expand


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """Codes and scales: x ≈ decode(codes) · scale.

    Args:
        codes: unsigned integers in the shape of the tensor.
        scale: decode multipliers, float32, one per block, shape (⌈R / rows⌉, ⌈C / columns⌉) on the tensor seen as a matrix (R, C);
            (1, 1) holding 1 where the recipe has no scaling.
        recipe: how they were made.
        scale_codes: what is stored for each block, in codes of the scale format; None where the recipe has no scaling.
        global_scale: float32 of shape () of a two-level recipe; `scale` already contains it.
    """

    codes: torch.Tensor | np.ndarray
    scale: torch.Tensor | np.ndarray
    recipe: Recipe
    scale_codes: torch.Tensor | np.ndarray | None = None
    global_scale: torch.Tensor | np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return tuple(self.codes.shape)

    @property
    def nbytes(self) -> int:
        """Bytes when stored packed: codes and all scales."""
        blocks = 0 if self.scale_codes is None else int(np.prod(self.scale_codes.shape))
        return self.recipe.nbytes(int(np.prod(self.shape)), blocks)

    @property
    def bits_per_value(self) -> float:
        """Stored bits per element, scales included; NaN for an empty tensor."""
        count = int(np.prod(self.shape))
        return 8 * self.nbytes / count if count else float("nan")

    def element_scale(self) -> torch.Tensor:
        """Return the scale of every element, float32, as a matrix (R, C), or (1, 1) where all share one."""
        scale = as_tensor(self.scale)
        if scale.numel() == 1:
            return scale
        return expand(scale, as_matrix(as_integers(self.codes)).shape, self.recipe.scaling.block)

    def dequantize(self):
        """Return decode(codes) · scale, float32 in the tensor's shape and kind; the product is rounded once, to float32.

        A recipe that rotates before it scales is rotated back, so that the result is comparable with the tensor.

        A product beyond float32's range becomes infinity; `measure` counts such numbers as lost.
        """
        codes = as_integers(self.codes)
        values = as_matrix(decode(codes, self.recipe.fmt))
        restored = (values * self.element_scale()).reshape(codes.shape)
        return like(self.codes, rotate_back(restored, self.recipe.rotation) if self.recipe.rotation else restored)


def quantize(x, recipe: str | Recipe | Format, scaling: ScaleSpec | None = None, *, amax=None, seed: int | None = None) -> QuantizedTensor:
    """Quantize a tensor: amax of every block, scale, codes of x / scale.

    The quotient is rounded to the format once, with no detour through float32; where the recipe follows a library, in that library's steps.
    NaN, infinity and blocks of zeros: see `scaling.compute_scales` and `codec.encode`.

    Args:
        x: torch tensor or array of any shape; blocks lie on it as a matrix of its last axis by all others.
        recipe: a Recipe or its name; or, together with `scaling`, a format or its name.
        amax: for static and delayed scaling: what calibration or history says, in place of the tensor's own; a number, or one for each block.
        seed: for recipes that round stochastically.

    Raises:
        ValueError: unknown recipe or format; an `amax` of another shape, below zero, or for a recipe without scaling.
        TypeError: `x` does not hold real numbers.

    >>> q = quantize([[1.0, 2.0, 3.0, 100.0]], "int8_tensor")
    >>> q.codes, q.dequantize().round(2)
    (array([[  1,   3,   4, 127]], dtype=uint8), array([[  0.79,   2.36,   3.15, 100.  ]], dtype=float32))
    """
    if scaling is not None or isinstance(recipe, Format):
        recipe = make_recipe(recipe, scaling)
    recipe = parse_recipe(recipe)
    source = as_tensor(x)
    if recipe.scaling is None and amax is not None:
        raise ValueError(f"recipe {recipe.name!r} has no scaling: an amax has no use there")
    source = prepared(source, recipe)
    if recipe.scaling is None or source.numel() == 0:
        codes = encode(source, recipe.fmt, recipe.rounding, recipe.overflow, seed=seed)
        return QuantizedTensor(like(x, codes), like(x, torch.ones(1, 1, device=source.device)), recipe)
    matrix = as_matrix(source)
    scales = compute_scales(matrix, recipe.fmt, recipe.scaling, amax)
    codes = encode(_scaled(matrix, scales, recipe.scaling.block), recipe.fmt, recipe.rounding, recipe.overflow, seed=seed).reshape(source.shape)
    global_scale = None if scales.global_scale is None else like(x, scales.global_scale)
    return QuantizedTensor(like(x, codes), like(x, scales.values), recipe, like(x, scales.codes), global_scale)


def prepared(x: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Return what the recipe scales and rounds: the tensor itself, or its rotation."""
    return rotate(x, recipe.rotation) if recipe.rotation else x


def _scaled(matrix: torch.Tensor, scales: Scales, block: Block) -> torch.Tensor:
    """What is rounded to the elements' format: x / scale, or what the rule's library makes of it in float32."""
    if scales.multiplier is not None:
        return matrix.to(torch.float32) * expand(scales.multiplier, matrix.shape, block)
    if scales.divisor is not None:
        return matrix.to(torch.float32) / expand(scales.divisor, matrix.shape, block)
    # float64 quotients of two float32 numbers are never close enough to a midpoint to round to the wrong side of it
    return matrix.to(torch.float64) / expand(scales.values, matrix.shape, block)
