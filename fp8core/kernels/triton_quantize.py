"""Kernels in Triton that quantize: amax, scale, what is stored of it, codes and packed codes, of numbers that are read once.

`fused` starts them. What they do is defined in torch (`scaling`, `codec`); the piece of the CPU's loops that each function is a twin of is named there.
Numbers lie in tiles of four axes, [blocks down, rows of a block, blocks across, columns of a block]; sides that are no power of two are masked.
Names in capitals are constants of formats and rules, as `constants` has them, in whole; one kernel is compiled for each set of them.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fp8core.kernels.constants import BOOK, SINGLE

_REST = tl.constexpr(0x7FFFFFFF)
_INFINITY = tl.constexpr(0x7F800000)
_BOTH_BIASES = tl.constexpr(254 << 23)
_REST64 = tl.constexpr((1 << 63) - 1)
_EXPONENT64 = tl.constexpr(0x7FF << 52)
_FRACTION64 = tl.constexpr((1 << 52) - 1)
_ONE64 = tl.constexpr(1023 << 52)
_BEYOND64 = tl.constexpr((900 + 1023) << 52)
_SINGLE_WAY, _BOOK_WAY = tl.constexpr(SINGLE), tl.constexpr(BOOK)


@triton.jit
def _largest(numbers, axis: tl.constexpr):
    return tl.reduce(numbers, axis, tl.standard._elementwise_max, keep_dims=True)


@triton.jit
def _peaks_of(numbers):
    """Largest magnitudes of the blocks of a tile, as bits [down, 1, across, 1]: of finite numbers, and of all; NaN is above infinity."""
    magnitude = numbers.to(tl.int32, bitcast=True) & _REST
    finite = tl.where(magnitude < _INFINITY, magnitude, 0)
    return _largest(_largest(finite, 3), 1), _largest(_largest(magnitude, 3), 1)


@triton.jit
def _scales_of(peak, peak_of_all, global_scale, RULE: tl.constexpr, STORE: tl.constexpr, TWO_LEVELS: tl.constexpr):
    """Peaks -> scales, float32, and what is stored of them; `stages.wanted_scales` and `elements.code_nearest`."""
    amax = peak.to(tl.float32, bitcast=True).to(tl.float64)
    floor = tl.full((1, 1, 1, 1), RULE.amax_floor, tl.float64)
    amax = tl.where(amax > floor, amax, floor)
    if RULE.up_from > 0:
        bits = amax.to(tl.int64, bitcast=True)
        significand = ((bits & _FRACTION64) | _ONE64).to(tl.float64, bitcast=True)
        exponent = (bits >> 52) - RULE.emax + (significand >= tl.full((1, 1, 1, 1), RULE.up_from, tl.float64)).to(tl.int64)
        exponent = tl.minimum(tl.maximum(exponent, 1), 2046)
        wanted = (exponent << 52).to(tl.float64, bitcast=True)
    else:
        wanted = amax / tl.full((1, 1, 1, 1), RULE.divide_by, tl.float64)
    if TWO_LEVELS:
        relative_to = tl.load(global_scale).to(tl.float64)
        wanted = wanted / relative_to
    smallest = tl.full((1, 1, 1, 1), RULE.smallest, tl.float64)
    wanted = tl.where(wanted < smallest, smallest, wanted)
    binade = tl.maximum(wanted.to(tl.int64, bitcast=True) & _EXPONENT64, STORE.emin_bits)
    c = binade + ((52 - STORE.mantissa_bits) << 52)
    raised = wanted + c.to(tl.float64, bitcast=True)
    code = raised.to(tl.int64, bitcast=True) - c + ((binade - STORE.emin_bits) >> (52 - STORE.mantissa_bits)) - STORE.first_code
    nearest = raised - c.to(tl.float64, bitcast=True)
    nearest = tl.where(code > STORE.max_code, tl.full((1, 1, 1, 1), STORE.max, tl.float64), nearest)
    code = tl.minimum(code, STORE.max_code)
    if TWO_LEVELS:
        nearest = nearest * relative_to
    scale = nearest.to(tl.float32)
    if RULE.nan_marks:
        has_nan = peak_of_all > _INFINITY
        scale = tl.where(has_nan, float("nan"), scale)
        code = tl.where(has_nan, STORE.nan_code, code)
    return scale, code


@triton.jit
def _quotient(magnitude, scale, POWERS: tl.constexpr):
    """The bits of a magnitude / scale in float32, rounded to odd: `elements.quotient_single`, and `power_quotient`.

    A scale beyond 2^60 or below 2^-60 is first moved by 2^66, together with the numbers. What then overflows or underflows is beyond the largest value of
    every format that is rounded by way of float32, or below half of the smallest. A division for every number would take more instructions than it takes
    to correct the product with the reciprocal, which may be 2 ulps off, by its exact remainder: then it is less than 1 ulp off, and its own remainder says
    to which side.
    """
    factor = tl.where(scale < 2.0**-60, 2.0**66, tl.where(scale > 2.0**60, 2.0**-66, 1.0))
    scale = scale * factor
    magnitude = magnitude * factor
    if POWERS:
        reciprocal = (-scale.to(tl.int32, bitcast=True) + _BOTH_BIASES).to(tl.float32, bitcast=True)
        found = (magnitude * tl.where(scale == scale, reciprocal, scale)).to(tl.int32, bitcast=True) & _REST
    else:
        reciprocal = tl.broadcast_to(tl.div_rn(tl.full(scale.shape, 1.0, tl.float32), scale), magnitude.shape)
        scale = tl.broadcast_to(scale, magnitude.shape)
        quotient = magnitude * reciprocal
        rest = tl.fma(-quotient, scale, magnitude)
        quotient = tl.where(tl.abs(rest) < float("inf"), tl.fma(rest, reciprocal, quotient), quotient)
        rest = tl.fma(-quotient, scale, magnitude)
        found = quotient.to(tl.int32, bitcast=True) & _REST
        found = tl.where(rest < 0, found - 1, found)
        found = tl.where((rest < 0) | (rest > 0), found | 1, found)
    return found


@triton.jit
def _codes_single(magnitude, negative, SINGLE: tl.constexpr):
    """The bits of float32 magnitudes, and -1 where the number is negative, else 0 -> codes, int32; `stages.round_codes_single`."""
    inside = tl.minimum(magnitude, SINGLE.most_above) if SINGLE.most_above == SINGLE.most_below else tl.minimum(magnitude, tl.where(negative != 0, SINGLE.most_below, SINGLE.most_above))
    binade = tl.maximum(inside & _INFINITY, SINGLE.emin_bits)
    c = binade + SINGLE.shift
    raised = inside.to(tl.float32, bitcast=True) + c.to(tl.float32, bitcast=True)
    code = raised.to(tl.int32, bitcast=True) - c + ((binade - SINGLE.emin_bits) >> SINGLE.code_shift)
    if SINGLE.limit_code != SINGLE.max_code:
        code = tl.where(code > SINGLE.max_code, SINGLE.limit_code, code)
    if SINGLE.wraps != 0:
        code = ((code ^ negative) - negative) & SINGLE.wraps
    elif SINGLE.zero_keeps_sign:
        code = code | (negative & SINGLE.sign_code)
    else:
        code = tl.where(code != 0, code | (negative & SINGLE.sign_code), code)
    return tl.where(magnitude > _INFINITY, SINGLE.nan_code, code)


@triton.jit
def _codes_double(quotient, DOUBLE: tl.constexpr):
    """float64 numbers -> codes, int64; `elements.code_nearest`, and of `code_double` what formats without mantissa bits need."""
    bits = quotient.to(tl.int64, bitcast=True)
    negative = bits >> 63
    inside = tl.minimum(bits & _REST64, _BEYOND64)
    binade = tl.maximum(inside & _EXPONENT64, DOUBLE.emin_bits)
    c = binade + ((52 - DOUBLE.mantissa_bits) << 52)
    magnitude = inside.to(tl.float64, bitcast=True)
    raised = magnitude + c.to(tl.float64, bitcast=True)
    steps = raised.to(tl.int64, bitcast=True) - c
    below = (binade - DOUBLE.emin_bits) >> (52 - DOUBLE.mantissa_bits)
    if DOUBLE.parity_by_code:
        nearest = raised - c.to(tl.float64, bitcast=True)
        tie = tl.abs(nearest - magnitude) * 2 == (binade - (DOUBLE.mantissa_bits << 52)).to(tl.float64, bitcast=True)
        floor = steps - (nearest > magnitude).to(tl.int64)
        steps = tl.where(tie, floor + ((below + floor) & 1), steps)
    code = below + steps - DOUBLE.first_code
    largest = tl.where(negative != 0, tl.full((1, 1, 1, 1), DOUBLE.lowest_code, tl.int64), tl.full((1, 1, 1, 1), DOUBLE.max_code, tl.int64))
    code = tl.where(code > largest, tl.maximum(largest, DOUBLE.limit_code), code)
    code = tl.maximum(code, 0)
    if DOUBLE.wraps != 0:
        code = ((code ^ negative) - negative) & DOUBLE.wraps
    elif DOUBLE.zero_keeps_sign:
        code = code | (negative & DOUBLE.sign_code)
    else:
        code = tl.where(code != 0, code | (negative & DOUBLE.sign_code), code)
    if DOUBLE.below_zero_code >= 0:
        code = tl.where(quotient < 0, DOUBLE.below_zero_code, code)
    if DOUBLE.zero_code >= 0:
        code = tl.where(quotient == 0, DOUBLE.nan_code, code)
    return tl.where(quotient != quotient, DOUBLE.nan_code, code)


@triton.jit
def _codes_of_book(quotient, steps, step_codes, BOOK: tl.constexpr):
    """float64 numbers -> codes of a code book: how many of its decision points, which are filled up with NaN to a power of two, lie at or below each."""
    place = tl.full(quotient.shape, 0, tl.int32)
    for i in tl.static_range(BOOK.halvings):
        here = tl.load(steps + place + (BOOK.half >> i) - 1)
        place = tl.where(quotient >= here, place + (BOOK.half >> i), place)
    code = tl.load(step_codes + place)
    if BOOK.minus_zero_code >= 0:
        code = tl.where((code == BOOK.zero_code) & (quotient.to(tl.int64, bitcast=True) < 0), BOOK.minus_zero_code, code)
    if BOOK.below_zero_code >= 0:
        code = tl.where(quotient < 0, BOOK.below_zero_code, code)
    return tl.where(quotient != quotient, BOOK.nan_code, code)


@triton.jit
def _codes_of(numbers, scale, steps, step_codes, WAY: tl.constexpr, POWERS: tl.constexpr, FORMAT: tl.constexpr):
    """The codes of numbers / scale."""
    if WAY == _SINGLE_WAY:
        bits = numbers.to(tl.int32, bitcast=True)
        code = _codes_single(_quotient((bits & _REST).to(tl.float32, bitcast=True), scale, POWERS), bits >> 31, FORMAT)
    else:
        quotient = numbers.to(tl.float64) / scale.to(tl.float64)
        code = _codes_of_book(quotient, steps, step_codes, FORMAT) if WAY == _BOOK_WAY else _codes_double(quotient, FORMAT).to(tl.int32)
    return code


@triton.jit
def _pairs(numbers):
    """The even and the odd places of the last axis."""
    return tl.split(tl.reshape(numbers, (numbers.shape[0], numbers.shape[1], numbers.shape[2], numbers.shape[3] // 2, 2)))


@triton.jit
def _along(length: tl.constexpr):
    return tl.arange(0, length)[None, None, None, :]


@triton.jit
def _within(place, there, column, columns, length):
    """Whether places on lines, which begin at a column, are of the matrix and of the line. The smaller end would do, but not tell the compiler that whole vectors are in."""
    return there & (column + place < columns) & (place < length)


@triton.jit
def _load(x, start, there, column, columns, length, WIDE: tl.constexpr):
    """Lines of numbers -> float32; 0 beyond their ends. bfloat16 is widened by its bits: the interpreter of triton 3.9.0 does not convert its subnormals right."""
    numbers = tl.load(x + start + _along(WIDE), mask=_within(_along(WIDE), there, column, columns, length), other=0.0)
    return (numbers.to(tl.int16, bitcast=True).to(tl.int32) << 16).to(tl.float32, bitcast=True) if x.dtype.element_ty == tl.bfloat16 else numbers.to(tl.float32)


@triton.jit
def _store(code, start, there, column, columns, packed_columns, length, codes, packed, WIDE: tl.constexpr, STORES: tl.constexpr, PACKED_BITS: tl.constexpr):
    """Write lines of codes, a byte for each, or without gaps, or both. Packed lines begin with a byte; of 4 bits there are an even number of packed columns."""
    inside = _within(_along(WIDE), there, column, columns, length)
    if STORES:
        tl.store(codes + start + _along(WIDE), code.to(tl.uint8), mask=inside)
    if PACKED_BITS != 0:
        low, high = _pairs(tl.where(inside, code, 0))
    if PACKED_BITS == 4:
        half = _along(WIDE // 2)
        tl.store(packed + (start >> 1) + half, (low | (high << 4)).to(tl.uint8), mask=_within(half, there, column >> 1, packed_columns >> 1, length >> 1))
    if PACKED_BITS == 6:
        low, high = _pairs(low | (high << 6))
        four, byte = 4 * _along(WIDE // 4), packed + (start >> 2) * 3 + 3 * _along(WIDE // 4)
        tl.store(byte, low.to(tl.uint8), mask=_within(four, there, column, columns, length))
        tl.store(byte + 1, ((low >> 8) | (high << 4)).to(tl.uint8), mask=_within(four + 1, there, column, columns, length))
        tl.store(byte + 2, (high >> 4).to(tl.uint8), mask=_within(four + 2, there, column, columns, length))


@triton.jit
def peaks(x, found, count, LENGTH: tl.constexpr, ROUNDS: tl.constexpr):
    """Write the largest magnitudes of every part of all numbers, as bits: of finite numbers, and of all."""
    part = tl.program_id(0)
    start = part.to(tl.int64) * (LENGTH * ROUNDS)
    peak, peak_of_all = tl.full((1, 1, 1, LENGTH), 0, tl.int32), tl.full((1, 1, 1, LENGTH), 0, tl.int32)
    for _ in range(ROUNDS):
        magnitude = _load(x, start, _along(1) == 0, start, count, LENGTH, LENGTH).to(tl.int32, bitcast=True) & _REST
        peak, peak_of_all = tl.maximum(peak, tl.where(magnitude < _INFINITY, magnitude, 0)), tl.maximum(peak_of_all, magnitude)
        start += LENGTH
    tl.store(found + 2 * part + _along(1), _largest(peak, 3))
    tl.store(found + 2 * part + 1 + _along(1), _largest(peak_of_all, 3))


@triton.jit
def quantize_all(x, peak, global_scale, codes, packed, scale, scale_code, steps, step_codes, count, packed_count,
                 LENGTH: tl.constexpr, STORES: tl.constexpr, PACKED_BITS: tl.constexpr, WAY: tl.constexpr, POWERS: tl.constexpr, FORMAT: tl.constexpr,
                 RULE: tl.constexpr, STORE: tl.constexpr, TWO_LEVELS: tl.constexpr):  # fmt: skip
    """Quantize numbers that share one scale, given their peaks."""
    part, one = tl.program_id(0), _along(1)
    own_scale, own_code = _scales_of(tl.load(peak + one), tl.load(peak + 1 + one), global_scale, RULE, STORE, TWO_LEVELS)
    tl.store(scale + one, own_scale, mask=part + one == 0)
    tl.store(scale_code + one, own_code, mask=part + one == 0)
    start = part.to(tl.int64) * LENGTH
    code = _codes_of(_load(x, start, _along(1) == 0, start, count, LENGTH, LENGTH), own_scale, steps, step_codes, WAY, POWERS, FORMAT)
    _store(code, start, _along(1) == 0, start, count, packed_count, LENGTH, codes, packed, LENGTH, STORES, PACKED_BITS)


@triton.jit
def _lines_of(first_row, first_column, row, column, rows, columns, block_rows, block_columns):
    """Where the lines of a tile start, and how many numbers there are from there to the end of the row (none where there is no such row) and of the block."""
    there = (row < block_rows) & (first_row + row < rows)
    return (first_row + row).to(tl.int64) * columns + (first_column + column), there, first_column + column, block_columns - column


@triton.jit
def scale_and_quantize(x, global_scale, codes, packed, scales, scale_codes, steps, step_codes, rows, columns, block_rows, block_columns, tiles_across,
                       DOWN: tl.constexpr, TALL: tl.constexpr, ACROSS: tl.constexpr, WIDE: tl.constexpr, ONE_PASS: tl.constexpr,
                       STORES: tl.constexpr, PACKED_BITS: tl.constexpr, WAY: tl.constexpr, POWERS: tl.constexpr, FORMAT: tl.constexpr,
                       RULE: tl.constexpr, STORE: tl.constexpr, TWO_LEVELS: tl.constexpr):  # fmt: skip
    """Quantize DOWN by ACROSS blocks: in one pass where a tile of TALL by WIDE holds a block, else in two, tile after tile of the same blocks."""
    tile = tl.program_id(0)
    block_row = tile // tiles_across * DOWN + tl.arange(0, DOWN)[:, None, None, None]
    block_column = tile % tiles_across * ACROSS + tl.arange(0, ACROSS)[None, None, :, None]
    first_row, first_column, row = block_row * block_rows, block_column * block_columns, tl.arange(0, TALL)[None, :, None, None]
    if ONE_PASS:
        start, there, column, length = _lines_of(first_row, first_column, row, 0, rows, columns, block_rows, block_columns)
        numbers = _load(x, start, there, column, columns, length, WIDE)
        peak, peak_of_all = _peaks_of(numbers)
    else:
        peak, peak_of_all = tl.full((DOWN, 1, ACROSS, 1), 0, tl.int32), tl.full((DOWN, 1, ACROSS, 1), 0, tl.int32)
        for down in range(0, block_rows, TALL):
            for across in range(0, block_columns, WIDE):
                start, there, column, length = _lines_of(first_row, first_column, down + row, across, rows, columns, block_rows, block_columns)
                here, here_of_all = _peaks_of(_load(x, start, there, column, columns, length, WIDE))
                peak, peak_of_all = tl.maximum(peak, here), tl.maximum(peak_of_all, here_of_all)
    scale, scale_code = _scales_of(peak, peak_of_all, global_scale, RULE, STORE, TWO_LEVELS)
    blocks_across = (columns + block_columns - 1) // block_columns
    block = block_row.to(tl.int64) * blocks_across + block_column
    is_block = (first_row < rows) & (block_column < blocks_across)
    tl.store(scales + block, scale, mask=is_block)
    tl.store(scale_codes + block, scale_code, mask=is_block)
    if ONE_PASS:
        _store(_codes_of(numbers, scale, steps, step_codes, WAY, POWERS, FORMAT), start, there, column, columns, columns, length, codes, packed, WIDE, STORES, PACKED_BITS)
    else:
        for down in range(0, block_rows, TALL):
            for across in range(0, block_columns, WIDE):
                start, there, column, length = _lines_of(first_row, first_column, down + row, across, rows, columns, block_rows, block_columns)
                code = _codes_of(_load(x, start, there, column, columns, length, WIDE), scale, steps, step_codes, WAY, POWERS, FORMAT)
                _store(code, start, there, column, columns, columns, length, codes, packed, WIDE, STORES, PACKED_BITS)
