"""How a quantized weight becomes the tensors of a checkpoint that other projects read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from fp8core.arrays import as_matrix
from fp8core.codec import pack
from fp8core.packed.families import FAMILIES, family
from fp8core.quantized import QuantizedTensor
from fp8core.recipes import Recipe
from fp8core.rules.compressed_tensors import global_encode_scale
from fp8core.scaling import amax

Parts = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Layout:
    """A way to store quantized weights.

    Args:
        title: whose it is, and who reads it.
        source: where it is described.
        parts: by key of `FAMILIES`, what a weight (R, C) and its quantized form become: tensors by what is added to the weight's module.
        config: from the family of every layer by its module's name, and the modules that stay as they are, to what `quantization_config` in config.json says.
        whole: families whose blocks have to be whole along a row.
        bfloat16: families that readers decode to BF16, whatever the model's type was.
    """

    title: str
    source: str
    parts: dict[str, Callable[[torch.Tensor, QuantizedTensor], Parts]]
    config: Callable[[dict[str, str], list[str], set[str]], dict[str, Any]]
    whole: frozenset[str] = frozenset()
    bfloat16: frozenset[str] = frozenset()

    def refuses(self, name: str, shape: tuple[int, ...], recipe: Recipe) -> str:
        """Say why a weight cannot be stored so; an empty text where it can."""
        form = family(recipe)
        if len(shape) != 2 or not name.endswith(".weight"):
            return f"{name} of shape {shape}: only matrices whose names end in .weight are stored quantized"
        if not all(shape):
            return f"{name} of shape {shape}: there is no number in it"
        if form not in self.parts:
            known = "; ".join(FAMILIES[key] for key in self.parts)
            return f"{name}, recipe {recipe.name}: this layout holds {known}"
        if form == "nvfp4" and recipe.name not in _EXACT_NVFP4:
            return f"{name}, recipe {recipe.name}: its global scale cannot be stored exactly in this layout; {' or '.join(sorted(_EXACT_NVFP4))} can"
        if not self.fits(shape, recipe):
            return f"{name} of shape {shape}, recipe {recipe.name}: its columns are not a multiple of {recipe.scaling.block[1]}, the block of this layout"
        return ""

    def fits(self, shape: tuple[int, ...], recipe: Recipe) -> bool:
        """Whether the columns of a weight are whole blocks, where the form of its recipe has to have those."""
        return family(recipe) not in self.whole or shape[-1] % recipe.scaling.block[1] == 0


def _of_bytes(dtype: torch.dtype) -> Callable[[torch.Tensor, QuantizedTensor], Parts]:
    def parts(x: torch.Tensor, q: QuantizedTensor) -> Parts:
        return {"weight": q.codes.view(dtype), "weight_scale": q.scale if q.scale.numel() > 1 or q.recipe.scaling.block[0] else q.scale.reshape(1)}

    return parts


def _mxfp8(x: torch.Tensor, q: QuantizedTensor) -> Parts:
    return {"weight": q.codes.view(torch.float8_e4m3fn), "weight_scale": q.scale_codes}


def _mx_packed(bits: int) -> Callable[[torch.Tensor, QuantizedTensor], Parts]:
    def parts(x: torch.Tensor, q: QuantizedTensor) -> Parts:
        return {"weight_packed": pack(q.codes, bits).reshape(x.shape[0], -1), "weight_scale": q.scale_codes}

    return parts


def _nvfp4(x: torch.Tensor, q: QuantizedTensor) -> Parts:
    largest = amax(as_matrix(x), q.recipe.scaling.block, "both").to(torch.float32).max()
    return {
        "weight_packed": pack(q.codes, 4).reshape(x.shape[0], -1), "weight_scale": q.scale_codes.view(torch.float8_e4m3fn),
        "weight_global_scale": global_encode_scale(largest, q.recipe.fmt).reshape(1),
    }  # fmt: skip


def _int4(x: torch.Tensor, q: QuantizedTensor) -> Parts:
    offset = q.codes ^ 8  # from two's complement to an offset of 8
    padded = torch.nn.functional.pad(offset, (0, -offset.shape[1] % 8))
    return {"weight_packed": pack(padded, 4).reshape(x.shape[0], -1).view(torch.int32), "weight_scale": q.scale, "weight_shape": torch.tensor(x.shape, dtype=torch.int64)}


def _deepseek(x: torch.Tensor, q: QuantizedTensor) -> Parts:
    return {"weight": q.codes.view(torch.float8_e4m3fn), "weight_scale_inv": q.scale}


def _numbers(bits: int, kind: str, strategy: str, **more: Any) -> dict[str, Any]:
    return {"num_bits": bits, "type": kind, "symmetric": True, "strategy": strategy} | more


SCHEMES: dict[str, tuple[str, dict[str, Any], dict[str, Any] | None]] = {
    "fp8_tensor": ("float-quantized", _numbers(8, "float", "tensor"), _numbers(8, "float", "tensor", dynamic=True)),
    "fp8_row": ("float-quantized", _numbers(8, "float", "channel"), _numbers(8, "float", "token", dynamic=True)),
    "fp8_block": ("float-quantized", _numbers(8, "float", "block", block_structure=[128, 128]), _numbers(8, "float", "group", group_size=128, dynamic=True)),
    "mxfp8": ("mxfp8-quantized", _numbers(8, "float", "group", group_size=32, scale_dtype="torch.uint8"), _numbers(8, "float", "group", group_size=32, dynamic=True, scale_dtype="torch.uint8")),
    "mxfp6": ("mxfp6-pack-quantized", _numbers(6, "float", "group", group_size=32, scale_dtype="torch.uint8"), None),
    "mxfp4": ("mxfp4-pack-quantized", _numbers(4, "float", "group", group_size=32, scale_dtype="torch.uint8"), _numbers(4, "float", "group", group_size=32, dynamic=True, scale_dtype="torch.uint8")),
    "nvfp4": ("nvfp4-pack-quantized", _numbers(4, "float", "tensor_group", group_size=16, scale_dtype="torch.float8_e4m3fn"), None),
    "int8_tensor": ("int-quantized", _numbers(8, "int", "tensor"), _numbers(8, "int", "token", dynamic=True)),
    "int8_row": ("int-quantized", _numbers(8, "int", "channel"), _numbers(8, "int", "token", dynamic=True)),
    "int4_group": ("pack-quantized", _numbers(4, "int", "group", group_size=128), None),
}
"""What compressed-tensors calls each family: the format of its tensors, the weights, and the inputs, None where they stay as they are.

NVFP4 inputs need a global scale that only calibration gives, so that they are left as they are here.
Source: compressed-tensors 0.20.0, quantization/quant_scheme.py.
"""


def scheme_groups(families: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the `config_groups` of compressed-tensors for the family of every module, by its name."""
    groups = {}
    for number, form in enumerate(dict.fromkeys(families.values())):
        stored, weights, inputs = SCHEMES[form]
        groups[f"group_{number}"] = {
            "targets": [module for module, each in families.items() if each == form],
            "weights": weights, "input_activations": inputs, "format": stored,
        }  # fmt: skip
    return groups


def _compressed_tensors_config(families: dict[str, str], kept: list[str], recipes: set[str]) -> dict[str, Any]:
    stored = {SCHEMES[form][0] for form in families.values()}
    return {
        "quant_method": "compressed-tensors", "format": stored.pop() if len(stored) == 1 else "mixed-precision", "quantization_status": "compressed",
        "config_groups": scheme_groups(families), "ignore": kept,
    }  # fmt: skip


def _deepseek_config(families: dict[str, str], kept: list[str], recipes: set[str]) -> dict[str, Any]:
    config = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128], "activation_scheme": "dynamic", "modules_to_not_convert": kept}
    return config | ({"scale_fmt": "ue8m0"} if recipes and all(name.endswith("_ue8m0") for name in recipes) else {})


LAYOUTS: dict[str, Layout] = {
    "compressed-tensors": Layout(
        "compressed-tensors: vLLM, transformers, SGLang",
        "compressed-tensors 0.20.0, compressors/",
        {
            **dict.fromkeys(("fp8_tensor", "fp8_row", "fp8_block"), _of_bytes(torch.float8_e4m3fn)), "mxfp8": _mxfp8, "mxfp6": _mx_packed(6), "mxfp4": _mx_packed(4), "nvfp4": _nvfp4,
            **dict.fromkeys(("int8_tensor", "int8_row"), _of_bytes(torch.int8)), "int4_group": _int4,
        },
        _compressed_tensors_config,
        whole=frozenset(("fp8_block", "mxfp8", "mxfp6", "mxfp4", "nvfp4", "int4_group")),  # of fp8_block, inputs are quantized in groups as wide
        bfloat16=frozenset(("mxfp8", "mxfp6", "mxfp4", "nvfp4")),
    ),
    "deepseek": Layout(
        "DeepSeek-V3: E4M3 with one FP32 scale per 128 × 128 beside it",
        "DeepSeek-V3 README_WEIGHTS.md and inference/kernel.py",
        {"fp8_block": _deepseek},
        _deepseek_config,
    ),
}  # fmt: skip
_EXACT_NVFP4 = {"compressed_tensors_nvfp4"}
