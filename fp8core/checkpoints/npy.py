"""Files that end in .npy: one array."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch

from fp8core.checkpoints.source import NPY_MAGIC, File, TensorInfo, check_shape, from_bytes, looks_like, part_of, quote, read_exactly

HEADER_MAX_NBYTES = 10_000
DTYPES = {
    "f2": torch.float16, "f4": torch.float32, "f8": torch.float64,
    "i1": torch.int8, "i2": torch.int16, "i4": torch.int32, "i8": torch.int64,
    "u1": torch.uint8, "u2": torch.uint16, "u4": torch.uint32, "u8": torch.uint64, "b1": torch.bool,
}  # fmt: skip
_KINDS = {
    "O": "Python objects, which are stored as a pickle, and a pickle can run any code when it is read",
    "c": "complex numbers", "U": "text", "S": "bytes", "a": "bytes", "M": "dates", "m": "time spans",
    "V": "raw bytes or records without a number type", "f": "floating point numbers that torch does not have",
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    info: TensorInfo
    swap: bool
    fortran: bool
    begin: int


def open_npy(file: File, stream: BinaryIO):
    name = Path(file.name).stem
    header = read_header(file, stream, name, file.nbytes)
    if isinstance(header, str):
        return {}, {name: header}, None

    def read(info: TensorInfo, rows: slice | None) -> torch.Tensor:
        part, skipped = (info, 0) if header.fortran else part_of(info, rows)
        with file.open() as stream:
            stream.seek(header.begin + skipped)
            whole = from_bytes(read_exactly(file, stream, part), part, swap=header.swap, fortran=header.fortran)
        return whole[rows].clone() if header.fortran and rows is not None else whole

    return {name: header.info}, {}, read


def read_header(file: File, stream: BinaryIO, name: str, nbytes: int) -> Header | str:
    """Read the header of a .npy array of `nbytes` bytes -> the header, or in words why its kind of entries is refused.

    Source: numpy.lib.format: magic, version (2 bytes), length of the header (2 bytes in version 1, 4 after), Python dict literal, data.
    """
    quoted = quote(name)
    start = stream.read(8)
    if start[:6] != NPY_MAGIC:
        raise file.error(f"tensor {quoted} begins with {start[:6]!r}, and a .npy array begins with {NPY_MAGIC!r}{looks_like(start)}")
    if len(start) < 8:
        raise file.error(f"tensor {quoted} is cut off after {len(start)} bytes, within the version of its header")
    version, width = tuple(start[6:]), 2 if start[6:7] == b"\x01" else 4
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise file.error(f"tensor {quoted} has .npy version {'.'.join(map(str, version))}, and versions 1.0, 2.0 and 3.0 are read")
    length = int.from_bytes(stream.read(width), "little")
    begin = 8 + width + length
    if length > HEADER_MAX_NBYTES:
        raise file.error(f"tensor {quoted} has a header of {length:,} bytes, and at most {HEADER_MAX_NBYTES:,} are allowed")
    text = stream.read(length)
    if len(text) < length or begin > nbytes:
        raise file.error(f"tensor {quoted} is cut off within its header of {length:,} bytes")
    try:
        header = ast.literal_eval(text.decode("utf-8" if version == (3, 0) else "latin-1").strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise file.error(f"tensor {quoted} has the header {quote(text)}, which is not a Python dict literal") from error
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"} or not isinstance(header["fortran_order"], bool):
        raise file.error(f"tensor {quoted} has the header {quote(header)}, and it has to be a dict with descr, fortran_order (True or False) and shape")
    descr = header["descr"]
    order, kind, size = _split_descr(descr)
    dtype = DTYPES.get(kind + size)
    if dtype is None:
        held = _KINDS.get(kind, "entries of an unknown kind")
        return file.sentence(f"tensor {quoted} has dtype {quote(descr)}, which holds {held}; only {', '.join(DTYPES)} are read")
    info = TensorInfo(name, check_shape(file, name, header["shape"]), dtype)
    if info.nbytes != nbytes - begin:
        raise file.error(f"tensor {quoted} has {max(nbytes - begin, 0):,} bytes of data, but shape {info.shape} in {descr} needs {info.nbytes:,}")
    swap = order == (">" if sys.byteorder == "little" else "<")
    return Header(info, swap, header["fortran_order"], begin)


def _split_descr(descr) -> tuple[str, str, str]:
    """Split "<f4" into byte order, kind and size; a list of fields, as records have, is of kind V."""
    parts = re.fullmatch(r"([<>|=]?)([a-zA-Z]?)(.*)", descr, flags=re.DOTALL) if isinstance(descr, str) else None
    return parts.groups() if parts else ("", "V", "")
