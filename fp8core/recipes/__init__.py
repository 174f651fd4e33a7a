"""Recipes: a format and a scaling strategy under the name by which people know the pair.

Adding a recipe is adding one literal to `registry.LIBRARIES`. Every other pair has a name too, spelled
`format[:granularity[:rule[:scale_format]]]`, for example `e3m4:1x64:rceil:e8m0fnu`; a format alone means no scale.
"""

from fp8core.recipes.base import Recipe
from fp8core.recipes.parse import make_recipe, parse_recipe
from fp8core.recipes.registry import INPUTS, LIBRARIES, RECIPES, inputs_of, namesakes

__all__ = ["INPUTS", "LIBRARIES", "RECIPES", "Recipe", "inputs_of", "make_recipe", "namesakes", "parse_recipe"]
