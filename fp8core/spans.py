"""A stretch of binades of a quantized tensor, as a quantized tensor of its own: what `measure` says of it is said of these numbers alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from fp8core.arrays import as_integers, as_matrix, as_tensor
from fp8core.quantized import QuantizedTensor, prepared
from fp8core.recipes import make_recipe
from fp8core.scaling import ScaleSpec

_SPAN = re.compile(r"2\^(?P<low>[+-]?\d{1,3})\.\.2\^(?P<high>[+-]?\d{1,3})", re.ASCII)


@dataclass(frozen=True)
class Span:
    """The magnitudes from 2^low up to, but not including, 2^high.

    Raises:
        ValueError: it is empty.
    """

    low: int
    high: int

    def __post_init__(self):
        if self.low >= self.high:
            raise ValueError(f"2^{self.low}..2^{self.high} is empty: the second power must be the larger one")

    def __str__(self) -> str:
        return f"2^{self.low}..2^{self.high}"


def parse_span(text: str) -> Span | None:
    """Return the span that a text means, None for an empty one: every number.

    Raises:
        ValueError: it is no span; the message repeats the text.

    >>> parse_span("2^-6..2^-2"), parse_span(" ")
    (Span(low=-6, high=-2), None)
    """
    clean = "".join(text.split()).replace("−", "-")
    if not clean:
        return None
    match = _SPAN.fullmatch(clean)
    if match is None:
        raise ValueError(f"{text!r} is not a span: write two powers of two, as in 2^-6..2^-2")
    return Span(int(match["low"]), int(match["high"]))


def within(x, q: QuantizedTensor, span: Span) -> torch.Tensor:
    """Return which numbers have |x| / scale in the span, as a matrix of bool; zeros, infinity and NaN never have.

    A tensor that the recipe rotates is looked at after its rotation.
    """
    magnitude = (as_matrix(prepared(as_tensor(x), q.recipe)).to(torch.float64) / q.element_scale()).abs()
    return (magnitude >= 2.0**span.low) & (magnitude < 2.0**span.high)


def part(x, q: QuantizedTensor, chosen: torch.Tensor) -> tuple[torch.Tensor, QuantizedTensor]:
    """Return the chosen numbers as a row, rotated where the recipe rotates, and their quantized form with a scale for each.

    >>> from fp8core.quantized import quantize
    >>> x = [0.1, 3.0, -3.5, 448.0]
    >>> q = quantize(x, "tensor_e4m3")
    >>> row, of_row = part(x, q, within(x, q, Span(1, 2)))
    >>> row.tolist(), of_row.dequantize().tolist()
    ([[3.0, -3.5]], [[3.0, -3.5]])
    """
    source, scale = as_matrix(prepared(as_tensor(x), q.recipe)), q.element_scale()
    alike = scale.numel() == 1
    scaling = None if q.recipe.scaling is None else ScaleSpec((None, None) if alike else (1, 1))
    recipe = make_recipe(q.recipe.fmt, scaling, q.recipe.rounding, q.recipe.overflow)
    codes = as_matrix(as_integers(q.codes))[chosen].reshape(1, -1)
    return source[chosen].reshape(1, -1), QuantizedTensor(codes, scale if alike else scale.expand(source.shape)[chosen].reshape(1, -1), recipe)
