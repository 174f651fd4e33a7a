"""Files that end in .npz: a zip archive of .npy arrays."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import torch

from fp8core.checkpoints.npy import read_header
from fp8core.checkpoints.source import CheckpointError, File, TensorInfo, from_bytes, inner, looks_like, quote, read_exactly

DEFLATE_MAX_RATIO = 1032
"""No deflate stream unpacks to more than this many times its size. Source: zlib, "Maximum Compression Factor", 1032 : 1."""


def open_npz(file: File, stream: BinaryIO):
    infos, refused, members, headers = {}, {}, {}, {}
    with _zip(file, stream) as archive:
        entries = archive.infolist()
        packed = sum(entry.compress_size for entry in entries)
        if packed > file.nbytes:
            raise file.error(f"its members take {packed:,} packed bytes, but the file has {file.nbytes:,}: members overlap, as in a zip bomb")
        for entry in entries:
            name = entry.filename.removesuffix(".npy")
            if name in members:
                raise file.error(f"the name {quote(name)} occurs twice")
            members[name] = entry
            _check_member(file, name, entry)
            if not entry.filename.endswith(".npy"):
                refused[name] = file.sentence(f"the member {quote(entry.filename)} is not a .npy array")
                continue
            with archive.open(entry) as member:
                header = read_header(file, member, name, entry.file_size)
            if isinstance(header, str):
                refused[name] = header
            else:
                infos[name], headers[name] = header.info, header

    def read(info: TensorInfo, rows: slice | None) -> torch.Tensor:
        header = headers[info.name]
        with file.open() as stream, _zip(file, stream) as archive, archive.open(members[info.name]) as member:
            if len(member.read(header.begin)) < header.begin:
                raise file.error(f"tensor {quote(info.name)} is cut off within its header")
            whole = from_bytes(read_exactly(file, member, info), info, swap=header.swap, fortran=header.fortran)
        return whole if rows is None else whole[rows].clone()

    return infos, refused, read


@contextmanager
def _zip(file: File, stream: BinaryIO) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(stream) as archive:
            yield archive
    except CheckpointError:
        raise
    except zipfile.BadZipFile as error:
        with file.open() as stream:
            guess = looks_like(stream.read(8))
        raise file.error(f"it is damaged, or not the zip archive that a .npz file has to be ({inner(str(error))}){guess}") from error
    except (zlib.error, struct.error, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise file.error(f"it is a damaged zip archive ({inner(str(error))})") from error


def _check_member(file: File, name: str, entry: zipfile.ZipInfo) -> None:
    if entry.flag_bits & 1:
        raise file.error(f"tensor {quote(name)} is encrypted, and encrypted archives are not read")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise file.error(f"tensor {quote(name)} is packed by method {entry.compress_type}, and only stored (0) and deflated (8) arrays are read")
    most = entry.compress_size * (DEFLATE_MAX_RATIO if entry.compress_type == zipfile.ZIP_DEFLATED else 1)
    if entry.file_size > most:
        unpacked = f"would unpack from {entry.compress_size:,} to {entry.file_size:,} bytes, and more than {most:,} are impossible"
        raise file.error(f"tensor {quote(name)} {unpacked}: a zip bomb or a damaged file")
