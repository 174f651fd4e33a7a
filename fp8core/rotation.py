"""Hadamard rotation: spreads an outlier over its neighbours before the scale is taken, and can be undone exactly but for rounding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from fp8core.arrays import as_tensor, like


@dataclass(frozen=True)
class Rotation:
    """A block-diagonal rotation along the last axis.

    Args:
        size: numbers that are rotated together, a power of two.
        signs: what each is multiplied with before, 1 or -1, of length `size`; empty for none.

    Raises:
        ValueError: a size that is no power of two, or signs that do not fit.
    """

    title: str
    size: int
    signs: tuple[int, ...] = ()
    source: str = ""

    def __post_init__(self):
        if self.size < 1 or self.size & (self.size - 1):
            raise ValueError(f"size = {self.size}: a Hadamard matrix of this construction has a power of two rows")
        if self.signs and (len(self.signs) != self.size or set(self.signs) - {1, -1}):
            raise ValueError(f"signs = {self.signs}: {self.size} of them are needed, each 1 or -1")


ROTATIONS: dict[str, Rotation] = {
    "": Rotation("none", 1),
    "hadamard16": Rotation("Hadamard 16", 16, source="Sylvester's construction"),
    "hadamard128": Rotation("Hadamard 128", 128, source="Sylvester's construction; QuaRot (arXiv 2404.00456) rotates so"),
    "te_rht": Rotation(
        "Transformer Engine's random Hadamard transform", 16, (1, 1, 1, -1, 1, -1, -1, -1, -1, -1, -1, 1, -1, 1, -1, -1),
        "Transformer Engine, pytorch/custom_recipes/quantization_ref_nvfp4.py: one drawn vector of signs, the same for all",
    ),
}  # fmt: skip


def rotate(x, rotation: str | Rotation):
    """Rotate the last axis, block by block: (x · signs) H / √size -> float32, same shape and kind.

    Norms and products along that axis stay what they are. What is left over at the end of an axis that is no multiple of
    the size stays as it is.

    >>> rotate([[8.0, 0.0, 0.0, 0.0]], Rotation("", 4))
    array([[4., 4., 4., 4.]], dtype=float32)
    """
    chosen = _known(rotation)
    return _apply(x, chosen, lambda blocks, matrix, signs: _signed(blocks, signs) @ matrix)


def rotate_back(x, rotation: str | Rotation):
    """Undo `rotate` -> float32."""
    chosen = _known(rotation)
    return _apply(x, chosen, lambda blocks, matrix, signs: _signed(blocks @ matrix, signs))


def _known(rotation: str | Rotation) -> Rotation:
    if isinstance(rotation, Rotation):
        return rotation
    if rotation not in ROTATIONS:
        raise ValueError(f"rotation = {rotation!r} is not one of {', '.join(filter(None, ROTATIONS))}")
    return ROTATIONS[rotation]


def _signed(blocks: torch.Tensor, signs: torch.Tensor | None) -> torch.Tensor:
    return blocks if signs is None else blocks * signs


def _apply(x, rotation: Rotation, turn):
    source = as_tensor(x).to(torch.float32)
    if rotation.size == 1 or source.ndim == 0:
        return like(x, source.clone())
    whole = source.shape[-1] - source.shape[-1] % rotation.size
    blocks = source[..., :whole].reshape(*source.shape[:-1], whole // rotation.size, rotation.size)
    signs = torch.tensor(rotation.signs, dtype=torch.float32, device=source.device) if rotation.signs else None
    turned = turn(blocks, _hadamard(rotation.size).to(source.device), signs).reshape(*source.shape[:-1], whole)
    return like(x, turned if whole == source.shape[-1] else torch.cat([turned, source[..., whole:]], dim=-1))


@lru_cache(maxsize=8)
def _hadamard(size: int) -> torch.Tensor:
    """The orthonormal symmetric Hadamard matrix, float32 (size, size)."""
    matrix = torch.ones(1, 1)
    while matrix.shape[0] < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix / size**0.5
