"""Named tensors out of .safetensors, .npy and .npz files, and out of folders of shards: sizes first, then one tensor at a time, and never a pickle.

Every file is taken for an attack: what its header declares is compared with what the file holds before anything of that size is
allocated, names are text and never a path, and a file that breaks a rule is refused with the rule.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch

from fp8core.checkpoints.folder import is_folder, list_shards
from fp8core.checkpoints.npy import open_npy
from fp8core.checkpoints.npz import open_npz
from fp8core.checkpoints.safetensors import open_safetensors
from fp8core.checkpoints.source import SUFFIXES, CheckpointError, File, TensorInfo, inner, quote

__all__ = ["SUFFIXES", "Checkpoint", "CheckpointError", "TensorInfo", "open_checkpoint"]

_OPENERS = {".safetensors": open_safetensors, ".npy": open_npy, ".npz": open_npz}
_PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The tensors of one file or of a folder of shards, of which nothing but the headers has been read.

    Args:
        filename: for messages, without the folder that it is in.
        infos: what can be read, in the order of the file; shard after shard.
        refused: why the other entries cannot be, one sentence by name: complex numbers, text, dates, objects.
    """

    filename: str
    infos: Mapping[str, TensorInfo]
    refused: Mapping[str, str]
    _read: Callable[[TensorInfo, slice | None], torch.Tensor]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors together."""
        return sum(info.nbytes for info in self.infos.values())

    def read(self, name: str, rows: slice | None = None) -> torch.Tensor:
        """Read one tensor, in the type in which it is stored, contiguous, in memory of its own.

        Args:
            rows: which part of the first axis, `slice(first, last)`; None for all. Only these are read from .safetensors files and from
                .npy files in C order; from others all are, and these are returned.

        Raises:
            CheckpointError: no such tensor, an entry of `refused`, or a file that is damaged or has changed since it was opened.
            ValueError: rows of a single number, or a slice with a step.
        """
        if name in self.refused:
            raise CheckpointError(self.refused[name])
        if name not in self.infos:
            raise CheckpointError(f"{inner(self.filename)}: there is no tensor {quote(name)} among the {len(self.infos)} of this file")
        info = self.infos[name]
        if rows is not None and (not info.shape or rows.step not in (None, 1)):
            raise ValueError(f"rows = {rows!r} of shape {info.shape}: a part of the first axis is slice(first, last)")
        return self._read(info, rows)


def open_checkpoint(source: str | os.PathLike | bytes | BinaryIO, filename: str | None = None, *, max_nbytes: int | None = None) -> Checkpoint:
    """Read the headers of a .safetensors, .npy or .npz file, or of all shards of a folder; the one array of a .npy file is named after the file.

    A file that is given by its path is opened anew for each tensor: what was read of it before does not stay in memory.

    Args:
        source: a path, the bytes of a file, or a file open for reading that can seek; an open file has to stay open. The path may be that
            of a folder of .safetensors files, or of the .safetensors.index.json that says which of them belong together.
        filename: tells the kind of file by its end; needed with bytes, and with an open file that has no `name`.
        max_nbytes: most bytes that all tensors together may take when they are read; None for no limit.

    Raises:
        CheckpointError: an unreadable or damaged file, one that declares more than it holds or more than `max_nbytes`, a pickle,
            a file with no readable entry at all, a tensor that is in two shards, or in none where the index says so.

    >>> import io, numpy as np
    >>> buffer = io.BytesIO()
    >>> np.save(buffer, np.ones((2, 3), np.float32))
    >>> open_checkpoint(buffer.getvalue(), "ones.npy").infos
    {'ones': TensorInfo(name='ones', shape=(2, 3), dtype=torch.float32)}
    """
    checkpoint = _open_folder(source) if filename is None and is_folder(source) else _open_file(File(source, filename))
    if checkpoint.refused and not checkpoint.infos:
        raise CheckpointError(next(iter(checkpoint.refused.values())))
    if max_nbytes is not None and checkpoint.nbytes > max_nbytes:
        raise CheckpointError(f"{inner(checkpoint.filename)}: its tensors take {checkpoint.nbytes:,} bytes, and at most {max_nbytes:,} are allowed here")
    return checkpoint


def _open_file(file: File) -> Checkpoint:
    suffix = Path(file.name).suffix.lower()
    if suffix not in SUFFIXES:
        warning = " (such files are mostly pickles, which can run any code when they are read)" if suffix in _PICKLE_SUFFIXES else ""
        raise file.error(f"files that end in {suffix!r} are not read, only {', '.join(SUFFIXES)}{warning}")
    with file.open() as stream:
        infos, refused, read = _OPENERS[suffix](file, stream)
    return Checkpoint(file.name, infos, refused, read)


def _open_folder(path: str | os.PathLike) -> Checkpoint:
    folder = list_shards(path)
    infos: dict[str, TensorInfo] = {}
    refused: dict[str, str] = {}
    homes: dict[str, Checkpoint] = {}
    for filename, shard_path in folder.shards.items():
        shard = _open_file(File(shard_path, None))
        for name in (*shard.infos, *shard.refused):
            if folder.places is not None and folder.places.get(name) != filename:
                continue  # a copy that the index leaves aside
            if name in homes:
                raise folder.error(f"tensor {quote(name)} is in {inner(homes[name].filename)} and in {inner(filename)}, and no index says which one counts: open one of the two files")
            homes[name] = shard
            if name in shard.infos:
                infos[name] = shard.infos[name]
            else:
                refused[name] = shard.refused[name]
    for name, filename in (folder.places or {}).items():
        if name not in homes:
            raise folder.error(f"the index has tensor {quote(name)} in {inner(filename)}, and that file does not hold it")
    return Checkpoint(folder.name, infos, refused, lambda info, rows: homes[info.name].read(info.name, rows))
