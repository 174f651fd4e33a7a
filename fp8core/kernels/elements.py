"""One number at a time, as pieces of the loops. Every function has its twin in torch, in codec/ladder.py and codec/book.py, which defines it."""

from __future__ import annotations

import numpy as np

from fp8core.kernels.compiling import bits_of, float_of, fused_multiply_add, inlined, left, right

_SIGN = np.int32(-(2**31))
_REST = np.int32(2**31 - 1)
_EXPONENT = np.int32(0x7F800000)
_INFINITY = np.int32(0x7F800000)
_NAN = np.int32(0x7FC00000)
_BINADE = np.int32(1 << 23)
_BOTH_BIASES = np.int32(254 << 23)
_ONE = np.int32(1)
_ZERO = np.float32(0)
_REST64 = np.int64(2**63 - 1)
_EXPONENT64 = np.int64(0x7FF << 52)
_INFINITY64 = np.int64(0x7FF << 52)
_BEYOND64 = np.int64((900 + 1023) << 52)  # larger than every format's numbers; its c does not overflow


@inlined
def value_single(magnitude, x, most_above, most_below, emin_bits, shift, top, limit, nan, zero):
    """The bits of a float32 magnitude, with the sign of x, as the nearest value of a format; NaN and limits as the constants say."""
    sign = np.int32(bits_of(x) & _SIGN)
    most = most_below if sign != 0 else most_above
    inside = most if magnitude > most else magnitude
    binade = np.int32(inside & _EXPONENT)
    binade = emin_bits if binade < emin_bits else binade
    c = float_of(np.int32(binade + shift))
    rounded = np.float32(np.float32(float_of(inside) + c) - c)
    rounded = limit if rounded > top else rounded
    signed = np.float32(float_of(np.int32(bits_of(rounded) | sign)) + zero)
    return nan if magnitude > _INFINITY else signed


@inlined
def code_single(magnitude, most, emin_bits, shift, code_shift, max_code, limit_code):
    """The bits of a float32 magnitude as the code of the nearest value, without a sign -> int32."""
    inside = most if magnitude > most else magnitude
    binade = np.int32(inside & _EXPONENT)
    binade = emin_bits if binade < emin_bits else binade
    c = np.int32(binade + shift)
    code = np.int32(np.int32(bits_of(np.float32(float_of(inside) + float_of(c))) - c) + right(np.int32(binade - emin_bits), code_shift))
    return limit_code if code > max_code else code


@inlined
def bits_leading(x, cut, max_bits, limit_bits, nan_bits):
    """A float32 number rounded to fewer mantissa bits -> its bits, int32; subnormals are numbers like others here."""
    bits = bits_of(x)
    sign = np.int32(bits & _SIGN)
    magnitude = np.int32(bits ^ sign)
    half = right(left(_ONE, cut), _ONE)
    rounded = np.int32(magnitude + half - _ONE + np.int32(right(magnitude, cut) & _ONE)) if cut > 0 else magnitude
    rounded = left(right(rounded, cut), cut)
    rounded = limit_bits if (rounded > max_bits) | (rounded < 0) else rounded
    return nan_bits if magnitude > _INFINITY else np.int32(rounded | sign)


@inlined
def magnitude_of(x):
    """The bits of |x|."""
    return np.int32(bits_of(x) & _REST)


@inlined
def quotient_single(x, divisor):
    """The bits of |x| / divisor in float32, rounded to odd: as good as the exact quotient for every rounding to 22 bits or fewer."""
    magnitude = float_of(np.int32(bits_of(x) & _REST))
    quotient = np.float32(magnitude / divisor)
    rest = fused_multiply_add(np.float32(-quotient), divisor, magnitude)
    found = np.int32(bits_of(quotient) & _REST)
    found = np.int32(found - _ONE) if rest < _ZERO else found
    return np.int32(found | _ONE) if (rest < _ZERO) | (rest > _ZERO) else found


@inlined
def power_quotient(x, divisor):
    """The same for a divisor that is a power of two, whose reciprocal takes one subtraction of bits."""
    return np.int32(bits_of(np.float32(x * float_of(np.int32(_BOTH_BIASES - bits_of(divisor))))) & _REST)


@inlined
def code_nearest(x, mantissa_bits, emin_bits, max_code, lowest_code, limit_code, nan_code, sign_code, zero_keeps_sign, wraps, below_zero_code, zero_code, first_code):
    """A float64 number as the code of the nearest value, ties to the even significand -> int64; without a branch."""
    bits = bits_of(x)
    negative = bits >> 63
    magnitude = bits & _REST64
    magnitude = _BEYOND64 if magnitude > _BEYOND64 else magnitude
    binade = magnitude & _EXPONENT64
    binade = emin_bits if binade < emin_bits else binade
    c = binade + ((52 - mantissa_bits) << 52)
    code = (bits_of(float_of(magnitude) + float_of(c)) - c) + ((binade - emin_bits) >> (52 - mantissa_bits)) - first_code
    largest = lowest_code if negative != 0 else max_code
    limit = limit_code if limit_code > largest else largest
    code = limit if code > largest else code
    code = 0 if code < 0 else code
    whole = ((code ^ negative) - negative) & wraps
    signed = code | (sign_code & negative) if (code | zero_keeps_sign) != 0 else code
    code = whole if wraps != 0 else signed
    code = below_zero_code if (x < 0) & (below_zero_code >= 0) else code
    return nan_code if (x != x) | ((x == 0) & (zero_code >= 0)) else code


@inlined
def code_double(x, seed, index, f):
    """A float64 number as the code of a value of a format, in every rounding mode -> int64. `f` are the constants."""
    bits = bits_of(x)
    negative = bits < 0
    magnitude_bits = bits & _REST64
    infinite = magnitude_bits == _INFINITY64
    magnitude_bits = _BEYOND64 if magnitude_bits > _BEYOND64 else magnitude_bits
    magnitude = float_of(magnitude_bits)
    binade = magnitude_bits & _EXPONENT64
    binade = f.emin_bits if binade < f.emin_bits else binade
    c = binade + ((52 - f.mantissa_bits) << 52)
    raised = magnitude + float_of(c)
    steps = bits_of(raised) - c
    nearest = raised - float_of(c)
    below = (binade - f.emin_bits) >> (52 - f.mantissa_bits)
    ulp = float_of(binade - (f.mantissa_bits << 52))
    if f.rounding != 0 or f.parity_by_code:
        above = nearest > magnitude
        under = nearest < magnitude
        tie = abs(nearest - magnitude) * 2.0 == ulp
        if f.rounding == 0:
            floor = steps - above
            steps = floor + ((below + floor) & 1) if tie else steps
        elif f.rounding == 1:
            steps += tie and under
        elif f.rounding == 2:
            steps -= tie and above
        elif f.rounding == 3:
            steps -= above
        elif f.rounding == 6:
            steps -= above
            rest = magnitude / ulp - steps
            steps += uniform(seed, index) < rest
        elif (f.rounding == 4) == negative:
            steps -= above
        else:
            steps += under
    code = below + steps - f.first_code
    largest = f.lowest_code if negative else f.max_code
    if infinite:
        code = f.limit_code if f.limit_code > largest else largest
    elif code > largest:
        code = largest if (f.stops_below if negative else f.stops_above) or f.limit_code < largest else f.limit_code
    code = 0 if code < 0 else code
    if x != x or (x == 0 and f.zero_code >= 0):
        return f.nan_code
    if f.wraps:
        return (-code if negative else code) & f.wraps
    if x < 0 and f.below_zero_code >= 0:
        return f.below_zero_code
    if negative and (code != 0 or f.zero_keeps_sign):
        code |= f.sign_code
    return code


@inlined
def uniform(seed, index):
    """A number from 0 to below 1 that follows from seed and index alone, as `codec.chance.uniform` defines it."""
    z = np.uint64(seed) + (np.uint64(index) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(np.int64(z >> np.uint64(11))) * 2.0**-53


@inlined
def special_code(x, code, nan_code, minus_zero_code, zero_code, below_zero_code):
    """The code of a float64 number in a code book -> int64, given the code of its place among the decision points; -1 for codes that there are not."""
    code = minus_zero_code if (minus_zero_code >= 0) & (code == zero_code) & (bits_of(x) < 0) else code
    code = below_zero_code if (x < 0) & (below_zero_code >= 0) else code
    return nan_code if x != x else code


@inlined
def value_of_code(code, mantissa_bits, bias_bits, max_code, infinite_code, nan_code, sign_shift, magnitude_bits):
    """The value of a code of a signed format with subnormals -> float32. Those are what they are beyond the smallest normal number, less that number."""
    magnitude = np.int32(code & magnitude_bits)
    subnormal = right(magnitude, mantissa_bits) == 0
    implicit = np.int32(bias_bits + _BINADE) if subnormal else bias_bits
    raised = float_of(np.int32(left(magnitude, np.int32(23 - mantissa_bits)) + implicit))
    value = bits_of(np.float32(raised - float_of(implicit)) if subnormal else raised)
    value = _NAN if magnitude > max_code else value
    value = _INFINITY if magnitude == infinite_code else value
    signed = np.int32(value | np.int32(left(code, sign_shift) & _SIGN))
    return float_of(_NAN if code == nan_code else signed)
