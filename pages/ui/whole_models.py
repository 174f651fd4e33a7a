"""Bundled models as a whole, for pages: computed once, and kept by the names of model, layer and recipe."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fp8core import sensitivity
from fp8core.capturing import captured
from fp8core.models import MODELS, load_weights
from fp8core.plan import Cost, noise_to_signal, of_outputs, planned_layers
from fp8core.sensitivity import Growth, Outcome, ProductReport, Sensitivity
from pages.ui.language import tr
from pages.ui.layer_sources import Source
from pages.ui.progress import one_by_one

NEEDS_INPUTS = "This needs a model that can be run: a bundled one with inputs, at the left."


def runnable(source: Source) -> bool:
    """Whether a source is a bundled model with inputs; says so where it is not."""
    if source.model and MODELS[source.model].inputs:
        return True
    st.info(tr(NEEDS_INPUTS))
    return False


def products(source: Source, recipes: Sequence[str]) -> list[ProductReport]:
    """Every layer's product under every recipe, layer by layer; none of a source without inputs."""
    if source.model and MODELS[source.model].inputs:
        key, pairs = source.model, _pairs(source.model)
    else:
        key, pairs = source.key, {} if source.checkpoint is None else captured(source.checkpoint)
    found = one_by_one(f"products/{key}/{recipes!r}", list(pairs), lambda layer: _products(key, layer, tuple(recipes), pairs))
    return [report for layer in found for report in layer]


def outcome(model: str, recipes: dict[str, str]) -> Outcome:
    """The model with these recipes by layer."""
    return _outcome(model, tuple(recipes.items()))


def noise(model: str, recipes: dict[str, str]) -> float:
    """Noise-to-signal ratio of the model's output with these recipes by weight."""
    return noise_to_signal(outcome(model, dict(recipes)).output_sqnr_db)


def layers_of(model: str) -> tuple[str, ...]:
    """Layers of a model that multiply with a weight; none of a model that cannot be run."""
    return sensitivity.layers_of(model) if MODELS[model].inputs else ()


def uniform_outcome(model: str, recipe: str) -> Outcome:
    """The model with one recipe for all layers."""
    return outcome(model, dict.fromkeys(sensitivity.layers_of(model), recipe))


def sensitivities(model: str, recipe: str) -> list[Sensitivity]:
    """Each layer alone, and all but it."""
    layers = sensitivity.layers_of(model)

    def one(layer: str) -> Sensitivity:
        return Sensitivity(layer, _alone(model, layer, recipe), outcome(model, {each: recipe for each in layers if each != layer}))

    return one_by_one(f"sensitivities/{model}/{recipe}", layers, one)


@st.cache_data(max_entries=64, show_spinner=False)
def growth(model: str, recipe: str) -> list[Growth]:
    """Each layer's own error and what has come together by then."""
    return sensitivity.error_growth(model, dict.fromkeys(sensitivity.layers_of(model), recipe))


def costs(model: str, recipes: Sequence[str]) -> list[Cost]:
    """What each recipe costs each layer, as `plan.of_model` says; nothing more is drawn while the visitor has stopped that."""
    weights = load_weights(model)

    def one(layer: str) -> list[Cost]:
        return of_outputs(weights.infos[f"{layer}.weight"], {recipe: _alone(model, layer, recipe).output_sqnr_db for recipe in recipes})

    layers = planned_layers(model)
    found = one_by_one(f"costs/{model}/{recipes!r}", layers, one)
    if len(found) < len(layers):
        st.stop()
    return [cost for layer in found for cost in layer]


@st.cache_resource(max_entries=4, show_spinner=False)
def _pairs(model: str):
    return sensitivity.pairs_of(model)


@st.cache_data(max_entries=2048, show_spinner=False)
def _products(model: str, layer: str, recipes: tuple[str, ...], _pairs) -> list[ProductReport]:
    return sensitivity.what_if({layer: _pairs[layer]}, recipes)


@st.cache_data(max_entries=8192, show_spinner=False)
def _alone(model: str, layer: str, recipe: str) -> Outcome:
    return sensitivity.alone(model, layer, recipe)


@st.cache_data(max_entries=8192, show_spinner=False)
def _outcome(model: str, recipes: tuple[tuple[str, str], ...]) -> Outcome:
    return sensitivity.end_to_end(model, dict(recipes))


def input_rows(model: str) -> int:
    """How many rows the bundled inputs of a model have."""
    return len(next(iter(_pairs(model).values()))[0])


def explained(model: str) -> str:
    """What the metrics of a model mean, translated."""
    words = {
        "minilm": tr("Model output: SQNR of the sentence embeddings. Cosine: of each embedding with the one in float32. Neighbour: which of the other 31 sentences is most similar; the same one as in float32, and the one that means the same."),
        "digits": tr("Model output: SQNR of the logits. Accuracy: pictures that were not trained on and are read correctly."),
    }  # fmt: skip
    return words.get(model, "")
