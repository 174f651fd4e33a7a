"""What is known to be in the way of a quantized checkpoint, although it decodes to what was meant: libraries that do not load it, or load it otherwise."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fp8core.checkpoints import TensorInfo
from fp8core.checkpoints.source import quote
from fp8core.layers import kind_of
from fp8core.packed import FAMILIES, LAYOUTS, family
from fp8core.plan.fused import group_of

LOADED = (
    "bert", "biogpt", "bloom", "codegen", "cohere", "distilbert", "electra", "exaone4", "gemma", "gemma2", "gemma3_text", "glm", "glm4", "gpt_neox", "gptj", "granite", "llama", "mistral",
    "mpt", "nemotron", "olmo", "olmo2", "opt", "phi", "phi3", "qwen2", "qwen3", "roberta", "smollm3", "stablelm", "starcoder2", "xlm-roberta",
)  # fmt: skip
"""Types of models that transformers was seen to load right, in either layout."""
LOADED_EXPERTS = ("mixtral", "olmoe", "qwen3_moe")
"""The same of mixtures of experts, as far as STACKED goes."""
STACKED = ("fp8_tensor", "fp8_row", "mxfp6", "mxfp4", "int4_group")
"""Families whose experts transformers 5 loads right where all weights are alike."""


def cautions(infos: Mapping[str, TensorInfo], recipes: Mapping[str, str], layout: str = "compressed-tensors", model_type: str | None = None) -> list[str]:
    """Return what somebody has to know who writes a checkpoint by a plan, one sentence each.

    Args:
        infos: of all tensors of the checkpoint.
        recipes: by tensor; tensors that are not named, or with "", stay as they are.
        layout: a key of `packed.LAYOUTS`.
        model_type: what the config.json beside it says, as `packed.model_type` finds it; None where there is none.

    Source: vLLM as in `fused`; transformers 5.23 with compressed-tensors 0.20, as tests/test_cautions.py loads them.
    """
    quantized = {name: recipe for name, recipe in recipes.items() if recipe and name in infos}
    if not quantized:
        return []
    found = [_type(model_type), _broken(infos, quantized), _no_linear_layer(infos, quantized)]
    if layout == "deepseek":
        found.append(_parts_of_blocks(infos, quantized))
    else:
        found += [_experts(infos, quantized), _narrowed(infos, quantized, layout), _scales(infos, quantized, layout)]
    return [each for each in found if each]


def _type(model_type: str | None) -> str:
    if model_type is None:
        return "No config.json of the whole model lies beside this checkpoint, and libraries need one to know what it is."
    if model_type in (*LOADED, *LOADED_EXPERTS):
        return ""
    return f"No model of the type {quote(model_type)} was loaded to try this. transformers finds quantized layers by their names in the file: where a model renames them as it loads, or has no linear layers there, it refuses, or takes wrong numbers without an error. Compare its answers with those of before."


def _broken(infos: Mapping[str, TensorInfo], quantized: Mapping[str, str]) -> str:
    groups: dict[str, list[str]] = {}
    for name, info in infos.items():
        if len(info.shape) >= 2:
            groups.setdefault(group_of(name), []).append(name)
    broken = [names for names in groups.values() if len({quantized.get(name, "") for name in names}) > 1]
    if not broken:
        return ""
    return f"Engines multiply {quote(broken[0][0])} and {quote(broken[0][1])} as one, and their recipes differ (groups of this kind: {len(broken)}): vLLM refuses such a checkpoint."


def _no_linear_layer(infos: Mapping[str, TensorInfo], quantized: Mapping[str, str]) -> str:
    found = [name for name in quantized if kind_of(name, infos[name].shape) in ("embedding", "router")]
    return f"{quote(found[0])} is quantized, an embedding or a router ({len(found)} in all): transformers has no linear layer there, and loads no quantized one." if found else ""


def _experts(infos: Mapping[str, TensorInfo], quantized: Mapping[str, str]) -> str:
    experts = [name for name in infos if "experts" in name.split(".")]
    forms = {family(quantized[name]) if name in quantized else "" for name, info in infos.items() if kind_of(name, info.shape) == "matrix"}
    if not experts or (len(forms) == 1 and forms <= set(STACKED)):
        return ""
    known = "; ".join(FAMILIES[form] for form in STACKED)
    return f"This is a mixture of experts ({quote(experts[0])}), which transformers 5 stacks as it loads them. It was seen to do that right where all weights are alike, of one of these forms: {known}. Of other plans it refused some, and took wrong numbers from others."


def _narrowed(infos: Mapping[str, TensorInfo], quantized: Mapping[str, str], layout: str) -> str:
    narrowed = any(family(recipe) in LAYOUTS[layout].bfloat16 for recipe in quantized.values())
    wider = {short for short in ("float64", "float32", "float16") for name, info in infos.items() if name not in quantized and info.dtype is getattr(torch, short)}
    return f"Libraries decode MX and NVFP4 to BF16, and a config.json that is carried on says so: what stays {max(wider)} in the file is rounded when they load it." if narrowed and wider else ""


def _scales(infos: Mapping[str, TensorInfo], quantized: Mapping[str, str], layout: str) -> str:
    first = next((name for name, recipe in quantized.items() if infos[name].dtype is torch.float16 and family(recipe) not in LAYOUTS[layout].bfloat16), "")
    return first and f"The scales of {quote(first)} are FP32, and transformers rounds them to FP16, the type of the model: scales below 6.1e-5 lose digits, and with them the weights that they scale."


def _parts_of_blocks(infos: Mapping[str, TensorInfo], quantized: Mapping[str, str]) -> str:
    found = [name for name in quantized if any(side % 128 for side in infos[name].shape)]
    return f"{quote(found[0])} of shape {tuple(infos[found[0]].shape)} is not made of whole blocks of 128 × 128 ({len(found)} such weights): transformers was seen to take wrong numbers from those." if found else ""
