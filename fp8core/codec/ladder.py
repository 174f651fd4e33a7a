"""Codes of formats whose codes follow from the exponent and the rounded significand: floating point and integers."""

from __future__ import annotations

import torch

from fp8core.codec.bits import exponent_of, pow2
from fp8core.formats import FloatFormat, Format, IntFormat


def is_ladder(fmt: Format) -> bool:
    """Return whether codes of the format follow from the exponent and the rounded significand."""
    return isinstance(fmt, IntFormat) or (isinstance(fmt, FloatFormat) and (fmt.gradual or not fmt.zero))


def float_codes(x, fmt: FloatFormat, rounding, overflow, chance):
    negative, infinite, nan = torch.signbit(x), torch.isinf(x), torch.isnan(x)
    magnitude = torch.where(infinite | nan, 0.0, x.abs())
    binade = exponent_of(magnitude).clamp_(fmt.emin, 1000)
    below = (binade - fmt.emin) << fmt.mantissa_bits
    parity = below if fmt.zero and not fmt.mantissa_bits else None  # with mantissa bits the significand is even where the code is
    codes = below + _round_significand(magnitude * pow2(fmt.mantissa_bits - binade), negative, rounding, chance, parity)
    if not fmt.zero:
        codes -= 1 << fmt.mantissa_bits
    over = codes > fmt.max_code
    limit = fmt.max_code if overflow == "saturate" else next(code for code in (fmt.inf_code, fmt.nan_code, fmt.max_code) if code is not None)
    codes = torch.where(infinite, limit, torch.where(over, _overflow_codes(negative, rounding, fmt.max_code, limit), codes))
    if not fmt.zero:
        codes = codes.clamp_(min=0)
        nan = nan | ((x == 0) & (overflow == "ieee"))
    if fmt.signed:
        keeps_sign = negative if fmt.negative_zero else negative & (codes != 0)
        codes = codes | (keeps_sign.to(torch.int64) * fmt.sign_code)
    elif fmt.nan_code is None:
        codes = torch.where(x < 0, 0, codes)
    else:
        nan = nan | (x < 0)
    return torch.where(nan, fmt.max_code if fmt.nan_code is None else fmt.nan_code, codes)


def _overflow_codes(negative, rounding, max_code, limit):
    """IEEE 754 section 7.4: a mode that rounds toward zero on this side of zero stops at the largest finite value."""
    stops = {"toward_zero": torch.ones_like(negative), "up": negative, "down": ~negative}.get(rounding)
    return limit if stops is None else torch.where(stops, max_code, limit)


def int_codes(x, fmt: IntFormat, rounding, overflow, chance):
    negative = torch.signbit(x)
    steps = torch.nan_to_num(x, nan=0.0).abs().clamp_(max=4.0 * fmt.max) / fmt.step
    significand = _round_significand(steps, negative, rounding, chance)
    whole = torch.where(negative, -significand, significand).clamp_(-fmt.max_code - 1, fmt.max_code)
    return whole & ((1 << fmt.bits) - 1)


def _round_significand(scaled, negative, rounding, chance, parity=None):
    """Round non-negative float64 numbers to integers -> int64; `negative` is the sign that the directed modes look at.

    `parity` is added before a tie asks for an even number; `chance` is what stochastic rounding compares with.
    """
    if rounding == "half_even" and parity is None:
        return torch.round(scaled).to(torch.int64)
    whole = torch.floor(scaled)
    rest = scaled - whole
    goes_up = {
        "half_even": lambda: (rest > 0.5) | ((rest == 0.5) & ((parity + whole.to(torch.int64)) & 1 == 1)),
        "half_away": lambda: rest >= 0.5,
        "half_toward_zero": lambda: rest > 0.5,
        "toward_zero": lambda: torch.zeros_like(negative),
        "up": lambda: (rest > 0) & ~negative,
        "down": lambda: (rest > 0) & negative,
        "stochastic": lambda: chance < rest,
    }[rounding]()
    return whole.to(torch.int64) + goes_up
