"""The compiled loops that only count and sum: the error report of `measure`, and histograms by binade."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fp8core.kernels.compiling import add_three, bits_of, compiled, float_of, inlined, summing, widened
from fp8core.kernels.stages import decode_line, spread

STRETCH = 512
BINADES = 288  # places for the exponents from -149 to 127 of float32; the first place is for zero and what does not count
SMALLEST = -149
FATE_BINADES, FATE_SMALLEST = 640, -320  # quotients of two float32 numbers reach further than float32 does
_LARGEST = np.float32(np.finfo(np.float32).max)
_REST64 = np.int64(2**63 - 1)
_INFINITY = np.int32(0xFF << 23)
_EXPONENT64 = _INFINITY64 = np.int64(0x7FF << 52)
_BOTH_BIASES64 = np.int64(2046 << 52)
_REST = np.int32(2**31 - 1)
COPIES = 8  # of a histogram: neighbours that fall into one bin do not wait for each other


class Measured(NamedTuple):
    """What the report needs to know of a format: its ulps and its ends, half an ulp beyond the largest and lowest values."""

    mantissa_bits: int
    emin: int
    emax: int
    above: float
    below: float


@summing
def _sums(numbers, values, count):
    signal, noise, energy, product = 0.0, 0.0, 0.0, 0.0
    for i in range(count):
        error = numbers[i] - values[i]
        signal += numbers[i] * numbers[i]
        noise += error * error
        energy += values[i] * values[i]
        product += numbers[i] * values[i]
    return signal, noise, energy, product


@inlined
def _kept(x, decoded, scale_line, finite, numbers, values):
    """Fill three lines: numbers, and numbers and values as float64, all zero where something is not finite, and what was decoded NaN there -> numbers that are usable, flushed, zero, NaN, infinite."""
    usable, flushed, zeros, nans, infs = np.int32(0), np.int32(0), np.int32(0), np.int32(0), np.int32(0)
    one, none = np.int32(1), np.int32(0)
    for i in range(x.size):
        number = np.float32(widened(x[i]))
        value = np.float32(decoded[i] * scale_line[i])
        magnitude, kept = np.int32(bits_of(number) & _REST), np.int32(bits_of(value) & _REST)
        larger = magnitude if magnitude > kept else kept
        finite[i] = number if magnitude < _INFINITY else np.float32(0)
        numbers[i] = np.float64(number if larger < _INFINITY else np.float32(0))
        values[i] = np.float64(value if larger < _INFINITY else np.float32(0))
        decoded[i] = decoded[i] if larger < _INFINITY else np.float32(np.nan)
        usable += one if larger < _INFINITY else none
        flushed += one if (larger < _INFINITY) & (magnitude != 0) & (kept == 0) else none
        zeros += one if magnitude == 0 else none
        nans += one if magnitude > _INFINITY else none
        infs += one if magnitude == _INFINITY else none
    return usable, flushed, zeros, nans, infs


@inlined
def _largest_and_clipped(finite, decoded, scale_line, numbers, values, f, count):
    """Largest error, and largest error in ulps, as bits of float64; how many numbers are clipped."""
    largest, in_ulps, clipped = np.int64(0), np.int64(0), np.int64(0)
    least, most = np.int64(f.emin + 1023) << 52, np.int64(max(f.emin, f.emax) + 1023) << 52
    down, above, below = np.int64(f.mantissa_bits) << 52, f.above, f.below
    one, none = np.int64(1), np.int64(0)
    for i in range(count):
        error = bits_of(numbers[i] - values[i]) & _REST64
        largest = error if error > largest else largest
        scaled = np.float64(finite[i]) / np.float64(scale_line[i])
        binade = bits_of(scaled) & _EXPONENT64
        binade = least if binade < least else binade
        binade = most if binade > most else binade
        gap = bits_of((scaled - np.float64(decoded[i])) * float_of(_BOTH_BIASES64 - (binade - down))) & _REST64
        gap = gap if gap <= _INFINITY64 else none
        in_ulps = gap if gap > in_ulps else in_ulps
        clipped += one if (scaled > above) | (scaled < below) else none
    return largest, in_ulps, clipped


@inlined
def _to_bins(numbers, values, count, bins, squares, errors):
    for i in range(count):
        exponent = ((bits_of(numbers[i]) & _REST64) >> 52) - np.int64(1022 + SMALLEST)
        bins[i] = exponent if exponent > 0 else np.int64(0)
        squares[i] = numbers[i] * numbers[i]
        errors[i] = (numbers[i] - values[i]) * (numbers[i] - values[i])


@compiled
def report_rows(x, codes, columns, block_rows, block_columns, scales, d, f, sums, counts, binades, histogram):
    """Add what there is to say about some rows and their codes.

    sums: float64 (6,): of x², (x − x̂)², x̂², x·x̂, and the largest |x − x̂| and error in ulps. counts: int64 (6,): usable, flushed, zeros, NaNs,
    infinities, clipped. binades: float64, flat from (copies, BINADES, 4): numbers, sums of x² and of (x − x̂)², nothing; histogram: int64 (copies, codes).
    """
    rows, blocks_across = x.size // columns, (columns + block_columns - 1) // block_columns
    whole = STRETCH // block_columns * block_columns if 1 < block_columns <= STRETCH else STRETCH
    stretch = min(whole, columns)
    numbers, values, squares, errors = np.empty(stretch, np.float64), np.empty(stretch, np.float64), np.empty(stretch, np.float64), np.empty(stretch, np.float64)
    finite, scale_line, decoded, bins = np.empty(stretch, np.float32), np.empty(stretch, np.float32), np.empty(stretch, np.float32), np.empty(stretch, np.int64)
    last_code = np.uint64(d.last_code)
    for row in range(rows):
        for start in range(0, columns, stretch):
            count, place = min(stretch, columns - start), row * columns + start
            part, part_codes = x[place : place + count], codes[place : place + count]
            spread(scales, row // block_rows * blocks_across, block_columns, start, count, scale_line)
            decode_line(part_codes, count, d, decoded)
            usable, flushed, zeros, nans, infs = _kept(part, decoded, scale_line, finite, numbers, values)
            largest, in_ulps, clipped = _largest_and_clipped(finite, decoded, scale_line, numbers, values, f, count)
            signal, noise, energy, product = _sums(numbers, values, count)
            sums[0] += signal
            sums[1] += noise
            sums[2] += energy
            sums[3] += product
            sums[4] = max(sums[4], float_of(largest))
            sums[5] = max(sums[5], float_of(in_ulps))
            counts[0] += usable
            counts[1] += flushed
            counts[2] += zeros
            counts[3] += nans
            counts[4] += infs
            counts[5] += clipped
            _to_bins(numbers, values, count, bins, squares, errors)
            for i in range(count):
                copy = i & (COPIES - 1)
                add_three(binades, 4 * (copy * BINADES + bins[i]), 1.0, squares[i], errors[i])
                histogram[np.uint64(copy), np.uint64(part_codes[i]) & last_code] += 1


@inlined
def _to_places(x, places):
    """Fill a line with the places of numbers in a histogram by binade, 0 for what is not normal -> zeros, NaNs, infinities, subnormal numbers."""
    zeros, nans, infs, tiny = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
    one, none = np.int32(1), np.int32(0)
    for i in range(x.size):
        magnitude = np.int32(bits_of(np.float32(widened(x[i]))) & _REST)
        field = np.int32(magnitude >> np.int32(23))
        normal = np.int32(field + np.int32(-126 - SMALLEST)) if magnitude < _INFINITY else none
        places[i] = normal if field > 0 else none
        zeros += one if magnitude == 0 else none
        nans += one if magnitude > _INFINITY else none
        infs += one if magnitude == _INFINITY else none
        tiny += one if (field == 0) & (magnitude != 0) else none
    return zeros, nans, infs, tiny


@compiled
def binade_rows(x, counts, specials):
    """Count numbers by the exponent of their magnitude: counts int64 (copies, BINADES), specials int64 (3,): zeros, NaNs and infinities.

    The first place of `counts` takes what does not count.
    """
    places = np.empty(STRETCH, np.int32)
    for start in range(0, x.size, STRETCH):
        part = x[start : start + STRETCH]
        zeros, nans, infs, tiny = _to_places(part, places)
        specials[0] += zeros
        specials[1] += nans
        specials[2] += infs
        for i in range(part.size):
            counts[np.uint64(i & (COPIES - 1)), np.uint64(places[i])] += 1
        if tiny > 0:
            for i in range(part.size):
                magnitude = np.int32(bits_of(np.float32(widened(part[i]))) & _REST)
                if 0 < magnitude < 1 << 23:
                    counts[0, (bits_of(np.float64(float_of(magnitude))) >> 52) - np.int64(1022 + SMALLEST)] += 1


class Fates(NamedTuple):
    """What tells the fates of numbers apart, on the scale of the format: below `normal_from` are subnormal numbers, beyond the other two clipped ones."""

    normal_from: float
    above: float
    below: float
    by_quotient: bool


@inlined
def _to_fates(x, decoded, scale_line, f, places):
    """Fill a line with the places fate · FATE_BINADES + binade, the first for what has no binade -> zeros, NaNs, infinities."""
    zeros, nans, infs = np.int64(0), np.int64(0), np.int64(0)
    one, none = np.int64(1), np.int64(0)
    normal_from, above, below, by_quotient = f.normal_from, f.above, f.below, f.by_quotient
    for i in range(x.size):
        number = np.float64(widened(x[i]))
        quotient = number / np.float64(scale_line[i])
        fate = one if abs(quotient) < normal_from else one + one
        fate = none if decoded[i] == 0 else fate
        fate = one + one + one if (quotient > above) | (quotient < below) else fate
        restored = np.float32(decoded[i] * scale_line[i])
        fate = fate if abs(restored) <= _LARGEST else one + one + one + one
        binned = bits_of(quotient if by_quotient else number) & _REST64
        exponent = (binned >> 52) - np.int64(1022 + FATE_SMALLEST)
        counts = (binned != 0) & (binned < _INFINITY64)
        places[i] = fate * FATE_BINADES + exponent if counts else none
        zeros += one if number == 0 else none
        nans += one if number != number else none
        infs += one if abs(number) == np.inf else none
    return zeros, nans, infs


@compiled
def fate_rows(x, codes, columns, block_rows, block_columns, scales, d, f, counts, specials):
    """Count numbers by fate and binade: counts int64 (copies, 5 · FATE_BINADES), specials int64 (3,): zeros, NaNs and infinities."""
    rows, blocks_across = x.size // columns, (columns + block_columns - 1) // block_columns
    whole = STRETCH // block_columns * block_columns if 1 < block_columns <= STRETCH else STRETCH
    stretch = min(whole, columns)
    scale_line, decoded, places = np.empty(stretch, np.float32), np.empty(stretch, np.float32), np.empty(stretch, np.int64)
    for row in range(rows):
        for start in range(0, columns, stretch):
            count, place = min(stretch, columns - start), row * columns + start
            spread(scales, row // block_rows * blocks_across, block_columns, start, count, scale_line)
            decode_line(codes[place : place + count], count, d, decoded)
            zeros, nans, infs = _to_fates(x[place : place + count], decoded, scale_line, f, places)
            specials[0] += zeros
            specials[1] += nans
            specials[2] += infs
            for i in range(count):
                counts[np.uint64(i & (COPIES - 1)), np.uint64(places[i])] += 1
