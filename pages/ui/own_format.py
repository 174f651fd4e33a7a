"""The one format that a view names: out of the menu, of the visitor's own making, or of a recipe."""

from __future__ import annotations

import streamlit as st

from fp8core.formats import FORMATS, Format, parse_format
from fp8core.recipes import RECIPES
from pages.ui.language import told, tr
from pages.ui.upload import as_text
from pages.ui.view import BY_HAND, OWN, View, recipe_title

_INSTEAD = "e4m3fn"


def chosen_format(view: View) -> Format:
    """Return the format of the recipe where one is chosen by name, else that of the menu."""
    return menu_format(view) if view.preset == BY_HAND else RECIPES[view.preset].fmt


def menu_format(view: View) -> Format:
    """Return the format of the menu; E4M3 where it is of the visitor's own and the pattern cannot be read."""
    if view.format != OWN:
        return FORMATS[view.format]
    return parse_format(_INSTEAD) if why_not(view) else parse_format(view.pattern.strip().lower())


def named(format_name: str) -> dict[str, str]:
    """The fields of a View that name a format."""
    return {"format": format_name} if format_name in FORMATS else {"format": OWN, "pattern": format_name}


def why_not(view: View) -> str:
    """Why the pattern of one's own cannot be read; empty where it can."""
    try:
        parse_format(view.pattern.strip().lower())
    except ValueError as error:
        return str(error)
    return ""


def warn(view: View) -> None:
    """Say once on a page with recipes what is not as the controls seem to say."""
    if view.preset == BY_HAND:
        warn_of_pattern(view)
    else:
        st.caption(tr("The recipe {recipe} sets format, scaling and rounding; the controls for these apply when it is set to “put together by hand”.").format(recipe=as_text(recipe_title(view.preset))))


def warn_of_pattern(view: View) -> None:
    """Say why the format of one's own is not shown."""
    if view.format == OWN and not view.pattern.strip():
        st.info(tr("Write a pattern into “A format of your own”, such as e3m4b3fn; {instead} is shown until then.").format(instead=FORMATS[_INSTEAD].title))
    elif view.format == OWN and (reason := why_not(view)):
        st.warning(tr("The format of your own cannot be read, {instead} is shown instead: {reason}").format(instead=FORMATS[_INSTEAD].title, reason=as_text(told(reason))))
