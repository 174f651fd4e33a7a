"""Where a static scale comes from: every calibration method on the same numbers, for several formats."""

from __future__ import annotations

import streamlit as st

from fp8core.recipes import Recipe
from pages.ui import calibrations as work
from pages.ui import frame, snippets
from pages.ui.charts import calibration as charts
from pages.ui.language import tr
from pages.ui.own_format import chosen_format
from pages.ui.tensor_reports import Chosen
from pages.ui.upload import as_text
from pages.ui.view import View


def draw(view: View, chosen: Chosen, recipe: Recipe) -> None:
    """Draw the topic."""
    source = work.choose_source(view, chosen)
    left, right, _ = st.columns([1, 1, 1])
    with left:
        frame.control("percentile")
    with right:
        view = frame.control("momentum")
    formats = work.compared(chosen_format(view).name)
    frame.heading(tr("{tensor}, {shape}: one scale for all, found in {batches} batches").format(tensor=as_text(source.title), shape=" × ".join(map(str, source.x.shape)), batches=work.BATCHES))
    seen = work.observed(source)
    if seen is None or not seen.largest:
        st.info(tr("There is no finite number but zero in it: nothing to calibrate with."))
        return
    table = work.calibrations(source, formats, view.percentile, view.momentum)
    left, right = st.columns(2)
    with left:
        frame.figure(charts.thresholds(seen.histogram(), table), "calibration_thresholds", tr(
            "**What you see:** all magnitudes, and below them the amax that each method chooses. Numbers right of a mark are clipped; the further left a mark, the finer is what remains. Two methods look at how a format rounds, so that their marks differ from format to format."
        ))
    with right:
        frame.figure(charts.effects(table), "calibration_effects", tr(
            "**What you see:** SQNR, ↑ the share clipped and ↓ the share flushed to zero. Blue gains over clipping nothing, red loses. Few bits gain by clipping. E4M3 and E5M2 do not: their steps shrink with the numbers, so that clipping buys nothing and costs the largest."
        ))
    left, right = st.columns(2)
    with left:
        frame.figure(charts.squared_error(work.error_curves(source, formats), table, work.energy(seen)), "calibration_mse", tr(
            "**What you see:** what each threshold costs, up to eight times the largest number, and the one with the least squared error. An integer has a peak and loses up to 6 dB with every doubling beyond it. FP8 has a plateau: a scale that is several times too large costs nearly nothing, one that clips costs much."
        ))
    with right:
        frame.figure(charts.divergence(table), "calibration_entropy", tr(
            "**What you see:** how far the histogram after quantization is from the one before, for each threshold; it is infinite, and left out, where the bin at the threshold is empty. The entropy does not know how much a clipped number was worth."
        ))
    frame.heading(tr("All methods, all formats"))
    frame.table(work.rows(table), "calibration_methods")
    frame.explain(tr("What are these methods?"), tr("A scale that is fixed before use needs an amax, and data to take it from.") + "\n\n" + work.methods_explained())
    frame.copy_python(snippets.program(source.code, work.as_python(formats, view.percentile, view.momentum)))
