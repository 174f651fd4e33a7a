"""Can I trust it?"""

import streamlit as st

from pages.ui import conformance_reports as reports
from pages.ui import frame
from pages.ui.charts import conformance as charts
from pages.ui.language import tr

view = frame.page(__file__)

st.markdown(tr("Every number here comes from code of this project, so it is compared, on this machine and as you watch, with the code of others: every code of every format, every value, every midpoint with its neighbours, and whole recipes, block by block. What is compared is equal bit for bit; NaN counts as NaN, and −0 is told from 0."))

results = reports.run_on_request()
if results:
    reports.headline(results)
    reports.mismatches(results)
    frame.figure(charts.grid_figure(results), "conformance_grid", tr("**What you see:** one row per family of formats or library of recipes, one column per implementation. A tick and the number of formats or recipes that agree; a cross where one does not; a circle where the implementation is not installed. Empty: it has nothing of that kind."))
    frame.heading(tr("One by one"))
    frame.table(reports.grid_rows(results), "conformance_grid_rows", height=520)
else:
    st.info(tr("Nothing has been compared yet on this server. It takes up to a minute."))

frame.heading(tr("Known differences"))
st.caption(tr("Where ours is not what another implementation gives, and is meant not to be. Each has a region, and only what differs there in the way described is left out of the count; a difference that has gone is reported as gone."))
frame.table(reports.divergence_rows(results), "conformance_differences", **reports.with_sentences(lines=4, implementation=105, where=160, ours=125, theirs=150, why=190, source=155, found_here=100))

frame.heading(tr("Implementations"))
frame.table(reports.oracle_rows(), "conformance_oracles", height="content", **reports.with_sentences(lines=3, implementation=135, installed=95, trusted_for=400, what_it_is=230))
if advice := reports.advice():
    st.info(tr("Some are not installed here. None is needed to run anything else; to compare with them too:"))
    st.code(advice, language="bash")

if results:
    with st.expander(tr("Every comparison"), icon=":material/table_rows:"):
        frame.table(reports.rows(results), "conformance")

frame.heading(tr("The same on the command line"))
st.code("python -m fp8core conformance\npython -m fp8core conformance --format e4m3fn --oracle ml_dtypes\npython -m fp8core conformance --recipe torchao_mxfp8_rceil", language="bash")
frame.explain(
    tr("What is compared, and what is not?"),
    tr("**Formats.** The value of every code of at most 16 bits. Every value, every midpoint of two neighbours, the edges of overflow and the special numbers, each with both its float32 neighbours (and float64 neighbours where the implementation takes them), in every rounding mode and overflow policy that the implementation has. **Recipes.** Random numbers, blocks whose largest number is 2^k, 1.5 · 2^k, 1.75 · 2^k and more, over all of float32 with both neighbours, subnormal numbers, zeros, infinity and NaN: elements and scales. Recipes of libraries that need hardware, and plain formulas, are compared with their steps, written a second time from the published source. **Not compared:** stochastic rounding, whose random numbers are each library's own; rotated recipes; DeepSpeed's, which are approximations."),
)
frame.copy_python("""
from fp8core import conformance

results = conformance.run()  # all of it, up to a minute; run(["e4m3fn", "mxfp8_e4m3"]) compares these two
for r in results:
    print(f"{r.subject}, {r.oracle}, {r.aspect}: {r.status}, {r.compared} compared, {r.mismatches} mismatches", r.first or "")
for difference, seen in conformance.divergences_seen(results).items():
    print(f"{difference.where}: {seen.state}, {seen.differing} numbers")
""")
