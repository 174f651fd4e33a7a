"""Data sheets of accelerators: every figure has a source, and what contradicts itself is refused."""

import math
from itertools import pairwise

import pytest

from fp8core.bench.devices import DEVICES, OPERANDS, DeviceProfile
from fp8core.hardware import CPU_OPERANDS

PROFILE = {"name": "a device", "tflops": {"bfloat16": 100.0, "float8": 200.0}, "gb_per_s": 1000.0, "memory_gib": 80.0, "source": "a data sheet"}

# Dense peak of BF16 in TFLOP/s and GB/s of the memory, once more, as other tables have them.
# Source: Machine Learning Engineering (github.com/stas00/ml-engineering), comparison tables; for MI355X rooflinenotes.dev; for Gaudi 3 what
# the press had at its launch; for TPU v6e and TPU7x their maker's own table, as there is no other. Rounded as there.
ELSEWHERE = {
    "A100 SXM 80GB": (312, 2000),
    "H100 SXM": (989, 3350),
    "H200 SXM": (989, 4800),
    "B200": (2250, 8000),
    "MI300X": (1300, 5300),
    "MI355X": (2500, 8000),
    "Gaudi 2": (432, 2450),
    "Gaudi 3": (1835, 3700),
    "TPU v5e": (197, 819),
    "TPU v6e": (918, 1638),
    "TPU7x": (2307, 7380),
}


def test_operands_are_those_of_the_hardware():
    assert set(OPERANDS) == {"float32", *CPU_OPERANDS}


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_is_what_other_tables_say(name):
    tflops, gb_per_s = ELSEWHERE[name]
    assert DEVICES[name].peak("bfloat16") == pytest.approx(tflops, rel=0.01)
    assert DEVICES[name].gb_per_s == pytest.approx(gb_per_s, rel=0.02)
    assert DEVICES[name].name == name and DEVICES[name].source


@pytest.mark.parametrize("profile", DEVICES.values(), ids=DEVICES)
def test_narrower_operands_are_no_slower(profile):
    """A figure with sparsity among dense ones would show as a step of four."""
    peaks = [profile.peak(operand) for operand in ("bfloat16", "float8", "float4") if operand in profile.operands]
    steps = [after / before for before, after in pairwise(peaks)]
    assert all(1 <= step <= 2.01 for step in steps)
    if {"int8", "float8"} <= set(profile.operands):
        assert profile.peak("int8") == profile.peak("float8")


def test_compute_units_and_clocks_give_the_peaks():
    """Source: AMD CDNA 3 and CDNA 4 architecture: units, operations per clock and unit, clock."""
    assert DEVICES["MI300X"].peak("float8") == pytest.approx(304 * 4096 * 2.1e9 / 1e12, abs=0.1)
    assert DEVICES["MI355X"].peak("float8") == pytest.approx(256 * 8192 * 2.4e9 / 1e12, abs=0.1)
    assert DEVICES["Gaudi 3"].peak("bfloat16") == pytest.approx(8 * 256 * 256 * 2 * 1.75e9 / 1e12, rel=0.001)


def test_a_profile_is_hashable_and_equal_however_its_peaks_are_written():
    from_pairs = DeviceProfile(**{**PROFILE, "tflops": (("bfloat16", 100.0), ("float8", 200.0))})
    assert DeviceProfile(**PROFILE) == from_pairs and hash(DeviceProfile(**PROFILE)) == hash(from_pairs)
    assert len(set(DEVICES.values())) == len(DEVICES)
    assert from_pairs.operands == ("bfloat16", "float8") and from_pairs.peak("float8") == 200.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "name = '': a device has a name and a source"),
        ({"source": ""}, "source = '': a device has a name and a source"),
        ({"tflops": {}}, "tflops = {}: a device has the peak of at least one of float32, "),
        ({"tflops": {"float9": 1.0}}, "operand 'float9' is not one of float32, bfloat16"),
        ({"tflops": (("int8", 1.0), ("int8", 2.0))}, "each operand has one peak"),
        ({"tflops": {"int8": 0.0}}, "tflops of int8 = 0.0: it is a finite number above 0"),
        ({"gb_per_s": -1.0}, "gb_per_s = -1.0: it is a finite number above 0"),
        ({"gb_per_s": math.inf}, "gb_per_s = inf"),
        ({"memory_gib": math.nan}, "memory_gib = nan"),
    ],
)
def test_what_is_no_device_is_refused(changes, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        DeviceProfile(**{**PROFILE, **changes})


def test_a_peak_that_the_source_does_not_give_is_refused():
    with pytest.raises(ValueError, match="operand 'float8': the source of A100 SXM 80GB gives float32, tfloat32, bfloat16, float16, int8 only"):
        DEVICES["A100 SXM 80GB"].peak("float8")
