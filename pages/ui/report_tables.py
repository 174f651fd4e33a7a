"""An ErrorReport in words and tables, the same on every page that shows one."""

from __future__ import annotations

import streamlit as st

from fp8core.anatomy import loudest
from fp8core.metrics import ErrorReport
from fp8core.recipes import Recipe
from pages.ui import arithmetic, frame
from pages.ui import tensor_reports as work
from pages.ui.language import tr
from pages.ui.number_tables import percent
from pages.ui.tensor_reports import Chosen


def headline(chosen: Chosen, recipe: Recipe) -> None:
    """Draw the numbers that matter first, and behind a button the arithmetic of those that are not obvious."""
    report = work.report(chosen, recipe)
    shown = [
        *errors(report, recipe),
        (tr("Largest error"), f"{report.max_abs:.3g}", tr("The largest |x − x̂|, in the units of the tensor."), ()),
        (tr("Cosine"), f"{report.cosine:.6f}", tr("Cosine of the angle between the tensor and its quantized form; 1 is the same direction."), ()),
        (tr("Bits per number"), f"{report.bits_per_value:.4g}", tr("Stored bits, scales included."), arithmetic.bits(report, recipe, tuple(chosen.x.shape))),
    ]
    if recipe.scaling is not None:
        part = work.ask(chosen, recipe, loudest)
        shown.append((tr("Largest block's scale"), f"{part.scale:.4g}", tr("The scale of the block that holds the largest number; decoding multiplies with it."), arithmetic.scale(part, recipe)))
    frame.flowing_metrics(shown)
    if report.lost:
        st.warning(tr("{lost} of {count} numbers became NaN or infinity: the format has no codes for them at this scale. All figures but the shares are of the rest.").format(lost=f"{report.lost:,}", count=f"{report.count:,}"), icon=":material/warning:")


def errors(report: ErrorReport, recipe: Recipe) -> list[tuple]:
    """The three numbers that belong side by side, for `frame.metrics`."""
    return [
        (tr("SQNR"), decibel(report.sqnr_db), tr("Signal to quantization noise: 20 log₁₀(‖x‖ / ‖x − x̂‖). 6 dB more is half the error."), arithmetic.sqnr(report)),
        (tr("Flushed to zero"), percent(report.underflow), tr("Share of all numbers that were not zero and became zero."), arithmetic.underflow(report, recipe)),
        (tr("Saturated"), percent(report.saturation), tr("Share of all numbers more than half an ulp beyond the largest number that the scale allows."), arithmetic.saturation(report, recipe)),
    ]


def rows(reports: dict[str, ErrorReport]) -> list[dict]:
    """One row per recipe, every scalar of its report."""
    return [
        {
            tr("recipe"): name, tr("SQNR (dB)"): round(r.sqnr_db, 3), tr("MSE"): f"{r.mse:.6g}", tr("largest error"): f"{r.max_abs:.6g}", tr("largest error (ulp)"): round(r.max_ulp, 4),
            tr("cosine"): round(r.cosine, 8), tr("flushed (%)"): round(100 * r.underflow, 4), tr("saturated (%)"): round(100 * r.saturation, 4), tr("codes used"): r.codes_used or None,
            tr("exact zeros"): r.zeros, tr("NaN"): r.nans, tr("infinite"): r.infs, tr("lost"): r.lost, tr("bits per number"): round(r.bits_per_value, 5),
        }
        for name, r in reports.items()
    ]  # fmt: skip


def decibel(value: float) -> str:
    """A ratio in dB; an exact result says so."""
    return tr("exact") if value == float("inf") else "–" if value != value else f"{value:.2f} dB"
