"""Every number of every registered format that a specification states, typed in by hand from that specification."""

import math

import pytest

from fp8core.formats import FORMATS
from fp8core.grid import describe

IEEE = "IEEE 754-2019, table 3.5 (binary32, binary16)"
NVIDIA = "NVIDIA A100 Tensor Core GPU Architecture whitepaper: TF32 has 8 exponent and 10 mantissa bits; limits follow"
INTEL = "Intel, BFLOAT16 Hardware Numerics Definition (2018)"
OFP8 = "OCP 8-bit Floating Point Specification (OFP8) v1.0, table 2"
MX = "OCP Microscaling Formats (MX) Specification v1.0, section 5.3"
FNUZ = "arXiv 2206.02915 (Noune et al.), table 1; LLVM APFloat"
LLVM = "LLVM llvm/include/llvm/ADT/APFloat.h"
TWOS = "two's complement"

# name: (max, min normal, min subnormal, infinity codes, NaN codes, has −0, distinct finite values, source)
SPEC = {
    "float32": (3.4028234663852886e38, 2.0**-126, 2.0**-149, 2, 16777214, True, 2**32 - 16777214 - 2 - 1, IEEE),
    "tfloat32": ((2 - 2.0**-10) * 2.0**127, 2.0**-126, 2.0**-136, 2, 2046, True, 2**19 - 2046 - 2 - 1, NVIDIA),
    "bfloat16": (3.3895313892515355e38, 2.0**-126, 2.0**-133, 2, 254, True, 65279, INTEL),
    "float16": (65504.0, 2.0**-14, 2.0**-24, 2, 2046, True, 2**16 - 2046 - 2 - 1, IEEE),
    "e5m2": (57344.0, 2.0**-14, 2.0**-16, 2, 6, True, 247, OFP8),
    "e4m3fn": (448.0, 2.0**-6, 2.0**-9, 0, 2, True, 253, OFP8),
    "e4m3": (240.0, 2.0**-6, 2.0**-9, 2, 14, True, 239, LLVM),
    "e4m3fnuz": (240.0, 2.0**-7, 2.0**-10, 0, 1, False, 255, FNUZ),
    "e5m2fnuz": (57344.0, 2.0**-15, 2.0**-17, 0, 1, False, 255, FNUZ),
    "e4m3b11fnuz": (30.0, 2.0**-10, 2.0**-13, 0, 1, False, 255, LLVM),
    "e3m4": (15.5, 2.0**-2, 2.0**-6, 2, 30, True, 223, LLVM),
    "e8m0fnu": (2.0**127, 2.0**-127, None, 0, 1, False, 255, MX),
    "e3m2fn": (28.0, 0.25, 0.0625, 0, 0, True, 63, MX),
    "e2m3fn": (7.5, 1.0, 0.125, 0, 0, True, 63, MX),
    "e2m1fn": (6.0, 1.0, 0.5, 0, 0, True, 15, MX),
    "int8": (127.0, 1.0, None, 0, 0, False, 256, TWOS),
    "int4": (7.0, 1.0, None, 0, 0, False, 16, TWOS),
    "mxint8": (127 / 64, 1 / 64, None, 0, 0, False, 256, MX),
}


@pytest.mark.parametrize("name", SPEC)
def test_a_format_has_the_numbers_of_its_specification(name):
    s = describe(name)
    assert (s.max, s.min_normal, s.min_subnormal, s.inf_codes, s.nan_codes, s.negative_zero, s.finite_count) == SPEC[name][:-1], SPEC[name][-1]


def test_every_code_is_accounted_for():
    for name in SPEC:
        s = describe(name)
        assert s.finite_count + s.inf_codes + s.nan_codes + s.negative_zero == 2**s.bits, name


@pytest.mark.parametrize(("name", "lowest"), [("int8", -128.0), ("int4", -8.0), ("mxint8", -2.0), ("e8m0fnu", 2.0**-127), ("e4m3fn", -448.0)])
def test_the_lowest_value_is_not_always_minus_the_largest(name, lowest):
    assert describe(name).lowest == lowest


def test_formats_without_a_row_here_are_known():
    """A format added to the registry gets a row above, or is tested against its source elsewhere and named here."""
    elsewhere = {"nf4", "hif8"} | {f"binary8p{p}" for p in range(1, 8)}
    assert set(FORMATS) - set(SPEC) <= elsewhere


def test_relative_precision_bounds_the_rounding_of_normal_numbers():
    assert describe("e4m3fn").relative_precision == 2.0**-4
    assert describe("e5m2").relative_precision == 2.0**-3
    assert describe("e2m1fn").relative_precision == 2.0**-2
    assert math.isclose(describe("e4m3fn").dynamic_range_binades, math.log2(448 * 512))
