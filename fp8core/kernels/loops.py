"""The compiled loops. Each walks a few rows of a matrix that lies contiguously, a stretch at a time, so that what is between two stages stays in the
first-level cache. Results never share memory with the input: the compiler's loops are many times slower where they might.

A matrix is a flat array and its number of columns. int16 arrays hold bfloat16 bits, uint16 arrays float16 bits: see `compiling.widened`.
"""

from __future__ import annotations

import numpy as np

from fp8core.kernels.compiling import as_single, bits_of, compiled, float_of, inlined, magnitude_bits, widened
from fp8core.kernels.constants import BOOK, DOUBLE, LEADING_BITS, SINGLE
from fp8core.kernels.elements import bits_leading, code_book, code_double, code_nearest, code_single, magnitude_of, power_quotient, quotient_single, value_of_code, value_single

STRETCH = 1024  # numbers between two stages: what is read and written in one fits the first-level cache
UNSCALED, QUOTIENT, POWER, WIDE_QUOTIENT, PRODUCT, DIVIDED = range(6)  # what is rounded: x; x / scale by way of float32, the same for powers of two, by way of float64; x · float32; x / float32
SIGN, FRACTION = np.int32(-(2**31)), np.int32((1 << 23) - 1)


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
def _scaled_single(x, divisors, arithmetic, line):
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
def _scaled_double(x, divisors, arithmetic, line, narrow):
    """What is rounded, float64."""
    if arithmetic == UNSCALED:
        for i in range(x.size):
            line[i] = np.float64(widened(x[i]))
    elif arithmetic == WIDE_QUOTIENT:
        for i in range(x.size):
            line[i] = np.float64(widened(x[i])) / np.float64(divisors[i])
    else:
        _scaled_single(x, divisors, arithmetic, narrow)
        for i in range(x.size):
            line[i] = np.float64(narrow[i])


@inlined
def _round_values(way, f, line, count, out):
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
def _round_quotients(x, scales, f, arithmetic, out):
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
def _round_quotients_by_one(x, scale, f, out):
    """The same where all share one scale."""
    above, below, emin_bits, shift, top, limit, nan, zero = f.most_above, f.most_below, f.emin_bits, f.shift, f.top, f.limit, f.nan, f.zero
    for i in range(x.size):
        number = np.float32(widened(x[i]))
        out[i] = np.float32(value_single(quotient_single(number, scale), number, above, below, emin_bits, shift, top, limit, nan, zero) * scale)


@inlined
def _round_codes_single(way, f, line, count, codes):
    """Stretch of float32 numbers -> codes."""
    above, below, emin_bits, shift, code_shift, max_code, limit_code = f.most_above, f.most_below, f.emin_bits, f.shift, f.code_shift, f.max_code, f.limit_code
    nan_code, sign_code, sign_shift, wraps = f.nan_code, f.sign_code, f.sign_shift, f.wraps
    if way == LEADING_BITS:
        for i in range(count):
            codes[i] = np.uint32(bits_leading(line[i], code_shift, max_code, limit_code, nan_code)) >> np.uint32(code_shift)
    elif wraps != 0:
        for i in range(count):
            negative = np.int32(bits_of(line[i]) >> np.int32(31))
            code = code_single(magnitude_of(line[i]), below if negative != 0 else above, emin_bits, shift, code_shift, max_code, limit_code)
            code = np.int32(np.int32(np.int32(code ^ negative) - negative) & wraps)
            codes[i] = nan_code if line[i] != line[i] else code
    elif f.zero_keeps_sign != 0:
        for i in range(count):
            code = code_single(magnitude_of(line[i]), above, emin_bits, shift, code_shift, max_code, limit_code)
            code = np.int32(code | np.int32(np.int32(bits_of(line[i]) >> sign_shift) & sign_code))
            codes[i] = nan_code if line[i] != line[i] else code
    else:
        for i in range(count):
            code = code_single(magnitude_of(line[i]), above, emin_bits, shift, code_shift, max_code, limit_code)
            code = np.int32(code | np.int32(np.int32(bits_of(line[i]) >> sign_shift) & sign_code)) if code != 0 else code
            codes[i] = nan_code if line[i] != line[i] else code


@inlined
def _round_codes_double(way, f, seed, place, line, count, codes):
    """Stretch of float64 numbers -> codes."""
    double = f.double
    if way == BOOK:
        firsts, steps, step_codes, specials = np.zeros(count, np.int64), f.steps, f.step_codes, f.specials
        half = (steps.size + 1) >> 1
        while half > 0:  # all numbers of the stretch take one step of the search, then all the next
            for i in range(count):
                firsts[i] += half if line[i] >= steps[np.uint64(firsts[i] + half - 1)] else 0
            half >>= 1
        for i in range(count):
            codes[i] = code_book(line[i], firsts[i], step_codes, specials)
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
        mantissa_bits, bias_bits, smallest, max_code, infinite_code = d.mantissa_bits, d.bias_bits, d.smallest, d.max_code, d.infinite_code
        nan_code, sign_shift, magnitude_bits = d.nan_code, d.sign_shift, d.magnitude_bits
        for i in range(count):
            out[i] = value_of_code(np.int32(codes[i]), mantissa_bits, bias_bits, smallest, max_code, infinite_code, nan_code, sign_shift, magnitude_bits)
    elif d.bits > 16:
        cut = np.int64(32 - d.bits)
        for i in range(count):
            out[i] = float_of(np.int32(np.int64(codes[i]) << cut))
    else:
        table, last_code = d.table, np.uint64(d.last_code)
        for i in range(count):
            out[i] = table[np.uint64(codes[i]) & last_code]


@inlined
def _stretch(columns, block_columns):
    """How many columns are done at once: whole blocks of them, where blocks are not longer."""
    whole = STRETCH // block_columns * block_columns if 1 < block_columns <= STRETCH else STRETCH
    return min(whole, columns)


@inlined
def _quantize_block_row(x, row, end_row, first_place, columns, block_columns, divisors, scales, first_block, arithmetic, way, f, seed, buffers, values, codes):
    """Round the rows from `row` to `end_row`, which share a row of blocks. `f` are the format's constants."""
    narrow, other, wide, line, divisor_line, scale_line = buffers
    stretch = narrow.size
    in_double = way in (DOUBLE, BOOK)
    one_scale = values.size > 0 and way == SINGLE and arithmetic == QUOTIENT and block_columns >= columns
    for r in range(row, end_row):
        for start in range(0, columns, stretch):
            count, place = min(stretch, columns - start), r * columns + start
            stretch_x = x[place : place + count]
            if arithmetic != UNSCALED and block_columns == 1:
                here = first_block + start
                divisor_line, scale_line = divisors[here : here + count], scales[here : here + count]
            elif arithmetic != UNSCALED and not one_scale:
                spread(divisors, first_block, block_columns, start, count, divisor_line)
                if values.size and (in_double or arithmetic in (PRODUCT, DIVIDED)):
                    spread(scales, first_block, block_columns, start, count, scale_line)
            if codes.size:
                stretch_codes = codes[place : place + count]
                if in_double:
                    _scaled_double(stretch_x, divisor_line, arithmetic, wide, narrow)
                    _round_codes_double(way, f, seed, first_place + place, wide, count, stretch_codes)
                elif arithmetic == UNSCALED:
                    _round_codes_single(way, f.single, as_single(stretch_x, narrow), count, stretch_codes)
                else:
                    _scaled_single(stretch_x, divisor_line, arithmetic, narrow)
                    _round_codes_single(way, f.single, narrow, count, stretch_codes)
                continue
            stretch_values = values[place : place + count]
            if in_double:
                _scaled_double(stretch_x, divisor_line, arithmetic, wide, narrow)
                _round_codes_double(way, f, seed, first_place + place, wide, count, line)
                decode_line(line, count, f.decoding, narrow)
            elif one_scale:
                _round_quotients_by_one(stretch_x, divisors[first_block], f.single, stretch_values)
                continue
            elif way == SINGLE and (arithmetic in (QUOTIENT, POWER)):
                _round_quotients(stretch_x, divisor_line, f.single, arithmetic, stretch_values)
                continue
            elif arithmetic == UNSCALED:
                _round_values(way, f.single, as_single(stretch_x, narrow), count, stretch_values)
                continue
            else:
                _scaled_single(stretch_x, divisor_line, arithmetic, other)
                _round_values(way, f.single, other, count, narrow)
            if arithmetic == UNSCALED:
                for i in range(count):
                    stretch_values[i] = narrow[i]
            else:
                for i in range(count):
                    stretch_values[i] = np.float32(narrow[i] * scale_line[i])


@inlined
def _buffers(columns, block_columns):
    stretch = _stretch(columns, block_columns)
    return np.empty(stretch, np.float32), np.empty(stretch, np.float32), np.empty(stretch, np.float64), np.empty(stretch, np.int32), np.empty(stretch, np.float32), np.empty(stretch, np.float32)


@compiled
def quantize_rows(x, first_place, columns, block_rows, block_columns, divisors, scales, arithmetic, way, f, seed, values, codes):
    """Round the numbers of x, scaled, to values times scale or to codes: whichever result is not empty.

    first_place: where x begins in its tensor, for stochastic rounding.
    divisors, scales: one number per block, flat, what x is divided by (or multiplied with) and what values are multiplied with.
    """
    rows, blocks_across = x.size // columns, (columns + block_columns - 1) // block_columns
    buffers = _buffers(columns, block_columns)
    for block_row in range((rows + block_rows - 1) // block_rows):
        row = block_row * block_rows
        _quantize_block_row(x, row, min(row + block_rows, rows), first_place, columns, block_columns, divisors, scales, block_row * blocks_across, arithmetic, way, f, seed, buffers, values, codes)


@inlined
def _wanted_scales(peaks, rule, wanted):
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


@compiled
def scale_and_quantize_rows(x, first_place, columns, block_rows, block_columns, most, all_bits, peaks, rule, store, f, seed, values, codes, scales, scale_codes):
    """Find the scale of every block by one of the rules that need no more than its amax, and round to values times scale or to codes.

    most, all_bits: the largest bits of a finite magnitude, and of any. peaks: int32, for float64 numbers int64, one for each block of a row of blocks. rule, store: constants of the scale rule and of the format that scales are stored in. scales, scale_codes: results, flat, one per block.
    """
    rows, blocks_across = x.size // columns, (columns + block_columns - 1) // block_columns
    buffers = _buffers(columns, block_columns)
    wanted, stored, peak_values = np.empty(blocks_across, np.float64), np.empty(blocks_across, np.int32), np.empty(blocks_across, np.float32)
    for block_row in range((rows + block_rows - 1) // block_rows):
        row, first_block = block_row * block_rows, block_row * blocks_across
        end_row = min(row + block_rows, rows)
        _peaks_of(x, row, end_row, columns, block_columns, all_bits, peaks)
        largest = peaks[0]
        for block in range(blocks_across):
            largest = max(largest, peaks[block])
        special = largest > most
        own_scales, own_codes = scales[first_block : first_block + blocks_across], scale_codes[first_block : first_block + blocks_across]
        if special and rule.nan_marks:
            for block in range(blocks_across):
                own_scales[block] = 1.0 if peaks[block] <= most + 1 else np.nan
        if special:
            _peaks_of(x, row, end_row, columns, block_columns, most, peaks)
        _wanted_scales(peaks, rule, wanted)
        if special and rule.nan_marks:
            for block in range(blocks_across):
                wanted[block] = np.nan if own_scales[block] != own_scales[block] else wanted[block]
        _round_codes_double(DOUBLE, store, 0, 0, wanted, blocks_across, stored)
        for block in range(blocks_across):
            own_codes[block] = stored[block]
        decode_line(stored, blocks_across, store.decoding, peak_values)
        inexact, fractions = 0, np.int32(0)
        for block in range(blocks_across):
            scale = np.float32(np.float64(peak_values[block]) * rule.relative_to)
            own_scales[block] = scale
            inexact |= ((scale < np.float32(2.0**-60)) | (scale > np.float32(2.0**60)) | (scale != scale)) & (peaks[block] != 0)
            fractions |= np.int32(bits_of(scale) & FRACTION) if peaks[block] != 0 else np.int32(0)
        way, arithmetic = f.way, (POWER if fractions == 0 else QUOTIENT)
        if way == LEADING_BITS or (way == SINGLE and inexact != 0):
            way = DOUBLE
        if way != SINGLE:
            arithmetic = WIDE_QUOTIENT
        _quantize_block_row(x, row, end_row, first_place, columns, block_columns, scales, scales, first_block, arithmetic, way, f, seed, buffers, values, codes)


@compiled
def dequantize_rows(codes, columns, block_rows, block_columns, scales, d, values):
    """Codes -> value times scale; without scales the value. Returns the largest code, so that wrong ones can be named."""
    last_row = codes.size // columns
    blocks_across = (columns + block_columns - 1) // block_columns
    stretch = _stretch(columns, block_columns)
    line, scale_line = np.empty(stretch, np.float32), np.empty(stretch, np.float32)
    largest = np.int64(0)
    for r in range(last_row):
        for start in range(0, columns, stretch):
            count, place = min(stretch, columns - start), r * columns + start
            stretch_codes, stretch_values = codes[place : place + count], values[place : place + count]
            if d.bits != 8 * codes.itemsize:
                for i in range(count):
                    largest = max(largest, np.int64(stretch_codes[i]))
            if scales.size:
                spread(scales, r // block_rows * blocks_across, block_columns, start, count, scale_line)
                decode_line(stretch_codes, count, d, line)
                for i in range(count):
                    stretch_values[i] = np.float32(line[i] * scale_line[i])
            else:
                decode_line(stretch_codes, count, d, stretch_values)
    return largest


@inlined
def _peaks_of(x, row, end_row, columns, block_columns, most, peaks):
    """Write the largest magnitude of each block across some rows, as its bits; bits above `most` do not count."""
    for block in range(peaks.size):
        peaks[block] = 0
    none = peaks[0]
    for r in range(row, end_row):
        line = x[r * columns : (r + 1) * columns]
        if block_columns == 1:
            for j in range(columns):
                magnitude = magnitude_bits(widened(line[j]))
                magnitude = magnitude if magnitude <= most else none
                peaks[j] = magnitude if magnitude > peaks[j] else peaks[j]
            continue
        for block in range(peaks.size):
            largest, base = none, np.uint64(block) * np.uint64(block_columns)
            for i in range(min(block_columns, columns - block * block_columns)):
                magnitude = magnitude_bits(widened(line[base + np.uint64(i)]))
                magnitude = magnitude if magnitude <= most else none
                largest = magnitude if magnitude > largest else largest
            peaks[block] = largest if largest > peaks[block] else peaks[block]


@compiled
def peak_rows(x, columns, block_rows, block_columns, most, peaks):
    """Write the largest magnitude of every block, as its bits; bits above `most` do not count.

    peaks: int32, for float64 numbers int64; flat, one per block.
    """
    rows, blocks_across = x.size // columns, (columns + block_columns - 1) // block_columns
    for block_row in range((rows + block_rows - 1) // block_rows):
        row = block_row * block_rows
        _peaks_of(x, row, min(row + block_rows, rows), columns, block_columns, most, peaks[block_row * blocks_across : (block_row + 1) * blocks_across])


@compiled
def pack_codes(codes, bits, packed):
    """Write codes of some bits one after the other: eight of them fill as many bytes as one has bits."""
    for group in range((codes.size + 7) // 8):
        together = np.uint64(0)
        for i in range(min(8, codes.size - 8 * group)):
            together |= np.uint64(codes[8 * group + i]) << np.uint64(i * bits)
        for i in range(min(bits, packed.size - bits * group)):
            packed[bits * group + i] = np.uint8((together >> np.uint64(8 * i)) & np.uint64(255))


@compiled
def unpack_codes(packed, bits, codes):
    """Undo `pack_codes`."""
    last = np.uint64((1 << bits) - 1)
    for group in range((codes.size + 7) // 8):
        together = np.uint64(0)
        for i in range(min(bits, packed.size - bits * group)):
            together |= np.uint64(packed[bits * group + i]) << np.uint64(8 * i)
        for i in range(min(8, codes.size - 8 * group)):
            codes[8 * group + i] = np.uint8((together >> np.uint64(i * bits)) & last)
