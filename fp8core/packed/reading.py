"""Decode the weights of checkpoints that are quantized already, each from its codes and its scales."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from fp8core.checkpoints import Checkpoint, TensorInfo
from fp8core.checkpoints.source import quote
from fp8core.codec import decode, unpack
from fp8core.quantized import QuantizedTensor
from fp8core.recipes import make_recipe
from fp8core.scaling import Block, ScaleSpec

_FLOAT8 = {
    torch.float8_e4m3fn: "e4m3fn", torch.float8_e5m2: "e5m2", torch.float8_e4m3fnuz: "e4m3fnuz", torch.float8_e5m2fnuz: "e5m2fnuz", torch.int8: "int8",
}  # fmt: skip
_E8M0 = (torch.uint8, torch.float8_e8m0fnu)
_PLAIN = (torch.float32, torch.bfloat16, torch.float16)
_BLOCK_SIDES = tuple(1 << power for power in range(4, 13))


@dataclass(frozen=True)
class PackedInfo(TensorInfo):
    """A weight that is stored as codes and scales; `shape` and `dtype` are those of the numbers that come out.

    Args:
        layout: how it is stored, in words.
        packed_nbytes: bytes of all its parts in the file.
        block_rows: rows of the weight, as a matrix, that share a scale; 1 where a scale for all needs no care.
    """

    layout: str = ""
    packed_nbytes: int = 0
    block_rows: int = 1

    @property
    def nbytes(self) -> int:
        """How many bytes its parts take in the file."""
        return self.packed_nbytes

    @property
    def row_step(self) -> int:
        """Some rows can be read that begin where a block does."""
        return self.block_rows // math.gcd(self.block_rows, math.prod(self.shape[1:-1]))

    @property
    def stored_as(self) -> str:
        """The layout."""
        return self.layout


@dataclass(frozen=True, eq=False)
class PackedLayer:
    """Codes and scales of one weight, and how they are put together.

    Args:
        info: what comes out.
        parts: the tensors in the file that it is made of, codes first.
        format: name of the elements' format.
        block: which elements share a scale, on the weight as a matrix.
    """

    info: PackedInfo
    parts: tuple[str, ...]
    format: str
    block: Block
    _codes: Callable[[Checkpoint, slice | None], torch.Tensor]
    _scale: Callable[[Checkpoint, slice | None], torch.Tensor]

    def read(self, checkpoint: Checkpoint, rows: slice | None = None) -> QuantizedTensor:
        """Read codes and scales, or those of some rows of the first axis, which have to begin where a block does."""
        scale = self._scale(checkpoint, rows)
        return QuantizedTensor(self._codes(checkpoint, rows), scale.reshape(-1, scale.shape[-1]), make_recipe(self.format, ScaleSpec(self.block)), scale_codes=scale)


def decoded(checkpoint: Checkpoint) -> Checkpoint:
    """Show a checkpoint with its quantized weights decoded: a weight and its scales become one tensor of float32, decode(codes) · scale.

    Understood are weights of FP8 and INT8 with a scale per tensor, row or block beside them (`weight_scale`, `weight_scale_inv`, and DeepSeek's `scale`;
    FP32, BF16 or UE8M0), MXFP8, MXFP6 and MXFP4 (compressed-tensors, Model Optimizer, and `_blocks` with `_scales` of gpt-oss), NVFP4 (compressed-tensors
    and Model Optimizer), and integers of at most 8 bits packed into int32 (compressed-tensors). What is not understood stays as it is stored; integers with
    zero points do.

    Returns:
        a checkpoint with the same names where nothing is quantized; a weight that was packed under `weight_packed` is called `weight`.
        Reading some rows needs rows that begin where a block begins.

    >>> from fp8core.models import load_weights
    >>> len(decoded(load_weights("digits")).infos) == len(load_weights("digits").infos)
    True
    """
    layers = packed_layers(checkpoint)
    taken = {part for layer in layers.values() for part in layer.parts}
    first_part = {layer.parts[0]: layer for layer in layers.values()}
    infos: dict[str, TensorInfo] = {}
    for name, info in checkpoint.infos.items():
        if name in first_part:
            infos[first_part[name].info.name] = first_part[name].info
        elif name not in taken:
            infos[name] = info

    def read(info: TensorInfo, rows: slice | None) -> torch.Tensor:
        return layers[info.name].read(checkpoint, rows).dequantize() if info.name in layers else checkpoint.read(info.name, rows)

    return replace(checkpoint, infos=infos, _read=read)


def packed_layers(checkpoint: Checkpoint) -> dict[str, PackedLayer]:
    """Find the weights that are stored as codes and scales -> by the name under which `decoded` has them. Only headers are read, and packed shapes."""
    found = {}
    for name, info in checkpoint.infos.items():
        layer = next((layer for understand in _LAYOUTS if (layer := understand(checkpoint, name, info)) is not None), None)
        if layer is not None and (layer.info.name == name or layer.info.name not in checkpoint.infos):
            found[layer.info.name] = layer
    return found


def _of_whole_bytes(checkpoint: Checkpoint, name: str, info: TensorInfo) -> PackedLayer | None:
    """FP8 and INT8: codes of 8 bits, each in a byte, with scales beside them."""
    if info.dtype not in _FLOAT8 or len(info.shape) < 2 or not info.count:
        return None
    scale = _beside(checkpoint, name, ("_scale_inv", "_scale"), ("scale", "scale_weight"))
    if scale is None or f"{name}_zero_point" in checkpoint.infos or scale.dtype not in (*_E8M0, *_PLAIN):
        return None
    block = _block_of(info.shape, scale.shape)
    if block is None:
        return None
    title = "INT8" if info.dtype is torch.int8 else _FLOAT8[info.dtype].upper()
    kind = "MXFP8" if block == (1, 32) and scale.dtype in _E8M0 else f"{title}, one scale per {ScaleSpec(block).granularity}"

    def codes(held: Checkpoint, rows: slice | None) -> torch.Tensor:
        return held.read(name, rows).view(torch.uint8)

    def scales(held: Checkpoint, rows: slice | None) -> torch.Tensor:
        return _scale_rows(_values(held.read(scale.name)).reshape(_scale_shape(info.shape, block)), name, info.shape, block, rows)

    return _layer(checkpoint, name, info.shape, kind, (name, scale.name), _FLOAT8[info.dtype], block, codes, scales)


def _of_packed_floats(checkpoint: Checkpoint, name: str, info: TensorInfo) -> PackedLayer | None:
    """FP4 and FP6, without gaps between their codes: MXFP4, MXFP6, NVFP4."""
    if info.dtype is not torch.uint8 or len(info.shape) < 2:
        return None
    if name.endswith("_blocks"):  # gpt-oss: (…, groups, 16 bytes)
        stem, scale = name.removesuffix("_blocks"), checkpoint.infos.get(name.removesuffix("_blocks") + "_scales")
        packed_shape = (*info.shape[:-2], info.shape[-2] * info.shape[-1]) if len(info.shape) > 2 else info.shape
    else:
        stem, packed_shape = name.removesuffix("_packed"), info.shape
        scale = _beside(checkpoint, stem, ("_scale",), ())
    if scale is None or len(scale.shape) != len(packed_shape) or scale.shape[:-1] != packed_shape[:-1] or not scale.shape[-1]:
        return None
    divisor, factor = (checkpoint.infos.get(f"{stem}{end}") for end in ("_global_scale", "_scale_2"))
    two_level = scale.dtype is torch.float8_e4m3fn and (divisor or factor) is not None
    if not two_level and scale.dtype not in _E8M0:
        return None
    if two_level and (divisor or factor).count != 1:
        return None
    format, side = _PACKED_SIDES.get((two_level, packed_shape[-1] / scale.shape[-1]), ("", 0))
    if not side:
        return None
    bits = 6 if format == "e2m3fn" else 4
    shape = (*packed_shape[:-1], packed_shape[-1] * 8 // bits)

    def codes(held: Checkpoint, rows: slice | None) -> torch.Tensor:
        data = held.read(name, rows)
        return unpack(data, bits, data.numel() * 8 // bits).reshape(-1, *shape[1:])

    def scales(held: Checkpoint, rows: slice | None) -> torch.Tensor:
        values = _values(held.read(scale.name, rows))
        if divisor is not None and two_level:
            return values / held.read(divisor.name).float().reshape(())
        return values * held.read(factor.name).float().reshape(()) if two_level else values

    parts = (name, scale.name, *(each.name for each in (divisor, factor) if each is not None and two_level))
    title = {("e2m1fn", 16): "NVFP4", ("e2m1fn", 32): "MXFP4", ("e2m3fn", 32): "MXFP6 E2M3"}[format, side]
    return _layer(checkpoint, stem, shape, f"{title}, packed", parts, format, (1, side), codes, scales)


_PACKED_SIDES = {(True, 8.0): ("e2m1fn", 16), (False, 16.0): ("e2m1fn", 32), (False, 24.0): ("e2m3fn", 32)}
"""Format and columns of a block, by whether there is a second scale and by packed bytes per block scale."""


def _of_packed_integers(checkpoint: Checkpoint, name: str, info: TensorInfo) -> PackedLayer | None:
    """Integers of at most 8 bits in int32, offset by half of their range, as compressed-tensors packs them."""
    stem = name.removesuffix("_packed")
    scale, shape_info = checkpoint.infos.get(f"{stem}_scale"), checkpoint.infos.get(f"{stem}_shape")
    if info.dtype is not torch.int32 or not name.endswith("_packed") or scale is None or shape_info is None or len(info.shape) != 2:
        return None
    if scale.dtype not in _PLAIN or f"{stem}_zero_point" in checkpoint.infos or f"{stem}_g_idx" in checkpoint.infos or shape_info.count != 2:
        return None
    shape = tuple(checkpoint.read(shape_info.name).tolist())
    bits = next((bits for bits in range(2, 9) if shape[0] == info.shape[0] and -(-shape[1] * bits // 32) == info.shape[1]), 0)
    block = _block_of(shape, scale.shape) if bits else None
    if block is None:
        return None

    def codes(held: Checkpoint, rows: slice | None) -> torch.Tensor:
        words = held.read(name, rows)
        data = words.view(torch.uint8)[:, : -(-shape[1] * bits // 8)].contiguous()
        numbers = torch.stack([unpack(row, bits, shape[1]) for row in data]) if shape[1] * bits % 8 else unpack(data, bits, data.numel() * 8 // bits).reshape(-1, shape[1])
        return numbers ^ (1 << (bits - 1))  # from an offset to two's complement

    def scales(held: Checkpoint, rows: slice | None) -> torch.Tensor:
        return _scale_rows(_values(held.read(scale.name)).reshape(_scale_shape(shape, block)), stem, shape, block, rows)

    return _layer(checkpoint, stem, shape, f"INT{bits}, packed, one scale per {ScaleSpec(block).granularity}", (name, scale.name, shape_info.name), f"int{bits}", block, codes, scales)


_LAYOUTS = (_of_whole_bytes, _of_packed_floats, _of_packed_integers)


def _layer(checkpoint: Checkpoint, name: str, shape, layout: str, parts: tuple[str, ...], format: str, block: Block, codes, scales) -> PackedLayer:
    nbytes = sum(checkpoint.infos[part].nbytes for part in parts)
    return PackedLayer(PackedInfo(name, tuple(shape), torch.float32, layout, nbytes, block[0] or 1), parts, format, block, codes, scales)


def _beside(checkpoint: Checkpoint, name: str, ends: tuple[str, ...], siblings: tuple[str, ...]) -> TensorInfo | None:
    """The tensor that is named after another with an ending, or after its module."""
    module = name.rpartition(".")[0]
    names = [*(name + end for end in ends), *(f"{module}.{sibling}" for sibling in siblings if name.endswith(".weight"))]
    return next((checkpoint.infos[each] for each in names if each in checkpoint.infos), None)


def _block_of(shape: tuple[int, ...], scale_shape: tuple[int, ...]) -> Block | None:
    """Which elements share a scale, from the shapes alone; None where that cannot be.

    >>> _block_of((512, 768), (4, 6)), _block_of((512, 768), (512, 24)), _block_of((512, 768), (512,)), _block_of((512, 768), ())
    ((128, 128), (1, 32), (1, None), (None, None))
    """
    if math.prod(scale_shape) == 1:
        return None, None
    rows, columns = math.prod(shape[:-1]), shape[-1]
    if len(shape) > 2 and scale_shape[0] == shape[0] and math.prod(scale_shape) == shape[0]:
        return shape[-2], None  # one for each expert
    if math.prod(scale_shape) == rows and (len(scale_shape) == 1 or scale_shape[-1] == 1):
        return 1, None
    if len(scale_shape) != len(shape) or (len(shape) > 2 and scale_shape[:-2] != shape[:-2]):
        return None
    down, across = _side(shape[-2], scale_shape[-2]), _side(columns, scale_shape[-1])
    if down is None or across is None or (len(shape) > 2 and shape[-2] % down):
        return None
    return down, across


def _side(length: int, blocks: int) -> int | None:
    """The side of a block of which `blocks` cover a length: a power of two, at most one of which can do that, or else an even share."""
    if blocks == length:
        return 1
    if blocks == 1:
        return length
    for side in _BLOCK_SIDES:
        if -(-length // side) == blocks:
            return side
    return length // blocks if blocks and length % blocks == 0 else None


def _scale_shape(shape: tuple[int, ...], block: Block) -> tuple[int, int]:
    rows, columns = math.prod(shape[:-1]), shape[-1]
    return -(-rows // (block[0] or rows)), -(-columns // (block[1] or columns))


def _scale_rows(scale: torch.Tensor, name: str, shape: tuple[int, ...], block: Block, rows: slice | None) -> torch.Tensor:
    """The scales of some rows of the first axis."""
    if rows is None or block[0] is None:
        return scale
    first, last, _ = rows.indices(shape[0])
    inside = math.prod(shape[1:-1])
    if first * inside % block[0]:
        raise ValueError(f"rows {first}:{last} of {quote(name)} begin within a block of {block[0]} rows")
    return scale[first * inside // block[0] : -(-last * inside // block[0])].contiguous()


def _values(scale: torch.Tensor) -> torch.Tensor:
    """Scales as float32: stored numbers, or codes of UE8M0 or E4M3."""
    if scale.dtype in _E8M0:
        return decode(scale.view(torch.uint8), "e8m0fnu")
    if scale.dtype is torch.float8_e4m3fn:
        return decode(scale.view(torch.uint8), "e4m3fn")
    return scale.float()
