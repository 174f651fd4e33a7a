"""Jobs on whole tensors: cut into pieces, handed to the threads, written into the result. Everything here takes and gives CPU tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from fp8core.codec.ladder import is_ladder
from fp8core.formats import Format, parse_format
from fp8core.kernels import counting, loops, reporting
from fp8core.kernels.constants import BOOK, DOUBLE, LEADING_BITS, SINGLE, Constants, Rule, constants, decoding, exact_quotients, supports
from fp8core.kernels.pool import Piece, pieces, run
from fp8core.kernels.stages import DIVIDED, PRODUCT, QUOTIENT, UNSCALED, WIDE_QUOTIENT

_PART = 1 << 16  # numbers of one block whose largest magnitude one thread looks for
_REPORT_PIECES = 2  # a report is summed in the same pieces whatever the number of threads
_NOTHING = np.zeros(0, np.float32)
_STORED = {8: np.uint8, 16: np.uint16, 32: np.uint32}
_NO_CODES = np.zeros(0, np.uint8)
__all__ = ["Rule", "binades", "dequantize", "fates", "measures", "one_pass", "pack", "peaks", "quantize_blocks", "report", "round_flat", "scale_and_quantize_blocks", "supports", "unpack", "warm"]


def as_flat(x: torch.Tensor) -> np.ndarray:
    """Return the numbers of a tensor in one row, without a copy where it is contiguous: bfloat16 as int16, float16 as uint16, by their bits."""
    flat = x.contiguous().reshape(-1)
    bits = {torch.bfloat16: torch.int16, torch.float16: torch.uint16}.get(x.dtype)
    return (flat if bits is None else flat.view(bits)).numpy()


def round_flat(x: torch.Tensor, fmt: Format, rounding: str, overflow: str, seed: int, *, values: torch.Tensor | None = None, codes: torch.Tensor | None = None) -> None:
    """Round all numbers of a tensor, unscaled, into `values` (float32) or `codes`, which are contiguous."""
    known = constants(fmt, rounding, overflow)
    if x.dtype == torch.float64 and known.way in (SINGLE, LEADING_BITS):
        known = known._replace(way=DOUBLE)
    source, values, codes = as_flat(x), _flat_or(values, _NOTHING), _flat_or(codes, _NO_CODES)

    def work(piece: Piece):
        _quantize(known, source, piece, 1, piece.columns, _NOTHING, _NOTHING, UNSCALED, seed, values, codes)

    run(work, pieces(1, source.size, 1, 1) if source.size else [])


def quantize_blocks(
    matrix: torch.Tensor, block: tuple[int, int], fmt: Format, rounding: str, overflow: str, seed: int, scale: torch.Tensor,
    *, multiplier: torch.Tensor | None = None, divisor: torch.Tensor | None = None, occupied: torch.Tensor | None = None,
    values: torch.Tensor | None = None, codes: torch.Tensor | None = None,
) -> None:  # fmt: skip
    """Round a matrix (R, C) with one scale per block, into `values` times scale (float32) or `codes`, which are contiguous.

    Args:
        block: its two sides, no longer than the matrix.
        scale: decode multipliers, float32, one per block; what numbers are divided by, in exact arithmetic, unless there is a `multiplier` or `divisor`.
        occupied: blocks that hold a finite number other than zero, where that is known: only their scales decide on the arithmetic.
    """
    known = constants(fmt, rounding, overflow)
    if tuple(block) == tuple(matrix.shape):  # one scale for all: they may lie in one row as well
        matrix, block = matrix.reshape(1, -1), (1, matrix.numel())
    if multiplier is not None:
        arithmetic, divisors = PRODUCT, multiplier
    elif divisor is not None:
        arithmetic, divisors = DIVIDED, divisor
    else:
        single = known.way == SINGLE and matrix.dtype != torch.float64 and exact_quotients(scale, occupied)
        arithmetic, divisors = (QUOTIENT if single else WIDE_QUOTIENT), scale
        if not single and known.way != BOOK:
            known = known._replace(way=DOUBLE)
    source, values, codes = as_flat(matrix), _flat_or(values, _NOTHING), _flat_or(codes, _NO_CODES)
    divisors, scales = (as_flat(each.to(torch.float32)) for each in (divisors, scale))

    def work(piece: Piece):
        _quantize(known, source, piece, *block, divisors[piece.blocks], scales[piece.blocks], arithmetic, seed, values, codes)

    run(work, pieces(*matrix.shape, *block, cut_blocks=True))


def scale_and_quantize_blocks(
    matrix: torch.Tensor, block: tuple[int, int], fmt: Format, rounding: str, overflow: str, seed: int, rule: Rule, store: Format,
    *, values: torch.Tensor | None = None, codes: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Find the scale of every block of a matrix (R, C) and round with it, in one pass -> scales float32 and what is stored of them, one per block.

    Results as in `quantize_blocks`.
    """
    known, stored = constants(fmt, rounding, overflow), constants(store, "half_even", "saturate")
    if matrix.dtype == torch.float64 and known.way != BOOK:
        known = known._replace(way=DOUBLE)
    (rows, columns), (block_rows, block_columns) = matrix.shape, block
    kind, most, rest = _bits_of(matrix.dtype, "ignored")
    shape = -(-rows // block_rows), -(-columns // block_columns)
    scales, scale_codes = np.empty(shape[0] * shape[1], np.float32), np.empty(shape[0] * shape[1], np.uint32)
    source, values, codes = as_flat(matrix), _flat_or(values, _NOTHING), _flat_or(codes, _NO_CODES)

    def work(piece: Piece):
        loops.scale_and_quantize_rows(
            _apart(source[piece.numbers], values), piece.numbers.start, piece.columns, block_rows, block_columns, most, rest, np.empty(-(-piece.columns // block_columns), kind),
            rule, stored, known, seed, values[piece.numbers] if values.size else values, codes[piece.numbers] if codes.size else codes,
            scales[piece.blocks], scale_codes[piece.blocks],
        )  # fmt: skip

    run(work, pieces(rows, columns, block_rows, block_columns))
    return torch.from_numpy(scales.reshape(shape)), torch.from_numpy(scale_codes.astype(_STORED[store.storage_bits]).reshape(shape))


def one_pass(shape: tuple[int, int], block: tuple[int, int]) -> bool:
    """Return whether the blocks of a matrix are small enough to find their scales and use them in one pass: all threads have some."""
    rows, columns = shape
    return rows * columns <= 1 << 16 or len(pieces(rows, columns, *block)) >= 2 * torch.get_num_threads()


def dequantize(codes: torch.Tensor, fmt: Format, scale: torch.Tensor | None, block: tuple[int, int], result: torch.Tensor) -> int:
    """Write value times scale of every code, or the value where there is no scale, into `result` -> the largest code."""
    source, values, known = as_flat(codes), result.view(-1).numpy(), decoding(fmt)
    if not source.size:
        return 0
    rows, columns = (1, source.size) if scale is None else codes.shape
    scales = _NOTHING if scale is None else as_flat(scale)
    sides = (1, 1) if scale is None else block

    def work(piece: Piece):
        return loops.dequantize_rows(source[piece.numbers], piece.columns, *sides, scales[piece.blocks], known, values[piece.numbers])

    return max(run(work, pieces(rows, columns, *sides, cut_blocks=True)))


def pack(codes: torch.Tensor, bits: int, packed: torch.Tensor) -> None:
    """Write codes without gaps; see `codec.packing`."""
    source, result = codes.numpy(), packed.numpy()
    run(lambda part: loops.pack_codes(source[part], bits, result[_bytes_of(part, bits)]), _groups(source.size))


def unpack(packed: torch.Tensor, bits: int, codes: torch.Tensor) -> None:
    """Undo `pack`."""
    source, result = packed.numpy(), codes.numpy()
    run(lambda part: loops.unpack_codes(source[_bytes_of(part, bits)], bits, result[part]), _groups(result.size))


def _groups(count: int) -> list[slice]:
    """Parts of so many codes, which begin with a byte."""
    return [slice(first, min(first + 8 * _PART, count)) for first in range(0, count, 8 * _PART)]


def _bytes_of(part: slice, bits: int) -> slice:
    return slice(part.start * bits // 8, -(-part.stop * bits // 8))


def peaks(matrix: torch.Tensor, block: tuple[int, int], non_finite: str) -> torch.Tensor:
    """Return the largest magnitude of every block -> (⌈R / rows⌉, ⌈C / columns⌉), float32 or, for float64, float64.

    Args:
        non_finite: whether NaN and infinity count, as `rules.NON_FINITE` says.
    """
    kind, most, _ = _bits_of(matrix.dtype, non_finite)
    (rows, columns), (block_rows, block_columns) = matrix.shape, block
    if (rows, columns) == block:
        rows, columns, block_rows, block_columns = 1, rows * columns, 1, rows * columns
    part_columns = min(_PART, columns) if block_columns >= columns else block_columns
    part_rows = min(max(_PART // columns, 1), rows) if block_rows >= rows else block_rows
    source, shape = as_flat(matrix), (-(-rows // part_rows), -(-columns // part_columns))
    found = np.zeros(shape[0] * shape[1], kind)

    def work(piece: Piece):
        loops.peak_rows(source[piece.numbers], piece.columns, part_rows, part_columns, most, found[piece.blocks])

    run(work, pieces(rows, columns, part_rows, part_columns))
    found = found.reshape(shape)
    found = found.max(axis=0, keepdims=True) if block_rows >= rows else found
    found = found.max(axis=1, keepdims=True) if block_columns >= columns else found
    return torch.from_numpy(found.view(np.float64 if kind is np.int64 else np.float32))


@dataclass(frozen=True)
class Sums:
    """What a report is made of; see `reporting.report_rows`."""

    sums: np.ndarray
    counts: np.ndarray
    in_binade: np.ndarray
    binades: np.ndarray
    histogram: np.ndarray


def measures(x: torch.Tensor, fmt: Format) -> bool:
    """Return whether `report` can be asked: about float32 or narrower, and formats of evenly spaced binades."""
    return x.dtype != torch.float64 and is_ladder(fmt)


def report(matrix: torch.Tensor, codes: torch.Tensor, fmt: Format, scale: torch.Tensor, block: tuple[int, int]) -> Sums:
    """Compare a matrix (R, C) with its codes and scales, in one pass. The sums of pieces are added in order, however many threads there are."""
    source, source_codes, scales, known, wanted = as_flat(matrix), as_flat(codes), as_flat(scale), decoding(fmt), reporting.measured(fmt)
    copies = counting.COPIES if known.last_code < 256 else 1

    def work(piece: Piece):
        found = Sums(np.zeros(4), np.zeros(6, np.int64), np.zeros(counting.COPIES * counting.BINADES, np.int64), np.zeros(counting.COPIES * counting.BINADES * 2), np.zeros((copies, known.last_code + 1), np.int64))
        reporting.report_rows(
            source[piece.numbers], source_codes[piece.numbers], piece.columns, *block, scales[piece.blocks], known, wanted,
            found.sums, found.counts, found.in_binade, found.binades, found.histogram,
        )  # fmt: skip
        return replace(found, in_binade=found.in_binade.reshape(counting.COPIES, -1).sum(axis=0), binades=found.binades.reshape(counting.COPIES, -1, 2).sum(axis=0), histogram=found.histogram.sum(axis=0))

    parts = run(work, pieces(*matrix.shape, *block, cut_blocks=True, threads=_REPORT_PIECES))
    sums = np.array([math.fsum(part.sums[i] for part in parts) for i in (0, 1)] + [max(part.sums[i] for part in parts) for i in (2, 3)])
    return Sums(sums, *(sum(getattr(part, name) for part in parts) for name in ("counts", "in_binade", "binades", "histogram")))


def fates(matrix: torch.Tensor, codes: torch.Tensor, fmt: Format, scale: torch.Tensor, block: tuple[int, int], *, scaled: bool) -> tuple[int, np.ndarray, np.ndarray]:
    """Count the numbers of a matrix (R, C), not float64, by fate and binade, of the numbers or of numbers / scale; see `distributions.distribution`.

    Returns:
        the exponent of the first binade; counts, int64 (5, binades); zeros, NaNs and infinities.
    """
    half = fmt.ulp_at_max / 2
    wanted = counting.Fates(0.0 if fmt.min_subnormal is None else fmt.min_normal, fmt.max + half, fmt.lowest - half if fmt.signed else -np.inf, scaled)
    source, source_codes, scales = as_flat(matrix), as_flat(codes), as_flat(scale)

    def work(piece: Piece):
        counts, specials = np.zeros((counting.COPIES, 5 * counting.FATE_BINADES), np.int64), np.zeros(3, np.int64)
        counting.fate_rows(source[piece.numbers], source_codes[piece.numbers], piece.columns, *block, scales[piece.blocks], decoding(fmt), wanted, counts, specials)
        return counts.sum(axis=0), specials

    parts = run(work, pieces(*matrix.shape, *block, cut_blocks=True))
    counts, specials = (sum(part[place] for part in parts) for place in (0, 1))
    return counting.FATE_SMALLEST, counts.reshape(5, -1)[:, 1:], specials


def binades(x: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Count the numbers of a tensor, not float64, by the binade of their magnitude -> counts from 2^-149 on, and zeros, NaNs and infinities."""
    source = as_flat(x)

    def work(piece: Piece):
        counts, specials = np.zeros(counting.COPIES * counting.BINADES, np.int64), np.zeros(2, np.int64)
        counting.binade_rows(source[piece.numbers], counts, specials)
        return counts.reshape(counting.COPIES, -1).sum(axis=0), specials

    parts = run(work, pieces(1, source.size, 1, 1) if source.size else [])
    counts, specials = sum((part[0] for part in parts), np.zeros(counting.BINADES, np.int64)), sum((part[1] for part in parts), np.zeros(2, np.int64))
    return counts[1:], np.array([counts[0], *specials])


def warm() -> None:
    """Go once through every loop that float32 numbers take."""
    x = torch.ones(2, 32)
    for name in ("e4m3fn", "float16", "float32"):
        fmt, block, values = parse_format(name), (1, 32), torch.empty(2, 32)
        codes = torch.empty(2, 32, dtype=getattr(torch, f"uint{fmt.storage_bits}"))
        for source in (x, x.double()):
            round_flat(source, fmt, "half_even", "saturate", 0, codes=codes)
        scale_and_quantize_blocks(x, block, fmt, "half_even", "saturate", 0, Rule(1.0, 0.0, 0, 0.0, 1.0, 1.0, False), fmt, codes=codes)
        dequantize(codes, fmt, torch.ones(2, 1), block, values)
        fates(x, codes, fmt, torch.ones(2, 1), block, scaled=True)
        report(x, codes, fmt, torch.ones(2, 1), block)
    peaks(x, (1, 32), "ignored")
    peaks(x.double(), (1, 32), "ignored")
    binades(x)
    packed = torch.empty(32, dtype=torch.uint8)
    pack(torch.ones(64, dtype=torch.uint8), 4, packed)
    unpack(packed, 4, torch.empty(64, dtype=torch.uint8))


def _bits_of(dtype: torch.dtype, non_finite: str):
    """What holds the bits of a number, the largest bits that count as a magnitude, and the largest of all."""
    kind, infinity, rest = (np.int64, 0x7FF << 52, 2**63 - 1) if dtype == torch.float64 else (np.int32, 0xFF << 23, 2**31 - 1)
    return kind, kind({"ignored": infinity - 1, "infinity": infinity, "both": rest}[non_finite]), kind(rest)


def _quantize(known: Constants, x, piece: Piece, block_rows, block_columns, divisors, scales, arithmetic, seed, values, codes):
    loops.quantize_rows(
        _apart(x[piece.numbers], values), piece.numbers.start, piece.columns, block_rows, block_columns, divisors, scales, arithmetic, known.way, known, seed,
        values[piece.numbers] if values.size else values, codes[piece.numbers] if codes.size else codes,
    )  # fmt: skip


def _apart(part: np.ndarray, result: np.ndarray) -> np.ndarray:
    """A piece of the input, or a copy of it where the result is written over it."""
    return part.copy() if np.may_share_memory(part, result) else part


def _flat_or(result: torch.Tensor | None, nothing: np.ndarray) -> np.ndarray:
    return nothing if result is None else result.view(-1).numpy()
