"""One block of a tensor with two levels of scales, from amax down to every element."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from fp8core.arrays import as_integers, as_matrix, as_tensor
from fp8core.codec import decode, exponent_of
from fp8core.formats import Format, parse_format
from fp8core.quantized import QuantizedTensor, prepared
from fp8core.scaling import SCALE_FORMATS, amax, to_blocks

PICKS = {
    "largest": "the block with the largest number of all",
    "smallest": "the block with the smallest scale among those that hold a number other than zero",
    "worst": "the block with the largest |x − x̂|",
}


@dataclass(frozen=True, eq=False)
class Anatomy:
    """How one block was quantized.

    Args:
        index: which block, counted row by row; row, column: where its first element stands in the matrix.
        amax_of_all, amax: largest magnitude of the tensor and of the block.
        global_scale: float32; 1 where there is one level only.
        wanted: amax / max / global_scale, before it is stored.
        scale_code, stored: the block's scale in codes of the scale format, and the number that this means.
        scale: what decoding multiplies with: stored · global_scale.
        x, scaled: elements, and elements / scale, float64, shape (n,); NaN or infinite where the scale is 0.
        codes, values, restored: their codes, what these mean, and x̂, shape (n,).
    """

    index: int
    row: int
    column: int
    amax_of_all: float
    amax: float
    global_scale: float
    wanted: float
    scale_code: int
    stored: float
    scale: float
    x: np.ndarray
    scaled: np.ndarray
    codes: np.ndarray
    values: np.ndarray
    restored: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """x̂ − x."""
        return self.restored - self.x


def scale_format_of(q: QuantizedTensor) -> Format:
    """Return the format of the blocks' scales.

    Raises:
        ValueError: the recipe has no scaling.
    """
    if q.recipe.scaling is None or q.scale_codes is None:
        raise ValueError(f"recipe {q.recipe.name!r} has no scales")
    return parse_format(SCALE_FORMATS[q.recipe.scaling.scale_format].element)


def anatomy(x, q: QuantizedTensor, index: int) -> Anatomy:
    """Return how block `index` was quantized; after the last block the first follows again.

    Raises:
        ValueError: the recipe has no scaling.

    >>> from fp8core.quantized import quantize
    >>> x = [[1.0] * 16 + [6.0] * 16]
    >>> part = anatomy(x, quantize(x, "nvfp4"), 1)
    >>> part.column, part.amax, part.stored, float(part.values[0])
    (16, 6.0, 448.0, 6.0)
    """
    store = scale_format_of(q)
    block, source = q.recipe.scaling.block, as_matrix(prepared(as_tensor(x), q.recipe)).to(torch.float64)
    across = q.scale_codes.shape[1]
    index %= q.scale_codes.shape[0] * across
    place = index // across, index % across
    rows, columns = (length if side is None else side for side, length in zip(block, source.shape, strict=True))
    part = slice(place[0] * rows, (place[0] + 1) * rows), slice(place[1] * columns, (place[1] + 1) * columns)
    elements = source[part].reshape(-1)
    codes = as_matrix(as_integers(q.codes))[part].reshape(-1)
    values = decode(codes, q.recipe.fmt).to(torch.float64)
    code, scale = int(q.scale_codes[place]), float(q.scale[place])
    global_scale = 1.0 if q.global_scale is None else float(q.global_scale)
    largest = amax(source, block)
    own = float(largest[place])
    return Anatomy(
        index=index, row=place[0] * rows, column=place[1] * columns, amax_of_all=float(largest.max()), amax=own,
        global_scale=global_scale, wanted=own / q.recipe.fmt.max / global_scale if global_scale else float("nan"), scale_code=code, stored=float(store.value_of(np.array([code]))[0]), scale=scale,
        x=elements.numpy(), scaled=(elements / scale).numpy(), codes=codes.numpy(), values=values.numpy(), restored=(values.to(torch.float32) * scale).to(torch.float64).numpy(),
    )  # fmt: skip


def loudest(x, q: QuantizedTensor) -> Anatomy:
    """Return how the scale of the block with the largest number came about, rotated where the recipe rotates; its elements are left out.

    Raises:
        ValueError: the recipe has no scaling.

    >>> from fp8core.quantized import quantize
    >>> part = loudest([[1.0, 448.0]], quantize([[1.0, 448.0]], "tensor_e4m3"))
    >>> part.amax, part.wanted, part.scale, part.x.size
    (448.0, 1.0, 1.0, 0)
    """
    scale_format_of(q)
    largest = amax(as_matrix(prepared(as_tensor(x), q.recipe)).to(torch.float64), q.recipe.scaling.block)
    found = anatomy(x, q, int(largest.argmax()))
    return replace(found, **{name: np.empty(0) for name in ("x", "scaled", "codes", "values", "restored")})


def pick_block(x, q: QuantizedTensor, which: str) -> int:
    """Return the index of a block worth a look: a key of `PICKS`. Of several the first.

    Raises:
        ValueError: another key; the recipe has no scaling.
    """
    if which not in PICKS:
        raise ValueError(f"which = {which!r} is not one of {', '.join(PICKS)}")
    scale_format_of(q)
    block, source = q.recipe.scaling.block, as_matrix(as_tensor(x)).to(torch.float64)
    if which == "worst":
        error = (source - as_matrix(as_tensor(q.dequantize()))).abs()
        return int(to_blocks(error.nan_to_num(nan=0.0, posinf=0.0), block).amax(dim=(1, 3)).argmax())
    largest = amax(source, block)
    if which == "largest":
        return int(largest.argmax())
    return int(torch.where(largest > 0, as_tensor(q.scale).to(torch.float64).nan_to_num(nan=torch.inf), torch.inf).argmin())


@dataclass(frozen=True, eq=False)
class ScaleCounts:
    """How the blocks' scales spread over the scale format.

    Args:
        binades: exponents of the stored scales, ascending without gaps over the whole scale format, shape (B,).
        counts: blocks in each, shape (B,).
        raised: those of them whose scale was held up: above what amax asked for by more than rounding, shape (B,).
        zero: blocks whose scale was rounded to 0 though they hold something: all of it is lost or infinite.
        empty: blocks that hold only zeros; they are not counted in the others.
        nan: blocks that hold something and whose scale is NaN.
        blocks: all blocks.
        subnormal: binades below this one are subnormal in the scale format.
    """

    binades: np.ndarray
    counts: np.ndarray
    raised: np.ndarray
    zero: int
    empty: int
    nan: int
    blocks: int
    subnormal: int


def scale_counts(x, q: QuantizedTensor) -> ScaleCounts:
    """Count the blocks by the binade of their stored scale.

    Raises:
        ValueError: the recipe has no scaling.

    >>> from fp8core.quantized import quantize
    >>> c = scale_counts([[0.0] * 16 + [1e-9] * 16 + [6.0] * 16], quantize([[0.0] * 16 + [1e-9] * 16 + [6.0] * 16], "nvfp4"))
    >>> c.empty, int(c.raised.sum()), dict(zip(c.binades.tolist(), c.counts.tolist()))[8]
    (1, 1, 1)
    """
    store = scale_format_of(q)
    stored = decode(as_integers(q.scale_codes), store).to(torch.float64).reshape(-1)
    largest = amax(as_matrix(prepared(as_tensor(x), q.recipe)).to(torch.float64), q.recipe.scaling.block).reshape(-1)
    global_scale = 1.0 if q.global_scale is None else float(q.global_scale)
    wanted = largest / q.recipe.fmt.max / global_scale if global_scale else torch.full_like(largest, torch.nan)
    rounding = torch.maximum(wanted * 2.0 ** -(store.mantissa_bits + 1), torch.tensor(store.min_positive / 2, dtype=torch.float64))
    full, zero = largest > 0, stored == 0
    binades = np.arange(int(np.floor(np.log2(store.min_positive))), store.emax + 1)
    counted = full & ~zero & stored.isfinite()
    place = (exponent_of(stored[counted]) - int(binades[0])).to(torch.int64)
    held_up = (stored - wanted > rounding)[counted]
    counts, raised = (torch.bincount(part, minlength=len(binades)).numpy() for part in (place, place[held_up]))
    return ScaleCounts(binades, counts, raised, int((full & zero).sum()), int((~full).sum()), int((full & stored.isnan()).sum()), stored.numel(), store.emin)
