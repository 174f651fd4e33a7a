"""How long one call takes: by the clock on a CPU, between events on a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

_L2_BYTES = 256 << 20


class CpuTimer:
    """Milliseconds of one call."""

    def __call__(self, work: Callable) -> float:
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) * 1e3


class GpuTimer:
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


def timer_of(device: str) -> CpuTimer | GpuTimer:
    """Return the timer of a device, as torch writes it."""
    return CpuTimer() if device == "cpu" else GpuTimer(device)
