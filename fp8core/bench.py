"""How fast and how accurate products are on this host: a case, its record, running them, and keeping them in a file.

Measured apart: quantizing A, quantizing B (both by this package), and the product. Each is given as median with 20th and 80th
percentile. The error is against the float64 product of the matrices before quantization.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from pathlib import Path

import torch

from fp8core import gemm
from fp8core.hardware import Host, probe
from fp8core.metrics import sqnr_db
from fp8core.quantized import QuantizedTensor, quantize
from fp8core.recipes import parse_recipe

SCHEMA = 1
KINDS = {
    "native": "the processor multiplies this format itself",
    "emulated": "numbers are converted to a wider format first, by torch or by this package",
}
BASELINES = ("bfloat16", "float32")
DEFAULT_RECIPES = ("float32", "bfloat16", "float16", "tensor_e4m3", "row_e4m3", "mxfp8_e4m3", "deepseek_v3_1x128", "nvfp4", "int8_row")

MAX_SIDE = 8192
MAX_REPEATS = 100
MAX_CASES = 64
MAX_SECONDS = 20.0  # of one product
MAX_RUN_SECONDS = 120.0  # of all timed runs together
RECORDED = Path(__file__).resolve().parent.parent / "data" / "benchmarks"
MAX_FILE_BYTES = 4 << 20

_PROBE_SIDE = 512
_ERROR_WORK = 1 << 33  # multiplications of one float64 product; beyond, the error is taken over the first rows
_L2_BYTES = 256 << 20


@dataclass(frozen=True)
class BenchCase:
    """A product to be measured: (m, k) times (k, n).

    Args:
        recipe: as `parse_recipe` reads it.
        backend: a key of `gemm.BACKENDS`, or "auto": the first available one that multiplies the codes as they are, whether its
            result is rounded or not, as a program would; the dequantizing one where there is none.
        seed: of the normal numbers in both matrices.
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
        recorded: date of the file that it was loaded from; empty for a live run.
        product_ms: the product alone, from codes and scales to float32.
        end_to_end_ms: quantizing A, quantizing B and the product, one after the other.
        tflops: 2·M·N·K over the median of the product, in 10^12 per second.
        gb_per_s: both quantized matrices read and the float32 result written, over the same time, in 10^9 bytes per second.
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
    recorded: str = ""
    refusal: str = ""
    quantize_a_ms: Spread | None = None
    quantize_b_ms: Spread | None = None
    product_ms: Spread | None = None
    end_to_end_ms: Spread | None = None
    tflops: float | None = None
    gb_per_s: float | None = None
    speedup_bfloat16: float | None = None
    speedup_float32: float | None = None
    sqnr_db: float | None = None
    max_abs_error: float | None = None
    error_rows: int | None = None

    @property
    def label(self) -> str:
        """Device and kind, with the date if it is not a live run: "CPU, emulated", "recorded 2025-11-23: GPU, native"."""
        parts = ", ".join(part for part in ("GPU" if self.device.startswith("cuda") else "CPU", self.kind or "refused") if part)
        return f"recorded {self.recorded}: {parts}" if self.recorded else parts


def run(case: BenchCase, device: str = "cpu") -> BenchResult:
    """Measure one case; see `run_many`."""
    return run_many([case], device)[0]


def run_many(cases: Sequence[BenchCase], device: str = "cpu", progress: Callable[[float, str], None] | None = None) -> list[BenchResult]:
    """Measure cases together: every case once, then every case a second time and so on, so that drift of the machine hits all alike.

    Each product is first tried small; one that is projected to take more than `MAX_SECONDS`, and one that no kernel here can do,
    comes back with `refusal`. Every other case is timed at least once; after `MAX_RUN_SECONDS` no new round begins. On a GPU times are those of CUDA events, and the L2 cache is overwritten before each.

    Args:
        progress: called with the share that is done, 0 to 1, and what is done next. An exception that it raises stops the run.

    Raises:
        ValueError: more than `MAX_CASES` cases; a device that torch does not have here.
    """
    if len(cases) > MAX_CASES:
        raise ValueError(f"{len(cases)} cases: at most {MAX_CASES} run together")
    if device != "cpu" and not (device.startswith("cuda") and torch.cuda.is_available()):
        raise ValueError(f"device {device!r} is not one of cpu" + (", cuda" if torch.cuda.is_available() else "; torch sees no GPU here"))
    report = progress or (lambda share, text: None)
    host = probe()
    steps = len(cases) * 2 + sum(case.repeats for case in cases)
    done = 0
    data = _Data(device)
    subjects: list[_Subject | BenchResult] = []
    for case in cases:
        report(done / steps, f"preparing {case.recipe}")
        subjects.append(_prepare(case, device, host, data))
        done += 1
    timer = _GpuTimer(device) if device != "cpu" else _CpuTimer()
    deadline = time.monotonic() + MAX_RUN_SECONDS
    for turn in range(max((case.repeats for case in cases), default=0)):
        if turn and time.monotonic() > deadline:
            break
        for subject in subjects:
            if isinstance(subject, _Subject) and turn < subject.case.repeats:
                report(done / steps, f"{subject.case.recipe}, run {turn + 1} of {subject.case.repeats}")
                subject.time_once(timer)
                done += 1
    results = []
    done = steps - len(subjects)
    for subject in subjects:
        if isinstance(subject, _Subject):
            report(done / steps, f"error of {subject.case.recipe}")
            subject = subject.result(host, data)
        results.append(subject)
        done += 1
    report(1.0, "done")
    return _with_speedups(results)


class _Data:
    """Matrices of a case, made once for all cases of the same size and seed; and their exact product."""

    def __init__(self, device: str):
        self.device, self._pairs, self._exact = device, {}, {}

    def pair(self, case: BenchCase) -> tuple[torch.Tensor, torch.Tensor]:
        """A (m, k) and B transposed (n, k), float32, normal numbers."""
        key = (case.shape, case.seed)
        if key not in self._pairs:
            generator = torch.Generator().manual_seed(case.seed)
            self._pairs[key] = tuple(torch.randn(rows, case.k, generator=generator).to(self.device) for rows in (case.m, case.n))
        return self._pairs[key]

    def exact(self, case: BenchCase) -> torch.Tensor:
        """float64 product of the first rows, as many as `_ERROR_WORK` allows."""
        key = (case.shape, case.seed)
        if key not in self._exact:
            a, b = self.pair(case)
            rows = min(case.m, max(1, _ERROR_WORK // (case.n * case.k)))
            self._exact[key] = a[:rows].to(torch.float64) @ b.to(torch.float64).T
        return self._exact[key]


class _Subject:
    """A case that can run, with its quantized matrices and its times so far."""

    def __init__(self, case: BenchCase, device: str, kernel: str, a, b, qa: QuantizedTensor, qb: QuantizedTensor):
        self.case, self.device, self.kernel = case, device, kernel
        self.a, self.b, self.qa, self.qb = a, b, qa, qb
        self.times: list[tuple[float, float, float]] = []

    def time_once(self, timer) -> None:
        recipe = parse_recipe(self.case.recipe)
        multiply = gemm.BACKENDS[self.kernel].multiply
        self.times.append((
            timer(lambda: quantize(self.a, recipe)),
            timer(lambda: quantize(self.b, recipe)),
            timer(lambda: multiply(self.qa, self.qb)),
        ))  # fmt: skip

    def result(self, host: Host, data: _Data) -> BenchResult:
        quantize_a, quantize_b, product = (Spread.of(column) for column in zip(*self.times, strict=True))
        seconds = product.median / 1e3
        exact = data.exact(self.case)
        got = gemm.matmul(self.qa, self.qb, self.kernel)[: exact.shape[0]].to(torch.float64)
        operand = gemm.BACKENDS[self.kernel].operand
        own = not gemm.BACKENDS[self.kernel].dequantizes and host.multiplies(operand, self.device.split(":")[0])
        nbytes = self.qa.nbytes + self.qb.nbytes + 4 * self.case.m * self.case.n
        return BenchResult(
            case=self.case,
            host=host.label,
            device=self.device,
            kernel=self.kernel,
            kind="native" if own else "emulated",
            runs=len(self.times),
            quantize_a_ms=quantize_a,
            quantize_b_ms=quantize_b,
            product_ms=product,
            end_to_end_ms=Spread.of([sum(row) for row in self.times]),
            tflops=2 * self.case.m * self.case.n * self.case.k / seconds / 1e12,
            gb_per_s=nbytes / seconds / 1e9,
            sqnr_db=sqnr_db(exact, got),
            max_abs_error=float((exact - got).abs().max()),
            error_rows=exact.shape[0],
        )


class _CpuTimer:
    """Milliseconds of one call."""

    def __call__(self, work: Callable) -> float:
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) * 1e3


class _GpuTimer:
    """Milliseconds of one call between CUDA events, after the L2 cache has been overwritten."""

    def __init__(self, device: str):
        self.device = torch.device(device)
        self.flush = torch.empty(_L2_BYTES, dtype=torch.uint8, device=device)

    def __call__(self, work: Callable) -> float:
        with torch.cuda.device(self.device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            self.flush.zero_()
            torch.cuda.synchronize()
            start.record()
            work()
            end.record()
            torch.cuda.synchronize()
            return start.elapsed_time(end)


def _prepare(case: BenchCase, device: str, host: Host, data: _Data) -> _Subject | BenchResult:
    recipe = parse_recipe(case.recipe)
    recipe_b = gemm.transpose_recipe(recipe)
    refused = BenchResult(case, host.label, device, kernel=case.backend)
    kernel = case.backend
    if kernel == "auto":
        kernel = _quickest(recipe, recipe_b, device, case.shape)
    elif reason := gemm.availability(kernel, recipe, recipe_b, device, case.shape):
        return replace(refused, refusal=reason)
    a, b = data.pair(case)
    small = tuple(min(side, _PROBE_SIDE) for side in case.shape)
    seconds = _seconds(kernel, quantize(a[: small[0], : small[1]], recipe), gemm.transpose(quantize(b[: small[2], : small[1]], recipe)))
    projected = seconds * math.prod(case.shape) / math.prod(small)
    if projected > MAX_SECONDS:
        return replace(refused, kernel=kernel, refusal=f"one product would take about {projected:.0f} s here; the limit is {MAX_SECONDS:.0f} s")
    qa, qb = quantize(a, recipe), gemm.transpose(quantize(b, recipe))
    gemm.BACKENDS[kernel].multiply(qa, qb)
    return _Subject(case, device, kernel, a, b, qa, qb)


def _quickest(recipe_a, recipe_b, device: str, shape) -> str:
    """The first available backend that multiplies codes as they are, else the exact one that dequantizes."""
    for name, backend in gemm.BACKENDS.items():
        if not backend.dequantizes and name != "fp8_blocks" and gemm.availability(name, recipe_a, recipe_b, device, shape) is None:
            return name
    return gemm.choose(recipe_a, recipe_b, device, shape)


def _seconds(kernel: str, qa: QuantizedTensor, qb: QuantizedTensor) -> float:
    """Time of one product, after one that is not timed."""
    on_gpu = qa.codes.is_cuda
    for _ in range(2):
        if on_gpu:
            torch.cuda.synchronize()
        start = time.perf_counter()
        gemm.BACKENDS[kernel].multiply(qa, qb)
        if on_gpu:
            torch.cuda.synchronize()
    return time.perf_counter() - start


def _with_speedups(results: list[BenchResult]) -> list[BenchResult]:
    def baseline(result: BenchResult, recipe: str) -> float | None:
        same = (other for other in results if other.product_ms and other.case.recipe == recipe and other.case.shape == result.case.shape)
        found = next(same, None)
        return None if found is None or result.product_ms is None else found.product_ms.median / result.product_ms.median

    return [replace(result, **{f"speedup_{recipe}": baseline(result, recipe) for recipe in BASELINES}) for result in results]


def _percentile(ordered: Sequence[float], share: float) -> float:
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def save(results: Sequence[BenchResult], path: str | Path, note: str = "") -> None:
    """Write results to a JSON file with the schema's version and today's date.

    Args:
        note: a sentence about the machine that the numbers do not tell.
    """
    content = {"schema": SCHEMA, "date": date.today().isoformat(), "note": note, "results": [_plain(asdict(result)) for result in results]}
    Path(path).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def load(path: str | Path) -> list[BenchResult]:
    """Read what `save` wrote; `recorded` of each result is the file's date.

    Raises:
        ValueError: a file that is not such a file, in words.
        OSError: no such file.
    """
    content = _read(path)
    try:
        return [replace(_result(record), recorded=content["date"]) for record in content["results"]]
    except ValueError as error:
        raise ValueError(f"{Path(path).name}: {error}") from error


def recorded_runs() -> dict[str, Path]:
    """Return the recorded runs that come with the project, by name; none where data/ is not there."""
    return {path.stem: path for path in sorted(RECORDED.glob("*.json"))}


def load_note(path: str | Path) -> str:
    """Read the note of a file that `save` wrote.

    Raises:
        ValueError, OSError: as `load`.
    """
    return _read(path)["note"]


def _read(path: str | Path) -> dict:
    path = Path(path)
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes; a benchmark file has at most {MAX_FILE_BYTES}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not a benchmark file: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise ValueError(f"{path.name} has schema {found!r}; this version reads schema {SCHEMA}")
    for key, kind in (("date", str), ("note", str), ("results", list)):
        if not isinstance(content.get(key), kind):
            raise ValueError(f"{path.name}: {key!r} is {content.get(key)!r}, and should be a {kind.__name__}")
    try:
        date.fromisoformat(content["date"])
    except ValueError as error:
        raise ValueError(f"{path.name}: date {content['date']!r} is not a date such as 2025-11-23") from error
    return content


def _result(record) -> BenchResult:
    """One record of a file; the dataclass checks the case, this the rest."""
    values = _exactly(BenchResult, record)
    values["case"] = BenchCase(**_exactly(BenchCase, values["case"]))
    for name in ("quantize_a_ms", "quantize_b_ms", "product_ms", "end_to_end_ms"):
        if values[name] is not None:
            values[name] = Spread(**{key: _number(key, value) for key, value in _exactly(Spread, values[name]).items()})
    for name in ("tflops", "gb_per_s", "speedup_bfloat16", "speedup_float32", "sqnr_db", "max_abs_error", "error_rows"):
        if values[name] is not None:
            values[name] = _number(name, values[name])
    if type(values["runs"]) is not int or values["runs"] < 0:
        raise ValueError(f"runs = {values['runs']!r} should be a whole number of at least 0")
    for name in ("host", "device", "kernel", "kind", "recorded", "refusal"):
        if not isinstance(values[name], str):
            raise ValueError(f"{name} = {values[name]!r} should be text")
    if values["kind"] not in ("", *KINDS):
        raise ValueError(f"kind = {values['kind']!r} is not one of {', '.join(KINDS)}")
    if not values["refusal"] and values["product_ms"] is None:
        raise ValueError("a result that was not refused has no product_ms")
    return BenchResult(**values)


def _exactly(record_type, values) -> dict:
    wanted = {field.name for field in fields(record_type)}
    if not isinstance(values, dict) or set(values) != wanted:
        found = ", ".join(sorted(values)) if isinstance(values, dict) else repr(values)
        raise ValueError(f"a {record_type.__name__} has the fields {', '.join(sorted(wanted))}, and here are {found[:300]}")
    return dict(values)


def _number(name: str, value) -> float | int:
    if value in ("inf", "-inf", "nan"):
        return float(value)
    if type(value) not in (int, float):
        raise ValueError(f"{name} = {value!r} should be a number")
    return value


def _plain(value):
    """Non-finite numbers as text, which JSON has no number for."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
