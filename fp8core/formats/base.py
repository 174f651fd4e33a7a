"""What every number format has in common."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Format:
    """What every format has. `values[code]` is the meaning of a code; codes run from 0 to 2**bits - 1.

    Two formats are equal when their names are and they mean the same numbers; title, use and source do not count.
    """

    name: str
    title: str = ""
    use: str = ""
    source: str = ""

    def __eq__(self, other) -> bool:
        return isinstance(other, Format) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @cached_property
    def _identity(self) -> str:
        """All that tells formats apart, as text, in which NaN equals NaN."""
        return repr([type(self).__name__, *(getattr(self, each.name) for each in fields(self) if each.name not in ("title", "use", "source"))])

    def __str__(self) -> str:
        return self.name

    @property
    def storage_bits(self) -> int:
        """Width of the unsigned integer that holds one code: 8, 16 or 32."""
        return next(width for width in (8, 16, 32) if self.bits <= width)

    @cached_property
    def values(self) -> np.ndarray:
        """Value of every code, float64, shape (2**bits,), read-only.

        Raises:
            ValueError: the format has more than 16 bits, so that the table would not be a table any more.
        """
        if self.bits > 16:
            raise ValueError(f"{self.name} has {self.bits} bits: values are listed for formats of at most 16 bits")
        table = self.value_of(np.arange(1 << self.bits))
        table.flags.writeable = False
        return table

    @cached_property
    def finite_values(self) -> np.ndarray:
        """Distinct finite values in ascending order, float64; zero appears once."""
        return np.unique(self.values[np.isfinite(self.values)] + 0.0)

    @cached_property
    def max(self) -> float:
        """Largest finite value."""
        return float(self.value_of(np.array([self.max_code]))[0])

    @cached_property
    def emax(self) -> int:
        """Binade of the largest finite value: floor(log2(max))."""
        return math.frexp(self.max)[1] - 1

    @property
    def ulp_at_max(self) -> float:
        """Distance of the largest finite value to its neighbour below, within its binade."""
        return math.ldexp(1.0, max(self.emin, self.emax) - self.mantissa_bits)

    @property
    def dynamic_range_binades(self) -> float:
        """log2 of the largest over the smallest positive value."""
        return math.log2(self.max) - math.log2(self.min_positive)

    @property
    def min_positive(self) -> float:
        """Smallest value above zero."""
        return self.min_normal if self.min_subnormal is None else self.min_subnormal

    def bit_string(self, code: int) -> str:
        """The bits of a code, most significant first, grouped by field.

        >>> from fp8core.formats import parse_format
        >>> parse_format("e4m3fn").bit_string(0x7E)
        '0 1111 110'
        """
        text = format(code, f"0{self.bits}b")
        ends = np.cumsum([0, *self.fields.values()])
        return " ".join(text[lo:hi] for lo, hi in itertools.pairwise(ends) if hi > lo)
