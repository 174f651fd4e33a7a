"""Where does FP8 pay? Speed over BF16 by the size of the layer and by how many tokens pass it at once."""

from __future__ import annotations

import streamlit as st

from pages.ui import frame, own_pair, sweeps
from pages.ui.charts import benchmark as charts
from pages.ui.language import tr
from pages.ui.view import View, recipe_title


def draw(view: View) -> None:
    """Draw the topic."""
    view = own_pair.draw(view)
    left, middle, right = st.columns([3, 4, 3], gap="medium")
    with left:
        frame.control("sizes")
    with middle:
        frame.control("batches")
    with right:
        view = frame.control("seconds")
    st.caption(tr("The sizes are those of the layers; M, N, K, the repeats and the backend at the left belong to the other topics."))
    found = sweeps.run_on_request(view)
    if found is None or not found.points:
        st.info(tr("Nothing has been measured yet. The map compares every recipe with BF16 in the same run, for each layer and batch, the smallest first, until the time is up."))
    if found is not None:
        st.caption(sweeps.heading(found))
        for recipe in found.recipes[1:] if found.points else ():
            st.markdown(f"**{recipe_title(recipe)}**")
            frame.figure(charts.pays_figure(found, recipe), f"pays_{recipe}", tr("**What you see:** how many times faster than BF16 the product alone was, blue where it was faster and red where it was slower."))
        if found.points:
            st.caption(tr("With one token a layer reads all its weights for little arithmetic, so that fewer bits are less to wait for; with many tokens the arithmetic decides, and with it whether the processor multiplies the format itself."))
        if left_out := sweeps.left_out(found):
            with st.expander(tr("Left out: {count}").format(count=len(found.left_out)), icon=":material/hourglass_disabled:"):
                st.markdown(left_out)
        if found.points:
            frame.table(sweeps.table(found), "pays")
    frame.copy_python(sweeps.as_python(view, found))
