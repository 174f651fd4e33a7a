"""The command line: python -m fp8core formats | recipes | hardware | bench | bench kernels | bench sweep | compile | conformance."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fp8core import FORMATS, bench, conformance, kernels
from fp8core.bench import goals, kernel_jobs
from fp8core.bench import kernels as kernel_bench
from fp8core.bench import sweep as sweep_bench
from fp8core.bench.shapes import BATCHES, MAX_BATCH, MODELS, squares
from fp8core.formats import parse_format
from fp8core.hardware import CPU_FLAGS, CPU_OPERANDS, probe
from fp8core.recipes import LIBRARIES, parse_recipe
from fp8core.rules import SCALE_RULES


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exit code 0, 1 where a comparison found a difference, or 2 with a sentence where the input is bad."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except (ValueError, OSError) as error:
        print(f"fp8core: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fp8core", description="8-bit floating point on this machine")
    commands = parser.add_subparsers(required=True, metavar="command")
    formats = commands.add_parser("formats", help="list the number formats")
    formats.set_defaults(command=_formats)
    recipes = commands.add_parser("recipes", help="list the recipes, library by library")
    recipes.set_defaults(command=_recipes)
    hardware = commands.add_parser("hardware", help="show what this machine has")
    hardware.set_defaults(command=_hardware)
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
    compile_loops = commands.add_parser("compile", help="compile the one-pass loops now, half a minute once, and not when they are first used")
    compile_loops.set_defaults(command=_compile)
    check = commands.add_parser("conformance", help="compare formats and recipes with the implementations of others that are installed")
    check.add_argument("--format", action="append", default=[], metavar="NAME", help="only this format, or pattern; may be given again")
    check.add_argument("--recipe", action="append", default=[], metavar="NAME", help="only this recipe; may be given again")
    check.add_argument("--oracle", action="append", choices=list(conformance.ORACLES), help="only this implementation; may be given again")
    check.set_defaults(command=_conformance)
    return parser


def _formats(options: argparse.Namespace) -> None:
    rows = [("name", "bits", "E", "M", "bias", "max", "min normal", "min subnormal", "used for")]
    for fmt in FORMATS.values():
        bias = getattr(fmt, "bias", "-")
        smallest = "-" if fmt.min_subnormal is None else f"{fmt.min_subnormal:.4g}"
        rows.append((fmt.name, fmt.bits, getattr(fmt, "exponent_bits", "-"), getattr(fmt, "mantissa_bits", "-"), bias, f"{fmt.max:.6g}", f"{fmt.min_normal:.4g}", smallest, fmt.use))
    _print_table(rows)


def _recipes(options: argparse.Namespace) -> None:
    rows = [("library", "name", "format", "block", "scale", "source")]
    for library, recipes in LIBRARIES.items():
        for recipe in recipes:
            block, rule = ("-", "-") if recipe.scaling is None else (recipe.scaling.granularity, SCALE_RULES[recipe.scaling.rule].formula)
            rows.append((library, recipe.name, recipe.format, block, rule, recipe.source))
    _print_table(rows)


def _hardware(options: argparse.Namespace) -> None:
    host = probe()
    rows = [
        ("processor", host.cpu),
        ("physical cores", host.physical_cores if host.physical_cores is not None else "unknown"),
        ("hardware threads", host.logical_cores),
        ("memory", "unknown" if host.memory_gib is None else f"{host.memory_gib:.1f} GiB"),
        ("system", host.system),
        ("torch", f"{host.torch}, {host.threads} threads"),
        *((f"flag {flag}", CPU_FLAGS[flag]) for flag in host.cpu_flags),
        ("multiplies itself", ", ".join(["float32", *(operand for operand in CPU_OPERANDS if host.multiplies(operand))])),
    ]
    if host.gpu is None:
        rows.append(("GPU", "none that torch can use"))
    else:
        major, minor = host.gpu.capability
        rows += [
            ("GPU", host.gpu.name),
            ("compute capability", host.gpu.architecture or f"{major}.{minor}"),
            ("GPU memory", f"{host.gpu.memory_gib:.1f} GiB"),
            ("driver", host.gpu.driver or "unknown"),
            ("runtime", host.gpu.runtime),
            ("GPU multiplies", ", ".join(["float32", *(operand for operand in CPU_OPERANDS if host.multiplies(operand, "cuda"))])),
        ]
    _print_table(rows)


def _bench(options: argparse.Namespace) -> None:
    names = _names(options.recipes)
    if not names:
        raise ValueError(f"--recipes {options.recipes!r} names no recipe")
    _check_file(options.save, "--save", bench.store.ENDINGS)
    cases = [bench.BenchCase(options.m, options.n, options.k, name, options.backend, options.seed, options.repeats) for name in names]
    results = bench.run_many(cases, options.device, _progress if sys.stderr.isatty() else None)
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
    _print_table(rows)
    if options.save:
        bench.save(results, options.save, options.note)


def _bench_kernels(options: argparse.Namespace) -> None:
    names = _names(options.only or "")
    if options.only is not None and not names:
        raise ValueError(f"--only {options.only!r} names no job")
    _check_file(options.csv, "--csv")
    jobs = kernel_jobs.select(names, largest=options.largest)
    peers = () if options.no_peers else tuple(kernel_bench.PEERS)
    results = kernel_bench.run(jobs, options.numbers, options.threads, options.repeats, peers=peers, progress=_progress if sys.stderr.isatty() else None)
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
    _print_table(rows)
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
    progress = _progress if sys.stderr.isatty() else None
    found = sweep_bench.sweep(recipes, shapes, batches, options.device, seconds=options.seconds, repeats=options.repeats, progress=progress)
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
        _print_table(rows)
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
    verdicts = goals.run(options.device, repeats=options.repeats, progress=_progress if sys.stderr.isatty() else None)
    rows = [("what", "M", "N", "K", "goal", "reached", "verdict")]
    for verdict in verdicts:
        reached = "-" if verdict.reached is None else f"{verdict.reached:.2f}"
        rows.append((verdict.what, verdict.m, verdict.n, verdict.k, f"{verdict.goal:g}", reached, verdict.refusal or ("met" if verdict.met else "missed")))
    _print_table(rows)
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


def _compile(options: argparse.Namespace) -> None:
    started = time.perf_counter()
    kernels.warm()
    print(f"the loops are ready, after {time.perf_counter() - started:.1f} s")


def _conformance(options: argparse.Namespace) -> int:
    chosen = [parse_format(name) for name in options.format] + [parse_recipe(name) for name in options.recipe]
    results = conformance.run(chosen or None, options.oracle, _progress if sys.stderr.isatty() else None)
    names = [name for name in conformance.ORACLES if any(result.oracle == name for result in results)]
    rows = [("", *names)]
    for subject in dict.fromkeys((result.kind, result.subject) for result in results):
        mine = [result for result in results if (result.kind, result.subject) == subject]
        if mine[0].status == "not covered":
            rows.append((subject[1], f"no oracle: {mine[0].note}"))
        else:
            rows.append((subject[1], *(_cell([result for result in mine if result.oracle == name]) for name in names)))
    _print_table(rows)
    versions = conformance.installed_versions()
    for name in names:
        oracle = conformance.ORACLES[name]
        package = "" if name == oracle.package else f" ({oracle.trusted_for}; package {oracle.package})"
        print(f"{name}{package}: {versions[name]} installed, {oracle.version} is what this was last compared with" if name in versions else f"{name}{package}: {oracle.advice}")
    for result in results:
        if result.status == "not installed" and result.oracle in versions:
            print(f"{result.subject}, {result.oracle}: {result.note}")
    for divergence, seen in conformance.divergences_seen(results).items():
        print(f"known difference from {' and '.join(divergence.oracles)}, {seen.state}: {divergence.where}: ours {divergence.ours}; theirs {divergence.theirs}; {divergence.reason}")
    failed = [result for result in results if result.status == "failed"]
    for result in failed:
        print(f"MISMATCH {result.subject}, {result.oracle}, {result.aspect}: {result.mismatches} of {result.compared}; first: {result.first.input}: ours {result.first.ours}, theirs {result.first.theirs}")
    if not any(result.compared for result in results):
        raise ValueError("nothing was compared: see the reasons above")
    print(f"{sum(result.compared for result in results)} codes and numbers compared, {sum(result.mismatches for result in results)} mismatches")
    return 1 if failed else 0


def _cell(results: list[conformance.CheckResult]) -> str:
    if not results:
        return "-"
    if results[0].status == "not installed":
        return "not installed"
    wrong = sum(result.mismatches for result in results)
    return f"{sum(result.compared for result in results)} {f'{wrong} WRONG' if wrong else 'ok'}"


def _progress(share: float, text: str) -> None:
    print(f"\r\033[K{share:4.0%} {text}" if share < 1 else "\r\033[K", end="", file=sys.stderr, flush=True)


def _print_table(rows: list[tuple]) -> None:
    """Columns as wide as the widest cell of the full rows; a short row runs on as it is."""
    width = len(rows[0])
    widths = [max(len(str(row[column])) for row in rows if len(row) == width) for column in range(width)]
    for row in rows:
        print("  ".join(str(cell).ljust(size) for cell, size in zip(row, [*widths[: len(row) - 1], 0], strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
