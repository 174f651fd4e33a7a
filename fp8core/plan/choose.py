"""Which recipe for which layer: the least error that some number of bits can buy.

A layer's error is taken to be a share of the whole that adds up with those of the others: noise that is small and not related adds up in its
energy. Then, with each layer's choices on their lower convex hull, taking the steps of all layers in the order of error won per bit gives the least
error for every number of bits that a step ends at, and the straight line between two such points is below anything that can be reached between them.
That line is the `bound`.

Source: Shoham and Gersho, "Efficient bit allocation for an arbitrary set of quantizers", IEEE Transactions on ASSP 36 (1988).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

KEEP = ""
"""In place of a recipe: the layer stays as it is stored."""


@dataclass(frozen=True)
class Cost:
    """What a recipe costs a layer.

    Args:
        layer: name of the weight.
        recipe: its name, or KEEP.
        nbits: stored bits of the layer, scales included.
        error: at least 0; a layer's share of the whole error.
        group: layers of one group get the same recipe; empty for a layer that goes by itself.
    """

    layer: str
    recipe: str
    nbits: int
    error: float
    group: str = ""

    def __post_init__(self):
        if not (self.nbits >= 0 and math.isfinite(self.error) and self.error >= 0):
            raise ValueError(f"layer {self.layer!r}, recipe {self.recipe!r}: {self.nbits} bits and error {self.error} have to be finite and at least 0")


@dataclass(frozen=True)
class Chosen:
    """A recipe for every layer.

    Args:
        recipes: by layer.
        nbits: of all layers together.
        error: of all layers together.
        bound: no choice of at most so many bits has an error below this.
    """

    recipes: Mapping[str, str]
    nbits: int
    error: float
    bound: float


def frontier(costs: Iterable[Cost]) -> list[Chosen]:
    """Return the choices of least error, from the fewest bits to the least error of all; each step changes one layer, or one group.

    Raises:
        ValueError: no costs; a layer that has the same recipe twice.
    """
    members, by_group = _by_group(costs)
    hulls = _hulls(by_group)
    places = dict.fromkeys(hulls, 0)
    found = [_chosen(members, hulls, places)]
    for _, group in _steps(hulls):
        places[group] += 1
        found.append(_chosen(members, hulls, places))
    return found


def choose(costs: Iterable[Cost], nbits: float) -> Chosen:
    """Return a choice of at most so many bits: the last one on the frontier, and then every later step that still fits.

    Raises:
        ValueError: no costs, or fewer bits than the smallest choice takes; the message names those.
    """
    members, by_group = _by_group(costs)
    hulls = _hulls(by_group)
    places, used, bound = dict.fromkeys(hulls, 0), sum(hull[0].nbits for hull in hulls.values()), None
    if not used <= nbits:
        raise ValueError(f"{nbits:,.0f} bits are too few: the recipes at hand need {used:,} at least")
    least, blocked = math.fsum(hull[0].error for hull in hulls.values()), set()
    for slope, group in _steps(hulls):
        if group in blocked:
            continue
        here, there = hulls[group][places[group]], hulls[group][places[group] + 1]
        if used + there.nbits - here.nbits > nbits:
            bound = least - slope * (nbits - used) if bound is None else bound
            blocked.add(group)
            continue
        places[group] += 1
        used += there.nbits - here.nbits
        least -= here.error - there.error if bound is None else 0.0
    found = _chosen(members, hulls, places)
    return Chosen(found.recipes, found.nbits, found.error, found.error if bound is None else max(min(bound, found.error), 0.0))


def cheapest(costs: Iterable[Cost], error: float) -> Chosen:
    """Return the choice on the frontier with the fewest bits whose error is at most this.

    Raises:
        ValueError: no costs, or an error that even the best choice exceeds; the message names that.
    """
    found = frontier(costs)
    fitting = next((each for each in found if each.error <= error), None)
    if fitting is None:
        raise ValueError(f"an error of {error:g} cannot be reached: the recipes at hand leave {found[-1].error:g} at least")
    return fitting


def uniform(costs: Iterable[Cost], recipe: str) -> Chosen:
    """Return the choice of one recipe for all layers.

    Raises:
        ValueError: a layer without it.
    """
    costs = list(costs)
    return priced(costs, dict.fromkeys((cost.layer for cost in costs), recipe))


def priced(costs: Iterable[Cost], recipes: Mapping[str, str]) -> Chosen:
    """Return a choice that is made already, recipes by layer, with its bits and its error.

    Raises:
        ValueError: a layer without a cost under its recipe.

    >>> priced([Cost("a", "mxfp4", 100, 0.5), Cost("b", KEEP, 400, 0.0)], {"a": "mxfp4", "b": KEEP}).nbits
    500
    """
    by_layer = _by_layer(costs)
    for layer, recipe in recipes.items():
        if recipe not in (choices := by_layer.get(layer, {})):
            raise ValueError(f"layer {layer!r} has no cost under {recipe!r}, because it loses numbers there or was not measured; what it can have: {', '.join(name or 'as stored' for name in choices) or 'nothing'}")
    picked = [by_layer[layer][recipe] for layer, recipe in recipes.items()]
    error = math.fsum(cost.error for cost in picked)
    return Chosen(dict(recipes), sum(cost.nbits for cost in picked), error, error)


def _by_layer(costs: Iterable[Cost]) -> dict[str, dict[str, Cost]]:
    found: dict[str, dict[str, Cost]] = {}
    for cost in costs:
        choices = found.setdefault(cost.layer, {})
        if cost.recipe in choices:
            raise ValueError(f"layer {cost.layer!r} has two costs under recipe {cost.recipe!r}")
        choices[cost.recipe] = cost
    if not found:
        raise ValueError("there is no layer to choose a recipe for")
    return found


def _by_group(costs: Iterable[Cost]) -> tuple[dict[str, str], dict[str, dict[str, Cost]]]:
    """The group of every layer, and by group and recipe what the recipe costs all its layers; recipes that one of them lacks are left out."""
    by_layer = _by_layer(costs)
    members = {layer: next(iter(choices.values())).group or layer for layer, choices in by_layer.items()}
    found: dict[str, dict[str, Cost]] = {}
    for layer, choices in by_layer.items():
        seen = found.get(members[layer])
        found[members[layer]] = choices if seen is None else {name: replace(seen[name], nbits=seen[name].nbits + each.nbits, error=seen[name].error + each.error) for name, each in choices.items() if name in seen}
    for group, choices in found.items():
        if not choices:
            raise ValueError(f"the layers of {group!r} have no recipe in common")
    return members, found


def _hulls(by_group: Mapping[str, Mapping[str, Cost]]) -> dict[str, list[Cost]]:
    """Of each group, the choices on the lower convex hull of error over bits, from the fewest bits on."""
    return {group: _hull(list(choices.values())) for group, choices in by_group.items()}


def _hull(choices: Sequence[Cost]) -> list[Cost]:
    kept: list[Cost] = []
    for cost in sorted(choices, key=lambda each: (each.nbits, each.error)):
        if kept and cost.error >= kept[-1].error:
            continue
        while len(kept) > 1 and _slope(kept[-2], kept[-1]) <= _slope(kept[-1], cost):
            kept.pop()
        if kept and kept[-1].nbits == cost.nbits:
            continue
        kept.append(cost)
    return kept


def _slope(fewer: Cost, more: Cost) -> float:
    """Error won per bit."""
    return (fewer.error - more.error) / (more.nbits - fewer.nbits)


def _steps(hulls: Mapping[str, list[Cost]]) -> list[tuple[float, str]]:
    """Every step of every group, the one that wins most per bit first; those of one group are in order, as its hull is convex."""
    steps = [(_slope(here, there), group) for group, hull in hulls.items() for here, there in pairwise(hull)]
    return sorted(steps, key=lambda step: -step[0])


def _chosen(members: Mapping[str, str], hulls: Mapping[str, list[Cost]], places: Mapping[str, int]) -> Chosen:
    picked = {group: hull[places[group]] for group, hull in hulls.items()}
    error = math.fsum(cost.error for cost in picked.values())
    return Chosen({layer: picked[group].recipe for layer, group in members.items()}, sum(cost.nbits for cost in picked.values()), error, error)
