"""Which layers suffer: every tensor under every chosen recipe."""

from __future__ import annotations

from functools import partial

import streamlit as st

from fp8core.recipes import RECIPES
from pages.ui import frame, report_tables
from pages.ui import layer_reports as work
from pages.ui.charts import distributions, layers
from pages.ui.language import tr
from pages.ui.layer_sources import Source
from pages.ui.upload import as_text
from pages.ui.view import View, recipe_title


def draw(view: View, source: Source) -> None:
    """Draw the topic."""
    found = work.reports(source, view.recipes)
    titles = {recipe: recipe_title(recipe) for recipe in view.recipes}
    ranked = layers.by_difference(found)
    layer = work.selected_layer(ranked, view.layer)
    if layer is None:
        st.info(tr("No tensor here is quantized; the table below says why."))
    else:
        rows = work.summary_rows(found)
        frame.table(rows, "layers_summary", column_config=work.column_config(rows))
        view = frame.control("layers_chart")
        if view.layers_chart == "dots":
            note = tr(
                "**What you see:** one line per layer, the most unusual on top. E4M3 reads nearly the same everywhere; INT8 with one scale per tensor falls "
                "where a layer has outliers, and the share that is flushed to zero says so. Click a point to open its layer below."
            )
            frame.figure(layers.dots(found, titles, layer.name), "layers_dots", note, on_select=partial(work.take_point, "layers_dots"), selection_mode="points")
        elif view.layers_chart == "colours":
            frame.figure(layers.heat_map(found, titles), "layers_colours", tr("**What you see:** the same numbers as colours. A column of one colour does not care about the layer; a dark cell is a layer that this recipe harms."))
        else:
            note = tr("**What you see:** each layer once per recipe. An integer with one scale per tensor loses 6 dB whenever the crest factor doubles; floating point hardly notices. Click a point to open its layer below.")
            frame.figure(layers.outliers(found, titles, layer.name), "layers_outliers", note, on_select=partial(work.take_point, "layers_outliers"), selection_mode="points")

        pictures = {"dots": (tr("Layer by layer"), layers.dots), "colours": (tr("SQNR as colours"), layers.heat_map), "outliers": (tr("Outliers"), layers.outliers)}
        for name, (title, draw_all) in pictures.items():
            if name != view.layers_chart:
                frame.in_report(title, partial(draw_all, found, titles), f"layers_{name}")

        frame.heading(tr("{tensor}: {shape}").format(tensor=as_text(layer.name), shape=" × ".join(map(str, layer.shape))))
        with st.columns(2)[0]:
            recipe = frame.control("recipe").recipe
        errors = report_tables.errors(layer.errors[recipe], RECIPES[recipe]) if recipe in layer.errors else []
        frame.flowing_metrics([*errors, *((name, *fact) for name, fact in work.facts(layer).items())])
        left, right = st.columns(2)
        with left:
            picture = distributions.histogram(work.layer_distribution(source, layer.name, recipe), RECIPES[recipe].fmt, axis=tr("|x| / scale"))
            frame.figure(picture, "layer_histogram", tr("**What you see:** the numbers of this layer, divided by their scale, over the range of the format. What lies left of it becomes zero."))
            work.link_to_distribution(source, layer, recipe)
        with right:
            frame.figure(distributions.error_by_binade({titles[name]: error for name, error in layer.errors.items()}), "layer_binades", tr(
                "**What you see:** the precision of small numbers on the left and of large ones on the right. Floating point keeps a plateau; integers lose 6 dB with each halving."
            ))
        left, right = st.columns([3, 2])
        with left:
            frame.figure(layers.tiles(work.tiles(source, layer.name, recipe)), "layer_tiles", tr("**What you see:** the same layer under the recipe on the left, tile by tile. A dark row or column is one that shares a scale with something louder."))
        with right:
            frame.metrics([(name, *fact) for name, fact in work.block_facts(source, layer.name, recipe).items()], columns=(*st.columns(2), *st.columns(2)))

        frame.heading(tr("All layers"))
        rows = work.layer_rows(ranked)
        frame.table(rows, "layers", column_config=work.column_config(rows), on_select=partial(work.take_row, "layers_table", ranked), selection_mode="single-row")

    kept = work.kept_rows(found)
    if kept:
        frame.heading(tr("Left as they are"))
        frame.table(kept, "layers_kept")
    frame.explain(
        tr("Which tensors are left alone?"),
        tr(
            "Biases and the gains of normalizations stay in high precision: they are a tiny part of all numbers, and a scale for so few would save nothing. "
            "A convolution is seen as a matrix with one row per output channel, so that blocks of a scale lie along the sum. "
            "SQNR of all layers adds energies and noise before it divides, so large layers weigh more."
        ),
    )
    frame.copy_python(work.as_python(source, view.recipes, *(() if layer is None else (layer.name, view.recipe))))
