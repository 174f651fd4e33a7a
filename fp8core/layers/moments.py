"""What the numbers of a tensor look like."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from fp8core import kernels
from fp8core.arrays import FLOAT_DTYPES, as_tensor, total


@dataclass(frozen=True)
class Statistics:
    """What a tensor's numbers look like before anything is done to them; NaN and infinity are left out.

    Args:
        rms: root of the mean square.
        amax: largest magnitude.
        crest_factor: amax / rms; √3 for a uniform distribution, about 5 for a million Gaussian numbers, far more with outliers; NaN where all is zero.
        kurtosis: mean fourth power of the deviation over the squared variance; 3 for a Gaussian; NaN where all numbers are equal.
        range_binades: log2 of the largest over the smallest non-zero magnitude; NaN where all is zero.
        zeros: exact zeros, counted.
    """

    rms: float
    amax: float
    crest_factor: float
    kurtosis: float
    range_binades: float
    zeros: int


def statistics(x) -> Statistics:
    """Describe the finite numbers of a tensor of any shape, in float64; all NaN where there are none.

    >>> s = statistics([3.0, -4.0, 0.0, 0.0])
    >>> s.rms, s.amax, s.crest_factor, s.zeros
    (2.5, 4.0, 1.6, 2)
    """
    source = as_tensor(x)
    if kernels.usable(source) and source.dtype in FLOAT_DTYPES and source.dtype != torch.float64:
        return of_moments(kernels.moments(source))
    numbers = source[source.isfinite()].to(torch.float64)
    if not numbers.numel():
        return Statistics(math.nan, math.nan, math.nan, math.nan, math.nan, 0)
    magnitude = numbers.abs()
    count = numbers.numel()
    amax, rms = float(magnitude.max()), math.sqrt(total(numbers.square()) / count)
    deviation = numbers.sub_(total(numbers) / count).square_()
    variance = total(deviation) / count
    nonzero = magnitude[magnitude > 0]
    return Statistics(
        rms=rms,
        amax=amax,
        crest_factor=amax / rms if rms else math.nan,
        kurtosis=total((deviation / variance).square_()) / count if variance else math.nan,
        range_binades=math.log2(amax) - math.log2(float(nonzero.min())) if nonzero.numel() else math.nan,
        zeros=int(magnitude.numel() - nonzero.numel()),
    )


def of_moments(seen) -> Statistics:
    """The statistics of numbers whose moments are known; those of several parts add up."""
    if not seen.count:
        return Statistics(math.nan, math.nan, math.nan, math.nan, math.nan, 0)
    rms = math.sqrt(seen.squares / seen.count)
    return Statistics(
        rms=rms,
        amax=seen.largest,
        crest_factor=seen.largest / rms if rms else math.nan,
        kurtosis=seen.fourth * seen.count / seen.second**2 if seen.second else math.nan,
        range_binades=math.log2(seen.largest) - math.log2(seen.smallest) if seen.smallest else math.nan,
        zeros=seen.zeros,
    )
