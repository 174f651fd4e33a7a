"""A tensor quantized along its rows and along its columns: why a weight and its transpose disagree, and where."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from fp8core.arrays import as_matrix, as_tensor
from fp8core.compare import Difference, difference
from fp8core.metrics import ErrorReport, measure
from fp8core.quantized import quantize
from fp8core.recipes import Recipe, parse_recipe
from fp8core.scaling import to_blocks


@dataclass(frozen=True, eq=False)
class Directions:
    """One tensor, quantized as a product along its columns needs it and as one along its rows does.

    Args:
        along_rows, along_columns: the report of each.
        difference: where the two differ.
        gap: largest |x̂_rows − x̂_columns| of each cell, as a share of the tensor's rms, shape (r, c); 0 where they agree; NaN and infinity count as 0.
        cell: rows and columns of the matrix in one cell.
    """

    along_rows: ErrorReport
    along_columns: ErrorReport
    difference: Difference
    gap: np.ndarray
    cell: tuple[int, int]


def transposed(recipe: str | Recipe) -> Recipe:
    """Return the recipe that does to x.T what this one does to x; a recipe without scaling has no direction and comes back as it is.

    Raises:
        ValueError: a recipe that rotates: it turns the last axis, whatever its blocks do.

    >>> transposed("mxfp4").scaling.block
    (32, 1)
    """
    recipe = parse_recipe(recipe)
    if recipe.rotation:
        raise ValueError(f"recipe {recipe.name!r} rotates the last axis: quantize the transposed tensor instead")
    if recipe.scaling is None or recipe.scaling == recipe.scaling.transposed:
        return recipe
    return replace(recipe, name=f"{recipe.name}, transposed", scaling=recipe.scaling.transposed)


def directions(x, recipe: str | Recipe, most: int = 64, *, seed: int | None = None) -> Directions:
    """Quantize a tensor with a recipe and with its transpose, and compare, on a grid of at most `most` × `most` cells.

    >>> directions([[1.0, 300.0], [0.01, 2.0]], "row_e4m3").difference.values
    2
    """
    source = as_tensor(x)
    recipe = parse_recipe(recipe)
    rows, columns = (quantize(x, each, seed=seed) for each in (recipe, transposed(recipe)))
    matrix = as_matrix(source).to(torch.float64)
    rms = float(matrix[matrix.isfinite()].square().mean().sqrt()) if matrix.isfinite().any() else 0.0
    gap = (as_matrix(as_tensor(rows.dequantize())).to(torch.float64) - as_matrix(as_tensor(columns.dequantize()))).abs().nan_to_num(nan=0.0, posinf=0.0)
    cell = tuple(max(-(-length // most), 1) for length in matrix.shape)
    return Directions(measure(x, rows), measure(x, columns), difference(rows, columns), (to_blocks(gap, cell).amax(dim=(1, 3)) / (rms or 1.0)).cpu().numpy(), cell)
