"""The widgets of the shared controls, and what is said where a value is not allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from pages.ui.controls import Choice, Choices, Text
from pages.ui.language import told, tr
from pages.ui.upload import as_text
from pages.ui.view import CONTROLS, Refused, View


def draw(name: str, view: View, **widget: Any) -> Any:
    """Draw the widget of one field -> its value; a value that is not allowed is answered with the rule and leaves the last good one."""
    about = CONTROLS[name]
    current = getattr(view, name)
    if name not in st.session_state:  # Streamlit forgets a widget that one run did not draw
        st.session_state[name] = current
    value = _WIDGETS[type(about)](name, about, **widget)
    try:
        return about.checked(value)
    except ValueError as error:
        empty, wrong = tr("{key} is empty; {shown} is shown instead."), tr("{key} = {text} {rule}; {shown} is shown instead.")
        st.caption(":red[" + _sentence(wrong if value else empty, Refused(tr(about.label), about.text(value), str(error), about.text(current))) + "]")
        return current


def _draw_choice(name: str, about: Choice, **widget: Any):
    words = {"label": tr(about.label), "options": about.listed(), "format_func": _titles(about), "key": name, "help": tr(about.help) or None} | widget
    if about.widget == "slider":
        return st.select_slider(**words)
    if about.widget == "buttons":
        return st.segmented_control(**words, required=True)
    return st.selectbox(**words)


def _draw_choices(name: str, about: Choices, **widget: Any):
    return tuple(st.multiselect(tr(about.label), about.listed(), format_func=_titles(about), key=name, help=tr(about.help) or None, **widget))


def _titles(about: Choice) -> Callable[[Any], str]:
    """What options are called, in the language of now: Streamlit asks again when a widget's callback runs, which is before a page has chosen its language."""
    titles = {option: told(about.title(option)) for option in about.listed()}
    return lambda option: titles.get(option, str(option))


def _draw_text(name: str, about: Text, **widget: Any):
    return st.text_input(tr(about.label), max_chars=about.longest, key=name, help=tr(about.help) or None, **widget)


_WIDGETS = {Choice: _draw_choice, Choices: _draw_choices, Text: _draw_text}


def tell(refused: tuple[Refused, ...], most: int = 4) -> None:
    if refused:
        instead, ignored = tr("{key} = {text} in this link {rule}; {shown} is shown instead."), tr("{key} = {text} in this link {rule}; it is ignored.")
        lines = [_sentence(instead if each.shown else ignored, each) for each in refused[:most]]
        if len(refused) > most:
            lines.append(tr("{count} more settings in this link are not used.").format(count=len(refused) - most))
        st.warning("  \n".join(lines))


def _sentence(pattern: str, refused: Refused) -> str:
    short = refused.text if len(refused.text) <= 40 else refused.text[:40] + "…"
    words = {"key": as_text(refused.key), "text": as_text(short), "rule": told(refused.rule), "shown": as_text(refused.shown)}
    return pattern.format(**words)
