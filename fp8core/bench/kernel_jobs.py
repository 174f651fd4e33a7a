"""What is timed of the one-pass kernels, what each should reach, and the record of what it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

import fp8core
from fp8core import distributions
from fp8core.bench.record import Spread

FLAT_GOAL = 1.5
MEMORY_GOAL_MB = 16.0
AIMS = {"x floor": "at most", "x faster": "at least", "x cheapest size": "at most", "MB beyond": "at most"}


@dataclass(frozen=True)
class Operation:
    """What a job does with numbers x, and a format or recipe by name.

    Args:
        prepare: (x, name) -> what the calls work on; not timed.
        run: (that, name, out) -> the result, allocated where out is None.
        out_dtype: of the result that may be preallocated, None where there is none.
        nbytes: what has to be read and written for one number, each once.
    """

    prepare: Callable[[torch.Tensor, str], Any]
    run: Callable[[Any, str, torch.Tensor | None], Any]
    out_dtype: torch.dtype | None
    nbytes: int


_ROUND_TO = Operation(lambda x, name: x, lambda x, name, out: fp8core.round_to(x, name, out=out), torch.float32, 8)
OPERATIONS: dict[str, Operation] = {
    "round_to": _ROUND_TO,
    "encode": Operation(lambda x, name: x, lambda x, name, out: fp8core.encode(x, name, out=out), torch.uint8, 5),
    "decode": Operation(lambda x, name: fp8core.encode(x, name), lambda codes, name, out: fp8core.decode(codes, name, out=out), torch.float32, 5),
    "fake_quantize": Operation(lambda x, name: x, lambda x, name, out: fp8core.fake_quantize(x, name, out=out), torch.float32, 8),
    "binade_histogram": Operation(lambda x, name: x, lambda x, name, out: distributions.binade_histogram(x), None, 4),
    "measure": Operation(lambda x, name: (x, fp8core.quantize(x, name)), lambda given, name, out: fp8core.measure(*given), None, 5),
    "cost": _ROUND_TO,
}


@dataclass(frozen=True)
class Job:
    """One operation with one format or recipe, and what it should reach.

    Args:
        operation: a key of `OPERATIONS`.
        subject: format or recipe.
        floor_goal: at most so many times the floor, None where nothing was promised.
        peers: keys of `peers.PEERS`; at least so many times faster than each, None where nothing was promised.
        numbers: how many, where it is not what the run asks for.
    """

    operation: str
    subject: str = ""
    floor_goal: float | None = None
    peers: dict[str, float | None] = field(default_factory=dict)
    numbers: int | None = None

    @property
    def name(self) -> str:
        """Operation, subject and numbers, as --only takes it.

        >>> Job("cost", "e4m3fn", numbers=10_000).name
        'cost:e4m3fn:10000'
        """
        return ":".join(str(part) for part in (self.operation, self.subject, self.numbers) if part)


_TORCH = {"torch cast": 12.0, "torch cast, outputs reused": 8.0}
_NO_PROMISE = dict.fromkeys(_TORCH)
_GFLOAT = {"gfloat, numpy": 120.0, "gfloat, torch": 120.0}
_PYCHOP = dict.fromkeys(("pychop, numpy", "pychop, torch"))
_BY_CAST = {"torch cast": 6.0, "torch cast, outputs reused": None}
_FLOAT8 = ("torchao float8 training", "torchao float8 primitives")
_BLOCKS = ("torchao float8 primitives", "torchao blockwise training")
_HISTOGRAMS = {"np.histogram, edges 2^k": 70.0, "np.histogram of log2": None}
_REPORTS = {"separate passes, numpy": 25.0, "separate passes, torch": 25.0}

JOBS: tuple[Job, ...] = (
    Job("round_to", "e4m3fn", 1.2, {**_TORCH, "ml_dtypes": 35.0, **_GFLOAT, "microxcaling": 120.0, **_PYCHOP}),
    Job("round_to", "e5m2", 1.2, {**_TORCH, "ml_dtypes": 35.0}),
    Job("round_to", "e2m1fn", 1.2, {"ml_dtypes": 35.0, "microxcaling": 120.0}),
    Job("round_to", "int8", 1.2, {"torch fake_quantize": None}),
    Job("round_to", "bfloat16", 1.2, _NO_PROMISE),
    Job("round_to", "float16", 1.2, _NO_PROMISE),
    Job("round_to", "nf4"),
    Job("round_to", "hif8", None, {"en_dtypes": None}),
    Job("encode", "e4m3fn", 1.3, _BY_CAST),
    Job("decode", "e4m3fn", 1.3, _BY_CAST),
    Job("fake_quantize", "mxfp8_e4m3", 1.8, {"torchao MX": 20.0, "microxcaling": 80.0}),
    Job("fake_quantize", "mxfp4", 1.8, {"torchao MX": 20.0, "microxcaling": 80.0}),
    Job("fake_quantize", "nvfp4", 1.8, {"torchao NVFP4": 20.0}),
    Job("fake_quantize", "row_e4m3", 1.3, dict.fromkeys(_FLOAT8, 30.0)),
    Job("fake_quantize", "e4m3fn:1x128:amax:float32", 1.3, dict.fromkeys(_BLOCKS, 30.0)),
    Job("fake_quantize", "tensor_e4m3", 2.2, dict.fromkeys(_FLOAT8, 20.0)),
    Job("fake_quantize", "column_e4m3", 2.2, dict.fromkeys(_FLOAT8, 20.0)),
    Job("fake_quantize", "e4m3fn:128x128:amax:float32", 1.6, dict.fromkeys(_BLOCKS, 20.0)),
    Job("binade_histogram", "", 1.2, _HISTOGRAMS),
    Job("measure", "tensor_e4m3", 2.5, _REPORTS),
    Job("measure", "mxfp8_e4m3", 2.5, _REPORTS),
    *(Job("cost", "e4m3fn", numbers=10**power) for power in range(4, 9)),
)
LARGEST = Job("cost", "e4m3fn", numbers=10**9)


@dataclass(frozen=True)
class KernelResult:
    """The record of one subject in one job. Where it was not timed, `refusal` says why and all measurements are None.

    Args:
        job: name of the job.
        subject: "ours", a key of `peers.PEERS`, or "flatness" and "memory" of the cost by size.
        version: of the peer's package.
        runs: rounds that it was timed in.
        call_ms: one call; of ours with a preallocated result where the job has one.
        allocated_ms: one call of ours that allocates its result.
        floor_ms: the floor, in the same rounds.
        times_floor: call over floor, round by round.
        times_faster: the peer's call over ours with a preallocated result, round by round.
        aim: a key of `AIMS`: what `reached` and `goal` count.
        note: in how many numbers a peer's result differs, and what else one should know.
    """

    job: str
    subject: str
    host: str
    date: str
    numbers: int
    threads: int
    version: str = ""
    runs: int = 0
    refusal: str = ""
    note: str = ""
    call_ms: Spread | None = None
    allocated_ms: Spread | None = None
    floor_ms: Spread | None = None
    times_floor: Spread | None = None
    times_faster: Spread | None = None
    ns_per_number: float | None = None
    aim: str = ""
    reached: float | None = None
    goal: float | None = None

    @property
    def verdict(self) -> str:
        """ "met", "missed by" the factor that lacks, or "" where there is no goal or no figure."""
        if self.goal is None or self.reached is None:
            return ""
        lacking = self.reached / self.goal if AIMS[self.aim] == "at most" else self.goal / self.reached
        return "met" if lacking <= 1 else f"missed by {lacking:.2f}x"


def select(names: Sequence[str] = (), *, largest: bool = False) -> list[Job]:
    """Return the jobs of these names, or of these operations; all where there are none.

    Raises:
        ValueError: a name that is neither.
    """
    jobs = [*JOBS, LARGEST] if largest else list(JOBS)
    for name in names:
        if name not in OPERATIONS and name not in (job.name for job in jobs):
            raise ValueError(f"job {name!r} is not one of {', '.join(OPERATIONS)}, nor of {', '.join(job.name for job in jobs)}")
    return [job for job in jobs if not names or job.name in names or job.operation in names]
