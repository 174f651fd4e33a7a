"""What tensor cores make of a sum: an emulator of their accumulation.

Modelled. One instruction step takes a group of products along K and the accumulator, and
1. multiplies exactly;
2. aligns all of them to the largest exponent among them. A product's exponent is the sum of its factors' exponents, not normalized;
   a subnormal factor has that of the smallest normal number; zeros have none. Of each, `aligned_bits` fraction bits below that exponent are kept;
3. adds what is left exactly, and keeps `sum_bits` fraction bits of the sum, counted from its own exponent.
The result is the accumulator of the next step, from k = 0 upwards, starting at +0; a ragged last group is filled with zeros. With promotion the
accumulator starts at +0 again after every so many numbers along K, and partial sums are added to a float32 register, rounded to nearest even.
With more than one split, K is cut into as many runs of whole tiles of 128, and their sums are added in float32, the first one first.

Scales are float32 and come after: where they are constant along K the scales of row and column are multiplied in float32, and then with the sum. Where they
change along K, a partial sum is multiplied by its scales and added to the register in one rounding (fused multiply-add), as in DeepGEMM's kernels.

Where an infinity or NaN takes part, the result is what IEEE arithmetic says; its NaN has no particular bits.

Not modelled: how a library chooses its splits, and those that take turns along K or are added in pairs; rounding to the output's format, bias and saturation after
the product; scales that the instruction itself applies, as MXFP8 and NVFP4 have on Blackwell; Hopper's `mma.sync` for FP8, which is another
unit than the `wgmma` that libraries use; units of AMD, Intel and others; sums outside of float32's range.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fp8core.arrays import as_integers, as_tensor, like
from fp8core.formats import FloatFormat
from fp8core.gemm.accumulators import FLOAT32_BITS, FLOAT32_EMIN, ROUNDINGS, SPLIT_TILE, Accumulator, parse_accumulator
from fp8core.gemm.backend import Case, operands
from fp8core.metrics import sqnr_db
from fp8core.quantized import QuantizedTensor
from fp8core.recipes import Recipe, parse_recipe

_LOWEST = -132  # exponent that a group of zeros is aligned to; far below any product of 8-bit numbers
_NO_EXPONENT = -100_000
_ELEMENTS = 1 << 21  # products that are held at a time


@dataclass(frozen=True)
class AccumulationError:
    """What an accumulator loses, against the exact sums of the same codes and scales.

    Args:
        k: length of the sums.
        rms_error, max_abs_error: of the product's elements.
        mean_error: average of computed − exact; far from zero where cutting always errs to the same side.
        rms: root mean square of the exact elements.
        sqnr_db: of the product; infinite where nothing is lost.
    """

    accumulator: str
    k: int
    rms_error: float
    max_abs_error: float
    mean_error: float
    rms: float
    sqnr_db: float

    @property
    def relative_error(self) -> float:
        """rms_error / rms; NaN where the product is all zeros."""
        return self.rms_error / self.rms if self.rms else float("nan")


def accumulate(qa: QuantizedTensor, qb: QuantizedTensor, accumulator: str | Accumulator):
    """Multiply as a unit with this accumulator would -> float32 (M, N), of the kind of `qa.codes`.

    Args:
        qa: (M, K), of a floating point format of at most 16 bits.
        qb: (K, N), on the same device; blocks that lie along K are columns of it, as `operands` and `transpose` make them.

    Raises:
        ValueError: an unknown accumulator; shapes that do not fit; a format without exponents, or one whose products or sums leave float32's precision or
            range; scales that change along K within what is added before a promotion; a recipe that rotates.

    >>> a, b = operands([[448.0] * 32 + [0.05] * 32], [[1.0] * 64], parse_recipe("e4m3fn"))
    >>> accumulate(a, b, "float32"), accumulate(a, b, "hopper_fp8")
    (array([[14337.625]], dtype=float32), array([[14336.]], dtype=float32))
    """
    unit = parse_accumulator(accumulator)
    (rows, depth), columns = _checked(qa, qb, unit), qb.shape[1]
    a, b = _factor(qa, transposed=True), _factor(qb, transposed=False)
    scale_a, scale_b = (as_tensor(q.element_scale()).expand(q.shape) for q in (qa, qb))
    scaled_inside = _step(qa, qb) is not None
    result = torch.zeros(rows, columns, device=a.values.device)
    at_a_time = max(1, _ELEMENTS // max(1, columns * unit.group))
    for some in _slices(0, rows, at_a_time) if depth and columns else ():
        sums = [_run(a.part(run, some), b.part(run), scale_a[some, run] if scaled_inside else None, scale_b[run], unit) for run in _runs(depth, unit.splits)]
        total = sums[0]
        for each in sums[1:]:
            total = total + each
        result[some] = total if scaled_inside else total * (scale_a[some, :1] * scale_b[:1])
    return like(qa.codes, result)


def exact_product(qa: QuantizedTensor, qb: QuantizedTensor) -> torch.Tensor:
    """Return decode(codes) · scale, multiplied and added in float64 throughout -> float64 (M, N).

    `reference` rounds each dequantized number to float32; here codes and scales enter as they are, so that what is left of an error is float64's.
    """
    a, b = (torch.tensor(q.recipe.fmt.values).to(as_integers(q.codes).device)[as_integers(q.codes).long()] for q in (qa, qb))
    scale_a, scale_b = (as_tensor(q.element_scale()).to(torch.float64) for q in (qa, qb))
    if _step(qa, qb) is not None:
        return (a * scale_a) @ (b * scale_b)
    return (a @ b) * (scale_a[:, :1] * scale_b[:1])


def accumulation_error(qa: QuantizedTensor, qb: QuantizedTensor, accumulator: str | Accumulator) -> AccumulationError:
    """Return what an accumulator loses of a product of finite codes; what quantization lost is not counted.

    Raises:
        ValueError: as `accumulate`; an empty product.
    """
    got = as_tensor(accumulate(qa, qb, accumulator)).to(torch.float64)
    if not got.numel() or not qa.shape[1]:
        raise ValueError(f"a has shape {qa.shape} and b has shape {qb.shape}: an empty product has no error")
    exact = exact_product(qa, qb)
    error = got - exact
    return AccumulationError(
        accumulator=parse_accumulator(accumulator).name,
        k=qa.shape[1],
        rms_error=float((error * error).mean().sqrt()),
        max_abs_error=float(error.abs().max()),
        mean_error=float(error.mean()),
        rms=float((exact * exact).mean().sqrt()),
        sqnr_db=sqnr_db(exact, got),
    )


def accumulation_growth(a, b, recipe: str | Recipe, accumulators: Sequence[str | Accumulator], ks: Sequence[int]) -> tuple[AccumulationError, ...]:
    """Quantize A[:, :k] and B[:k], blocks along K in both, and return what each accumulator loses at each k, accumulators in the outer order.

    Args:
        a, b: (M, K) and (K, N).

    Raises:
        ValueError: as `accumulation_error`; an unknown recipe; a k that is not between 1 and K.
    """
    recipe, a, b = parse_recipe(recipe), as_tensor(a), as_tensor(b)
    for k in ks:
        if not 1 <= k <= a.shape[1]:
            raise ValueError(f"k = {k}: it is between 1 and K = {a.shape[1]}")
    pairs = [operands(a[:, :k], b[:k].T.contiguous(), recipe) for k in ks]
    return tuple(accumulation_error(qa, qb, accumulator) for accumulator in accumulators for qa, qb in pairs)


@dataclass(frozen=True)
class _Factor:
    """One factor with K first, (K, M) or (K, N).

    Args:
        values: decoded codes, float64.
        exponents: int32, those of zeros and of what is not finite far below all others.
        special: (K,), where there is an infinity or NaN.
    """

    values: torch.Tensor
    exponents: torch.Tensor
    special: torch.Tensor

    def part(self, k: slice, side: slice = slice(None)) -> _Factor:
        return _Factor(self.values[k, side], self.exponents[k, side], self.special[k])


def _factor(q: QuantizedTensor, transposed: bool) -> _Factor:
    fmt, codes = q.recipe.fmt, as_integers(q.codes).long()
    codes = codes.T.contiguous() if transposed else codes
    exponents = np.where(np.isfinite(fmt.values) & (fmt.values != 0), np.maximum(np.frexp(fmt.values)[1] - 1, fmt.emin), _NO_EXPONENT)
    values = torch.tensor(fmt.values).to(codes.device)[codes]
    return _Factor(values, torch.from_numpy(exponents.astype(np.int32)).to(codes.device)[codes], ~values.isfinite().all(1))


def _run(a: _Factor, b: _Factor, scale_a: torch.Tensor | None, scale_b: torch.Tensor, unit: Accumulator) -> torch.Tensor:
    """Add one run along K, with its promotions -> float32 (M, N). scale_a: (M, K) where scales change along K, else None."""
    depth = len(a.values)
    if unit.promotion is None:
        return _chain(a, b, unit)
    register = torch.zeros(a.values.shape[1], b.values.shape[1], device=a.values.device)
    for k in _slices(0, depth, unit.promotion):
        partial = _chain(a.part(k), b.part(k), unit)
        register = register + partial if scale_a is None else _fused(partial, scale_a[:, k.start, None] * scale_b[k.start], register)
    return register


def _chain(a: _Factor, b: _Factor, unit: Accumulator) -> torch.Tensor:
    """Add step after step from +0, with no promotion -> float32 (M, N)."""
    special = a.special | b.special
    if bool(special.any()):
        lost = _not_finite(a.values[special], b.values[special])
        clean = (_Factor(each.values.nan_to_num(0.0, 0.0, 0.0), each.exponents, torch.zeros_like(each.special)) for each in (a, b))
        return torch.where(lost == 0, _chain(*clean, unit), lost.to(torch.float32))
    return _plain_chain(a, b) if unit.aligned_bits is None else _aligned_chain(a, b, unit)


def _plain_chain(a: _Factor, b: _Factor) -> torch.Tensor:
    """Products are exact in float32, so that a float32 sum is the fused multiply-add."""
    rows, columns = a.values.to(torch.float32)[:, :, None], b.values.to(torch.float32)[:, None, :]
    total = torch.zeros(rows.shape[1], columns.shape[2], device=rows.device)
    for k in range(len(rows)):
        total += rows[k] * columns[k]
    return total


def _aligned_chain(a: _Factor, b: _Factor, unit: Accumulator) -> torch.Tensor:
    cut = ROUNDINGS[unit.rounding]
    total = torch.zeros(a.values.shape[1], b.values.shape[1], dtype=torch.float64, device=a.values.device)
    for k in _slices(0, len(a.values), unit.group):
        products = a.values[k, :, None] * b.values[k, None, :]
        top = (a.exponents[k, :, None] + b.exponents[k, None, :]).amax(0)
        top = torch.maximum(top, _binade(total)).clamp(min=_LOWEST)
        finer = _power(unit.aligned_bits - top)
        whole = cut(products.mul_(finer)).sum(0) + cut(total * finer)
        total = whole * _power(top - unit.aligned_bits)
        finer = _power(unit.sum_bits - _binade(total).clamp(min=FLOAT32_EMIN))
        total = cut(total * finer) / finer + 0.0  # no negative zero
    return total.to(torch.float32)


def _not_finite(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The sum of the products that are not finite, of (K, M) and (K, N) -> (M, N); 0 where there are none."""
    total = torch.zeros(a.shape[1], b.shape[1], dtype=a.dtype, device=a.device)
    for rows, columns in zip(a, b, strict=True):
        products = rows[:, None] * columns
        total += torch.where(products.isfinite(), 0.0, products)
    return total


def _fused(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """a · b + c of float32 numbers, rounded once to float32.

    The sum in float64 is rounded to odd, which a second rounding to a format of half the bits or fewer cannot tell from the exact one.
    """
    product, c = a.to(torch.float64) * b.to(torch.float64), c.to(torch.float64)
    total = product + c
    back = total - product
    error = (product - (total - back)) + (c - back)
    bits = total.view(torch.int64)
    away = torch.where((error > 0) == (total > 0), 1, -1)
    odd = (bits + away).view(torch.float64)
    return torch.where((error != 0) & error.isfinite() & (bits & 1 == 0), odd, total).to(torch.float32)


def _binade(x: torch.Tensor) -> torch.Tensor:
    """floor(log2|x|) of float64 numbers that are normal; -1023 for zero."""
    return (((x.view(torch.int64) >> 52) & 0x7FF) - 1023).to(torch.int32)


def _power(exponent: torch.Tensor) -> torch.Tensor:
    """2^exponent, float64, for exponents of normal numbers."""
    return ((exponent.to(torch.int64) + 1023) << 52).view(torch.float64)


def _slices(start: int, stop: int, step: int) -> Iterator[slice]:
    return (slice(first, min(first + step, stop)) for first in range(start, stop, step))


def _runs(depth: int, splits: int) -> Iterator[slice]:
    """The runs into which K is cut; fewer than `splits` where there are too few tiles."""
    tiles = -(-depth // SPLIT_TILE)
    return _slices(0, depth, -(-tiles // splits) * SPLIT_TILE)


def _step(qa: QuantizedTensor, qb: QuantizedTensor) -> int | None:
    """How many neighbours along K share their scales; None: all of them."""
    case = Case(qa.recipe, qb.recipe, shape=(*qa.shape, qb.shape[1]))
    return math.gcd(*steps) if (steps := [step for step in (case.step_a, case.step_b) if step]) else None


def _checked(qa: QuantizedTensor, qb: QuantizedTensor, unit: Accumulator) -> tuple[int, int]:
    """Return (M, K) of a product that this can do."""
    if len(qa.shape) != 2 or len(qb.shape) != 2 or qa.shape[1] != qb.shape[0]:
        raise ValueError(f"a has shape {qa.shape} and b has shape {qb.shape}: (M, K) and (K, N) with one K are needed")
    for q in (qa, qb):
        if q.recipe.rotation:
            raise ValueError(f"recipe {q.recipe.name!r} rotates the numbers that its codes stand for; quantize both factors with `operands`, which leaves the rotation in")
        if not isinstance(q.recipe.fmt, FloatFormat) or q.recipe.fmt.bits > 16:
            raise ValueError(f"{q.recipe.format} is not a floating point format of at most 16 bits: its products have no exponents to align (integers are added exactly)")
    a, b = qa.recipe.fmt, qb.recipe.fmt
    smallest, digits = a.emin - a.mantissa_bits + b.emin - b.mantissa_bits, a.mantissa_bits + b.mantissa_bits + 2
    if digits > FLOAT32_BITS + 1 or smallest < _LOWEST or a.max * b.max * max(1, qa.shape[1]) >= 2.0**127:
        raise ValueError(f"{a.name} times {b.name}: products have {digits} digits from 2^{smallest} up, and sums may leave float32; 24 digits, 2^{_LOWEST} and sums below 2^127 are modelled")
    step = _step(qa, qb)
    if step is not None and (unit.promotion is None or step % unit.promotion):
        raise ValueError(f"scales change every {step} along K, and {unit.name} promotes {'never' if unit.promotion is None else f'every {unit.promotion}'}: a partial sum has one scale")
    return qa.shape
