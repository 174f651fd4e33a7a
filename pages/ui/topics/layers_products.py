"""What-if: every layer's product under every chosen recipe, weights and inputs quantized."""

from __future__ import annotations

import streamlit as st

from pages.ui import frame, snippets, whole_models
from pages.ui.charts import sensitivity as charts
from pages.ui.language import tr
from pages.ui.layer_reports import column_config
from pages.ui.layer_sources import Source
from pages.ui.view import View, recipe_title


def draw(view: View, source: Source) -> None:
    """Draw the topic."""
    found = whole_models.products(source, view.recipes)
    if not found:
        st.info(tr("A product needs inputs beside weights, and this file has none. Record both from your own model, and open the file here:"))
        st.code(_CAPTURE, language="python")
        return
    titles = {recipe: recipe_title(recipe) for recipe in view.recipes}
    frame.figure(charts.products_map(found, titles), "layers_products", tr(
        "**What you see:** how well the product of each layer's inputs and weights survives when both are quantized; dark cells are what a recipe harms. "
        "Hover over a cell: it tells whether the weights or the inputs are to blame."
    ))
    rows = [
        {
            tr("layer"): each.layer, tr("recipe"): recipe_title(each.recipe), tr("product (dB)"): each.product_sqnr_db, tr("by weights (dB)"): each.by_weights_db, tr("by inputs (dB)"): each.by_inputs_db,
            tr("weights (dB)"): each.weight_sqnr_db, tr("inputs (dB)"): each.input_sqnr_db,
        }
        for each in found
    ]  # fmt: skip
    frame.table(rows, "layers_products_rows", column_config=column_config(rows))
    frame.explain(
        tr("What happens to the inputs?"),
        tr("A recipe for weights brings its partner for inputs: DeepSeek's 128 × 128 goes with 1 × 128, most recipes with themselves, and weight-only recipes such as NF4 or INT4 with none. Products are taken in float64, so that nothing but quantizing is seen."),
    )
    pairs = f"from fp8core.sensitivity import pairs_of\npairs = pairs_of({source.model!r})" if source.model else f"from fp8core.capturing import captured\n{source.code}\npairs = captured(checkpoint)"
    frame.copy_python(snippets.program(pairs, f"""
from fp8core.sensitivity import what_if
for each in what_if(pairs, {list(view.recipes)}):
    print(f"{{each.layer}}, {{each.recipe}}: {{each.product_sqnr_db:.2f}} dB, by weights {{each.by_weights_db:.2f}} dB, by inputs {{each.by_inputs_db:.2f}} dB, weights {{each.weight_sqnr_db:.2f}} dB, inputs {{each.input_sqnr_db:.2f}} dB")
"""))  # fmt: skip
    if source.model:
        st.caption(tr("Inputs are those that come with the model: {rows} rows.").format(rows=whole_models.input_rows(source.model)))


_CAPTURE = """
from fp8core import capture

with capture(model, "step.safetensors"):   # any torch module
    loss = model(batch).mean()
    loss.backward()                        # only if you want gradients too
""".strip()
