"""Static calibration: one amax for all tensors to come, chosen from batches of data that are seen before."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

import numpy as np
import torch

from fp8core import kernels
from fp8core.arrays import FLOAT_DTYPES, as_tensor
from fp8core.calibration import search
from fp8core.calibration.effect import effect
from fp8core.formats import Format, parse_format

_Found = tuple[float, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Settings:
    """What the methods can be told; each heeds its own.

    Args:
        percentile: per cent of the magnitudes that are not clipped; above 0, at most 100.
        momentum: weight of the past in the moving average, 0 … 1 without 1; PyTorch's averaging_constant is 1 − momentum.
        shares: thresholds that the search for the least squared error tries, as shares of the largest magnitude, each above 0.
        bins: equal bins of |x| in the histogram that the entropy is taken of; at least 129.

    Raises:
        ValueError: a value outside of these.
    """

    percentile: float = 99.99
    momentum: float = 0.9
    shares: tuple[float, ...] = tuple(2.0 ** (-step / 8) for step in range(97))
    bins: int = 2048

    def __post_init__(self):
        if not 0 < self.percentile <= 100:
            raise ValueError(f"percentile = {self.percentile!r} is not above 0 and at most 100")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum = {self.momentum!r} is not at least 0 and below 1")
        if not self.shares or not all(0 < share < math.inf for share in self.shares):
            raise ValueError("shares holds at least one threshold, each a finite number above 0")
        if self.bins <= search.FIRST_BIN:
            raise ValueError(f"bins = {self.bins!r}: the search begins with {search.FIRST_BIN} bins, so that more are needed")


@dataclass(frozen=True, eq=False)
class Observed:
    """The finite numbers of all batches; `observe` makes it.

    Args:
        numbers: float64, ascending, shape (n,); never empty.
        magnitudes: their magnitudes, ascending, shape (n,).
        batch_amax: largest magnitude of each batch; NaN where it holds nothing finite.
        nans, infs: left out, counted.
    """

    numbers: torch.Tensor
    magnitudes: torch.Tensor
    batch_amax: np.ndarray
    nans: int
    infs: int

    @property
    def largest(self) -> float:
        """The largest magnitude of all."""
        return float(self.magnitudes[-1])

    @cached_property
    def energy(self) -> float:
        """Mean of x²."""
        return float(self.numbers.square().mean())

    @cached_property
    def totals(self) -> search.Totals:
        """Running totals of the numbers."""
        return search.running_totals(self.numbers)

    def histogram(self, per_binade: int = 4, most_binades: int = 40) -> tuple[np.ndarray, np.ndarray]:
        """Count the magnitudes above zero in equal bins of log2 -> log2 of the edges, shape (B + 1,), and counts, shape (B,).

        What lies more than `most_binades` below the largest is left out, and so are zeros.

        >>> edges, counts = observe([1.0, -1.5, 3.0]).histogram(per_binade=1)
        >>> edges, counts
        (array([0., 1., 2.]), array([2, 1]))
        """
        above = self.magnitudes.numpy()
        above = above[np.searchsorted(above, 0.0, side="right") :]
        if not above.size:
            return np.zeros(1), np.empty(0, np.int64)
        top = math.frexp(above[-1])[1]
        lowest = max(math.frexp(above[0])[1] - 1, top - most_binades)
        edges = np.arange(lowest * per_binade, top * per_binade + 1) / per_binade
        return edges, np.diff(np.searchsorted(above, np.exp2(edges)))


@dataclass(frozen=True)
class Method:
    """One way to choose amax.

    Args:
        title, formula, effect: for people.
        source: who does it so.
        choose: (observed, format, settings) -> amax, thresholds tried, loss of each; the last two are empty where nothing is searched.
    """

    title: str
    formula: str
    effect: str
    source: str
    choose: Callable[[Observed, Format, Settings], _Found]


_NOTHING = np.empty(0)


def _amax(observed: Observed, fmt: Format, settings: Settings) -> _Found:
    return observed.largest, _NOTHING, _NOTHING


def _percentile(observed: Observed, fmt: Format, settings: Settings) -> _Found:
    """The smallest magnitude that is not below `percentile` per cent of all; the smallest above zero where that is zero."""
    magnitudes = observed.magnitudes
    place = math.ceil(Fraction(str(float(settings.percentile))) / 100 * len(magnitudes)) - 1  # exact: a float product may lie just above a whole number
    chosen = float(magnitudes[min(max(place, 0), len(magnitudes) - 1)])
    return chosen or float(magnitudes[magnitudes > 0][0]), _NOTHING, _NOTHING


def _moving_average(observed: Observed, fmt: Format, settings: Settings) -> _Found:
    """a ← momentum · a + (1 − momentum) · amax of the batch, beginning with the first batch that holds a number."""
    seen = observed.batch_amax[np.isfinite(observed.batch_amax)]
    average = float(seen[0])
    for batch in seen[1:]:
        average = settings.momentum * average + (1 - settings.momentum) * float(batch)
    return average or observed.largest, _NOTHING, _NOTHING


def _mse(observed: Observed, fmt: Format, settings: Settings) -> _Found:
    thresholds = observed.largest * np.array(sorted(settings.shares))
    held = observed.numbers if fmt.signed or fmt.nan_code is None else observed.numbers[observed.numbers >= 0]  # the others become NaN at any scale
    if not held.numel():
        return observed.largest, _NOTHING, _NOTHING
    losses = search.squared_errors(held, thresholds, fmt, observed.totals if held is observed.numbers else None)
    return float(thresholds[_last_least(losses)]), thresholds, losses


def _entropy(observed: Observed, fmt: Format, settings: Settings) -> _Found:
    thresholds, losses = search.divergences(*search.equal_bins(observed.magnitudes.numpy(), settings.bins), fmt)
    return float(thresholds[_last_least(losses)]), thresholds, losses


def _last_least(losses: np.ndarray) -> int:
    """The place of the least loss; of several the last, whose threshold clips least."""
    return len(losses) - 1 - int(np.argmin(losses[::-1]))


CALIBRATIONS: dict[str, Method] = {
    "amax": Method("largest", "max |x|", "clips nothing of what was seen; one outlier sets the scale for all", "common practice", _amax),
    "percentile": Method("percentile", "the p-th percentile of |x|", "clips a fixed share of the numbers, however far out they lie", "NVIDIA pytorch-quantization, calib/histogram.py", _percentile),
    "mse": Method("least squared error", "argmin over t of mean (x − x̂ₜ)²", "clips where rounding the rest more finely gains more than clipping costs", "NVIDIA pytorch-quantization, calib/histogram.py; here on the numbers themselves", _mse),
    "entropy": Method("entropy", "argmin over t of KL(P ‖ Qₜ)", "keeps the shape of the histogram; made for integers, and harsh on numbers that are few and large", "NVIDIA pytorch-quantization, calib/histogram.py", _entropy),
    "moving_average": Method("moving average", "a ← m · a + (1 − m) · max |x| of the batch", "follows the batches; clips those that are louder than usual", "PyTorch MovingAverageMinMaxObserver", _moving_average),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was chosen, and what it does to the numbers that it was chosen from.

    Args:
        method: key of `CALIBRATIONS`.
        format: the format's name.
        amax: what to give to `quantize`; 0 where all numbers were zero.
        largest: the largest finite magnitude.
        batch_amax: largest magnitude of each batch, shape (batches,); NaN where a batch holds nothing finite.
        count: finite numbers.
        nans, infs: left out, counted.
        clipped, flushed: shares of the finite numbers that are more than half an ulp beyond the range, and that become zero without being it.
        lost: share of the finite numbers that become NaN, as numbers below zero do in an unsigned format.
        sqnr_db: of the finite numbers that are not lost.
        thresholds, losses: what was searched, ascending, shape (T,); empty for methods that search nothing. The loss is the mean
            squared error, or the Kullback-Leibler divergence in nats, which is inf where a level that is needed has no numbers.
    """

    method: str
    format: str
    amax: float
    largest: float
    batch_amax: np.ndarray = field(repr=False)
    count: int
    nans: int
    infs: int
    clipped: float
    flushed: float
    lost: float
    sqnr_db: float
    thresholds: np.ndarray = field(repr=False)
    losses: np.ndarray = field(repr=False)


def observe(batches) -> Observed:
    """Collect batches once, for many calls of `calibrate`.

    Args:
        batches: tensors or arrays of any shape, one by one; a single torch tensor or numpy array is one batch.

    Raises:
        ValueError: no finite number among them.
        TypeError: they do not hold real numbers.
    """
    one = isinstance(batches, (torch.Tensor, np.ndarray)) or not isinstance(batches, Iterable)
    tensors = [as_tensor(batch).cpu().reshape(-1) for batch in ([batches] if one else batches)]
    tensors = [tensor.to(torch.float64 if tensor.dtype not in FLOAT_DTYPES or tensor.dtype == torch.float64 else torch.float32) for tensor in tensors]
    finite = [tensor if bool(kept.all()) else tensor[kept] for tensor in tensors for kept in [tensor.isfinite()]]
    together = torch.cat(finite) if finite else torch.empty(0)
    if not together.numel():
        raise ValueError(f"there is no finite number in {len(tensors)} batches of {sum(map(len, tensors))} numbers: nothing to calibrate with")
    batch_amax = np.array([float(part.abs().max()) if len(part) else math.nan for part in finite])
    nans, infs = (sum(int(test(tensor).sum()) for tensor, part in zip(tensors, finite, strict=True) if part is not tensor) for test in (torch.isnan, torch.isinf))
    if together.dtype == torch.float32 and kernels.usable(together):
        numbers, magnitudes = kernels.in_order(together.numpy())
    else:
        numbers = np.sort(together.to(torch.float64).numpy())
        below_zero = np.searchsorted(numbers, 0.0)
        two_runs = np.abs(np.concatenate([numbers[:below_zero][::-1], numbers[below_zero:]]))
        magnitudes = np.sort(two_runs, kind="stable")  # which merges what is in order already
    return Observed(torch.from_numpy(numbers), torch.from_numpy(magnitudes), batch_amax, nans, infs)


def calibrate(batches, format: str | Format, method: str = "amax", **settings) -> Calibration:
    """Choose the amax of one scale for a whole tensor from data.

    NaN and infinity are left out and counted. Where all numbers are zero amax is 0, and nothing is searched: a scale from it would
    clip whatever comes later.

    Args:
        batches: as `observe` takes them, or what it returned.
        format: of the elements; symmetric scaling, amax lands on the format's largest value.
        method: key of `CALIBRATIONS`.
        settings: fields of `Settings`.

    Raises:
        ValueError: no finite number among the batches, or one beyond float32; unknown format or method; a setting out of its range.
        TypeError: a setting that does not exist; batches that do not hold real numbers.

    >>> c = calibrate([[1.0, -2.0, 3.0], [4.0, 100.0]], "int8", "percentile", percentile=80)
    >>> c.amax, c.largest, c.clipped, c.batch_amax
    (4.0, 100.0, 0.2, array([  3., 100.]))
    """
    fmt, chosen = parse_format(format), Settings(**settings)
    if method not in CALIBRATIONS:
        raise ValueError(f"method = {method!r} is not one of {', '.join(CALIBRATIONS)}")
    observed = batches if isinstance(batches, Observed) else observe(batches)
    if observed.largest > torch.finfo(torch.float32).max:
        raise ValueError(f"the largest magnitude is {observed.largest:.4g}: scales are float32 numbers, which end at 3.4028e38")
    amax, thresholds, losses = CALIBRATIONS[method].choose(observed, fmt, chosen) if observed.largest else (0.0, _NOTHING, _NOTHING)
    return Calibration(
        method, fmt.name, amax, observed.largest, observed.batch_amax, len(observed.numbers), observed.nans, observed.infs,
        **effect(observed.numbers, fmt, amax), thresholds=thresholds, losses=losses,
    )  # fmt: skip
