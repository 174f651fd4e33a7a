"""parse_format and the derived properties of a format."""

import math

import numpy as np
import pytest

import fp8core as fp8
from fp8core.formats import FORMATS, FloatFormat, IntFormat, TableFormat, parse_format


@pytest.mark.parametrize("name", FORMATS)
def test_registry_names_parse_to_themselves(name):
    assert parse_format(name) is FORMATS[name]
    assert parse_format(FORMATS[name]) is FORMATS[name]


@pytest.mark.parametrize(
    ("pattern", "registered"),
    [("e4m3b7fn", "e4m3fn"), ("e5m10", "float16"), ("e8m7", "bfloat16"), ("e2m1fn", "e2m1fn"), ("e5m2b16fnuz", "e5m2fnuz"),
     ("float8_e4m3fn", "e4m3fn"), ("float6_e2m3fn", "e2m3fn"), ("e4m3b11fnuz", "e4m3b11fnuz")],
)  # fmt: skip
def test_a_pattern_that_spells_a_registered_format_is_that_format(pattern, registered):
    assert parse_format(pattern) is FORMATS[registered]


def test_patterns_make_new_formats():
    assert parse_format("e3m4b3fn").max == 30.0  # IntelLabs' E3M4
    assert parse_format("e1m6fn").max == 3.9375
    assert parse_format("e3m2").specials == "ieee"
    assert parse_format("int6").lowest == -32.0
    assert parse_format("int16").max == 32767.0
    assert parse_format("e5m2").bias == 15


@pytest.mark.parametrize(
    ("bad", "why"),
    [("e9m9", "19 bits"), ("e4m3fx", "is not a format"), ("", "is not a format"), ("e0m7", "no exponent bit"), ("e5m0", "without a mantissa bit"),
     ("int1", "1 bits; integer formats have 2 to 16"), ("int99", "99 bits"), ("e9m2", "float32"), ("e8m7b400", "float32"), ("E4M3", "is not a format"),
     ("e4m3fn\n", "is not a format"), (None, "is not a format")],
)  # fmt: skip
def test_bad_names_are_refused_in_words(bad, why):
    with pytest.raises(ValueError, match=why):
        parse_format(bad)


def test_literals_are_checked():
    with pytest.raises(ValueError, match="specials = 'nan'"):
        FloatFormat("x", exponent_bits=4, mantissa_bits=3, bias=7, specials="nan")
    with pytest.raises(ValueError, match="no positive finite value"):
        FloatFormat("x", exponent_bits=1, mantissa_bits=0, bias=0, specials="fn")
    with pytest.raises(ValueError, match="0 exponent bits"):
        FloatFormat("x", exponent_bits=0, mantissa_bits=3, bias=0)


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].bits <= 16])
def test_derived_numbers_agree_with_the_table_of_values(name):
    fmt = FORMATS[name]
    finite = fmt.finite_values
    assert fmt.max == finite[-1]
    assert fmt.lowest == finite[0]
    assert fmt.min_positive == finite[finite > 0][0]
    assert fmt.emax == math.floor(math.log2(fmt.max))
    assert fmt.max == (2 - 2.0**-fmt.mantissa_bits) * 2.0**fmt.emax or fmt.specials in ("fn", "finite", "extended")
    assert sum(fmt.fields.values()) == fmt.bits
    assert fmt.bit_string(fmt.max_code).replace(" ", "") == format(fmt.max_code, f"0{fmt.bits}b")
    if isinstance(fmt, FloatFormat):
        assert fmt.values[fmt.max_code] == fmt.max
        assert np.all(np.diff(fmt.values[: fmt.max_code + 1]) > 0)
        assert fmt.negative_zero == bool(np.any((fmt.values == 0) & np.signbit(fmt.values)))
    elif isinstance(fmt, TableFormat):
        assert np.array_equal(finite, np.unique(np.array(fmt.table)[np.isfinite(fmt.table)]))
        assert fmt.values[fmt.max_code] == fmt.max
    else:
        assert isinstance(fmt, IntFormat)
        assert np.all(np.diff(finite) == fmt.step)


def test_wide_formats_have_limits_but_no_table():
    assert FORMATS["float32"].max == float(np.finfo(np.float32).max)
    assert FORMATS["float32"].min_subnormal == 2.0**-149
    with pytest.raises(ValueError, match="32 bits: values are listed for formats of at most 16"):
        _ = FORMATS["float32"].values


def test_tables_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        FORMATS["e4m3fn"].values[0] = 1.0


def test_one_name_with_two_tables_is_two_formats():
    a, b = TableFormat("mine", table=(0.0, 1.0)), TableFormat("mine", table=(0.0, 3.0))
    assert a != b
    assert a == TableFormat("mine", "another title", table=(0.0, 1.0))
    assert (fp8.round_to(3.0, a), fp8.round_to(3.0, b)) == (1.0, 3.0)
    assert parse_format("table(nan,0,1)") == parse_format("table(nan,0,1)")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NF4", "'NF4' is not a format: did you mean nf4"),
        ("E4M3FN", "did you mean e4m3fn"),
        ("int٥", "'int٥' is not a format"),
        ("table(1e39,1,2)", "1e\\+39 is beyond float32"),
        ("binary1p1", "a signed format has at least 2 bits"),
    ],
)
def test_a_bad_name_says_what_is_wrong(name, words):
    with pytest.raises(ValueError, match=words):
        fp8.parse_format(name)


def test_a_recipe_that_is_nearly_known_is_suggested():
    with pytest.raises(ValueError, match="did you mean mxfp8_e4m3"):
        fp8.parse_recipe("MXFP8_E4M3")
