"""The fast way behind codec, scaling, quantized and metrics: one pass over memory, on CPUs, and to quantize on GPUs too.

The clear versions in torch, in those packages, are the definition and the way of all else; what is here gives the same codes and the same numbers.
numba compiles the loops when they are first used and keeps them on disk; `warm` does that ahead of time. The kernels for GPUs, which triton compiles, are behind `fused`.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

JOBS = {
    "jobs": ("Rule", "binades", "dequantize", "fates", "measures", "one_pass", "pack", "peaks", "report", "quantize_blocks", "round_flat", "scale_and_quantize_blocks", "supports", "unpack"),
    "statistics": ("moments", "quotients"),
    "books": ("book_errors",),
    "calibrating": ("divergences", "in_order", "squared_error"),
}  # by module

_set_aside: ContextVar[bool] = ContextVar("kernels_set_aside", default=False)
_getting_ready = threading.Event()


def usable(*tensors: torch.Tensor) -> bool:
    """Return whether these tensors can go through the loops now: on a CPU, not set aside, and not while another thread compiles them ahead of time."""
    return not _set_aside.get() and not _getting_ready.is_set() and all(tensor.device.type == "cpu" for tensor in tensors)


def fusable(*tensors: torch.Tensor) -> bool:
    """Return whether these tensors can go through the kernels on GPUs, of `fused`: on one, and not set aside."""
    return not _set_aside.get() and all(tensor.device.type == "cuda" for tensor in tensors)


@contextmanager
def set_aside() -> Iterator[None]:
    """Within this, everything runs by its definition, in torch."""
    token = _set_aside.set(True)
    try:
        yield
    finally:
        _set_aside.reset(token)


def __getattr__(name: str):
    """The jobs, whose module imports numba: not before one of them is asked for."""
    module = next((module for module, jobs in JOBS.items() if name in jobs), None)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def warm() -> None:
    """Compile the loops for float32, or load them from disk; see `warm_in_background` for servers."""
    for module in JOBS:
        importlib.import_module(f"{__name__}.{module}").warm()


def warm_in_background() -> threading.Thread:
    """Do the same in a thread of its own; until it is done all work goes by the definition, so that nobody waits for a compiler."""
    for module in JOBS:  # an import in a thread would hold up the imports of others
        importlib.import_module(f"{__name__}.{module}")

    def work():
        try:
            warm()
        except RuntimeError as error:
            if "after shutdown" not in str(error):  # the process ends before the loops are ready
                raise
        finally:
            _getting_ready.clear()

    _getting_ready.set()
    thread = threading.Thread(target=work, name="fp8core-warm", daemon=True)
    thread.start()
    return thread
