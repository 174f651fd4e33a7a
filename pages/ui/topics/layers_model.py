"""The whole model: how well it does its job under each recipe, which layer does most to it, and how errors grow on their way."""

from __future__ import annotations

import streamlit as st

from pages.ui import frame, whole_models
from pages.ui.charts import sensitivity as charts
from pages.ui.language import tr
from pages.ui.layer_reports import column_config
from pages.ui.layer_sources import Source
from pages.ui.view import View, recipe_title

_METRICS = {
    "accuracy": "accuracy (%)", "cross_entropy": "cross entropy (nats)", "cosine_mean": "cosine, mean", "cosine_min": "cosine, lowest",
    "agreement": "same neighbour (%)", "paired": "right neighbour (%)",
}  # fmt: skip
_SHARES = ("accuracy", "agreement", "paired")


def draw(view: View, source: Source) -> None:
    """Draw the topic."""
    if not whole_models.runnable(source):
        return
    outcomes = {recipe: whole_models.uniform_outcome(source.model, recipe) for recipe in view.recipes}
    rows = [
        {tr("recipe"): recipe_title(recipe), tr("model output (dB)"): found.output_sqnr_db}
        | {tr(name): (100 if key in _SHARES else 1) * found.metrics[key] for key, name in _METRICS.items() if key in found.metrics}
        for recipe, found in outcomes.items()
    ]  # fmt: skip
    frame.heading(tr("All layers quantized, weights and inputs"))
    frame.table(rows, "layers_model", column_config=column_config(rows) | {tr(_METRICS[key]): st.column_config.NumberColumn(format="%.5f") for key in ("cosine_mean", "cosine_min", "cross_entropy")})
    st.caption(whole_models.explained(source.model))
    recipe = frame.control("recipe").recipe
    whole = whole_models.uniform_outcome(source.model, recipe).output_sqnr_db
    frame.figure(charts.alone_bars(whole_models.sensitivities(source.model, recipe), whole), "layers_alone", tr(
        "**What you see:** on the left, the model's output when a single layer is quantized: the further left, the more this layer hurts. On the right, the output when every other layer is quantized: "
        "the further right of the dotted line, which is all layers quantized, the more is won by leaving this one alone."
    ))
    frame.figure(charts.growth_lines(whole_models.growth(source.model, recipe)), "layers_growth", tr(
        "**What you see:** the error that each layer adds by itself, given exact inputs, and the one that has come together by then. Where both lines are close, the layer itself is the trouble."
    ))
    frame.copy_python(f"""
from fp8core.sensitivity import end_to_end, error_growth, layers_of, sensitivities

model, recipe = {source.model!r}, {recipe!r}
for each in {list(view.recipes)}:
    found = end_to_end(model, dict.fromkeys(layers_of(model), each))
    print(f"{{each}}: {{found.output_sqnr_db:.2f}} dB, {{found.metrics}}")
for each in sensitivities(model, recipe):
    print(f"{{each.layer}}: alone {{each.alone.output_sqnr_db:.2f}} dB, all but it {{each.all_but.output_sqnr_db:.2f}} dB")
for each in error_growth(model, dict.fromkeys(layers_of(model), recipe)):
    print(f"{{each.layer}}: its own {{each.local_sqnr_db:.2f}} dB, come together {{each.cumulative_sqnr_db:.2f}} dB")
""")
