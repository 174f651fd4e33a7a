"""What each oracle says about a number format: values of codes, and what numbers are rounded to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fp8core.codec import OVERFLOWS
from fp8core.conformance.oracles import import_module, load
from fp8core.formats import FloatFormat, Format, IntFormat

DETERMINISTIC = ("half_even", "half_away", "toward_zero", "up", "down")

# Formats that are not registered, one of each kind that a pattern can spell.
PATTERNS = (
    "e3m4b5fn", "e2m5", "e6m1fnuz", "e1m6fn", "e5m0fn", "e2m2fnuz", "e1m6", "e4m3extended", "e3m2extended", "ue4m4", "ue5m2", "ue4m3extended", "ue3m0fn",
    "e4m3_nosub", "e4m3fn_nosub", "e5m2fnuz_nosub", "ue4m4_nosub", "e3m1finite_nosub", "e4m3finite_nosub", "e3m2finite_nosub", "e8m0fn", "binary4p2", "binary6p3", "binary6p3uf", "binary5p1", "binary3p1sf", "binary7p7u", "binary10p4f", "int12",
)  # fmt: skip


@dataclass(frozen=True)
class FormatOracle:
    """How to ask one oracle about a format.

    Args:
        covers: whether the oracle has the format.
        decode: (format) -> value of every code, float64, shape (2**bits,).
        round: (numbers, format, rounding, overflow) -> rounded numbers, float64, same shape.
        roundings: the modes it has.
        overflows: the policies it follows; () where it is asked only within the range.
        dtype: of the numbers that it takes.
    """

    covers: Callable[[Format], bool]
    decode: Callable[[Format], np.ndarray] | None
    round: Callable[[np.ndarray, Format, str, str], np.ndarray] | None
    roundings: tuple[str, ...] = ("half_even",)
    overflows: tuple[str, ...] = ("ieee",)
    dtype: type = np.float32


_ML_DTYPES = {
    "bfloat16": "bfloat16", "e5m2": "float8_e5m2", "e4m3fn": "float8_e4m3fn", "e4m3": "float8_e4m3", "e4m3fnuz": "float8_e4m3fnuz", "e5m2fnuz": "float8_e5m2fnuz",
    "e4m3b11fnuz": "float8_e4m3b11fnuz", "e3m4": "float8_e3m4", "e8m0fnu": "float8_e8m0fnu", "e3m2fn": "float6_e3m2fn", "e2m3fn": "float6_e2m3fn", "e2m1fn": "float4_e2m1fn",
    "int4": "int4", "int2": "int2",
}  # fmt: skip
_TORCH = {
    "float16": "float16", "bfloat16": "bfloat16", "e5m2": "float8_e5m2", "e4m3fn": "float8_e4m3fn", "e4m3fnuz": "float8_e4m3fnuz", "e5m2fnuz": "float8_e5m2fnuz", "e8m0fnu": "float8_e8m0fnu",
}  # fmt: skip
_EN_DTYPES = {"hif8": "hifloat8", "e1m2b1fn": "float4_e1m2", "e2m1fn": "float4_e2m1", "e2m3fn": "float6_e2m3", "e3m2fn": "float6_e3m2"}
_NUMPY_FLOATS = {"float16": np.float16, "float32": np.float32}
_GFLOAT_MODES = {"half_even": "TiesToEven", "half_away": "TiesToAway", "toward_zero": "TowardZero", "up": "TowardPositive", "down": "TowardNegative"}


def _all_codes(fmt: Format) -> np.ndarray:
    return np.arange(1 << fmt.bits, dtype=np.uint16 if fmt.bits > 8 else np.uint8)


def _ml_decode(fmt: Format) -> np.ndarray:
    return _all_codes(fmt).view(getattr(load("ml_dtypes"), _ML_DTYPES[fmt.name])).astype(np.float64)


def _ml_round(x: np.ndarray, fmt: Format, rounding: str, overflow: str) -> np.ndarray:
    return x.astype(getattr(load("ml_dtypes"), _ML_DTYPES[fmt.name])).astype(np.float64)


def _en_decode(fmt: Format) -> np.ndarray:
    return _all_codes(fmt).view(getattr(load("en_dtypes"), _EN_DTYPES[fmt.name])).astype(np.float64)


def _en_round(x: np.ndarray, fmt: Format, rounding: str, overflow: str) -> np.ndarray:
    return x.astype(getattr(load("en_dtypes"), _EN_DTYPES[fmt.name])).astype(np.float64)


def _torch_dtype(fmt: Format):
    return getattr(load("torch"), _TORCH[fmt.name])


def _torch_decode(fmt: Format) -> np.ndarray:
    return load("torch").from_numpy(_all_codes(fmt)).view(_torch_dtype(fmt)).double().numpy()


def _torch_round(x: np.ndarray, fmt: Format, rounding: str, overflow: str) -> np.ndarray:
    return load("torch").from_numpy(x).to(_torch_dtype(fmt)).double().numpy()


def _numpy_decode(fmt: Format) -> np.ndarray:
    if fmt.name in _NUMPY_FLOATS:
        return _all_codes(fmt).view(_NUMPY_FLOATS[fmt.name]).astype(np.float64)
    unused = 16 - fmt.bits
    return (_all_codes(fmt).astype(np.uint16) << unused).view(np.int16).astype(np.float64) / (1 << unused) * fmt.step


_NUMPY_TO_INTEGER = {
    "half_even": np.rint,
    "half_away": lambda steps: np.trunc(steps) + np.sign(steps) * (np.abs(steps - np.trunc(steps)) >= 0.5),
    "toward_zero": np.trunc,
    "up": np.ceil,
    "down": np.floor,
}


def _numpy_float_round(x: np.ndarray, fmt: Format, rounding: str, overflow: str) -> np.ndarray:
    return x.astype(_NUMPY_FLOATS[fmt.name]).astype(np.float64)


def _numpy_int_round(x: np.ndarray, fmt: Format, rounding: str, overflow: str) -> np.ndarray:
    whole = _NUMPY_TO_INTEGER[rounding](np.nan_to_num(x, nan=0.0, posinf=1e300, neginf=-1e300) / fmt.step)
    return np.clip(whole, -(1 << (fmt.bits - 1)), (1 << (fmt.bits - 1)) - 1) * fmt.step + 0.0


_GFLOAT_OWN = {
    "float32": "binary32", "float16": "binary16", "bfloat16": "bfloat16", "e5m2": "ocp_e5m2", "e4m3fn": "ocp_e4m3", "e2m3fn": "ocp_e2m3", "e3m2fn": "ocp_e3m2", "e2m1fn": "ocp_e2m1",
    "e8m0fnu": "ocp_e8m0", "mxint8": "ocp_int8",
}  # fmt: skip
_P3109 = re.compile(r"binary(\d+)p(\d+)([su]?)([ef]?)")


def gfloat_info(fmt: Format):
    """Return gfloat's description of a format: its own where it has one, IEEE P3109's by name, all others by our fields."""
    gfloat, known = load("gfloat"), import_module("gfloat.formats")
    domains, signs = gfloat.Domain, import_module("gfloat.types").Signedness
    if fmt.name in _GFLOAT_OWN:
        return getattr(known, f"format_info_{_GFLOAT_OWN[fmt.name]}")
    if match := _P3109.fullmatch(fmt.name):
        sign, domain = signs.Unsigned if match[3] == "u" else signs.Signed, domains.Finite if match[4] == "f" else domains.Extended
        return known.format_info_p3109(int(match[1]), int(match[2]), sign, domain)
    if isinstance(fmt, IntFormat):
        return gfloat.FormatInfo(
            fmt.name, fmt.bits, fmt.bits, bias=2 - fmt.bits - fmt.step_exponent, is_signed=True, domain=domains.Finite, has_nz=False, num_high_nans=0, has_subnormals=True, is_twos_complement=True,
        )  # fmt: skip
    high_nans = {"ieee": (1 << fmt.mantissa_bits) - 1, "fn": 1, "fnuz": 0, "finite": 0, "extended": int(not fmt.signed)}[fmt.specials]
    return gfloat.FormatInfo(
        fmt.name, fmt.bits, fmt.mantissa_bits + 1, bias=fmt.bias, is_signed=fmt.signed, domain=domains.Extended if fmt.specials in ("ieee", "extended") else domains.Finite,
        has_nz=fmt.negative_zero, num_high_nans=high_nans, has_subnormals=fmt.gradual, is_twos_complement=False,
    )  # fmt: skip


def _gfloat_decode(fmt: Format) -> np.ndarray:
    return load("gfloat").decode_ndarray(gfloat_info(fmt), np.arange(1 << fmt.bits))


def _gfloat_round(x: np.ndarray, fmt: Format, rounding: str, overflow: str) -> np.ndarray:
    gfloat = load("gfloat")
    has_none = fmt.inf_code is None and fmt.nan_code is None  # gfloat refuses to overflow then
    return gfloat.round_ndarray(gfloat_info(fmt), x, getattr(gfloat.RoundMode, _GFLOAT_MODES[rounding]), overflow == "saturate" or has_none)


def _bitsandbytes_values(fmt: Format) -> np.ndarray:
    return import_module("bitsandbytes.functional").get_4bit_type(fmt.name, device="cpu").double().numpy()


# An oracle may have several rows where it is asked in several ways.
FORMAT_ORACLES: dict[str, tuple[FormatOracle, ...]] = {
    "ml_dtypes": (
        FormatOracle(lambda fmt: fmt.name in _ML_DTYPES and isinstance(fmt, FloatFormat), _ml_decode, _ml_round),
        FormatOracle(lambda fmt: fmt.name in _ML_DTYPES and isinstance(fmt, IntFormat), _ml_decode, None),
    ),
    "gfloat": (FormatOracle(lambda fmt: isinstance(fmt, FloatFormat | IntFormat), _gfloat_decode, _gfloat_round, DETERMINISTIC, tuple(OVERFLOWS), np.float64),),
    "en_dtypes": (
        FormatOracle(lambda fmt: fmt.name == "hif8", _en_decode, _en_round, ("half_away",)),
        FormatOracle(lambda fmt: fmt.name in _EN_DTYPES and fmt.name != "hif8", _en_decode, _en_round),
    ),
    "bitsandbytes": (FormatOracle(lambda fmt: fmt.name == "nf4", _bitsandbytes_values, None),),
    "torch": (FormatOracle(lambda fmt: fmt.name in _TORCH, _torch_decode, _torch_round),),
    "numpy": (
        FormatOracle(lambda fmt: fmt.name in _NUMPY_FLOATS, _numpy_decode, _numpy_float_round, dtype=np.float64),
        FormatOracle(lambda fmt: isinstance(fmt, IntFormat), _numpy_decode, _numpy_int_round, DETERMINISTIC, tuple(OVERFLOWS), np.float64),
    ),
}
