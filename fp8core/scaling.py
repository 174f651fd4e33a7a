"""Scales: one per block of a matrix, from the block's amax to the number that is stored.

`scale` is always the decode multiplier: x ≈ decode(codes) · scale.

Every granularity is one block shape `(rows, columns)` on the matrix whose columns are the tensor's last axis and whose rows are all other
axes, flattened; None stands for the whole axis. Ragged blocks at the end of an axis are simply smaller.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import torch

from fp8core import kernels
from fp8core.arrays import as_tensor
from fp8core.codec import decode, encode
from fp8core.formats import Format, parse_format
from fp8core.rules import SCALE_RULES, Scales

Block = tuple[int | None, int | None]

GRANULARITIES: dict[str, Block] = {
    "tensor": (None, None),
    "row": (1, None),
    "column": (None, 1),
    "1x16": (1, 16),
    "1x32": (1, 32),
    "1x128": (1, 128),
    "16x16": (16, 16),
    "32x32": (32, 32),
    "128x128": (128, 128),
}


@dataclass(frozen=True)
class ScaleFormat:
    """How a scale is stored.

    Args:
        element: format of one block's scale.
        global_format: format of a second scale for the whole tensor, or None; the block's scale is then relative to it.
        smallest: what a scale never goes below, so that zero and tiny blocks divide by a normal, non-zero number.
    """

    title: str
    element: str
    smallest: float
    global_format: str | None = None
    source: str = ""

    @property
    def bits(self) -> int:
        """Bits stored for one block."""
        return parse_format(self.element).bits


SCALE_FORMATS: dict[str, ScaleFormat] = {
    "float32": ScaleFormat("FP32", "float32", 2.0**-126),
    "bfloat16": ScaleFormat("BF16", "bfloat16", 2.0**-126),
    "e8m0fnu": ScaleFormat("UE8M0, a power of two", "e8m0fnu", 2.0**-127, source="OCP MX v1.0"),
    "e4m3fn": ScaleFormat("E4M3", "e4m3fn", 2.0**-9),
    "ue5m3": ScaleFormat("UE5M3", "ue5m3", 2.0**-17, source="CUDA 13.4 __nv_fp8_ue5m3"),
    "e4m3fn_float32": ScaleFormat("E4M3 per block, FP32 per tensor", "e4m3fn", 2.0**-9, "float32", "NVIDIA NVFP4"),
}


@dataclass(frozen=True)
class ScaleSpec:
    """A scaling strategy: which numbers share a scale, how it follows from their amax, how it is stored.

    Args:
        block: `(rows, columns)`, None for the whole axis.
        rule: a key of `SCALE_RULES`.
        scale_format: a key of `SCALE_FORMATS`; unless given, what the rule usually stores in.
        amax_floor: amax is raised to this at least; Transformer Engine calls it epsilon.

    Raises:
        ValueError: a value outside of these; a scale format that the rule does not store in.
    """

    block: Block = (None, None)
    rule: str = "amax"
    scale_format: str = ""
    amax_floor: float = 0.0

    def __post_init__(self):
        if len(self.block) != 2 or any(side is not None and (not isinstance(side, int) or side < 1) for side in self.block):
            raise ValueError(f"block = {self.block!r}: it takes two sides, each a whole number of at least 1, or None for the whole axis")
        if self.rule not in SCALE_RULES:
            raise ValueError(f"rule = {self.rule!r} is not one of {', '.join(SCALE_RULES)}")
        legal = SCALE_RULES[self.rule].scale_formats
        if not self.scale_format:
            object.__setattr__(self, "scale_format", legal[0] if legal else "float32")
        if legal and self.scale_format not in legal:
            raise ValueError(f"scale_format = {self.scale_format!r}: rule {self.rule} stores its scales in {' or '.join(legal)}")
        if self.scale_format not in SCALE_FORMATS:
            raise ValueError(f"scale_format = {self.scale_format!r} is not one of {', '.join(SCALE_FORMATS)}")
        if not 0.0 <= self.amax_floor < float("inf"):
            raise ValueError(f"amax_floor = {self.amax_floor!r}: it is a finite number of at least 0")

    @property
    def granularity(self) -> str:
        """The block as text: tensor, row, column or ROWSxCOLUMNS, where * stands for the whole axis."""
        known = {block: name for name, block in GRANULARITIES.items()}
        return known.get(self.block) or "x".join("*" if side is None else str(side) for side in self.block)

    @property
    def transposed(self) -> ScaleSpec:
        """The spec that does to x.T what this one does to x."""
        return replace(self, block=self.block[::-1])


def parse_granularity(text: str) -> Block:
    """Return the block shape of `tensor`, `row`, `column` or `ROWSxCOLUMNS` (`*`: the whole axis).

    Raises:
        ValueError: anything else.

    >>> parse_granularity("1x128"), parse_granularity("row"), parse_granularity("*x4")
    ((1, 128), (1, None), (None, 4))
    """
    if text in GRANULARITIES:
        return GRANULARITIES[text]
    match = re.fullmatch(r"(\*|[1-9]\d{0,8})x(\*|[1-9]\d{0,8})", text)
    if match is None:
        raise ValueError(f"granularity {text!r} is not one of {', '.join(GRANULARITIES)}, nor ROWSxCOLUMNS such as 1x64")
    return tuple(None if side == "*" else int(side) for side in match.groups())


def to_blocks(matrix: torch.Tensor, block: Block) -> torch.Tensor:
    """Cut a matrix (R, C) into blocks -> (⌈R / rows⌉, rows, ⌈C / columns⌉, columns), padded with zeros at the ends."""
    rows, columns = sides(matrix.shape, block)
    pad_rows, pad_columns = -matrix.shape[0] % rows, -matrix.shape[1] % columns
    if pad_rows or pad_columns:
        matrix = torch.nn.functional.pad(matrix, (0, pad_columns, 0, pad_rows))
    return matrix.reshape(matrix.shape[0] // rows, rows, matrix.shape[1] // columns, columns)


def from_blocks(blocks: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Undo `to_blocks`: -> (R, C), padding cut off."""
    return blocks.reshape(blocks.shape[0] * blocks.shape[1], -1)[: shape[0], : shape[1]]


def amax(matrix: torch.Tensor, block: Block, non_finite: str = "ignored") -> torch.Tensor:
    """Return the largest magnitude of every block -> float64 (⌈R / rows⌉, ⌈C / columns⌉); 0 where nothing counts.

    Args:
        non_finite: a key of `rules.NON_FINITE`.
    """
    if kernels.usable(matrix) and matrix.numel():
        return kernels.peaks(matrix, sides(matrix.shape, block), non_finite).to(torch.float64)
    blocks = to_blocks(matrix, block).abs()
    if non_finite != "both":
        blocks = torch.where(blocks.isnan() if non_finite == "infinity" else ~blocks.isfinite(), 0.0, blocks)
    return blocks.amax(dim=(1, 3)).to(torch.float64)


def compute_scales(matrix: torch.Tensor, fmt: Format, spec: ScaleSpec, static_amax=None) -> Scales:
    """Return the scales of every block of a matrix (R, C).

    - A block of zeros, and one so small that its scale would underflow, takes the smallest scale of the scale format.
    - NaN and infinity are left to the elements' format. Where it has no NaN (integers, FP6, FP4), a NaN makes the scale
      of its block NaN, so that the block decodes to NaN and not to a number that was never there.
    - A scale beyond the scale format saturates.

    Rules that follow a library say for themselves what they do with these; see `fp8core.rules`.

    Args:
        static_amax: amax from elsewhere, in place of the measured one: a number, or one for each block.

    Raises:
        ValueError: the matrix is empty; it has no amax. A static amax of another shape, or below zero.
    """
    if matrix.numel() == 0:
        raise ValueError(f"a tensor of shape {tuple(matrix.shape)} is empty: it has no amax")
    rule = SCALE_RULES[spec.rule]
    if static_amax is not None and fmt.nan_code is not None:  # nothing in the matrix has a say, so that it is not read
        block_amax = _checked_amax(static_amax, _grid(matrix.shape, spec.block), matrix.device).clamp(min=spec.amax_floor)
        return _generic_scales(block_amax, block_amax.isnan(), fmt, spec) if rule.compute is None else rule.compute(block_amax.to(torch.float32), fmt)
    with_all = amax(matrix, spec.block, "both")
    measured = with_all if rule.non_finite == "both" or bool(with_all.isfinite().all()) else amax(matrix, spec.block, rule.non_finite)
    block_amax = (measured if static_amax is None else _checked_amax(static_amax, measured.shape, measured.device)).clamp(min=spec.amax_floor)
    if rule.compute is not None:
        return rule.compute(block_amax.to(torch.float32), fmt)
    scales = _generic_scales(block_amax, with_all.isnan(), fmt, spec)
    return replace(scales, occupied=measured > 0)


def _generic_scales(block_amax: torch.Tensor, has_nan: torch.Tensor, fmt: Format, spec: ScaleSpec) -> Scales:
    store, rule = SCALE_FORMATS[spec.scale_format], SCALE_RULES[spec.rule]
    global_scale = None if store.global_format is None else global_scale_of(block_amax.max(), fmt, store)
    relative_to = 1.0 if global_scale is None else global_scale.to(torch.float64)
    wanted = (rule.wanted(block_amax, fmt) / relative_to).clamp_(min=store.smallest)
    if fmt.nan_code is None:
        wanted = torch.where(has_nan, torch.nan, wanted)
    codes = encode(wanted, store.element)
    values = decode(codes, store.element).to(torch.float64) * relative_to
    return Scales(values.to(torch.float32), codes, global_scale)


def global_scale_of(tensor_amax: torch.Tensor, fmt: Format, store: ScaleFormat) -> torch.Tensor:
    """Return the second scale of a two-level scale format: amax of all / (max · largest block scale) -> float32 ()."""
    smallest = SCALE_FORMATS[store.global_format].smallest
    return (tensor_amax / (fmt.max * parse_format(store.element).max)).clamp(min=smallest).to(torch.float32)


def _grid(shape, block: Block) -> tuple[int, int]:
    """How many blocks there are, down and across."""
    return tuple(-(-length // side) for length, side in zip(shape, sides(shape, block), strict=True))


def _checked_amax(static_amax, grid: tuple[int, int], device: torch.device) -> torch.Tensor:
    given = as_tensor(static_amax).to(torch.float64).to(device)
    if given.numel() not in (1, math.prod(grid)):
        raise ValueError(f"amax has shape {tuple(given.shape)}: it is one number, or one for each block, {tuple(grid)}")
    if not bool((given >= 0).all()):
        raise ValueError(f"amax = {given.reshape(-1)[~(given.reshape(-1) >= 0)][0].item()}: it is a number of at least 0")
    return given.expand(grid) if given.numel() == 1 else given.reshape(grid)


def expand(scale: torch.Tensor, shape: tuple[int, int], block: Block) -> torch.Tensor:
    """Repeat one number per block over the elements of its block -> (R, C)."""
    rows, columns = sides(shape, block)
    return scale.repeat_interleave(rows, dim=0)[: shape[0]].repeat_interleave(columns, dim=1)[:, : shape[1]]


def sides(shape, block: Block) -> tuple[int, int]:
    """Return the two sides of a block on a matrix of this shape: no longer than the matrix, and at least 1."""
    rows, columns = (length if side is None else side for side, length in zip(block, shape, strict=True))
    return min(rows, max(shape[0], 1)), min(columns, max(shape[1], 1))
