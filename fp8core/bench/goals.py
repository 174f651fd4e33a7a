"""What this package wants to reach on a GPU with FP8 units, and a run that measures whether it does."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from fp8core.bench.peaks import measure_peaks
from fp8core.bench.record import BenchCase, BenchResult
from fp8core.bench.timers import timer_of
from fp8core.bench.timing import run_many
from fp8core.quantized import quantize
from fp8core.recipes import parse_recipe

BASELINE = ("bfloat16", "auto")
NATIVE = ("tensor_e4m3", "fp8_tensor")
BLOCKS = ("deepseek_v3_1x128", "triton_fp8")
ANY_FORMAT = (("mxfp4", "triton_codes"), ("mxfp6_e2m3", "triton_codes"), ("hif8:row", "triton_codes"), ("nf4_64", "triton_codes_bfloat16"))
LARGE = ((4096, 4096, 4096), (8192, 8192, 8192))
FEW_TOKENS = ((1, 8192, 8192), (16, 8192, 8192))
QUANTIZED = ("mxfp8_e4m3", "deepseek_v3_1x128", "nvfp4")
QUANTIZED_SIDE = 8192


@dataclass(frozen=True)
class Goal:
    """One product is to be at least `factor` times as fast as another of the same size.

    Args:
        subject, baseline: recipe and backend of each.
        shapes: (M, N, K).
    """

    subject: tuple[str, str]
    baseline: tuple[str, str]
    shapes: tuple[tuple[int, int, int], ...]
    factor: float


GOALS = (
    Goal(NATIVE, BASELINE, LARGE[1:], 1.6),
    Goal(BLOCKS, NATIVE, LARGE, 0.8),
    *(Goal(subject, BASELINE, LARGE, 0.75) for subject in ANY_FORMAT),
    *(Goal(subject, BASELINE, FEW_TOKENS, 1.0) for subject in ANY_FORMAT),
)
QUANTIZE_FACTOR = 0.8  # of the speed of a copy, by the bytes that are read and written once


@dataclass(frozen=True)
class Verdict:
    """What came of a goal at one size.

    Args:
        what: the subject, and what it is compared with.
        reached: how many times as fast; None where one of the two was refused.
        refusal: why.
    """

    what: str
    m: int
    n: int
    k: int
    goal: float
    reached: float | None
    device: str
    refusal: str = ""

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.reached is not None and self.reached >= self.goal


def run(device: str = "cuda", *, goals: Sequence[Goal] = GOALS, repeats: int = 20, progress: Callable[[float, str], None] | None = None) -> list[Verdict]:
    """Measure every goal, all products of one size together, and quantizing against a copy.

    Raises:
        ValueError: a device that torch does not have here.
    """
    report = progress or (lambda share, text: None)
    sizes = list(dict.fromkeys(shape for goal in goals for shape in goal.shapes))
    verdicts = []
    for place, shape in enumerate(sizes):
        wanted = [goal for goal in goals if shape in goal.shapes]
        pairs = dict.fromkeys(pair for goal in wanted for pair in (goal.subject, goal.baseline))
        cases = [BenchCase(*shape, recipe, backend, repeats=repeats) for recipe, backend in pairs]
        results = dict(zip(pairs, run_many(cases, device, lambda share, text, place=place: report((place + share) / (len(sizes) + 1), text)), strict=True))
        verdicts += [_verdict(goal, shape, results[goal.subject], results[goal.baseline]) for goal in wanted]
    report(len(sizes) / (len(sizes) + 1), "quantizing")
    verdicts += _quantizing(device, repeats)
    report(1.0, "done")
    return verdicts


def save_csv(verdicts: Sequence[Verdict], path: str | Path) -> None:
    """Write verdicts as CSV, one line each."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Verdict)])
        writer.writeheader()
        writer.writerows({name: "" if value is None else value for name, value in asdict(verdict).items()} for verdict in verdicts)


def _verdict(goal: Goal, shape: tuple[int, int, int], subject: BenchResult, baseline: BenchResult) -> Verdict:
    refusal = subject.refusal or baseline.refusal
    reached = None if refusal else baseline.product_ms.median / subject.product_ms.median
    return Verdict(f"{' by '.join(goal.subject)} against {' by '.join(goal.baseline)}", *shape, goal.factor, reached, subject.host, refusal)


def _quantizing(device: str, repeats: int) -> list[Verdict]:
    """Dynamic quantizing of BF16 numbers: bytes read and written once over the time, against those of a copy."""
    timer, verdicts = timer_of(device), []
    copy = measure_peaks(device, timer).gb_per_s
    name = torch.cuda.get_device_name(device) if device != "cpu" else "cpu"
    x = torch.randn(QUANTIZED_SIDE, QUANTIZED_SIDE, device=device).to(torch.bfloat16)
    for recipe in map(parse_recipe, QUANTIZED):
        nbytes = x.nbytes + quantize(x, recipe).nbytes
        milliseconds = statistics.median(timer(lambda recipe=recipe: quantize(x, recipe)) for _ in range(repeats))
        verdicts.append(Verdict(f"quantizing to {recipe.name} against a copy", *x.shape, 0, QUANTIZE_FACTOR, nbytes / milliseconds / 1e6 / copy, name))
    return verdicts
