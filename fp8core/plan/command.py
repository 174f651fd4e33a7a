"""python -m fp8core plan CHECKPOINT: a recipe for each layer; python -m fp8core export CHECKPOINT: the checkpoint written by a plan."""

from __future__ import annotations

import argparse
import csv
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from fp8core.checkpoints import Checkpoint, open_checkpoint
from fp8core.checkpoints.source import inner
from fp8core.console import print_table, progress
from fp8core.layers import analyze
from fp8core.layers.row_file import finished_rows
from fp8core.packed import LAYOUTS, decoded, model_type, verify, write_quantized
from fp8core.packed.writing import check
from fp8core.plan.cautions import cautions
from fp8core.plan.choose import KEEP, Chosen, cheapest, choose, uniform
from fp8core.plan.costs import CANDIDATES, apart, dearest, of_rows, of_weights, plannable, writable
from fp8core.plan.exports import EXPORTS
from fp8core.plan.plan import Plan
from fp8core.recipes import parse_recipe

_WHOLE = (128, 128)  # a shape of whole blocks in every layout


def add_to(commands) -> None:
    """Add both commands to those of `python -m fp8core`."""
    plan = commands.add_parser("plan", help="choose a recipe for each layer of a checkpoint")
    plan.add_argument("checkpoint", metavar="CHECKPOINT", help="a .safetensors, .npy or .npz file, a folder of .safetensors files, or their index")
    budget = plan.add_mutually_exclusive_group(required=True)
    budget.add_argument("--bits", type=float, metavar="B", help="at most so many bits per weight, scales included, over the layers of the plan")
    budget.add_argument("--error", type=float, metavar="E", help="at most this sum of the layers' noise-to-signal ratios, with the fewest bits that steps along the frontier give")
    budget.add_argument("--all", metavar="RECIPE", help="one recipe for every layer but normalizations, embeddings, the head and routers")
    plan.add_argument("--recipes", metavar="NAMES", help=f"what to choose from, separated by commas; with --rows all of it that a checkpoint can store unless named, else {','.join(CANDIDATES)}")
    plan.add_argument("--rows", metavar="FILE", help="take the errors from this CSV of `analyze` instead of measuring them")
    plan.add_argument("--apart", action="store_true", help="let q, k and v, gate and up, and experts have recipes of their own; vLLM refuses such checkpoints")
    plan.add_argument("--everything", action="store_true", help="choose for embeddings, the head, routers, convolutions and stacks of experts too")
    plan.add_argument("--out", metavar="FILE", help="write the plan as JSON")
    plan.add_argument("--form", choices=[name for name in EXPORTS if name != "json"], help="print it as this library takes it, instead of a table")
    plan.set_defaults(command=_plan)
    export = commands.add_parser("export", help="write a checkpoint quantized by a plan, and prove that it decodes to what was meant")
    export.add_argument("checkpoint", metavar="CHECKPOINT", help="as for plan")
    export.add_argument("--plan", required=True, metavar="FILE", help="a plan that `plan --out` wrote")
    export.add_argument("--to", required=True, metavar="FOLDER", help="a folder that does not exist yet, or is empty")
    export.add_argument("--layout", choices=list(LAYOUTS), default="compressed-tensors", help="; ".join(f"{name}: {each.title}" for name, each in LAYOUTS.items()))
    export.set_defaults(command=_export)


def _plan(options: argparse.Namespace) -> None:
    stored = open_checkpoint(options.checkpoint)
    checkpoint = decoded(stored)
    names = plannable(checkpoint, everything=options.everything)
    if not names:
        raise ValueError(f"{checkpoint.filename}: no tensor here is a matrix for which a recipe could be chosen")
    asked = options.all if options.all is not None else options.recipes
    named = [asked] if options.all is not None else list(CANDIDATES) if asked is None else asked.split(",")
    recipes = [parse_recipe(name).name for name in dict.fromkeys(part.strip() for part in named) if name]
    if not recipes:
        raise ValueError(f"{'--all' if options.all is not None else '--recipes'} {asked!r} names no recipe")
    if options.rows:
        measured = list(dict.fromkeys(row_recipes(options.rows)))
        rows = finished_rows(options.rows, checkpoint, measured)
        recipes = recipes if asked is not None else _storable(options.rows, measured)
        lacking = set(names) - {row["layer"] for row in rows}
        if lacking:
            raise ValueError(f"{options.rows}: it lacks {len(lacking)} of {len(names)} layers, such as {min(lacking)}: let `analyze --resume` finish it")
        if absent := set(recipes) - {row["recipe"] for row in rows}:
            raise ValueError(f"{options.rows}: it has no rows of {', '.join(sorted(absent))}")
        costs = of_rows((row for row in rows if row["layer"] in set(names)), {name: checkpoint.infos[name].nbytes for name in names})
    else:
        costs = of_weights(analyze(checkpoint, recipes, names, watched("measuring")))
    costs = [cost for cost in costs if cost.recipe in {KEEP, *recipes}]
    costs = apart(costs) if options.apart else costs
    if options.all is None:
        costs = writable(costs, {name: checkpoint.infos[name].shape for name in names})
    chosen = uniform(costs, recipes[0]) if options.all is not None else _chosen(options, checkpoint, costs)
    plan = Plan(checkpoint.filename, chosen.recipes)
    if options.out:
        Path(options.out).write_text(plan.to_json(), encoding="utf-8")
    if options.form:
        print(EXPORTS[options.form].text(plan), end="")
        return
    _print(checkpoint, chosen)
    if options.out:
        layout, reason = _first_layout(stored, plan)
        more = f"no layout stores a checkpoint by it: {reason}" if reason else f"python -m fp8core export {shlex.quote(options.checkpoint)} --plan {shlex.quote(options.out)} --to FOLDER{layout} writes the checkpoint"
        print(f"written to {options.out}; {more}")


def _storable(path: str, measured: list[str]) -> list[str]:
    """The recipes of a CSV that some layout stores; says which it leaves out."""
    found = [name for name in measured if not all(layout.refuses("any.weight", _WHOLE, parse_recipe(name)) for layout in LAYOUTS.values())]
    left = [name for name in measured if name not in found]
    if left and found:
        print(f"fp8core: {path}: left out, as no checkpoint stores them exactly: {', '.join(left)}; name them with --recipes to have them all the same", file=sys.stderr)
    return found or measured


def row_recipes(path: str) -> list[str]:
    """Names of the recipes in a CSV of `analyze`, in its order."""
    with open(path, newline="", encoding="utf-8") as file:
        return [row["recipe"] for row in csv.DictReader(file) if row.get("recipe")]


def _chosen(options: argparse.Namespace, checkpoint: Checkpoint, costs) -> Chosen:
    count = sum(checkpoint.infos[layer].count for layer in {cost.layer for cost in costs})
    if options.error is not None:
        return cheapest(costs, options.error)
    try:
        return choose(costs, options.bits * count)
    except ValueError as error:
        layer, bits = dearest(costs, {cost.layer: checkpoint.infos[cost.layer].count for cost in costs})
        raise ValueError(f"--bits {options.bits:g} for {count:,} weights: {error}; {layer!r} alone needs {bits:.4g} bits per weight, as other recipes lose numbers there or have blocks that are not whole") from error


def _first_layout(checkpoint: Checkpoint, plan: Plan) -> tuple[str, str]:
    """What to add to `export` for the first layout that stores a plan, and why none does."""
    reasons = []
    for layout in LAYOUTS:
        try:
            check(checkpoint, plan.recipes, layout)
        except ValueError as error:
            reasons.append(str(error))
        else:
            return f" --layout {layout}" if reasons else "", ""
    return "", reasons[0]


def _print(checkpoint: Checkpoint, chosen: Chosen) -> None:
    count = sum(checkpoint.infos[name].count for name in chosen.recipes)
    used: dict[str, list[str]] = {}
    for name, recipe in chosen.recipes.items():
        used.setdefault(recipe, []).append(name)
    print_table([
        ("recipe", "layers", "weights", "for example"),
        *((recipe or "(as stored)", len(names), f"{sum(checkpoint.infos[name].count for name in names):,}", inner(names[0])) for recipe, names in sorted(used.items(), key=lambda each: -len(each[1]))),
    ])  # fmt: skip
    gap = "" if chosen.error <= chosen.bound else f" (no choice of so many bits is below {chosen.bound:.4g})"
    print(f"{chosen.nbits / count:.3f} bits per weight over {len(chosen.recipes)} layers; sum of noise-to-signal ratios {chosen.error:.4g}{gap}")


def _export(options: argparse.Namespace) -> int:
    checkpoint = open_checkpoint(options.checkpoint)
    plan = Plan.from_json(Path(options.plan).read_text(encoding="utf-8")).for_tensors(checkpoint.infos)
    write_quantized(checkpoint, plan.recipes, options.to, options.layout, watched("writing"), beside=options.checkpoint)
    found = verify(checkpoint, plan.recipes, options.to, watched("reading again"))
    wrong = [each for each in found if each.different]
    quantized = sum(each.recipe != KEEP for each in found)
    nbytes = open_checkpoint(options.to).nbytes
    print(f"{options.to}: {quantized} weights quantized, {len(found) - quantized} tensors copied; {checkpoint.nbytes:,} bytes became {nbytes:,}")
    if wrong:
        print(f"fp8core: {len(wrong)} tensors do not decode to what was meant, such as {inner(wrong[0].name)}: {wrong[0].different:,} of {wrong[0].count:,} numbers", file=sys.stderr)
        return 1
    print(f"read again and decoded: all {sum(each.count for each in found):,} numbers are those that were meant, bit for bit")
    if options.layout != "deepseek":
        print("load it with the class that its config.json names: layers are found by the names that this class gives them")
    for each in cautions(checkpoint.infos, plan.recipes, options.layout, model_type(options.checkpoint)):
        print(f"note: {each}")
    return 0


def watched(what: str) -> Callable[[int, int, str], None] | None:
    """What shows how many tensors are done, where somebody watches."""
    show = progress()
    return None if show is None else lambda done, every, name: show(1 if done + 1 == every else done / every, f"{what} {done + 1} of {every}, {inner(name)}")
