"""Write a checkpoint with its weights quantized, and prove that what was written decodes to what was meant."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from fp8core.arrays import at_least_float32
from fp8core.checkpoints import Checkpoint, open_checkpoint
from fp8core.packed.beside import CONFIG, copy_beside, with_dtype
from fp8core.packed.families import family
from fp8core.packed.layouts import LAYOUTS, Layout
from fp8core.packed.reading import decoded, packed_layers
from fp8core.quantized import SEED, quantize
from fp8core.recipes import Recipe, parse_recipe

SHARD_NBYTES = 2_000_000_000
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Written:
    """What was found when a written tensor was read again.

    Args:
        name: of the tensor in the checkpoint that it came from.
        recipe: "" where it was copied.
        count: numbers in it.
        different: how many of them differ from what was meant; NaN equals NaN.
    """

    name: str
    recipe: str
    count: int
    different: int


def write_quantized(
    checkpoint: Checkpoint, recipes: Mapping[str, str], folder: str | os.PathLike, layout: str = "compressed-tensors",
    progress: Progress | None = None, *, beside: str | os.PathLike | None = None, shard_nbytes: int = SHARD_NBYTES,
) -> None:  # fmt: skip
    """Write a checkpoint as a folder that Hugging Face's libraries open: shards, their index where there are several, and config.json.

    The folder appears when all of it is written. One shard is in memory at a time, and one tensor beside it. Layers are named in config.json as the checkpoint
    names them, so that transformers finds them with the class that wrote it, and with other classes of the same model only in the layout of DeepSeek.

    Args:
        checkpoint: in high precision.
        recipes: by tensor; tensors that are not named, or with "", are copied.
        folder: where to; it must not exist, or be empty.
        layout: a key of `LAYOUTS`.
        progress: called with (done, all, name) before each tensor.
        beside: path or URL of the checkpoint, whose config.json is carried on, with `quantization_config` in it, and whose other small files, such as the
            tokenizer's, are copied; its `dtype` becomes bfloat16 where readers decode to that.
        shard_nbytes: a new file is begun where this would be exceeded.

    Raises:
        ValueError: an unknown layout, recipe or tensor; a tensor that cannot be stored so; a folder with files in it; a checkpoint that is quantized already;
            a config.json that is not a JSON object.
    """
    chosen = check(checkpoint, recipes, layout)
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{folder}: this is there already and is not an empty folder, and nothing is written over")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        config = {} if beside is None else copy_beside(beside, unfinished)
        _write_shards(unfinished, _tensors(checkpoint, chosen, LAYOUTS[layout], progress), shard_nbytes)
        if any(family(recipe) in LAYOUTS[layout].bfloat16 for recipe in chosen.values()):
            config = with_dtype(config, "bfloat16")
        config |= {"quantization_config": _quantization(checkpoint, chosen, LAYOUTS[layout])}
        (unfinished / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        os.chmod(unfinished, 0o755)
        if target.exists():
            target.rmdir()
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def check(checkpoint: Checkpoint, recipes: Mapping[str, str], layout: str) -> dict[str, Recipe]:
    """Return the recipes of the tensors that are to be quantized, if all of them can be stored so; errors as in `write_quantized`."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is not one of {', '.join(LAYOUTS)}")
    if already := packed_layers(checkpoint):
        first = next(iter(already.values()))
        raise ValueError(f"{checkpoint.filename} is quantized already ({len(already)} weights; {first.info.name}: {first.info.layout}), and only checkpoints in high precision are written quantized")
    chosen = {}
    for name, recipe in recipes.items():
        if name not in checkpoint.infos:
            raise ValueError(f"{name!r} is not among the {len(checkpoint.infos)} tensors of {checkpoint.filename}")
        if recipe:
            chosen[name] = parse_recipe(recipe)
            if reason := LAYOUTS[layout].refuses(name, checkpoint.infos[name].shape, chosen[name]):
                raise ValueError(f"layout {layout}: {reason}")
    if not chosen:
        raise ValueError("no tensor has a recipe, so that there is nothing to write quantized")
    return chosen


def verify(checkpoint: Checkpoint, recipes: Mapping[str, str], folder: str | os.PathLike, progress: Progress | None = None) -> list[Written]:
    """Read a written folder again, decode it, and compare every tensor with what it was made of.

    A quantized tensor is compared with `quantize(x, recipe).dequantize()`, a copied one with itself.

    Raises:
        CheckpointError: a folder that cannot be read, or lacks a tensor.
    """
    again, found = decoded(open_checkpoint(folder)), []
    for done, name in enumerate(checkpoint.infos):
        if progress is not None:
            progress(done, len(checkpoint.infos), name)
        recipe, x, y = recipes.get(name, ""), checkpoint.read(name), again.read(name)
        meant = quantize(at_least_float32(x), recipe, seed=SEED).dequantize() if recipe else x
        if meant.dtype != y.dtype or meant.shape != y.shape:
            found.append(Written(name, recipe, meant.numel(), meant.numel()))
            continue
        same = (meant == y) | (meant != meant) & (y != y)
        found.append(Written(name, recipe, meant.numel(), int((~same).sum())))
    return found


def _tensors(checkpoint: Checkpoint, chosen: Mapping[str, Recipe], layout: Layout, progress: Progress | None) -> Iterator[tuple[str, torch.Tensor]]:
    for done, name in enumerate(checkpoint.infos):
        if progress is not None:
            progress(done, len(checkpoint.infos), name)
        x = checkpoint.read(name)
        if name not in chosen:
            yield name, x
            continue
        x = at_least_float32(x)
        for part, tensor in layout.parts[family(chosen[name])](x, quantize(x, chosen[name], seed=SEED)).items():
            yield f"{name.removesuffix('.weight')}.{part}", tensor.contiguous()


def _write_shards(folder: Path, tensors: Iterator[tuple[str, torch.Tensor]], most: int) -> None:
    shards: list[list[str]] = []
    held: dict[str, torch.Tensor] = {}
    total = nbytes = 0
    seen: set[str] = set()
    for name, tensor in tensors:
        if name in seen:
            raise ValueError(f"{name!r} would be in the checkpoint twice: a tensor has the name of a part of a quantized weight")
        seen.add(name)
        size = tensor.numel() * tensor.element_size()
        if held and nbytes + size > most:
            shards.append(_save(folder, len(shards), held))
            held, nbytes = {}, 0
        held[name] = tensor
        nbytes, total = nbytes + size, total + size
    shards.append(_save(folder, len(shards), held))
    if len(shards) == 1:
        (folder / "0.part").rename(folder / "model.safetensors")
        return
    places = {}
    for number, names in enumerate(shards):
        file = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        (folder / f"{number}.part").rename(folder / file)
        places |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _save(folder: Path, number: int, tensors: dict[str, torch.Tensor]) -> list[str]:
    path = folder / f"{number}.part"
    save_file(tensors, path, metadata={"format": "pt"})
    os.chmod(path, 0o644)
    return list(tensors)


def _quantization(checkpoint: Checkpoint, chosen: Mapping[str, Recipe], layout: Layout) -> dict:
    modules = {name.removesuffix(".weight"): family(recipe) for name, recipe in chosen.items()}
    kept = [name.removesuffix(".weight") for name, info in checkpoint.infos.items() if name.endswith(".weight") and len(info.shape) == 2 and name not in chosen]
    return layout.config(modules, kept, {recipe.name for recipe in chosen.values()})
