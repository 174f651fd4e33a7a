"""Known differences between ours and an oracle, as data: where exactly, what each gives, and why ours stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fp8core.codec import exponent_of
from fp8core.formats import FloatFormat, Format
from fp8core.recipes import Recipe
from fp8core.rules.base import ceil_log2
from fp8core.scaling import expand, to_blocks


@dataclass(frozen=True)
class Divergence:
    """A difference that is intended.

    Args:
        key: a short name.
        oracles: keys of `ORACLES`.
        where, ours, theirs: in words, for people.
        reason: why ours is as it is.
        source: what says so.
        applies: (format or recipe) -> whether it has the difference.
        region: for a format (numbers, format, rounding, overflow), for a recipe (matrix, recipe) -> which numbers, or elements, may differ.
        described: for a format (numbers, what the oracle gave, format), for a recipe ((matrix, our elements, our scale of each element),
            (their elements, their scale of each element), recipe) -> whether that is what `theirs` says. What differs otherwise is a mismatch.
    """

    key: str
    oracles: tuple[str, ...]
    where: str
    ours: str
    theirs: str
    reason: str
    source: str
    applies: Callable[..., bool]
    region: Callable[..., np.ndarray]
    described: Callable[..., np.ndarray]


def _is_nan(x, fmt: Format, rounding: str, overflow: str) -> np.ndarray:
    return np.isnan(x)


def _is_negative(x, fmt: Format, rounding: str, overflow: str) -> np.ndarray:
    return x < 0


def _below_the_smallest_normal(x, fmt: Format, rounding: str, overflow: str) -> np.ndarray:
    return (x != 0) & (np.abs(x) < fmt.min_normal) & (fmt.signed | (x > 0))


def _is_tie_of_powers(x, fmt: Format, rounding: str, overflow: str) -> np.ndarray:
    """1.5 · 2^k with k + bias even: the code below is the even one."""
    significand, exponent = np.frexp(np.where(np.isfinite(x), x, 0.0))
    inside = (x > fmt.min_positive) & ((x < fmt.max) | (overflow == "ieee"))
    return inside & (significand == 0.75) & ((exponent - 1 + fmt.bias) % 2 == 0) & (rounding == "half_even")


FORMAT_DIVERGENCES: tuple[Divergence, ...] = (
    Divergence(
        "E8M0 of float32 subnormals", ("ml_dtypes", "torch"), "e8m0fnu, 2^-127 < x < 1.5 · 2^-127", "2^-127, which is nearer", "2^-126",
        "the two libraries look at the float32 bits as though the number were normal", "OCP MX v1.0: E8M0 holds 2^-127, and rounding is to nearest",
        lambda fmt: fmt.name == "e8m0fnu", lambda x, fmt, rounding, overflow: (x > 2.0**-127) & (x < 1.5 * 2.0**-127), lambda x, got, fmt: got == 2.0**-126,
    ),
    Divergence(
        "sign of a number in E8M0", ("torch",), "e8m0fnu, x < 0", "NaN: there is no sign bit", "the power of two nearest to |x|",
        "a scale that lost its sign would be wrong without a trace", "OCP MX v1.0: E8M0 is unsigned",
        lambda fmt: fmt.name == "e8m0fnu", lambda x, fmt, rounding, overflow: (x < 0) & (x > -1.5 * 2.0**127), lambda x, got, fmt: (got > 0) & np.isfinite(got),
    ),
    Divergence(
        "zero in E8M0", ("torch",), "e8m0fnu, x = ±0, overflow ieee", "NaN: there is no zero", "2^-127",
        "torch saturates at the lower end and not at the upper; ours does one or the other throughout", "OCP MX v1.0: E8M0 has no zero",
        lambda fmt: fmt.name == "e8m0fnu", lambda x, fmt, rounding, overflow: x == 0, lambda x, got, fmt: got == 2.0**-127,
    ),
    Divergence(
        "overflow of E4M3", ("torch",), "e4m3fn, |x| > 464, overflow ieee", "NaN", "±448, for infinity too",
        "OFP8 leaves the choice open; ours has both, named saturate and ieee, and torch has changed between releases", "OCP OFP8 v1.0",
        lambda fmt: fmt.name == "e4m3fn", lambda x, fmt, rounding, overflow: np.abs(x) > 464, lambda x, got, fmt: np.abs(got) == 448,
    ),
    Divergence(
        "NaN where there is none", ("ml_dtypes",), "e2m1fn, e2m3fn, e3m2fn, x = NaN", "the largest value", "-0",
        "NVIDIA's conversion instructions give the largest value; zero would hide the NaN", "NVIDIA PTX ISA, cvt to e2m1x2, e2m3x2, e3m2x2",
        lambda fmt: isinstance(fmt, FloatFormat) and fmt.nan_code is None, _is_nan, lambda x, got, fmt: got == 0,
    ),
    Divergence(
        "NaN where there is none", ("en_dtypes",), "e1m2b1fn, e2m1fn, e2m3fn, e3m2fn, x = NaN", "the largest value", "0",
        "NVIDIA's conversion instructions give the largest value; zero would hide the NaN", "NVIDIA PTX ISA, cvt to e2m1x2, e2m3x2, e3m2x2",
        lambda fmt: isinstance(fmt, FloatFormat) and fmt.nan_code is None, _is_nan, lambda x, got, fmt: got == 0,
    ),
    Divergence(
        "NaN where there is none", ("gfloat",), "formats without NaN, x = NaN", "the largest value; 0 for integers", "NaN, which the format does not have",
        "a result of rounding is a value of the format", "NVIDIA PTX ISA, cvt to e2m1x2, e2m3x2, e3m2x2",
        lambda fmt: fmt.nan_code is None, _is_nan, lambda x, got, fmt: np.isnan(got),
    ),
    Divergence(
        "negative numbers without a sign bit", ("gfloat",), "unsigned formats, x < 0", "NaN; 0 where there is no NaN", "0 or a negative number, which the format does not have",
        "a result of rounding is a value of the format", "ml_dtypes gives NaN as ours does",
        lambda fmt: not fmt.signed, _is_negative, lambda x, got, fmt: got <= 0,
    ),
    Divergence(
        "ties of powers of two", ("gfloat",), "e8m0fnu, x = 1.5 · 2^k with k odd, half_even", "the larger power", "the power whose code is even",
        "there is no mantissa whose last bit could be even; ml_dtypes and torch go up", "ml_dtypes 0.6.0 and torch 2.13.0",
        lambda fmt: fmt.name == "e8m0fnu", _is_tie_of_powers, lambda x, got, fmt: got == x / 1.5,
    ),
    Divergence(
        "below the smallest normal number", ("gfloat",), "e8m0fnu and formats without subnormals, 0 < |x| < min normal", "the smallest number, or 0", "goes on as though the exponent had no end, with values that the format does not have",
        "a result of rounding is a value of the format", "gfloat decodes these formats and does not round into them",
        lambda fmt: isinstance(fmt, FloatFormat) and not fmt.gradual, _below_the_smallest_normal, lambda x, got, fmt: np.abs(got) <= fmt.min_normal,
    ),
    Divergence(
        "the largest number of formats that have subnormals only", ("gfloat",), "formats like e1m6 whose exponent field 1 is all infinity and NaN, |x| > max", "the largest value of the code table, as decoding gives it", "2 - 2^-m where the table ends at 2 - 2^(1-m), which the format does not have",
        "a result of rounding is a value of the format", "gfloat 0.5.2, FormatInfo.max: it counts field 0 as a normal binade; its own decode_ndarray agrees with ours",
        lambda fmt: isinstance(fmt, FloatFormat) and fmt.zero and fmt.max_code < 1 << fmt.mantissa_bits, lambda x, fmt, rounding, overflow: np.abs(x) > fmt.max, lambda x, got, fmt: (np.abs(got) > fmt.max) & np.isfinite(got),
    ),
    Divergence(
        "zero in E8M0", ("gfloat",), "e8m0fnu, x = ±0", "NaN, or the smallest number where it saturates", "0, which the format does not have",
        "a result of rounding is a value of the format", "OCP MX v1.0: E8M0 has no zero",
        lambda fmt: not fmt.zero, lambda x, fmt, rounding, overflow: x == 0, lambda x, got, fmt: got == 0,
    ),
)  # fmt: skip


# ---- recipes


def _per_block(x: np.ndarray, recipe: Recipe, says: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
    """What `says` makes of the amax of each block, over its elements -> bool (R, C)."""
    largest = to_blocks(torch.from_numpy(x), recipe.scaling.block).abs().amax(dim=(1, 3))  # NaN above all
    return expand(says(largest), x.shape, recipe.scaling.block).numpy()


def _not_finite(x: np.ndarray, recipe: Recipe) -> np.ndarray:
    return _per_block(x, recipe, lambda largest: ~largest.isfinite())


def _infinite(x: np.ndarray, recipe: Recipe) -> np.ndarray:
    return np.isinf(x)


def _log2_rounds_down(x: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Blocks whose amax / max lies so little above a power of two that its float32 logarithm is that power's."""

    def says(largest: torch.Tensor) -> torch.Tensor:
        quotient = largest / recipe.fmt.max
        return quotient.isfinite() & (quotient > 0) & (torch.ceil(torch.log2(quotient)).to(torch.int64) < ceil_log2(torch.where(quotient > 0, quotient, 1.0)))

    return _per_block(x, recipe, says)


def _log2_rounds_up(x: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Blocks whose max / amax lies so little below a power of two that its float32 logarithm is that power's."""

    def says(largest: torch.Tensor) -> torch.Tensor:
        quotient = (recipe.fmt.max / largest.double().clamp(min=1e-12)).float()
        return quotient.isfinite() & (torch.floor(torch.log2(quotient)).to(torch.int64) > exponent_of(quotient.double()))

    return _per_block(x, recipe, says)


def _half_the_scale(ours, theirs, recipe: Recipe) -> np.ndarray:
    return theirs[1] == ours[2] / 2


def _rounds_up_to_infinity(x: np.ndarray, recipe: Recipe) -> np.ndarray:
    threshold = 2.0 - 2.0 ** -(4 if recipe.format == "e2m3fn" else 2)
    return _per_block(x, recipe, lambda largest: largest.isfinite() & (largest >= threshold * 2.0**127))


def _vanishes(x: np.ndarray, recipe: Recipe) -> np.ndarray:
    return np.signbit(x) & (np.abs(x) <= 2.0**-100 * np.abs(x).max())


def _next_to_a_midpoint(x: np.ndarray, recipe: Recipe) -> np.ndarray:
    values = recipe.fmt.finite_values
    middle = (values[1:] + values[:-1]) / 2
    largest = to_blocks(torch.from_numpy(x), recipe.scaling.block).abs().amax(dim=(1, 3))
    quotient = x * expand(1.0 / largest.clamp(min=1e-38), x.shape, recipe.scaling.block).numpy()
    nearest = middle[np.argmin(np.abs(quotient[..., None].astype(np.float64) - middle), axis=-1)]
    return np.abs(quotient - nearest) <= np.spacing(np.abs(quotient))


def _times_an_infinite_reciprocal(x: np.ndarray, recipe: Recipe) -> np.ndarray:
    whole = np.float32(np.abs(x).max() / np.float32(2688.0))
    return (x == 0) & np.isinf(np.float32(1.0) / whole)


_BITS = "exponents are read from the bits: the formula as it is written, and as the kernels of NVIDIA's GPUs do it"

# A region is made of elements; where it covers a whole block, the block's scale belongs to it.
RECIPE_DIVERGENCES: tuple[Divergence, ...] = (
    Divergence(
        "infinity and NaN in a block", ("gfloat",), "blocks with an infinity or a NaN", "they are left out of amax; where the elements have no NaN, one makes the scale NaN", "they enter amax: the scale is 2^127 or NaN",
        "one infinity would take all precision from the 31 numbers beside it; the recipes that follow a library do as it does", "OCP MX v1.0, section 6.3 leaves it to the implementation",
        lambda recipe: True, _not_finite, lambda ours, theirs, recipe: (theirs[1] == 2.0**127) | np.isnan(theirs[1]),
    ),
    Divergence(
        "logarithm just above a power of two", ("torchao", "modelopt"), "blocks whose amax / max is a few float32 steps above 2^k, where ⌈log2⌉ in float32 gives k", "scale 2^(k + 1), the smallest power that does not clip", "scale 2^k: the largest number is clipped",
        _BITS, "torchao 0.18.0 mx_tensor.py, _to_mx_rceil in eager mode; Model Optimizer 0.47.0 mxfp8_tensor.py and mxfp4_tensor.py",
        lambda recipe: recipe.scaling.rule in ("torchao_rceil", "modelopt_mxfp8", "modelopt_mxfp4"), _log2_rounds_down, _half_the_scale,
    ),
    Divergence(
        "logarithm just below a power of two", ("torchao",), "rows whose 448 / amax is a few float32 steps below 2^k, where ⌊log2⌋ in float32 gives k", "encode scale 2^(k - 1)", "encode scale 2^k: the largest number is clipped",
        _BITS, "torchao 0.18.0 float8_utils.py, _round_scale_down_to_power_of_2",
        lambda recipe: recipe.scaling.rule == "torchao_training_pow2", _log2_rounds_up, _half_the_scale,
    ),
    Divergence(
        "NaN in FP4", ("torchao",), "elements that are 0 in tensors whose amax / 2688 is so small that its reciprocal is infinite: 0 · infinity is NaN", "the largest value, times a scale of 0", "some bits of the NaN, times a scale of 0",
        "both decode to 0 or NaN alike; what code a NaN leaves in a format without NaN is nobody's rule", "torchao 0.18.0 nvfp4_tensor.py, nvfp4_quantize",
        lambda recipe: recipe.name == "torchao_nvfp4", _times_an_infinite_reciprocal, lambda ours, theirs, recipe: same_scale(ours[2], theirs[1]),
    ),
    Divergence(
        "infinity in NF4", ("bitsandbytes",), "elements that are infinite, whose quotient by the infinite amax is NaN", "0, the value nearest to nothing", "1, the last value of the table",
        "both decode to NaN or infinity, so that the loss is seen", "bitsandbytes 0.50.2 backends/default/ops.py: bucketize puts NaN last",
        lambda recipe: recipe.format == "nf4", _infinite, lambda ours, theirs, recipe: theirs[0] == 1,
    ),
    Divergence(
        "thresholds of NF4", ("bitsandbytes",), "elements whose x · (1 / amax) is at most one float32 step from the middle of two values", "the nearer value; a tie goes to the even code", "thresholds rounded to float32; a tie goes down",
        "the middle of two float32 values is not a float32; ours compares with the middle itself", "bitsandbytes 0.50.2 backends/default/ops.py, _get_4bit_quantize_bounds",
        lambda recipe: recipe.format == "nf4", _next_to_a_midpoint, lambda ours, theirs, recipe: np.abs(np.searchsorted(recipe.fmt.finite_values, ours[1]) - np.searchsorted(recipe.fmt.finite_values, theirs[0])) == 1,
    ),
    Divergence(
        "infinity and NaN in an MX block", ("compressed-tensors",), "blocks with an infinity or a NaN", "the scale is E8M0's NaN: the block is lost, and that is seen", "an infinite scale for infinity, 2^-127 for NaN, whose conversion to uint8 C++ leaves undefined",
        "code 255 of E8M0 is NaN", "OCP MX v1.0; compressed-tensors 0.20.0 mxfp_utils.py, maybe_convert_from_mx_exp",
        lambda recipe: recipe.scaling.rule == "compressed_tensors_mx", _not_finite, lambda ours, theirs, recipe: np.isnan(ours[2]) & (np.isinf(theirs[1]) | (theirs[1] == 2.0**-127)),
    ),
    Divergence(
        "largest blocks of MX", ("compressed-tensors",), "blocks whose amax is finite and rounds up to 2^128", "scale 2^(128 - emax)", "an infinite scale: the block becomes 0 · infinity",
        "the scale that the formula gives is a number of E8M0", "compressed-tensors 0.20.0 mxfp_utils.py, round_to_power_2 in float32",
        lambda recipe: recipe.scaling.rule == "compressed_tensors_mx", _rounds_up_to_infinity, lambda ours, theirs, recipe: np.isfinite(ours[2]) & np.isinf(theirs[1]),
    ),
    Divergence(
        "infinity and NaN in MXFP4", ("modelopt",), "blocks with an infinity or a NaN", "scale 2^127 for infinity, NaN for NaN", "2^-127: C++ leaves the conversion of infinity and NaN to uint8 undefined",
        "a loss is to be seen", "Model Optimizer 0.47.0 mxfp4_tensor.py, quantize",
        lambda recipe: recipe.name == "modelopt_mxfp4", _not_finite, lambda ours, theirs, recipe: theirs[1] == 2.0**-127,
    ),
    Divergence(
        "sign of zero", ("compressed-tensors",), "negative elements of which nothing is left in the float32 quotient, -0 among them", "-0", "0: FP4 is rounded by thresholds on magnitudes, then multiplied with the sign of the quotient",
        "equal as numbers", "compressed-tensors 0.20.0 fp4_utils.py",
        lambda recipe: recipe.format == "e2m1fn", _vanishes, lambda ours, theirs, recipe: (ours[1] == 0) & (theirs[0] == 0),
    ),
    Divergence(
        "sign of zero", ("modelopt",), "elements that are 0", "0", "-0: its sign bit is (2 - sign) // 2, and the sign of 0 is 0",
        "equal as numbers", "Model Optimizer 0.47.0 mxfp4_tensor.py, cast_fp4",
        lambda recipe: recipe.name == "modelopt_mxfp4", lambda x, recipe: (x == 0) & ~np.signbit(x), lambda ours, theirs, recipe: (ours[1] == 0) & (theirs[0] == 0),
    ),
    Divergence(
        "sign of zero", ("modelopt",), "negative elements of which nothing is left in the float32 quotient, -0 among them", "-0", "0: its sign bit is quotient < 0",
        "equal as numbers", "Model Optimizer 0.47.0 nvfp4_tensor.py, _cast_fp4",
        lambda recipe: recipe.name == "modelopt_nvfp4", _vanishes, lambda ours, theirs, recipe: (ours[1] == 0) & (theirs[0] == 0),
    ),
)  # fmt: skip


def same_scale(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Where two scales are the same number, NaN being NaN."""
    return (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
