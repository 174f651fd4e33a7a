"""What this machine can do at most, measured and not looked up: a large product of BF16 matrices and a large copy."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch

from fp8core.bench.timers import timer_of

REPEATS = 5
_SIDE = {"cpu": 1024, "cuda": 8192}  # of the product
_NUMBERS = {"cpu": 1 << 24, "cuda": 1 << 28}  # float32, copied


@dataclass(frozen=True)
class Peaks:
    """Medians of `REPEATS` runs.

    Args:
        tflops: of a product of square BF16 matrices, in 10^12 operations per second.
        gb_per_s: read and written by a copy, in 10^9 bytes per second.
    """

    tflops: float
    gb_per_s: float


def measure_peaks(device: str = "cpu", timer: Callable[[Callable], float] | None = None) -> Peaks:
    """Measure both, each after one run that does not count.

    Args:
        device: as torch writes it.
        timer: milliseconds of a call, as in `timers`.
    """
    timer, kind = timer or timer_of(device), device.split(":")[0]
    a, b = (torch.randn(_SIDE[kind], _SIDE[kind], device=device).to(torch.bfloat16) for _ in range(2))
    source = torch.randn(_NUMBERS[kind], device=device)
    target = torch.empty_like(source)
    product = _median_ms(lambda: a @ b.t(), timer)
    copy = _median_ms(lambda: target.copy_(source), timer)
    return Peaks(2 * _SIDE[kind] ** 3 / product / 1e9, 2 * source.nbytes / copy / 1e6)


def _median_ms(work: Callable, timer: Callable[[Callable], float]) -> float:
    work()
    return statistics.median(timer(work) for _ in range(REPEATS))
