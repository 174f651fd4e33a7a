"""Recipes to be compared: those of the menu, and a pair of any format with any scaling that the visitor puts together."""

from __future__ import annotations

import streamlit as st

from fp8core.recipes import make_recipe
from fp8core.scaling import ScaleSpec, parse_granularity
from pages.ui import frame, own_format
from pages.ui.view import OWN, View


def draw(view: View) -> View:
    """Draw the switch, and behind it the controls of the pair -> the view with them."""
    view = frame.control("pair_of_own")
    if view.pair_of_own == "none":
        return view
    names = ("format", *(("pattern",) if view.format == OWN else ()), "granularity", "rule", "scale_format")
    for column, name in zip(st.columns(len(names)), names, strict=True):
        with column:
            view = frame.control(name)
    own_format.warn_of_pattern(view)
    return view


def recipe_names(view: View) -> tuple[str, ...]:
    """The recipes that a page compares, in order, the visitor's own at the end; each is a name that `parse_recipe` reads."""
    if view.pair_of_own == "none":
        return view.recipes
    scaling = None if view.granularity == "none" else ScaleSpec(parse_granularity(view.granularity), view.rule, view.scale_format)
    return tuple(dict.fromkeys((*view.recipes, make_recipe(own_format.menu_format(view), scaling).name)))
