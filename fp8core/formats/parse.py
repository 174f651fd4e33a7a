"""Names of formats: registered ones, and patterns for all others."""

from __future__ import annotations

import difflib
import re

from fp8core.formats.base import Format
from fp8core.formats.floating import FloatFormat
from fp8core.formats.integer import IntFormat
from fp8core.formats.registry import FORMATS, p3109_format
from fp8core.formats.table import TableFormat

_FLOAT = re.compile(r"(u?)e(\d{1,2})m(\d{1,2})(?:b(\d{1,3}))?(fnuz|finite|fn|extended|)(_nosub|)", re.ASCII)
_INT = re.compile(r"int(\d{1,2})", re.ASCII)
_P3109 = re.compile(r"binary(\d{1,2})p(\d{1,2})([su]?)([ef]?)", re.ASCII)
_TABLE = re.compile(r"table\(([-+.\deinfa, ]{1,6000})\)", re.ASCII)
_DATA_FIELDS = ("exponent_bits", "mantissa_bits", "bias", "specials", "signed", "zero", "gradual")


def parse_format(name: str | Format) -> Format:
    """Return the format of that name: a key of `FORMATS`, or a pattern.

    Patterns of up to 16 bits:

    - `[u]e{E}m{M}[b{B}][fn|fnuz|finite|extended][_nosub]`: exponent and mantissa bits; `u` without a sign bit; a bias, 2^(E-1) - 1 unless given
      (2^(E-1) for fnuz); a key of `SPECIALS`, ieee unless given (with fewer than 7 exponent and mantissa bits `fn` means that every code is finite, as in
      OCP's FP6 and FP4); `_nosub` without subnormals.
    - `int{n}`: two's complement.
    - `binary{K}p{P}[s|u][e|f]`: IEEE P3109 by width and precision, signed or unsigned, extended (with infinity) or finite.
    - `table(v0,v1,...)`: a code book.

    The prefix `float8_` of torch and ml_dtypes names may stay. A pattern that spells out a registered format returns that one.

    Raises:
        ValueError: neither a key nor a pattern, or a pattern that no format can have.

    >>> parse_format("e4m3fn").max, parse_format("e3m4b3fn").max, parse_format("int6").max, parse_format("table(-1,0,1)").bits
    (448.0, 30.0, 31.0, 2)
    """
    if isinstance(name, Format):
        return name
    text = re.sub(r"^float[468]_", "", str(name))
    if text in FORMATS:
        return FORMATS[text]
    for pattern, build in ((_INT, _integer), (_FLOAT, _floating), (_P3109, _p3109), (_TABLE, _table)):
        if match := pattern.fullmatch(text):
            return build(text, match)
    if near := difflib.get_close_matches(text.strip().lower(), FORMATS, n=3, cutoff=0.7):
        raise ValueError(f"{name!r} is not a format: did you mean {' or '.join(near)}? Patterns such as e3m4b3fn or int6 are formats too")
    raise ValueError(f"{name!r} is not a format: use one of {', '.join(FORMATS)}, or a pattern such as e3m4, e3m4b3fn, ue4m4, e4m3_nosub, int6, binary6p3uf or table(-1,0,1)")


def _integer(text: str, match: re.Match) -> Format:
    return IntFormat(text, text.upper(), source="pattern", width=int(match[1]))


def _floating(text: str, match: re.Match) -> Format:
    signed, exponent_bits, mantissa_bits, suffix = not match[1], int(match[2]), int(match[3]), match[5]
    bits = signed + exponent_bits + mantissa_bits
    if bits > 16:
        raise ValueError(f"{text!r} has {bits} bits: patterns go up to 16")
    if exponent_bits < 1:
        raise ValueError(f"{text!r} has no exponent bit: use int{bits} for an integer format")
    bias = int(match[4]) if match[4] else (1 << (exponent_bits - 1)) - (suffix != "fnuz")
    specials = "finite" if suffix == "fn" and 1 + exponent_bits + mantissa_bits < 8 else suffix or "ieee"
    return _registered(FloatFormat(text, text.upper(), "", "pattern", exponent_bits, mantissa_bits, bias, specials, signed, subnormals=not match[6]))


def _p3109(text: str, match: re.Match) -> Format:
    if int(match[1]) > 16:
        raise ValueError(f"{text!r} has {match[1]} bits: patterns go up to 16")
    return _registered(p3109_format(text, f"P3109 {text}", int(match[1]), int(match[2]), match[3] != "u", match[4] != "f"))


def _table(text: str, match: re.Match) -> Format:
    try:
        values = tuple(float(part) for part in match[1].split(","))
    except ValueError as error:
        raise ValueError(f"{text!r}: a table holds numbers with commas between them: {error}") from error
    return TableFormat(text.replace(" ", ""), "code book", "", "pattern", values)


def _registered(parsed: FloatFormat) -> Format:
    same = (known for known in FORMATS.values() if isinstance(known, FloatFormat) and all(getattr(known, field) == getattr(parsed, field) for field in _DATA_FIELDS))
    return next(same, parsed)
