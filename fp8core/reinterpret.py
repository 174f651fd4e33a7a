"""The same byte in two dialects of FP8: what changes when codes of OCP's formats are read as AMD's FNUZ formats, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fp8core.formats import Format, parse_format

PAIRS = {"e4m3": ("e4m3fn", "e4m3fnuz"), "e5m2": ("e5m2", "e5m2fnuz")}

MEANINGS = {
    "half": "the second reading is exactly half of the first, zero included",
    "number_becomes_nan": "a number in the first reading, NaN in the second",
    "special_becomes_number": "NaN or infinity in the first reading, a number in the second",
    "other": "anything else",
}


@dataclass(frozen=True, eq=False)
class Reinterpretation:
    """What every code of one format means in another of the same width.

    Args:
        first, second: the two formats; the second has a bias larger by one.
        meanings: a key of `MEANINGS` for each code, shape (2**bits,).
    """

    first: Format
    second: Format
    meanings: np.ndarray

    def count(self, meaning: str) -> int:
        """How many codes are of this kind."""
        return int((self.meanings == meaning).sum())

    def codes(self, meaning: str) -> np.ndarray:
        """The codes of this kind, ascending."""
        return np.flatnonzero(self.meanings == meaning)


def reinterpret(first: str | Format, second: str | Format) -> Reinterpretation:
    """Read every code of one format as a code of another.

    Raises:
        ValueError: the formats differ in width, or have more than 16 bits.

    >>> r = reinterpret("e4m3fn", "e4m3fnuz")
    >>> r.count("half"), r.codes("number_becomes_nan").tolist(), r.codes("special_becomes_number").tolist()
    (253, [128], [127, 255])
    """
    first, second = parse_format(first), parse_format(second)
    if first.bits != second.bits:
        raise ValueError(f"{first.name} has {first.bits} bits and {second.name} {second.bits}: only codes of one width can be read both ways")
    a, b = first.values, second.values
    finite = np.isfinite(a), np.isfinite(b)
    cases = [finite[0] & finite[1] & (b == a / 2), finite[0] & ~finite[1], ~finite[0] & finite[1]]
    return Reinterpretation(first, second, np.select(cases, list(MEANINGS)[:3], "other"))


def convert(codes: np.ndarray, scale, first: str | Format, second: str | Format):
    """Turn codes and decode scale of one dialect into those of the other, without rounding anything -> (codes, scale).

    From OCP to FNUZ the scale doubles and -0, whose code is NaN there, becomes 0; from FNUZ to OCP the scale halves. What has no
    counterpart stays as it is: see `unconvertible`.

    >>> convert(np.array([0x40, 0x80], np.uint8), 1.0, "e4m3fn", "e4m3fnuz")
    (array([64,  0], dtype=uint8), 2.0)
    """
    first, second = parse_format(first), parse_format(second)
    negative_zero = first.values == 0
    negative_zero &= np.isnan(second.values)
    return np.where(negative_zero[codes], np.zeros_like(codes), codes), scale * 2.0 ** (second.bias - first.bias)


def unconvertible(first: str | Format, second: str | Format) -> np.ndarray:
    """Return the codes of the first format that mean something else after `convert` -> ascending; -0 counts as 0, NaN as NaN."""
    first, second = parse_format(first), parse_format(second)
    codes, scale = convert(np.arange(1 << first.bits), 1.0, first, second)
    return np.flatnonzero(~np.equal(first.values, second.values[codes] * scale) & ~(np.isnan(first.values) & np.isnan(second.values[codes])))
