"""The roofline: how fast a product can be at most, by what it computes and what it has to read and write; and why it was as fast as it was."""

from __future__ import annotations

import math

from fp8core.bench.devices import DeviceProfile
from fp8core.bench.record import BenchResult
from fp8core.formats import FloatFormat, IntFormat
from fp8core.recipes import Recipe, parse_recipe

RESULT_BYTES = 4  # of one number of the product
_FP8 = ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz")
_WIDE = ("bfloat16", "float16", "tfloat32", "float32")
_SHORT_MS = 0.02  # below which starting the work takes as long as the work
_NEAR = 0.05  # ratios closer to 1 are not told apart


def nbytes(recipe: str | Recipe, m: int, n: int, k: int) -> float:
    """Bytes of a product (m, k) · (k, n): both matrices as stored, scales included, read once, and a float32 result written once.

    >>> nbytes("mxfp4", 64, 64, 64)
    20736
    """
    recipe = parse_recipe(recipe)
    return sum(recipe.nbytes(rows * k, _blocks(recipe, rows, k)) for rows in (m, n)) + RESULT_BYTES * m * n


def intensity(recipe: str | Recipe, m: int, n: int, k: int) -> float:
    """Operations per byte: 2·m·n·k over `nbytes`."""
    return 2 * m * n * k / nbytes(recipe, m, n, k)


def operand_of(recipe: str | Recipe, profile: DeviceProfile) -> str | None:
    """Return the fastest unit of a device that takes the values of a format exactly; None where it has none.

    >>> from fp8core.bench.devices import DEVICES
    >>> operand_of("mxfp4", DEVICES["b200"]), operand_of("mxfp4", DEVICES["h100"]), operand_of("mxfp4", DEVICES["a100"])
    ('float4', 'float8', 'bfloat16')
    """
    fmt = parse_recipe(recipe).fmt
    if fmt.name in _WIDE:
        takes = _WIDE[_WIDE.index(fmt.name) :] if fmt.name != "bfloat16" else ("bfloat16", "float32")
    elif isinstance(fmt, IntFormat):
        takes = ("int8", "bfloat16", "float32") if fmt.bits <= 8 else ("float32",)
    else:
        in_fp8 = fmt.name in _FP8 or (isinstance(fmt, FloatFormat) and fmt.bits <= 6 and fmt.exponent_bits <= 4 and fmt.mantissa_bits <= 3)
        takes = (*(("float4",) if fmt.name == "e2m1fn" else ()), *(("float8",) if in_fp8 else ()), *(("bfloat16",) if fmt.bits <= 8 else ()), "float32")
    have = [operand for operand in takes if profile.peak(operand) is not None]
    return max(have, key=profile.peak, default=None)


def attainable_tflops(profile: DeviceProfile, operand: str, flop_per_byte: float) -> float:
    """What a device can do at most: its peak, or what its memory can feed.

    Raises:
        ValueError: the device has no unit for that operand.
    """
    peak = profile.peak(operand)
    if peak is None:
        raise ValueError(f"{profile.name} has no unit for {operand}: it has {', '.join(name for name, _ in profile.tflops)}")
    return min(peak, flop_per_byte * profile.gb_per_s / 1e3)


def ridge(profile: DeviceProfile, operand: str) -> float:
    """Operations per byte from which on the units and not the memory are the limit.

    Raises:
        ValueError: as `attainable_tflops`.
    """
    return attainable_tflops(profile, operand, math.inf) / profile.gb_per_s * 1e3


def modelled_ms(profile: DeviceProfile, recipe: str | Recipe, m: int, n: int, k: int) -> float | None:
    """The least time of a product on a device, with the unit that `operand_of` names; None where it has none."""
    operand = operand_of(recipe, profile)
    return None if operand is None else 2 * m * n * k / attainable_tflops(profile, operand, intensity(recipe, m, n, k)) / 1e9


def why(result: BenchResult, baseline: BenchResult) -> str:
    """Say in one sentence why a product was faster or slower than that of BF16 in the same run, from both records.

    Args:
        baseline: the BF16 product of the same size.
    """
    name, case = parse_recipe(result.case.recipe).title or result.case.recipe, result.case
    if result.refusal or baseline.refusal:
        return f"{name}: there is nothing to compare, because {result.refusal or baseline.refusal}."
    times = baseline.product_ms.median / result.product_ms.median
    saved = nbytes(baseline.case.recipe, case.m, case.n, case.k) / nbytes(result.case.recipe, case.m, case.n, case.k)
    quantizing = (result.quantize_a_ms.median + result.quantize_b_ms.median) / result.end_to_end_ms.median
    limited = result.peak_tflops is not None and intensity(result.case.recipe, case.m, case.n, case.k) < result.peak_tflops / result.peak_gb_per_s * 1e3
    faster, slower = times > 1 + _NEAR, times < 1 - _NEAR
    verdict = f"was {times:.2g} times faster than BF16" if faster else f"took {1 / times:.2g} times as long as BF16" if slower else "was as fast as BF16"
    if result.kind == "emulated" and slower:
        reason = "because this processor does not multiply the format itself, and turning the numbers into a wider format takes longer than their fewer bytes save"
    elif result.kind == "emulated" and faster:
        reason = f"although this processor does not multiply the format itself, because {saved:.2g} times fewer bytes were moved" if limited else "although this processor does not multiply the format itself: what was compared with it is slow here"
    elif result.kind == "emulated":
        reason = "because this processor does not multiply the format itself, so that what fewer bytes save goes into turning the numbers into a wider format"
    elif faster and quantizing > 0.5:
        reason = f"the product alone, but quantizing both matrices took {quantizing:.0%} of the whole time, which a program pays for activations at every step"
    elif faster:
        reason = f"because {saved:.2g} times fewer bytes were moved, and with so few operations per byte that is what takes the time" if limited else "because this processor multiplies the format itself, more numbers at a time"
    elif result.product_ms.median < _SHORT_MS:
        reason = f"because {1e3 * result.product_ms.median:.0f} µs are too short for the units to be the limit: starting the work takes as long"
    elif limited:
        reason = "because with so few operations per byte the memory is the limit, and the float32 result is as large for every format"
    else:
        reason = "although this processor multiplies the format itself: its kernel does not reach the speed of that of BF16 at this size"
    return f"{name} {verdict}, {reason}." if not reason.startswith("the product alone") else f"{name} {verdict} in {reason}."


def _blocks(recipe: Recipe, rows: int, columns: int) -> int:
    """How many scales a matrix has."""
    if recipe.scaling is None:
        return 0
    high, wide = (side or whole for side, whole in zip(recipe.scaling.block, (rows, columns), strict=True))
    return -(-rows // high) * -(-columns // wide)
