"""The stages of a loop, each over one stretch of a row: what is between two of them stays in the first-level cache."""

from __future__ import annotations

import numpy as np

from fp8core.kernels.compiling import bits_of, float_of, inlined, right, widened
from fp8core.kernels.constants import BOOK, LEADING_BITS, SINGLE
from fp8core.kernels.elements import bits_leading, code_double, code_nearest, code_single, magnitude_of, power_quotient, quotient_single, special_code, value_of_code, value_single

STRETCH = 1024  # numbers between two stages: what is read and written in one fits the first-level cache
UNSCALED, QUOTIENT, POWER, WIDE_QUOTIENT, PRODUCT, DIVIDED = range(6)  # what is rounded: x; x / scale by way of float32, the same for powers of two, by way of float64; x · float32; x / float32
SIGN, FRACTION = np.int32(-(2**31)), np.int32((1 << 23) - 1)
REST64 = np.int64(2**63 - 1)


@inlined
def spread(blocks, first_block, wide, start, count, line):
    """Write one number per block over the columns of a stretch, which begins at column `start` and, where blocks are shorter, with a block.

    Places are unsigned, so that the compiler need not think of negative ones, which count from the end.
    """
    block, place = first_block + start // wide, 0
    if wide > count:
        place = min((start // wide + 1) * wide - start, count)
        for j in range(place):
            line[j] = blocks[block]
        block += 1
    else:
        for i in range(count // wide):
            value, base = blocks[block + i], np.uint64(i) * np.uint64(wide)
            for j in range(wide):
                line[base + np.uint64(j)] = value
        block += count // wide
        place = count // wide * wide
    if place < count:
        value = blocks[block]
        for j in range(count - place):
            line[np.uint64(place) + np.uint64(j)] = value


@inlined
def scaled_single(x, divisors, arithmetic, line):
    """What is rounded, float32."""
    if arithmetic == UNSCALED:
        for i in range(x.size):
            line[i] = np.float32(widened(x[i]))
    elif arithmetic in (QUOTIENT, POWER):
        for i in range(x.size):
            number = np.float32(widened(x[i]))
            line[i] = float_of(np.int32(quotient_single(number, divisors[i]) | np.int32(bits_of(number) & SIGN)))
    elif arithmetic == PRODUCT:
        for i in range(x.size):
            line[i] = np.float32(np.float32(widened(x[i])) * divisors[i])
    else:
        for i in range(x.size):
            line[i] = np.float32(np.float32(widened(x[i])) / divisors[i])


@inlined
def scaled_double(x, divisors, arithmetic, line, narrow):
    """What is rounded, float64."""
    if arithmetic == UNSCALED:
        for i in range(x.size):
            line[i] = np.float64(widened(x[i]))
    elif arithmetic == WIDE_QUOTIENT:
        for i in range(x.size):
            line[i] = np.float64(widened(x[i])) / np.float64(divisors[i])
    else:
        scaled_single(x, divisors, arithmetic, narrow)
        for i in range(x.size):
            line[i] = np.float64(narrow[i])


@inlined
def round_values(way, f, line, count, out):
    """Stretch of float32 numbers -> values."""
    if way == SINGLE:
        above, below, emin_bits, shift, top, limit, nan, zero = f.most_above, f.most_below, f.emin_bits, f.shift, f.top, f.limit, f.nan, f.zero
        for i in range(count):
            out[i] = value_single(magnitude_of(line[i]), line[i], above, below, emin_bits, shift, top, limit, nan, zero)
    else:
        cut, max_bits, limit_bits, nan_bits = f.code_shift, f.max_code, f.limit_code, f.nan_code
        for i in range(count):
            out[i] = float_of(bits_leading(line[i], cut, max_bits, limit_bits, nan_bits))


@inlined
def round_quotients(x, scales, f, arithmetic, out):
    """Stretch of numbers -> the value of each number / scale, times scale."""
    above, below, emin_bits, shift, top, limit, nan, zero = f.most_above, f.most_below, f.emin_bits, f.shift, f.top, f.limit, f.nan, f.zero
    if arithmetic == POWER:
        for i in range(x.size):
            number = np.float32(widened(x[i]))
            out[i] = np.float32(value_single(power_quotient(number, scales[i]), number, above, below, emin_bits, shift, top, limit, nan, zero) * scales[i])
    else:
        for i in range(x.size):
            number = np.float32(widened(x[i]))
            out[i] = np.float32(value_single(quotient_single(number, scales[i]), number, above, below, emin_bits, shift, top, limit, nan, zero) * scales[i])


@inlined
def round_quotients_by_one(x, scale, f, out):
    """The same where all share one scale."""
    above, below, emin_bits, shift, top, limit, nan, zero = f.most_above, f.most_below, f.emin_bits, f.shift, f.top, f.limit, f.nan, f.zero
    for i in range(x.size):
        number = np.float32(widened(x[i]))
        out[i] = np.float32(value_single(quotient_single(number, scale), number, above, below, emin_bits, shift, top, limit, nan, zero) * scale)


@inlined
def round_codes_single(way, f, line, count, codes):
    """Stretch of float32 numbers -> codes."""
    above, below, emin_bits, shift, code_shift, max_code, limit_code = f.most_above, f.most_below, f.emin_bits, f.shift, f.code_shift, f.max_code, f.limit_code
    nan_code, sign_code, sign_shift, wraps = f.nan_code, f.sign_code, f.sign_shift, f.wraps
    if way == LEADING_BITS:
        code_bits = np.int32((np.int64(1) << np.int64(32 - code_shift)) - 1)
        for i in range(count):
            codes[i] = np.uint32(right(bits_leading(line[i], code_shift, max_code, limit_code, nan_code), code_shift) & code_bits)
    elif wraps != 0:
        for i in range(count):
            negative = right(bits_of(line[i]), np.int32(31))
            code = code_single(magnitude_of(line[i]), below if negative != 0 else above, emin_bits, shift, code_shift, max_code, limit_code)
            code = np.int32(np.int32(np.int32(code ^ negative) - negative) & wraps)
            codes[i] = nan_code if line[i] != line[i] else code
    elif f.zero_keeps_sign != 0:
        for i in range(count):
            code = code_single(magnitude_of(line[i]), above, emin_bits, shift, code_shift, max_code, limit_code)
            code = np.int32(code | np.int32(right(bits_of(line[i]), sign_shift) & sign_code))
            codes[i] = nan_code if line[i] != line[i] else code
    else:
        for i in range(count):
            code = code_single(magnitude_of(line[i]), above, emin_bits, shift, code_shift, max_code, limit_code)
            code = np.int32(code | np.int32(right(bits_of(line[i]), sign_shift) & sign_code)) if code != 0 else code
            codes[i] = nan_code if line[i] != line[i] else code


@inlined
def buckets_of(line, count, index, places):
    """Where the numbers of a line stand in the index of a code book."""
    lowest, shift, last = index.lowest, index.shift, np.int64(index.starts.size // 2 - 1)
    for i in range(count):
        bits = bits_of(line[i] + 0.0)  # -0 is 0
        bucket = ((bits & REST64) >> shift) - lowest
        bucket = 0 if bucket < 0 else bucket
        bucket = last if bucket > last else bucket
        places[i] = last + 1 + (bucket ^ (bits >> 63))


@inlined
def round_codes_double(way, f, seed, place, line, count, codes):
    """Stretch of float64 numbers -> codes."""
    double = f.double
    if way == BOOK:
        firsts, steps, step_codes = np.zeros(count, np.int32), f.steps, f.step_codes
        if f.index.starts.size:
            starts = f.index.starts
            buckets_of(line, count, f.index, firsts)
            for i in range(count):
                first = np.uint64(starts[np.uint64(firsts[i])])
                firsts[i] = np.int32(first) + np.int32(line[i] >= steps[first])
        else:
            half = steps.size >> 1
            while half > 0:  # all numbers of the stretch take one step of the search, then all the next
                for i in range(count):
                    firsts[i] += half if line[i] >= steps[np.uint64(firsts[i] + half - 1)] else 0
                half >>= 1
        for i in range(count):
            firsts[i] = step_codes[np.uint64(firsts[i])]
        nan_code, minus_zero_code, zero_code, below_zero_code = f.specials
        for i in range(count):
            codes[i] = special_code(line[i], firsts[i], nan_code, minus_zero_code, zero_code, below_zero_code)
    elif double.rounding == 0 and not double.parity_by_code:
        mantissa_bits, emin_bits, max_code, lowest_code, limit_code, nan_code = double.mantissa_bits, double.emin_bits, double.max_code, double.lowest_code, double.limit_code, double.nan_code
        sign_code, keeps, wraps, below, zero, first = double.sign_code, np.int64(double.zero_keeps_sign), double.wraps, double.below_zero_code, double.zero_code, double.first_code
        for i in range(count):
            codes[i] = code_nearest(line[i], mantissa_bits, emin_bits, max_code, lowest_code, limit_code, nan_code, sign_code, keeps, wraps, below, zero, first)
    else:
        for i in range(count):
            codes[i] = code_double(line[i], seed, place + i, double)


@inlined
def decode_line(codes, count, d, out):
    """Codes -> values."""
    if d.arithmetic:
        mantissa_bits, bias_bits, max_code, infinite_code = d.mantissa_bits, d.bias_bits, d.max_code, d.infinite_code
        nan_code, sign_shift, magnitude_bits = d.nan_code, d.sign_shift, d.magnitude_bits
        for i in range(count):
            out[i] = value_of_code(np.int32(codes[i]), mantissa_bits, bias_bits, max_code, infinite_code, nan_code, sign_shift, magnitude_bits)
    elif d.bits > 16:
        cut = np.int64(32 - d.bits)
        for i in range(count):
            out[i] = float_of(np.int32(np.int64(codes[i]) << cut))
    else:
        table, last_code = d.table, np.uint64(d.last_code)
        for i in range(count):
            out[i] = table[np.uint64(codes[i]) & last_code]


@inlined
def wanted_scales(peaks, rule, wanted):
    """Scales before they are stored, of the largest magnitudes of some blocks."""
    amax_floor, relative_to, smallest = rule.amax_floor, rule.relative_to, rule.smallest
    if rule.up_from > 0:
        emax, up_from = rule.emax, rule.up_from
        for block in range(peaks.size):
            amax = np.float64(float_of(peaks[block]))
            bits = bits_of(amax if amax > amax_floor else amax_floor)
            significand = float_of((bits & np.int64((1 << 52) - 1)) | np.int64(1023 << 52))
            exponent = (bits >> 52) - emax + (1 if significand >= up_from else 0)
            exponent = 1 if exponent < 1 else exponent
            exponent = 2046 if exponent > 2046 else exponent
            scale = float_of(exponent << 52) / relative_to
            wanted[block] = smallest if scale < smallest else scale
    else:
        divide_by = rule.divide_by
        for block in range(peaks.size):
            amax = np.float64(float_of(peaks[block]))
            scale = (amax if amax > amax_floor else amax_floor) / divide_by / relative_to
            wanted[block] = smallest if scale < smallest else scale


@inlined
def stretch_of(columns, block_columns):
    """How many columns are done at once: whole blocks of them, where blocks are not longer."""
    whole = STRETCH // block_columns * block_columns if 1 < block_columns <= STRETCH else STRETCH
    return min(whole, columns)
