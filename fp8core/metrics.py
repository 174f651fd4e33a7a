"""measure: what was lost, in one report."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from fp8core import kernels
from fp8core.arrays import as_integers, as_matrix, as_tensor, total
from fp8core.codec import decode, exponent_of, is_clipped, pow2, ulp_of
from fp8core.formats import Format, parse_format
from fp8core.quantized import QuantizedTensor, prepared
from fp8core.recipes import Recipe
from fp8core.scaling import sides


@dataclass(frozen=True, eq=False)
class ErrorReport:
    """The error of x̂ = q.dequantize() against x.

    Errors are taken over the finite numbers of x that are finite in x̂; shares are of all numbers of x. Arithmetic is float64.

    Args:
        count: numbers in x.
        sqnr_db: 20 log10(‖x‖ / ‖x − x̂‖); inf where nothing was lost, NaN where x is all zeros or nothing finite is left.
        mse: mean of (x − x̂)².
        max_abs: largest |x − x̂|.
        max_ulp: largest |x − x̂|, both rotated where the recipe rotates, in units of the format's ulp at x, both divided by the scale; 0.5 at most for a number that was
            rounded to nearest and not clipped.
        cosine: x · x̂ / (‖x‖ ‖x̂‖); NaN where one of them is zero.
        underflow: share of numbers that were not zero and became zero.
        saturation: share of finite numbers more than half an ulp beyond scale · max, so that they were clipped or lost.
        zeros, nans, infs: exact zeros, NaNs and infinities in x, counted.
        lost: finite numbers of x that are NaN or infinite in x̂, counted.
        bits_per_value: stored bits, scales included.
        binades: exponents floor(log2|x|) from the smallest to the largest in x, shape (B,).
        binade_count: finite non-zero numbers in each that were not lost, shape (B,).
        binade_mse: mean of (x − x̂)² in each, shape (B,); NaN where it is empty.
        binade_sqnr_db: SQNR in each, shape (B,); NaN where it is empty.
        code_histogram: how often each code occurs, shape (2**bits,); empty for formats of more than 16 bits.
        signal, noise: Σx² and Σ(x − x̂)².
    """

    count: int
    sqnr_db: float
    mse: float
    max_abs: float
    max_ulp: float
    cosine: float
    underflow: float
    saturation: float
    zeros: int
    nans: int
    infs: int
    lost: int
    bits_per_value: float
    binades: np.ndarray = field(repr=False)
    binade_count: np.ndarray = field(repr=False)
    binade_mse: np.ndarray = field(repr=False)
    binade_sqnr_db: np.ndarray = field(repr=False)
    code_histogram: np.ndarray = field(repr=False)
    signal: float = field(repr=False)
    noise: float = field(repr=False)

    @property
    def codes_used(self) -> int:
        """How many different codes occur."""
        return int(np.count_nonzero(self.code_histogram))


def measure(x, q: QuantizedTensor) -> ErrorReport:
    """Compare a tensor with its quantized form.

    Raises:
        ValueError: the shapes differ.

    >>> from fp8core.quantized import quantize
    >>> report = measure([1.0, 0.0, 1e-9, 448.0], quantize([1.0, 0.0, 1e-9, 448.0], "tensor_e4m3"))
    >>> report.underflow, report.zeros, report.max_abs
    (0.25, 1, 1e-09)
    """
    source = as_tensor(x)
    if tuple(source.shape) != q.shape:
        raise ValueError(f"x has shape {tuple(source.shape)} and q has shape {q.shape}: measure compares a tensor with its own quantized form")
    if in_one_pass(source, q.recipe) and kernels.usable(as_integers(q.codes), as_tensor(q.scale)):
        return to_report(gather(source, q), q.bits_per_value)
    count = source.numel()
    x64, y64 = source.to(torch.float64), as_tensor(q.dequantize()).to(torch.float64)
    finite = x64.isfinite()
    usable = finite & y64.isfinite()
    finite_x64, x64, y64 = (torch.where(keep, values, 0.0) for keep, values in ((finite, x64), (usable, x64), (usable, y64)))
    error = x64 - y64
    in_ulps, clipped = _in_ulps(prepared(finite_x64, q.recipe), usable, q)
    binades, per_binade = _by_binade(x64, error, usable & (x64 != 0))
    used, signal, noise = max(int(usable.sum()), 1), _energy(x64), _energy(error)
    return ErrorReport(
        count=count,
        sqnr_db=_decibel(signal, noise),
        mse=noise / used if count else math.nan,
        max_abs=float(error.abs().max()) if count else math.nan,
        max_ulp=float(in_ulps.max()) if count else math.nan,
        cosine=cosine(x64, y64),
        underflow=int(((x64 != 0) & (y64 == 0)).sum()) / max(count, 1),
        saturation=int(clipped.sum()) / max(count, 1),
        zeros=int((source == 0).sum()),
        nans=int(source.isnan().sum()),
        infs=int(source.isinf().sum()),
        lost=int((finite & ~usable).sum()),
        bits_per_value=q.bits_per_value,
        binades=binades,
        **per_binade,
        code_histogram=_code_histogram(q.codes, q.recipe.fmt),
        signal=signal,
        noise=noise,
    )


@dataclass(frozen=True)
class Gathered:
    """What one pass finds out about a tensor, or about some rows of it; those of several parts add up.

    Args:
        sums, counts, in_binade, binades, histogram: as `kernels.report` gives them.
        max_ulp, clipped: of what was rounded, which is the rotation where the recipe rotates.
    """

    count: int
    sums: np.ndarray
    counts: np.ndarray
    in_binade: np.ndarray
    binades: np.ndarray
    histogram: np.ndarray
    max_ulp: float
    clipped: int

    def __add__(self, other: Gathered) -> Gathered:
        sums = np.concatenate([self.sums[:2] + other.sums[:2], np.maximum(self.sums[2:], other.sums[2:])])
        added = {name: getattr(self, name) + getattr(other, name) for name in ("count", "counts", "in_binade", "binades", "histogram", "clipped")}
        return Gathered(sums=sums, max_ulp=max(self.max_ulp, other.max_ulp), **added)


def in_one_pass(source: torch.Tensor, recipe: Recipe) -> bool:
    """Whether `gather` takes a tensor under a recipe: on a CPU, of at most 32 bits, and a format of at most 16 bits or of evenly spaced binades."""
    if not source.numel() or not kernels.usable(source) or source.dtype == torch.float64:
        return False
    if kernels.measures(source, recipe.fmt):
        return not recipe.rotation or bool(source.isfinite().all())
    return recipe.fmt.bits <= 16 and not recipe.rotation


def gather(source: torch.Tensor, q: QuantizedTensor) -> Gathered:
    """Compare a tensor for which `in_one_pass` holds with its quantized form."""
    codes, scale, fmt = as_integers(q.codes), as_tensor(q.scale), q.recipe.fmt
    if kernels.measures(source, fmt):
        matrix = as_matrix(prepared(source, q.recipe))
        block = tuple(matrix.shape) if scale.numel() == 1 else sides(matrix.shape, q.recipe.scaling.block)
        rounded = kernels.report(matrix, as_matrix(codes), fmt, scale, block)
        found = _of_values(source, q) if q.recipe.rotation else rounded
        max_ulp, clipped, histogram = float(rounded.sums[3]), int(rounded.counts[5]), rounded.histogram if fmt.bits <= 16 else np.empty(0, np.int64)
    else:  # a list of values: what is left of the numbers, as float32, and what the list tells
        matrix, found = as_matrix(source), _of_values(source, q)
        block = tuple(matrix.shape) if scale.numel() == 1 else sides(matrix.shape, q.recipe.scaling.block)
        max_ulp, clipped, histogram = kernels.book_errors(matrix, as_matrix(codes), fmt, scale, block)
    return Gathered(source.numel(), found.sums, found.counts, found.in_binade, found.binades, histogram, max_ulp, clipped)


def _of_values(source: torch.Tensor, q: QuantizedTensor):
    """What is left of the numbers themselves, whose bits are their codes in float32."""
    bits = as_tensor(q.dequantize()).contiguous().view(torch.int32).view(torch.uint32)
    return kernels.report(as_matrix(source), as_matrix(bits), parse_format("float32"), torch.ones(1, 1), tuple(as_matrix(source).shape))


def to_report(found: Gathered, bits_per_value: float) -> ErrorReport:
    """The report of what was gathered."""
    energy, product, max_abs, _ = found.sums.tolist()
    signal, noise = (math.fsum(column) for column in found.binades.T)
    usable, flushed, zeros, nans, infs, _ = found.counts.tolist()
    count, norms = found.count, math.sqrt(signal) * math.sqrt(energy)
    binades, per_binade = _binade_arrays(found.in_binade, found.binades)
    return ErrorReport(
        count=count,
        sqnr_db=_decibel(signal, noise),
        mse=noise / max(usable, 1),
        max_abs=max_abs,
        max_ulp=found.max_ulp,
        cosine=product / norms if norms else math.nan,
        underflow=flushed / count,
        saturation=found.clipped / count,
        zeros=zeros,
        nans=nans,
        infs=infs,
        lost=count - nans - infs - usable,
        bits_per_value=bits_per_value,
        binades=binades,
        **per_binade,
        code_histogram=found.histogram,
        signal=signal,
        noise=noise,
    )


def _binade_arrays(count: np.ndarray, sums: np.ndarray):
    """Numbers, and sums of x² and (x − x̂)², by binade, the first place for no binade, then 2^-149 and up -> binades that occur, and arrays over them."""
    occurring = np.flatnonzero(count[1:])
    if not occurring.size:
        empty = np.empty(0)
        return np.empty(0, np.int64), {"binade_count": np.empty(0, np.int64), "binade_mse": empty, "binade_sqnr_db": empty}
    span = slice(occurring[0] + 1, occurring[-1] + 2)
    count, (signal, noise) = count[span], sums[span].T
    with np.errstate(divide="ignore", invalid="ignore"):
        sqnr, mse = 10 * np.log10(signal / noise), noise / count
    return occurring[0] - 149 + np.arange(count.size), {"binade_count": count, "binade_mse": mse, "binade_sqnr_db": np.where(count > 0, sqnr, np.nan)}


def sqnr_db(x, y) -> float:
    """Return 20 log10(‖x‖ / ‖x − y‖) in decibels; inf where they are equal, NaN where x is zero or holds NaN or infinity.

    >>> round(sqnr_db([3.0, 4.0], [3.0, 4.5]), 6)
    20.0
    """
    x64, y64 = as_tensor(x).to(torch.float64), as_tensor(y).to(torch.float64)
    return _decibel(_energy(x64), _energy(x64 - y64))


def cosine(x, y) -> float:
    """Return the cosine of the angle between two tensors seen as vectors; NaN where one of them is zero."""
    x64, y64 = as_tensor(x).to(torch.float64).reshape(-1), as_tensor(y).to(torch.float64).reshape(-1)
    norms = math.sqrt(_energy(x64)) * math.sqrt(_energy(y64))
    return total(x64 * y64) / norms if norms else math.nan


def _energy(x: torch.Tensor) -> float:
    return total(x * x)


def _decibel(signal: float, noise: float) -> float:
    if not signal > 0 or math.isinf(signal):
        return math.nan
    return 10 * math.log10(signal / noise) if noise else math.inf


def _in_ulps(x64, usable, q: QuantizedTensor):
    """Errors in ulps at x / scale, and which numbers were clipped -> two tensors in the matrix shape (R, C)."""
    fmt, scale = q.recipe.fmt, q.element_scale().to(torch.float64)
    scaled = as_matrix(x64) / scale
    value = as_matrix(decode(as_integers(q.codes), fmt)).to(torch.float64)
    in_ulps = (scaled - value).abs() / ulp_of(scaled, fmt)
    return torch.where(as_matrix(usable), in_ulps.nan_to_num(nan=0.0, posinf=torch.inf), 0.0), is_clipped(scaled, fmt)


def _by_binade(x64, error, usable):
    magnitude, noise = x64[usable].abs(), error[usable] ** 2
    if not magnitude.numel():
        empty = np.empty(0)
        return np.empty(0, np.int64), {"binade_count": np.empty(0, np.int64), "binade_mse": empty, "binade_sqnr_db": empty}
    exponent = exponent_of(magnitude)
    lowest = int(exponent.min())
    index = exponent - lowest
    count = torch.bincount(index).cpu().numpy()
    signal = torch.bincount(index, weights=(magnitude * pow2(-exponent.clamp(max=1022))) ** 2).cpu().numpy()
    noise_sum = torch.bincount(index, weights=noise).cpu().numpy()
    binades = lowest + np.arange(len(count))
    with np.errstate(divide="ignore", invalid="ignore"):
        sqnr = 10 * np.log10(signal * np.exp2(2.0 * binades) / noise_sum)
        mse = noise_sum / count
    return binades, {"binade_count": count, "binade_mse": mse, "binade_sqnr_db": np.where(count > 0, sqnr, np.nan)}


def _code_histogram(codes, fmt: Format) -> np.ndarray:
    if fmt.bits > 16:
        return np.empty(0, np.int64)
    return torch.bincount(as_integers(codes).reshape(-1).to(torch.int64), minlength=1 << fmt.bits).cpu().numpy()
