"""Codes of fewer than 8 bits without gaps between them, as weights are stored: two FP4 codes in a byte, four FP6 codes in three."""

from __future__ import annotations

import torch

from fp8core import kernels
from fp8core.arrays import as_integers, like

_CHUNK = 1 << 17  # codes, a multiple of 8


def pack(codes, bits: int, *, out=None):
    """Write codes one after the other, from the least significant bit of each byte on -> uint8, ⌈count · bits / 8⌉, one axis, same kind as `codes`.

    The first of two FP4 codes is the low half of its byte, as in torch.float4_e2m1fn_x2. Bits left over at the end are 0.

    Args:
        codes: unsigned integers below 2**bits, uint8, of any shape; taken in order.
        bits: from 1 to 8.
        out: preallocated result.

    Raises:
        ValueError: bits out of that range; a code that does not fit; `out` of another shape or dtype.
        TypeError: `codes` are not uint8.

    >>> pack([1, 2, 15], 4)
    array([33, 15], dtype=uint8)
    """
    source = _bytes(codes, "codes").reshape(-1)
    _check_bits(bits)
    if source.numel() and int(source.max()) >= 1 << bits:
        raise ValueError(f"code {int(source.max())} does not fit into {bits} bits")
    result = _result(out, -(-source.numel() * bits // 8), source.device)
    if kernels.usable(source, result):
        kernels.pack(source, bits, result)
    else:
        places = torch.arange(bits, device=source.device)
        for first in range(0, source.numel(), _CHUNK):
            ones = (source[first : first + _CHUNK].to(torch.int64)[:, None] >> places) & 1
            whole = torch.nn.functional.pad(ones.reshape(-1), (0, -ones.numel() % 8)).reshape(-1, 8)
            result[first * bits // 8 : first * bits // 8 + whole.shape[0]] = (whole << torch.arange(8, device=source.device)).sum(dim=1).to(torch.uint8)
    return like(codes, result) if out is None else out


def unpack(packed, bits: int, count: int, *, out=None):
    """Undo `pack` -> uint8 (count,), same kind as `packed`.

    Raises:
        ValueError: bits out of 1 to 8; fewer bytes than `count` codes take, or more; `out` of another shape or dtype.
        TypeError: `packed` is not uint8.

    >>> unpack(pack([1, 2, 15], 4), 4, 3)
    array([ 1,  2, 15], dtype=uint8)
    """
    source = _bytes(packed, "packed codes").reshape(-1)
    _check_bits(bits)
    if source.numel() != -(-count * bits // 8):
        raise ValueError(f"{source.numel()} bytes: {count} codes of {bits} bits take {-(-count * bits // 8)}")
    result = _result(out, count, source.device)
    if kernels.usable(source, result):
        kernels.unpack(source, bits, result)
    else:
        for first in range(0, count, _CHUNK):
            own = source[first * bits // 8 : -(-(first + _CHUNK) * bits // 8)].to(torch.int64)
            ones = ((own[:, None] >> torch.arange(8, device=source.device)) & 1).reshape(-1)
            here = min(_CHUNK, count - first)
            result[first : first + here] = (ones[: here * bits].reshape(here, bits) << torch.arange(bits, device=source.device)).sum(dim=1).to(torch.uint8)
    return like(packed, result) if out is None else out


def _bytes(x, what: str) -> torch.Tensor:
    source = as_integers(x)
    if source.dtype != torch.uint8:
        if isinstance(x, list | tuple) and all(0 <= value < 256 for value in x):
            return source.to(torch.uint8)
        raise TypeError(f"{what} are uint8, not {source.dtype}")
    return source.contiguous()


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= 8:
        raise ValueError(f"bits = {bits}: packed codes have 1 to 8")


def _result(out, count: int, device: torch.device) -> torch.Tensor:
    if out is None:
        return torch.empty(count, dtype=torch.uint8, device=device)
    result = out if isinstance(out, torch.Tensor) else torch.from_numpy(out)
    if tuple(result.shape) != (count,) or result.dtype != torch.uint8 or not result.is_contiguous():
        raise ValueError(f"out has shape {tuple(result.shape)} and {result.dtype}; it must be contiguous with shape ({count},) and torch.uint8")
    return result
