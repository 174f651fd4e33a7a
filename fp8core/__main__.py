"""The command line: python -m fp8core formats | recipes | hardware | analyze | plan | export | bench | bench kernels | bench sweep | compile | conformance."""

from __future__ import annotations

import argparse
import os
import sys
import time

from fp8core import FORMATS, conformance, kernels
from fp8core.bench import command as bench_command
from fp8core.console import print_table, progress
from fp8core.formats import parse_format
from fp8core.hardware import CPU_FLAGS, CPU_OPERANDS, probe
from fp8core.layers import command as layers_command
from fp8core.plan import command as plan_command
from fp8core.recipes import LIBRARIES, parse_recipe
from fp8core.rules import SCALE_RULES


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exit code 0, 1 where a comparison found a difference, 2 with a sentence where the input is bad, 130 after Ctrl-C, or 141 where nobody reads on."""
    options = _parser().parse_args(arguments)
    try:
        code = options.command(options) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read along has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
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
    layers_command.add_to(commands)
    plan_command.add_to(commands)
    bench_command.add_to(commands)
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
    print_table(rows)


def _recipes(options: argparse.Namespace) -> None:
    rows = [("library", "name", "format", "block", "scale", "source")]
    for library, recipes in LIBRARIES.items():
        for recipe in recipes:
            block, rule = ("-", "-") if recipe.scaling is None else (recipe.scaling.granularity, SCALE_RULES[recipe.scaling.rule].formula)
            rows.append((library, recipe.name, recipe.format, block, rule, recipe.source))
    print_table(rows)


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
    print_table(rows)


def _compile(options: argparse.Namespace) -> None:
    started = time.perf_counter()
    kernels.warm()
    print(f"the loops are ready, after {time.perf_counter() - started:.1f} s")


def _conformance(options: argparse.Namespace) -> int:
    chosen = [parse_format(name) for name in options.format] + [parse_recipe(name) for name in options.recipe]
    results = conformance.run(chosen or None, options.oracle, progress())
    names = [name for name in conformance.ORACLES if any(result.oracle == name for result in results)]
    rows = [("", *names)]
    for subject in dict.fromkeys((result.kind, result.subject) for result in results):
        mine = [result for result in results if (result.kind, result.subject) == subject]
        if mine[0].status == "not covered":
            rows.append((subject[1], f"no oracle: {mine[0].note}"))
        else:
            rows.append((subject[1], *(_cell([result for result in mine if result.oracle == name]) for name in names)))
    print_table(rows)
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


if __name__ == "__main__":
    sys.exit(main())
