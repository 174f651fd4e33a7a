"""The compiled loops that only count: histograms by binade and by fate, and pieces that the report shares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fp8core.kernels.compiling import bits_of, compiled, inlined, right, widened
from fp8core.kernels.stages import decode_line, spread

STRETCH = 512
BINADES = 288  # places for the exponents from -149 to 127 of float32; the first place is for zero and what does not count
SMALLEST = -149
FIRST_NORMAL = np.int32(-126 - SMALLEST)  # what is added to the exponent bits of a normal float32 gives its place
NO_EXPONENT = np.int32(-FIRST_NORMAL)  # which leads to the first place
FATE_BINADES, FATE_SMALLEST = 640, -320  # quotients of two float32 numbers reach further than float32 does
COPIES = 8  # of a histogram: neighbours that fall into one bin do not wait for each other
_LARGEST = np.float32(np.finfo(np.float32).max)
_REST64 = np.int64(2**63 - 1)
_INFINITY64 = np.int64(0x7FF << 52)
_REST = np.int32(2**31 - 1)
SPECIAL = np.int32(255)  # exponent bits of infinity and NaN
_MANTISSA = np.int32(23)


@inlined
def exponents(x, fields):
    """Fill a line, int16, with the exponent bits of normal float32 numbers, NO_EXPONENT for others -> the largest exponent bits, subnormal numbers, zeros."""
    high, no_exponent, zeros = np.int32(0), np.int32(0), np.int32(0)
    one, none = np.int32(1), np.int32(0)
    for i in range(x.size):
        magnitude = np.int32(bits_of(np.float32(widened(x[i]))) & _REST)
        field = right(magnitude, _MANTISSA)
        fields[i] = np.int16(field if field > 0 else NO_EXPONENT)
        high = field if field > high else high
        no_exponent += one if field == 0 else none
        zeros += one if magnitude == 0 else none
    return high, no_exponent - zeros, zeros


@compiled
def binade_rows(x, counts, specials):
    """Count numbers by the exponent of their magnitude, zeros in the first place: counts int64, flat from (COPIES, BINADES); specials int64 (2,): NaNs and infinities."""
    fields = np.empty(STRETCH, np.int16)
    for start in range(0, x.size, STRETCH):
        part = x[start : start + STRETCH]
        line = fields[: part.size]
        high, tiny, _ = exponents(part, line)
        if tiny == 0 and high < SPECIAL:
            whole = part.size // COPIES * COPIES
            for i in range(0, whole, COPIES):
                for copy in range(COPIES):
                    counts[np.uint64(line[np.uint64(i) + np.uint64(copy)] + np.int64(copy * BINADES) + np.int64(FIRST_NORMAL))] += 1
            for i in range(whole, part.size):
                counts[np.uint64(line[i] + np.int64(FIRST_NORMAL))] += 1
            continue
        for i in range(part.size):
            number = np.float64(widened(part[i]))
            magnitude = bits_of(number) & _REST64
            if magnitude >= _INFINITY64:
                specials[0 if number != number else 1] += 1
            else:
                counts[(magnitude >> 52) - np.int64(1022 + SMALLEST) if magnitude else np.int64(0)] += 1


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
