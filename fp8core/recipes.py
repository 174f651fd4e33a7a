"""Recipes: a format and a scaling strategy under the name by which people know the pair.

Adding a recipe is adding one literal to `RECIPES`. Every other pair has a name too, spelled
`format[:granularity[:rule[:scale_format]]]`, for example `e3m4:1x64:rceil:e8m0fnu`; a format alone means no scale.
"""

from __future__ import annotations

from dataclasses import dataclass

from fp8core.codec import OVERFLOWS, ROUNDINGS
from fp8core.formats import Format, parse_format
from fp8core.scaling import SCALE_FORMATS, ScaleSpec, parse_granularity


@dataclass(frozen=True)
class Recipe:
    """What to do with a tensor.

    Args:
        name: key of `RECIPES`, or the spelled-out name.
        format: name of the elements' format, as `parse_format` reads it.
        scaling: how to scale, None for no scale at all.
        title: what people call it.
        source: where it is defined.

    Raises:
        ValueError: unknown format, rounding or overflow.
    """

    name: str
    format: str
    scaling: ScaleSpec | None = None
    title: str = ""
    source: str = ""
    rounding: str = "half_even"
    overflow: str = "saturate"

    def __post_init__(self):
        parse_format(self.format)
        if self.rounding not in ROUNDINGS:
            raise ValueError(f"rounding = {self.rounding!r} is not one of {', '.join(ROUNDINGS)}")
        if self.overflow not in OVERFLOWS:
            raise ValueError(f"overflow = {self.overflow!r} is not one of {', '.join(OVERFLOWS)}")

    @property
    def fmt(self) -> Format:
        """The elements' format."""
        return parse_format(self.format)

    def nbytes(self, count: int, blocks: int) -> int:
        """Bytes of `count` elements and their `blocks` scales, each packed without gaps."""
        if self.scaling is None:
            return -(-count * self.fmt.bits // 8)
        store = SCALE_FORMATS[self.scaling.scale_format]
        global_bytes = parse_format(store.global_format).bits // 8 if store.global_format else 0
        return -(-count * self.fmt.bits // 8) + -(-blocks * store.bits // 8) + global_bytes


_MX = "OCP Microscaling Formats (MX) v1.0, section 6.3 (floor)"
_DEEPSEEK = "DeepSeek-V3 technical report (arXiv 2412.19437) and its inference/kernel.py: scale = max(amax, 1e-4) / 448"
_DEEPSEEK_UE8M0 = "DeepSeek-V3.1, scale_fmt ue8m0: the scale rounded up to a power of two and kept as float32; elements stay E4M3"


_MX_SCALES = ScaleSpec((1, 32), "floor", "e8m0fnu")

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("float32", "float32", None, "FP32", "no quantization"),
        Recipe("tfloat32", "tfloat32", None, "TF32 cast", "no scale"),
        Recipe("bfloat16", "bfloat16", None, "BF16 cast", "no scale"),
        Recipe("float16", "float16", None, "FP16 cast", "no scale"),
        Recipe("tensor_e4m3", "e4m3fn", ScaleSpec((None, None)), "E4M3 per tensor", "scale = amax / 448"),
        Recipe("tensor_e5m2", "e5m2", ScaleSpec((None, None)), "E5M2 per tensor", "scale = amax / 57344"),
        Recipe("row_e4m3", "e4m3fn", ScaleSpec((1, None)), "E4M3 per row", "scale = amax / 448 of each row"),
        Recipe("column_e4m3", "e4m3fn", ScaleSpec((None, 1)), "E4M3 per column", "scale = amax / 448 of each column"),
        Recipe("mxfp8_e4m3", "e4m3fn", _MX_SCALES, "MXFP8 E4M3", _MX),
        Recipe("mxfp8_e5m2", "e5m2", _MX_SCALES, "MXFP8 E5M2", _MX),
        Recipe("mxfp6_e2m3", "e2m3fn", _MX_SCALES, "MXFP6 E2M3", _MX),
        Recipe("mxfp6_e3m2", "e3m2fn", _MX_SCALES, "MXFP6 E3M2", _MX),
        Recipe("mxfp4", "e2m1fn", _MX_SCALES, "MXFP4", _MX),
        Recipe("mxint8", "mxint8", _MX_SCALES, "MXINT8", _MX),
        Recipe("nvfp4", "e2m1fn", ScaleSpec((1, 16), "amax", "e4m3fn_float32"), "NVFP4", "NVIDIA: global = amax / (6 · 448) in FP32, block scale = amax of the block / 6 / global in E4M3"),
        Recipe("deepseek_v3_1x128", "e4m3fn", ScaleSpec((1, 128), amax_floor=1e-4), "DeepSeek-V3 1×128", _DEEPSEEK),
        Recipe("deepseek_v3_128x128", "e4m3fn", ScaleSpec((128, 128), amax_floor=1e-4), "DeepSeek-V3 128×128", _DEEPSEEK),
        Recipe("deepseek_v3_1x128_ue8m0", "e4m3fn", ScaleSpec((1, 128), "rceil", amax_floor=1e-4), "DeepSeek-V3.1 1×128 UE8M0", _DEEPSEEK_UE8M0),
        Recipe("deepseek_v3_128x128_ue8m0", "e4m3fn", ScaleSpec((128, 128), "rceil", amax_floor=1e-4), "DeepSeek-V3.1 128×128 UE8M0", _DEEPSEEK_UE8M0),
        Recipe("int8_tensor", "int8", ScaleSpec((None, None)), "INT8 per tensor", "scale = amax / 127"),
        Recipe("int8_row", "int8", ScaleSpec((1, None)), "INT8 per row", "scale = amax / 127 of each row"),
        Recipe("int4_1x128", "int4", ScaleSpec((1, 128)), "INT4 1×128", "scale = amax / 7 of each block; weight-only group quantization"),
    )
}


def make_recipe(format: str | Format, scaling: ScaleSpec | None = None, rounding: str = "half_even", overflow: str = "saturate") -> Recipe:
    """Return the recipe of any format with any scaling, named so that `parse_recipe` finds it again.

    A pair that is registered under a name keeps that name. Rounding, overflow and `amax_floor` are not part of a spelled-out name.

    >>> make_recipe("e3m4", ScaleSpec((1, 64), "rceil", "e8m0fnu")).name
    'e3m4:1x64:rceil:e8m0fnu'
    """
    name = parse_format(format).name
    wanted = (name, scaling, rounding, overflow)
    for known in RECIPES.values():
        if (known.format, known.scaling, known.rounding, known.overflow) == wanted:
            return known
    if scaling is not None:
        name = f"{name}:{scaling.granularity}:{scaling.rule}:{scaling.scale_format}"
    return Recipe(name, parse_format(format).name, scaling, name, "chosen by hand", rounding, overflow)


def parse_recipe(name: str | Recipe) -> Recipe:
    """Return the recipe of that name: a key of `RECIPES`, or `format[:granularity[:rule[:scale_format]]]`.

    Raises:
        ValueError: neither a key nor such a name; the message names the part that is wrong.

    >>> parse_recipe("mxfp4").scaling.block, parse_recipe("int6:row").fmt.max
    ((1, 32), 31.0)
    """
    if isinstance(name, Recipe):
        return name
    if name in RECIPES:
        return RECIPES[name]
    format_name, *rest = str(name).split(":")
    if len(rest) > 3:
        raise ValueError(f"recipe {name!r} has {len(rest) + 1} parts: format[:granularity[:rule[:scale_format]]] has at most 4")
    try:
        fmt = parse_format(format_name)
        scaling = ScaleSpec(parse_granularity(rest[0]), *rest[1:]) if rest else None
    except ValueError as error:
        raise ValueError(f"recipe {name!r} is neither one of {', '.join(RECIPES)} nor format[:granularity[:rule[:scale_format]]]: {error}") from error
    return make_recipe(fmt, scaling)
