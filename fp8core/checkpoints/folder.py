"""Folders of .safetensors files, as Hugging Face writes large checkpoints: which file holds which tensor."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fp8core.checkpoints.source import CheckpointError, inner, is_url, open_url, quote, storage_of

INDEX_SUFFIX = ".safetensors.index.json"
INDEX_MAX_NBYTES = 100_000_000  # that of a model of 671 billion weights in 163 shards has 9 million


@dataclass(frozen=True)
class Folder:
    """A checkpoint in several files, none of which has been opened.

    Args:
        name: of what was named, the folder or its index.
        shards: the files by their names, in the order of those.
        places: name of the shard by name of the tensor, as an index gives it; None where there is no index.
    """

    name: str
    shards: Mapping[str, Path | str]
    places: Mapping[str, str] | None

    def error(self, reason: str) -> CheckpointError:
        return CheckpointError(f"{inner(self.name)}: {reason}")


def is_folder(source) -> bool:
    """Whether a source is the path or URL of a folder, or of the index that lies in one.

    Raises:
        CheckpointError: a URL of a storage that cannot be reached.
    """
    if not isinstance(source, (str, os.PathLike)):
        return False
    return os.fsdecode(source).endswith(INDEX_SUFFIX) or (_at_url(source, "isdir") if is_url(source) else os.path.isdir(source))


def list_shards(source: str | os.PathLike) -> Folder:
    """Find the shards of a checkpoint by its index, or, where there is none, take every .safetensors file of the folder.

    Source: https://huggingface.co/docs/safetensors/metadata_parsing, "Sharded Files": `weight_map` gives the file of each tensor.

    Raises:
        CheckpointError: a folder without such files or with several indexes, and an index that is damaged or leads out of its folder.
    """
    source = os.fsdecode(source)
    found = Folder(source.rstrip("/").rpartition("/")[2] if is_url(source) else Path(source).resolve().name, {}, None)
    try:
        indexes = [source] if source.endswith(INDEX_SUFFIX) else _names_in(source, INDEX_SUFFIX)
        if len(indexes) > 1:
            raise found.error(f"the folder holds {len(indexes)} indexes, {', '.join(inner(_name(each)) for each in indexes)}: name the one to be read")
        if indexes:
            places = _read_index(Folder(_name(indexes[0]), {}, None), indexes[0])
            return Folder(found.name, {name: _beside(indexes[0], name) for name in sorted(set(places.values()))}, places)
        shards = {_name(each): each for each in _names_in(source, ".safetensors")}
    except OSError as error:
        raise found.error(f"it cannot be read ({error.strerror or error})") from error
    if not shards:
        raise found.error(f"the folder holds no .safetensors file and no index that ends in {INDEX_SUFFIX}")
    return Folder(found.name, shards, None)


def _names_in(folder: str, suffix: str) -> list[str]:
    """Paths or URLs of the files of a folder that end so, by their names."""
    if not is_url(folder):
        return [str(path) for path in sorted(Path(folder).glob(f"*{suffix}"))]
    storage, path = storage_of(folder)
    return sorted(storage.unstrip_protocol(each) for each in storage.ls(path, detail=False) if each.endswith(suffix))


def _at_url(url: str, question: str):
    storage, path = storage_of(url)
    return getattr(storage, question)(path)


def _name(path: str) -> str:
    return path.rpartition("/")[2] if is_url(path) else Path(path).name


def _beside(path: str, name: str) -> str:
    return f"{path.rpartition('/')[0]}/{name}" if is_url(path) else str(Path(path).parent / name)


def _read_index(index: Folder, path: str) -> dict[str, str]:
    with open_url(path) if is_url(path) else open(path, "rb") as stream:
        data = stream.read(INDEX_MAX_NBYTES + 1)
    if len(data) > INDEX_MAX_NBYTES:
        raise index.error(f"the index has more than the {INDEX_MAX_NBYTES:,} bytes that are allowed")
    try:
        content = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise index.error(f"it is not the JSON that an index has ({inner(str(error))})") from error
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not places:
        raise index.error("it has no weight_map, and an index has one that gives the file of each tensor")
    for name, shard in places.items():
        if not isinstance(shard, str) or not shard.endswith(".safetensors") or any(sign in shard for sign in "/\\\0"):
            raise index.error(f"tensor {quote(name)} is said to be in {quote(shard)}, and that has to be the name of a .safetensors file beside the index")
    return places
