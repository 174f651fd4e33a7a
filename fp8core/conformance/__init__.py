"""Ours against the implementations of others that are installed here: number formats code by code, recipes number for number."""

from fp8core.conformance.check import ASPECTS, STATUSES, CheckResult, Mismatch, Seen, check_format, divergences_seen
from fp8core.conformance.divergences import FORMAT_DIVERGENCES, RECIPE_DIVERGENCES, Divergence
from fp8core.conformance.formats import FORMAT_ORACLES, PATTERNS
from fp8core.conformance.oracles import ORACLES, Oracle, installed_version, installed_versions
from fp8core.conformance.recipes import RECIPE_ORACLES, Answer, RecipeOracle, check_recipe
from fp8core.conformance.run import run, subjects

__all__ = [
    "ASPECTS", "FORMAT_DIVERGENCES", "FORMAT_ORACLES", "ORACLES", "PATTERNS", "RECIPE_DIVERGENCES", "RECIPE_ORACLES", "STATUSES",
    "Answer", "CheckResult", "Divergence", "Mismatch", "Oracle", "RecipeOracle", "Seen",
    "check_format", "check_recipe", "divergences_seen", "installed_version", "installed_versions", "run", "subjects",
]  # fmt: skip
