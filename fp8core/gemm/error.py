"""What survives a product: the error of A · B beside the errors of A and of B, against K, and against an outlier.

All of it compares float64 products, so that only quantization shows; what a unit loses while it sums is in `accumulate`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from fp8core.arrays import as_tensor
from fp8core.calibration.smoothing import smooth
from fp8core.gemm.backend import transpose
from fp8core.gemm.reference import reference
from fp8core.kernels.pool import in_one_thread
from fp8core.metrics import cosine, measure, sqnr_db
from fp8core.quantized import SEED, quantize
from fp8core.recipes import Recipe, parse_recipe

LARGEST_SIDE = 1 << 16
_FEW = 1 << 16  # numbers of a factor; handing a job over costs more than a second thread gains


@dataclass(frozen=True)
class ProductError:
    """The error of one product under one recipe.

    Args:
        k: length of the sums.
        sqnr_a_db, sqnr_b_db: of the matrices themselves.
        sqnr_db: of the product; NaN where it is all zeros.
        independent_db: what the product would have if the errors of A and of B were independent of each other and of the numbers:
            their noise shares added up.
        rms_error, max_abs_error: of the product's elements.
        rms: root mean square of the exact product's elements.
        cosine: between exact and quantized product.
        underflow_a, underflow_b: share of numbers that became zero.
        bits_per_value: stored bits of both matrices together, per element, scales included.
    """

    recipe: str
    k: int
    sqnr_a_db: float
    sqnr_b_db: float
    sqnr_db: float
    independent_db: float
    rms_error: float
    max_abs_error: float
    rms: float
    cosine: float
    underflow_a: float
    underflow_b: float
    bits_per_value: float


@dataclass(frozen=True)
class OutlierError:
    """What an outlier column leaves of a product.

    Args:
        factor: by which the first column of A was multiplied.
        sqnr_db: of the whole product. It stays high however much is lost, because the outlier dominates it.
        others_db: SQNR of what the other columns add to the product, which is where the information is.
        underflow_a: share of A that became zero.
    """

    recipe: str
    factor: float
    sqnr_db: float
    others_db: float
    underflow_a: float


def product_error(a, b, recipe: str | Recipe, *, smoothing: float | None = None) -> ProductError:
    """Quantize A (M, K) and B (K, N), blocks along K in both, and compare the products in float64.

    Args:
        smoothing: SmoothQuant's alpha, 0 … 1: both matrices are smoothed before they are quantized, and the reports are of the smoothed ones;
            None leaves them as they are.

    Raises:
        ValueError: shapes that do not fit, an empty matrix, an unknown recipe, a smoothing outside of 0 … 1.
    """
    recipe, a, b = parse_recipe(recipe), as_tensor(a), as_tensor(b)
    _check_shapes(a, b)
    exact = a.to(torch.float64) @ b.to(torch.float64)
    a, b_rows = _smoothed(a, b, smoothing)
    qa, qb = quantize(a, recipe, seed=SEED), quantize(b_rows, recipe, seed=SEED + 1)
    report_a, report_b = measure(a, qa), measure(b_rows, qb)
    plain = replace(recipe, rotation="")  # as `operands` says: both are rotated alike, so that the product is the product
    got = reference(replace(qa, recipe=plain), transpose(replace(qb, recipe=plain)), torch.float64)
    error = (exact - got).abs()
    return ProductError(
        recipe=recipe.name,
        k=a.shape[1],
        sqnr_a_db=report_a.sqnr_db,
        sqnr_b_db=report_b.sqnr_db,
        sqnr_db=sqnr_db(exact, got),
        independent_db=independent_db(report_a.sqnr_db, report_b.sqnr_db),
        rms_error=float((error * error).mean().sqrt()),
        max_abs_error=float(error.max()),
        rms=float((exact * exact).mean().sqrt()),
        cosine=cosine(exact, got),
        underflow_a=report_a.underflow,
        underflow_b=report_b.underflow,
        bits_per_value=8 * (qa.nbytes + qb.nbytes) / (a.numel() + b.numel()),
    )


def _smoothed(a: torch.Tensor, b: torch.Tensor, smoothing: float | None) -> tuple[torch.Tensor, torch.Tensor]:
    """A (M, K) and the transpose of B (N, K), smoothed."""
    if smoothing is None:
        return a, b.T.contiguous()
    done = smooth(a, b.T, smoothing)
    return done.activations, done.weights


def error_growth(a, b, recipes: Sequence[str], ks: Sequence[int], *, smoothing: float | None = None) -> tuple[ProductError, ...]:
    """Return the error of A[:, :k] · B[:k] for every recipe and every k, recipes in the outer order.

    Raises:
        ValueError: as `product_error`; a k that is not between 1 and K.
    """
    a, b = as_tensor(a), as_tensor(b)
    for k in ks:
        if not 1 <= k <= a.shape[1]:
            raise ValueError(f"k = {k}: it is between 1 and K = {a.shape[1]}")

    def error(recipe: str, k: int) -> ProductError:
        few = max(a.shape[0], b.shape[1]) * k <= _FEW
        answer = partial(product_error, a[:, :k], b[:k], recipe, smoothing=smoothing)
        return in_one_thread(answer) if few else answer()

    return tuple(error(recipe, k) for recipe in recipes for k in ks)


def outlier_effect(a, b, recipes: Sequence[str], factors: Sequence[float], *, smoothing: float | None = None) -> tuple[OutlierError, ...]:
    """Multiply the first column of A (M, K) by each factor, as an activation channel that is much larger than the others does,
    and return what is left of the product, for every recipe and factor, recipes in the outer order.

    Raises:
        ValueError: as `product_error`; K below 2; a factor that is not a finite number above 0.
    """
    a, b = as_tensor(a), as_tensor(b)
    if a.ndim != 2 or a.shape[1] < 2:
        raise ValueError(f"a has shape {tuple(a.shape)}: (M, K) with K of at least 2 is needed, one column for the outlier and one for the rest")
    for factor in factors:
        if not 0 < factor < math.inf:
            raise ValueError(f"factor = {factor!r}: it is a finite number above 0")
    return tuple(point for recipe in recipes for point in _outlier_errors(a, b, parse_recipe(recipe), factors, smoothing))


def _outlier_errors(a: torch.Tensor, b: torch.Tensor, recipe: Recipe, factors: Sequence[float], smoothing: float | None) -> list[OutlierError]:
    _check_shapes(a, b)
    b64 = b.to(torch.float64)
    others = a[:, 1:].to(torch.float64) @ b64[1:]
    b_hat, points = None, []
    changed, a_hat = a.clone(), torch.empty(a.shape, dtype=torch.float64)  # memory that is there already costs nothing
    for factor in factors:
        changed[:, 0] = a[:, 0] * factor
        calm, b_rows = _smoothed(changed, b, smoothing)
        if b_hat is None or smoothing is not None:
            b_hat = quantize(b_rows, recipe, seed=SEED + 1).dequantize().T.to(torch.float64)
        a_hat.copy_(quantize(calm, recipe, seed=SEED).dequantize())
        exact = others.addr(changed[:, 0].to(torch.float64), b64[0])  # a product is the sum of what its columns add
        others_hat = a_hat[:, 1:] @ b_hat[1:]
        got = others_hat.addr(a_hat[:, 0], b_hat[0])
        underflow = int(torch.count_nonzero((changed != 0) & (a_hat == 0))) / changed.numel()
        points.append(OutlierError(recipe.name, factor, sqnr_db(exact, got), sqnr_db(others, others_hat), underflow))
    return points


def _check_shapes(a: torch.Tensor, b: torch.Tensor) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0] or not a.numel() or not b.numel():
        raise ValueError(f"a has shape {tuple(a.shape)} and b has shape {tuple(b.shape)}: (M, K) and (K, N) with one K are needed, none of them 0")


def independent_db(*sqnrs_db: float) -> float:
    """Return the SQNR of a product whose factors have these SQNRs and independent errors: the noise shares add up.

    >>> round(independent_db(30.0, 30.0), 2)
    26.99
    """
    noise = sum(10 ** (-sqnr / 10) for sqnr in sqnrs_db)
    return math.inf if noise == 0 else -10 * math.log10(noise)


def random_pair(m: int, n: int, k: int, seed: int = 0, mean: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return A (m, k) and B (k, n) of normal numbers with deviation 1, float32.

    Args:
        mean: of both; above 0 the sums grow with K, and their rounding errors with √K only.

    Raises:
        ValueError: a side that is not between 1 and 65536.
    """
    for name, side in (("m", m), ("n", n), ("k", k)):
        if not 1 <= side <= LARGEST_SIDE:
            raise ValueError(f"{name} = {side}: it is between 1 and {LARGEST_SIDE}")
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(m, k, generator=generator) + mean, torch.randn(k, n, generator=generator) + mean
