"""The matrices of well-known language models, layer by layer: what a product is measured with when its size should mean something."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BATCHES = (1, 16, 128, 1024, 8192)
MAX_BATCH = 8192
SQUARES = (256, 512, 1024, 2048, 4096, 8192)


@dataclass(frozen=True)
class LayerShape:
    """A linear layer y = x·Wᵀ: x (batch, k), weights W (n, k), y (batch, n). The batch is a number of tokens.

    Args:
        model: a key of `MODELS`, or "square".

    Raises:
        ValueError: a side that is not a whole number from 1 on.
    """

    model: str
    layer: str
    n: int
    k: int

    def __post_init__(self):
        for side in ("n", "k"):
            value = getattr(self, side)
            if type(value) is not int or value < 1:
                raise ValueError(f"{side} = {value!r}: it is a whole number from 1 on")


@dataclass(frozen=True)
class GroupedAttention:
    """Attention whose query heads share fewer key and value heads; as many of them as query heads is the plain kind.

    Args:
        hidden: numbers of one token between the layers.
        heads, key_value_heads: how many there are.
        head_size: numbers of one head.
    """

    hidden: int
    heads: int
    key_value_heads: int
    head_size: int

    @property
    def sides(self) -> dict[str, tuple[int, int]]:
        """(n, k) of each layer; query, key and value stand below each other in one matrix."""
        return {
            "QKV": ((self.heads + 2 * self.key_value_heads) * self.head_size, self.hidden),
            "attention output": (self.hidden, self.heads * self.head_size),
        }


@dataclass(frozen=True)
class LatentAttention:
    """Multi-head latent attention: queries, and keys with values, are each pressed through a short vector (the rank) on the way.

    Args:
        query_rank, key_value_rank: lengths of the two short vectors.
        plain_size, rotary_size: numbers of a query or key head without and with its position turned in; the rotary part of the keys is
            made once for all heads, beside the short vector.
        value_size: numbers of a value head.
    """

    hidden: int
    heads: int
    query_rank: int
    key_value_rank: int
    plain_size: int
    rotary_size: int
    value_size: int

    @property
    def sides(self) -> dict[str, tuple[int, int]]:
        """(n, k) of each layer."""
        return {
            "query down": (self.query_rank, self.hidden),
            "query up": (self.heads * (self.plain_size + self.rotary_size), self.query_rank),
            "key and value down": (self.key_value_rank + self.rotary_size, self.hidden),
            "key and value up": (self.heads * (self.plain_size + self.value_size), self.key_value_rank),
            "attention output": (self.hidden, self.heads * self.value_size),
        }


@dataclass(frozen=True)
class PlainMlp:
    """Up to `inner` numbers, a function of each, and down again."""

    hidden: int
    inner: int
    name: str = "MLP"

    @property
    def sides(self) -> dict[str, tuple[int, int]]:
        """(n, k) of both layers."""
        return {f"{self.name} up": (self.inner, self.hidden), f"{self.name} down": (self.hidden, self.inner)}


@dataclass(frozen=True)
class GatedMlp:
    """As `PlainMlp`, and what goes up is multiplied by a gate of the same size, which stands below it in one matrix."""

    hidden: int
    inner: int
    name: str = "MLP"

    @property
    def sides(self) -> dict[str, tuple[int, int]]:
        """(n, k) of both layers."""
        return {f"{self.name} gate and up": (2 * self.inner, self.hidden), f"{self.name} down": (self.hidden, self.inner)}


@dataclass(frozen=True)
class Model:
    """A published language model, as far as the sizes of its linear layers go.

    Args:
        name: its key in `MODELS`.
        label: name for people.
        parts: what a transformer layer consists of, each with its published numbers.
        source: where they are from.
    """

    name: str
    label: str
    parts: tuple[GroupedAttention | LatentAttention | PlainMlp | GatedMlp, ...]
    source: str

    @property
    def layers(self) -> tuple[LayerShape, ...]:
        """The layers in the order in which a token passes them.

        >>> [(shape.layer, shape.n, shape.k) for shape in MODELS["llama3_8b"].layers][:2]
        [('QKV', 6144, 4096), ('attention output', 4096, 4096)]
        """
        return tuple(LayerShape(self.name, layer, n, k) for part in self.parts for layer, (n, k) in part.sides.items())


MODELS = {
    model.name: model
    for model in (
        Model(
            "llama3_8b",
            "Llama 3 8B",
            (GroupedAttention(hidden=4096, heads=32, key_value_heads=8, head_size=128), GatedMlp(hidden=4096, inner=14336)),
            "Grattafiori et al., The Llama 3 Herd of Models (arXiv 2407.21783), table 3; head size = model dimension / heads",
        ),
        Model(
            "llama3_70b",
            "Llama 3 70B",
            (GroupedAttention(hidden=8192, heads=64, key_value_heads=8, head_size=128), GatedMlp(hidden=8192, inner=28672)),
            "Grattafiori et al., The Llama 3 Herd of Models (arXiv 2407.21783), table 3; head size = model dimension / heads",
        ),
        Model(
            "deepseek_v3",
            "DeepSeek-V3",
            (
                LatentAttention(hidden=7168, heads=128, query_rank=1536, key_value_rank=512, plain_size=128, rotary_size=64, value_size=128),
                GatedMlp(hidden=7168, inner=18432, name="dense MLP"),
                GatedMlp(hidden=7168, inner=2048, name="expert"),
            ),
            "DeepSeek-AI, DeepSeek-V3 Technical Report (arXiv 2412.19437), section 4.2; the dense MLP: inter_dim in inference/configs/config_671B.json of github.com/deepseek-ai/DeepSeek-V3",
        ),
        Model(
            "gpt3_175b",
            "GPT-3 175B",
            (GroupedAttention(hidden=12288, heads=96, key_value_heads=96, head_size=128), PlainMlp(hidden=12288, inner=4 * 12288)),
            "Brown et al., Language Models are Few-Shot Learners (arXiv 2005.14165), table 2.1; the MLP is four times as wide as the model, section 2.1",
        ),
    )
}


def squares(sides: Iterable[int] = SQUARES) -> tuple[LayerShape, ...]:
    """Layers of as many outputs as inputs.

    >>> squares([512])
    (LayerShape(model='square', layer='512 × 512', n=512, k=512),)
    """
    return tuple(LayerShape("square", f"{side} × {side}", side, side) for side in sides)
