"""The bytes of a file, wherever they are, and what is checked in every kind of file."""

from __future__ import annotations

import io
import math
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import torch

SUFFIXES = (".safetensors", ".npy", ".npz")
MAX_AXES = 64
MAX_AXIS = 2**63 - 1
NPY_MAGIC = b"\x93NUMPY"
_LOOKS_LIKE = {b"\x80": "a Python pickle, which is never read because it can run any code", b"PK": "a zip archive (.npz)", NPY_MAGIC: "a .npy file"}


class CheckpointError(ValueError):
    """A file that is not read, with the reason in one sentence."""


@dataclass(frozen=True)
class TensorInfo:
    """What a file declares about one tensor.

    Args:
        name: as in the file; text from a stranger.
        shape: () for a single number.
        dtype: as stored.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes they take in the file."""
        return self.count * self.dtype.itemsize

    @property
    def row_step(self) -> int:
        """Some rows can be read that begin at a multiple of this."""
        return 1

    @property
    def stored_as(self) -> str:
        """The type in words."""
        return str(self.dtype).removeprefix("torch.")


class File:
    """Where the bytes are: a path is opened for each use, an open file is shared under a lock."""

    def __init__(self, source, filename: str | None):
        named = filename if filename is not None else source if isinstance(source, (str, os.PathLike)) else getattr(source, "name", None)
        if not isinstance(named, (str, os.PathLike)):
            raise CheckpointError(f"the file has no name (filename = {named!r}), and its kind is told by the end of its name: {', '.join(SUFFIXES)}")
        self.name = os.path.basename(os.fsdecode(named).replace("\\", "/"))
        self._source = source
        self._lock = threading.RLock()
        if isinstance(source, (str, os.PathLike)) and "\0" in os.fsdecode(source):
            raise self.error("no path holds a null character")
        with self.open() as stream:
            self.nbytes = stream.seek(0, os.SEEK_END)

    def sentence(self, reason: str) -> str:
        return f"{inner(self.name)}: {reason}"

    def error(self, reason: str) -> CheckpointError:
        return CheckpointError(self.sentence(reason))

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        try:
            if is_url(self._source):
                with open_url(self._source) as stream:
                    yield stream
            elif isinstance(self._source, (str, os.PathLike)):
                with open(self._source, "rb") as stream:
                    yield stream
            elif isinstance(self._source, (bytes, bytearray, memoryview)):
                yield io.BytesIO(self._source)
            else:
                with self._lock:
                    self._rewind()
                    yield self._source
        except OSError as error:
            raise self.error(f"it cannot be read ({error.strerror or error})") from error

    def _rewind(self) -> None:
        if not hasattr(self._source, "readinto"):
            raise self.error(f"{type(self._source).__name__} is not a path, bytes, or a file that is open for reading bytes")
        if self._source.closed:
            raise self.error("the file has been closed, and it has to stay open as long as tensors are read from it")
        self._source.seek(0)


def is_url(source) -> bool:
    """Whether a source says in which storage it lies, as s3://, hf:// and file:// do."""
    return isinstance(source, str) and re.match(r"[a-z][a-z0-9+.-]+://", source, re.IGNORECASE) is not None


def open_url(url: str):
    """Open a file of any storage that fsspec knows, for reading bytes.

    Raises:
        CheckpointError: a storage that fsspec does not know, or whose package is not installed.
    """
    return storage_of(url)[0].open(url, "rb")


def storage_of(url: str):
    """Return the fsspec file system of a URL, and the path in it; errors as in `open_url`."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise CheckpointError(f"{inner(url)}: this storage cannot be reached ({inner(str(error))})") from error


def check_shape(file: File, name: str, shape) -> tuple[int, ...]:
    if not isinstance(shape, (list, tuple)) or len(shape) > MAX_AXES or not all(type(n) is int and 0 <= n <= MAX_AXIS for n in shape):
        raise file.error(f"tensor {quote(name)} has shape {quote(shape)}, and a shape has at most {MAX_AXES} axes of 0 to 2⁶³ − 1")
    if math.prod(n for n in shape if n) > MAX_AXIS:
        raise file.error(f"tensor {quote(name)} has shape {quote(shape)}, which is more numbers than can be counted in 63 bits")
    return tuple(shape)


def part_of(info: TensorInfo, rows: slice | None) -> tuple[TensorInfo, int]:
    """Some rows of a tensor in C order -> what they are by themselves, and how many bytes lie before them."""
    if rows is None:
        return info, 0
    first, last, _ = rows.indices(info.shape[0])
    row = math.prod(info.shape[1:]) * info.dtype.itemsize
    return replace(info, shape=(max(last - first, 0), *info.shape[1:])), first * row


def read_exactly(file: File, stream: BinaryIO, info: TensorInfo) -> bytearray:
    """Read the bytes of a tensor; their number has been compared with the size of the file."""
    data = bytearray(info.nbytes)
    view, done = memoryview(data), 0
    while done < len(data):
        got = stream.readinto(view[done:])
        if not got:
            raise file.error(f"tensor {quote(info.name)} ends after {done:,} of {len(data):,} bytes: the file is cut off or has changed since it was opened")
        done += got
    return data


def from_bytes(data: bytearray, info: TensorInfo, *, swap: bool, fortran: bool) -> torch.Tensor:
    if not info.count:
        return torch.empty(info.shape, dtype=info.dtype)
    if swap and info.dtype.itemsize > 1:
        data = bytearray(np.frombuffer(data, dtype=f"u{info.dtype.itemsize}").byteswap())
    raw = torch.frombuffer(data, dtype=torch.uint8)
    flat = raw != 0 if info.dtype is torch.bool else raw.view(info.dtype)
    if fortran:
        return flat.reshape(info.shape[::-1]).permute(*range(len(info.shape))[::-1]).contiguous()
    return flat.reshape(info.shape)


def looks_like(start: bytes) -> str:
    """Say what a file seems to be by its first bytes; empty where nobody knows."""
    return next((f"; it begins like {what}" for magic, what in _LOOKS_LIKE.items() if start.startswith(magic)), "")


def is_text(text: str) -> bool:
    """Whether a text can be written: JSON can hold half a pair of characters, which cannot."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def quote(text) -> str:
    """Show text from a file on one line, escaped and not too long."""
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:60]}…{shown[-10:]}"


def inner(text: str) -> str:
    """The same without quotation marks."""
    return quote(text)[1:-1]
