"""A plan in the forms in which libraries take it. Where a library has no form for a recipe, the layer is left as it is, and the text says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fp8core.checkpoints.source import is_text
from fp8core.packed.families import family
from fp8core.packed.layouts import scheme_groups
from fp8core.plan.plan import Plan

_TE = {
    "fp8_tensor": "Float8CurrentScaling()",
    "fp8_block": "Float8BlockScaling()",
    "mxfp8": "MXFP8BlockScaling()",
    "nvfp4": "NVFP4BlockScaling()",
}
"""Source: Transformer Engine 2.x, common/recipe/__init__.py."""

_AO = {
    "fp8_tensor": "Float8DynamicActivationFloat8WeightConfig(granularity=PerTensor())",
    "fp8_row": "Float8DynamicActivationFloat8WeightConfig(granularity=PerRow())",
    "fp8_block": "Float8DynamicActivationFloat8WeightConfig(granularity=[PerBlock([1, 128]), PerBlock([128, 128])])",
    "mxfp8": "MXDynamicActivationMXWeightConfig(activation_dtype=torch.float8_e4m3fn, weight_dtype=torch.float8_e4m3fn)",
    "mxfp4": "MXDynamicActivationMXWeightConfig(activation_dtype=torch.float4_e2m1fn_x2, weight_dtype=torch.float4_e2m1fn_x2)",
    "nvfp4": "NVFP4DynamicActivationNVFP4WeightConfig()",
    "int8_row": "Int8DynamicActivationInt8WeightConfig()",
    "int4_group": "Int4WeightOnlyConfig(group_size=128)",
}
"""Source: torchao 0.18.0, quantization/quant_api.py and prototype/mx_formats."""


@dataclass(frozen=True)
class Export:
    """A form of a plan.

    Args:
        title: what it is, and for whom.
        file: what a file with it is called.
        language: of the text: python, json.
        text: from a plan to the text.
        families: keys of `packed.FAMILIES` that it can say; None for every recipe.
    """

    title: str
    file: str
    language: str
    text: Callable[[Plan], str]
    families: frozenset[str] | None = None

    def left_out(self, plan: Plan) -> dict[str, str]:
        """Return the tensors whose recipe this form cannot say, with that recipe."""
        return {name: recipe for name, recipe in plan.recipes.items() if recipe and self.families is not None and family(recipe) not in self.families}


def _by_module(plan: Plan, known: Mapping[str, object]) -> dict[str, str]:
    """The family of every module whose recipe is known."""
    return {name.removesuffix(".weight"): family(recipe) for name, recipe in plan.recipes.items() if recipe and family(recipe) in known}


def _comments(export: str, plan: Plan) -> list[str]:
    left = EXPORTS[export].left_out(plan)
    lines = [f"# A plan for {_one_line(plan.checkpoint)}."]
    return lines + [f"# Left as they are, because there is no form for their recipe: {_one_line(name)} ({recipe})." for name, recipe in left.items()]


def _transformer_engine(plan: Plan) -> str:
    modules = _by_module(plan, _TE)
    used = {form: _TE[form] for form in dict.fromkeys(modules.values())}
    names = ", ".join(sorted({text.partition("(")[0] for text in used.values()}))
    return "\n".join([
        *_comments("transformer_engine", plan),
        "# Scales follow Transformer Engine's own rules. Call recipes(model) once; modules of other libraries are left as they are.",
        "import transformer_engine.pytorch as te",
        *([f"from transformer_engine.common.recipe import {names}"] if names else []),
        "",
        "RECIPES = {",
        *(f"    {form!r}: {text}," for form, text in used.items()),
        "}",
        "PLAN = {",
        *(f"    {module!r}: {form!r}," for module, form in modules.items()),
        "}",
        "",
        "",
        "def recipes(model):",
        '    """Let every module of the plan run under its own recipe, and all others in high precision."""',
        "    for name, module in model.named_modules():",
        "        if isinstance(module, te.module.base.TransformerEngineBaseModule):",
        "            module.forward = _under(RECIPES.get(PLAN.get(name)), module.forward)",
        "",
        "",
        "def _under(recipe, forward):",
        "    def run(*args, **kwargs):",
        "        with te.autocast(enabled=recipe is not None, recipe=recipe):",
        "            return forward(*args, **kwargs)",
        "",
        "    return run",
        "",
    ])  # fmt: skip


def _torchao(plan: Plan) -> str:
    modules = _by_module(plan, _AO)
    texts = [_AO[form] for form in dict.fromkeys(modules.values())]
    stable = sorted({name for name in _names(texts) if not name.startswith(("MX", "NVFP4"))} | {"FqnToConfig", "quantize_"})
    early = sorted({name for name in _names(texts) if name.startswith(("MX", "NVFP4"))})
    return "\n".join([
        *_comments("torchao", plan),
        "# Scales follow torchao's own rules.",
        "from collections import OrderedDict",
        "",
        "import torch",
        *([f"from torchao.prototype.mx_formats import {', '.join(early)}"] if early else []),
        f"from torchao.quantization import {', '.join(stable)}",
        "",
        "CONFIG = FqnToConfig(OrderedDict([",
        *(f"    ({module!r}, {_AO[form]})," for module, form in modules.items()),
        "]))",
        "",
        "",
        "def apply(model: torch.nn.Module) -> None:",
        '    """Quantize the weights of a model where it stands."""',
        "    quantize_(model, CONFIG, filter_fn=None)",
        "",
    ])  # fmt: skip


def _names(texts: list[str]) -> set[str]:
    parts = [word for text in texts for word in text.replace("(", " ").replace("[", " ").replace("=", " ").replace(",", " ").split()]
    return {word for word in parts if word.endswith("Config") or word in ("PerTensor", "PerRow", "PerBlock")}


def _llm_compressor(plan: Plan) -> str:
    groups = scheme_groups(_by_module(plan, EXPORTS["llm_compressor"].families))
    modifier = {"QuantizationModifier": {"ignore": [name.removesuffix(".weight") for name, recipe in plan.recipes.items() if not recipe], "config_groups": groups}}
    recipe = {"quant_stage": {"quant_modifiers": modifier}}
    text = json.dumps(recipe, indent=2, ensure_ascii=False)  # to YAML, both halves of an escaped pair would be characters of their own
    return (text if is_text(text) else json.dumps(recipe, indent=2)) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.encode("utf-8", errors="backslashreplace").decode("utf-8").split())


EXPORTS: dict[str, Export] = {
    "json": Export("The plan as JSON", "plan.json", "json", Plan.to_json),
    "transformer_engine": Export("Transformer Engine in Python", "te_recipes.py", "python", _transformer_engine, frozenset(_TE)),
    "torchao": Export("torchao in Python", "torchao_config.py", "python", _torchao, frozenset(_AO)),
    "llm_compressor": Export("llm-compressor, a recipe in YAML", "recipe.yaml", "json", _llm_compressor,
                             frozenset(("fp8_tensor", "fp8_row", "fp8_block", "mxfp8", "mxfp6", "mxfp4", "nvfp4", "int8_tensor", "int8_row", "int4_group"))),
}  # fmt: skip
