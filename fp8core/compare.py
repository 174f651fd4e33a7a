"""Two quantized forms of one tensor side by side, and scale rules over one binade of amax."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fp8core.arrays import as_integers, as_tensor
from fp8core.codec import decode
from fp8core.formats import Format, parse_format
from fp8core.quantized import QuantizedTensor
from fp8core.scaling import ScaleSpec, compute_scales


@dataclass(frozen=True)
class Difference:
    """Where two quantized forms of one tensor differ; NaN equals NaN.

    Args:
        count: numbers in the tensor.
        codes: elements whose codes differ as numbers, 0 and -0 being one; None where the element formats differ.
        values: elements whose dequantized values differ.
        scales: blocks whose scales differ; None where the blocks are not the same.
    """

    count: int
    codes: int | None
    values: int
    scales: int | None

    @property
    def share(self) -> float:
        """Share of the elements whose values differ; 0 for an empty tensor."""
        return self.values / max(self.count, 1)


def difference(a: QuantizedTensor, b: QuantizedTensor) -> Difference:
    """Count where two quantized forms of one tensor differ.

    Raises:
        ValueError: the shapes differ.

    >>> from fp8core.quantized import quantize
    >>> difference(quantize([0.2, 1.0], "e4m3fn"), quantize([0.2, 1.0], "e5m2"))
    Difference(count=2, codes=None, values=1, scales=0)
    """
    values = values_apart(a, b)
    codes = None
    if a.recipe.fmt == b.recipe.fmt:
        codes = _unequal(*(decode(as_integers(q.codes), q.recipe.fmt) for q in (a, b)))
    scales = _unequal(a.scale, b.scale) if tuple(a.scale.shape) == tuple(b.scale.shape) else None
    return Difference(int(np.prod(a.shape)), codes, values, scales)


def values_apart(a: QuantizedTensor, b: QuantizedTensor) -> int:
    """Count the elements whose dequantized values differ; errors as in `difference`."""
    if a.shape != b.shape:
        raise ValueError(f"the shapes are {a.shape} and {b.shape}: two quantized forms of one tensor have one shape")
    return _unequal(a.dequantize(), b.dequantize())


def _unequal(a, b) -> int:
    a, b = as_tensor(a), as_tensor(b)
    unequal = int(torch.count_nonzero(a != b))
    no_nan = not unequal or not bool(a.sum().isnan())  # a sum is quicker than a search
    return unequal if no_nan else unequal - int(torch.count_nonzero(a.isnan() & b.isnan()))


def scale_curve(fmt: str | Format, rule: str, scale_format: str = "", points: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Return which scale a rule picks over one binade of amax -> (significand of amax, scale · max / amax), shape (points + 1,) each.

    Below 1 the block's largest number is clipped; above 1 the format's largest numbers stay unused.

    >>> significand, share = scale_curve("e4m3fn", "floor", points=4)
    >>> significand.tolist(), share.round(3).tolist()
    ([1.0, 1.25, 1.5, 1.75, 2.0], [1.75, 1.4, 1.167, 1.0, 1.75])
    """
    fmt = parse_format(fmt)
    significand = 1.0 + np.arange(points + 1) / points
    matrix = torch.from_numpy(np.ldexp(significand, fmt.emax)).reshape(-1, 1)
    scales = compute_scales(matrix, fmt, ScaleSpec((1, None), rule, scale_format))
    return significand, (scales.values.to(torch.float64) * fmt.max / matrix).reshape(-1).numpy()
