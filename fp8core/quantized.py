"""quantize: a tensor becomes codes and scales, and comes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fp8core import kernels
from fp8core.arrays import as_integers, as_matrix, as_tensor, like, result_like
from fp8core.codec import CODE_DTYPES, decode, encode, round_to, seed_or_drawn
from fp8core.formats import Format, parse_format
from fp8core.kernels import fused
from fp8core.recipes import Recipe, make_recipe, parse_recipe
from fp8core.rotation import rotate, rotate_back
from fp8core.rules import SCALE_RULES, Scales
from fp8core.scaling import SCALE_FORMATS, Block, ScaleSpec, compute_scales, expand, global_scale_of, sides
from fp8core.scaling import amax as matrix_amax

SEED = 0
"""Of stochastic rounding wherever the same numbers have to come out again: in analyses, on pages, in what is written."""


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
        codes, scale = as_integers(self.codes), as_tensor(self.scale)
        if kernels.usable(codes, scale) and self.recipe.scaling is not None and codes.numel():
            restored = torch.empty(codes.shape, dtype=torch.float32)
            matrix = as_matrix(codes)
            kernels.dequantize(matrix, self.recipe.fmt, scale, sides(matrix.shape, self.recipe.scaling.block), restored)
        else:
            restored = (as_matrix(decode(codes, self.recipe.fmt)) * self.element_scale()).reshape(codes.shape)
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
    _check_amax(amax, recipe)
    source = prepared(source, recipe)
    if recipe.scaling is None or source.numel() == 0:
        codes = encode(source, recipe.fmt, recipe.rounding, recipe.overflow, seed=seed)
        return QuantizedTensor(like(x, codes), like(x, torch.ones(1, 1, device=source.device)), recipe)
    codes = torch.empty(source.shape, dtype=CODE_DTYPES[recipe.fmt.storage_bits], device=source.device)
    scales = _quantize_matrix(as_matrix(source), recipe, amax, seed, codes=as_matrix(codes))
    global_scale = None if scales.global_scale is None else like(x, scales.global_scale)
    return QuantizedTensor(like(x, codes), like(x, scales.values), recipe, like(x, scales.codes), global_scale)


def fake_quantize(x, recipe: str | Recipe | Format, scaling: ScaleSpec | None = None, *, amax=None, seed: int | None = None, out=None):
    """Return quantize(x, …).dequantize() in one pass: what is left of the numbers, float32, same shape and kind as `x`.

    Args and errors as in `quantize`.

    Args:
        out: preallocated float32 result, contiguous, of the shape and kind of `x`; it may be `x` itself.

    Raises:
        ValueError: `out` of another shape or dtype.

    >>> fake_quantize([[1.0, 2.0, 3.0, 100.0]], "int8_tensor").round(2)
    array([[  0.79,   2.36,   3.15, 100.  ]], dtype=float32)
    """
    if scaling is not None or isinstance(recipe, Format):
        recipe = make_recipe(recipe, scaling)
    recipe = parse_recipe(recipe)
    source = as_tensor(x)
    _check_amax(amax, recipe)
    if recipe.scaling is None and not recipe.rotation:
        return round_to(x, recipe.fmt, recipe.rounding, recipe.overflow, seed=seed, out=out)
    result = result_like(out, source, torch.float32)
    if not source.numel():
        return like(x, result) if out is None else out
    if kernels.usable(source) and kernels.supports(recipe.fmt, recipe.rounding) and recipe.scaling is not None:
        _quantize_matrix(as_matrix(prepared(source, recipe)), recipe, amax, seed, values=as_matrix(result))
        if recipe.rotation:
            result.copy_(rotate_back(result, recipe.rotation))
    else:
        result.copy_(quantize(source, recipe, amax=amax, seed=seed).dequantize())
    return like(x, result) if out is None else out


def _check_amax(amax, recipe: Recipe) -> None:
    if recipe.scaling is None and amax is not None:
        raise ValueError(f"recipe {recipe.name!r} has no scaling: an amax has no use there")


def _quantize_matrix(matrix: torch.Tensor, recipe: Recipe, amax, seed: int | None, *, values: torch.Tensor | None = None, codes: torch.Tensor | None = None) -> Scales:
    """Write the codes of a matrix, or the values that they stand for, into a preallocated matrix -> its scales."""
    fmt, spec = recipe.fmt, recipe.scaling
    if kernels.fusable(matrix) and codes is not None and amax is None and fused.refuses(recipe, matrix.dtype) is None:
        return fused.quantize_matrix(matrix, recipe, codes=codes)
    if not kernels.usable(matrix) or not kernels.supports(fmt, recipe.rounding):
        scales = compute_scales(matrix, fmt, spec, amax)
        codes.copy_(encode(_scaled(matrix, scales, spec.block), fmt, recipe.rounding, recipe.overflow, seed=seed))
        return scales
    seed = seed_or_drawn(seed) if recipe.rounding == "stochastic" else 0
    block = sides(matrix.shape, spec.block)
    if amax is None and SCALE_RULES[spec.rule].compute is None and kernels.one_pass(matrix.shape, block):
        store = SCALE_FORMATS[spec.scale_format]
        global_scale = None if store.global_format is None else global_scale_of(matrix_amax(matrix, (None, None)).clamp(min=spec.amax_floor).reshape(()), fmt, store)
        rule = fused.rule_numbers(fmt, spec, store, 1.0 if global_scale is None else float(global_scale))
        found = kernels.scale_and_quantize_blocks(matrix, block, fmt, recipe.rounding, recipe.overflow, seed, rule, parse_format(store.element), values=values, codes=codes)
        return Scales(*found, global_scale)
    scales = compute_scales(matrix, fmt, spec, amax)
    kernels.quantize_blocks(
        matrix, block, fmt, recipe.rounding, recipe.overflow, seed, scales.values, multiplier=scales.multiplier, divisor=scales.divisor,
        occupied=scales.occupied if amax is None else None, values=values, codes=codes,
    )  # fmt: skip
    return scales


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
