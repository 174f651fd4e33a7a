"""Products of quantized matrices: C = A · B with A (M, K) and B (K, N), every backend against one definition.

Adding a backend is one `Backend` literal in the `BACKENDS` of a file here, and that file in the line below.
`accumulate` is none of them: it emulates how the units of a GPU add, at any of the widths in `ACCUMULATORS` or one of your own.
"""

from __future__ import annotations

from functools import lru_cache

import torch

from fp8core.arrays import as_integers, as_tensor, like
from fp8core.gemm import codes, native, scaled_mm
from fp8core.gemm import reference as _reference
from fp8core.gemm.accumulate import accumulate
from fp8core.gemm.accumulators import ACCUMULATORS, Accumulator
from fp8core.gemm.backend import Backend, Case, operands, transpose, transpose_recipe
from fp8core.gemm.reference import reference
from fp8core.quantized import QuantizedTensor, quantize
from fp8core.recipes import Recipe, parse_recipe

__all__ = ["ACCUMULATORS", "BACKENDS", "Accumulator", "Backend", "Case", "accumulate", "availability", "choose", "matmul", "operands", "product", "reference", "transpose", "transpose_recipe"]

BACKENDS: dict[str, Backend] = {**native.BACKENDS, **scaled_mm.BACKENDS, **codes.BACKENDS, **native.SLOWER, **_reference.BACKENDS}

_PROBE_SIDE, _SAMPLE_SIDE = 64, 256
_REFUSALS = (RuntimeError, ValueError, TypeError)  # NotImplementedError of a missing kernel is a RuntimeError


def matmul(qa: QuantizedTensor, qb: QuantizedTensor, backend: str = "auto"):
    """Multiply two quantized matrices -> float32 (M, N), of the kind of `qa.codes`.

    Every backend with `exact` set differs from `reference` by the rounding of float32 sums only (on GPUs whose FP8 units keep
    fewer bits while they add, by that too); `choose` says which one "auto" takes.

    Args:
        qa: (M, K).
        qb: (K, N), on the same device; blocks that lie along K are columns of it, as `transpose` makes them.
        backend: a key of `BACKENDS`, or "auto".

    Raises:
        ValueError: shapes that do not fit, different devices, an unknown backend, or one that cannot do this; with the reason.

    >>> a, b = quantize([[1.0, 2.0]], "row_e4m3"), quantize([[3.0], [4.0]], "tensor_e4m3")
    >>> matmul(a, b).round(2)
    array([[10.86]], dtype=float32)
    """
    case = _case(qa, qb)
    if backend == "auto":
        backend = choose(case.recipe_a, case.recipe_b, case.device, case.shape)
    elif reason := availability(backend, case.recipe_a, case.recipe_b, case.device, case.shape):
        raise ValueError(f"backend {backend!r} cannot do this product: {reason}")
    rows, depth, columns = case.shape
    if rows and depth and columns:
        return like(qa.codes, BACKENDS[backend].multiply(qa, qb))
    return like(qa.codes, torch.zeros(rows, columns, device=case.device))


def product(a, b, recipe: str | Recipe, backend: str = "auto", *, seed: int | None = None):
    """Quantize both matrices with one recipe and multiply -> (float32 (M, N), name of the backend that ran).

    B is quantized as its transpose (N, K), so that rows and blocks of the recipe lie along K in both.

    Args:
        a: (M, K), torch or numpy.
        b: (K, N), of the same kind.
        seed: for recipes that round stochastically.

    Raises:
        ValueError: as `matmul`; unknown recipe.
        TypeError: they do not hold real numbers.

    >>> c, ran = product([[1.0, 2.0]], [[3.0], [4.0]], "int8_row")
    >>> c.round(2), ran
    (array([[11.02]], dtype=float32), 'int8')
    """
    recipe = parse_recipe(recipe)
    a_source, b_source = as_tensor(a), as_tensor(b)
    _check_shapes(tuple(a_source.shape), tuple(b_source.shape))
    qa, qb = operands(a_source, b_source.T, recipe, seed=seed)
    if backend == "auto":
        case = _case(qa, qb)
        backend = choose(case.recipe_a, case.recipe_b, case.device, case.shape)
    return like(a, matmul(qa, qb, backend)), backend


def choose(recipe_a: Recipe, recipe_b: Recipe, device: str = "cpu", shape: tuple[int, int, int] | None = None) -> str:
    """Return the backend that "auto" takes: the first of `BACKENDS` that is exact and available.

    `dequantize_float32` can do everything, so that there always is one.
    """
    return next(name for name, backend in BACKENDS.items() if backend.exact and availability(name, recipe_a, recipe_b, device, shape) is None)


def availability(backend: str, recipe_a: Recipe, recipe_b: Recipe, device: str = "cpu", shape: tuple[int, int, int] | None = None) -> str | None:
    """Return why a backend cannot do a product, in words; None: it can.

    Beyond the backend's own rules, a small product is really run once for each pair of formats and device, and compared with the
    reference; where torch refuses, its refusal is the reason.

    Args:
        recipe_b: of the (K, N) matrix, so that blocks along K are its rows; see `transpose_recipe`.
        device: as torch writes it.
        shape: (M, K, N); None leaves out what depends on the size.

    Raises:
        ValueError: a backend that is not in `BACKENDS`.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is not one of auto, {', '.join(BACKENDS)}")
    rotated = next((recipe.name for recipe in (recipe_a, recipe_b) if recipe.rotation), None)
    if rotated and backend != "reference":
        return f"recipe {rotated!r} rotates the numbers that its codes stand for; quantize both factors with `operands`, which leaves the rotation in"
    case = Case(recipe_a, recipe_b, device, shape)
    return BACKENDS[backend].refuses(case) or _probe(backend, recipe_a.format, recipe_b.format, device)


@lru_cache(maxsize=1024)
def _probe(backend: str, format_a: str, format_b: str, device: str) -> str | None:
    """Run one small product of unscaled codes; why not, or None."""
    sample, side = BACKENDS[backend].sample, _SAMPLE_SIDE if BACKENDS[backend].sample else _PROBE_SIDE
    values = (torch.arange(side**2, device=device).reshape(side, side) % 3).to(torch.float32)
    try:
        qa, qb = operands(values, values, parse_recipe(sample)) if sample else (quantize(values, name) for name in (format_a, format_b))
        result = BACKENDS[backend].multiply(qa, qb)
        wanted = reference(qa, qb)
    except _REFUSALS as error:
        sentence = " ".join(str(error).split("\n")[0].split(". ")[0].split())
        return f"torch refuses: {sentence[:200].rstrip('.')}"
    if not torch.allclose(result, wanted, rtol=2.0**-8, atol=0.0, equal_nan=True):
        return "torch runs it here and gets wrong numbers"
    return None


def _case(qa: QuantizedTensor, qb: QuantizedTensor) -> Case:
    _check_shapes(qa.shape, qb.shape)
    device_a, device_b = (str(as_integers(q.codes).device) for q in (qa, qb))
    if device_a != device_b:
        raise ValueError(f"a is on {device_a} and b is on {device_b}: both must be on the same device")
    return Case(qa.recipe, qb.recipe, device_a, (*qa.shape, qb.shape[1]))


def _check_shapes(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    if len(a) != 2 or len(b) != 2:
        raise ValueError(f"a has shape {a} and b has shape {b}: a product takes two matrices, (M, K) and (K, N)")
    if a[1] != b[0]:
        raise ValueError(f"a has shape {a} and b has shape {b}: (M, K) times (K, N) needs one K, and here it is {a[1]} and {b[0]}")
