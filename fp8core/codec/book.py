"""Codes of formats that are a list of values: code books, and formats without subnormals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from fp8core.formats import FloatFormat, Format


@dataclass(frozen=True, eq=False)
class Book:
    """The distinct finite values of a format in ascending order, float64, and their codes, int64."""

    values: torch.Tensor
    codes: torch.Tensor
    negative_zero_code: int | None
    negative_infinity_code: int | None


@lru_cache(maxsize=64)
def book_of(fmt: Format, device: torch.device) -> Book:
    table = fmt.values
    order = np.flatnonzero(np.isfinite(table))
    values, first = np.unique(table[order] + 0.0, return_index=True)
    minus_zero, minus_infinity = (np.flatnonzero(where) for where in ((table == 0) & np.signbit(table), table == -np.inf))
    return Book(
        torch.tensor(values, device=device), torch.tensor(order[first], device=device),
        int(minus_zero[0]) if minus_zero.size else None, int(minus_infinity[0]) if minus_infinity.size else None,
    )  # fmt: skip


def book_codes(x, fmt: Format, rounding, overflow, chance):
    book, nan = book_of(fmt, x.device), torch.isnan(x)
    numbers = torch.where(nan, 0.0, x)
    inside = numbers.clamp(fmt.lowest, fmt.max)
    upper = torch.searchsorted(book.values, inside.contiguous(), right=True).clamp_(1, book.values.numel() - 1)
    low, high = book.values[upper - 1], book.values[upper]
    low_code, high_code = book.codes[upper - 1], book.codes[upper]
    codes = torch.where(_takes_upper(inside, low, high, low_code, high_code, rounding, chance), high_code, low_code)
    if overflow == "ieee":
        top, bottom = fmt.max + fmt.ulp_at_max, fmt.lowest - fmt.ulp_at_max
        codes = torch.where(_overflows(numbers, fmt.max, top, fmt.max_code, rounding, chance), _limit(fmt, fmt.inf_code), codes)
        codes = torch.where(_overflows(-numbers, -fmt.lowest, -bottom, int(book.codes[0]), _MIRRORED.get(rounding, rounding), chance) & fmt.signed, _limit(fmt, book.negative_infinity_code, int(book.codes[0])), codes)
    if book.negative_zero_code is not None:
        codes = torch.where(torch.signbit(numbers) & (codes == book.codes[torch.searchsorted(book.values, 0.0)]), book.negative_zero_code, codes)
    if isinstance(fmt, FloatFormat) and not fmt.signed:
        nan = nan | (x < 0)
    return codes if fmt.nan_code is None else torch.where(nan, fmt.nan_code, codes)


def book_steps(fmt: Format, rounding: str, overflow: str) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int, int]]:
    """Write `book_codes` of a deterministic rounding as a list: the codes in ascending order of what becomes them, and where each but the first begins.

    Returns:
        the smallest float64 that gets each code from the second on, ascending; the codes, one more; and four codes, -1 where they do not apply:
        what NaN becomes, what -0 becomes instead of 0, the code of 0, what numbers below zero become in an unsigned format.
    """
    book = book_of(fmt, torch.device("cpu"))
    ends = (float("-inf"), *book.values.tolist(), float("inf")) if overflow == "ieee" else tuple(book.values.tolist())
    low, high = (torch.tensor(side, dtype=torch.float64) for side in (ends[:-1], ends[1:]))
    beyond = {ends[0]: fmt.lowest - fmt.ulp_at_max, ends[-1]: fmt.max + fmt.ulp_at_max} if overflow == "ieee" else {}
    middle = (torch.tensor([beyond.get(value, value) for value in low.tolist()], dtype=torch.float64) + torch.tensor([beyond.get(value, value) for value in high.tolist()], dtype=torch.float64)) / 2
    after = torch.tensor(float("inf"), dtype=torch.float64)
    candidates = torch.stack([low, torch.nextafter(low, after), middle, torch.nextafter(middle, after), high])
    codes = [book_codes(points, fmt, rounding, overflow, None) for points in candidates]
    changed = torch.stack([points_codes != codes[0] for points_codes in codes[1:]])
    first = changed.to(torch.int64).argmax(dim=0)
    steps = candidates[1:].gather(0, first[None])[0]
    nan, plus, minus, below = (int(code) for code in book_codes(torch.tensor([float("nan"), 0.0, -0.0, -1.0], dtype=torch.float64), fmt, rounding, overflow, None))
    unsigned = isinstance(fmt, FloatFormat) and not fmt.signed
    special = (nan, minus if minus != plus else -1, plus, below if unsigned else -1)
    return steps[changed.any(dim=0)].numpy(), torch.cat([codes[0][:1], codes[-1][changed.any(dim=0)]]).numpy(), special


_MIRRORED = {"up": "down", "down": "up"}


def _limit(fmt: Format, infinity: int | None, largest: int | None = None) -> int:
    return next(code for code in (infinity, fmt.nan_code, fmt.max_code if largest is None else largest) if code is not None)


def _takes_upper(x, low, high, low_code, high_code, rounding, chance):
    """Which of two neighbouring values a number from `low` to `high` is rounded to: True for the upper one."""
    middle = (low + high) / 2
    outward = (high.abs() > low.abs()) | ((high.abs() == low.abs()) & (x >= 0))
    same_parity = (low_code & 1) == (high_code & 1)
    takes = {
        "half_even": lambda: (x > middle) | ((x == middle) & torch.where(same_parity, outward, (high_code & 1) == 0)),
        "half_away": lambda: (x > middle) | ((x == middle) & outward),
        "half_toward_zero": lambda: (x > middle) | ((x == middle) & ~outward),
        "toward_zero": lambda: (x > low) & torch.where((low < 0) & (high > 0), high.abs() <= low.abs(), x < 0),
        "up": lambda: x > low,
        "down": lambda: torch.zeros_like(x, dtype=torch.bool),
        "stochastic": lambda: chance < (x - low) / (high - low),
    }[rounding]()
    return takes | (x == high)


def _overflows(x, largest: float, beyond: float, largest_code: int, rounding, chance):
    """Which numbers are rounded away from the largest value to the one that would come after it."""
    inside = x.clamp(largest, beyond)
    low, high = torch.full_like(inside, largest), torch.full_like(inside, beyond)
    code = torch.full_like(inside, largest_code, dtype=torch.int64)
    if rounding in ("toward_zero", "down"):
        return torch.isposinf(x)
    return (x > largest) & _takes_upper(inside, low, high, code, code + 1, rounding, chance)
