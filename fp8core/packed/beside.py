"""What lies beside the weights of a model, in any storage: its config.json, its tokenizer, and other small files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fp8core.checkpoints.folder import is_folder
from fp8core.checkpoints.source import inner, storage_of

CONFIG = "config.json"
MAX_NBYTES = 50_000_000  # of one file, such as a tokenizer
_SUFFIXES = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".md")
_TYPES = ("dtype", "torch_dtype")


def copy_beside(source: str | os.PathLike, folder: Path) -> dict[str, Any]:
    """Copy the small files that lie beside a checkpoint into a folder -> what its config.json says; {} where there is none.

    Args:
        source: path or URL of a checkpoint: of a folder, its index, or one file, beside which a config.json says that the other files are of the same model.

    Raises:
        ValueError: a config.json that is not a JSON object.
    """
    storage, path = storage_of(os.fsdecode(source))
    place = path if storage.isdir(path) else path.rpartition("/")[0]
    if not is_folder(source) and not storage.isfile(f"{place}/{CONFIG}"):
        return {}
    for entry in sorted(storage.ls(place, detail=True), key=lambda each: each["name"]):
        name = entry["name"].rpartition("/")[2]
        if entry["type"] == "file" and name.endswith(_SUFFIXES) and not name.endswith(".index.json") and (entry["size"] or 0) <= MAX_NBYTES:
            (folder / name).write_bytes(storage.cat_file(entry["name"]))
    return _read_config(folder / CONFIG) if (folder / CONFIG).exists() else {}


def with_dtype(config: Any, dtype: str) -> Any:
    """Return a config in which the whole, and every part that names the type of its weights, names this one; an empty one stays so.

    >>> with_dtype({"torch_dtype": "float32", "text_config": {"dtype": "float32"}}, "bfloat16")
    {'torch_dtype': 'bfloat16', 'text_config': {'dtype': 'bfloat16'}}
    >>> with_dtype({"model_type": "llama"}, "bfloat16"), with_dtype({}, "bfloat16")
    ({'model_type': 'llama', 'dtype': 'bfloat16'}, {})
    """
    named = _named(config, dtype)
    return named if not named or any(key in named for key in _TYPES) else named | {"dtype": dtype}


def _named(config: Any, dtype: str) -> Any:
    return {key: dtype if key in _TYPES else _named(value, dtype) for key, value in config.items()} if isinstance(config, dict) else config


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{CONFIG} beside the checkpoint is not JSON ({inner(str(error))})") from error
    if not isinstance(config, dict):
        raise ValueError(f"{CONFIG} beside the checkpoint is not a JSON object, which says what the model is by name")
    return config
