"""Tensors that are too large for one piece of memory: quantized and measured some rows at a time, with the same codes, scales and sums' terms, but for what stochastic rounding draws."""

from __future__ import annotations

from dataclasses import replace

import torch

from fp8core.arrays import as_matrix
from fp8core.metrics import ErrorReport, gather, to_report
from fp8core.quantized import QuantizedTensor, prepared, quantize
from fp8core.recipes import Recipe
from fp8core.scaling import SCALE_FORMATS, amax


def spans_rows(recipe: Recipe) -> bool:
    """Whether a scale follows from numbers of rows that may be in another part: one for all, one per column, or a second level."""
    return recipe.scaling is not None and (recipe.scaling.block[0] is None or SCALE_FORMATS[recipe.scaling.scale_format].global_format is not None)


def column_peaks(rows: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Return the largest magnitude of each column of what the recipe scales, (1, C) float32, not finite where a number of it is not.

    The largest of all parts is what `quantize_part` has to know of the others.
    """
    return amax(as_matrix(prepared(rows, recipe)), (None, 1), "both").to(torch.float32)


def quantize_part(rows: torch.Tensor, recipe: Recipe, peaks: torch.Tensor | None, *, seed: int | None = None) -> QuantizedTensor:
    """Quantize some rows of a tensor as they would be within all of it.

    Args:
        rows: (r, C), or (r, …, C), beginning where a block begins, of finite float32 numbers.
        peaks: the largest of `column_peaks` of all parts, (1, C); None where `spans_rows` is false.
    """
    if peaks is None:
        return quantize(rows, recipe, seed=seed)
    matrix = as_matrix(prepared(rows, recipe))
    side = recipe.scaling.block[0]
    gap = 0 if side is None else -matrix.shape[0] % min(side, matrix.shape[0] + side)
    whole = torch.cat([matrix, matrix.new_zeros(gap, matrix.shape[1]), peaks])  # a row that stands for all others: no block of these rows gets another amax by it
    q = quantize(whole, replace(recipe, rotation=""), seed=seed)
    kept = 1 if side is None else -(-matrix.shape[0] // side)
    return QuantizedTensor(q.codes[: matrix.shape[0]].reshape(rows.shape), q.scale[:kept].contiguous(), recipe, None if q.scale_codes is None else q.scale_codes[:kept], q.global_scale)


class PartialReport:
    """The error report of a tensor that is measured part by part."""

    def __init__(self, recipe: Recipe):
        self._recipe, self._found, self._blocks = recipe, None, 0

    def add(self, rows: torch.Tensor, q: QuantizedTensor) -> None:
        """Count some rows and their quantized form."""
        part = gather(rows, q)
        self._found = part if self._found is None else self._found + part
        shared = self._recipe.scaling is not None and self._recipe.scaling.block[0] is None
        blocks = 0 if q.scale_codes is None else q.scale_codes.numel()
        self._blocks = blocks if shared else self._blocks + blocks

    def report(self) -> ErrorReport:
        """The report of all that has been added."""
        return to_report(self._found, 8 * self._recipe.nbytes(self._found.count, self._blocks) / self._found.count)
