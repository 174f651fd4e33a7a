"""What the pages on formats and numbers show as tables: columns of plain text and numbers, by their headings."""

from __future__ import annotations

import math
import re

from fp8core.formats import FORMATS
from fp8core.grid import FormatSummary, exact_text
from fp8core.number import NumberReport
from pages.ui.language import sentences, told, tr


def summary_columns(summaries: list[FormatSummary]) -> dict[str, list[str]]:
    """The numbers of formats side by side: one column for the headings, then one for each format."""
    rows = [
        (tr("bits"), lambda s: str(s.bits)),
        (tr("of these: sign, exponent, mantissa"), lambda s: " + ".join(part.split()[0] for part in s.fields.split(" + "))),
        (tr("exponent bias"), lambda s: _or_dash(s.bias)),
        (tr("largest value"), lambda s: exact_text(s.max)),
        (tr("lowest value"), lambda s: exact_text(s.lowest)),
        (tr("smallest normal value"), lambda s: exact_text(s.min_normal)),
        (tr("smallest subnormal value"), lambda s: "–" if s.min_subnormal is None else exact_text(s.min_subnormal)),
        (tr("range, in doublings"), lambda s: f"{s.dynamic_range_binades:.1f}"),
        (tr("range, in powers of ten"), lambda s: f"{s.dynamic_range_decades:.1f}"),
        (tr("relative precision (half a step)"), lambda s: "–" if s.relative_precision is None else f"{exact_text(s.relative_precision, 1)} = {percent(s.relative_precision)}"),
        (tr("machine epsilon (step after 1)"), lambda s: "–" if s.machine_epsilon is None else exact_text(s.machine_epsilon)),
        (tr("distinct finite values"), lambda s: f"{s.finite_count:,}"),
        (tr("positive values"), lambda s: f"{s.positive_count:,}"),
        (tr("values from 0 to 1"), lambda s: f"{s.unit_count:,}"),
        (tr("codes for infinity"), lambda s: str(s.inf_codes)),
        (tr("codes for NaN (not a number)"), lambda s: f"{s.nan_codes:,}"),
        (tr("negative zero"), lambda s: tr("yes") if s.negative_zero else tr("no")),
    ]
    return {tr("property"): [label for label, _ in rows], **{f"{told(s.title)} ({s.name})": [read(s) for _, read in rows] for s in summaries}}


def _or_dash(number: int | None) -> str:
    return "–" if number is None else str(number)


def number_columns(reports: tuple[NumberReport, ...]) -> dict[str, list[str]]:
    """One number in many formats: one row for each format."""
    return {
        tr("format"): [told(FORMATS[r.format].title) if r.format in FORMATS else r.format for r in reports],
        tr("code"): [r.code.hex for r in reports],
        tr("bit pattern"): [r.code.bits for r in reports],
        tr("value"): [exact_text(r.value) for r in reports],
        tr("kind"): [kind_word(r.code.kind) for r in reports],
        tr("error"): [number_or_dash(r.error) for r in reports],
        tr("relative error"): [percent(r.relative_error) for r in reports],
        tr("error in ulp"): [number_or_dash(r.error_ulps) for r in reports],
    }


def uses(summaries: list[FormatSummary]) -> str:
    """What formats are for and where their numbers come from, as a Markdown list."""
    known, own = tr("- **{title}**: {use}. Source: {source}"), tr("- **{title}**: a pattern of your own")
    lines = ((known if s.use else own).format(title=told(s.title), use=told(s.use), source=told(s.source)) for s in summaries)
    return "\n".join(lines)


def kind_word(kind: str) -> str:
    """The word for a kind of number."""
    return {"zero": tr("zero"), "subnormal": tr("subnormal"), "normal": tr("normal"), "infinity": tr("infinity"), "nan": tr("NaN")}[kind]


def formula(arithmetic: str) -> str:
    """An arithmetic text as LaTeX for Markdown."""
    text = re.sub(r"\^\(([^)]*)\)|\^(-?\d+)", lambda match: f"^{{{match[1] or match[2]}}}", arithmetic)
    for plain, latex in (("·", r"\cdot"), ("−", "-"), ("∞", r"\infty"), ("NaN", r"\text{NaN}"), ("table", r"\text{table}")):
        text = text.replace(plain, latex)
    return f"${text}$"


def value_text(value: float) -> str:
    """A value in at most nine significant digits; exact where that is enough."""
    text = exact_text(value, 11)
    return f"{value:.9g}" if "·" in text or "^" in text else text


def number_or_dash(number: float) -> str:
    """Four significant digits, or a dash for NaN."""
    return "–" if math.isnan(number) else f"{number:.4g}"


def percent(share: float) -> str:
    """A share in per cent with three digits and never a power of ten, next to none and nearly all told from none and all; a dash for NaN."""
    value = 100 * share
    if math.isnan(share):
        return "–"
    if 0 < value < 0.001:
        return "< 0.001 %"
    if 99.95 <= value < 100:
        return "> 99.9 %"
    return f"{value:.0f} %" if value >= 100 else f"{value:.3g} %"


def sharers(report: NumberReport, rounding: str) -> str:
    """Which numbers get the same code, in one or two sentences of Markdown."""
    found = report.interval
    if found is None and report.code.kind == "nan":
        return tr("This code means that there is no number: it has no place on a number line, and no interval of numbers is rounded to it.")
    if found is None:
        return tr("With these settings no number is rounded to this code: overflow stops at the largest value.")
    words = {"interval": str(found), "code": report.code.hex}
    if math.isnan(report.value):
        return tr("This code means NaN, not a number. As the format has no infinity, every number in **{interval}** overflows to it too.").format(**words)
    if math.isinf(report.value):
        return tr("Infinity has no place on a number line. Every number in **{interval}** overflows to this code, {code}.").format(**words)
    if rounding == "stochastic":
        return tr("Every number in **{interval}** can get code {code}, the more likely the closer it is.").format(**words)
    ends = tr("A square bracket and a filled circle mean that the end itself belongs to it, a round bracket and an open circle that it does not.")
    return sentences(tr("Every number in **{interval}** gets code {code}.").format(**words), ends)
