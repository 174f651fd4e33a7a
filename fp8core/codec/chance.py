"""The numbers that stochastic rounding compares with: they follow from a seed and a place, so that every device and every thread draws the same."""

from __future__ import annotations

import torch

_STEP, _FIRST, _SECOND = (value - (1 << 64) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def uniform(seed: int, first: int, count: int, device: torch.device) -> torch.Tensor:
    """Return numbers from 0 to below 1, float64 (count,), for the places from `first` on.

    Source: SplitMix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014), its state counted by place.
    """
    z = (torch.arange(first + 1, first + count + 1, device=device) * _STEP) + _signed(seed)
    z = (z ^ _shifted(z, 30)) * _FIRST
    z = (z ^ _shifted(z, 27)) * _SECOND
    z = z ^ _shifted(z, 31)
    return _shifted(z, 11).to(torch.float64) * 2.0**-53


def seed_or_drawn(seed: int | None) -> int:
    """Return the seed, or one drawn from torch's global generator."""
    return int(torch.randint(1 << 62, ()).item()) if seed is None else seed


def _signed(seed: int) -> int:
    return ((seed + (1 << 63)) % (1 << 64)) - (1 << 63)


def _shifted(z: torch.Tensor, by: int) -> torch.Tensor:
    """z >> by of unsigned numbers."""
    return (z >> by) & ((1 << (64 - by)) - 1)
