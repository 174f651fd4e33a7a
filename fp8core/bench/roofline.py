"""The roofline: how fast a product could be at most, and in a sentence why a measured one was faster or slower than BF16.

A product takes at least the time of its multiplications at the peak of the units, and at least the time of its bytes at the peak of the memory; the
longer of the two is the model. Which one it is follows from the intensity, operations per byte: below the ridge the memory, above it the units.
Modelled times are bounds: nothing here is measured, and no real product reaches them.
"""

from __future__ import annotations

import math

from fp8core import gemm
from fp8core.bench.devices import DeviceProfile
from fp8core.bench.peaks import Peaks
from fp8core.bench.record import BenchResult
from fp8core.formats import IntFormat
from fp8core.recipes import Recipe, parse_recipe
from fp8core.scaling import sides

OPERAND_TITLES = {"float32": "FP32", "tfloat32": "TF32", "bfloat16": "BF16", "float16": "FP16", "int8": "INT8", "float8": "FP8", "float4": "FP4"}
OPERAND_BITS = {"float32": 32, "tfloat32": 19, "bfloat16": 16, "float16": 16, "int8": 8, "float8": 8, "float4": 4}

SMALL_PRODUCT_MS = 0.02  # less than this is mostly the start of the work
SMALL_SIDE = 64  # with such a side BF16 does at most 64 operations for each byte, and GPUs wait for memory
SAME = 0.05  # speeds closer than this are called the same

# Units that multiply a format without rounding its values, narrowest first. Every value of FP4 and FP6 is one of E4M3. FP8 units take OCP's formats or FNUZ:
# OCP's numbers are FNUZ numbers at half the value, which is a scale; the other way round the largest code is left over (480 in E4M3 is NaN).
_FP8_UNITS = ("float8", "bfloat16", "float32")
_UNITS = {
    "e2m1fn": ("float4", *_FP8_UNITS),
    **dict.fromkeys(("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e2m3fn", "e3m2fn"), _FP8_UNITS),
    "bfloat16": ("bfloat16", "float32"),
    "float16": ("float16", "float32"),
    "tfloat32": ("tfloat32", "float32"),
}
_INT_UNITS = ("int8", "bfloat16", "float32")
_NARROW_UNITS, _WIDE_UNITS = ("bfloat16", "float32"), ("float32",)


def nbytes(recipe: str | Recipe, m: int, n: int, k: int, *, result_bytes: float = 4.0) -> float:
    """Return the bytes that a product moves at least: A (m, k) and B (k, n) read as stored, codes packed and scales, the result written.

    Blocks of the recipe lie along K in both.

    Args:
        result_bytes: of one number of the result; 4 for float32, 2 for BF16.

    Raises:
        ValueError: a side that is not a whole number of at least 1.

    >>> nbytes("tensor_e4m3", 64, 48, 96) == 64 * 96 + 4 + 96 * 48 + 4 + 4 * 64 * 48
    True
    """
    recipe = parse_recipe(recipe)
    for name, side in (("m", m), ("n", n), ("k", k)):
        if not isinstance(side, int) or side < 1:
            raise ValueError(f"{name} = {side!r}: it is a whole number of at least 1")
    return sum(recipe.nbytes(rows * k, _blocks(recipe, rows, k)) for rows in (m, n)) + result_bytes * m * n


def intensity(recipe: str | Recipe, m: int, n: int, k: int, *, result_bytes: float = 4.0) -> float:
    """Return the operations per byte of a product: 2·m·n·k over `nbytes`, in FLOP per byte."""
    return 2 * m * n * k / nbytes(recipe, m, n, k, result_bytes=result_bytes)


def ridge(profile: DeviceProfile, operand: str) -> float:
    """Return the intensity in FLOP per byte from which on the units are the limit and no longer the memory."""
    return profile.peak(operand) * 1e3 / profile.gb_per_s


def attainable_tflops(profile: DeviceProfile, operand: str, intensity: float) -> float:
    """Return the most that a product of this intensity could reach, in TFLOP/s: the peak of the units, or what the memory feeds them.

    >>> from fp8core.bench.devices import DEVICES
    >>> attainable_tflops(DEVICES["H100 SXM"], "float8", 100.0), attainable_tflops(DEVICES["H100 SXM"], "float8", 1000.0)
    (335.0, 1979.0)
    """
    return min(profile.peak(operand), intensity * profile.gb_per_s / 1e3)


def modelled_ms(profile: DeviceProfile, operand: str, recipe: str | Recipe, m: int, n: int, k: int, *, result_bytes: float = 4.0) -> float:
    """Return the least time of a product in milliseconds: modelled, never measured."""
    return 2 * m * n * k / attainable_tflops(profile, operand, intensity(recipe, m, n, k, result_bytes=result_bytes)) / 1e9


def operand_of(recipe: str | Recipe, profile: DeviceProfile) -> str:
    """Return the narrowest operand of a device that takes every value of the recipe's format; codes are converted to it where it is not the format itself.

    Formats of at most 8 bits without units of their own go to BF16, which holds all their values; those of NF4, quantiles, are rounded to it. Whether the
    units apply the recipe's scales themselves is not looked at: a bound does not count that work.

    Raises:
        ValueError: the device has a figure for none of them.

    >>> from fp8core.bench.devices import DEVICES
    >>> [operand_of("nvfp4", DEVICES[name]) for name in ("B200", "H100 SXM", "A100 SXM 80GB")]
    ['float4', 'float8', 'bfloat16']
    """
    recipe = parse_recipe(recipe)
    units = _units(recipe)
    for operand in units:
        if operand in profile.operands:
            return operand
    raise ValueError(f"recipe {recipe.name!r} needs units for {' or '.join(units)}: the source of {profile.name} gives {', '.join(profile.operands)} only")


def why(result: BenchResult, baseline: BenchResult | None, peaks: Peaks | None = None) -> str:
    """Say in one sentence why a measured product was faster or slower than BF16 in the same run.

    Args:
        baseline: the record of recipe bfloat16 of the same size; None where the run has none.
        peaks: what this machine reaches; without them it is not said that memory is the limit of a product that is large on every side.

    Raises:
        ValueError: the baseline is another recipe or of another size.
    """
    title = parse_recipe(result.case.recipe).fmt.title
    if result.refusal or result.product_ms is None:
        return f"{title} was not measured: {result.refusal.rstrip('.') or 'there is no time'}."
    if baseline is None or baseline.product_ms is None:
        return f"There is no time of BF16 of this size in this run that {title} could be compared with."
    if baseline.case.recipe != "bfloat16" or baseline.case.shape != result.case.shape:
        raise ValueError(f"baseline {baseline.case.recipe!r} of shape {baseline.case.shape}: it is 'bfloat16' of shape {result.case.shape}")
    if result.case.recipe == baseline.case.recipe:
        return f"This is {title} itself, with which the others are compared."
    speed = baseline.product_ms.median / result.product_ms.median
    if result.kind == "emulated":
        return _why_emulated(result, baseline, speed, peaks)
    return _why_native(result, baseline, speed, peaks)


def _why_emulated(result: BenchResult, baseline: BenchResult, speed: float, peaks: Peaks | None) -> str:
    recipe, case, backend = parse_recipe(result.case.recipe), result.case, gemm.BACKENDS.get(result.kernel)
    unit = OPERAND_TITLES[_operand(result)]
    if backend is not None and backend.dequantizes:
        cause = f"The kernel {result.kernel} converts {recipe.fmt.title} to {unit} before it multiplies"
    else:
        cause = f"This {_processor(result)} has no {unit} units, so that {recipe.fmt.title} is converted to wider numbers first"
    if speed < 1 + SAME:
        return f"{cause}: {_compared(speed)}."
    share = _case_bytes(result) / _case_bytes(baseline)
    if share < 1 and _waits_for_memory(baseline, 1.0, peaks):
        return f"{cause}, and yet it is {_compared(speed)}: with a side of only {min(case.shape)} the time goes into moving numbers, and there are {_percent(share)} of the bytes to read and write."
    if baseline.kind == "emulated":
        return f"{cause}, but so is BF16 here, and at greater cost: {_compared(speed)}."
    return f"{cause}, and yet it is {_compared(speed)}, which neither its units nor its bytes explain; the BF16 kernel may be slow at this size."


def _why_native(result: BenchResult, baseline: BenchResult, speed: float, peaks: Peaks | None) -> str:
    fmt, operand, processor = parse_recipe(result.case.recipe).fmt, _operand(result), _processor(result)
    own = f"{fmt.title} on the {OPERAND_TITLES[operand]} units of this {processor}"
    faster = speed >= 1 + SAME
    if faster and baseline.kind == "emulated":
        return f"This {processor} multiplies {fmt.title} itself, while BF16 is converted to wider numbers first: {_compared(speed)}."
    if fmt.bits >= 16:
        width = "has 16 bits as BF16 has, so that neither bytes nor work are saved" if fmt.bits == 16 else f"has {fmt.bits} bits where BF16 has 16: more bytes and wider units"
        return f"{fmt.title} {width}; it {_takes(speed)}."
    if faster and (share := _quantizing_share(result, baseline)) is not None:
        return f"{own} makes the product alone {_compared(speed)}; quantizing both matrices takes {_percent(share)} of the time, which a program pays for every new matrix, for weights only once."
    rate = OPERAND_BITS["bfloat16"] / OPERAND_BITS[operand]
    if faster:
        ideal, limit = _ideal(result, baseline, rate, peaks)
        return f"{own} is {_compared(speed)}, {_percent(speed / ideal)} of the {ideal:.1f} times that {limit} would allow."
    return f"{own} {_takes(speed)}: {_why_nothing_gained(result, speed, rate, peaks)}."


def _why_nothing_gained(result: BenchResult, speed: float, rate: float, peaks: Peaks | None) -> str:
    case, product_ms = result.case, result.product_ms.median
    if product_ms < SMALL_PRODUCT_MS:
        return f"the product takes {product_ms * 1e3:.0f} µs, too small to fill the machine"
    waits, written = _waits_for_memory(result, rate, peaks), 4 * case.m * case.n / _case_bytes(result)
    if waits and written >= 0.5 and speed > 1 - SAME:
        return f"memory is the limit, and {_percent(written)} of the bytes are the FP32 result, which no format makes smaller"
    if peaks is None:
        return f"the kernel {result.kernel} makes poor use of the units at this size"
    if waits:
        return f"memory is the limit, and the kernel {result.kernel} moves {_case_bytes(result) / product_ms / 1e6:.0f} of the {peaks.gb_per_s:.0f} GB/s that this memory reaches"
    return f"the kernel {result.kernel} reaches {2 * math.prod(case.shape) / product_ms / 1e9:.3g} TFLOP/s where such units could reach {rate * peaks.tflops:.3g}"


def _blocks(recipe: Recipe, rows: int, columns: int) -> int:
    if recipe.scaling is None:
        return 0
    return math.prod(-(-length // side) for length, side in zip((rows, columns), sides((rows, columns), recipe.scaling.block), strict=True))


def _units(recipe: Recipe) -> tuple[str, ...]:
    narrow = recipe.fmt.bits <= 8
    other = _INT_UNITS if narrow and isinstance(recipe.fmt, IntFormat) else _NARROW_UNITS if narrow else _WIDE_UNITS
    return _UNITS.get(recipe.format, other)


def _operand(result: BenchResult) -> str:
    """What the kernel multiplies; of a kernel that is not known any more, the narrowest that takes the format."""
    backend = gemm.BACKENDS.get(result.kernel)
    return _units(parse_recipe(result.case.recipe))[0] if backend is None else backend.operand


def _processor(result: BenchResult) -> str:
    return "GPU" if result.device.startswith("cuda") else "processor"


def _case_bytes(result: BenchResult) -> float:
    return nbytes(result.case.recipe, result.case.m, result.case.n, result.case.k)


def _waits_for_memory(result: BenchResult, rate: float, peaks: Peaks | None) -> bool:
    """Whether the product is below the ridge of units that are `rate` times as quick as those of BF16; without peaks, whether a side is small."""
    if peaks is None:
        return min(result.case.shape) <= SMALL_SIDE
    return intensity(result.case.recipe, result.case.m, result.case.n, result.case.k) < rate * peaks.tflops * 1e3 / peaks.gb_per_s


def _ideal(result: BenchResult, baseline: BenchResult, rate: float, peaks: Peaks | None) -> tuple[float, str]:
    """How many times as fast as BF16 the product could be, and what sets that."""
    units = f"units for {OPERAND_BITS['bfloat16'] / rate:.0f} bits in place of 16"
    if peaks is None:
        return rate, units
    work_ms = 2 * math.prod(result.case.shape) / peaks.tflops / 1e9
    least_ms = max(work_ms, _case_bytes(baseline) / peaks.gb_per_s / 1e6)
    memory_ms = _case_bytes(result) / peaks.gb_per_s / 1e6
    return least_ms / max(work_ms / rate, memory_ms), "memory traffic" if memory_ms > work_ms / rate else units


def _quantizing_share(result: BenchResult, baseline: BenchResult) -> float | None:
    """The share of the whole time that quantizing takes, where it is more than the product saves; else None."""
    if result.quantize_a_ms is None or result.quantize_b_ms is None:
        return None
    quantizing_ms, product_ms = result.quantize_a_ms.median + result.quantize_b_ms.median, result.product_ms.median
    return quantizing_ms / (quantizing_ms + product_ms) if quantizing_ms > baseline.product_ms.median - product_ms else None


def _compared(speed: float) -> str:
    if 1 - SAME < speed < 1 + SAME:
        return "as fast as BF16"
    return f"{speed:.1f} times as fast as BF16" if speed > 1 else f"{1 / speed:.1f} times the time of BF16"


def _takes(speed: float) -> str:
    return f"{'takes' if speed <= 1 - SAME else 'is'} {_compared(speed)}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
