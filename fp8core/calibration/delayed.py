"""Delayed scaling: the scale of a step follows from the amax of the steps before it, so that a tensor is read once and not twice."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from fp8core.arrays import as_tensor
from fp8core.formats import Format, parse_format
from fp8core.kernels.pool import in_one_thread
from fp8core.metrics import measure
from fp8core.quantized import quantize
from fp8core.scaling import ScaleSpec

ALGORITHMS = {
    "max": "the largest amax of the history",
    "most_recent": "the amax of the step before",
}
MOST_MARGIN = 64

_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class DelayedState:
    """What is known between two steps.

    Args:
        history: amax of past steps, oldest first, at most `history_length`; the scale follows from these.
        scale: decode multiplier that the next step uses, a float32 number.
        amax: what `quantize` is to be given as amax with a scaling of rule te_delayed, so that it uses this scale; held at float32's
            largest number, which a loud step with a wide margin would pass: then `quantize` uses a smaller scale.
        kept: the history gave no finite amax above zero, so that the scale is that of the step before.
    """

    history: tuple[float, ...]
    scale: float
    amax: float
    kept: bool


@dataclass(frozen=True)
class DelayedScaling:
    """Transformer Engine's DelayedScaling for one tensor.

    Args:
        format: of the elements, a name or a Format.
        history_length: steps that are remembered. Transformer Engine has 1024, Megatron-LM sets 1.
        algorithm: a key of `ALGORITHMS`. Transformer Engine has max, Megatron-LM sets most_recent.
        margin: binades that are left free above amax; whole, 0 … 64.

    Raises:
        ValueError: a value outside of these.

    Transformer Engine keeps the history in slots. Slot 0 collects the amax of the running step; afterwards the maximum is taken over
    slots 1, 2, … and slot 0, then all move one slot down, so that slot 1, the oldest, is lost and slot 0 is 0 again. Without the
    empty slots that is a window of the last `history_length` steps.

    Source: transformer_engine/common/recipe/delayed_scaling.cu (kernel_bulk) and common/recipe/__init__.py (DelayedScaling).
    """

    format: str | Format
    history_length: int = 1024
    algorithm: str = "max"
    margin: int = 0

    def __post_init__(self):
        parse_format(self.format)
        if isinstance(self.history_length, bool) or not isinstance(self.history_length, int) or self.history_length < 1:
            raise ValueError(f"history_length = {self.history_length!r}: it is a whole number of at least 1")
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm = {self.algorithm!r} is not one of {', '.join(ALGORITHMS)}")
        if isinstance(self.margin, bool) or not isinstance(self.margin, int) or not 0 <= self.margin <= MOST_MARGIN:
            raise ValueError(f"margin = {self.margin!r}: it is a whole number from 0 to {MOST_MARGIN}")

    @property
    def fmt(self) -> Format:
        """The format itself."""
        return parse_format(self.format)

    def start(self) -> DelayedState:
        """Return the state before the first step: an empty history and the scale 1."""
        return DelayedState((), 1.0, self.fmt.max, True)

    def update(self, state: DelayedState, amax: float) -> DelayedState:
        """Return the state after a step that saw `amax`.

        All arithmetic is float32: encode scale = (max · 2^-margin) / largest of the history, its reciprocal is the decode scale.

        - A step whose amax is 0 does not enter the history, and the scale stays.
        - An infinite amax enters the history. With `max` it keeps the scale as it is until it falls out of the history again.
        - A NaN does not count in the maximum; with `most_recent` it keeps the scale as it is.
        - An encode scale beyond float32 becomes float32's largest number.

        >>> e4m3 = DelayedScaling("e4m3fn", history_length=2)
        >>> state = e4m3.start()
        >>> for amax in (7.0, 3.5, 1.75):
        ...     state = e4m3.update(state, amax)
        ...     print(state.history, state.scale)
        (7.0,) 0.015625
        (7.0, 3.5) 0.015625
        (3.5, 1.75) 0.0078125
        """
        amax = float(np.float32(amax))
        if amax == 0:
            return state
        history = (*state.history, amax)[-self.history_length :]
        chosen = amax if self.algorithm == "most_recent" else max((each for each in history if not math.isnan(each)), default=math.nan)
        if not 0 < chosen < math.inf:
            return DelayedState(history, state.scale, state.amax, True)
        with np.errstate(over="ignore", divide="ignore"):
            encode_scale = np.float32(self.fmt.max * 2.0**-self.margin) / np.float32(chosen)
            scale = np.float32(1) / min(encode_scale, np.float32(_FLOAT32_MAX))
        return DelayedState(history, float(scale), min(chosen * 2.0**self.margin, _FLOAT32_MAX), False)


@dataclass(frozen=True)
class DelayedStep:
    """One step under delayed scaling, beside what current scaling would have done with it.

    Args:
        step: from 0.
        amax: largest magnitude of this step, NaN left out, infinity not; the scale of this step does not know it yet.
        history: the past amax that its scale follows from, oldest first.
        kept: the history gave no scale, so that an earlier one is used.
        scale: decode multiplier used.
        reach: scale · max, the largest magnitude that is not clipped.
        current_scale: decode multiplier of current scaling, from this step's own amax.
        saturation, underflow, sqnr_db: as in `ErrorReport`, with the scale used.
        current_saturation, current_underflow, current_sqnr_db: the same with current scaling.
    """

    step: int
    amax: float
    history: tuple[float, ...]
    kept: bool
    scale: float
    reach: float
    current_scale: float
    saturation: float
    underflow: float
    sqnr_db: float
    current_saturation: float
    current_underflow: float
    current_sqnr_db: float


def simulate(steps: Iterable, scaling: DelayedScaling) -> tuple[DelayedStep, ...]:
    """Run delayed scaling over a sequence of tensors, each of which is quantized with the scale of the steps before.

    Args:
        steps: tensors or arrays of any shape; an empty one leaves the state as it is and is not part of the result.

    Raises:
        TypeError: a step that does not hold real numbers.

    >>> first, second = simulate([[1.0, 896.0], [1.0, 896.0]], DelayedScaling("e4m3fn"))
    >>> first.reach, first.saturation, second.reach, second.saturation
    (448.0, 0.5, 896.0, 0.0)
    """
    return in_one_thread(_simulate, steps, scaling)


def _simulate(steps: Iterable, scaling: DelayedScaling) -> tuple[DelayedStep, ...]:
    state, found = scaling.start(), []
    for number, each in enumerate(steps):
        x = as_tensor(each)
        if x.numel() == 0:
            continue
        delayed = quantize(x, scaling.fmt, ScaleSpec(rule="te_delayed"), amax=state.amax)
        current = quantize(x, scaling.fmt, ScaleSpec(rule="te_current"))
        used_scale = float(as_tensor(delayed.scale).reshape(-1)[0])
        used, ideal = measure(x, delayed), measure(x, current)
        amax = float(torch.nan_to_num(x.to(torch.float32), nan=0.0, posinf=torch.inf, neginf=-torch.inf).abs().max())
        found.append(
            DelayedStep(
                number, amax, state.history, state.kept, used_scale, used_scale * scaling.fmt.max, float(current.scale.reshape(-1)[0]),
                used.saturation, used.underflow, used.sqnr_db, ideal.saturation, ideal.underflow, ideal.sqnr_db,
            )
        )  # fmt: skip
        state = scaling.update(state, amax)
    return tuple(found)
