"""Comparing: one check is one subject (a format or a recipe), one oracle and one aspect."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from fp8core.codec import encode, round_to
from fp8core.conformance.divergences import FORMAT_DIVERGENCES, Divergence
from fp8core.conformance.formats import FORMAT_ORACLES, FormatOracle
from fp8core.conformance.points import format_points
from fp8core.formats import Format

ASPECTS = {
    "decode": "the value of every code",
    "round half_even": "numbers within the range, rounded to nearest with ties to the even code",
    "other rounding modes": "numbers within the range in the other modes",
    "overflow": "numbers beyond the range, infinity and NaN, in every mode and under every policy that the oracle has",
    "elements and scales": "the elements and the scales of a recipe, number for number",
}
STATUSES = {
    "passed": "everything compared is equal, known differences aside",
    "failed": "something differs",
    "not installed": "the oracle is not here",
    "not covered": "no oracle has the subject",
}


@dataclass(frozen=True)
class Mismatch:
    """One difference, as text: what went in and what came out on either side."""

    input: str
    ours: str
    theirs: str


@dataclass(frozen=True)
class Seen:
    """What became of a known difference: how many numbers lie in its region, and how many of them differ as it says."""

    divergence: Divergence
    numbers: int
    differing: int

    @property
    def state(self) -> str:
        """In words; a difference that has gone is said to be gone."""
        return "differs as described" if self.differing else "no longer differs"


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Args:
        subject: name of a format or a recipe.
        kind: "format" or "recipe".
        oracle: a key of `ORACLES`; "" where there is none for the subject.
        aspect: a key of `ASPECTS`.
        status: a key of `STATUSES`.
        compared: how many codes or numbers were compared, those of known differences left out.
        mismatches: how many of them differ.
        first: the first that differs.
        seen: the known differences met.
        note: what else there is to say.
    """

    subject: str
    kind: str
    oracle: str
    aspect: str
    status: str
    compared: int = 0
    mismatches: int = 0
    first: Mismatch | None = None
    seen: tuple[Seen, ...] = ()
    note: str = ""


def divergences_seen(results: Iterable[CheckResult]) -> dict[Divergence, Seen]:
    """Return the known differences that some results met, each with all its numbers counted."""
    found: dict[Divergence, Seen] = {}
    for seen in (seen for result in results for seen in result.seen):
        before = found.get(seen.divergence, Seen(seen.divergence, 0, 0))
        found[seen.divergence] = Seen(seen.divergence, before.numbers + seen.numbers, before.differing + seen.differing)
    return found


@dataclass
class Tally:
    """Counts of one check while it runs."""

    compared: int = 0
    mismatches: int = 0
    first: Mismatch | None = None
    seen: dict[Divergence, list[int]] = field(default_factory=dict)

    def add(self, wrong: np.ndarray, compared: int, describe: Callable[[int], Mismatch]) -> None:
        """Count numbers of which `wrong` (n,) says which differ; `describe` puts the n-th into words."""
        self.compared += compared
        places = np.flatnonzero(wrong)
        self.mismatches += places.size
        if places.size and self.first is None:
            self.first = describe(int(places[0]))

    def meet(self, divergence: Divergence, numbers: int, differing: int) -> None:
        """Count a known difference."""
        if numbers:
            counts = self.seen.setdefault(divergence, [0, 0])
            counts[0] += numbers
            counts[1] += differing

    def result(self, subject: str, kind: str, oracle: str, aspect: str, note: str = "") -> CheckResult:
        """Return the finished record."""
        seen = tuple(Seen(divergence, *counts) for divergence, counts in self.seen.items())
        return CheckResult(subject, kind, oracle, aspect, "failed" if self.mismatches else "passed", self.compared, self.mismatches, self.first, seen, note)


def same(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return where two arrays hold the same number -> bool, same shape. NaN is NaN, -0 is not 0."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return np.where(np.isnan(ours) | np.isnan(theirs), np.isnan(ours) & np.isnan(theirs), (ours == theirs) & (np.signbit(ours) == np.signbit(theirs)))


def check_format(fmt: Format, oracle: str, aspects: Iterable[str] = tuple(ASPECTS)) -> list[CheckResult]:
    """Compare one format with one oracle -> one result per aspect that the oracle has; none where it does not have the format."""
    found = []
    for about in FORMAT_ORACLES.get(oracle, ()):
        if not about.covers(fmt):
            continue
        for aspect, compare in _FORMAT_ASPECTS.items():
            tally = Tally()
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # signalling NaN, overflow: wanted here
                if aspect in aspects and compare(fmt, oracle, about, tally):
                    found.append(tally.result(fmt.name, "format", oracle, aspect))
    return found


def _decode(fmt: Format, oracle: str, about: FormatOracle, tally: Tally) -> bool:
    if about.decode is None or fmt.bits > 16:
        return False
    ours, theirs = fmt.values, about.decode(fmt)
    tally.add(~same(ours, theirs), ours.size, lambda code: Mismatch(f"code {code:#04x}", number_text(ours[code]), number_text(theirs[code])))
    return True


def _half_even(fmt: Format, oracle: str, about: FormatOracle, tally: Tally) -> bool:
    return _rounding(fmt, oracle, about, tally, tuple(mode for mode in about.roundings if mode == "half_even"), ("saturate",), outside=False)


def _other_modes(fmt: Format, oracle: str, about: FormatOracle, tally: Tally) -> bool:
    return _rounding(fmt, oracle, about, tally, tuple(mode for mode in about.roundings if mode != "half_even"), ("saturate",), outside=False)


def _overflow(fmt: Format, oracle: str, about: FormatOracle, tally: Tally) -> bool:
    return _rounding(fmt, oracle, about, tally, about.roundings, about.overflows, outside=True)


_FORMAT_ASPECTS = {"decode": _decode, "round half_even": _half_even, "other rounding modes": _other_modes, "overflow": _overflow}


def _rounding(fmt: Format, oracle: str, about: FormatOracle, tally: Tally, roundings, overflows, outside: bool) -> bool:
    if about.round is None or not roundings or not overflows:
        return False
    points = format_points(fmt, about.dtype)
    inside = (points >= fmt.lowest) & (points <= fmt.max)
    x = points[~inside if outside else inside]
    known = [each for each in FORMAT_DIVERGENCES if oracle in each.oracles and each.applies(fmt)]
    for rounding in roundings:
        for overflow in overflows:
            theirs = about.round(x, fmt, rounding, overflow)
            ours = fmt.value_of(encode(x, fmt, rounding, overflow))
            wrong, excluded = ~same(ours, theirs), np.zeros(x.shape, bool)
            for divergence in known:
                region = divergence.region(x, fmt, rounding, overflow)
                tally.meet(divergence, int(region.sum()), int((region & wrong).sum()))
                excluded |= region & wrong & divergence.described(x, theirs, fmt)
            in_one_pass = round_to(x, fmt, rounding, overflow)
            wrong = (wrong & ~excluded) | ~same(in_one_pass, ours)
            tally.add(wrong, int((~excluded).sum()), lambda n, r=rounding, o=overflow, a=ours, b=theirs: Mismatch(f"{number_text(x[n])}, {r}, {o}", number_text(a[n]), number_text(b[n])))
    return True


def number_text(value: float) -> str:
    return f"{float(value)!r} ({float(value).hex()})" if np.isfinite(value) else repr(float(value))
