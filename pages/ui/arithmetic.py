"""How the numbers of a report come about, with the numbers in it, as Markdown for `frame.why`."""

from __future__ import annotations

import math

from fp8core.anatomy import Anatomy
from fp8core.formats import parse_format
from fp8core.gemm.error import ProductError
from fp8core.layers.blocks import Scales
from fp8core.layers.moments import Statistics
from fp8core.metrics import ErrorReport
from fp8core.recipes import Recipe
from fp8core.rules import SCALE_RULES
from fp8core.scaling import SCALE_FORMATS, sides
from pages.ui.language import told, tr
from pages.ui.upload import as_text


def sqnr(report: ErrorReport) -> tuple[str, ...]:
    """SQNR from its two sums; nothing where there is no signal."""
    sums = tr("Σx² = {signal:.6g}, and Σ(x − x̂)² = {noise:.6g}.").format(signal=report.signal, noise=report.noise)
    quotient = f"10 · log₁₀({report.signal:.6g} / {report.noise:.6g}) = 10 · log₁₀({report.signal / (report.noise or 1):.6g})"
    return _decibel(sums, quotient, report.noise, report.sqnr_db, tr("Large numbers make most of both sums."))


def underflow(report: ErrorReport, recipe: Recipe) -> tuple[str, ...]:
    """The share that became zero, from its count."""
    count = round(report.underflow * report.count)
    smallest = tr("The smallest positive number of {format} is {smallest:.6g}, in units of the scale; what is rounded to zero lies below it.").format(format=told(recipe.fmt.title) or recipe.fmt.name, smallest=recipe.fmt.min_positive)
    return _share(tr("{count} numbers were not zero and became zero: {share}"), count, report), smallest


def saturation(report: ErrorReport, recipe: Recipe) -> tuple[str, ...]:
    """The share that was clipped or lost, from its count."""
    limit = tr("The largest number of {format} is {max:.6g}, in units of the scale, and half an ulp more is {limit:.6g}: what lies beyond that is counted.").format(
        format=told(recipe.fmt.title) or recipe.fmt.name, max=recipe.fmt.max, limit=recipe.fmt.max + recipe.fmt.ulp_at_max / 2
    )
    return _share(tr("{count} numbers lie beyond the largest: {share}"), round(report.saturation * report.count), report), limit


def bits(report: ErrorReport, recipe: Recipe, shape: tuple[int, int]) -> tuple[str, ...]:
    """Bits of an element, and of its share of the scales."""
    element = tr("{bits} bits for each element.").format(bits=recipe.fmt.bits)
    if recipe.scaling is None:
        return element, tr("No scale is stored.")
    store = SCALE_FORMATS[recipe.scaling.scale_format]
    rows, columns = sides(shape, recipe.scaling.block)
    blocks = -(-shape[0] // rows) * -(-shape[1] // columns)
    several = tr("{blocks:,} blocks of at most {rows:,} × {columns:,} numbers, with a scale of {bits} bits each.")
    one = tr("{blocks:,} block of {rows:,} × {columns:,} numbers, with a scale of {bits} bits.")
    lines = [element, (several if blocks > 1 else one).format(blocks=blocks, rows=rows, columns=columns, bits=store.bits)]
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


def product(e: ProductError) -> tuple[str, ...]:
    """SQNR of a product from its error, beside what the noise of its factors adds up to."""
    sizes = tr("The elements of the exact product have an rms of {rms:.6g}, their errors one of {error:.6g}.").format(rms=e.rms, error=e.rms_error)
    return _decibel(sizes, f"20 · log₁₀({e.rms:.6g} / {e.rms_error:.6g})", e.rms_error, e.sqnr_db, *_of_factors(e))


def _of_factors(e: ProductError) -> tuple[str, ...]:
    """What the noise of both factors would add up to; nothing where one of them has none."""
    if not all(map(math.isfinite, (e.sqnr_a_db, e.sqnr_b_db))):
        return ()
    shares = [10 ** (-db / 10) for db in (e.sqnr_a_db, e.sqnr_b_db)]
    factors = tr("A has {a:.2f} dB and B {b:.2f} dB, which are noise shares of {share_a:.3g} and {share_b:.3g}. If errors were independent, they would add up to {sum:.3g}, and that is {independent:.2f} dB.")
    return (factors.format(a=e.sqnr_a_db, b=e.sqnr_b_db, share_a=shares[0], share_b=shares[1], sum=sum(shares), independent=e.independent_db),)


def _decibel(sizes: str, quotient: str, noise: float, decibel: float, *more: str) -> tuple[str, ...]:
    """From the sizes of signal and noise to decibels; nothing where there is no signal, and no quotient where nothing was lost."""
    if math.isnan(decibel):
        return ()
    if not noise:
        return sizes, tr("Nothing was lost: every number came back as it was.")
    return sizes, f"{quotient} = **{decibel:.2f} dB**", *more


def crest_factor(seen: Statistics) -> tuple[str, ...]:
    """amax over rms."""
    return (f"amax / rms = {seen.amax:.6g} / {seen.rms:.6g} = **{seen.crest_factor:.6g}**",) if math.isfinite(seen.crest_factor) else ()


def binades(seen: Statistics) -> tuple[str, ...]:
    """The largest magnitude over the smallest, in doublings."""
    return (f"log₂({seen.amax:.6g} / {seen.amax / 2**seen.range_binades:.6g}) = **{seen.range_binades:.6g}**",) if math.isfinite(seen.range_binades) else ()


def spread(scales: Scales) -> tuple[str, ...]:
    """Standard deviation over mean."""
    return (f"{scales.std:.6g} / {scales.std / scales.spread:.6g} = **{scales.spread:.6g}**",) if scales.spread and math.isfinite(scales.spread) else ()


def _share(words: str, count: int, report: ErrorReport) -> str:
    return words.format(count=f"{count:,}", share=f"{count:,} / {report.count:,} = **{100 * count / max(report.count, 1):.6g} %**")
