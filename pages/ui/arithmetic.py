"""How the numbers of a report come about, with the numbers in it, as Markdown for `frame.why`."""

from __future__ import annotations

import math

from fp8core.anatomy import Anatomy
from fp8core.formats import parse_format
from fp8core.metrics import ErrorReport
from fp8core.recipes import Recipe
from fp8core.rules import SCALE_RULES
from fp8core.scaling import SCALE_FORMATS, sides
from pages.ui.language import told, tr
from pages.ui.upload import as_text


def sqnr(report: ErrorReport) -> tuple[str, ...]:
    """SQNR from its two sums; nothing where there is no signal."""
    if math.isnan(report.sqnr_db):
        return ()
    sums = tr("Σx² = {signal:.6g}, and Σ(x − x̂)² = {noise:.6g}.").format(signal=report.signal, noise=report.noise)
    if not report.noise:
        return sums, tr("Nothing was lost: every number came back as it was.")
    quotient = f"10 · log₁₀({report.signal:.6g} / {report.noise:.6g}) = 10 · log₁₀({report.signal / report.noise:.6g}) = **{report.sqnr_db:.2f} dB**"
    return sums, quotient, tr("Large numbers make most of both sums.")


def underflow(report: ErrorReport, recipe: Recipe) -> tuple[str, ...]:
    """The share that became zero, from its count."""
    count = round(report.underflow * report.count)
    smallest = tr("The smallest positive number of {format} is {smallest:.6g}, in units of the scale; what is rounded to zero lies below it.").format(format=told(recipe.fmt.title) or recipe.fmt.name, smallest=recipe.fmt.min_positive)
    return _share(count, report, tr("numbers were not zero and became zero")), smallest


def saturation(report: ErrorReport, recipe: Recipe) -> tuple[str, ...]:
    """The share that was clipped or lost, from its count."""
    limit = tr("The largest number of {format} is {max:.6g}, in units of the scale, and half an ulp more is {limit:.6g}: what lies beyond that is counted.").format(
        format=told(recipe.fmt.title) or recipe.fmt.name, max=recipe.fmt.max, limit=recipe.fmt.max + recipe.fmt.ulp_at_max / 2
    )
    return _share(round(report.saturation * report.count), report, tr("numbers lie beyond the largest")), limit


def bits(report: ErrorReport, recipe: Recipe, shape: tuple[int, int]) -> tuple[str, ...]:
    """Bits of an element, and of its share of the scales."""
    element = tr("{bits} bits for each element.").format(bits=recipe.fmt.bits)
    if recipe.scaling is None:
        return element, tr("No scale is stored.")
    store = SCALE_FORMATS[recipe.scaling.scale_format]
    rows, columns = sides(shape, recipe.scaling.block)
    blocks = -(-shape[0] // rows) * -(-shape[1] // columns)
    lines = [element, tr("{blocks:,} blocks of at most {rows:,} × {columns:,} numbers, with a scale of {bits} bits each.").format(blocks=blocks, rows=rows, columns=columns, bits=store.bits)]
    stored = f"{blocks:,} · {store.bits}"
    if store.global_format:
        whole = parse_format(store.global_format).bits
        lines.append(tr("One more scale of {bits} bits for the whole tensor.").format(bits=whole))
        stored = f"({stored} + {whole})"
    return *lines, f"{recipe.fmt.bits} + {stored} / {report.count:,} = **{report.bits_per_value:.6g}**"


def scale(part: Anatomy, recipe: Recipe) -> tuple[str, ...]:
    """From the largest magnitude of a block to its scale, step by step."""
    rule, store = SCALE_RULES[recipe.scaling.rule], SCALE_FORMATS[recipe.scaling.scale_format]
    over = f"{part.amax:.6g} / {recipe.fmt.max:g}" + ("" if part.global_scale == 1 else f" / {part.global_scale:.6g}")
    lines = [
        tr("amax, the largest |x| of the block, is **{amax:.6g}**.").format(amax=part.amax),
        tr("The quotient {quotient} is {wanted:.6g}: with it, amax would lie exactly at the largest number of the format.").format(quotient=over, wanted=part.wanted),
        tr("Rule {rule}: {formula}. Stored as {format}, that is **{stored:.6g}**.").format(rule=as_text(told(rule.title)), formula=as_text(told(rule.formula)), format=as_text(told(store.title)), stored=part.stored),
    ]
    if part.global_scale != 1:
        lines.append(tr("Times the scale of the whole tensor: {stored:.6g} · {whole:.6g} = **{scale:.6g}**.").format(stored=part.stored, whole=part.global_scale, scale=part.scale))
    return tuple(lines)


def _share(count: int, report: ErrorReport, words: str) -> str:
    return f"{count:,} {words}: {count:,} / {report.count:,} = **{100 * count / max(report.count, 1):.6g} %**"
