"""How fast the one-pass kernels are on this host: ours, the floor that memory sets, and every peer that is installed.

The floor of a job is `torch.Tensor.copy_` over as many bytes as the job has to read and write once. Every round measures the floor, ours and
each peer once, one after the other, and ratios are taken within a round, so that drift of the machine hits all alike.
"""

from __future__ import annotations

import csv
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import torch

import fp8core
from fp8core.bench.kernel_jobs import FLAT_GOAL, JOBS, MEMORY_GOAL_MB, OPERATIONS, Job, KernelResult
from fp8core.bench.peers import PEERS, Peer, agreement, installed_version
from fp8core.bench.record import MAX_REPEATS, Spread
from fp8core.hardware import probe

COLUMNS = 4096
NUMBERS = 1 << 24
MAX_NUMBERS = 1 << 31
THREADS = 2
MAX_THREADS = 256
REPEATS = 7

_SAMPLE_ROWS = 128  # compared with every peer before it is timed
_SLOW_SECONDS = 5.0  # a call; such a peer is timed in the first rounds only
_SLOW_RUNS = 2
_WARM_MS = 50.0  # quicker calls are made once before they are timed, so that all find the caches as they leave them
_LOOP_NUMBERS = 1 << 17  # calls on fewer numbers are repeated within one timing
_BYTES_PER_NUMBER = 16  # of one job without its peers
_CACHE_BYTES = 32 << 20  # where the system does not tell


def run(
    jobs: Sequence[Job] = JOBS,
    numbers: int = NUMBERS,
    threads: int = THREADS,
    repeats: int = REPEATS,
    *,
    peers: Sequence[str] = tuple(PEERS),
    progress: Callable[[float, str], None] | None = None,
) -> list[KernelResult]:
    """Measure jobs one after the other on normal numbers with a few zeros among them, in rows of `COLUMNS`.

    Args:
        peers: those that may take part.
        progress: called with the share that is done, 0 to 1, and what is done next.

    Raises:
        ValueError: numbers, threads or repeats out of their range.
    """
    if numbers % COLUMNS or not COLUMNS <= numbers <= MAX_NUMBERS:
        raise ValueError(f"numbers = {numbers}: it is a multiple of {COLUMNS}, from {COLUMNS} to {MAX_NUMBERS}")
    for name, value, most in (("threads", threads, MAX_THREADS), ("repeats", repeats, MAX_REPEATS)):
        if not 1 <= value <= most:
            raise ValueError(f"{name} = {value}: it is a whole number from 1 to {most}")
    report = progress or (lambda share, text: None)
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        results = []
        for place, job in enumerate(jobs):
            report(place / len(jobs), job.name)
            results += _run_job(job, numbers, repeats, [name for name in job.peers if name in peers])
        if any(job.operation == "cost" for job in jobs):
            results += [_flatness(results), _memory(numbers)]
    finally:
        torch.set_num_threads(threads_before)
    report(1.0, "done")
    return results


def machine() -> str:
    """Return this host in one line, with the versions that the times depend on."""
    return ", ".join([probe().label, *(f"{package} {installed_version(package) or 'not installed'}" for package in ("numba", "numpy"))])


def _run_job(job: Job, numbers: int, repeats: int, peers: list[str]) -> list[KernelResult]:
    """Ours first, then a row for each peer; what fails says so in its row."""
    blank = _blank(job.name, "ours", job.numbers or numbers)
    rows = {name: replace(blank, subject=name, version=PEERS[name].version, aim="x faster", goal=job.peers[name]) for name in peers}
    try:
        return _measured(job, repeats, replace(blank, aim="x floor", goal=job.floor_goal), rows)
    except Exception as error:
        return [replace(blank, refusal=_reason(error)), *(replace(row, refusal="ours did not run") for row in rows.values())]


def _measured(job: Job, repeats: int, blank: KernelResult, rows: dict[str, KernelResult]) -> list[KernelResult]:
    x, given, subjects = _ours(job, blank.numbers, repeats)
    for name, row in rows.items():
        try:
            subjects[name], note = _theirs(PEERS[name], job, x, given, repeats)
            rows[name] = replace(row, note=note)
        except Exception as error:
            rows[name] = replace(row, refusal=_reason(error))
    for turn in range(repeats):
        for name, subject in subjects.items():
            try:
                if turn < subject.runs and not (name in rows and rows[name].refusal):
                    subject.time_once()
            except Exception as error:
                if name not in rows:
                    raise
                rows[name] = replace(rows[name], refusal=_reason(error))
    floor, ours = subjects["floor"], subjects["ours"]
    allocated = Spread.of(subjects["ours, allocated"].times_ms) if "ours, allocated" in subjects else None
    results = [replace(_timed(blank, ours, floor), allocated_ms=allocated, floor_ms=Spread.of(floor.times_ms), reached=_ratio(ours, floor).median)]
    for name, row in rows.items():
        if not row.refusal:
            faster = _ratio(subjects[name], ours)
            row = replace(_timed(row, subjects[name], floor), times_faster=faster, reached=faster.median)
        results.append(row)
    return results


class _Subject:
    """A call that takes part in the rounds, with its milliseconds so far."""

    def __init__(self, call: Callable, runs: int, loops: int = 1, *, slow: bool = False):
        self.call, self.runs, self.loops = call, runs, loops
        self.times_ms: list[float] = []
        self._last_ms = math.inf if slow else 0.0

    def time_once(self) -> None:
        if self._last_ms < _WARM_MS:
            self.call()
        start = time.perf_counter()
        for _ in range(self.loops):
            result = self.call()
        self._last_ms = (time.perf_counter() - start) * 1e3 / self.loops
        del result
        self.times_ms.append(self._last_ms)


def _ours(job: Job, numbers: int, repeats: int) -> tuple[torch.Tensor, Any, dict[str, _Subject]]:
    """The numbers, what the calls work on, and the floor and ours as subjects."""
    operation, free_kib = OPERATIONS[job.operation], _kib("/proc/meminfo", "MemAvailable")
    if free_kib is not None and numbers * _BYTES_PER_NUMBER > free_kib * 1024:
        raise MemoryError(f"it needs about {numbers * _BYTES_PER_NUMBER / 1e9:.1f} GB, and {free_kib * 1024 / 1e9:.1f} GB are free")
    x = normal_numbers(numbers)
    given = operation.prepare(x, job.subject)
    out = None if operation.out_dtype is None else torch.empty(x.shape, dtype=operation.out_dtype)
    loops = max(1, _LOOP_NUMBERS // numbers)
    half = numbers * operation.nbytes // 8  # float32 numbers whose copy reads and writes these bytes
    source, target = x.view(-1)[:half], out.view(-1)[:half] if operation.out_dtype is torch.float32 else torch.empty(half)
    subjects = {"floor": _Subject(lambda: target.copy_(source), repeats, loops), "ours": _Subject(lambda: operation.run(given, job.subject, out), repeats, loops)}
    if out is not None:
        subjects["ours, allocated"] = _Subject(lambda: operation.run(given, job.subject, None), repeats, loops)
    subjects["ours"].call()
    return x, given, subjects


def _theirs(peer: Peer, job: Job, x: torch.Tensor, given: Any, repeats: int) -> tuple[_Subject, str]:
    """The peer as a subject, and what is to be said of its result, which is compared on the first rows."""
    operation, function = OPERATIONS[job.operation], peer.functions[job.operation]
    sample = x[:_SAMPLE_ROWS]
    few = operation.prepare(sample, job.subject)
    trial = function(few, job.subject)
    note = "; ".join(filter(None, (agreement(operation.run(few, job.subject, None), trial()), peer.note)))
    start = time.perf_counter()
    trial()
    slow = (time.perf_counter() - start) * x.numel() / sample.numel() > _SLOW_SECONDS
    return _Subject(function(given, job.subject), min(repeats, _SLOW_RUNS) if slow else repeats, slow=slow), note


def normal_numbers(numbers: int) -> torch.Tensor:
    """Return normal numbers with a zero in every 1021, in rows of `COLUMNS` where that goes, else in one."""
    x = torch.randn(numbers, generator=torch.Generator().manual_seed(0))
    x[::1021] = 0.0
    return x if numbers % COLUMNS else x.view(-1, COLUMNS)


def _blank(job: str, subject: str, numbers: int) -> KernelResult:
    return KernelResult(job, subject, machine(), date.today().isoformat(), numbers, torch.get_num_threads())


def _timed(row: KernelResult, subject: _Subject, floor: _Subject) -> KernelResult:
    spread = Spread.of(subject.times_ms)
    return replace(row, runs=len(subject.times_ms), call_ms=spread, times_floor=_ratio(subject, floor), ns_per_number=spread.median * 1e6 / row.numbers)


def _ratio(one: _Subject, other: _Subject) -> Spread:
    """One over the other, round by round, as far as both were timed."""
    return Spread.of([a / b for a, b in zip(one.times_ms, other.times_ms, strict=False)])


def _reason(error: Exception) -> str:
    """What went wrong, in one line."""
    text = (str(error).strip() or "no message").splitlines()[0]
    return f"not installed: {text}" if isinstance(error, ImportError) else f"{type(error).__name__}: {text}"


def _flatness(results: Sequence[KernelResult]) -> KernelResult:
    """The dearest over the cheapest number, among sizes beyond the caches."""
    cache = _cache_bytes()
    costs = [result for result in results if result.job.startswith("cost:") and result.call_ms and result.numbers * OPERATIONS["cost"].nbytes > 2 * cache]
    row = replace(_blank("cost", "flatness", max((result.numbers for result in costs), default=0)), aim="x cheapest size", goal=FLAT_GOAL)
    if len(costs) < 2:
        return replace(row, refusal=f"fewer than two sizes beyond the caches of {cache >> 20} MiB were timed")
    nanoseconds = [result.ns_per_number for result in costs]
    return replace(row, reached=max(nanoseconds) / min(nanoseconds), note=f"{len(costs)} sizes beyond the caches of {cache >> 20} MiB")


def _memory(numbers: int) -> KernelResult:
    """Memory beyond input and output at its peak, in a process of its own."""
    row = replace(_blank("cost", "memory", numbers), aim="MB beyond", goal=MEMORY_GOAL_MB)
    paths = os.pathsep.join(filter(None, (str(Path(fp8core.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    code = f"from fp8core.bench import kernels; print(kernels.extra_bytes({numbers}, {torch.get_num_threads()}))"
    answer = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False)
    if answer.returncode:
        return replace(row, refusal=(answer.stderr.strip() or "the process died").splitlines()[-1])
    return replace(row, reached=int(answer.stdout) / 1e6)


def extra_bytes(numbers: int, threads: int) -> int:
    """Return how far memory rises above input and output during one `round_to`; for a process that does nothing else.

    Raises:
        OSError: a system without Linux's /proc.
    """
    torch.set_num_threads(threads)
    x, out = torch.ones(numbers), torch.ones(numbers)
    fp8core.round_to(x[:1000], "e4m3fn", out=out[:1000])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is in use
    before_kib = _kib("/proc/self/status", "VmRSS")
    fp8core.round_to(x, "e4m3fn", out=out)
    return (_kib("/proc/self/status", "VmHWM") - before_kib) * 1024


def _kib(path: str, key: str) -> int | None:
    """A number of a file of /proc with lines such as "VmRSS: 120 kB"; None where there is no such file."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:  # not this kind of system
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), None)


def _cache_bytes() -> int:
    """The largest cache of the first processor."""
    sizes = [path.read_text().strip() for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    return max((int(size[:-1]) * {"K": 1 << 10, "M": 1 << 20}[size[-1]] for size in sizes if size[-1:] in ("K", "M")), default=_CACHE_BYTES)


def save_csv(results: Sequence[KernelResult], path: str | Path) -> None:
    """Write results as CSV, one line each; a spread takes three columns."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        lines = [_line(result) for result in results]
        writer = csv.DictWriter(file, list(lines[0]) if lines else [])
        writer.writeheader()
        writer.writerows(lines)


def _line(result: KernelResult) -> dict[str, Any]:
    line = {}
    for column in fields(result):
        value = getattr(result, column.name)
        if column.type == "Spread | None":
            line |= {f"{column.name}_{part.name}": getattr(value, part.name, "") for part in fields(Spread)}
        else:
            line[column.name] = "" if value is None else value
    return {**line, "verdict": result.verdict}
