"""How fast and how accurate products are on this host: a case, its record, running them, and keeping them in a file.

Measured apart: quantizing A, quantizing B (both by this package), and the product. Each is given as median with 20th and 80th
percentile. The error is against the float64 product of the matrices before quantization.
"""

from fp8core.bench.peaks import Peaks, measure_peaks
from fp8core.bench.record import KINDS, MAX_REPEATS, MAX_SIDE, BenchCase, BenchResult, Spread
from fp8core.bench.store import RECORDED, load, load_note, recorded_runs, rows, save
from fp8core.bench.timing import BASELINES, DEFAULT_RECIPES, MAX_CASES, MAX_RUN_SECONDS, MAX_SECONDS, run, run_many

__all__ = [
    "BASELINES", "DEFAULT_RECIPES", "KINDS", "MAX_CASES", "MAX_REPEATS", "MAX_RUN_SECONDS", "MAX_SECONDS", "MAX_SIDE", "RECORDED",
    "BenchCase", "BenchResult", "Peaks", "Spread", "load", "load_note", "measure_peaks", "recorded_runs", "rows", "run", "run_many", "save",
]  # fmt: skip
