"""Kinds of controls: what a field of `View` may hold, how it is written in a link, and what it is called. No Streamlit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Options = Sequence[Any] | Callable[[], Sequence[Any]]


@dataclass(frozen=True)
class Control:
    """What a field of `View` may hold, and what it is called.

    Args:
        label, help: English; they pass through `tr` when they are drawn.
        group: heading above it in the sidebar.
        only_with: another field and its value; beside any other value it would do nothing, and is not drawn.
    """

    default: Any
    label: str
    group: str
    help: str = ""
    only_with: tuple[str, Any] | None = field(default=None, kw_only=True)

    def checked(self, value: Any) -> Any:
        """Return the value as the field holds it.

        Raises:
            ValueError: it is not allowed; the message is the rule, to be read after the value.
        """
        raise NotImplementedError

    def parse(self, text: str) -> Any:
        """Read the URL form; raises as `checked` does."""
        return self.checked(text)

    def text(self, value: Any) -> str:
        """Write the URL form."""
        return str(value)


@dataclass(frozen=True)
class Choice(Control):
    """One out of a closed list.

    Args:
        options: the list, or what returns it when it is first needed.
        title: what an option is called, in English.
        widget: "menu", "slider" or "buttons".
    """

    options: Options = ()
    title: Callable[[Any], str] = str
    widget: str = "menu"

    def listed(self) -> Sequence[Any]:
        """All options, in order."""
        return self.options() if callable(self.options) else self.options

    def checked(self, value):
        if value not in self.listed():
            raise ValueError("is not one of the choices")
        return value

    def parse(self, text):
        return self.checked(next((option for option in self.listed() if str(option) == text), text))


@dataclass(frozen=True)
class Choices(Choice):
    """At least one out of a closed list, in the visitor's order; comma separated in the URL, where unknown members are left out."""

    def checked(self, value):
        kept = tuple(dict.fromkeys(value))
        if not kept:
            raise ValueError("is empty, and at least one is needed")
        for option in kept:
            super().checked(option)
        return kept

    def parse(self, text):
        legal, parts = {str(option): option for option in self.listed()}, [part for part in text.split(",") if part]
        found = [legal[part] for part in parts if part in legal]
        if parts and not found:
            raise ValueError("is not one of the choices")
        return self.checked(found)

    def text(self, value):
        return ",".join(map(str, value))


@dataclass(frozen=True)
class Text(Control):
    """A line of text of at most `longest` characters that `reads` accepts: it raises ValueError for any other."""

    longest: int = 40
    reads: Callable[[str], Any] = str
    rule: str = "is not a number that can be read"

    def checked(self, value):
        if not isinstance(value, str) or len(value) > self.longest or not value.isprintable():
            raise ValueError(f"is not a line of at most {self.longest} characters")
        try:
            self.reads(value)
        except ValueError as error:
            raise ValueError(self.rule) from error
        return value


def choice(default, options: Options, label: str, group: str, help: str = "", title: Callable[[Any], str] = str, widget: str = "menu") -> Any:
    return field(default=default, metadata={"control": Choice(default, label, group, help, options, title, widget)})


def choices(default: tuple, options: Options, label: str, group: str, help: str = "", title: Callable[[Any], str] = str) -> Any:
    return field(default=default, metadata={"control": Choices(default, label, group, help, options, title)})


def text(default: str, longest: int, label: str, group: str, help: str = "", reads: Callable[[str], Any] = str, rule: str = Text.rule, only_with: tuple[str, Any] | None = None) -> Any:
    return field(default=default, metadata={"control": Text(default, label, group, help, longest, reads, rule, only_with=only_with)})
