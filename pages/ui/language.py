"""Texts in the visitor's language. English sentences are the keys; a catalogue, one JSON file per language, holds what they become.

Parts that vary stay outside of the key: `tr("{count} layers").format(count=n)`. What fp8core says comes with its values in it;
its keys are templates, `{0} is not one of {1}`, and `told` finds the one that a message was made from.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from functools import cache, lru_cache
from pathlib import Path
from string import Formatter

ENGLISH = "en"
LANGUAGES = {ENGLISH: "English", "zh": "简体中文"}
CATALOGUES: dict[str, dict[str, str]] = {
    key: {} if key == ENGLISH else json.loads((Path(__file__).parent / "catalogues" / f"{key}.json").read_text(encoding="utf-8")) for key in LANGUAGES
}

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


def sentences(*parts: str) -> str:
    """Join sentences of the chosen language, empty ones left out: Chinese ones have no space between them."""
    return ("" if _chosen.get() == "zh" else " ").join(filter(None, parts))


def told(message: object) -> str:
    """Return what fp8core says, an error or a text with values in it, in the chosen language; as it is where no template fits."""
    return _told(_chosen.get(), str(message))


@lru_cache(maxsize=4096)
def _told(language: str, text: str, depth: int = 3) -> str:
    """The text in a language; its values are told too, as reasons stand within reasons."""
    catalogue = CATALOGUES[language]
    if text in catalogue or not depth:
        return catalogue.get(text, text)
    for literals, key in _templates(language):
        if (values := _values(literals, text)) is not None:
            return catalogue[key].format(*(_told(language, value, depth - 1) for value in values))
    return text


@cache
def _templates(language: str) -> list[tuple[tuple[str, ...], str]]:
    """The literals round the places {0}, {1} … of every template, and its key; those with the longest literal text first."""
    found = []
    for key in CATALOGUES[language]:
        parts = list(Formatter().parse(key)) if "{0" in key else []
        if any(place is not None and place.isdecimal() for _, place, _, _ in parts):
            found.append((tuple(literal for literal, *_ in parts) + ("",) * (parts[-1][1] is not None), key))
    return sorted(found, key=lambda each: -sum(map(len, each[0])))


def _values(literals: tuple[str, ...], text: str) -> list[str] | None:
    """What stands between literals in a text, each value as short as can be; None where they do not fit. One pass: a text may be a stranger's, and long."""
    first, *between, last = literals
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return None
    values, rest = [], text[len(first) : len(text) - len(last)]
    for literal in between:
        value, found, rest = rest.partition(literal) if literal else ("", True, rest)
        if not found:
            return None
        values.append(value)
    return [*values, rest]
