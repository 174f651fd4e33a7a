"""Folders of .safetensors files, as Hugging Face writes large checkpoints: which file holds which tensor."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fp8core.checkpoints.source import CheckpointError, inner, quote

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
    shards: Mapping[str, Path]
    places: Mapping[str, str] | None

    def error(self, reason: str) -> CheckpointError:
        return CheckpointError(f"{inner(self.name)}: {reason}")


def is_folder(source) -> bool:
    """Whether a source is the path of a folder, or of the index that lies in one."""
    return isinstance(source, (str, os.PathLike)) and (os.path.isdir(source) or os.fsdecode(source).endswith(INDEX_SUFFIX))


def list_shards(source: str | os.PathLike) -> Folder:
    """Find the shards of a checkpoint by its index, or, where there is none, take every .safetensors file of the folder.

    Source: https://huggingface.co/docs/safetensors/metadata_parsing, "Sharded Files": `weight_map` gives the file of each tensor.

    Raises:
        CheckpointError: a folder without such files or with several indexes, and an index that is damaged or leads out of its folder.
    """
    path = Path(os.fsdecode(source))
    found = Folder(path.resolve().name, {}, None)
    try:
        indexes = sorted(path.glob(f"*{INDEX_SUFFIX}")) if path.is_dir() else [path]
        if len(indexes) > 1:
            raise found.error(f"the folder holds {len(indexes)} indexes, {', '.join(inner(each.name) for each in indexes)}: name the one to be read")
        if indexes:
            places = _read_index(Folder(indexes[0].name, {}, None), indexes[0])
            return Folder(found.name, {name: indexes[0].parent / name for name in sorted(set(places.values()))}, places)
        shards = {each.name: each for each in sorted(path.glob("*.safetensors"))}
    except OSError as error:
        raise found.error(f"it cannot be read ({error.strerror or error})") from error
    if not shards:
        raise found.error(f"the folder holds no .safetensors file and no index that ends in {INDEX_SUFFIX}")
    return Folder(found.name, shards, None)


def _read_index(index: Folder, path: Path) -> dict[str, str]:
    nbytes = path.stat().st_size
    if nbytes > INDEX_MAX_NBYTES:
        raise index.error(f"the index has {nbytes:,} bytes, and at most {INDEX_MAX_NBYTES:,} are allowed")
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise index.error(f"it is not the JSON that an index has ({inner(str(error))})") from error
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not places:
        raise index.error("it has no weight_map, and an index has one that gives the file of each tensor")
    for name, shard in places.items():
        if not isinstance(shard, str) or not shard.endswith(".safetensors") or any(sign in shard for sign in "/\\\0"):
            raise index.error(f"tensor {quote(name)} is said to be in {quote(shard)}, and that has to be the name of a .safetensors file beside the index")
    return places
