"""Code books: formats that are nothing but a list of values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fp8core.formats.base import Format

_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class TableFormat(Format):
    """A code book: code c means `table[c]`, in any order. Numbers take the nearest value.

    Args:
        table: from 2 to 2^16 values, which float32 holds exactly or nearly; NaN, infinity and -0 among them mean what they say.
            Codes beyond the last value are NaN.
        beyond: the value that would come after the largest: overflow begins halfway. None: one more step like the last.
        normal_from: smallest positive value of full precision, where smaller ones have less; None: all have.

    Raises:
        ValueError: fewer than two different finite values, none above zero, one beyond float32, or more than 2^16.
    """

    table: tuple[float, ...] = ()
    beyond: float | None = None
    normal_from: float | None = None

    def __post_init__(self):
        beyond = [value for value in self.table if math.isfinite(value) and abs(value) > _FLOAT32_MAX]
        if beyond:
            raise ValueError(f"{self.name}: {beyond[0]!r} is beyond float32, in which values are decoded")
        object.__setattr__(self, "table", tuple(float(np.float32(value)) for value in self.table))
        if not 2 <= len(self.table) <= 1 << 16:
            raise ValueError(f"{self.name}: {len(self.table)} values; a table has 2 to 65536")
        if len(self._finite) < 2 or self._finite[-1] <= 0:
            raise ValueError(f"{self.name}: a table needs at least two different finite values, one of them above zero")

    @cached_property
    def _finite(self) -> tuple[float, ...]:
        return tuple(sorted({value + 0.0 for value in self.table if math.isfinite(value)}))

    @property
    def bits(self) -> int:
        """Width of one code."""
        return (len(self.table) - 1).bit_length()

    @property
    def fields(self) -> dict[str, int]:
        """One field: the place in the table."""
        return {"index": self.bits}

    @property
    def max_code(self) -> int:
        """Code of the largest value."""
        return self.table.index(self._finite[-1])

    @property
    def lowest(self) -> float:
        """Most negative value; the smallest value where there is no negative one."""
        return self._finite[0]

    @property
    def inf_code(self) -> int | None:
        """Code of +infinity, None where there is none."""
        return next((code for code, value in enumerate(self.table) if value == math.inf), None)

    @property
    def nan_code(self) -> int | None:
        """The first code that means NaN, None where there is none."""
        unused = len(self.table) if len(self.table) < 1 << self.bits else None
        return next((code for code, value in enumerate(self.table) if math.isnan(value)), unused)

    @property
    def signed(self) -> bool:
        """Whether there are negative values."""
        return self.lowest < 0

    @property
    def zero(self) -> bool:
        """Whether zero is a value."""
        return 0.0 in self._finite

    @property
    def negative_zero(self) -> bool:
        """Whether -0 has a code of its own."""
        return any(value == 0 and math.copysign(1.0, value) < 0 for value in self.table)

    exponent_bits = 0
    specials = "finite"

    @property
    def mantissa_bits(self) -> int:
        """log2 of how many values the largest value's binade has, rounded down."""
        return int(math.log2(sum(value >= math.ldexp(1.0, self.emax) for value in self._finite)))

    @property
    def emin(self) -> int:
        """Binade of the smallest normal value."""
        return math.frexp(self.min_normal)[1] - 1

    @property
    def min_normal(self) -> float:
        """Smallest positive value of full precision."""
        return self.normal_from or next(value for value in self._finite if value > 0)

    @property
    def min_subnormal(self) -> float | None:
        """Smallest positive value where it has less than full precision, else None."""
        return next(value for value in self._finite if value > 0) if self.normal_from else None

    @property
    def ulp_at_max(self) -> float:
        """Distance from the largest value to the one that would come after it."""
        return self._finite[-1] - self._finite[-2] if self.beyond is None else self.beyond - self._finite[-1]

    def value_of(self, codes: np.ndarray) -> np.ndarray:
        """Look integer codes up. -> float64, same shape."""
        padded = np.full(1 << self.bits, np.nan)
        padded[: len(self.table)] = self.table
        return padded[np.asarray(codes, np.int64)]
