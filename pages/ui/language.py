"""Texts in the visitor's language. English sentences are the keys; a catalogue holds what they become.

Parts that vary stay outside of the key: `tr("{count} layers").format(count=n)`.
"""

from __future__ import annotations

from contextvars import ContextVar

ENGLISH = "en"

CATALOGUES: dict[str, dict[str, str]] = {ENGLISH: {}}

_chosen = ContextVar("language", default=ENGLISH)


def use_language(locale: str | None) -> str:
    """Choose the language of this run from a browser's locale such as "de-DE" -> the catalogue's key; English where there is none."""
    key = (locale or ENGLISH).split("-")[0].lower()
    _chosen.set(key if key in CATALOGUES else ENGLISH)
    return _chosen.get()


def language() -> str:
    """The key of the chosen language."""
    return _chosen.get()


def tr(english: str) -> str:
    """Return the text in the chosen language; the English text where the catalogue lacks it."""
    return CATALOGUES[_chosen.get()].get(english, english)
