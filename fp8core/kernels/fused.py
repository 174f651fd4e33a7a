"""Quantizing on GPUs in one pass over memory: amax, scale, codes and packed codes from numbers that are read once. The kernels are in `triton_quantize`."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch

from fp8core.formats import Format, parse_format
from fp8core.kernels.constants import BOOK, SINGLE, Constants, Rule, constants
from fp8core.recipes import Recipe
from fp8core.rules import SCALE_RULES, Scales
from fp8core.scaling import SCALE_FORMATS, ScaleFormat, ScaleSpec, global_scale_of, sides

_TILE, _LARGEST_TILE = 4096, 16384  # numbers that one program holds: usually, and where a block is larger
_COALESCED = 32  # columns side by side that are read together
_PART, _ROUNDS = 4096, 8  # of all numbers, whose largest magnitude one program looks for, and how many times that
_STORED = {8: torch.uint8, 16: torch.uint16, 32: torch.uint32}
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_PACKED_ALIGNMENT = {4: 2, 6: 4}  # bits of a code: how many fill whole bytes


class Stored(NamedTuple):
    """The format that scales are stored in; see `constants.Double`."""

    mantissa_bits: int
    emin_bits: int
    first_code: int
    max_code: int
    nan_code: int
    max: float


class CodeBook(NamedTuple):
    """How to search a code book's decision points, and its special codes; see `constants.Constants`."""

    halvings: int
    half: int
    nan_code: int
    minus_zero_code: int
    zero_code: int
    below_zero_code: int


class Tile(NamedTuple):
    """What one program holds at a time: blocks down, rows of a block, blocks across, columns of a block; whether whole blocks."""

    down: int
    tall: int
    across: int
    wide: int
    one_pass: bool

    @property
    def warps(self) -> int:
        """Groups of 32 threads that share it."""
        return min(max(self.down * self.tall * self.across * self.wide // 1024, 1), 16)


def refuses(recipe: Recipe, dtype: torch.dtype = torch.float32) -> str | None:
    """Return why a recipe cannot quantize numbers of this dtype in one pass here, or None.

    >>> from fp8core import parse_recipe
    >>> refuses(parse_recipe("te_mxfp8"))
    'rule te_mxfp8 follows the arithmetic of its library step by step, in torch'
    """
    if recipe.scaling is None:
        return "there is no scaling: nothing to fuse"
    if SCALE_RULES[recipe.scaling.rule].compute is not None:
        return f"rule {recipe.scaling.rule} follows the arithmetic of its library step by step, in torch"
    if recipe.rounding != "half_even":
        return f"rounding {recipe.rounding}: the kernels round to nearest even"
    if recipe.fmt.bits > 8:
        return f"{recipe.fmt.name} has {recipe.fmt.bits} bits: the kernels write codes of 8 at most"
    if dtype not in _DTYPES:
        return f"numbers are {dtype}: the kernels read float32, bfloat16 and float16"
    return None if _has_triton() else "the package triton is not installed"


def refuses_to_pack(recipe: Recipe, shape: tuple[int, int]) -> str | None:
    """Return why codes of a matrix of this shape cannot be packed in the same pass, or None.

    >>> from fp8core import parse_recipe
    >>> refuses_to_pack(parse_recipe("mxfp4"), (2, 33))
    'rows of 33 codes of 4 bits do not end with a whole byte'
    """
    bits, alignment = recipe.fmt.bits, _PACKED_ALIGNMENT.get(recipe.fmt.bits)
    if alignment is None:
        return f"codes of {bits} bits: the kernels pack 4 and 6"
    block = sides(shape, recipe.scaling.block)
    if block == tuple(shape):
        return None
    if shape[1] % alignment:
        return f"rows of {shape[1]} codes of {bits} bits do not end with a whole byte"
    if block[1] % alignment:
        return f"blocks of {block[1]} columns of {bits} bits do not end with a whole byte"
    return None


def quantize_matrix(matrix: torch.Tensor, recipe: Recipe, *, codes: torch.Tensor | None = None, packed: torch.Tensor | None = None) -> Scales:
    """Find the scale of every block of a matrix (R, C) and write its codes, in one pass -> scales, as `scaling.compute_scales` has them.

    Blocks of more than 16384 numbers are read twice (of fewer than 32 columns: as many of them as lie in 32), and so are tensors with one scale for all,
    or with a second scale for all.

    Args:
        codes: result, uint8 (R, C), contiguous.
        packed: result, uint8, as `codec.pack` writes them; either may be left out.

    Raises:
        ValueError: what `refuses` or, with `packed`, `refuses_to_pack` says.
    """
    reason = refuses(recipe, matrix.dtype) or (refuses_to_pack(recipe, matrix.shape) if packed is not None else None)
    if reason is not None:
        raise ValueError(f"recipe {recipe.name!r}: {reason}")
    from fp8core.kernels import triton_quantize

    fmt, spec = recipe.fmt, recipe.scaling
    store, block, matrix = SCALE_FORMATS[spec.scale_format], sides(matrix.shape, spec.block), matrix.contiguous()
    (rows, columns), shape = matrix.shape, tuple(-(-length // side) for length, side in zip(matrix.shape, block, strict=True))
    new = {"device": matrix.device}
    scales, scale_codes = torch.empty(shape, dtype=torch.float32, **new), torch.empty(shape, dtype=_STORED[parse_format(store.element).storage_bits], **new)
    whole = block == (rows, columns) and (rows * columns > _LARGEST_TILE or packed is not None)
    with torch.cuda.device_of(matrix):
        peaks = _peaks(matrix) if whole or store.global_format else None
        global_scale = None if store.global_format is None else global_scale_of(peaks[0].view(torch.float32).to(torch.float64).clamp(min=spec.amax_floor), fmt, store)
        known, tables = constants(fmt, "half_even", recipe.overflow), _tables(fmt, recipe.overflow, matrix.device)
        numbers = {
            "STORES": codes is not None, "PACKED_BITS": 0 if packed is None else fmt.bits, "WAY": known.way, "POWERS": _gives_powers(fmt, spec, store),
            "FORMAT": _numbers_of(known), "RULE": rule_numbers(fmt, spec, store), "STORE": _stored(store), "TWO_LEVELS": global_scale is not None, "enable_fp_fusion": False,
        }  # fmt: skip
        results = [matrix if each is None else each for each in (global_scale, codes, packed)] + [scales, scale_codes, *(tables or (matrix, matrix))]
        if whole:
            triton_quantize.quantize_all[(-(-rows * columns // _TILE),)](matrix, peaks, *results, rows * columns, rows * columns + rows * columns % 2, LENGTH=_TILE, **numbers)
        else:
            tile = tile_of(shape, block)
            across = -(-shape[1] // tile.across)
            sizes = {"DOWN": tile.down, "TALL": tile.tall, "ACROSS": tile.across, "WIDE": tile.wide, "ONE_PASS": tile.one_pass, "num_warps": tile.warps}
            triton_quantize.scale_and_quantize[(-(-shape[0] // tile.down) * across,)](matrix, *results, rows, columns, *block, across, **sizes, **numbers)
    return Scales(scales, scale_codes, global_scale)


def tile_of(shape: tuple[int, int], block: tuple[int, int]) -> Tile:
    """Return how many blocks, or how much of one, a program holds, given how many there are and their sides.

    >>> tile_of((4096, 128), (1, 32)), tile_of((32, 32), (128, 128))
    (Tile(down=1, tall=1, across=128, wide=32, one_pass=True), Tile(down=1, tall=128, across=1, wide=128, one_pass=True))
    >>> tile_of((4096, 1), (1, 53248)), tile_of((1, 4096), (4096, 1))
    (Tile(down=1, tall=1, across=1, wide=4096, one_pass=False), Tile(down=1, tall=128, across=32, wide=1, one_pass=False))
    """
    tall, wide = (_power_of_two(side) for side in block)
    beside = max(_COALESCED // wide, 1)  # blocks that must be held together, or memory would be read in small pieces
    least = tall * wide * min(beside, _power_of_two(shape[1]))
    if least > _LARGEST_TILE:
        wide = min(wide, _TILE)
        across = min(beside, _power_of_two(shape[1]))
        return Tile(1, min(tall, _TILE // (wide * across)), across, wide, one_pass=False)
    room = max(_TILE, least) // (tall * wide)
    across = min(room, _power_of_two(shape[1]))
    return Tile(min(room // across, _power_of_two(shape[0])), tall, across, wide, one_pass=True)


@lru_cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


def _power_of_two(length: int) -> int:
    """The smallest that is at least as large."""
    return 1 << (length - 1).bit_length()


def _peaks(matrix: torch.Tensor) -> torch.Tensor:
    """The largest magnitude of all numbers that are finite, and of all, as bits -> int32 (2,)."""
    from fp8core.kernels import triton_quantize

    parts = -(-matrix.numel() // (_PART * _ROUNDS))
    found = torch.empty(parts, 2, dtype=torch.int32, device=matrix.device)
    triton_quantize.peaks[(parts,)](matrix, found, matrix.numel(), LENGTH=_PART, ROUNDS=_ROUNDS, enable_fp_fusion=False)
    return found.amax(dim=0)


def rule_numbers(fmt: Format, spec: ScaleSpec, store: ScaleFormat, relative_to: float = 1.0) -> Rule:
    """Return what loops and kernels need to know of a rule without `compute`."""
    up_from = SCALE_RULES[spec.rule].up_from
    return Rule(float(fmt.max), float(up_from(fmt)) if up_from else 0.0, fmt.emax, float(spec.amax_floor), float(store.smallest), relative_to, fmt.nan_code is None)


def _gives_powers(fmt: Format, spec: ScaleSpec, store: ScaleFormat) -> bool:
    """Whether every scale is a power of two: by its format, or by its rule where the format neither rounds nor saturates."""
    element = parse_format(store.element)
    fits = element.emax >= 127 and fmt.emax >= 1 and spec.amax_floor <= 2.0**127
    return store.global_format is None and (element.mantissa_bits == 0 or (SCALE_RULES[spec.rule].up_from is not None and fits))


@lru_cache(maxsize=64)
def _stored(store: ScaleFormat) -> Stored:
    fmt = parse_format(store.element)
    double = constants(fmt, "half_even", "saturate").double
    return Stored(double.mantissa_bits, double.emin_bits, double.first_code, double.max_code, double.nan_code, float(fmt.max))


def _numbers_of(known: Constants) -> tuple:
    """What kernels need to know of a format, in Python's own numbers."""
    if known.way == BOOK:
        nan, minus_zero, zero, below_zero = known.specials
        return CodeBook(known.steps.size.bit_length() - 1, known.steps.size // 2, nan, minus_zero, zero, below_zero)
    numbers = known.single if known.way == SINGLE else known.double
    return type(numbers)(*(int(number) if isinstance(number, int | np.integer) else 0 for number in numbers))


@lru_cache(maxsize=64)
def _tables(fmt: Format, overflow: str, device: torch.device) -> tuple[torch.Tensor, torch.Tensor] | None:
    """A code book's decision points and the codes between them."""
    known = constants(fmt, "half_even", overflow)
    return (torch.tensor(known.steps, device=device), torch.tensor(known.step_codes.astype(np.int32), device=device)) if known.way == BOOK else None
