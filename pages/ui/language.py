"""Texts in the visitor's language. English sentences are the keys; a catalogue, one JSON file per language, holds what they become.

Parts that vary stay outside of the key: `tr("{count} layers").format(count=n)`. What fp8core says comes with its values in it;
its keys are templates, `{0} is not one of {1}`, and `told` finds the one that a message was made from.
"""

from __future__ import annotations

import json
import re
from contextvars import ContextVar
from functools import cache, lru_cache
from pathlib import Path
from string import Formatter

ENGLISH = "en"
LANGUAGES = {ENGLISH: "English", "zh": "简体中文"}
CATALOGUES: dict[str, dict[str, str]] = {
    key: {} if key == ENGLISH else json.loads((Path(__file__).parent / "catalogues" / f"{key}.json").read_text(encoding="utf-8")) for key in LANGUAGES
}

_LONGEST = 2000  # characters of a message that is looked up
_chosen = ContextVar("language", default=ENGLISH)


def of_locale(locale: str | None) -> str:
    """The language for a browser's locale such as "zh-CN"; English where there is none."""
    language = (locale or ENGLISH).split("-")[0].lower()
    return language if language in LANGUAGES else ENGLISH


def use_language(key: str) -> None:
    """Choose the language of this run, a key of LANGUAGES; other runs have their own."""
    if key not in LANGUAGES:
        raise ValueError(f"{key!r} is not one of the languages {', '.join(LANGUAGES)}")
    _chosen.set(key)


def language() -> str:
    """The key of the chosen language: "en" or "zh"."""
    return _chosen.get()


def tr(english: str) -> str:
    """Return the text in the chosen language; the English text where the catalogue lacks it."""
    return CATALOGUES[_chosen.get()].get(english, english)


def told(message: object) -> str:
    """Return what fp8core says, an error or a text with values in it, in the chosen language; as it is where no template fits."""
    return _told(_chosen.get(), str(message))


@lru_cache(maxsize=4096)
def _told(language: str, text: str) -> str:
    catalogue = CATALOGUES[language]
    if not catalogue or text in catalogue or len(text) > _LONGEST:
        return catalogue.get(text, text)
    for literals, pattern, key in _templates(language):
        if all(literal in text for literal in literals) and (found := pattern.fullmatch(text)):
            return catalogue[key].format(*(_told(language, part) for part in found.groups()))
    return text


@cache
def _templates(language: str) -> list[tuple[tuple[str, ...], re.Pattern, str]]:
    """Literal parts, pattern and key of every template, those with the longest literal text first."""
    found = []
    for key in CATALOGUES[language]:
        parts = list(Formatter().parse(key))
        if any(place is not None and place.isdecimal() for _, place, _, _ in parts):
            literals = tuple(filter(None, (literal for literal, *_ in parts)))
            pattern = "".join(re.escape(literal) + ("" if place is None else "(.*?)") for literal, place, _, _ in parts)
            found.append((literals, re.compile(pattern, re.DOTALL), key))
    return sorted(found, key=lambda each: -sum(map(len, each[0])))
