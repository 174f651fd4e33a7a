"""Which of the forms that other projects know a recipe has: what decides is where its scales lie and how elements and scales are stored."""

from __future__ import annotations

from fp8core.recipes import Recipe, parse_recipe

FAMILIES = {
    "fp8_tensor": "E4M3, one FP32 scale",
    "fp8_row": "E4M3, one FP32 scale per row",
    "fp8_block": "E4M3, one FP32 scale per 128 × 128",
    "mxfp8": "MXFP8 E4M3",
    "mxfp6": "MXFP6 E2M3",
    "mxfp4": "MXFP4",
    "nvfp4": "NVFP4",
    "int8_tensor": "INT8, one FP32 scale",
    "int8_row": "INT8, one FP32 scale per row",
    "int4_group": "INT4, one FP32 scale per 1 × 128",
}

_BY_FORM = {
    ("e4m3fn", (None, None), "float32"): "fp8_tensor",
    ("e4m3fn", (1, None), "float32"): "fp8_row",
    ("e4m3fn", (128, 128), "float32"): "fp8_block",
    ("e4m3fn", (1, 32), "e8m0fnu"): "mxfp8",
    ("e2m3fn", (1, 32), "e8m0fnu"): "mxfp6",
    ("e2m1fn", (1, 32), "e8m0fnu"): "mxfp4",
    ("e2m1fn", (1, 16), "e4m3fn_float32"): "nvfp4",
    ("int8", (None, None), "float32"): "int8_tensor",
    ("int8", (1, None), "float32"): "int8_row",
    ("int4", (1, 128), "float32"): "int4_group",
}


def family(recipe: str | Recipe) -> str:
    """Return the key of `FAMILIES` that a recipe for weights belongs to; "" where no other project has its form.

    >>> family("compressed_tensors_fp8_block"), family("mxfp4"), family("tensor_e5m2")
    ('fp8_block', 'mxfp4', '')
    """
    parsed = parse_recipe(recipe)
    if parsed.scaling is None or parsed.rotation:
        return ""
    return _BY_FORM.get((parsed.format, parsed.scaling.block, parsed.scaling.scale_format), "")
