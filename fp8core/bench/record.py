"""A case to be measured, and the record of it: the dataclass is what a file holds and what a chart draws."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from fp8core import gemm
from fp8core.recipes import parse_recipe

KINDS = {
    "native": "the processor multiplies this format itself",
    "emulated": "numbers are converted to a wider format first, by torch or by this package",
}
MAX_SIDE = 65_536
MAX_NUMBERS = 1 << 30  # of one matrix
MAX_REPEATS = 100


@dataclass(frozen=True)
class BenchCase:
    """A product to be measured: (m, k) times (k, n).

    Args:
        recipe: as `parse_recipe` reads it.
        backend: a key of `gemm.BACKENDS`, or "auto": the first available one that multiplies the codes as they are, whether its
            result is rounded or not, as a program would; the dequantizing one where there is none.
        seed: of the normal numbers in both matrices, and of recipes that round stochastically.
        repeats: timed runs, after one that is not timed.

    Raises:
        ValueError: a value outside of these or of the limits of this module.
    """

    m: int = 1024
    n: int = 1024
    k: int = 1024
    recipe: str = "tensor_e4m3"
    backend: str = "auto"
    seed: int = 0
    repeats: int = 7

    def __post_init__(self):
        for name, value, low, high in (
            *((side, getattr(self, side), 1, MAX_SIDE) for side in ("m", "n", "k")),
            ("repeats", self.repeats, 1, MAX_REPEATS),
            ("seed", self.seed, 0, 2**63 - 1),
        ):
            if type(value) is not int or not low <= value <= high:
                raise ValueError(f"{name} = {value!r}: it is a whole number from {low} to {high}")
        largest = max(self.m * self.k, self.n * self.k, self.m * self.n)
        if largest > MAX_NUMBERS:
            raise ValueError(f"m, n, k = {self.m}, {self.n}, {self.k}: a matrix would have {largest} numbers, and {MAX_NUMBERS} are the most")
        parse_recipe(self.recipe)
        if self.backend != "auto" and self.backend not in gemm.BACKENDS:
            raise ValueError(f"backend {self.backend!r} is not one of auto, {', '.join(gemm.BACKENDS)}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(M, K, N)."""
        return self.m, self.k, self.n


@dataclass(frozen=True)
class Spread:
    """Milliseconds: median, 20th and 80th percentile.

    >>> Spread.of([3.0, 1.0, 2.0])
    Spread(median=2.0, p20=1.4, p80=2.6)
    """

    median: float
    p20: float
    p80: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Spread:
        """Summarize at least one time; percentiles are interpolated between neighbours."""
        ordered = sorted(milliseconds)
        return cls(statistics.median(ordered), _percentile(ordered, 0.2), _percentile(ordered, 0.8))


@dataclass(frozen=True)
class BenchResult:
    """The record of one case. Where it was refused, `refusal` says why and all measurements are None.

    Args:
        kernel: the backend that ran.
        host: `Host.label` of the machine.
        device: what it ran on.
        kind: a key of `KINDS`.
        runs: timed runs; fewer than the case asked for where the time was up.
        date: day on which it was measured.
        recorded: the same where it was loaded from a file; empty for a live run.
        driver, triton: their versions; empty where there is none.
        clock_mhz: of the processor that multiplied, after the run, where the system tells.
        quantize_a_ms, quantize_b_ms: with the amax of these very numbers, as dynamic scaling takes it.
        quantize_a_static_ms, quantize_b_static_ms: with amax known beforehand; None where the recipe has no scaling or takes no amax.
        product_ms: the product alone, from codes and scales to float32.
        end_to_end_ms: quantizing A, quantizing B and the product, one after the other.
        tflops: 2·M·N·K over the median of the product, in 10^12 per second.
        gb_per_s: both quantized matrices read and the float32 result written, over the same time, in 10^9 bytes per second.
        peak_tflops, peak_gb_per_s: of a large BF16 product and of a large copy, in the same run.
        speedup_bfloat16, speedup_float32: how many times faster than that product of the same size in the same run; None where
            there was none.
        sqnr_db, max_abs_error: against the float64 product of the original matrices.
        error_rows: rows of the result that the two were taken over.
    """

    case: BenchCase
    host: str
    device: str = "cpu"
    kernel: str = ""
    kind: str = ""
    runs: int = 0
    date: str = ""
    recorded: str = ""
    driver: str = ""
    triton: str = ""
    clock_mhz: float | None = None
    refusal: str = ""
    quantize_a_ms: Spread | None = None
    quantize_b_ms: Spread | None = None
    quantize_a_static_ms: Spread | None = None
    quantize_b_static_ms: Spread | None = None
    product_ms: Spread | None = None
    end_to_end_ms: Spread | None = None
    tflops: float | None = None
    gb_per_s: float | None = None
    peak_tflops: float | None = None
    peak_gb_per_s: float | None = None
    speedup_bfloat16: float | None = None
    speedup_float32: float | None = None
    sqnr_db: float | None = None
    max_abs_error: float | None = None
    error_rows: int | None = None

    @property
    def peak_share(self) -> float | None:
        """TFLOP/s over those of a large BF16 product in the same run; None where one of them is missing."""
        return None if self.tflops is None or not self.peak_tflops else self.tflops / self.peak_tflops

    @property
    def label(self) -> str:
        """Device and kind, with the date if it is not a live run: "CPU, emulated", "recorded 2025-11-23: GPU, native"."""
        parts = ", ".join(part for part in ("GPU" if self.device.startswith("cuda") else "CPU", self.kind or "refused") if part)
        return f"recorded {self.recorded}: {parts}" if self.recorded else parts


def _percentile(ordered: Sequence[float], share: float) -> float:
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
