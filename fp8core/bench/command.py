"""The command `bench` and what is below it: products, the one-pass kernels, sweeps over layers, goals."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from fp8core import bench
from fp8core.bench import goals, kernel_jobs
from fp8core.bench import kernels as kernel_bench
from fp8core.bench import sweep as sweep_bench
from fp8core.bench.shapes import BATCHES, MAX_BATCH, MODELS, squares
from fp8core.bench.turn import turn
from fp8core.console import print_table, progress, waiting


def add_to(commands) -> None:
    """Add the command to a parser's subparsers; each has a function of the parsed options as its `command`."""
    measure = commands.add_parser("bench", help="time products of quantized matrices, (m, k) times (k, n)")
    for side in "mnk":
        measure.add_argument(f"--{side}", type=int, default=1024, metavar=side.upper(), help=f"{side.upper()}, 1024 if not given")
    measure.add_argument("--recipes", default=",".join(bench.DEFAULT_RECIPES), help="recipe names, separated by commas; all main ones if not given")
    measure.add_argument("--backend", default="auto", help="auto, or a backend for all of them")
    measure.add_argument("--repeats", type=int, default=7)
    measure.add_argument("--seed", type=int, default=0)
    measure.add_argument("--device", default="cpu", help="cpu or cuda")
    measure.add_argument("--save", metavar="FILE", help="write the results, one line each, as .csv or .parquet")
    measure.add_argument("--note", default="", help="a sentence about this machine, kept in the file")
    measure.set_defaults(command=_bench)
    more = measure.add_subparsers(metavar="[kernels | sweep | goals]")
    passes = more.add_parser("kernels", help="time the one-pass kernels, the floor that memory sets, and other packages")
    passes.add_argument("--numbers", type=int, default=kernel_bench.NUMBERS, help=f"how many float32 numbers, {kernel_bench.NUMBERS} if not given")
    passes.add_argument("--threads", type=int, default=kernel_bench.THREADS)
    passes.add_argument("--repeats", type=int, default=kernel_bench.REPEATS, help="rounds; each measures everything once")
    passes.add_argument("--only", metavar="JOB,...", help=f"jobs, or all of these kinds: {', '.join(kernel_jobs.OPERATIONS)}")
    passes.add_argument("--no-peers", action="store_true", help="only ours and the floor")
    passes.add_argument("--largest", action="store_true", help=f"{kernel_jobs.LARGEST.numbers} numbers among the sizes too")
    passes.add_argument("--csv", metavar="FILE", help="write the results as CSV")
    passes.set_defaults(command=_bench_kernels)
    chart = more.add_parser("sweep", help="time the layers of known models with several batches: how many times faster than bfloat16")
    chart.add_argument("--model", default="", metavar="MODEL,...", help=f"of {', '.join(MODELS)}; llama3_8b if neither this nor --squares is given")
    chart.add_argument("--squares", default="", metavar="SIDE,...", help="layers of as many outputs as inputs")
    chart.add_argument("--batch", default=",".join(map(str, BATCHES)), metavar="TOKENS,...", help=f"batches, 1 to {MAX_BATCH}; {', '.join(map(str, BATCHES))} if not given")
    chart.add_argument("--recipes", default="tensor_e4m3,mxfp8_e4m3,mxfp4", help="recipe names, separated by commas; bfloat16 is always measured too")
    chart.add_argument("--seconds", type=float, default=sweep_bench.SECONDS, help=f"what would take longer is left out; {sweep_bench.SECONDS:g} if not given")
    chart.add_argument("--repeats", type=int, default=sweep_bench.REPEATS)
    chart.add_argument("--device", default="cpu", help="cpu or cuda")
    chart.add_argument("--csv", metavar="FILE", help="write the results as CSV")
    chart.set_defaults(command=_bench_sweep)
    aims = more.add_parser("goals", help="measure what is to be reached on a GPU with FP8 units")
    aims.add_argument("--device", default="cuda", help="cuda if not given")
    aims.add_argument("--repeats", type=int, default=20)
    aims.add_argument("--csv", metavar="FILE", help="write the verdicts as CSV")
    aims.set_defaults(command=_bench_goals)


def _bench(options: argparse.Namespace) -> None:
    names = _names(options.recipes)
    if not names:
        raise ValueError(f"--recipes {options.recipes!r} names no recipe")
    _check_file(options.save, "--save", bench.store.ENDINGS)
    cases = [bench.BenchCase(options.m, options.n, options.k, name, options.backend, options.seed, options.repeats) for name in names]
    with turn(f"a benchmark of {len(cases)} products, {options.m} x {options.n} x {options.k}", waiting):
        results = bench.run_many(cases, options.device, progress())
    print(f"{results[0].host}; M = {options.m}, N = {options.n}, K = {options.k}; median of {options.repeats} runs")
    if measured := [result for result in results if result.peak_tflops]:
        print(f"measured beside: {_figure(measured[0].peak_tflops)} TFLOP/s of a large BF16 product, {_figure(measured[0].peak_gb_per_s)} GB/s of a large copy")
    rows = [("recipe", "kernel", "kind", "quantize A ms", "B", "static A ms", "B", "product ms", "p20-p80", "TFLOP/s", "% of BF16 peak", "x bfloat16", "SQNR dB")]
    for result in results:
        if result.refusal:
            rows.append((result.case.recipe, result.kernel, "refused:", result.refusal))
            continue
        faster = "-" if result.speedup_bfloat16 is None else f"{result.speedup_bfloat16:.2f}"
        rows.append((
            result.case.recipe, result.kernel, result.kind, f"{result.quantize_a_ms.median:.2f}", f"{result.quantize_b_ms.median:.2f}",
            *("-" if static is None else f"{static.median:.2f}" for static in (result.quantize_a_static_ms, result.quantize_b_static_ms)),
            f"{result.product_ms.median:.2f}", f"{result.product_ms.p20:.2f}-{result.product_ms.p80:.2f}", f"{result.tflops:.3f}", f"{100 * result.peak_share:.0f}", faster, f"{result.sqnr_db:.1f}",
        ))  # fmt: skip
    print_table(rows)
    if options.save:
        bench.save(results, options.save, options.note)


def _bench_kernels(options: argparse.Namespace) -> None:
    names = _names(options.only or "")
    if options.only is not None and not names:
        raise ValueError(f"--only {options.only!r} names no job")
    _check_file(options.csv, "--csv")
    jobs = kernel_jobs.select(names, largest=options.largest)
    peers = () if options.no_peers else tuple(kernel_bench.PEERS)
    with turn("a benchmark of the one-pass kernels", waiting):
        results = kernel_bench.run(jobs, options.numbers, options.threads, options.repeats, peers=peers, progress=progress())
    print(f"{results[0].host}; {results[0].date}")
    print(f"{options.numbers} float32 numbers, {options.threads} threads, {options.repeats} rounds: medians with p20-p80; ours with a preallocated result")
    print(f"the floor is a copy of as many bytes as the job reads and writes once; goals are for {kernel_bench.NUMBERS} numbers and {kernel_bench.THREADS} threads")
    rows = [("job", "subject", "ms", "ms, allocated", "floor ms", "x floor", "ours x faster", "ns/number", "runs", "goal", "verdict", "note")]
    for result in results:
        job = result.job if result.subject not in kernel_bench.PEERS else ""
        subject = f"{result.subject} {result.version}".strip()
        if result.refusal:
            rows.append((job, subject, "not run:", result.refusal))
            continue
        spreads = (result.call_ms, result.allocated_ms, result.floor_ms, result.times_floor, result.times_faster)
        nanoseconds = "-" if result.ns_per_number is None else f"{result.ns_per_number:.3g}"
        goal = "-" if result.goal is None else f"{kernel_jobs.AIMS[result.aim]} {result.goal:g} {result.aim}"
        verdict = f"{_figure(result.reached)}, {result.verdict}" if result.verdict else "-"
        rows.append((job, subject, *map(_spread, spreads), nanoseconds, result.runs or "-", goal, verdict, result.note))
    print_table(rows)
    if options.csv:
        kernel_bench.save_csv(results, options.csv)


def _bench_sweep(options: argparse.Namespace) -> None:
    recipes, models = _names(options.recipes), _names(options.model)
    if not recipes:
        raise ValueError(f"--recipes {options.recipes!r} names no recipe")
    sides, batches = _whole_numbers("--squares", options.squares), _whole_numbers("--batch", options.batch)
    for name in models:
        if name not in MODELS:
            raise ValueError(f"model {name!r} is not one of {', '.join(MODELS)}")
    _check_file(options.csv, "--csv")
    chosen = models or ([] if sides else ["llama3_8b"])
    shapes = [*(shape for name in chosen for shape in MODELS[name].layers), *squares(sides)]
    with turn(f"a map of {len(shapes)} layers and {len(batches)} batches", waiting):
        found = sweep_bench.sweep(recipes, shapes, batches, options.device, seconds=options.seconds, repeats=options.repeats, progress=progress())
    if found.points:
        print(f"{found.points[0].result.host}; {options.device}, {options.repeats} runs; the product alone, without quantizing")
    for recipe in found.recipes:
        print()
        if recipe == sweep_bench.BASELINE:
            print(f"{recipe}: ms")
            figures = found.matrix(recipe, lambda result: result.product_ms.median)
        else:
            kinds = dict.fromkeys(f"{point.result.kind} by {point.result.kernel}" for point in found.points if point.result.case.recipe == recipe and not point.result.refusal)
            print(f"{recipe}: times as fast as {sweep_bench.BASELINE}{''.join(f'; {kind}' for kind in kinds)}")
            figures = found.matrix(recipe)
        rows = [("model", "layer", "n x k", *(f"batch {batch}" for batch in found.batches))]
        for shape, line in zip(found.shapes, figures.tolist(), strict=True):
            rows.append((shape.model, shape.layer, f"{shape.n} x {shape.k}", *("-" if math.isnan(value) else _figure(value) for value in line)))
        print_table(rows)
    missing: dict[tuple, list[int]] = {}
    for item in found.left_out:
        missing.setdefault((item.shape, "left out", item.reason), []).append(item.batch)
    for point in found.points:
        if point.result.refusal:
            missing.setdefault((point.shape, f"{point.result.case.recipe} refused", point.result.refusal), []).append(point.batch)
    if missing:
        print()
    for (shape, what, reason), tokens in missing.items():
        print(f"{shape.model} {shape.layer}, batch {', '.join(map(str, tokens))}: {what}: {reason}")
    if options.csv:
        sweep_bench.save_csv(found, options.csv)


def _bench_goals(options: argparse.Namespace) -> int:
    _check_file(options.csv, "--csv")
    with turn("a benchmark of the goals", waiting):
        verdicts = goals.run(options.device, repeats=options.repeats, progress=progress())
    rows = [("what", "M", "N", "K", "goal", "reached", "verdict")]
    for verdict in verdicts:
        reached = "-" if verdict.reached is None else f"{verdict.reached:.2f}"
        rows.append((verdict.what, verdict.m, verdict.n, verdict.k, f"{verdict.goal:g}", reached, verdict.refusal or ("met" if verdict.met else "missed")))
    print_table(rows)
    if options.csv:
        goals.save_csv(verdicts, options.csv)
    return 0 if all(verdict.met for verdict in verdicts) else 1


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _whole_numbers(option: str, text: str) -> list[int]:
    try:
        return [int(name) for name in _names(text)]
    except ValueError:
        raise ValueError(f"{option} {text!r}: these are whole numbers, separated by commas") from None


def _check_file(path: str | None, option: str, endings: Sequence[str] = ("",)) -> None:
    """Complain before the work and not after it.

    Raises:
        ValueError: the folder is not there, or the file does not end as it should.
    """
    if path and not Path(path).absolute().parent.is_dir():
        raise ValueError(f"{option} {path!r}: there is no such folder")
    if path and not path.endswith(tuple(endings)):
        raise ValueError(f"{option} {path!r} does not end in {' or '.join(endings)}")


def _spread(spread: bench.Spread | None) -> str:
    return "-" if spread is None else f"{_figure(spread.median)} ({_figure(spread.p20)}-{_figure(spread.p80)})"


def _figure(value: float) -> str:
    """Three digits, and never an exponent from 0.0001 on."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
