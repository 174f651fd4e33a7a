"""Summaries, spacing and codes of formats; neighbours and rounding intervals of numbers, over every code."""

import itertools
import math
import re
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from fp8core.codec import OVERFLOWS, ROUNDINGS, encode
from fp8core.formats import FORMATS, FloatFormat, parse_format
from fp8core.grid import _counts_by_formula, _counts_by_table, code_table, describe, describe_code, exact_text, spacing
from fp8core.number import Interval, across, explain, interval, neighbours, parse_number, report_code, text_of

SMALL = [name for name in FORMATS if FORMATS[name].bits <= 8] + ["e3m4b3fn", "e1m6", "e5m0fn", "e2m2fnuz", "ue4m4", "e3m2extended", "ue3m2extended", "e4m3_nosub", "e5m2fnuz_nosub", "ue4m4_nosub", "binary6p3uf", "table(-1,0,1)", "table(-3,-1,-0.25,0,0.5,2,7,nan)", "table(-3,-1,-0.25,0,0.5,2,7,inf,-inf,nan)", "table(-2,-0.5,0.25,1)", "table(-1,0,2,inf)"]
TABLED = [name for name in FORMATS if FORMATS[name].bits <= 16]
VARIED = ["e5m2", "e4m3fnuz", "e8m0fnu", "e2m3fn", "mxint8", "e1m6", "hif8", "nf4", "ue4m3", "ue5m3", "binary8p1", "binary8p3", "binary8p4sf", "binary8p4ue", "binary8p3uf", "e4m3_nosub", "ue4m4_nosub", "table(-3,-1,-0.25,0,0.5,2,7,nan)"]  # every kind of special code
OTHER_ROUNDINGS = [name for name in ROUNDINGS if name not in ("half_even", "stochastic")]


# ---- summaries and spacing


@pytest.mark.parametrize("name", ["float16", "bfloat16", "e5m2", "e4m3", "e3m4"])
def test_counting_by_formula_agrees_with_counting_codes(name):
    assert _counts_by_formula(FORMATS[name]) == _counts_by_table(FORMATS[name])


@pytest.mark.parametrize(("name", "dtype"), [("float32", np.float32), ("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16), ("e4m3fn", ml_dtypes.float8_e4m3fn)])
def test_limits_agree_with_finfo(name, dtype):
    s, info = describe(name), ml_dtypes.finfo(dtype)
    assert (s.max, s.lowest, s.min_normal, s.machine_epsilon) == tuple(float(v) for v in (info.max, info.min, info.smallest_normal, info.eps))


def test_counts_near_zero():
    assert describe("e4m3fn").unit_count == 57  # codes 0x00 to 0x38
    assert describe("float32").unit_count == 0x3F800000 + 1
    assert describe("int8").unit_count == 2
    assert describe("mxint8").machine_epsilon == 1 / 64
    assert describe("e8m0fnu").machine_epsilon == 1.0
    assert describe("int8").relative_precision is None


@pytest.mark.parametrize("name", [*FORMATS, "e1m6", "int16", "e6m9"])
def test_spacing_lists_true_neighbours(name):
    s, fmt = spacing(name), parse_format(name)
    assert s.values[-1] == fmt.max
    assert s.values[0] == fmt.min_positive
    assert math.isnan(s.steps[-1])
    assert s.complete == (fmt.bits <= 8)
    assert len(s.values) <= 700
    np.testing.assert_array_equal(fmt.value_of(s.codes), s.values)
    for value, step in list(zip(s.values, s.steps, strict=True))[:-1:7]:
        assert neighbours(value, fmt).above == value + step
    assert np.all((s.positions >= 1) & (s.positions < 2))
    if s.complete:
        np.testing.assert_array_equal(s.all_values, fmt.finite_values)
    if fmt.bits <= 16:
        assert sum(dict(zip(s.binades.tolist(), s.per_binade.tolist(), strict=True)).values()) == describe(fmt).positive_count


# ---- codes


@pytest.mark.parametrize("name", SMALL)
def test_the_code_table_says_what_the_format_says(name):
    fmt, table = parse_format(name), code_table(name)
    np.testing.assert_array_equal([row.value for row in table], fmt.values)
    assert [int(row.hex, 16) for row in table] == list(range(1 << fmt.bits))
    assert all(row.bits.replace(" ", "") == format(row.code, f"0{fmt.bits}b") for row in table)


def _computed(text: str) -> Fraction:
    """The left side of an arithmetic text, evaluated exactly by Python."""
    left = text.rsplit(" = ", 1)[0].replace("·", "*").replace("−", "-").replace("^", "**")
    return eval(re.sub(r"(?<=2\*\*)|(\d+)", lambda match: f"Fraction({match[0]})" if match[0] else "", left), {"Fraction": Fraction})


@pytest.mark.parametrize("name", [name for name in SMALL if hasattr(parse_format(name), "step_exponent") or isinstance(parse_format(name), FloatFormat)])
def test_the_arithmetic_of_every_code_makes_its_value(name):
    for row in code_table(name):
        if math.isfinite(row.value):
            assert _computed(row.arithmetic) == Fraction(row.value), row.arithmetic
            assert row.arithmetic.rsplit("= ")[-1] == exact_text(row.value)


def test_arithmetic_as_people_write_it():
    assert describe_code(0x5E, "e4m3fn").arithmetic == "(-1)^0 · 2^(11 − 7) · (1 + 6/8) = 28"
    assert describe_code(0x83, "e4m3fn").arithmetic == "(-1)^1 · 2^(1 − 7) · (0 + 3/8) = -0.005859375"
    assert describe_code(0x82, "e8m0fnu").arithmetic == "2^(130 − 127) = 8"
    assert describe_code(0xE4, "int8").arithmetic == "(228 − 256) = -28"
    assert describe_code(0x1C, "mxint8").arithmetic == "28 · 2^-6 = 0.4375"
    assert [describe_code(c, "e5m2").kind for c in (0x00, 0x80, 0x03, 0x04, 0x7B, 0x7C, 0x7D)] == ["zero", "zero", "subnormal", "normal", "normal", "infinity", "nan"]


@pytest.mark.parametrize("value", [0.1, 1 / 3, -28.0, 448.0, 2.0**-149, 2.0**127, 3 * 2.0**-140, 1e300, 5e-324, 65504.0])
def test_exact_text_is_exact(value):
    text = exact_text(value).replace("2^", "Fraction(2)**").replace("·", "*")
    assert eval(text if "*" in text else f"Fraction('{text}')", {"Fraction": Fraction}) == Fraction(value)


def test_codes_that_do_not_exist_and_tables_too_large():
    with pytest.raises(ValueError, match="code 0x10 does not exist in e2m1fn"):
        describe_code(16, "e2m1fn")
    with pytest.raises(ValueError, match="float16 has 16 bits"):
        code_table("float16")


# ---- rounding intervals, checked by encoding: every code under half_even, and under the other roundings in formats of every kind


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize(("rounding", "name"), [("half_even", name) for name in SMALL] + list(itertools.product(OTHER_ROUNDINGS, VARIED)))
def test_an_interval_ends_exactly_where_encoding_changes(name, rounding, overflow):
    inside, outside = [], []
    for code in range(1 << parse_format(name).bits):
        found = interval(code, name, rounding, overflow)
        if found is None:
            continue
        for end, closed, beyond in ((found.lower, found.lower_closed, -math.inf), (found.upper, found.upper_closed, math.inf)):
            (inside if closed else outside).append((end, code))
            if not closed:
                inside.append((_inward(end, -beyond), code))
            elif math.isfinite(end):
                outside.append((math.nextafter(end, beyond), code))
    x, code = np.array(inside).T
    np.testing.assert_array_equal(encode(x, name, rounding, overflow), code)
    if outside:
        x, code = np.array(outside).T
        assert np.all(encode(x, name, rounding, overflow) != code)


def _inward(end: float, toward: float) -> float:
    return math.copysign(1.7e308, end) if math.isinf(end) else math.nextafter(end, toward)


@pytest.mark.parametrize("name", [*SMALL, "float16", "bfloat16", "float32", "tfloat32"])
def test_numbers_lie_in_the_interval_of_their_code(name):
    rng = np.random.default_rng(0)
    fmt = parse_format(name)
    low, high = math.log2(fmt.min_positive) - 3, math.log2(fmt.max) + 2
    for x in np.exp2(rng.uniform(low, high, 25)) * rng.choice([-1.0, 1.0], 25):
        for rounding, overflow in itertools.product(("half_even", "half_away", "up", "stochastic"), OVERFLOWS):
            report = neighbours(x, fmt, rounding, overflow)
            if report.interval is not None:
                assert x in report.interval
            if math.isfinite(report.error) and abs(x) <= fmt.max and "half" in rounding and x > 0:
                assert report.error_ulps <= 0.5 or x < fmt.min_positive


def test_intervals_people_know():
    assert str(interval(0x7E, "e4m3fn", overflow="ieee")) == "[432, 464]"  # 464 ties to 448
    assert str(interval(0x7B, "e5m2", overflow="ieee")) == "(53248, 61440)"  # 61440 ties to infinity
    assert str(interval(0x77, "e4m3", overflow="ieee")) == "(232, 248)"
    assert str(interval(0x00, "e4m3fn")) == "[0, 0.0009765625]"
    assert str(interval(0x80, "e4m3fn")) == "[-0.0009765625, -0]"
    assert str(interval(0x00, "e4m3fnuz")) == "[-2^-11, 2^-11]"
    assert str(interval(0x7E, "e4m3fn")) == "[432, +∞]"
    assert str(interval(0x7C, "e5m2", overflow="ieee")) == "[61440, +∞]"
    assert interval(0x7C, "e5m2") is None
    assert interval(0x80, "e4m3fnuz", overflow="ieee") is None
    assert 464.0 in Interval(432.0, 464.0, True, True)
    assert 464.0 not in Interval(432.0, 464.0, True, False)


# ---- one number


@pytest.mark.parametrize("name", ["float32", "tfloat32", "float16", "e4m3fn"])
def test_neighbours_of_wide_formats(name):
    fmt = parse_format(name)
    for x in (0.1, -0.1, 1.0, -1.0, 2.0**-126, fmt.min_subnormal, -fmt.min_subnormal, 0.0, -0.0):
        report = neighbours(x, fmt)
        if report.code.kind != "zero":
            assert report.below < report.value < report.above
        assert neighbours(report.above, fmt).below == report.value
        assert neighbours(report.below, fmt).above == report.value
    top = neighbours(fmt.max, fmt)
    assert top.above == (math.inf if fmt.inf_code is not None else None)
    if name == "float32":
        assert neighbours(0.1, fmt).above == float(np.nextafter(np.float32(0.1), np.float32(1)))


@pytest.mark.parametrize("x", [math.nan, math.inf, -math.inf, -0.0, 0.0, 1e300, -1e300, 5e-324, 0.1, 3 * 2.0**-149])
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_every_number_has_a_report_in_every_format(x, overflow):
    for report in across(x, overflow=overflow):
        assert report.code.bits
        assert report.error_ulps >= 0 or math.isnan(report.error_ulps)
        assert math.isnan(report.error) or report.error == report.value - x


def test_error_of_a_tenth():
    r = neighbours(0.1, "e4m3fn")
    assert (r.code.hex, r.value, r.ulp) == ("0x1D", 0.1015625, 0.0078125)
    assert r.error == 0.1015625 - 0.1
    assert math.isclose(r.relative_error, 0.015625)
    assert math.isclose(r.error_ulps, 0.2)


@pytest.mark.parametrize("name", [*VARIED, "e4m3fn", "float16"])
def test_every_code_can_be_written_in_a_link(name):
    fmt = parse_format(name)
    last = (1 << fmt.bits) - 1
    for code in {*range(0, last, max(last // 40, 1)), fmt.max_code, min(fmt.max_code + 1, last), last // 2, last // 2 + 1, last - 1, last}:
        for overflow in OVERFLOWS:
            assert explain(text_of(code, fmt, "half_even", overflow), fmt, "half_even", overflow).code.code == code


def test_a_code_stands_for_itself():
    assert explain("0x7D", "e5m2").code.code == 0x7D
    assert report_code(0x7C, "e5m2").value == math.inf
    assert text_of(0x7C, "e5m2") == "0x7C"
    assert text_of(0x7C, "e5m2", overflow="ieee") == "inf"


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.1", 0.1), (" -3e-5 ", -3e-5), (".5", 0.5), ("5.", 5.0), ("1/3", 1 / 3), ("2^-9", 2.0**-9), ("-2**3", -8.0), ("−1", -1.0), ("+inf", math.inf),
     ("-Infinity", -math.inf), ("∞", math.inf), ("1e300", 1e300), ("0e5", 0.0), ("2^1023", 2.0**1023), ("0/5", 0.0)],
)  # fmt: skip
def test_numbers_that_are_understood(text, value):
    assert parse_number(text) == value
    assert math.isnan(parse_number("NaN"))
    assert math.copysign(1, parse_number("-0")) == -1


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "not a number"), ("0,1", "not a number"), ("__import__('os')", "not a number"), ("1e400", "beyond float64"), ("1e-400", "beyond float64"),
     ("2^2000", "beyond float64"), ("2^-2000", "beyond float64"), ("1/0", "divides by zero"), ("9" * 1000, "not a number"), ("1_000", "not a number"), ("٣", "not a number"),
     ("--inf", "not a number"), ("2^99999999999", "not a number"), ("<b>1</b>", "not a number"), ("1\n2", "not a number")],
)  # fmt: skip
def test_texts_that_are_refused_in_words(text, why):
    with pytest.raises(ValueError, match=why) as caught:
        parse_number(text)
    assert len(str(caught.value)) < 400


def test_codes_of_another_format_are_refused():
    with pytest.raises(ValueError, match="code 0xfff does not exist in e4m3fn"):
        explain("0xFFF", "e4m3fn")
