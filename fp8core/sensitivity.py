"""Which layers hurt: every layer's product under several recipes, and what a quantized layer does to the whole model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch.nn import functional

from fp8core.metrics import sqnr_db
from fp8core.models import Linear, activations, forward, judge, load_inputs, load_weights, plain_linear
from fp8core.quantized import SEED, fake_quantize
from fp8core.recipes import Recipe, inputs_of, parse_recipe

Progress = Callable[[int, int, str], None]
Sides = tuple[str, ...]
BOTH: Sides = ("weights", "inputs")


@dataclass(frozen=True)
class ProductReport:
    """One layer's product x · wᵀ under one recipe; SQNR in decibels, inf where nothing was lost, NaN where it has no meaning.

    Args:
        layer: name of the weight without ".weight".
        recipe: of the weights; its partner by `inputs_of` is that of the inputs.
        weight_sqnr_db: of the weights alone.
        input_sqnr_db: of the inputs alone; inf where they are left as they are.
        product_sqnr_db: of the product, both quantized, in float64.
        by_weights_db, by_inputs_db: of the product with only its weights, or only its inputs quantized.
    """

    layer: str
    recipe: str
    weight_sqnr_db: float
    input_sqnr_db: float
    product_sqnr_db: float
    by_weights_db: float
    by_inputs_db: float


@torch.no_grad()
def what_if(pairs: Mapping[str, tuple[torch.Tensor, torch.Tensor]], recipes: Iterable[str | Recipe], progress: Progress | None = None) -> list[ProductReport]:
    """Quantize inputs and weights of every layer by every recipe and compare its product with the one that it had.

    Args:
        pairs: by layer, inputs (M, K) and weights (N, K); `pairs_of` gives those of a bundled model. Layers may share their inputs.
        progress: called with (done, all, layer) before each layer.

    Returns:
        layer by layer, recipe by recipe.

    Raises:
        ValueError: an unknown recipe; inputs and weights whose K differs.

    >>> x, w = torch.eye(4), torch.tensor([[1.0, 2.0, 3.0, 100.0]])
    >>> what_if({"a": (x, w)}, ["int8_tensor"])[0].weight_sqnr_db == what_if({"a": (x, w)}, ["int8_tensor"])[0].product_sqnr_db
    True
    """
    chosen, found, held = [parse_recipe(recipe) for recipe in recipes], [], _Inputs(torch.empty(0))
    for done, (layer, (x, w)) in enumerate(pairs.items()):
        if progress is not None:
            progress(done, len(pairs), layer)
        if x.shape[-1] != w.shape[-1]:
            raise ValueError(f"layer {layer!r}: inputs {tuple(x.shape)} and weights {tuple(w.shape)} differ in their last axis, K")
        held = held if held.x is x else _Inputs(x)
        w64, quantized = w.double().T, [(recipe, fake_quantize(w, recipe, seed=SEED)) for recipe in chosen]
        product, by_inputs = held.wide @ w64, {}
        for recipe, narrow_w in quantized:
            input_sqnr_db, narrow_x = held.quantized(inputs_of(recipe))
            if narrow_x not in by_inputs:
                by_inputs[narrow_x] = sqnr_db(product, narrow_x @ w64)
            narrow_w64 = narrow_w.double().T
            by_weights_db = sqnr_db(product, held.wide @ narrow_w64)
            product_db = by_weights_db if narrow_x is held.wide else sqnr_db(product, narrow_x @ narrow_w64)
            found.append(ProductReport(layer, recipe.name, sqnr_db(w, narrow_w), input_sqnr_db, product_db, by_weights_db, by_inputs[narrow_x]))
    return found


class _Inputs:
    """The inputs of one layer or of several, in float64, and what each recipe leaves of them."""

    def __init__(self, x: torch.Tensor):
        self.x, self.wide, self._quantized = x, x.double(), {}

    def quantized(self, recipe: Recipe | None) -> tuple[float, torch.Tensor]:
        """SQNR, and the numbers in float64."""
        if recipe is None:
            return math.inf, self.wide
        if recipe.name not in self._quantized:
            narrow = fake_quantize(self.x, recipe, seed=SEED)
            self._quantized[recipe.name] = sqnr_db(self.x, narrow), narrow.double()
        return self._quantized[recipe.name]


def pairs_of(model: str) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return inputs and weights of every layer of a bundled model on its bundled inputs, float32, as `what_if` takes them.

    Raises:
        ValueError: an unknown name, or a model of which only the weights are here.
    """
    weights = load_weights(model)
    return {layer: (x, weights.read(f"{layer}.weight").float()) for layer, x in activations(model).items()}


@lru_cache(maxsize=4)
def layers_of(model: str) -> tuple[str, ...]:
    """Names of the layers of a bundled model that multiply with a weight, in the order of its run."""
    return tuple(activations(model))


@dataclass(frozen=True)
class Outcome:
    """A model as a whole with some of its layers quantized.

    Args:
        output_sqnr_db: of its outputs against those in float32.
        metrics: how well it does its job, as `models.evaluate` says.
    """

    output_sqnr_db: float
    metrics: Mapping[str, float]


def end_to_end(model: str, recipes: Mapping[str, str], sides: Sides = BOTH) -> Outcome:
    """Run a bundled model with layers quantized, weights and inputs, and judge it.

    Args:
        recipes: by layer, or by the name of its weight, the recipe of its weights; layers that are not named, or with "", multiply as trained.
        sides: what is quantized, "weights" and "inputs" unless given.

    Raises:
        ValueError: an unknown model, layer or recipe.
    """
    legal = layers_of(model)
    for layer in recipes:
        if layer.removesuffix(".weight") not in legal:
            raise ValueError(f"layer {layer!r} is not one of the {len(legal)} of {model}: {', '.join(legal[:4])} …")
    return _run(model, quantizing(recipes, sides))


def quantizing(recipes: Mapping[str, str], sides: Sides = BOTH) -> Linear:
    """Return what multiplies as `plain_linear` does, with the weights and inputs of some layers quantized; arguments as in `end_to_end`."""
    parsed = {layer.removesuffix(".weight"): parse_recipe(name) for layer, name in recipes.items() if name}

    def linear(layer: str, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if layer not in parsed:
            return plain_linear(layer, x, weight, bias)
        partner = inputs_of(parsed[layer]) if "inputs" in sides else None
        x = x if partner is None else fake_quantize(x, partner, seed=SEED)
        weight = fake_quantize(weight, parsed[layer], seed=SEED) if "weights" in sides else weight
        return functional.linear(x, weight, bias)

    return linear


def alone(model: str, layer: str, recipe: str) -> Outcome:
    """Run a bundled model with one layer quantized: `end_to_end(model, {layer: recipe})`, without repeating the products before it.

    Raises:
        ValueError: an unknown model, layer or recipe.
    """
    if layer not in layers_of(model):
        return end_to_end(model, {layer: recipe})
    quantized, before = quantizing({layer: recipe}), iter(layers_of(model)[: layers_of(model).index(layer)])
    products = _plain_products(model)

    def linear(name: str, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return products[name] if next(before, None) is not None else quantized(name, x, weight, bias)

    return _run(model, linear)


@dataclass(frozen=True)
class Sensitivity:
    """What one layer does to the model.

    Args:
        layer: its name.
        alone: the model with this layer quantized and no other.
        all_but: the model with every other layer quantized; what is won by leaving this one as it is.
    """

    layer: str
    alone: Outcome
    all_but: Outcome | None


def sensitivities(model: str, recipe: str, progress: Progress | None = None, *, all_but_one: bool = True) -> list[Sensitivity]:
    """Quantize one layer of a bundled model at a time, and all but one at a time -> one entry per layer, in the order of the run.

    Raises:
        ValueError: an unknown model or recipe.
    """
    layers, found = layers_of(model), []
    for done, layer in enumerate(layers):
        if progress is not None:
            progress(done, len(layers), layer)
        others = end_to_end(model, {each: recipe for each in layers if each != layer}) if all_but_one else None
        found.append(Sensitivity(layer, alone(model, layer, recipe), others))
    return found


@dataclass(frozen=True)
class Growth:
    """How an error grows on its way through a model.

    Args:
        layer: its name.
        local_sqnr_db: of its output when its inputs are those of the model in float32: what this layer adds.
        cumulative_sqnr_db: of its output in the quantized run: what has come together so far.
    """

    layer: str
    local_sqnr_db: float
    cumulative_sqnr_db: float


@torch.no_grad()
def error_growth(model: str, recipes: Mapping[str, str]) -> list[Growth]:
    """Compare each layer's own error with what has come together by then; arguments as in `end_to_end`."""
    quantized, plain, local, cumulative = quantizing(recipes), {}, {}, {}

    def watch_plain(layer, x, weight, bias):
        plain[layer] = plain_linear(layer, x, weight, bias)
        local[layer] = sqnr_db(plain[layer], quantized(layer, x, weight, bias))
        return plain[layer]

    def watch_quantized(layer, x, weight, bias):
        y = quantized(layer, x, weight, bias)
        cumulative[layer] = sqnr_db(plain[layer], y)
        return y

    for watch in (watch_plain, watch_quantized):
        forward(model, load_inputs(model), watch)
    return [Growth(layer, local[layer], cumulative[layer]) for layer in plain]


@torch.no_grad()
def _run(model: str, linear: Linear) -> Outcome:
    outputs = forward(model, load_inputs(model), linear)
    return Outcome(sqnr_db(_plain_output(model), outputs), judge(model, outputs))


@lru_cache(maxsize=2)
@torch.no_grad()
def _plain_products(model: str) -> dict[str, torch.Tensor]:
    found = {}

    def linear(layer, x, weight, bias):
        found[layer] = plain_linear(layer, x, weight, bias)
        return found[layer]

    forward(model, load_inputs(model), linear)
    return found


@lru_cache(maxsize=4)
@torch.no_grad()
def _plain_output(model: str) -> torch.Tensor:
    return forward(model, load_inputs(model))
