"""What happens to one number? Its bits, its neighbours, all the numbers that share its code, and its fate in every format."""

import math

import streamlit as st

from fp8core.formats import FAMILIES
from fp8core.number import across, explain, text_of
from pages.ui import frame, own_format
from pages.ui.bits import draw_bits
from pages.ui.charts import number as charts
from pages.ui.language import told, tr
from pages.ui.number_tables import formula, kind_word, number_columns, number_or_dash, percent, sharers, value_text
from pages.ui.upload import as_text

view = frame.page(__file__, "number", "format", "pattern", "rounding", "overflow")
own_format.warn_of_pattern(view)
fmt = own_format.menu_format(view)
try:
    report = explain(view.number, fmt, view.rounding, view.overflow)
except ValueError as error:
    st.warning(as_text(told(error)))
    st.stop()


def flip(position: int) -> None:
    """Put the number whose code differs in one bit into the URL."""
    frame.change(number=text_of(report.code.code ^ 1 << position, fmt, view.rounding, view.overflow))


frame.heading(tr("{number} in {format}").format(number=as_text(view.number), format=told(fmt.title)))
draw_bits(report.code.code, fmt.fields, flip)
st.markdown(f"`{report.code.hex}` &nbsp; = &nbsp; {formula(report.code.arithmetic)}")
shown = (
    (tr("Value"), value_text(report.value), tr("The number that the code stands for, to nine digits. The line above is exact.")),
    (tr("Error"), number_or_dash(report.error), tr("Value minus number.")),
    (tr("Relative error"), percent(report.relative_error), tr("Error divided by the number.")),
    (tr("Error in ulp"), number_or_dash(report.error_ulps), tr("Error in units of the distance between neighbours here. Rounding to nearest stays within 0.5 unless the number is out of range.")),
    (tr("Kind"), kind_word(report.code.kind), tr("Normal numbers have full precision, subnormal ones fewer significant bits.")),
)
frame.metrics(shown, widths=[3, 2, 2, 2, 2])

frame.heading(tr("Its neighbours, and who shares its code"))
if math.isfinite(report.value):
    frame.figure(charts.number_line(report), "number_line", sharers(report, view.rounding))
else:
    st.info(sharers(report, view.rounding))

frame.heading(tr("The same number in other formats"))
view = frame.control("families")
compared = tuple(dict.fromkeys((*(each.name for family in FAMILIES if family in view.families for each in FAMILIES[family]), fmt.name)))
reports = across(report.x, compared, rounding=view.rounding, overflow=view.overflow)
if any(r.relative_error > 0 for r in reports):
    frame.figure(charts.errors_figure(reports), "errors", tr("The shorter the bar, the closer the format comes. 100 % means that nothing of the number is left, or that it is far beyond the largest value."))
else:
    st.info(tr("No format has a relative error to draw here: each holds this number exactly, or it is zero, infinite or not a number."))
frame.table(number_columns(reports), "number_in_every_format", height=520, column_config={tr("bit pattern"): st.column_config.TextColumn(width=270), tr("kind"): st.column_config.TextColumn(width=95)})
frame.explain(
    tr("How does a number get its code?"),
    tr(
        "The exponent field picks the binade, the stretch between two powers of two that the number lies in. The mantissa counts equal steps within it. "
        "A number between two steps is rounded; a tie goes to the even code, unless you choose another rounding. "
        "Below the smallest normal binade the steps stay as they are: these numbers are subnormal, and below half of the first step only zero is left."
    ),
)
frame.copy_python(f"""
from fp8core.formats import FAMILIES
from fp8core.number import across, explain

how = {{"rounding": {view.rounding!r}, "overflow": {view.overflow!r}}}
r = explain({view.number!r}, {fmt.name!r}, **how)
print(f"{{r.code.hex}} = {{r.code.bits}}: {{r.code.arithmetic}}, {{r.code.kind}}")
print(f"error {{r.error:.4g}}, relative {{100 * r.relative_error:.3g}} %, {{r.error_ulps:.4g}} ulp; all of {{r.interval}} share the code")
formats = [fmt.name for family in {list(view.families)} for fmt in FAMILIES[family]]
for each in across(r.x, dict.fromkeys([*formats, {fmt.name!r}]), **how):
    print(f"{{each.format}}: {{each.code.hex}} = {{each.value!r}}, error {{each.error:.4g}}, relative {{100 * each.relative_error:.3g}} %, {{each.error_ulps:.4g}} ulp")
""")
