"""What does the scale do? One tensor, one recipe, and the topic that the visitor chose."""

import streamlit as st

from pages.ui import frame, own_format, topics
from pages.ui import tensor_reports as work
from pages.ui.upload import uploaded_checkpoint

view = frame.page(__file__, "preset", "format", "pattern", "granularity", "rule", "scale_format", "rotation", "rounding", "overflow", "source", "size", "seed", "outlier", "tail")
chosen = work.choose_tensor(view, uploaded_checkpoint())
if chosen is None:
    st.stop()
own_format.warn(view)
view = frame.control("topic")
topics.TOPICS[view.topic].draw(view, chosen, work.chosen_recipe(view))
