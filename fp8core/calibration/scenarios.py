"""Seeded sequences of tensors, one per training step, that show what delayed scaling can and cannot follow."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Scenario:
    """A sequence of tensors of one kind.

    Args:
        title: name for people.
        description: what happens in it, in one sentence.
        loudness: loudness(step, steps) -> what the numbers of that step are multiplied with; infinite for a step of loudness 1 with one infinity in it.
    """

    title: str
    description: str
    loudness: Callable[[int, int], float]


SCENARIOS: dict[str, Scenario] = {
    "steady": Scenario("steady", "Every step is as loud as the last; only chance moves amax.", lambda step, steps: 1.0),
    "warm_up": Scenario("warm-up", "Loud at first, then quieter by half with every second step, down to a thousandth: gradients after initialization.", lambda step, steps: 2.0 ** -min(step / 2, 10)),
    "drift": Scenario("drift", "A quarter of a binade louder with every step: weights and activations that grow.", lambda step, steps: 2.0 ** (step / 4 - 8)),
    "spike": Scenario("spike", "One step in the middle is a thousand times louder.", lambda step, steps: 1000.0 if step == steps // 2 else 1.0),
    "zeros": Scenario("zeros", "A run of steps that are all zero, then a quieter tensor: a layer that gets no gradient for a while.", lambda step, steps: 0.0 if steps // 3 <= step < steps // 2 else 1.0 if step < steps // 3 else 0.01),
    "non_finite": Scenario("infinity", "One step holds an infinity; from there on everything is four times louder.", lambda step, steps: math.inf if step == steps // 3 else 1.0 if step < steps // 3 else 4.0),
}  # fmt: skip


def make_steps(name: str, steps: int = 64, count: int = 4096, *, seed: int = 0) -> list[torch.Tensor]:
    """Draw a sequence of float32 tensors of `count` Laplace numbers each; the same arguments give the same numbers (with the same numpy).

    Raises:
        ValueError: an unknown name; `steps` or `count` below 1; a `seed` below 0.

    >>> [round(float(x.abs().max())) for x in make_steps("spike", steps=4)]
    [8, 12, 8241, 9]
    """
    if name not in SCENARIOS:
        raise ValueError(f"scenario {name!r} is not one of {', '.join(SCENARIOS)}")
    if steps < 1 or count < 1 or seed < 0:
        raise ValueError(f"steps = {steps}, count = {count}, seed = {seed}: the first two are at least 1, the seed at least 0")
    rng = np.random.Generator(np.random.PCG64(seed))
    return [_step(rng.laplace(0.0, 1.0, count), SCENARIOS[name].loudness(step, steps)) for step in range(steps)]


def _step(numbers: np.ndarray, loudness: float) -> torch.Tensor:
    x = torch.from_numpy((numbers * (1.0 if math.isinf(loudness) else loudness)).astype(np.float32))
    if math.isinf(loudness):
        x[0] = math.inf
    return x
