"""Every number of every registered format that a specification states, typed in by hand from that specification."""

import math

import gfloat
import numpy as np
import pytest
from oracles import P3109, gfloat_info, same

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
HIF8 = "arXiv 2409.16626 (Luo et al.), tables 1 and 2"
QLORA = "arXiv 2305.14314, appendix E"
PTX = "NVIDIA PTX ISA, .ue4m3: E4M3 without its sign"
CUDA = "CUDA 13.4, __nv_fp8_ue5m3; LLVM APFloat Float8E5M3FNU"
CANN = "Huawei CANN, float4_e1m2"
DRAFT = "IEEE P3109 interim report v4.0, tables of K = 8 signed"

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
    "int2": (1.0, 1.0, None, 0, 0, False, 4, TWOS),
    "int3": (3.0, 1.0, None, 0, 0, False, 8, TWOS),
    "int5": (15.0, 1.0, None, 0, 0, False, 32, TWOS),
    "int6": (31.0, 1.0, None, 0, 0, False, 64, TWOS),
    "int7": (63.0, 1.0, None, 0, 0, False, 128, TWOS),
    "hif8": (32768.0, 2.0**-15, 2.0**-22, 2, 1, False, 253, HIF8),
    "nf4": (1.0, 0.07958029955625534, None, 0, 0, False, 16, QLORA),
    "ue4m3": (448.0, 2.0**-6, 2.0**-9, 0, 1, False, 127, PTX),
    "ue5m3": (114688.0, 2.0**-14, 2.0**-17, 0, 1, False, 255, CUDA),
    "e1m2b1fn": (1.75, 1.0, 0.25, 0, 0, True, 15, CANN),
    "binary8p1": (2.0**62, 2.0**-63, None, 2, 1, False, 253, DRAFT),
    "binary8p2": (2.0**31, 2.0**-31, 2.0**-32, 2, 1, False, 253, DRAFT),
    "binary8p3": (49152.0, 2.0**-15, 2.0**-17, 2, 1, False, 253, DRAFT),
    "binary8p4": (224.0, 2.0**-7, 2.0**-10, 2, 1, False, 253, DRAFT),
    "binary8p5": (15.0, 2.0**-3, 2.0**-7, 2, 1, False, 253, DRAFT),
    "binary8p6": (3.875, 0.5, 2.0**-6, 2, 1, False, 253, DRAFT),
    "binary8p7": (1.96875, 1.0, 2.0**-6, 2, 1, False, 253, DRAFT),
    "binary8p1sf": (2.0**63, 2.0**-63, None, 0, 1, False, 255, DRAFT),
    "binary8p2sf": (1.5 * 2.0**31, 2.0**-31, 2.0**-32, 0, 1, False, 255, DRAFT),
    "binary8p3sf": (57344.0, 2.0**-15, 2.0**-17, 0, 1, False, 255, DRAFT),
    "binary8p4sf": (240.0, 2.0**-7, 2.0**-10, 0, 1, False, 255, DRAFT),
    "binary8p5sf": (15.5, 2.0**-3, 2.0**-7, 0, 1, False, 255, DRAFT),
    "binary8p6sf": (3.9375, 0.5, 2.0**-6, 0, 1, False, 255, DRAFT),
    "binary8p7sf": (1.984375, 1.0, 2.0**-6, 0, 1, False, 255, DRAFT),
}
# Held against gfloat's tables code by code, below; signed P3109 formats are too.
UNSIGNED_P3109 = [name for name in P3109 if name.endswith(("ue", "uf"))]


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
    assert set(FORMATS) - set(SPEC) <= set(UNSIGNED_P3109)


@pytest.mark.parametrize("name", P3109)
def test_p3109_formats_have_the_codes_that_gfloat_has(name):
    want = gfloat.decode_ndarray(gfloat_info(name), np.arange(256))
    assert same(FORMATS[name].values, want)
    s = describe(name)
    assert (s.max, s.nan_codes, s.inf_codes) == (float(want[np.isfinite(want)].max()), int(np.isnan(want).sum()), int(np.isinf(want).sum()))


def test_two_p3109_formats_are_those_of_amd():
    for p3109, fnuz in (("binary8p3sf", "e5m2fnuz"), ("binary8p4sf", "e4m3fnuz")):
        assert same(FORMATS[p3109].values, FORMATS[fnuz].values)


@pytest.mark.parametrize(
    ("name", "largest", "smallest"),
    [("binary8p1ue", 2.0**125, 2.0**-127), ("binary8p1uf", 2.0**126, 2.0**-127), ("binary8p2ue", 1.5 * 2.0**62, 2.0**-64), ("binary8p3ue", 1.25 * 2.0**31, 2.0**-33), ("binary8p3uf", 1.5 * 2.0**31, 2.0**-33),
     ("binary8p4ue", 53248.0, 2.0**-18), ("binary8p4uf", 57344.0, 2.0**-18)],
)  # fmt: skip
def test_unsigned_p3109_limits(name, largest, smallest):
    s = describe(name)
    assert (s.max, FORMATS[name].min_positive, s.nan_codes, s.lowest) == (largest, smallest, 1, 0.0)
    assert np.isnan(FORMATS[name].values[0xFF])
    assert (FORMATS[name].values[0xFE] == math.inf) == name.endswith("e")


def hif8_by_layout(code: int) -> float:
    """HiFloat8 read from the paper's layout, from the bits as text: sign, dot field, exponent as sign and magnitude without its leading one, mantissa."""
    bits = format(code, "08b")
    sign, rest = (-1.0 if bits[0] == "1" else 1.0), bits[1:]
    if bits == "00000000":
        return 0.0
    if bits == "10000000":
        return math.nan
    if rest == "1101111":
        return sign * math.inf
    if rest.startswith("0000"):
        return sign * 2.0 ** (int(rest[4:], 2) - 23)
    width = next(width for dot, width in (("11", 4), ("10", 3), ("01", 2), ("0001", 0), ("001", 1)) if rest.startswith(dot))
    dot_bits = 2 if width > 1 else 3 if width == 1 else 4
    field, mantissa = rest[dot_bits : dot_bits + width], rest[dot_bits + width :]
    exponent = 0 if not width else int("1" + field[1:], 2) * (-1 if field[0] == "1" else 1)
    return sign * 2.0**exponent * (1 + int(mantissa, 2) / 2 ** len(mantissa))


def test_hif8_has_the_values_of_its_layout():
    assert same(FORMATS["hif8"].values, [hif8_by_layout(code) for code in range(256)])


def test_hif8_precision_tapers_away_from_one():
    values = FORMATS["hif8"].finite_values
    for exponent in range(-15, 16):
        in_binade = values[(values >= 2.0**exponent) & (values < 2.0 ** (exponent + 1))].size
        assert in_binade == (8 if abs(exponent) <= 3 else 4 if abs(exponent) <= 7 else 2) - (exponent == 15)


def test_nf4_is_made_of_quantiles_with_an_exact_zero():
    want = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
            0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0]  # fmt: skip
    assert FORMATS["nf4"].values.tolist() == want


def test_relative_precision_bounds_the_rounding_of_normal_numbers():
    assert describe("e4m3fn").relative_precision == 2.0**-4
    assert describe("e5m2").relative_precision == 2.0**-3
    assert describe("e2m1fn").relative_precision == 2.0**-2
    assert math.isclose(describe("e4m3fn").dynamic_range_binades, math.log2(448 * 512))
