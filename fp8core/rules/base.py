"""What a scale rule takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from fp8core.codec import decode, encode, exponent_of, pow2
from fp8core.formats import Format


@dataclass(frozen=True, eq=False)
class Scales:
    """The scales of one matrix, one per block; every tensor has the shape of the blocks, (⌈R / rows⌉, ⌈C / columns⌉).

    Args:
        values: decode multipliers, float32.
        codes: what is stored for each block, in the scale format's codes.
        global_scale: float32 of shape () where there are two levels, else None; `values` already contain it.
        multiplier: float32, where the library that the rule follows multiplies the numbers with it in float32 and rounds the product to the elements' format.
        divisor: float32, where it divides them in float32.
        occupied: where that is known, which blocks hold a finite number other than zero.

    With neither multiplier nor divisor the quotient x / value is rounded once, with no detour through float32.
    """

    values: torch.Tensor
    codes: torch.Tensor
    global_scale: torch.Tensor | None = None
    multiplier: torch.Tensor | None = None
    divisor: torch.Tensor | None = None
    occupied: torch.Tensor | None = None


@dataclass(frozen=True)
class ScaleRule:
    """How scales follow from amax.

    Args:
        title, formula, effect: for people; `scale` in the formula is the decode multiplier.
        source: who does it so.
        up_from: format -> significand of amax from which a power-of-two scale is the next one; for rules that go with every scale format.
        compute: (amax float32, format) -> Scales; for rules that follow one library through every step.
        scale_formats: the scale formats that a rule with `compute` stores in; the first is the usual one.
        non_finite: a key of `NON_FINITE`: what NaN and infinity do to amax.
        most_max: largest max of the elements that its float32 arithmetic can take.
        most_mantissa_bits: of the elements, that it can take.

    A rule with neither `up_from` nor `compute` is amax / max, rounded to the scale format.
    """

    title: str
    formula: str
    effect: str
    source: str
    up_from: Callable[[Format], float] | None = None
    compute: Callable[[torch.Tensor, Format], Scales] | None = None
    scale_formats: tuple[str, ...] = ()
    non_finite: str = "ignored"
    most_max: float = float("inf")
    most_mantissa_bits: int = 23

    def check(self, fmt: Format) -> None:
        """Raise ValueError where the rule cannot go with the elements' format."""
        if fmt.max > self.most_max:
            raise ValueError(f"rule {self.title} cannot scale {fmt.name}: its max is {fmt.max:.4g}, and float32 arithmetic takes {self.most_max:.4g} at most here")
        if fmt.mantissa_bits > self.most_mantissa_bits:
            raise ValueError(f"rule {self.title} cannot scale {fmt.name}: it has {fmt.mantissa_bits} mantissa bits, and the rule takes {self.most_mantissa_bits} at most")

    def wanted(self, amax: torch.Tensor, fmt: Format) -> torch.Tensor:
        """Return the scale before it is stored, float64, of a rule without `compute`: amax / max, or a power of two."""
        if self.up_from is None:
            return amax / fmt.max
        floor = exponent_of(amax)
        goes_up = amax >= self.up_from(fmt) * pow2(floor.clamp(-1022, 1023))
        return pow2((floor - fmt.emax + goes_up).clamp(-1022, 1023))


NON_FINITE = {
    "ignored": "neither counts: one of them would take all precision from its neighbours",
    "infinity": "infinity counts, NaN does not: what max does on GPUs",
    "both": "both count, NaN above all: what torch.amax does",
}
FLOAT32_MAX = torch.finfo(torch.float32).max


def as_float32_scales(values: torch.Tensor, *, multiplier: torch.Tensor | None = None, divisor: torch.Tensor | None = None) -> Scales:
    """Return scales that are stored as the float32 numbers they are."""
    return Scales(values, encode(values, "float32", overflow="ieee"), None, multiplier, divisor)


def as_e8m0_scales(exponent: torch.Tensor, *, nan: torch.Tensor | None = None, **arithmetic) -> Scales:
    """Return power-of-two scales from their exponents, held from -127 to 127, as E8M0 codes; NaN where `nan` says so."""
    codes = (exponent.clamp(-127, 127) + 127).to(torch.uint8)
    if nan is not None:
        codes = torch.where(nan, torch.tensor(255, dtype=torch.uint8), codes)
    return Scales(decode(codes, "e8m0fnu"), codes, None, **arithmetic)


def exponent_bits(x: torch.Tensor) -> torch.Tensor:
    """Return the biased exponent field of non-negative float32 numbers -> int64; 0 for zero and subnormals, 255 for infinity and NaN."""
    return (x.contiguous().view(torch.int32).to(torch.int64) >> 23) & 0xFF


def mantissa_bits(x: torch.Tensor) -> torch.Tensor:
    """Return the mantissa field of float32 numbers -> int64."""
    return x.contiguous().view(torch.int32).to(torch.int64) & 0x7FFFFF


def ceil_log2(x: torch.Tensor) -> torch.Tensor:
    """Return ⌈log2(x)⌉ of positive float32 numbers, from the bits -> int64; subnormals included."""
    wide = x.to(torch.float64)
    floor = exponent_of(wide)
    return floor + (wide > pow2(floor.clamp(-1022, 1023)))


def power_of_two_up(descale: torch.Tensor) -> Scales:
    """Return the smallest powers of two that are at least `descale`, in E8M0; numbers are multiplied with the reciprocal.

    Zero is stored as 2^-127, infinity as 2^127, NaN as NaN: what the instruction cvt.rp.satfinite.ue8m0x2.f32 does.
    """
    exponent = torch.where(descale > 0, ceil_log2(descale.nan_to_num(nan=1.0, posinf=1.0)), -127)
    exponent = torch.where(descale.isinf(), 127, exponent.clamp(-127, 127))
    return as_e8m0_scales(exponent, nan=descale.isnan(), multiplier=torch.where(descale.isnan(), torch.nan, pow2(-exponent).to(torch.float32)))
