"""Run all comparisons, or some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from fp8core.conformance.check import CheckResult, check_format
from fp8core.conformance.formats import FORMAT_ORACLES, PATTERNS
from fp8core.conformance.oracles import ORACLES, load
from fp8core.conformance.recipes import NO_ORACLE, RECIPE_ORACLES, check_recipe
from fp8core.formats import FORMATS, Format, parse_format
from fp8core.recipes import LIBRARIES, RECIPES, Recipe, parse_recipe

Subject = Format | Recipe


def subjects() -> tuple[Subject, ...]:
    """Return what is compared unless something is chosen: every registered format, one pattern of each kind, every recipe that scales."""
    scaled = (recipe for recipe in RECIPES.values() if recipe.scaling is not None)
    return (*FORMATS.values(), *map(parse_format, PATTERNS), *scaled)


def run(chosen: Iterable[str | Subject] | None = None, oracles: Iterable[str] | None = None, on_progress: Callable[[float, str], None] | None = None) -> tuple[CheckResult, ...]:
    """Compare formats and recipes with the oracles that are installed.

    An oracle that is not installed gives a result that says so; a subject that no oracle has, one that says that.

    Args:
        chosen: formats, recipes, or their names; all unless given.
        oracles: keys of `ORACLES`; all unless given.
        on_progress: called with the share that is done and what comes next.

    Raises:
        ValueError: a name that is no format and no recipe, or no oracle.

    >>> [(r.oracle, r.aspect, r.mismatches) for r in run(["e2m1fn"], ["ml_dtypes"])][:2]
    [('ml_dtypes', 'decode', 0), ('ml_dtypes', 'round half_even', 0)]
    """
    picked = subjects() if chosen is None else tuple(map(_subject, chosen))
    asked = tuple(ORACLES) if oracles is None else tuple(oracles)
    for name in asked:
        if name not in ORACLES:
            raise ValueError(f"oracle {name!r} is not one of {', '.join(ORACLES)}")
    results: list[CheckResult] = []
    for done, subject in enumerate(picked):
        if on_progress is not None:
            on_progress(done / len(picked), subject.name)
        results += _check(subject, asked)
    if on_progress is not None:
        on_progress(1.0, "")
    return tuple(results)


def _subject(name: str | Subject) -> Subject:
    if isinstance(name, Format | Recipe):
        return name
    return RECIPES[name] if name in RECIPES and RECIPES[name].scaling is not None else _format_or_recipe(name)


def _format_or_recipe(name: str) -> Subject:
    try:
        return parse_format(name)
    except ValueError as error:
        if name in RECIPES:
            return parse_recipe(name)
        raise ValueError(f"{name!r} is neither a recipe nor a format: {error}") from error


def _check(subject: Subject, asked: tuple[str, ...]) -> Iterator[CheckResult]:
    kind = "recipe" if isinstance(subject, Recipe) else "format"
    having = [name for name in asked if _has(name, subject)]
    if not having:
        yield CheckResult(subject.name, kind, "", "", "not covered", note=_why_not(subject, asked))
    for name in having:
        if load(name) is None:
            yield CheckResult(subject.name, kind, name, "", "not installed", note=ORACLES[name].advice)
        else:
            yield from check_recipe(subject, name) if kind == "recipe" else check_format(subject, name)


def _why_not(subject: Subject, asked: tuple[str, ...]) -> str:
    if len(asked) < len(ORACLES):
        return "none of the oracles asked has it"
    library = next((name for name, recipes in LIBRARIES.items() if subject in recipes), "")
    return NO_ORACLE.get(library, "no implementation that can be installed here has it")


def _has(oracle: str, subject: Subject) -> bool:
    if isinstance(subject, Recipe):
        return any(each.recipe == subject.name and each.oracle == oracle for each in RECIPE_ORACLES)
    return any(each.covers(subject) for each in FORMAT_ORACLES.get(oracle, ()))
