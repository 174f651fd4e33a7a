"""What each lesson shows: numbers for the places in its text, and figures, all computed by fp8core. `show` is the way in."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from fp8core.bench import load, recorded_runs
from fp8core.bench.devices import DEVICES, DeviceProfile
from fp8core.bench.roofline import ridge
from fp8core.calibration import DelayedScaling, make_steps, simulate
from fp8core.compare import scale_curve
from fp8core.distributions import distribution
from fp8core.formats import parse_format
from fp8core.gemm import ACCUMULATORS
from fp8core.gemm.accumulate import accumulation_growth
from fp8core.gemm.error import error_growth, random_pair
from fp8core.grid import describe, spacing
from fp8core.metrics import measure, sqnr_db
from fp8core.number import explain
from fp8core.quantized import quantize
from fp8core.recipes import RECIPES, make_recipe, parse_recipe
from fp8core.samples import make_sample
from pages.ui import accumulations, measurements, theme
from pages.ui.charts.benchmark import roofline_figure, time_figure
from pages.ui.charts.calibration import delayed as delayed_figure
from pages.ui.charts.distributions import histogram
from pages.ui.charts.formats import spacing_figure
from pages.ui.charts.lessons import as_shares, bars, beside_an_outlier, by_doubling, on_one_range, ranking
from pages.ui.charts.matmul import accumulation_figure
from pages.ui.charts.number import number_line
from pages.ui.charts.rules import scale_curves
from pages.ui.language import told, tr
from pages.ui.lessons import LESSONS
from pages.ui.number_tables import formula
from pages.ui.view import View, recipe_title

SIDE = 512  # as on the pages that a lesson leads to, so that both show the same numbers
LOUD = 10  # an rms that only a loud column of "outlier_channels" has
FALL = 10  # dB: who has lost more is said to have fallen
FACTORS = (*(step * 10.0**power for power in range(6) for step in (1, 3)), 1e6)


@dataclass(frozen=True, eq=False)
class Exhibit:
    """What a lesson shows.

    Args:
        numbers: by the names of their places in the text.
        figures: in their order, which are side by side or one below the other.
        beside: the text stands beside a single figure, and not below it.
    """

    numbers: dict[str, Any]
    figures: tuple[go.Figure, ...]
    beside: bool = True


def show(lesson: str) -> Exhibit:
    """Compute what a lesson shows, in the language of this run."""
    about = LESSONS[lesson]
    return EXHIBITS[about.exhibit](**about.arguments)


def eight_bits(name: str, beside: str, number: str) -> Exhibit:
    """Which numbers a format has, on a plain line, and how one number becomes a code."""
    fmt, other, about, found = parse_format(name), parse_format(beside), describe(name), explain(number, name)
    inside, stretched = (int((np.abs(values) <= 1).sum()) for values in (fmt.finite_values, other.finite_values * (fmt.max / other.max)))
    numbers = {
        "codes": 1 << fmt.bits, "values": about.finite_count, "nan_codes": about.nan_codes, "max": fmt.max, "inside": inside, "share": 100 * inside / about.finite_count, "other_inside": stretched,
        "number": number, "bits": found.code.bits, "formula": formula(found.code.arithmetic),
    }  # fmt: skip
    return Exhibit(numbers, (_tall(on_one_range([spacing(name), spacing(beside)], 1.0), 300),))


def two_formats(first: str, second: str, wide: str) -> Exhibit:
    """Range against precision: all positive numbers, and their relative gaps."""
    pair = [spacing(first), spacing(second)]
    a, b = describe(first), describe(second)
    numbers = {"ratio": b.max / a.max, "wide_binades": len(np.unique(spacing(wide).binades))}
    for place, about, s in (("first", a, pair[0]), ("second", b, pair[1])):
        numbers |= {
            f"{place}_max": about.max, f"{place}_doublings": about.dynamic_range_binades,
            f"{place}_precision": 100 * about.relative_precision, f"{place}_per_binade": int(s.per_binade.max()),
        }  # fmt: skip
    return Exhibit(numbers, (_tall(by_doubling(pair), 360), _tall(spacing_figure(pair, relative=True), 360)))


def doublings(name: str, beside: str, near: int, far: int) -> Exhibit:
    """How many numbers lie in two binades, and how far apart."""
    s = spacing(name)
    numbers = {}
    for place, binade in (("near", near), ("far", far)):
        inside = s.binades == binade
        numbers |= {f"{place}_low": 2**binade, f"{place}_high": 2 ** (binade + 1), f"{place}_count": int(inside.sum()), f"{place}_step": float(s.steps[inside][0])}
    normal = s.relative[(s.values >= s.min_normal) & np.isfinite(s.steps)]
    numbers |= {"finest": 100 * float(normal.min()), "coarsest": 100 * float(normal.max())}
    pair = [s, spacing(beside)]
    return Exhibit(numbers, (_tall(by_doubling(pair), 360), _tall(spacing_figure(pair, relative=False), 360)))


def rounding(numbers: tuple[str, str], name: str) -> Exhibit:
    """Two numbers between their neighbours."""
    first, second = (explain(each, name) for each in numbers)
    about = describe(name)
    found = {
        "first_number": first.x, "first_value": first.value, "first_above": first.above, "first_ulp": first.ulp, "first_error_ulps": first.error_ulps, "first_bits": first.code.bits,
        "second_number": second.x, "second_value": second.value, "second_error": 100 * second.relative_error, "second_error_ulps": second.error_ulps,
        "finer": 100 * about.relative_precision, "mantissa_bits": about.mantissa_bits,
    }  # fmt: skip
    return Exhibit(found, tuple(_tall(number_line(report), 260) for report in (first, second)))


def scale(source: str, recipe: str) -> Exhibit:
    """A tensor before and after its scale."""
    x, recipe = make_sample(source, (SIDE, SIDE)), parse_recipe(recipe)
    q, bare = quantize(x, recipe), quantize(x, make_recipe(recipe.format))
    with_scale, without = measure(x, q), measure(x, bare)
    decode_scale = float(q.scale.reshape(-1)[0])
    numbers = {
        "amax": float(x.abs().max()), "max": recipe.fmt.max, "decode_scale": decode_scale, "encode_scale": 1 / decode_scale,
        "flushed_without": 100 * without.underflow, "flushed": 100 * with_scale.underflow, "sqnr_without": without.sqnr_db, "sqnr": with_scale.sqnr_db,
    }  # fmt: skip
    pictures = (histogram(distribution(x, bare, scaled=False), recipe.fmt, axis=tr("|x|")), histogram(distribution(x, q, scaled=True), recipe.fmt, axis=tr("|x| / scale")))
    return Exhibit(numbers, tuple(_tall(picture, 340) for picture in pictures))


def outlier(source: str, recipes: Sequence[str], factor: float) -> Exhibit:
    """What a few outliers do to the numbers beside them."""
    x = make_sample(source, (SIDE, SIDE))
    ordinary: dict[str, list[tuple[float, float]]] = {name: [] for name in recipes}
    for each in FACTORS:
        planted = make_sample(source, (SIDE, SIDE), outlier=each)
        others = planted == x
        for name in recipes:
            left = quantize(planted, name).dequantize()[others]
            ordinary[name].append((sqnr_db(x[others], left), float(((left == 0) & (x[others] != 0)).double().mean())))
    float_name, int_name, block_name = recipes
    at = FACTORS.index(factor)
    numbers = {
        "factor": factor, "int_step": factor / parse_recipe(int_name).fmt.max, "doublings": describe(parse_recipe(float_name).format).dynamic_range_binades, "outliers": int((planted != x).sum()), "count": x.numel(), "int_zero": 100 * ordinary[int_name][at][1], "float_zero": 100 * ordinary[float_name][at][1],
        "int_db": ordinary[int_name][at][0], "float_db": ordinary[float_name][at][0], "int_plain_db": ordinary[int_name][0][0],
        "float_falls": next(each for each, (db, _) in zip(FACTORS, ordinary[float_name], strict=True) if db < ordinary[float_name][0][0] - FALL), "fall": FALL, "block_db": ordinary[block_name][-1][0], "last": FACTORS[-1],
    }  # fmt: skip
    return Exhibit(numbers, (_tall(beside_an_outlier(FACTORS, ordinary), 400),))


def granularity(source: str, formats: Sequence[str], granularities: Sequence[str]) -> Exhibit:
    """What is left of the ordinary columns beside a few loud ones, by format and granularity."""
    x = make_sample(source, (SIDE, SIDE))
    quiet = x.square().mean(0).sqrt() < LOUD
    found = {name: {each: sqnr_db(x[:, quiet], quantize(x, f"{name}:{each}").dequantize()[:, quiet]) for each in granularities} for name in formats}
    words = {"tensor": tr("one for the tensor"), "row": tr("one per row"), "column": tr("one per column")}
    first, second = formats
    numbers = {"loud": int((~quiet).sum()), "columns": x.shape[1], "second_least": min(found[second].values()), "second_most": max(found[second].values())}
    numbers |= {f"first_{each.replace('1x32', 'block')}": db for each, db in found[first].items()}
    titles = {name: parse_format(name).title for name in formats}
    picture = bars([words.get(each) or tr("one per {block}").format(block=each.replace("x", " × ")) for each in granularities], {titles[name]: list(found[name].values()) for name in formats}, {titles[name]: theme.colour(name) for name in formats}, tr("scales"))
    picture.update_layout(yaxis_title=tr("SQNR of the ordinary columns (dB)"))
    return Exhibit(numbers, (picture,))


def delayed(scenario: str, name: str, history: int, algorithm: str) -> Exhibit:
    """A short training in which one step is loud, under delayed scaling."""
    scaling = DelayedScaling(name, history, algorithm)
    steps = simulate(make_steps(scenario), scaling)
    loud = max(range(len(steps)), key=lambda at: steps[at].amax)
    after = steps[loud + 1 : loud + 1 + history]
    numbers = {
        "history": history, "times": steps[loud].amax / statistics.median(step.amax for step in steps), "clipped": 100 * steps[loud].saturation, "loud_db": steps[loud].sqnr_db, "current_db": steps[loud].current_sqnr_db,
        "after_flushed": 100 * statistics.mean(step.underflow for step in after), "after_db": statistics.mean(step.sqnr_db for step in after), "usual_db": statistics.median(step.sqnr_db for step in steps[history:loud]),
    }  # fmt: skip
    figure = _tall(delayed_figure(steps, scaling, loud), 470).update_layout(yaxis_title=tr("|x|"), yaxis3_title=tr("share (%)"), yaxis3_dtick=2)
    return Exhibit(numbers, (figure,), beside=False)


def scale_rules(source: str, formats: Sequence[str], rules: Sequence[str]) -> Exhibit:
    """Every rule for the power of two of a block, for two element formats."""
    x = make_sample(source, (SIDE, SIDE))
    found = {name: {rule: measure(x, quantize(x, f"{name}:1x32:{rule}:e8m0fnu")) for rule in rules} for name in formats}
    (first, of_first), (second, of_second) = ((parse_format(name), {rule: report.sqnr_db for rule, report in reports.items()}) for name, reports in found.items())
    numbers = {
        "rules": len(rules), "first_max": first.max, "first_significand": first.max / 2.0**first.emax, "first_emax": first.emax, "second_max": second.max, "second_significand": second.max / 2.0**second.emax, "second_emax": second.emax, "first_spread": max(of_first.values()) - min(of_first.values()),
        "first_ceil": of_first["ceil"], "first_floor": of_first["floor"], "first_amax": of_first["amax"], "second_ceil": of_second["ceil"], "second_even": of_second["even"],
    }  # fmt: skip
    curves = {rule: scale_curve(formats[1], rule, "e8m0fnu") for rule in rules}
    numbers["ceil_unused"] = float(np.log2(curves["ceil"][1].max()))
    titles = {name: f"MX, {parse_format(name).title}" for name in formats}
    picture = bars(list(rules), {titles[name]: [report.sqnr_db for report in found[name].values()] for name in formats}, {titles[name]: theme.colour(name) for name in formats}, tr("scale rule"))
    return Exhibit(numbers, (picture, _tall(scale_curves(curves), 380)))


def element_or_scale(source: str, recipes: Sequence[str]) -> Exhibit:
    """UE8M0 as the format of scales, and as what it is not: that of the numbers."""
    x = make_sample(source, (SIDE, SIDE))
    found = {name: measure(x, quantize(x, name)) for name in recipes}
    _, ue8m0_scales, signed, bare = found.values()
    numbers = {
        "ue8m0_scales": ue8m0_scales.sqnr_db, "signed": signed.sqnr_db, "lost": 100 * bare.lost / bare.count, "codes": signed.codes_used, "real_codes": ue8m0_scales.codes_used,
        "exponents": describe("e8m0fnu").positive_count,
    }  # fmt: skip
    titles = {name: recipe_title(name) for name in recipes}
    notes = {titles[name]: tr("of the rest, as {share:.0f} % become NaN").format(share=100 * report.lost / report.count) if report.lost else "" for name, report in found.items()}
    return Exhibit(numbers, (ranking({titles[name]: report.sqnr_db for name, report in found.items()}, {titles[name]: theme.colour(parse_recipe(name).format) for name in recipes}, notes),))


def vanishing(source: str, recipes: Sequence[str]) -> Exhibit:
    """Gradients under one scale: the ratio that looks fine, and the share that is gone."""
    x = make_sample(source, (SIDE, SIDE))
    quantized = {name: quantize(x, name) for name in recipes}
    numbers = {}
    for place, (name, q) in zip(("first", "second", "third"), quantized.items(), strict=True):
        report = measure(x, q)
        numbers |= {f"{place}_title": recipe_title(name), f"{place}_db": report.sqnr_db, f"{place}_flushed": 100 * report.underflow}
    d = distribution(x, quantized[recipes[0]], scaled=True)
    energy = np.sort(x.double().square().reshape(-1).numpy())
    numbers |= {"binades": int(d.binades[-1] - d.binades[0] + 1), "format_binades": describe(parse_recipe(recipes[0]).format).dynamic_range_binades, "loud_share": 100 * float(energy[-len(energy) // 100 :].sum() / energy.sum())}
    return Exhibit(numbers, (_tall(histogram(d, quantized[recipes[0]].recipe.fmt, axis=tr("|x| / scale")), 390),))


def few_bits(source: str, formats: Sequence[str], recipes: Sequence[str]) -> Exhibit:
    """FP8, FP6 and FP4: their numbers, and what is left of a tensor."""
    x = make_sample(source, (SIDE, SIDE))
    found = {name: measure(x, quantize(x, name)) for name in recipes}
    eight, six, wide_six, two_level, mx_four, four = found.values()
    values = parse_format(formats[-1]).finite_values
    numbers = {
        "count": int((values > 0).sum()), "max": float(values.max()), "doublings": describe(formats[-1]).dynamic_range_binades, "list": ", ".join(f"{value:g}" for value in values[values > 0]), "four_db": four.sqnr_db, "mx_four_db": mx_four.sqnr_db, "two_level_db": two_level.sqnr_db, "gain": two_level.sqnr_db - four.sqnr_db,
        "four_flushed": 100 * four.underflow, "two_level_flushed": 100 * two_level.underflow, "two_level_bits": two_level.bits_per_value, "mx_four_bits": mx_four.bits_per_value,
        "six_db": six.sqnr_db, "wide_six_db": wide_six.sqnr_db, "six_bits": six.bits_per_value, "eight_db": eight.sqnr_db,
    }  # fmt: skip
    titles = {name: recipe_title(name) if name in RECIPES else tr("{format}, one scale for the tensor").format(format=parse_recipe(name).fmt.title) for name in recipes}
    notes = {titles[name]: tr("{bits:.4g} bits").format(bits=report.bits_per_value) for name, report in found.items()}
    rows = ranking({titles[name]: report.sqnr_db for name, report in found.items()}, {titles[name]: theme.colour(parse_recipe(name).format) for name in recipes}, notes)
    return Exhibit(numbers, (_tall(as_shares([spacing(name) for name in formats]), 400), rows))


def speed(run: str, recipe: str, others: Sequence[str], device: str, tokens: tuple[int, int], side: int) -> Exhibit:
    """A recorded run on a processor without FP8 units, and what a GPU that has them could do at most."""
    results = {r.case.recipe: r for r in load(recorded_runs()[run])}
    ours, base = results[recipe], results["bfloat16"]
    profile, here = DEVICES[device], measurements.host()
    few, many = (measurements.modelled_points(View(rows=rows, columns=side, inner=side, recipes=(recipe,)), profile) for rows in tokens)
    numbers = {
        "m": ours.case.m, "host": told(ours.host), "date": ours.recorded, "times": ours.product_ms.median / base.product_ms.median, "ms": ours.product_ms.median, "base_ms": base.product_ms.median,
        "here": here.gpu.name if here.gpu else here.cpu, "units_here": tr("has units for FP8") if here.multiplies("float8", measurements.device()) else tr("has no units for FP8"),
        "device": profile.name, "few": tokens[0], "many": tokens[1], "side": side, "few_gain": few[0].milliseconds / few[1].milliseconds, "many_gain": many[0].milliseconds / many[1].milliseconds,
        "few_intensity": few[1].flop_per_byte, "many_intensity": many[1].flop_per_byte, "ridge": ridge(profile, few[1].operand),
    }  # fmt: skip
    measured = [results[name] for name in ("float32", "bfloat16", recipe, *others)]
    return Exhibit(numbers, (_tall(time_figure(measured), 380), _roofs(profile, [*few, *many], 380)))


def accumulators(units: Sequence[str], lengths: Sequence[int]) -> Exhibit:
    """What units lose while they add, for numbers of both signs and for mostly positive ones."""
    last, panels, lost = lengths[-1], {}, {}
    for mean in accumulations.MEANS:
        a, b = random_pair(accumulations.SIDE, accumulations.SIDE, last, accumulations.SEED, mean)
        errors, rounded = accumulation_growth(a, b, accumulations.RECIPE, units, lengths), error_growth(a, b, [accumulations.RECIPE], lengths)
        panels[accumulations.heading(mean)] = errors, rounded
        lost[mean] = {e.accumulator: 100 * e.relative_error for e in errors if e.k == last}
    (_, plain, promoted), signed, positive = units, *lost.values()
    numbers = {
        "k": last, "bits": ACCUMULATORS[plain].sum_bits, "promotion": ACCUMULATORS[promoted].promotion, "signed_plain": signed[plain], "positive_plain": positive[plain], "positive_promoted": positive[promoted],
        "positive_rounding": 100 * rounded[-1].rms_error / rounded[-1].rms,
    }  # fmt: skip
    return Exhibit(numbers, (_tall(accumulation_figure(panels, {name: ACCUMULATORS[name] for name in units}), 420),))


def _roofs(profile: DeviceProfile, points: Sequence, height: int) -> go.Figure:
    """The roofline of the units in use, with each recipe named once, above it."""
    used = replace(profile, tflops={point.operand: profile.peak(point.operand) for point in points})
    figure = _tall(roofline_figure(used, points), height).update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    named = [trace.name for trace in figure.data]
    for at, trace in enumerate(figure.data):
        trace.update(showlegend=trace.mode == "markers" and named.index(trace.name) == at)
    return figure


def _tall(figure: go.Figure, height: int) -> go.Figure:
    return figure.update_layout(height=height)


EXHIBITS: dict[str, Callable[..., Exhibit]] = {
    each.__name__: each
    for each in (eight_bits, two_formats, doublings, rounding, scale, outlier, granularity, delayed, scale_rules, element_or_scale, vanishing, few_bits, speed, accumulators)
}  # fmt: skip
