"""What happens to a tensor?"""

from functools import partial

import streamlit as st

from fp8core.spans import parse_span
from pages.ui import brushing, calibrations, frame, own_format, report_tables
from pages.ui import tensor_reports as work
from pages.ui.charts import distributions as charts
from pages.ui.language import told, tr
from pages.ui.upload import as_text, uploaded_checkpoint

view = frame.page(__file__, "preset", "format", "pattern", "granularity", "rule", "scale_format", "rotation", "rounding", "overflow", "source", "size", "seed", "outlier", "tail")
chosen = work.choose_tensor(view, uploaded_checkpoint())
if chosen is None:
    st.stop()
own_format.warn(view)
recipe = work.chosen_recipe(view)
bare = work.chosen_recipe(view, granularity="none")
report = work.report(chosen, recipe)

frame.heading(tr("{tensor}, {shape}, in {recipe}").format(tensor=as_text(chosen.title), shape=" × ".join(map(str, chosen.x.shape)), recipe=as_text(told(recipe.title))))
report_tables.headline(chosen, recipe)

left, right = st.columns(2)
with left:
    frame.say(f"**{tr('The tensor as it is')}**")
    picture = charts.histogram(work.by_binade(chosen, bare, scaled=False), recipe.fmt, axis=tr("|x|"))
    frame.figure(picture, "before", tr("**What you see:** one bar per doubling of the magnitude, over the range of the format without any scale. Numbers left of the range become zero, numbers right of it are clipped."))
with right:
    frame.say(f"**{tr('The tensor divided by its scale')}**" if recipe.scaling else f"**{tr('No scale is used')}**")
    picture = charts.selectable(charts.histogram(work.by_binade(chosen, recipe, scaled=True), recipe.fmt, axis=tr("|x| / scale"), span=parse_span(view.span)))
    frame.figure(picture, "after", tr("**What you see:** the same numbers, each divided by the scale of its block. A good scale moves the largest to the right end of the range, so that as few as possible fall out at the left."), on_select=partial(brushing.take, "after"), **brushing.SELECTABLE)
part = brushing.draw(view, chosen, recipe)

left, right = st.columns(2)
with left:
    view = frame.control("zoom")
    picture = charts.linear(work.on_a_line(chosen, recipe, view.zoom), recipe.fmt)
    frame.figure(picture, "linear", tr("**What you see:** the middle of the distribution on a linear axis, and every number of the format as a tick. Zoom in until the gaps between the ticks show."))
with right:
    st.markdown(f"**{tr('Precision, binade by binade')}**", help=tr("Drawn for binades with at least 20 numbers."))
    frame.figure(charts.error_by_binade(brushing.errors(chosen, recipe, bare, parse_span(view.span))), "binades", tr("**What you see:** floating point keeps the same ratio of signal to error over its normal range, then loses 6 dB with every halving; integers lose 6 dB from the start."))

frame.heading(tr("The codes that occur"))
st.caption(tr("One row per code that at least one of the selected numbers got, and the quotients x / scale that are rounded to it."))
brushing.table(part, recipe)

calibrated = calibrations.draw_for_tensor(chosen, own_format.chosen_format(view).name)

frame.heading(tr("The whole report"))
frame.table(report_tables.rows({told(recipe.title): report, tr("without scale"): work.report(chosen, bare)}), "distribution_report")
frame.explain(tr("Is a high SQNR good?"), tr("SQNR weighs numbers by their energy, so the largest dominate it. A tensor whose small half is flushed to zero can still read 32 dB: read it beside the share that is flushed."))
frame.copy_python(work.as_python(chosen, recipe, work.distributed(bare, view.zoom), calibrated))
