"""Seeded synthetic tensors that look like the ones people quantize."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

MAX_COUNT = 2**26
TAILS = (1.0, 100.0)

_Draw = Callable[[np.random.Generator, tuple[int, ...], float], np.ndarray]


def _lognormal_gradient(rng, shape, tail):
    return np.exp2(rng.normal(-27.0, 3.75, shape)) * rng.choice([-1.0, 1.0], shape)


def _outlier_channels(rng, shape, tail):
    channels = shape[-1]
    loud = rng.choice(channels, -(-channels // 171), replace=False)
    gain = np.ones(channels)
    gain[loud] = rng.uniform(20.0, 60.0, len(loud))
    return rng.standard_normal(shape) * gain


def _gelu(rng, shape, tail):
    return torch.nn.functional.gelu(torch.from_numpy(rng.standard_normal(shape))).numpy()


def _weights(rng, shape, tail):
    per_row = np.exp2(rng.normal(0.0, 0.75, (*shape[:-1], 1)))
    return 0.02 * per_row * rng.standard_normal(shape)


@dataclass(frozen=True)
class Sample:
    """One kind of tensor.

    Args:
        label: name for people.
        description: where one meets such a tensor, in one sentence.
        draw: draw(rng, shape, tail) -> array.
        settings: arguments of `make_sample` that its numbers depend on, beside the shape.
    """

    label: str
    description: str
    draw: _Draw
    settings: tuple[str, ...] = ("seed", "outlier", "outlier_share")


SAMPLES = {
    "normal": Sample(
        "Normal",
        "The bell curve with mean 0 and standard deviation 1: freshly initialized weights, and much of what a layer norm puts out.",
        lambda rng, shape, tail: rng.standard_normal(shape),
    ),
    "uniform": Sample(
        "Uniform",
        "Every number between −1 and 1 is equally likely: no tails at all, as in the fresh weights of a linear layer in PyTorch.",
        lambda rng, shape, tail: rng.uniform(-1.0, 1.0, shape),
    ),
    "laplace": Sample(
        "Laplace",
        "A peak at zero and heavier tails than the bell curve: many trained weights and the differences of neighbouring pixels or audio samples.",
        lambda rng, shape, tail: rng.laplace(0.0, 1.0, shape),
    ),
    "student_t": Sample(
        "Student's t (heavy tails)",
        "Rare numbers lie far out, the further the fewer degrees of freedom: activations and gradients of large networks.",
        lambda rng, shape, tail: rng.standard_t(tail, shape),
        ("seed", "outlier", "outlier_share", "tail"),
    ),
    "lognormal_gradient": Sample(
        "Gradients (log-normal)",
        "Tiny numbers of both signs spread over more than thirty binades around 2⁻²⁷: the gradients that training sends back through deep layers.",
        _lognormal_gradient,
    ),
    "outlier_channels": Sample(
        "Activations with outlier channels",
        "A bell curve in which one column in 171 is 20 to 60 times louder: the inputs of the linear layers of large language models, as described in LLM.int8().",
        _outlier_channels,
    ),
    "relu": Sample(
        "After ReLU",
        "A bell curve with its negative half replaced by exact zeros: hidden activations of convolutional and older feed-forward networks.",
        lambda rng, shape, tail: np.maximum(rng.standard_normal(shape), 0.0),
    ),
    "gelu": Sample(
        "After GELU",
        "Large positive numbers beside negative ones that never pass −0.17: what the second feed-forward product of a transformer is given.",
        _gelu,
    ),
    "weights": Sample(
        "Weights of a linear layer",
        "A bell curve about 0.02 wide, with a width of its own in every row: the weight matrix of a trained transformer.",
        _weights,
    ),
}


def make_sample(
    name: str,
    shape: tuple[int, ...] = (1024, 1024),
    *,
    seed: int = 0,
    outlier: float = 1.0,
    outlier_share: float = 2**-16,
    tail: float = 3.0,
) -> torch.Tensor:
    """Draw a float32 tensor on the CPU; the same arguments give the same numbers (with the same numpy).

    Outliers are planted after drawing, in max(1, round(outlier_share · count)) places that depend on seed and shape only, so that moving
    `outlier` changes nothing else. Each has the magnitude outlier · rms, with the rms of the tensor before planting, and the sign that was there.

    Args:
        name: a key of `SAMPLES`.
        shape: at least one axis, each of 1 or more, at most 2²⁶ numbers.
        seed: 0 or more.
        outlier: 1 or more, in multiples of the rms; 1 plants none.
        outlier_share: above 0, at most 1.
        tail: degrees of freedom of student_t, 1 … 100; the fewer, the heavier the tails.

    Raises:
        ValueError: an unknown name, or an argument out of these ranges.

    >>> make_sample("relu", (2, 3), seed=1).shape
    torch.Size([2, 3])
    >>> make_sample("weights", (64, 64), outlier=1000.0).abs().max() > 500 * make_sample("weights", (64, 64)).square().mean().sqrt()
    tensor(True)
    """
    if name not in SAMPLES:
        raise ValueError(f"sample {name!r} is not one of {', '.join(SAMPLES)}")
    _check(shape, seed, outlier, outlier_share, tail)
    body, places = (np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(seed).spawn(2))
    x = SAMPLES[name].draw(body, tuple(shape), tail).astype(np.float32)
    if outlier > 1:
        _plant(x, places, outlier, outlier_share)
    return torch.from_numpy(x)


def _plant(x: np.ndarray, rng: np.random.Generator, outlier: float, share: float) -> None:
    magnitude = np.float64(outlier) * np.sqrt(np.mean(np.square(x, dtype=np.float64)))
    if not magnitude <= np.finfo(np.float32).max:
        raise ValueError(f"outlier = {outlier} × rms is {magnitude:.3g}, and float32 ends at 3.4e38")
    flat = x.reshape(-1)
    where = rng.choice(x.size, max(1, round(share * x.size)), replace=False)
    flat[where] = np.copysign(magnitude, flat[where])


def _check(shape, seed, outlier, outlier_share, tail) -> None:
    if not isinstance(shape, (tuple, list)) or not shape or not all(_is_whole(n) and n >= 1 for n in shape):
        raise ValueError(f"shape = {shape!r} needs at least one axis, each a whole number of 1 or more")
    if math.prod(shape) > MAX_COUNT:
        raise ValueError(f"shape = {shape!r} has {math.prod(shape):,} numbers, and samples have at most {MAX_COUNT:,}")
    if not _is_whole(seed) or seed < 0:
        raise ValueError(f"seed = {seed!r} is not a whole number of 0 or more")
    if not 1 <= outlier < math.inf:
        raise ValueError(f"outlier = {outlier!r} is not a finite number of 1 (none) or more")
    if not 0 < outlier_share <= 1:
        raise ValueError(f"outlier_share = {outlier_share!r} is not above 0 and at most 1")
    if not TAILS[0] <= tail <= TAILS[1]:
        raise ValueError(f"tail = {tail!r} degrees of freedom are not within {TAILS[0]:g} … {TAILS[1]:g}")


def _is_whole(n) -> bool:
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool)
