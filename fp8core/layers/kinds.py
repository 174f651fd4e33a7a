"""What a tensor is, how it is seen as a matrix, and which tensors are left alone."""

from __future__ import annotations

import math
import re

import torch

from fp8core.arrays import FLOAT_DTYPES

KINDS = {
    "matrix": "rows are output features, columns the inputs that are summed over",
    "convolution": "seen as (output channels, input channels · kernel), so that blocks lie along the sum",
    "experts": "a stack of matrices, one per expert; the rows of all of them are put one below the other",
    "embedding": "one row per token or position, looked up and not multiplied",
    "head": "one row per class or token that the model can answer with",
    "router": "one row per expert: its product decides which experts a token goes to",
    "vector": "a bias, or the gain of a normalization: one number per feature",
    "scalar": "a single number",
    "activation": "inputs of a layer: one row per position, columns summed over",
    "output": "outputs of a layer: one row per position",
    "gradient": "gradients of a layer's outputs or weights",
    "unreadable": "an entry of the file that holds no numbers",
}
_CAPTURED = {"input": "activation", "output": "output", "output_grad": "gradient", "weight_grad": "gradient"}
_BY_NAME = {
    "router": r"(.*\.)?[^.]*router[^.]*(\..*)?|(.*\.)?(gate|gate\.wg|shared_expert_gate)",
    "head": r"(.*\.)?([^.]*lm_head|cls|classifier|heads)(\..*)?|(.*\.)?(head|score|embed_out|output_projection|vocab_projector|qa_outputs|lm_loss|proj_out|pred_layer\.proj|predictions\.decoder)|(model\.)?(output|decoder)|(.*\.)?output_layer",
    "embedding": r"(.*\.)?([^.]*embed(dings?)?(_\d+)?|embed_(tokens|positions|in|global)(_per_layer)?|[^.]*lookup|wte|wpe|shared|relative_attention_bias)",
}
"""What modules of a kind are called, in lower case. Source: the models of transformers 5.23, of which tests/test_kinds.py names those that call them otherwise."""


def kind_of(name: str, shape: tuple[int, ...]) -> str:
    """Guess what a weight is from its shape and, where the shape does not tell, from its name -> a key of `KINDS`.

    >>> kind_of("conv1.weight", (64, 3, 7, 7)), kind_of("wte.weight", (50257, 768)), kind_of("ln.weight", (768,))
    ('convolution', 'embedding', 'vector')
    """
    lowered = name.lower()
    part, slash, weight = lowered.partition("/")
    if slash and part in _CAPTURED and len(shape) >= 2:  # as `capture` names them
        return _CAPTURED[part]
    if len(shape) < 2 or (len(shape) == 2 and lowered.endswith("bias")):  # biases of stacked experts have two axes
        return "vector" if shape else "scalar"
    if len(shape) == 2:
        module = (weight if part == "weight" else lowered).removesuffix(".weight")
        return next((kind for kind, names in _BY_NAME.items() if re.fullmatch(names, module)), "matrix")
    return "experts" if "expert" in lowered else "convolution"


def as_layer(x: torch.Tensor, kind: str) -> torch.Tensor:
    """Return a tensor in the shape in which it is quantized: a convolution (O, I, k…) becomes (O, I·k…), everything else stays."""
    return x.reshape(x.shape[0], -1) if kind == "convolution" and x.ndim > 2 else x


def why_not(shape: tuple[int, ...], kind: str, dtype: torch.dtype, *, matrices_only: bool = True, most: int | None = None) -> str:
    """Say why a tensor is not quantized; an empty text where it is.

    Args:
        matrices_only: keep vectors as they are.
        most: keep tensors of more numbers than this as they are; None for no limit.
    """
    count = math.prod(shape)
    if not count:
        return f"shape {tuple(shape)} is empty: there is nothing to quantize"
    if dtype not in FLOAT_DTYPES:
        kept = "is already 8 bits wide" if dtype.is_floating_point else "holds no real numbers" if dtype.is_complex else "holds whole numbers, such as indices or masks"
        return f"{short(dtype)} {kept}: only {', '.join(short(d) for d in FLOAT_DTYPES)} are quantized"
    if kind == "scalar":
        return "a single number stays in high precision: a scale would cost more than it saves"
    if kind == "vector" and matrices_only:
        return f"a vector of {count:,} numbers stays in high precision: biases and norms are a tiny part of all weights and enter no matrix product"
    if most is not None and count > most:
        return f"{count:,} numbers are more than the {most:,} that are analysed here"
    return ""


def short(dtype: torch.dtype) -> str:
    """Return a type's name without its library."""
    return str(dtype).removeprefix("torch.")
