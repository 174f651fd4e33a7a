"""Running cases: every round measures all of them once, so that drift of the machine hits all alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from importlib.metadata import PackageNotFoundError, version

import torch

from fp8core import gemm
from fp8core.bench.peaks import Peaks, measure_peaks
from fp8core.bench.record import BenchCase, BenchResult, Spread
from fp8core.bench.timers import timer_of
from fp8core.hardware import Host, clock_mhz, probe
from fp8core.metrics import sqnr_db
from fp8core.quantized import QuantizedTensor, quantize
from fp8core.recipes import Recipe, parse_recipe
from fp8core.scaling import amax

BASELINES = ("bfloat16", "float32")
DEFAULT_RECIPES = ("float32", "bfloat16", "float16", "tensor_e4m3", "row_e4m3", "mxfp8_e4m3", "deepseek_v3_1x128", "nvfp4", "int8_row")

MAX_CASES = 64
MAX_SECONDS = 20.0  # of one product
MAX_RUN_SECONDS = 120.0  # of all timed runs together

_PROBE_SIDE = 512
_ERROR_WORK = 1 << 33  # multiplications of one float64 product; beyond, the error is taken over the first rows
_ROTATED_BYTES, _MOST_COPIES = 1 << 27, 16  # of matrices, quantized or not: each run takes other ones, so that they are not in a cache
_ALL_ROTATED_BYTES = 1 << 30  # of all cases together


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
        subjects.append(_prepare(case, device, host, data, min(_ROTATED_BYTES, _ALL_ROTATED_BYTES // len(cases))))
        done += 1
    timer = timer_of(device)
    peaks = measure_peaks(device, timer) if any(isinstance(subject, _Subject) for subject in subjects) else None
    deadline = time.monotonic() + MAX_RUN_SECONDS
    for turn in range(max((case.repeats for case in cases), default=0)):
        if turn and time.monotonic() > deadline:
            break
        for subject in subjects:
            if isinstance(subject, _Subject) and turn < subject.case.repeats:
                report(done / steps, f"{subject.case.recipe}, run {turn + 1} of {subject.case.repeats}")
                subject.time_once(timer, turn)
                done += 1
    results = []
    done = steps - len(subjects)
    for subject in subjects:
        if isinstance(subject, _Subject):
            report(done / steps, f"error of {subject.case.recipe}")
            subject = subject.result(host, data, peaks)
        results.append(subject)
        done += 1
    report(1.0, "done")
    return _with_speedups(results)


class _Data:
    """Matrices of a case, made once for all cases of the same size and seed; and their exact product."""

    def __init__(self, device: str):
        self.device, self._pairs, self._exact, self._rotated = device, {}, {}, {}

    def pair(self, case: BenchCase) -> tuple[torch.Tensor, torch.Tensor]:
        """A (m, k) and B transposed (n, k), float32, normal numbers."""
        key = (case.shape, case.seed)
        if key not in self._pairs:
            generator = torch.Generator().manual_seed(case.seed)
            self._pairs[key] = tuple(torch.randn(rows, case.k, generator=generator).to(self.device) for rows in (case.m, case.n))
        return self._pairs[key]

    def rotated(self, case: BenchCase) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The pair and copies of it elsewhere in memory, which successive runs take in turn."""
        key = (case.shape, case.seed)
        if key not in self._rotated:
            a, b = self.pair(case)
            self._rotated[key] = [(a, b), *((a.clone(), b.clone()) for _ in range(_copies(a.nbytes + b.nbytes, case.repeats, _ROTATED_BYTES) - 1))]
        return self._rotated[key]

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

    def __init__(self, case: BenchCase, device: str, kernel: str, pairs: list[tuple[torch.Tensor, torch.Tensor]], qa: QuantizedTensor, qb: QuantizedTensor, room: int):
        self.case, self.device, self.kernel, self.recipe = case, device, kernel, parse_recipe(case.recipe)
        self.pairs, self.qa, self.qb = pairs, qa, qb
        copies = _copies(qa.nbytes + qb.nbytes, case.repeats, room)
        self.products = [gemm.BACKENDS[kernel].ready(*((qa, qb) if copy == 0 else (_copied(qa), _copied(qb)))) for copy in range(copies)]
        self.products[0]()  # what is compiled, tuned or laid out at the first call is not timed
        self.known = tuple(_known_amax(matrix, self.recipe) for matrix in pairs[0])
        self.times: list[list[float | None]] = []

    def time_once(self, timer, turn: int) -> None:
        """Measure quantizing A and B, both with amax known, and the product."""
        pair, other = (self.pairs[(2 * turn + half) % len(self.pairs)] for half in (0, 1))  # static and dynamic take different copies
        self.times.append([
            *(timer(lambda matrix=matrix: quantize(matrix, self.recipe)) for matrix in pair),
            *(None if known is None else timer(lambda matrix=matrix, known=known: quantize(matrix, self.recipe, amax=known)) for matrix, known in zip(other, self.known, strict=True)),
            timer(self.products[turn % len(self.products)]),
        ])  # fmt: skip

    def result(self, host: Host, data: _Data, peaks: Peaks) -> BenchResult:
        quantize_a, quantize_b, static_a, static_b, product = (None if None in column else Spread.of(column) for column in zip(*self.times, strict=True))
        seconds = product.median / 1e3
        exact = data.exact(self.case)
        got = gemm.matmul(self.qa, self.qb, self.kernel)[: exact.shape[0]].to(torch.float64)
        operand = gemm.BACKENDS[self.kernel].operand
        own = not gemm.BACKENDS[self.kernel].dequantizes and host.multiplies(operand, self.device.split(":")[0])
        nbytes = self.qa.nbytes + self.qb.nbytes + 4 * self.case.m * self.case.n
        on_gpu = self.device != "cpu"
        return BenchResult(
            case=self.case,
            host=host.label,
            device=self.device,
            kernel=self.kernel,
            kind="native" if own else "emulated",
            runs=len(self.times),
            date=date.today().isoformat(),
            driver=(host.gpu.driver or "") if on_gpu and host.gpu else "",
            triton=_version("triton") if on_gpu else "",
            clock_mhz=clock_mhz(self.device),
            quantize_a_ms=quantize_a,
            quantize_b_ms=quantize_b,
            quantize_a_static_ms=static_a,
            quantize_b_static_ms=static_b,
            product_ms=product,
            end_to_end_ms=Spread.of([row[0] + row[1] + row[-1] for row in self.times]),
            tflops=2 * self.case.m * self.case.n * self.case.k / seconds / 1e12,
            gb_per_s=nbytes / seconds / 1e9,
            peak_tflops=peaks.tflops,
            peak_gb_per_s=peaks.gb_per_s,
            sqnr_db=sqnr_db(exact, got),
            max_abs_error=float((exact - got).abs().max()),
            error_rows=exact.shape[0],
        )


def _copies(nbytes: int, repeats: int, room: int) -> int:
    """How many copies of so many bytes the runs take in turn, the first one counted."""
    return min(max(room // max(nbytes, 1), 1), _MOST_COPIES, repeats)


def _copied(q: QuantizedTensor) -> QuantizedTensor:
    """The same numbers elsewhere in memory, in the same order."""
    return replace(q, codes=q.codes.clone(memory_format=torch.preserve_format), scale=q.scale.clone())


def _known_amax(matrix: torch.Tensor, recipe: Recipe) -> torch.Tensor | None:
    """What static scaling knows beforehand, the amax of each block; None where the recipe has no scaling or does not take one."""
    if recipe.scaling is None or recipe.rotation:
        return None
    known = amax(matrix, recipe.scaling.block)
    try:
        quantize(matrix, recipe, amax=known)
    except ValueError:
        return None
    return known


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _prepare(case: BenchCase, device: str, host: Host, data: _Data, room: int) -> _Subject | BenchResult:
    recipe = parse_recipe(case.recipe)
    plain = replace(recipe, rotation="")
    recipe_b = gemm.transpose_recipe(plain)
    refused = BenchResult(case, host.label, device, kernel=case.backend)
    kernel = case.backend
    if kernel == "auto":
        kernel = _quickest(plain, recipe_b, device, case.shape)
    elif reason := gemm.availability(kernel, plain, recipe_b, device, case.shape):
        return replace(refused, refusal=reason)
    small = tuple(min(side, _PROBE_SIDE) for side in case.shape)
    seconds = _seconds(kernel, *gemm.operands(*(torch.randn(rows, small[1], device=device) for rows in (small[0], small[2])), recipe))
    projected = seconds * math.prod(case.shape) / math.prod(small)
    if projected > MAX_SECONDS:
        return replace(refused, kernel=kernel, refusal=f"one product would take about {projected:.0f} s here; the limit is {MAX_SECONDS:.0f} s")
    return _Subject(case, device, kernel, data.rotated(case), *gemm.operands(*data.pair(case), recipe, seed=case.seed), room)


def _quickest(recipe_a, recipe_b, device: str, shape) -> str:
    """The first available backend that multiplies codes as they are, else the exact one that dequantizes."""
    for name, backend in gemm.BACKENDS.items():
        if not backend.dequantizes and name != "fp8_blocks" and gemm.availability(name, recipe_a, recipe_b, device, shape) is None:
            return name
    return gemm.choose(recipe_a, recipe_b, device, shape)


def _seconds(kernel: str, qa: QuantizedTensor, qb: QuantizedTensor) -> float:
    """Time of one product, after one that is not timed."""
    on_gpu, product = qa.codes.is_cuda, gemm.BACKENDS[kernel].ready(qa, qb)
    for _ in range(2):
        if on_gpu:
            torch.cuda.synchronize()
        start = time.perf_counter()
        product()
        if on_gpu:
            torch.cuda.synchronize()
    return time.perf_counter() - start


def _with_speedups(results: list[BenchResult]) -> list[BenchResult]:
    def baseline(result: BenchResult, recipe: str) -> float | None:
        same = (other for other in results if other.product_ms and other.case.recipe == recipe and other.case.shape == result.case.shape)
        found = next(same, None)
        return None if found is None or result.product_ms is None else found.product_ms.median / result.product_ms.median

    return [replace(result, **{f"speedup_{recipe}": baseline(result, recipe) for recipe in BASELINES}) for result in results]
