"""Names of recipes: registered ones, and spelled-out ones for all other pairs."""

from __future__ import annotations

import difflib

from fp8core.formats import Format, parse_format
from fp8core.recipes.base import Recipe
from fp8core.recipes.registry import RECIPES
from fp8core.rotation import ROTATIONS
from fp8core.scaling import ScaleSpec, parse_granularity


def make_recipe(format: str | Format, scaling: ScaleSpec | None = None, rounding: str = "half_even", overflow: str = "saturate", rotation: str = "") -> Recipe:
    """Return the recipe of any format with any scaling, named so that `parse_recipe` finds it again.

    A pair that is registered under a name keeps that name; of several names the first. Rounding, overflow, rotation and `amax_floor` are not part of a spelled-out name.

    >>> make_recipe("e3m4", ScaleSpec((1, 64), "rceil", "e8m0fnu")).name
    'e3m4:1x64:rceil:e8m0fnu'
    """
    name = parse_format(format).name
    wanted = (name, scaling, rounding, overflow, rotation)
    for known in RECIPES.values():
        if (known.format, known.scaling, known.rounding, known.overflow, known.rotation) == wanted:
            return known
    if scaling is not None:
        name = f"{name}:{scaling.granularity}:{scaling.rule}:{scaling.scale_format}"
    title = f"{name}, {ROTATIONS[rotation].title}" if rotation in ROTATIONS and rotation else name
    return Recipe(name, parse_format(format).name, scaling, title, "chosen by hand", rounding, overflow, rotation)


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
        if near := difflib.get_close_matches(str(name).strip().lower(), RECIPES, n=3, cutoff=0.75):
            raise ValueError(f"recipe {name!r} is not known: did you mean {' or '.join(near)}? ({error})") from error
        raise ValueError(f"recipe {name!r} is neither one of {', '.join(RECIPES)} nor format[:granularity[:rule[:scale_format]]]: {error}") from error
    return make_recipe(fmt, scaling)
