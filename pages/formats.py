"""Which numbers exist? Formats side by side: their values, the gaps between them, their codes."""

import streamlit as st

from fp8core.formats import parse_format
from fp8core.grid import code_table, describe
from pages.ui import cached, frame, readings
from pages.ui.charts import formats as charts
from pages.ui.language import told, tr
from pages.ui.number_tables import summary_columns, uses
from pages.ui.upload import as_text

EXAMPLES = ("e3m4b3fn", "ue4m4", "e4m3_nosub", "binary6p3uf", "table(-1,-0.5,0,0.5,1)")

view = frame.page(__file__, "formats", "pattern")
names = list(view.formats)
if view.pattern.strip():
    try:
        names.append(parse_format(view.pattern.strip().lower()).name)
    except ValueError as error:
        st.warning(tr("The format of your own is left out: {reason}").format(reason=as_text(told(error))))
names = list(dict.fromkeys(names))
with st.container(horizontal=True, vertical_alignment="center"):
    st.caption(tr("Patterns to try:"), width="content")
    for pattern in EXAMPLES:
        st.button(pattern, key=f"pattern_{pattern}", type="tertiary", on_click=frame.change, kwargs={"pattern": pattern})
spacings = cached.spacings(tuple(names))

frame.heading(tr("The numbers themselves"))
view = frame.control("axis")
notes = {
    "log": tr("Each tick is a positive number; a short tick is subnormal. Floating point keeps its ticks equally dense over the whole range, integers crowd at the upper end."),
    "linear": tr("Each tick is a number. Floating point is dense around zero and coarse far out; the axis ends at the largest value of the smallest format."),
    "scaled": tr("Each tick is a number, divided by the largest one of its format. This is what a scaled tensor meets: its largest magnitude lands at ±1."),
    "binade": tr("One row for each doubling (binade); each mark is a number. Every row of a float format holds equally many, until the subnormal rows at the bottom thin out."),
}
frame.figure(charts.grid_figure(spacings, view.axis), "grid", notes[view.axis])
wide = [told(s.title) for s in spacings if not s.complete]
if wide:
    st.caption(tr("{formats}: too many numbers to draw one by one. Their powers of two stand for them, or by binade a bar from the first to the last number.").format(formats=", ".join(wide)))

frame.heading(tr("The gaps between them"))
left, right = st.columns(2)
with left:
    frame.figure(charts.spacing_figure(spacings, relative=False), "gaps", tr("Distance from a number to the next larger one. A float format's doubles with every binade; an integer's never changes."))
with right:
    frame.figure(charts.spacing_figure(spacings, relative=True), "relative_gaps", tr("The same distance as a share of the number. Float formats stay in one band, down to the subnormal numbers on the left, where it grows to 100 %."))

frame.heading(tr("Every code"))
small = [s for s in spacings if parse_format(s.name).bits <= 8]
cells = tr("Each cell is one code: its row gives the leading bits, its column the last four. Orange is positive, blue negative, deeper is larger. Point at a cell for its arithmetic.")
for tab, s in zip(st.tabs([told(s.title) for s in small]) if small else [], small, strict=True):
    with tab:
        frame.figure(charts.code_figure(code_table(s.name), frame.is_dark()), f"codes_{s.name}", tr("**{format}.** {cells}").format(format=told(s.title), cells=cells))
if len(small) < len(spacings):
    st.caption(tr("Codes are listed for formats of at most 8 bits; these have more: {formats}.").format(formats=", ".join(told(s.title) for s in spacings if s not in small)))

frame.heading(tr("Side by side"))
summaries = [describe(name) for name in names]
frame.table(summary_columns(summaries), "formats_compared", height="content")
st.markdown(uses(summaries))
frame.explain(
    tr("What do these words mean?"),
    tr(
        "- A **binade** is the stretch from one power of two to the next. In each, a float format has 2^(mantissa bits) numbers at equal distances.\n"
        "- An **ulp** (unit in the last place) is that distance.\n"
        "- **Subnormal** numbers lie below the smallest normal one. They keep its distance and lose significant bits on the way to zero.\n"
        "- **Relative precision** is half an ulp at the start of a binade: no normal number in range is off by more after rounding to nearest.\n"
        "- In format names, **fn** means no infinity, **uz** no negative zero; eXmY gives exponent and mantissa bits, and b the exponent bias."
    ),
)
frame.copy_python(f"""
from fp8core.grid import code_table, describe, spacing

for name in {names}:
    print(describe(name))
    print("numbers", *spacing(name).values)
    print("gaps", *spacing(name).steps[:-1])
    for code in code_table(name) if describe(name).bits <= 8 else ():
        print(f"{{code.hex}} = {{code.bits}}: {{code.arithmetic}}, {{code.kind}}")
""")
readings.draw()
