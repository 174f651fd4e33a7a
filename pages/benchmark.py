"""How fast is it here?"""

import streamlit as st

from pages.ui import frame, measurements, topics
from pages.ui.language import told, tr

view = frame.page(__file__, "recipes", "rows", "columns", "inner", "repeats", "backend", "recorded")
frame.heading(tr("This machine"))
st.caption(told(measurements.host().label))
view = frame.control("measure")
topics.BENCHMARK[view.measure].draw(view)
