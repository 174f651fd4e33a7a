"""A plan: which recipe each weight of a checkpoint gets. It is a file, or a line in a link."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from fp8core.plan.choose import KEEP
from fp8core.recipes import RECIPES, parse_recipe

KIND, VERSION = "fp8core plan", 1
KEPT = "keep"


@dataclass(frozen=True)
class Plan:
    """A recipe for every weight that may have one.

    Args:
        checkpoint: name of what it is for.
        recipes: by tensor, the name of a recipe, or "" where the tensor stays as it is stored.

    Raises:
        ValueError: an unknown recipe.
    """

    checkpoint: str
    recipes: Mapping[str, str]

    def __post_init__(self):
        for name in dict.fromkeys(self.recipes.values()):
            if name != KEEP:
                parse_recipe(name)

    def to_json(self) -> str:
        """Write it as the text of a file."""
        return json.dumps({"kind": KIND, "version": VERSION, "checkpoint": self.checkpoint, "recipes": dict(self.recipes)}, indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> Plan:
        """Read what `to_json` wrote.

        Raises:
            ValueError: another text; an unknown recipe.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"a plan is JSON, and this is not: {error}") from error
        if not isinstance(content, dict) or content.get("kind") != KIND or content.get("version") != VERSION:
            raise ValueError(f'a plan has "kind": "{KIND}" and "version": {VERSION}, and this JSON does not')
        recipes = content.get("recipes")
        if not isinstance(recipes, dict) or not all(isinstance(name, str) for name in recipes.values()) or not isinstance(content.get("checkpoint"), str):
            raise ValueError('a plan has "checkpoint", a name, and "recipes", the name of a recipe by tensor')
        return Plan(content["checkpoint"], recipes)

    def for_tensors(self, names: Iterable[str]) -> Plan:
        """Return the plan if all its tensors are among these.

        Raises:
            ValueError: one is not.
        """
        known = set(names)
        missing = [name for name in self.recipes if name not in known]
        if missing:
            raise ValueError(f"the plan is for {self.checkpoint} and names {missing[0]!r}, which this checkpoint does not have ({len(missing)} of {len(self.recipes)} are missing)")
        return self


def to_line(recipes: Mapping[str, str]) -> str:
    """Write the recipes of a plan as one short line, in the order of its tensors, without their names.

    >>> to_line({"a": "mxfp4", "b": "mxfp4", "c": ""})
    'mxfp4*2,keep'
    """
    runs = [(name or KEPT, len(list(group))) for name, group in groupby(recipes.values())]
    return ",".join(name if count == 1 else f"{name}*{count}" for name, count in runs)


def from_line(line: str, tensors: Sequence[str]) -> dict[str, str]:
    """Read what `to_line` wrote, for these tensors.

    Raises:
        ValueError: a part that cannot be read, an unknown recipe, more or fewer tensors than these.

    >>> from_line("mxfp4*2,keep", ["a", "b", "c"])
    {'a': 'mxfp4', 'b': 'mxfp4', 'c': ''}
    """
    names = parse_line(line)
    if len(names) != len(tensors):
        raise ValueError(f"the plan has {len(names)} recipes, and there are {len(tensors)} tensors")
    return dict(zip(tensors, names, strict=True))


def parse_line(line: str, most: int = 100_000) -> list[str]:
    """Read a line of a plan -> one recipe's name per tensor; errors as in `from_line`."""
    found: list[str] = []
    for part in filter(None, line.split(",")):
        name, _, count = part.partition("*")
        if name != KEPT and name not in RECIPES:
            raise ValueError(f"{name!r} is not a registered recipe, nor {KEPT!r}")
        if count and not (count.isascii() and count.isdigit() and int(count[:9]) > 0 and len(count) < 7):
            raise ValueError(f"{part!r}: after * comes how many tensors in a row have this recipe")
        found += [KEEP if name == KEPT else name] * (int(count) if count else 1)
        if len(found) > most:
            raise ValueError(f"the plan has more than {most:,} recipes")
    return found
