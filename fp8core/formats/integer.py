"""Integers with a fixed step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fp8core.formats.base import Format


@dataclass(frozen=True, eq=False)
class IntFormat(Format):
    """Two's complement integers times a fixed step: value = code · 2^step_exponent."""

    width: int = 8
    step_exponent: int = 0

    def __post_init__(self):
        if not 2 <= self.width <= 16:
            raise ValueError(f"{self.name}: {self.width} bits; integer formats have 2 to 16")

    @property
    def bits(self) -> int:
        """Width of one code."""
        return self.width

    @property
    def fields(self) -> dict[str, int]:
        """Bit fields from the most significant down, with their widths."""
        return {"sign": 1, "integer": self.width - 1}

    @property
    def step(self) -> float:
        """Distance between neighbours, everywhere the same."""
        return math.ldexp(1.0, self.step_exponent)

    @property
    def max_code(self) -> int:
        """Code of the largest value."""
        return (1 << (self.width - 1)) - 1

    @property
    def lowest(self) -> float:
        """Most negative value; its magnitude is one step above max."""
        return -self.max - self.step

    inf_code = nan_code = None
    negative_zero = False
    signed = zero = True
    specials = "finite"
    exponent_bits = 0

    @property
    def mantissa_bits(self) -> int:
        """Stored bits after the leading one of the largest value: max = (2 - 2^-mantissa_bits) · 2^emax."""
        return self.width - 2

    @property
    def emin(self) -> int:
        """Exponent of the binade in which the step is one ulp: the binade of the largest value."""
        return self.emax

    @property
    def min_normal(self) -> float:
        """The step: an integer has one precision everywhere."""
        return self.step

    min_subnormal = None

    def value_of(self, codes: np.ndarray) -> np.ndarray:
        """Decode integer codes by the definition. -> float64, same shape."""
        codes = np.asarray(codes, np.int64)
        sign = 1 << (self.width - 1)
        return np.ldexp((((codes & (2 * sign - 1)) ^ sign) - sign).astype(np.float64), self.step_exponent)
