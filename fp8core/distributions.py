"""Where a tensor's numbers lie on a format's range, and what becomes of them: counts that a chart can draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fp8core import kernels
from fp8core.arrays import as_integers, as_matrix, as_tensor
from fp8core.codec import decode, exponent_of, is_clipped
from fp8core.quantized import QuantizedTensor, prepared
from fp8core.scaling import amax, sides, to_blocks

FATES = {
    "flushed": "not zero before, zero after",
    "subnormal": "below the smallest normal number: fewer significant bits",
    "normal": "full precision",
    "saturated": "beyond the largest number: clipped to it",
    "lost": "NaN or infinity afterwards",
}


@dataclass(frozen=True, eq=False)
class Distribution:
    """Numbers of a tensor by binade of their magnitude, and by what becomes of them.

    Args:
        binades: exponents floor(log2|x|), ascending without gaps, shape (B,).
        counts: for each key of `FATES`, numbers in each binade, shape (B,).
        zeros, nans, infs: counts of what has no binade.
        count: all numbers.
    """

    binades: np.ndarray
    counts: dict[str, np.ndarray]
    zeros: int
    nans: int
    infs: int
    count: int

    def share(self, fate: str) -> float:
        """Share of all numbers with this fate."""
        return int(self.counts[fate].sum()) / max(self.count, 1)


@dataclass(frozen=True, eq=False)
class BinadeHistogram:
    """Numbers of a tensor by the binade of their magnitude.

    Args:
        binades: exponents floor(log2|x|), ascending without gaps, shape (B,).
        counts: numbers in each, shape (B,).
        zeros, nans, infs: counts of what has no binade.
    """

    binades: np.ndarray
    counts: np.ndarray
    zeros: int
    nans: int
    infs: int


def binade_histogram(x) -> BinadeHistogram:
    """Count the numbers of a tensor by binade: log2 bins whose edges are the powers of two, exactly.

    >>> binade_histogram([0.0, 1.0, 1.9, 3.0, float("nan")])
    BinadeHistogram(binades=array([0, 1]), counts=array([2, 1]), zeros=1, nans=1, infs=0)
    """
    source = as_tensor(x)
    if kernels.usable(source) and source.dtype != torch.float64:
        counts, (zeros, nans, infs) = kernels.binades(source)
        occurring = np.flatnonzero(counts)
        found = slice(occurring[0], occurring[-1] + 1) if occurring.size else slice(0, 0)
        return BinadeHistogram(np.arange(-149, 128)[found], counts[found], int(zeros), int(nans), int(infs))
    magnitude = source.to(torch.float64).abs()
    exponents = exponent_of(magnitude[magnitude.isfinite() & (magnitude > 0)])
    lowest = int(exponents.min()) if exponents.numel() else 0
    counts = torch.bincount(exponents - lowest).cpu().numpy()
    return BinadeHistogram(lowest + np.arange(counts.size), counts, int((magnitude == 0).sum()), int(magnitude.isnan().sum()), int(magnitude.isinf().sum()))


def distribution(x, q: QuantizedTensor, *, scaled: bool) -> Distribution:
    """Count the numbers of a tensor by binade and fate.

    Args:
        x: the tensor, of the shape of `q`; counted after its rotation where the recipe rotates.
        scaled: bin x / scale, where the format's own limits apply, and not x; numbers of a block whose scale is NaN have no binade then.

    Raises:
        ValueError: the shapes differ.

    >>> from fp8core.quantized import quantize
    >>> d = distribution([1000.0, 1.0, 0.0, 1e-4], quantize([1000.0, 1.0, 0.0, 1e-4], "e4m3fn"), scaled=False)
    >>> d.share("saturated"), d.share("flushed"), d.zeros, int(d.binades[0]), int(d.binades[-1])
    (0.25, 0.25, 1, -14, 9)
    """
    source = as_tensor(x)
    if tuple(source.shape) != q.shape:
        raise ValueError(f"x has shape {tuple(source.shape)} and q has shape {q.shape}: they are a tensor and its own quantized form")
    fmt, codes, scale = q.recipe.fmt, as_integers(q.codes), as_tensor(q.scale)
    in_place = not q.recipe.rotation or bool(source.isfinite().all() and as_tensor(q.dequantize()).isfinite().all())  # each number has a place before and after
    if source.numel() and source.dtype != torch.float64 and in_place and kernels.usable(source, codes, scale):
        matrix = as_matrix(prepared(source, q.recipe))
        block = tuple(matrix.shape) if scale.numel() == 1 else sides(matrix.shape, q.recipe.scaling.block)
        first, table, (zeros, nans, infs) = kernels.fates(matrix, as_matrix(codes), fmt, scale, block, scaled=scaled)
        occurring = np.flatnonzero(table.sum(axis=0))
        found = slice(occurring[0], occurring[-1] + 1) if occurring.size else slice(0, 0)
        return Distribution(np.arange(first, first + table.shape[1])[found], dict(zip(FATES, table[:, found], strict=True)), int(zeros), int(nans), int(infs), source.numel())
    original = as_matrix(prepared(source, q.recipe)).to(torch.float64)
    quotient = original / q.element_scale()
    original, magnitude = original.abs(), quotient.abs()
    value = as_matrix(decode(as_integers(q.codes), fmt))
    fate = torch.full(magnitude.shape, 2, device=source.device)
    if fmt.min_subnormal is not None:
        fate[magnitude < fmt.min_normal] = 1
    fate[value == 0] = 0
    fate[is_clipped(quotient, fmt)] = 3
    fate[~as_matrix(as_tensor(q.dequantize())).isfinite()] = 4
    binned = magnitude if scaled else original
    countable = binned.isfinite() & (binned > 0)
    binades, table = _count(exponent_of(binned[countable]), fate[countable])
    return Distribution(
        binades=binades,
        counts=dict(zip(FATES, table, strict=True)),
        zeros=int((original == 0).sum()),
        nans=int(original.isnan().sum()),
        infs=int(original.isinf().sum()),
        count=source.numel(),
    )


def _count(exponents: torch.Tensor, fates: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    if not exponents.numel():
        return np.empty(0, np.int64), np.empty((len(FATES), 0), np.int64)
    lowest, span = int(exponents.min()), int(exponents.max() - exponents.min()) + 1
    table = torch.bincount(fates * span + (exponents - lowest), minlength=len(FATES) * span)
    return lowest + np.arange(span), table.reshape(len(FATES), span).cpu().numpy()


@dataclass(frozen=True, eq=False)
class LinearView:
    """A histogram of x / scale on a linear axis round zero, with the numbers of the format that lie in it.

    Args:
        edges: bin edges, shape (B + 1,), in units of the scale.
        counts: numbers in each bin, shape (B,).
        grid: values of the format inside, ascending.
        outside: finite numbers beyond both ends, counted.
    """

    edges: np.ndarray
    counts: np.ndarray
    grid: np.ndarray
    outside: int


def linear_view(x, q: QuantizedTensor, zoom: int = 1, bins: int = 240) -> LinearView:
    """Count x / scale in equal bins over ±(format's max / zoom).

    The window of a format whose range is far wider than the data shrinks to the data first, so that zoom 1 always shows all of it.

    Raises:
        ValueError: zoom or bins below 1.
    """
    if zoom < 1 or bins < 1:
        raise ValueError(f"zoom = {zoom} and bins = {bins}: both are at least 1")
    fmt = q.recipe.fmt
    grid = fmt.finite_values if fmt.bits <= 16 else np.empty(0)
    source, scale = as_tensor(x), as_tensor(q.scale)
    if source.numel() and source.dtype != torch.float64 and kernels.usable(source, scale):
        matrix = as_matrix(prepared(source, q.recipe))
        block = tuple(matrix.shape) if scale.numel() == 1 else sides(matrix.shape, q.recipe.scaling.block)
        _, largest, finite = kernels.quotients(matrix, scale, block)
        window = min(fmt.max, largest or fmt.max) / zoom
        edges = np.linspace(-window, window, bins + 1)
        counts = kernels.quotients(matrix, scale, block, edges)[0]
        return LinearView(edges, counts, grid[np.abs(grid) <= window], int(finite - counts.sum()))
    scaled = (as_matrix(prepared(as_tensor(x), q.recipe)).to(torch.float64) / q.element_scale()).reshape(-1)
    scaled = scaled[scaled.isfinite()].cpu().numpy()
    widest = min(fmt.max, float(np.abs(scaled).max(initial=0.0)) or fmt.max)
    window = widest / zoom
    counts, edges = np.histogram(scaled, bins=bins, range=(-window, window))
    return LinearView(edges, counts, grid[np.abs(grid) <= window], int(scaled.size - counts.sum()))


@dataclass(frozen=True, eq=False)
class Maps:
    """Two pictures of one quantized matrix, cell by cell, small enough to draw.

    Args:
        scale_log2: log2 of the largest scale in each cell, shape (r, c); NaN where the cell holds only zeros.
        sqnr_db: SQNR of each cell, shape (r, c); inf where it is exact, NaN where it is all zeros.
        cell: rows and columns of the matrix in one cell.
    """

    scale_log2: np.ndarray
    sqnr_db: np.ndarray
    cell: tuple[int, int]


def maps(x, q: QuantizedTensor, most: int = 64) -> Maps:
    """Return scale and error of a matrix on a grid of at most `most` × `most` cells.

    A cell is one block of the recipe, or several where there are more blocks than cells; a block that spans a whole axis is cut into cells.
    """
    matrix = as_matrix(as_tensor(x)).to(torch.float64)
    cell = tuple(max(-(-length // most), 1) for length in matrix.shape)
    if q.recipe.scaling is not None:
        cell = tuple(_whole_blocks(size, side) for size, side in zip(cell, q.recipe.scaling.block, strict=True))
    error = torch.nan_to_num(matrix - as_matrix(as_tensor(q.dequantize())), nan=0.0, posinf=0.0, neginf=0.0)
    signal, noise = (to_blocks(torch.nan_to_num(part) ** 2, cell).sum(dim=(1, 3)) for part in (matrix, error))
    scale = amax(q.element_scale().expand(matrix.shape), cell)
    decibel = 10 * torch.log10(signal / noise)
    return Maps(
        scale_log2=torch.where(signal > 0, torch.log2(scale), torch.nan).cpu().numpy(),
        sqnr_db=torch.where(signal > 0, decibel, torch.nan).cpu().numpy(),
        cell=cell,
    )


def _whole_blocks(size: int, side: int | None) -> int:
    """The cell size raised to whole blocks; a block that spans the whole axis may hold many cells."""
    return size if side is None else -(-size // side) * side

