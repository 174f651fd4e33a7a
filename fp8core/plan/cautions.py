"""What is known to be in the way of a quantized checkpoint, although it decodes to what was meant: libraries that do not load it, or load it otherwise."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fp8core.checkpoints import TensorInfo
from fp8core.checkpoints.source import quote
from fp8core.layers import kind_of
from fp8core.layers.kinds import short
from fp8core.packed import FAMILIES, LAYOUTS, family
from fp8core.plan.fused import group_of

STACKED = ("fp8_tensor", "fp8_row", "mxfp6", "mxfp4", "int4_group")
"""Families whose experts transformers 5 loads right."""


def cautions(infos: Mapping[str, TensorInfo], recipes: Mapping[str, str], layout: str = "compressed-tensors") -> list[str]:
    """Return what somebody has to know who writes a checkpoint by a plan, one sentence each.

    Args:
        infos: of all tensors of the checkpoint.
        recipes: by tensor; tensors that are not named, or with "", stay as they are.
        layout: a key of `packed.LAYOUTS`.

    Source: vLLM as in `fused`; transformers 5.23 with compressed-tensors 0.20, as tests/test_cautions.py loads them.
    """
    quantized = {name: recipe for name, recipe in recipes.items() if recipe and name in infos}
    return [each for each in (_broken(infos, quantized), _experts(infos, quantized), _embeddings(infos, quantized), _narrowed(infos, quantized, layout)) if quantized and each]


def _broken(infos: Mapping[str, TensorInfo], quantized: Mapping[str, str]) -> str:
    groups: dict[str, list[str]] = {}
    for name, info in infos.items():
        if len(info.shape) >= 2:
            groups.setdefault(group_of(name), []).append(name)
    broken = [names for names in groups.values() if len({quantized.get(name, "") for name in names}) > 1]
    if not broken:
        return ""
    return f"Engines multiply {quote(broken[0][0])} and {quote(broken[0][1])} as one, and their recipes differ (groups of this kind: {len(broken)}): vLLM refuses such a checkpoint."


def _experts(infos: Mapping[str, TensorInfo], quantized: Mapping[str, str]) -> str:
    experts = [name for name in infos if "experts" in name.split(".")]
    forms = {family(recipe) for recipe in quantized.values()}
    if not experts or (len(forms) == 1 and forms <= set(STACKED) and any(name in quantized for name in experts)):
        return ""
    known = "; ".join(FAMILIES[form] for form in STACKED)
    return f"This is a mixture of experts ({quote(experts[0])}), which transformers 5 stacks as it loads them: it was seen to do that right where all weights are alike, of one of these forms: {known}; and otherwise to refuse, or to take wrong numbers."


def _embeddings(infos: Mapping[str, TensorInfo], quantized: Mapping[str, str]) -> str:
    found = [name for name in quantized if kind_of(name, infos[name].shape) == "embedding"]
    return f"An embedding is quantized ({quote(found[0])}; {len(found)} in all): transformers does not load those." if found else ""


def _narrowed(infos: Mapping[str, TensorInfo], quantized: Mapping[str, str], layout: str) -> str:
    narrowed = any(family(recipe) in LAYOUTS[layout].bfloat16 for recipe in quantized.values())
    wider = next((info for info in infos.values() if info.dtype in (torch.float64, torch.float32, torch.float16)), None)
    if not narrowed or wider is None:
        return ""
    return f"Libraries decode MX and NVFP4 to BF16, and a config.json that is carried on says so: what stays {short(wider.dtype)} in the file is rounded when they load it."
