"""Which layers suffer, and what to do about it? One model or checkpoint, and the topic that the visitor chose."""

import streamlit as st

from fp8core.checkpoints import CheckpointError
from pages.ui import frame, layer_sources, topics
from pages.ui.language import sentences, told, tr
from pages.ui.upload import as_text, uploaded_checkpoint

view = frame.page(__file__, *layer_sources.controls())
try:
    source = layer_sources.choose_source(view, uploaded_checkpoint())
    frame.in_report(as_text(source.title))
    view = frame.control("layers_topic")
    topics.LAYERS[view.layers_topic].draw(view, source)
except CheckpointError as error:
    st.error(sentences(tr("This file cannot be read to its end."), as_text(told(error))))
