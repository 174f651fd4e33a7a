"""Plans for a page: costs, the choice for a budget, changes by hand, files, and the quantized checkpoint itself."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from fp8core import packed
from fp8core.packed import verify, write_quantized
from fp8core.packed.writing import check
from fp8core.plan import KEEP, Chosen, Cost, Plan, apart, cheapest, choose, dearest, from_line, frontier, group_of, of_weights, plannable, priced, to_line, uniform, writable
from fp8core.recipes import RECIPES
from pages.ui import exports, frame, layer_reports, sharing, whole_models
from pages.ui.language import sentences, told, tr
from pages.ui.layer_sources import Source
from pages.ui.upload import as_text
from pages.ui.view import View, recipe_title

MOST_NBYTES = 300_000_000  # of a checkpoint that is written for a download
_EDITOR = "plans_editor"


def tensors(source: Source) -> list[str]:
    """The tensors that a plan is for: those that can be planned and that are measured here."""
    large = set(too_large(source))
    return [name for name in _wanted(source) if name not in large]


def too_large(source: Source) -> list[str]:
    """The tensors that would be planned if they had fewer numbers."""
    return [name for name in _wanted(source) if source.most is not None and source.weights.infos[name].count > source.most]


def _wanted(source: Source) -> list[str]:
    """All matrices where only embeddings, heads and routers are left."""
    return plannable(source.weights) or plannable(source.weights, everything=True)


def measured(source: Source) -> bool:
    """Whether errors are measured on the model's output, and not only on weights."""
    return bool(source.model) and set(tensors(source)) <= {f"{layer}.weight" for layer in whole_models.layers_of(source.model)}


def costs(source: Source, candidates: Sequence[str], fused: str, budget: str) -> list[Cost]:
    """What each candidate costs each layer, of those that can be written in its shape unless one is wanted for all; nothing more is drawn while the visitor has stopped that."""
    if measured(source):
        found = whole_models.costs(source.model, candidates)
    else:
        weights = source if source.checkpoint is not None else Source(f"{source.model}/weights", source.weights, model=source.model, title=source.title)
        wanted = tensors(source)
        reports = layer_reports.reports(weights, tuple(candidates), wanted)
        if len(reports) < len(wanted):
            st.stop()
        found = of_weights(reports)
    kept = found if budget == "same" else writable(found, {name: info.shape for name, info in source.weights.infos.items()})
    return kept if fused == "together" else apart(kept)


def chosen(view: View, source: Source, found: Sequence[Cost]) -> tuple[dict[str, str], bool]:
    """Return the recipes of the plan, and whether they were chosen by hand: those in the link, or else the best that the budget can buy.

    Raises:
        ValueError: a budget that is too small, or a recipe for all layers under which one loses numbers.
    """
    names = list(dict.fromkeys(cost.layer for cost in found))
    if view.plan:
        try:
            return from_line(view.plan, names), True
        except ValueError as error:
            st.warning(tr("The plan in this link is not for these layers: {reason}. The best one for the budget is shown.").format(reason=as_text(told(error))))
    return dict(best(view, source, found).recipes), False


def best(view: View, source: Source, found: Sequence[Cost]) -> Chosen:
    """The best choice for the budget; raises as `chosen` does."""
    if view.budget == "same":
        return uniform(found, view.recipe)
    if view.budget == "error":
        return cheapest(found, 10 ** (-view.ceiling / 10) * (1 if measured(source) else len({cost.layer for cost in found})))
    count = weights_of(source, found)
    try:
        return choose(found, view.bits * count)
    except ValueError as error:
        least = frontier(found)[0].nbits / count
        words = tr("{bits:g} bits per weight are too few: these recipes need {least:.2f} at least.").format(bits=view.bits, least=least)
        layer, bits = dearest(found, {cost.layer: source.weights.infos[cost.layer].count for cost in found})
        if bits > view.bits:
            words = sentences(words, tr("{layer} alone needs {bits:.4g}: other recipes lose numbers there or have blocks that are not whole.").format(layer=layer, bits=bits))
        raise ValueError(words) from error


def weights_of(source: Source, found: Sequence[Cost]) -> int:
    """How many weights a plan is for."""
    return sum(source.weights.infos[name].count for name in {cost.layer for cost in found})


def total(found: Sequence[Cost], recipes: Mapping[str, str], candidates: Sequence[str]) -> Chosen:
    """Bits and error of a plan.

    Raises:
        ValueError: a layer has no cost under its recipe, and why.
    """
    known = {(cost.layer, cost.recipe) for cost in found}
    for layer, recipe in recipes.items():
        if (layer, recipe) not in known and recipe not in candidates:
            raise ValueError(tr("This plan has {recipe}, which is not among the recipes to choose from at the top: add it there, or go back to the best plan.").format(recipe=recipe_title(recipe)))
        if (layer, recipe) not in known:
            raise ValueError(tr("This plan has {recipe} for {layer}, which loses numbers to it or cannot be stored in its blocks: choose another one, or go back to the best plan.").format(recipe=recipe_title(recipe), layer=layer))
    return priced(found, recipes)


def table(source: Source, found: Sequence[Cost], recipes: dict[str, str], candidates: Sequence[str], fused: str) -> None:
    """Draw the plan as a table in which recipes can be changed; changes go into the link."""
    known = {(cost.layer, cost.recipe): cost for cost in found}
    rows = [
        {
            tr("layer"): name, tr("shape"): "×".join(map(str, source.weights.infos[name].shape)), tr("recipe"): recipe or tr("as stored"),
            tr("bits"): known[name, recipe].nbits / source.weights.infos[name].count, tr("error"): known[name, recipe].error,
        }
        for name, recipe in recipes.items() if (name, recipe) in known
    ]  # fmt: skip
    sharing.took(exports.Part(pd.DataFrame(rows), "layers_plan"))
    options = [tr("as stored"), *candidates]
    st.data_editor(
        rows, key=f"{_EDITOR}_{hash(to_line(recipes))}", hide_index=True, disabled=[tr("layer"), tr("shape"), tr("bits"), tr("error")], on_change=_take_edit, args=(f"{_EDITOR}_{hash(to_line(recipes))}", recipes, fused),
        column_config={
            tr("recipe"): st.column_config.SelectboxColumn(options=options, format_func=lambda name: recipe_title(name) if name in RECIPES else name, required=True), tr("bits"): st.column_config.NumberColumn(format="%.3f"),
            tr("error"): st.column_config.NumberColumn(format="%.2e", help=tr("The layer's share of the whole error: its noise-to-signal ratio.")),
        },
    )  # fmt: skip


def _take_edit(key: str, recipes: dict[str, str], fused: str) -> None:
    rows = st.session_state[key]["edited_rows"]  # of the only column that can be edited; its words are in the language of the visitor
    given = {int(row): recipe if recipe in RECIPES else KEEP for row, values in rows.items() for recipe in values.values()}
    _take(edited(recipes, given, fused))


def edited(recipes: Mapping[str, str], given: Mapping[int, str], fused: str) -> dict[str, str]:
    """Return the recipes with those given by row, and, together, for what engines fuse with these rows."""
    names, changed = list(recipes), dict(recipes)
    for row, recipe in given.items():
        partners = [name for name in names if group_of(name) == group_of(names[row])] if fused == "together" else [names[row]]
        changed |= dict.fromkeys(partners, recipe)
    return changed


def _take(recipes: Mapping[str, str]) -> None:
    try:
        frame.change(plan=to_line(recipes))
    except ValueError as error:
        st.toast(tr("This plan cannot be in a link, so that it was not taken: {reason}").format(reason=as_text(told(error))))


def open_file(source: Source) -> None:
    """Draw the field that opens a plan from a file."""
    st.file_uploader(tr("Open a plan"), type=["json"], key="plans_file", on_change=_take_file, args=(tuple(tensors(source)), tuple(source.weights.infos)), max_upload_size=5)
    if error := st.session_state.pop("plans_error", None):
        st.error(sentences(tr("This plan was not opened."), as_text(told(error))))


def _take_file(names: tuple[str, ...], every: tuple[str, ...]) -> None:
    file = st.session_state["plans_file"]
    if file is None:
        return
    try:
        plan = Plan.from_json(file.getvalue().decode("utf-8", errors="replace")).for_tensors(every)
        if others := [name for name, recipe in plan.recipes.items() if recipe and name not in names]:
            raise ValueError(tr("{layer} has a recipe in it, and nothing is planned for that here: it is no matrix, is an embedding, a head or a router, or has too many numbers.").format(layer=others[0]))
        _take({name: plan.recipes.get(name, KEEP) for name in names})
    except ValueError as error:
        st.session_state["plans_error"] = str(error)


def forget() -> None:
    """Callback: go back to the plan that the budget buys."""
    frame.change(plan="")


def refusal(source: Source, recipes: Mapping[str, str], layout: str) -> str:
    """Say why the checkpoint cannot be written so; an empty text where it can."""
    try:
        check(_stored(source), recipes, layout)
        model_type(source)
    except ValueError as error:
        return str(error)
    if source.weights.nbytes > MOST_NBYTES and source.path is None:
        return tr("{size:,.0f} MB are more than the {most:,.0f} MB that are written for a download.").format(size=source.weights.nbytes / 1e6, most=MOST_NBYTES / 1e6)
    return ""


def written(source: Source, recipes: Mapping[str, str], layout: str) -> tuple[bytes, dict[str, float]]:
    """Write the quantized checkpoint, read it again and compare -> a zip archive, and the figures of `proof`."""
    checkpoint, bar = _stored(source), st.progress(0.0, tr("writing"))
    try:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "quantized"
            write_quantized(checkpoint, recipes, folder, layout, lambda done, every, name: bar.progress(done / every / 2, tr("writing") + " " + as_text(name)), beside=source.path)
            found = verify(checkpoint, recipes, folder, lambda done, every, name: bar.progress(0.5 + done / every / 2, tr("reading again") + " " + as_text(name)))
            data = io.BytesIO()
            with zipfile.ZipFile(data, "w") as archive:  # nothing in it gets smaller by packing
                for path in sorted(folder.iterdir()):
                    archive.write(path, path.name)
    finally:
        bar.empty()
    wrong = [each for each in found if each.different]
    if wrong:
        raise RuntimeError(f"{wrong[0].name}: {wrong[0].different} of {wrong[0].count} numbers do not decode to what was meant")
    quantized = sum(bool(each.recipe) for each in found)
    return data.getvalue(), {"quantized": quantized, "copied": len(found) - quantized, "before": checkpoint.nbytes / 1e6, "after": len(data.getvalue()) / 1e6, "count": sum(each.count for each in found)}


def model_type(source: Source) -> str | None:
    """What the config.json beside a checkpoint of this machine calls its model; None where there is none, as with files that are sent here."""
    return None if source.path is None else packed.model_type(source.path)


def proof(figures: Mapping[str, float]) -> str:
    """What reading a written checkpoint again has found."""
    words = tr("{quantized} weights quantized, {copied} tensors copied, {before:.1f} MB became {after:.1f} MB. Read again and decoded: all {count:,} numbers are those that this page shows, bit for bit.")
    return words.format(**figures)


def _stored(source: Source):
    """The checkpoint as it lies in its file: where it is quantized already, that has to be seen."""
    return source.stored or source.weights
