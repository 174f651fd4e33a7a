"""Files that end in .safetensors."""

from __future__ import annotations

import json
import sys
from typing import BinaryIO

import torch

from fp8core.checkpoints.source import File, TensorInfo, check_shape, from_bytes, inner, is_text, looks_like, part_of, quote, read_exactly

HEADER_MAX_NBYTES = 10_000_000
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "F8_E8M0": torch.float8_e8m0fnu,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def open_safetensors(file: File, stream: BinaryIO):
    """Source: https://huggingface.co/docs/safetensors, "Format": length of the header (8 bytes), header (JSON), data without gaps."""
    start = stream.read(8)
    if len(start) < 8:
        raise file.error(f"it has {file.nbytes} bytes, and a .safetensors file begins with 8 bytes that give the length of its header")
    length = int.from_bytes(start, "little")
    if length > HEADER_MAX_NBYTES:
        guess = looks_like(start)
        raise file.error(f"its header would have {length:,} bytes, and at most {HEADER_MAX_NBYTES:,} are allowed{guess}")
    if length > file.nbytes - 8:
        raise file.error(f"its header would have {length:,} bytes, but only {file.nbytes - 8:,} follow: the file is cut off or damaged")
    try:
        header = json.loads(stream.read(length).decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise file.error(f"its header is not the JSON that a .safetensors file has ({inner(str(error))})") from error
    if not isinstance(header, dict):
        raise file.error(f"its header is a JSON {type(header).__name__}, and it has to be an object with one entry per tensor")
    header.pop("__metadata__", None)
    for name in header:
        if not is_text(name):
            raise file.error(f"tensor {quote(name)} has half of a pair of characters in its name, which is no text")
    room = file.nbytes - 8 - length
    entries = sorted((_check_entry(file, name, entry, room) for name, entry in header.items()), key=lambda e: (e[1], e[2]))
    end = 0
    for name, first, last, _ in entries:
        if first != end:
            what = "overlaps the tensor before it" if first < end else "leaves a gap after the tensor before it"
            raise file.error(f"tensor {quote(name)} begins at byte {first:,} of the data and {what}, which ends at {end:,}; tensors have to follow one another")
        end = last
    if end != room:
        raise file.error(f"its tensors take {end:,} bytes of data, but the file holds {room:,}; every byte has to belong to a tensor")
    infos = {name: info for name, _, _, info in entries if isinstance(info, TensorInfo)}
    refused = {name: info for name, _, _, info in entries if isinstance(info, str)}
    offsets = {name: 8 + length + first for name, first, _, _ in entries}

    def read(info: TensorInfo, rows: slice | None) -> torch.Tensor:
        part, skipped = part_of(info, rows)
        with file.open() as stream:
            stream.seek(offsets[info.name] + skipped)
            data = read_exactly(file, stream, part)
        return from_bytes(data, part, swap=sys.byteorder == "big", fortran=False)

    return infos, refused, read


def _check_entry(file: File, name: str, entry, room: int) -> tuple[str, int, int, TensorInfo | str]:
    """Check one entry -> its name, first byte and last byte, and its info or why it is refused."""
    quoted = quote(name)
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise file.error(f"the entry of tensor {quoted} is {quote(entry)}, and it has to be an object with dtype, shape and data_offsets")
    stored, offsets = entry["dtype"], entry["data_offsets"]
    shape = check_shape(file, name, entry["shape"])
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(n) is int for n in offsets) and 0 <= offsets[0] <= offsets[1] <= room):
        raise file.error(f"tensor {quoted} has data_offsets {quote(offsets)}, and they have to be two rising numbers from 0 to {room:,}, the bytes that this file holds")
    first, last = offsets
    dtype = DTYPES.get(stored) if isinstance(stored, str) else None
    if dtype is None:
        return name, first, last, file.sentence(f"tensor {quoted} has dtype {quote(stored)}, and only {', '.join(DTYPES)} are read")
    info = TensorInfo(name, shape, dtype)
    if info.nbytes != last - first:
        raise file.error(f"tensor {quoted} has {last - first:,} bytes, but shape {shape} in {stored} needs {info.nbytes:,}")
    return name, first, last, info


def _unique(pairs: list[tuple[str, object]]) -> dict:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a name occurs twice")
    return entries
