"""The compiled loops. Each walks a few rows of a matrix that lies contiguously, a stretch at a time, so that what is between two stages stays in the
first-level cache. Results never share memory with the input: the compiler's loops are many times slower where they might.

A matrix is a flat array and its number of columns. int16 arrays hold bfloat16 bits, uint16 arrays float16 bits: see `compiling.widened`.
"""

from __future__ import annotations

import numpy as np

from fp8core.kernels.compiling import as_single, bits_of, compiled, inlined, magnitude_bits, widened
from fp8core.kernels.constants import BOOK, DOUBLE, LEADING_BITS, SINGLE
from fp8core.kernels.stages import (
    DIVIDED,
    FRACTION,
    POWER,
    PRODUCT,
    QUOTIENT,
    UNSCALED,
    WIDE_QUOTIENT,
    decode_line,
    round_codes_double,
    round_codes_single,
    round_quotients,
    round_quotients_by_one,
    round_values,
    scaled_double,
    scaled_single,
    spread,
    stretch_of,
    wanted_scales,
)  # fmt: skip


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
                    scaled_double(stretch_x, divisor_line, arithmetic, wide, narrow)
                    round_codes_double(way, f, seed, first_place + place, wide, count, stretch_codes)
                elif arithmetic == UNSCALED:
                    round_codes_single(way, f.single, as_single(stretch_x, narrow), count, stretch_codes)
                else:
                    scaled_single(stretch_x, divisor_line, arithmetic, narrow)
                    round_codes_single(way, f.single, narrow, count, stretch_codes)
                continue
            stretch_values = values[place : place + count]
            if in_double:
                scaled_double(stretch_x, divisor_line, arithmetic, wide, narrow)
                round_codes_double(way, f, seed, first_place + place, wide, count, line)
                decode_line(line, count, f.decoding, narrow)
            elif one_scale:
                round_quotients_by_one(stretch_x, divisors[first_block], f.single, stretch_values)
                continue
            elif way == SINGLE and (arithmetic in (QUOTIENT, POWER)):
                round_quotients(stretch_x, divisor_line, f.single, arithmetic, stretch_values)
                continue
            elif arithmetic == UNSCALED:
                round_values(way, f.single, as_single(stretch_x, narrow), count, stretch_values)
                continue
            else:
                scaled_single(stretch_x, divisor_line, arithmetic, other)
                round_values(way, f.single, other, count, narrow)
            if arithmetic == UNSCALED:
                for i in range(count):
                    stretch_values[i] = narrow[i]
            else:
                for i in range(count):
                    stretch_values[i] = np.float32(narrow[i] * scale_line[i])


@inlined
def _buffers(columns, block_columns):
    stretch = stretch_of(columns, block_columns)
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


@compiled
def scale_and_quantize_rows(x, first_place, columns, block_rows, block_columns, most, all_bits, peaks, rule, store, f, seed, values, codes, scales, scale_codes):
    """Find the scale of every block by one of the rules that need no more than its amax, and round to values times scale or to codes.

    most, all_bits: the largest bits of a finite magnitude, and of any. peaks: room for int32, for float64 numbers int64, one for each block of
    a row of blocks. rule, store: constants of the scale rule and of the format that scales are stored in. scales, scale_codes: results, flat,
    one per block.
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
        wanted_scales(peaks, rule, wanted)
        if special and rule.nan_marks:
            for block in range(blocks_across):
                wanted[block] = np.nan if own_scales[block] != own_scales[block] else wanted[block]
        round_codes_double(DOUBLE, store, 0, 0, wanted, blocks_across, stored)
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
    stretch = stretch_of(columns, block_columns)
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
