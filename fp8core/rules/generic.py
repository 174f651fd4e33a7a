"""Scale rules that are no library's own: they go with every format and every scale format.

All take a power of two, 2^(⌊log2 amax⌋ − emax) or the next one. They differ in one number: from which significand of amax on, from 1 to below 2,
it is the next one.
"""

from __future__ import annotations

import math

from fp8core.formats import Format


def floor_up_from(fmt: Format) -> float:
    """Never: ⌊log2 amax⌋ − emax. A block maximum whose significand is above that of the format's max is clipped."""
    return 2.0


def ceil_up_from(fmt: Format) -> float:
    """Above 1: ⌈log2 amax⌉ − emax."""
    return math.nextafter(1.0, 2.0)


def rceil_up_from(fmt: Format) -> float:
    """Above the significand of max: ⌈log2(amax / max)⌉ of the exact quotient."""
    return math.nextafter(math.ldexp(fmt.max, -fmt.emax), 2.0)


def even_up_from(fmt: Format) -> float:
    """Where amax, rounded to the mantissa of the elements, is the next power of two."""
    return 2.0 - 2.0 ** -(fmt.mantissa_bits + 1)
