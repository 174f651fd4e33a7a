"""Every tensor of a checkpoint under several recipes, one tensor in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch

from fp8core.checkpoints import Checkpoint
from fp8core.layers.kinds import KINDS, as_layer, kind_of, short, why_not
from fp8core.layers.measuring import measure_stored, measure_whole
from fp8core.layers.moments import Statistics
from fp8core.metrics import ErrorReport
from fp8core.recipes import Recipe, parse_recipe


@dataclass(frozen=True, eq=False)
class LayerReport:
    """One tensor under every recipe.

    Args:
        name: as in the checkpoint.
        shape: as in the checkpoint.
        kind: a key of `KINDS`.
        dtype: stored type, in the checkpoint's words.
        count: numbers in it.
        nbytes: bytes as stored in the checkpoint.
        statistics: None where the tensor was not read.
        errors: one report per recipe, by the recipe's name; empty where the tensor stays as it is.
        reason: why it stays as it is, in words; empty where it was quantized.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    dtype: str
    count: int
    nbytes: int
    statistics: Statistics | None
    errors: Mapping[str, ErrorReport]
    reason: str = ""


def analyze(
    checkpoint: Checkpoint,
    recipes: Iterable[str | Recipe],
    names: Iterable[str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    *,
    matrices_only: bool = True,
    most: int | None = None,
) -> Iterator[LayerReport]:
    """Report on the tensors of a checkpoint one after the other, in its own order; each is read, measured and dropped before the next.

    Args:
        checkpoint: as `open_checkpoint` or `load_weights` return it.
        recipes: Recipes or their names.
        names: which tensors, None for all, and for the entries after them that hold no numbers.
        progress: called with (done, all, name) before each tensor.
        matrices_only: keep vectors in high precision, as everyone does; they are listed with the reason.
        most: tensors of more numbers than this are listed and not read; None for no limit.

    Raises:
        ValueError: an unknown recipe, a recipe that is named twice, or a name that the checkpoint does not have; before anything is read.
        CheckpointError: a damaged tensor, when its turn comes.
    """
    chosen = _parse(recipes)
    wanted = [*checkpoint.infos, *checkpoint.refused] if names is None else list(names)
    for name in wanted:
        _check_name(checkpoint, name)

    def reports() -> Iterator[LayerReport]:
        for done, name in enumerate(wanted):
            if progress is not None:
                progress(done, len(wanted), name)
            yield report(checkpoint, name, chosen, matrices_only=matrices_only, most=most)

    return reports()


def report(checkpoint: Checkpoint, name: str, recipes: Iterable[str | Recipe], *, matrices_only: bool = True, most: int | None = None) -> LayerReport:
    """Report on one tensor of a checkpoint; arguments as in `analyze`.

    A tensor that is kept as it is because of its shape or type is not read.
    """
    chosen = _parse(recipes)
    _check_name(checkpoint, name)
    if name in checkpoint.refused:
        return LayerReport(name, (), "unreadable", "", 0, 0, None, {}, checkpoint.refused[name])
    info = checkpoint.infos[name]
    kind = kind_of(name, info.shape)
    reason = why_not(info.shape, kind, info.dtype, matrices_only=matrices_only, most=most)
    seen, errors = (None, {}) if reason else measure_stored(checkpoint, info, kind, chosen)
    return LayerReport(name, info.shape, kind, info.stored_as, info.count, info.nbytes, seen, errors, reason)


def analyze_tensors(
    tensors: Mapping[str, torch.Tensor],
    recipes: Iterable[str | Recipe],
    progress: Callable[[int, int, str], None] | None = None,
    *,
    kind: str = "activation",
) -> Iterator[LayerReport]:
    """Report on tensors that are in memory already, such as activations (…, C) whose last axis is summed over.

    Args:
        kind: a key of `KINDS`, the same for all.

    Raises:
        ValueError: an unknown kind or recipe, or a recipe that is named twice; before anything is measured.
    """
    if kind not in KINDS:
        raise ValueError(f"kind = {kind!r} is not one of {', '.join(KINDS)}")
    chosen = _parse(recipes)

    def reports() -> Iterator[LayerReport]:
        for done, (name, x) in enumerate(tensors.items()):
            if progress is not None:
                progress(done, len(tensors), name)
            shape = tuple(x.shape)
            reason = why_not(shape, kind, x.dtype)
            seen, errors = (None, {}) if reason else measure_whole(as_layer(x, kind), chosen)
            yield LayerReport(name, shape, kind, short(x.dtype), x.numel(), x.numel() * x.element_size(), seen, errors, reason)

    return reports()


def to_rows(reports: Iterable[LayerReport]) -> list[dict]:
    """Flatten reports into one dict per layer and recipe, all with the same keys; one row with an empty recipe where a layer was not quantized."""
    rows = []
    for layer in reports:
        seen = layer.statistics
        head = {
            "layer": layer.name, "kind": layer.kind, "shape": "×".join(map(str, layer.shape)), "dtype": layer.dtype, "count": layer.count,
            **{key: getattr(seen, key) if seen else None for key in ("rms", "amax", "crest_factor", "kurtosis", "range_binades", "zeros")},
        }  # fmt: skip
        measured = ("sqnr_db", "underflow", "saturation", "max_ulp", "cosine", "lost", "bits_per_value")
        for recipe, error in layer.errors.items():
            rows.append({**head, "recipe": recipe, **{key: getattr(error, key) for key in measured}, "kept": ""})
        if not layer.errors:
            rows.append({**head, "recipe": "", **dict.fromkeys(measured), "kept": layer.reason})
    return rows


def _parse(recipes: Iterable[str | Recipe]) -> list[Recipe]:
    chosen = [parse_recipe(recipe) for recipe in recipes]
    names = [recipe.name for recipe in chosen]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"recipe {name!r} is named {names.count(name)} times: each one is reported once")
    return chosen


def _check_name(checkpoint: Checkpoint, name: str) -> None:
    if name not in checkpoint.infos and name not in checkpoint.refused:
        raise ValueError(f"{name!r} is not among the {len(checkpoint.infos)} tensors of {checkpoint.filename}")
