"""The compiled loop behind `measure`: what is lost between numbers and their codes, in one pass.

Most stretches hold nothing but normal numbers and zeros that all come back finite; those take the quick way. What is left takes the careful
way, which asks of every number whether it counts. Either gives the same result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fp8core.formats import Format
from fp8core.kernels.compiling import add_pair, bits_of, compiled, float_of, inlined, summing, widened
from fp8core.kernels.counting import BINADES, COPIES, FIRST_NORMAL, SMALLEST, SPECIAL, STRETCH, exponents
from fp8core.kernels.stages import decode_line, spread

_REST, _EXPONENT, _INFINITY = np.int32(2**31 - 1), np.int32(0xFF << 23), np.int32(0xFF << 23)
_REST64, _EXPONENT64, _INFINITY64 = np.int64(2**63 - 1), np.int64(0x7FF << 52), np.int64(0x7FF << 52)
_BOTH_BIASES64 = np.int64(2046 << 52)
_MARGIN = np.int32(4)  # float32 neighbours by which an estimated quotient may be wrong, and more


class Measured(NamedTuple):
    """What the report needs to know of a format: its ulps and its ends, half an ulp beyond the largest and lowest values.

    For estimates in float32: the magnitudes, as bits, up to which numbers are surely not beyond the ends and from which they surely are; how far an
    estimated error in ulps is off at most; and the constants that make an ulp's reciprocal of a binade. `slack` is infinite where float32 has no room for one.
    """

    mantissa_bits: int
    emin: int
    emax: int
    above: float
    below: float
    inside: np.int32
    outside: np.int32
    slack: float
    emin_bits: np.int32
    emax_bits: np.int32
    reciprocal_bits: np.int32


def measured(fmt: Format) -> Measured:
    """Return the constants of a format whose binades are evenly spaced."""
    half = fmt.ulp_at_max / 2
    above, below = fmt.max + half, fmt.lowest - half if fmt.signed else -np.inf
    largest = float(np.finfo(np.float32).max)
    inside, outside = np.float32(min(above, -below, largest) * (1 - 2.0**-20)), np.float32(min(max(above, -below) * (1 + 2.0**-20), largest))
    fits = fmt.mantissa_bits - fmt.emin <= 120 and fmt.mantissa_bits <= 16
    emin_bits, reciprocal_bits = ((fmt.emin + 127) << 23, (254 + fmt.mantissa_bits) << 23) if fits else (1 << 23, 254 << 23)
    return Measured(
        fmt.mantissa_bits, fmt.emin, fmt.emax, above, below,
        inside=inside.view(np.int32),
        outside=outside.view(np.int32),
        slack=2.0 ** (fmt.mantissa_bits - 20) if fits else np.inf,
        emin_bits=np.int32(emin_bits),
        emax_bits=np.int32(max((min(max(fmt.emin, fmt.emax), 127) + 127) << 23, emin_bits)),
        reciprocal_bits=np.uint32(reciprocal_bits).view(np.int32),
    )  # fmt: skip


@inlined
def _restore(x, decoded, scale_line, restored):
    """Fill a line with value times scale -> numbers that became zero, and the largest magnitude that came back, as its bits."""
    zeros, largest = np.int32(0), np.int32(0)
    one, none = np.int32(1), np.int32(0)
    for i in range(x.size):
        value = np.float32(decoded[i] * scale_line[i])
        restored[i] = value
        magnitude = np.int32(bits_of(value) & _REST)
        zeros += one if magnitude == 0 else none
        largest = magnitude if magnitude > largest else largest
    return zeros, largest


@inlined
def _zeros_kept(x, restored):
    """How many zeros came back as zeros."""
    kept = np.int32(0)
    one, none = np.int32(1), np.int32(0)
    for i in range(x.size):
        kept += one if (np.float32(widened(x[i])) == 0) & (restored[i] == 0) else none
    return kept


@summing
def _sums(x, restored, pairs):
    """Fill a line with pairs of x² and (x − x̂)² -> sums of x̂² and x·x̂, and the largest |x − x̂|, as bits of float64."""
    energy, product, largest = 0.0, 0.0, np.int64(0)
    for i in range(x.size):
        number, value = np.float64(widened(x[i])), np.float64(restored[i])
        error = number - value
        place = np.uint64(2) * np.uint64(i)
        pairs[place] = number * number
        pairs[place + np.uint64(1)] = error * error
        energy += value * value
        product += number * value
        magnitude = bits_of(error) & _REST64
        largest = magnitude if magnitude > largest else largest
    return energy, product, largest


@inlined
def _estimate(x, decoded, inverses, f):
    """Largest error in ulps, about, as bits of float32; how many numbers are clipped, and of how many this is not sure.

    Binades are taken a little too small rather than too large, so that the error is not underestimated but by `f.slack`.
    """
    largest, clipped, beyond = np.int32(0), np.int32(0), np.int32(0)
    one, none = np.int32(1), np.int32(0)
    inside, outside, emin_bits, emax_bits, reciprocal_bits = f.inside, f.outside, f.emin_bits, f.emax_bits, f.reciprocal_bits
    for i in range(x.size):
        scaled = np.float32(np.float32(widened(x[i])) * inverses[i])
        magnitude = np.int32(bits_of(scaled) & _REST)
        beyond += one if magnitude > inside else none
        clipped += one if (magnitude > outside) & (magnitude < _INFINITY) else none
        binade = np.int32(np.int32(magnitude - _MARGIN) & _EXPONENT)
        binade = emin_bits if binade < emin_bits else binade
        binade = emax_bits if binade > emax_bits else binade
        gap = np.int32(bits_of(np.float32(np.float32(scaled - decoded[i]) * float_of(np.int32(reciprocal_bits - binade)))) & _REST)
        largest = gap if gap > largest else largest
    return largest, clipped, beyond - clipped


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
def _largest_and_clipped(finite, decoded, scale_line, f, count):
    """Largest error in ulps, as bits of float64; how many numbers are clipped."""
    in_ulps, clipped = np.int64(0), np.int64(0)
    least, most = np.int64(f.emin + 1023) << 52, np.int64(max(f.emin, f.emax) + 1023) << 52
    down, above, below = np.int64(f.mantissa_bits) << 52, f.above, f.below
    one, none = np.int64(1), np.int64(0)
    for i in range(count):
        scaled = np.float64(finite[i]) / np.float64(scale_line[i])
        binade = bits_of(scaled) & _EXPONENT64
        binade = least if binade < least else binade
        binade = most if binade > most else binade
        gap = bits_of((scaled - np.float64(decoded[i])) * float_of(_BOTH_BIASES64 - (binade - down))) & _REST64
        gap = gap if gap <= _INFINITY64 else none
        in_ulps = gap if gap > in_ulps else in_ulps
        clipped += one if (scaled > above) | (scaled < below) else none
    return in_ulps, clipped


@inlined
def _careful_sums(numbers, values, count, in_binade, binades, sums):
    """Add to the sums and to the binades."""
    pair = np.empty(2)
    for i in range(count):
        error = numbers[i] - values[i]
        exponent = ((bits_of(numbers[i]) & _REST64) >> 52) - np.int64(1022 + SMALLEST)
        place = exponent if exponent > 0 else np.int64(0)
        pair[0], pair[1] = numbers[i] * numbers[i], error * error
        in_binade[place] += 1
        add_pair(binades, 2 * place, pair, 0)
        sums[0] += values[i] * values[i]
        sums[1] += numbers[i] * values[i]
        sums[2] = max(sums[2], abs(error))


@inlined
def _add_pairs(fields, pairs, in_binade, binades):
    """Count the numbers of a line by their exponents and add their pairs, in turns to each of the copies."""
    whole = fields.size // COPIES * COPIES
    for i in range(0, whole, COPIES):
        for copy in range(COPIES):
            place = fields[np.uint64(i) + np.uint64(copy)] + np.int64(copy * BINADES) + np.int64(FIRST_NORMAL)
            in_binade[np.uint64(place)] += 1
            add_pair(binades, 2 * place, pairs, 2 * (i + copy))
    for i in range(whole, fields.size):
        place = fields[i] + np.int64(FIRST_NORMAL)
        in_binade[np.uint64(place)] += 1
        add_pair(binades, 2 * place, pairs, 2 * i)


@inlined
def _add_codes(codes, last_code, histogram):
    """Count the codes of a line."""
    whole = codes.size // COPIES * COPIES if histogram.shape[0] == COPIES else 0
    for i in range(0, whole, COPIES):
        for copy in range(COPIES):
            histogram[np.uint64(copy), np.uint64(codes[np.uint64(i) + np.uint64(copy)]) & last_code] += 1
    for i in range(whole, codes.size):
        histogram[0, np.uint64(codes[i]) & last_code] += 1


@compiled
def report_rows(x, codes, columns, block_rows, block_columns, scales, d, f, sums, counts, in_binade, binades, histogram):
    """Add what there is to say about some rows and their codes.

    sums: float64 (4,): of x̂² and x·x̂, and the largest |x − x̂| and error in ulps. counts: int64 (6,): usable, flushed, zeros, NaNs,
    infinities, clipped. in_binade: int64, flat from (COPIES, BINADES), and binades: float64, flat from (COPIES, BINADES, 2): numbers, and sums of x²
    and of (x − x̂)², the first place for no binade. histogram: int64, (COPIES, codes) or (1, codes).
    """
    rows, blocks_across = x.size // columns, (columns + block_columns - 1) // block_columns
    whole = STRETCH // block_columns * block_columns if 1 < block_columns <= STRETCH else STRETCH
    stretch = min(whole, columns)
    numbers, values, pairs = np.empty(stretch, np.float64), np.empty(stretch, np.float64), np.empty(2 * stretch, np.float64)
    finite, scale_line, inverse_line, decoded, restored = (
        np.empty(stretch, np.float32), np.empty(stretch, np.float32), np.empty(stretch, np.float32), np.empty(stretch, np.float32), np.empty(stretch, np.float32),
    )  # fmt: skip
    fields, inverses = np.empty(stretch, np.int16), np.float32(1) / scales
    last_code = np.uint64(d.last_code)
    for row in range(rows):
        for start in range(0, columns, stretch):
            count, place = min(stretch, columns - start), row * columns + start
            part, part_codes = x[place : place + count], codes[place : place + count]
            first_block = row // block_rows * blocks_across
            spread(scales, first_block, block_columns, start, count, scale_line)
            decode_line(part_codes, count, d, decoded)
            zeros_back, largest_back = _restore(part, decoded, scale_line, restored)
            line = fields[:count]
            high, tiny, zeros = exponents(part, line)
            quick = (tiny == 0) & (high < SPECIAL) & (largest_back < _INFINITY)
            exact = True
            if quick:
                energy, product, largest = _sums(part, restored, pairs)
                _add_pairs(line, pairs, in_binade, binades)
                sums[0] += energy
                sums[1] += product
                sums[2] = max(sums[2], float_of(largest))
                counts[0] += count
                if zeros_back:
                    counts[1] += zeros_back - _zeros_kept(part, restored)
                counts[2] += zeros
                spread(inverses, first_block, block_columns, start, count, inverse_line)
                error, clipped, unsure = _estimate(part, decoded, inverse_line, f)
                exact = (unsure > 0) | (error > _INFINITY) | (np.float64(float_of(error)) + f.slack > sums[3])
                counts[5] += np.int32(0) if exact else clipped
            if exact:
                usable, flushed, all_zeros, nans, infs = _kept(part, decoded, scale_line, finite, numbers, values)
                in_ulps, all_clipped = _largest_and_clipped(finite, decoded, scale_line, f, count)
                sums[3] = max(sums[3], float_of(in_ulps))
                counts[5] += all_clipped
            if not quick:
                _careful_sums(numbers, values, count, in_binade, binades, sums)
                counts[0] += usable
                counts[1] += flushed
                counts[2] += all_zeros
                counts[3] += nans
                counts[4] += infs
            _add_codes(part_codes, last_code, histogram)
