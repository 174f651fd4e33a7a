"""Floating point: sign, exponent and mantissa fields."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fp8core.formats.base import Format

SPECIALS = {
    "ieee": "the top exponent field holds infinity and NaN",
    "fn": "no infinity; NaN is the code of all ones, once per sign",
    "fnuz": "no infinity and no negative zero; NaN is the code that negative zero would have",
    "finite": "every code is a finite number",
    "extended": "infinity is the largest code of each sign; NaN is the code that negative zero would have, without a sign bit the code of all ones",
}


@dataclass(frozen=True, eq=False)
class FloatFormat(Format):
    """Sign, exponent and mantissa fields: value = (-1)^s · 2^(max(e,1) - bias) · (m / 2^mantissa_bits + (e > 0)).

    Args:
        specials: a key of `SPECIALS`.
        signed: False where there is no sign bit; negative numbers have no code then.
        zero: False where exponent field 0 is an ordinary binade, so that neither zero nor subnormals exist (E8M0).
        subnormals: False where exponent field 0 is an ordinary binade of which only code 0 is taken, by zero.
    """

    exponent_bits: int = 0
    mantissa_bits: int = 0
    bias: int = 0
    specials: str = "ieee"
    signed: bool = True
    zero: bool = True
    subnormals: bool = True

    def __post_init__(self):
        if self.specials not in SPECIALS:
            raise ValueError(f"specials = {self.specials!r} is not one of {', '.join(SPECIALS)}")
        if self.exponent_bits < 1 or self.mantissa_bits < 0:
            raise ValueError(f"{self.name}: {self.exponent_bits} exponent bits and {self.mantissa_bits} mantissa bits; at least 1 and 0 are needed")
        if self.specials == "ieee" and self.mantissa_bits < 1:
            raise ValueError(f"{self.name}: without a mantissa bit the top exponent has no room for both infinity and NaN; use fn or fnuz")
        if self.specials == "fnuz" and not self.signed:
            raise ValueError(f"{self.name}: without a sign no code is left over by negative zero for NaN; use fn")
        if not self.subnormals and self.bits > 16:
            raise ValueError(f"{self.name} has {self.bits} bits: formats without subnormals have at most 16")
        if self.max_code < 1:
            raise ValueError(f"{self.name}: no positive finite value is left beside infinity and NaN")
        smallest = self.emin - self.mantissa_bits
        largest = max(self.max_code >> self.mantissa_bits, int(self.gradual)) - self.bias
        if smallest < -149 or largest > 127:
            raise ValueError(f"{self.name}: bias {self.bias} gives values from 2^{smallest} to 2^{largest}; decode returns float32, which holds 2^-149 to 2^127")

    @property
    def bits(self) -> int:
        """Width of one code."""
        return self.signed + self.exponent_bits + self.mantissa_bits

    @property
    def fields(self) -> dict[str, int]:
        """Bit fields from the most significant down, with their widths."""
        return {"sign": int(self.signed), "exponent": self.exponent_bits, "mantissa": self.mantissa_bits}

    @property
    def emin(self) -> int:
        """Exponent of the smallest normal binade."""
        return int(self.gradual) - self.bias

    @property
    def gradual(self) -> bool:
        """Whether exponent field 0 holds zero and the subnormals, so that spacing stays even all the way down to zero."""
        return self.zero and (self.subnormals or not self.mantissa_bits)

    @property
    def sign_code(self) -> int:
        """The sign bit; 0 in an unsigned format."""
        return 1 << (self.bits - 1) if self.signed else 0

    @property
    def magnitude_codes(self) -> int:
        """How many codes there are for one sign."""
        return 1 << (self.exponent_bits + self.mantissa_bits)

    @property
    def max_code(self) -> int:
        """Code of the largest finite value; all codes up to it are finite and ascending."""
        top = self.magnitude_codes - 1
        return top - {"ieee": 1 << self.mantissa_bits, "fn": 1, "fnuz": 0, "finite": 0, "extended": 2 - self.signed}[self.specials]

    @property
    def lowest(self) -> float:
        """Most negative finite value; the smallest value in an unsigned format."""
        return -self.max if self.signed else 0.0 if self.zero else self.min_positive

    @property
    def inf_code(self) -> int | None:
        """Code of +infinity, None where there is none."""
        return self.max_code + 1 if self.specials in ("ieee", "extended") else None

    @property
    def nan_code(self) -> int | None:
        """The code that encoding writes for NaN, None where there is none."""
        if self.specials == "finite":
            return None
        return self.sign_code if self._nan_is_negative_zero else self.magnitude_codes - 1

    @property
    def negative_zero(self) -> bool:
        """Whether -0 has a code of its own."""
        return self.signed and self.zero and not self._nan_is_negative_zero

    @property
    def min_normal(self) -> float:
        """Smallest positive value with full precision."""
        return math.ldexp(1.0 if self.gradual or not self.zero else 1.0 + 2.0**-self.mantissa_bits, self.emin)

    @property
    def min_subnormal(self) -> float | None:
        """Smallest positive value below min_normal, None where there are no subnormals."""
        return math.ldexp(1.0, self.emin - self.mantissa_bits) if self.gradual and self.mantissa_bits else None

    @property
    def _nan_is_negative_zero(self) -> bool:
        return self.specials == "fnuz" or (self.specials == "extended" and self.signed)

    def value_of(self, codes: np.ndarray) -> np.ndarray:
        """Decode integer codes by the definition. -> float64, same shape."""
        codes = np.asarray(codes, np.int64)
        magnitude = codes & (self.magnitude_codes - 1)
        field, mantissa = magnitude >> self.mantissa_bits, magnitude & ((1 << self.mantissa_bits) - 1)
        implicit = (field > 0) | (not self.gradual)
        exponent = np.maximum(field, int(self.gradual)) - self.bias - self.mantissa_bits
        value = np.ldexp((mantissa + (implicit << self.mantissa_bits)).astype(np.float64), exponent)
        if self.zero:
            value[magnitude == 0] = 0.0
        value[magnitude > self.max_code] = np.nan
        if self.inf_code is not None:
            value[magnitude == self.inf_code] = np.inf
        value = np.where(codes & self.sign_code, -value, value)
        if self._nan_is_negative_zero:
            value[codes == self.sign_code] = np.nan
        return value
