"""OCP's FP8 and AMD's FNUZ: the same bytes, two meanings."""

import ml_dtypes
import numpy as np
import pytest

import fp8core as fp8
from fp8core.reinterpret import MEANINGS, PAIRS, convert, reinterpret, unconvertible

NUMPY = {"e4m3fn": ml_dtypes.float8_e4m3fn, "e4m3fnuz": ml_dtypes.float8_e4m3fnuz, "e5m2": ml_dtypes.float8_e5m2, "e5m2fnuz": ml_dtypes.float8_e5m2fnuz}
BYTES = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize("pair", PAIRS.values(), ids="-".join)
def test_the_counts_are_those_of_ml_dtypes(pair):
    first, second = (BYTES.view(NUMPY[name]).astype(np.float64) for name in pair)
    found = reinterpret(*pair)
    assert found.count("half") == int((np.isfinite(first) & (second == first / 2)).sum())
    assert found.codes("number_becomes_nan").tolist() == [0x80]
    assert found.codes("special_becomes_number").tolist() == np.flatnonzero(~np.isfinite(first)).tolist()
    assert sum(found.count(meaning) for meaning in MEANINGS) == 256


@pytest.mark.parametrize("pair", PAIRS.values(), ids="-".join)
def test_conversion_keeps_every_finite_number(pair):
    codes, scale = convert(BYTES, 0.75, *pair)
    before, after = fp8.decode(BYTES, pair[0]) * np.float32(0.75), fp8.decode(codes, pair[1]) * np.float32(scale)
    finite = np.isfinite(before)
    assert (before[finite] == after[finite]).all()
    assert codes.dtype == np.uint8
    assert unconvertible(*pair).tolist() == np.flatnonzero(~finite).tolist()


@pytest.mark.parametrize(("pair", "left"), [(("e4m3fnuz", "e4m3fn"), [0x7F, 0x80, 0xFF]), (("e5m2fnuz", "e5m2"), [0x7C, 0x7D, 0x7E, 0x7F, 0x80, 0xFC, 0xFD, 0xFE, 0xFF])], ids=str)
def test_the_way_back_leaves_the_top_codes_and_nan(pair, left):
    assert unconvertible(*pair).tolist() == left
    codes, scale = convert(BYTES, 1.0, *pair)
    assert scale == 0.5
    assert (codes == BYTES).all()


def test_widths_must_agree():
    with pytest.raises(ValueError, match="only codes of one width"):
        reinterpret("e4m3fn", "e2m1fn")
