"""The error report in separate passes, as one would write it down, in numpy and in torch: what the one-pass report is timed against."""

from __future__ import annotations

import math

import numpy as np
import torch

from fp8core.metrics import ErrorReport
from fp8core.quantized import QuantizedTensor


def report_in_numpy(x: np.ndarray, q: QuantizedTensor) -> ErrorReport:
    """Each quantity in passes of its own, for formats with fields."""
    fmt, codes, scale = q.recipe.fmt, q.codes.numpy(), q.element_scale().numpy()
    value = fmt.values[codes]
    x64, y64 = x.astype(np.float64), (value.astype(np.float32) * scale).astype(np.float64)
    finite = np.isfinite(x64)
    usable = finite & np.isfinite(y64)
    x64, y64 = np.where(usable, x64, 0.0), np.where(usable, y64, 0.0)
    error, scaled = x64 - y64, x64 / scale
    ulp = np.ldexp(1.0, np.clip(np.frexp(scaled)[1] - 1, fmt.emin, fmt.emax) - fmt.mantissa_bits)
    counted = x64 != 0
    binade = np.frexp(x64[counted])[1] - 1
    lowest = int(binade.min())
    counts = np.bincount(binade - lowest)
    signals, noises = (np.bincount(binade - lowest, weights=part[counted] ** 2) for part in (x64, error))
    with np.errstate(divide="ignore", invalid="ignore"):
        decibel, mse = 10 * np.log10(signals / noises), noises / counts
    signal, noise, restored = (float(np.sum(part**2)) for part in (x64, error, y64))
    return ErrorReport(
        count=x.size, sqnr_db=10 * math.log10(signal / noise), mse=noise / np.count_nonzero(usable), max_abs=float(np.max(np.abs(error))),
        max_ulp=float(np.max(np.abs(scaled - np.where(usable, value, 0.0)) / ulp)), cosine=float(np.sum(x64 * y64)) / math.sqrt(signal * restored),
        underflow=np.count_nonzero(counted & (y64 == 0)) / x.size, saturation=np.count_nonzero(np.abs(scaled) > fmt.max + fmt.ulp_at_max / 2) / x.size,
        zeros=np.count_nonzero(x == 0), nans=np.count_nonzero(np.isnan(x)), infs=np.count_nonzero(np.isinf(x)), lost=np.count_nonzero(finite & ~usable),
        bits_per_value=q.bits_per_value, binades=lowest + np.arange(len(counts)), binade_count=counts, binade_mse=mse, binade_sqnr_db=decibel,
        code_histogram=np.bincount(codes.reshape(-1), minlength=1 << fmt.bits), signal=signal, noise=noise,
    )  # fmt: skip


def report_in_torch(x: torch.Tensor, q: QuantizedTensor) -> ErrorReport:
    """The same in torch."""
    fmt, scale = q.recipe.fmt, q.element_scale()
    value = torch.tensor(fmt.values)[q.codes.to(torch.int64)]
    x64, y64 = x.to(torch.float64), (value.to(torch.float32) * scale).to(torch.float64)
    finite = x64.isfinite()
    usable = finite & y64.isfinite()
    x64, y64 = torch.where(usable, x64, 0.0), torch.where(usable, y64, 0.0)
    error, scaled = x64 - y64, x64 / scale
    ulp = torch.exp2((torch.frexp(scaled).exponent - 1).clamp(fmt.emin, fmt.emax).to(torch.float64) - fmt.mantissa_bits)
    counted = x64 != 0
    binade = torch.frexp(x64[counted]).exponent.to(torch.int64) - 1
    lowest = int(binade.min())
    counts = torch.bincount(binade - lowest)
    signals, noises = (torch.bincount(binade - lowest, weights=part[counted] ** 2) for part in (x64, error))
    signal, noise, restored = (float((part**2).sum()) for part in (x64, error, y64))
    count = x.numel()
    return ErrorReport(
        count=count, sqnr_db=10 * math.log10(signal / noise), mse=noise / int(usable.sum()), max_abs=float(error.abs().max()),
        max_ulp=float(((scaled - torch.where(usable, value, 0.0)).abs() / ulp).max()), cosine=float((x64 * y64).sum()) / math.sqrt(signal * restored),
        underflow=int((counted & (y64 == 0)).sum()) / count, saturation=int((scaled.abs() > fmt.max + fmt.ulp_at_max / 2).sum()) / count,
        zeros=int((x == 0).sum()), nans=int(x.isnan().sum()), infs=int(x.isinf().sum()), lost=int((finite & ~usable).sum()),
        bits_per_value=q.bits_per_value, binades=lowest + np.arange(len(counts)), binade_count=counts.numpy(), binade_mse=(noises / counts).numpy(),
        binade_sqnr_db=(10 * torch.log10(signals / noises)).numpy(), code_histogram=torch.bincount(q.codes.reshape(-1).to(torch.int64), minlength=1 << fmt.bits).numpy(), signal=signal, noise=noise,
    )  # fmt: skip
