"""What each recipe costs each layer: bits, and an error that adds up. Layers that engines fuse are of one group; `apart` lets each go by itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from fp8core.checkpoints import Checkpoint, TensorInfo
from fp8core.layers import LayerReport, kind_of, to_rows, why_not
from fp8core.models import load_weights
from fp8core.packed import LAYOUTS
from fp8core.plan.choose import KEEP, Cost
from fp8core.plan.fused import group_of
from fp8core.recipes import parse_recipe
from fp8core.sensitivity import Progress, alone, layers_of

CANDIDATES = tuple(f"compressed_tensors_{name}" for name in ("mxfp4", "nvfp4", "w4a16", "mxfp6", "int8", "fp8_block", "fp8_dynamic", "mxfp8"))
"""Recipes to choose from unless others are named: all of them can be written as a checkpoint."""


def plannable(checkpoint: Checkpoint, *, everything: bool = False) -> list[str]:
    """Names of the tensors for which a recipe is chosen: matrices, and not those of embeddings, the head and routers, which most libraries leave in high precision.

    Where modules have weights, other parameters are no weights of a product that a checkpoint could store quantized, such as Mamba's A_log.

    Args:
        everything: embeddings, the head, routers, convolutions and stacks of experts too.
    """
    kinds = {name: kind_of(name, info.shape) for name, info in checkpoint.infos.items()}
    found = [name for name, kind in kinds.items() if (everything or kind == "matrix") and kind != "vector" and not why_not(checkpoint.infos[name].shape, kind, checkpoint.infos[name].dtype)]
    of_modules = [name for name in found if name.endswith(".weight")]
    return found if everything or not of_modules else of_modules


def of_weights(reports: Iterable[LayerReport]) -> list[Cost]:
    """Costs from an analysis: the error of a layer is its noise-to-signal ratio, 10^(−SQNR / 10), each layer counting once; a layer may also stay as it is stored.

    Layers that were not quantized have no costs, and so no choice; layers with an SQNR of NaN cost nothing under a recipe that loses no number, and
    recipes that lose numbers are left out.
    """
    layers = list(reports)
    return of_rows(to_rows(layers), {layer.name: layer.nbytes for layer in layers})


def of_rows(rows: Iterable[Mapping], stored: Mapping[str, int]) -> list[Cost]:
    """The same from the rows of an analysis, as `layers.to_rows` gives them and a CSV file holds them.

    Args:
        stored: bytes of each layer as it is stored.
    """
    found, seen = [], set()
    for row in rows:
        if not row["recipe"]:
            continue
        if row["layer"] not in seen:
            found.append(Cost(row["layer"], KEEP, 8 * stored[row["layer"]], 0.0, group_of(row["layer"])))
        seen.add(row["layer"])
        if not int(row["lost"]):
            found.append(Cost(row["layer"], row["recipe"], round(float(row["bits_per_value"]) * int(row["count"])), noise_to_signal(float(row["sqnr_db"])), group_of(row["layer"])))
    return found


def of_model(model: str, recipes: Sequence[str], progress: Progress | None = None) -> list[Cost]:
    """Costs of a bundled model's layers that are `plannable`: their error is the noise-to-signal ratio of the model's output when one alone is quantized, weights and inputs.

    Args:
        progress: called with (done, all, layer) before each layer.

    Raises:
        ValueError: an unknown model or recipe.
    """
    layers, weights, found = planned_layers(model), load_weights(model), []
    for done, layer in enumerate(layers):
        if progress is not None:
            progress(done, len(layers), layer)
        found += of_outputs(weights.infos[f"{layer}.weight"], {recipe: alone(model, layer, recipe).output_sqnr_db for recipe in recipes})
    return found


def planned_layers(model: str) -> list[str]:
    """Names of the layers of a bundled model that `of_model` has costs of, in the order of its run."""
    wanted = set(plannable(load_weights(model)))
    return [layer for layer in layers_of(model) if f"{layer}.weight" in wanted]


def of_outputs(info: TensorInfo, sqnr_db: Mapping[str, float]) -> list[Cost]:
    """Costs of one layer from the SQNR of a model's output under each recipe; a recipe that leaves no numbers there, NaN, is no choice.

    Args:
        info: of the layer's weight.
    """
    kept = Cost(info.name, KEEP, 8 * info.nbytes, 0.0, group_of(info.name))
    return [kept, *(Cost(info.name, recipe, stored_bits(info.shape, recipe), noise_to_signal(value), group_of(info.name)) for recipe, value in sqnr_db.items() if not math.isnan(value))]


def writable(costs: Iterable[Cost], shapes: Mapping[str, tuple[int, ...]], layout: str = "compressed-tensors") -> list[Cost]:
    """The same costs, without recipes whose blocks are not whole in a weight of this shape, where a layout wants them whole.

    Args:
        shapes: by layer.
        layout: a key of `packed.LAYOUTS`.
    """
    return [cost for cost in costs if not cost.recipe or LAYOUTS[layout].fits(shapes[cost.layer], parse_recipe(cost.recipe))]


def dearest(costs: Iterable[Cost], counts: Mapping[str, int]) -> tuple[str, float]:
    """Return the layer whose smallest choice takes most bits per weight, and those bits.

    Args:
        counts: numbers of each layer.
    """
    least: dict[str, int] = {}
    for cost in costs:
        least[cost.layer] = min(cost.nbits, least.get(cost.layer, cost.nbits))
    layer = max(least, key=lambda name: least[name] / counts[name])
    return layer, least[layer] / counts[layer]


def apart(costs: Iterable[Cost]) -> list[Cost]:
    """The same costs, every layer by itself."""
    return [replace(cost, group="") for cost in costs]


def stored_bits(shape: tuple[int, ...], recipe: str) -> int:
    """Bits of a weight under a recipe, scales included, from its shape alone.

    >>> stored_bits((128, 256), "mxfp4") / (128 * 256)
    4.25
    """
    parsed = parse_recipe(recipe)
    rows, columns = math.prod(shape[:-1]), shape[-1]
    if parsed.scaling is None:
        return 8 * parsed.nbytes(rows * columns, 0)
    down, across = (1 if side is None else -(-length // side) for side, length in zip(parsed.scaling.block, (rows, columns), strict=True))
    return 8 * parsed.nbytes(rows * columns, down * across)


def noise_to_signal(sqnr_db: float) -> float:
    """10^(−SQNR / 10); 0 where nothing was lost or there is nothing to lose.

    >>> noise_to_signal(20.0), noise_to_signal(math.inf)
    (0.01, 0.0)
    """
    return 0.0 if math.isnan(sqnr_db) else 10 ** (-sqnr_db / 10)
