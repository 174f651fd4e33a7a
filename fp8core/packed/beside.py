"""What lies beside the weights of a model, in any storage: its config.json, its tokenizer, and other small files."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from fp8core.checkpoints.folder import INDEX_SUFFIX
from fp8core.checkpoints.source import inner, is_url, storage_of

CONFIG = "config.json"
MAX_NBYTES = 50_000_000  # of one file, such as a tokenizer
_SUFFIXES = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".md", ".py")
_TYPES = ("dtype", "torch_dtype")


def copy_beside(source: str | os.PathLike, folder: Path) -> dict[str, Any]:
    """Copy the small files that lie beside a checkpoint into a folder -> what its config.json says; {} where there is none.

    Args:
        source: path or URL of a checkpoint: of a folder, its index, or one file that is a whole model, beside which a config.json says that the other files are of it.

    Raises:
        ValueError: a config.json that is not a JSON object.
    """
    found = _place_of(source)
    if found is None:
        return {}
    storage, place = found
    for path in sorted(storage.ls(place, detail=False)):
        name = path.rpartition("/")[2]
        if name.endswith(_SUFFIXES) and not name.endswith(".index.json") and storage.isfile(path) and (storage.size(path) or 0) <= MAX_NBYTES:  # links too, of which caches are made
            (folder / name).write_bytes(storage.cat_file(path))
    return _parsed((folder / CONFIG).read_bytes()) if (folder / CONFIG).exists() else {}


def model_type(source: str | os.PathLike) -> str | None:
    """Return what the config.json beside a checkpoint calls the type of its model, "" where it does not say; None where there is no config.json of the whole model.

    Raises:
        ValueError: as in `copy_beside`.
    """
    found = _place_of(source)
    if found is None or not found[0].isfile(f"{found[1]}/{CONFIG}"):
        return None
    return str(_parsed(found[0].cat_file(f"{found[1]}/{CONFIG}")).get("model_type", ""))


def with_dtype(config: Any, dtype: str) -> Any:
    """Return a config in which the whole, and every part that names the type of its weights, names this one; an empty one stays so.

    >>> with_dtype({"torch_dtype": "float32", "text_config": {"dtype": "float32"}}, "bfloat16")
    {'torch_dtype': 'bfloat16', 'text_config': {'dtype': 'bfloat16'}}
    >>> with_dtype({"model_type": "llama"}, "bfloat16"), with_dtype({}, "bfloat16")
    ({'model_type': 'llama', 'dtype': 'bfloat16'}, {})
    """
    named = _named(config, dtype)
    return named if not named or any(key in named for key in _TYPES) else named | {"dtype": dtype}


def _place_of(source: str | os.PathLike):
    """The storage and the folder whose other files are of the same model as a checkpoint; None for a file that is a part of a model, or of none that is known."""
    import fsspec

    text = os.fsdecode(source)
    storage, path = storage_of(text) if is_url(text) else (fsspec.filesystem("file"), os.path.abspath(text))
    is_folder = storage.isdir(path)
    place = path if is_folder else path.rpartition("/")[0]
    if is_folder or path.endswith(INDEX_SUFFIX):
        return storage, place
    is_part = re.search(r"-of-0*([2-9]|[1-9]\d+)\.safetensors$", path) is not None
    if is_part or not storage.isfile(f"{place}/{CONFIG}") or any(name.endswith(INDEX_SUFFIX) for name in storage.ls(place, detail=False)):
        return None
    return storage, place


def _named(config: Any, dtype: str) -> Any:
    return {key: dtype if key in _TYPES else _named(value, dtype) for key, value in config.items()} if isinstance(config, dict) else config


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        config = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{CONFIG} beside the checkpoint is not JSON ({inner(str(error))})") from error
    if not isinstance(config, dict):
        raise ValueError(f"{CONFIG} beside the checkpoint is not a JSON object, which says what the model is by name")
    return config
