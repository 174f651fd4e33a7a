"""The roofline: bytes as they are stored, bounds that meet at the ridge, and a sentence for every way in which a product can turn out."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
import torch

from fp8core import FORMATS, RECIPES, gemm
from fp8core.bench import BenchCase, BenchResult, Spread, run_many
from fp8core.bench.devices import DEVICES, OPERANDS, DeviceProfile
from fp8core.bench.peaks import Peaks
from fp8core.bench.roofline import OPERAND_BITS, OPERAND_TITLES, attainable_tflops, intensity, modelled_ms, nbytes, operand_of, ridge, why

H100 = DEVICES["H100 SXM"]
# 100 TFLOP/s of BF16 and 1000 GB/s: the ridge of BF16 is at 100 operations per byte, that of FP8 at 200.
PEAKS = Peaks(100.0, 1000.0)


@pytest.mark.parametrize("name", RECIPES)
def test_bytes_are_those_of_the_quantized_matrices(name):
    a, b_rows = (torch.randn(rows, 160, generator=torch.Generator().manual_seed(rows)) for rows in (33, 20))
    qa, qb = gemm.operands(a, b_rows, RECIPES[name], seed=0)
    assert nbytes(name, 33, 20, 160) == qa.nbytes + qb.nbytes + 4 * 33 * 20


def test_bytes_are_those_of_the_benchmark():
    case = BenchCase(32, 48, 64, "mxfp8_e4m3", repeats=1)
    (result,) = run_many([case])
    assert result.gb_per_s * result.product_ms.median * 1e6 == pytest.approx(nbytes("mxfp8_e4m3", 32, 48, 64))


def test_a_narrower_result_has_fewer_bytes():
    assert nbytes("bfloat16", 8, 16, 32) == 2 * 32 * (8 + 16) + 4 * 8 * 16
    assert nbytes("bfloat16", 8, 16, 32, result_bytes=2) == 2 * 32 * (8 + 16) + 2 * 8 * 16
    assert intensity("bfloat16", 8, 16, 32) == 2 * 8 * 16 * 32 / 2048
    assert intensity("bfloat16", 8, 16, 32, result_bytes=2) == 2 * 8 * 16 * 32 / 1792


@pytest.mark.parametrize(("shape", "words"), [((0, 1, 1), "m = 0"), ((1, -1, 1), "n = -1"), ((1, 1, 2.5), "k = 2.5")])
def test_a_product_has_whole_sides(shape, words):
    with pytest.raises(ValueError, match=f"{words}: it is a whole number of at least 1"):
        nbytes("float32", *shape)


@pytest.mark.parametrize("profile", DEVICES.values(), ids=DEVICES)
def test_memory_and_units_meet_at_the_ridge(profile):
    for operand in profile.operands:
        edge = ridge(profile, operand)
        assert attainable_tflops(profile, operand, edge) == pytest.approx(profile.peak(operand))
        assert attainable_tflops(profile, operand, 10 * edge) == profile.peak(operand)
        assert attainable_tflops(profile, operand, edge / 10) == pytest.approx(profile.peak(operand) / 10)


def test_ridge_of_the_h100():
    """295 operations per byte in BF16: 989.5e12 over 3.35e12."""
    assert ridge(H100, "bfloat16") == pytest.approx(295.4, abs=0.1)


@pytest.mark.parametrize("shape", [(8192, 8192, 8192), (1, 8192, 8192), (4096, 4096, 16)])
def test_the_modelled_time_is_the_longer_of_work_and_bytes(shape):
    m, n, k = shape
    work_s, bytes_s = 2 * m * n * k / 1979e12, nbytes("tensor_e4m3", m, n, k) / 3350e9
    assert modelled_ms(H100, "float8", "tensor_e4m3", m, n, k) == pytest.approx(1e3 * max(work_s, bytes_s))
    assert modelled_ms(H100, "float8", "tensor_e4m3", m, n, k, result_bytes=2) <= modelled_ms(H100, "float8", "tensor_e4m3", m, n, k)


def test_a_large_product_gains_from_units_and_a_small_batch_from_bytes():
    large, decode = ((8192, 8192, 8192), (1, 8192, 8192))
    assert modelled_ms(H100, "bfloat16", "bfloat16", *large) / modelled_ms(H100, "float8", "tensor_e4m3", *large) == pytest.approx(2.0)
    assert modelled_ms(H100, "bfloat16", "bfloat16", *decode) / modelled_ms(H100, "bfloat16", "int4_1x128", *decode) == pytest.approx(16 / 4.25, rel=0.01)


@pytest.mark.parametrize(
    ("recipe", "device", "operand"),
    [
        ("tensor_e4m3", "H100 SXM", "float8"),
        ("mxfp8_e5m2", "TPU7x", "float8"),
        ("e4m3fnuz", "MI300X", "float8"),
        ("tensor_e4m3", "A100 SXM 80GB", "bfloat16"),
        ("nvfp4", "B200", "float4"),
        ("mxfp4", "Gaudi 3", "float8"),
        ("mxfp4", "TPU v6e", "bfloat16"),
        ("mxfp6_e2m3", "B200", "float8"),
        ("int8_row", "TPU v5e", "int8"),
        ("int4_1x128", "H100 SXM", "int8"),
        ("mxint8", "A100 SXM 80GB", "int8"),
        ("int8_row", "Gaudi 2", "bfloat16"),
        ("nf4_64", "H100 SXM", "bfloat16"),
        ("hif8_cast", "B200", "bfloat16"),
        ("bfloat16", "TPU7x", "bfloat16"),
        ("float16", "MI355X", "float16"),
        ("tfloat32", "H100 SXM", "tfloat32"),
        ("float32", "H100 SXM", "float32"),
        ("e6m9", "H100 SXM", "float32"),
    ],
)
def test_the_narrowest_unit_that_takes_the_format(recipe, device, operand):
    assert operand_of(recipe, DEVICES[device]) == operand


def test_no_unit_takes_the_format():
    with pytest.raises(ValueError, match="recipe 'float16' needs units for float16 or float32: the source of TPU7x gives bfloat16, float8 only"):
        operand_of("float16", DEVICES["TPU7x"])


def values_of(name: str, bits: int) -> np.ndarray:
    values = np.arange(1 << bits, dtype=np.uint16 if bits == 16 else np.uint8).view(getattr(ml_dtypes, name))
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return values[np.isfinite(values)].astype(np.float64)


UNIT_VALUES = {
    "float4": [values_of("float4_e2m1fn", 4)],
    "float8": [values_of(f"float8_{name}", 8) for name in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz")],
    "int8": [np.arange(-128.0, 128.0)],
    "bfloat16": [values_of("bfloat16", 16)],
}


@pytest.mark.parametrize("name", [name for name, fmt in FORMATS.items() if fmt.bits <= 8 and name != "nf4"])
def test_units_take_every_value_of_the_format(name):
    """With some power of two as a scale."""
    for dropped in ("", "float4", "int8", "float8"):
        units = DeviceProfile("units", dict.fromkeys({"float4", "int8", "float8", "bfloat16"} - {dropped}, 1.0), 1.0, 1.0, "made up")
        held = UNIT_VALUES[operand_of(name, units)]
        assert any(np.isin(FORMATS[name].finite_values * 2.0**power, values).all() for values in held for power in (0, 6, -1))


def test_operands_have_titles_and_widths():
    assert set(OPERAND_TITLES) == set(OPERAND_BITS) == set(OPERANDS)


def result(recipe, product_ms, kind="native", kernel="", shape=(1024, 1024, 1024), quantize_ms=0.0, **fields) -> BenchResult:
    m, n, k = shape
    spread = Spread(product_ms, product_ms, product_ms)
    half = Spread(quantize_ms / 2, quantize_ms / 2, quantize_ms / 2)
    return BenchResult(BenchCase(m, n, k, recipe), "a host", kind=kind, kernel=kernel, product_ms=spread, quantize_a_ms=half, quantize_b_ms=half, **fields)


BF16 = result("bfloat16", 4.0, kernel="bfloat16_float32")
FP8 = {"recipe": "tensor_e4m3", "kernel": "fp8_tensor"}
DECODE = {"shape": (8, 4096, 4096)}

SENTENCES = {
    "refused": (
        BenchResult(BenchCase(recipe="tensor_e4m3"), "a host", refusal="one product would take about 64 s here; the limit is 20 s"),
        BF16, None, "FP8 E4M3 was not measured: one product would take about 64 s here; the limit is 20 s.",
    ),
    "no time": (BenchResult(BenchCase(recipe="tensor_e4m3"), "a host"), BF16, None, "FP8 E4M3 was not measured: there is no time."),
    "no baseline": (result(product_ms=2.0, **FP8), None, None, "There is no time of BF16 of this size in this run that FP8 E4M3 could be compared with."),
    "baseline refused": (
        result(product_ms=2.0, **FP8), BenchResult(BenchCase(recipe="bfloat16"), "a host", refusal="no"),
        None, "There is no time of BF16 of this size in this run that FP8 E4M3 could be compared with.",
    ),
    "the baseline": (BF16, BF16, None, "This is BF16 itself, with which the others are compared."),
    "emulated, slower": (
        result(product_ms=12.8, kind="emulated", **FP8), BF16, None,
        "This processor has no FP8 units, so that FP8 E4M3 is converted to wider numbers first: 3.2 times the time of BF16.",
    ),
    "emulated on a GPU, by a kernel of long ago": (
        result("mxfp4", 4.1, kind="emulated", kernel="gone", device="cuda"), replace(BF16, device="cuda"), None,
        "This GPU has no FP4 units, so that FP4 E2M1 is converted to wider numbers first: as fast as BF16.",
    ),
    "converted by the kernel, slower": (
        result("nvfp4", 8.0, kind="emulated", kernel="dequantize_float32"), BF16, PEAKS,
        "The kernel dequantize_float32 converts FP4 E2M1 to FP32 before it multiplies: 2.0 times the time of BF16.",
    ),
    "emulated, faster as there are fewer bytes": (
        result("mxfp4", 2.0, kind="emulated", kernel="triton_codes", device="cuda", **DECODE), result("bfloat16", 4.0, **DECODE), None,
        "The kernel triton_codes converts FP4 E2M1 to BF16 before it multiplies, and yet it is 2.0 times as fast as BF16: with a side of only 8 the time goes into moving numbers, and there are 27 % of the bytes to read and write.",
    ),
    "emulated, faster below the measured ridge": (
        result("tensor_e4m3", 2.0, kind="emulated", kernel="triton_codes", device="cuda", shape=(100, 4096, 4096)), result("bfloat16", 4.0, shape=(100, 4096, 4096)), PEAKS,
        "The kernel triton_codes converts FP8 E4M3 to BF16 before it multiplies, and yet it is 2.0 times as fast as BF16: with a side of only 100 the time goes into moving numbers, and there are 52 % of the bytes to read and write.",
    ),
    "emulated, faster than BF16 that is emulated too": (
        result(product_ms=2.0, kind="emulated", **FP8), replace(BF16, kind="emulated"), None,
        "This processor has no FP8 units, so that FP8 E4M3 is converted to wider numbers first, but so is BF16 here, and at greater cost: 2.0 times as fast as BF16.",
    ),
    "emulated, faster without a reason": (
        result(product_ms=2.0, kind="emulated", **FP8), BF16, PEAKS,
        "This processor has no FP8 units, so that FP8 E4M3 is converted to wider numbers first, and yet it is 2.0 times as fast as BF16, which neither its units nor its bytes explain; the BF16 kernel may be slow at this size.",
    ),
    "native, faster": (
        result(product_ms=2.5, **FP8), BF16, None,
        "FP8 E4M3 on the FP8 units of this processor is 1.6 times as fast as BF16, 80 % of the 2.0 times that units for 8 bits in place of 16 would allow.",
    ),
    "native, four bits": (
        result("nvfp4", 2.0, kernel="scaled_nvfp4", device="cuda"), BF16, None,
        "FP4 E2M1 on the FP4 units of this GPU is 2.0 times as fast as BF16, 50 % of the 4.0 times that units for 4 bits in place of 16 would allow.",
    ),
    "native, faster, the units are the limit": (
        result(product_ms=2.5, shape=(4096, 4096, 4096), **FP8), result("bfloat16", 4.0, shape=(4096, 4096, 4096)), PEAKS,
        "FP8 E4M3 on the FP8 units of this processor is 1.6 times as fast as BF16, 80 % of the 2.0 times that units for 8 bits in place of 16 would allow.",
    ),
    "native, faster, memory is the limit": (
        result(product_ms=2.5, **FP8, **DECODE), result("bfloat16", 4.0, **DECODE), PEAKS,
        "FP8 E4M3 on the FP8 units of this processor is 1.6 times as fast as BF16, 80 % of the 2.0 times that memory traffic would allow.",
    ),
    "native, faster alone": (
        result(product_ms=2.0, quantize_ms=3.0, **FP8), BF16, PEAKS,
        "FP8 E4M3 on the FP8 units of this processor makes the product alone 2.0 times as fast as BF16; quantizing both matrices takes 60 % of the time, which a program pays for every new matrix, for weights only once.",
    ),
    "native, faster than BF16 that is emulated": (
        result("int8_row", 1.0, kernel="int8"), replace(BF16, kind="emulated"), None,
        "This processor multiplies INT8 itself, while BF16 is converted to wider numbers first: 4.0 times as fast as BF16.",
    ),
    "native, too small": (
        result(product_ms=0.012, shape=(64, 64, 64), **FP8), result("bfloat16", 0.012, shape=(64, 64, 64)), PEAKS,
        "FP8 E4M3 on the FP8 units of this processor is as fast as BF16: the product takes 12 µs, too small to fill the machine.",
    ),
    "native, the result is the traffic": (
        result(product_ms=4.0, shape=(4096, 4096, 128), **FP8), result("bfloat16", 4.0, shape=(4096, 4096, 128)), PEAKS,
        "FP8 E4M3 on the FP8 units of this processor is as fast as BF16: memory is the limit, and 98 % of the bytes are the FP32 result, which no format makes smaller.",
    ),
    "native, the result is the traffic, no peaks": (
        result(product_ms=4.0, shape=(4096, 4096, 64), **FP8), result("bfloat16", 4.0, shape=(4096, 4096, 64)), None,
        "FP8 E4M3 on the FP8 units of this processor is as fast as BF16: memory is the limit, and 99 % of the bytes are the FP32 result, which no format makes smaller.",
    ),
    "native, slower though there are fewer bytes": (
        result(product_ms=8.0, **FP8, **DECODE), result("bfloat16", 4.0, **DECODE), PEAKS,
        "FP8 E4M3 on the FP8 units of this processor takes 2.0 times the time of BF16: memory is the limit, and the kernel fp8_tensor moves 2 of the 1000 GB/s that this memory reaches.",
    ),
    "native, slow kernel": (
        result(product_ms=0.1, shape=(1024, 1024, 1024), **FP8), result("bfloat16", 0.1), PEAKS,
        "FP8 E4M3 on the FP8 units of this processor is as fast as BF16: the kernel fp8_tensor reaches 21.5 TFLOP/s where such units could reach 200.",
    ),
    "native, slow kernel, no peaks": (
        result(product_ms=4.0, **FP8), BF16, None,
        "FP8 E4M3 on the FP8 units of this processor is as fast as BF16: the kernel fp8_tensor makes poor use of the units at this size.",
    ),
    "as wide": (
        result("float16", 4.1, kernel="float16"), BF16, None,
        "FP16 has 16 bits as BF16 has, so that neither bytes nor work are saved; it is as fast as BF16.",
    ),
    "wider": (
        result("float32", 8.8, kernel="float32"), BF16, None,
        "FP32 has 32 bits where BF16 has 16: more bytes and wider units; it takes 2.2 times the time of BF16.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("measured", "baseline", "peaks", "sentence"), SENTENCES.values(), ids=SENTENCES)
def test_why(measured, baseline, peaks, sentence):
    assert why(measured, baseline, peaks) == sentence


def test_quantizing_counts_from_where_it_takes_more_than_is_saved():
    assert "quantizing" not in why(result(product_ms=2.0, quantize_ms=1.9, **FP8), BF16)
    assert "quantizing" in why(result(product_ms=2.0, quantize_ms=2.1, **FP8), BF16)
    assert "quantizing" not in why(replace(result(product_ms=2.0, quantize_ms=2.1, **FP8), quantize_b_ms=None), BF16)


def test_a_measured_run_has_a_sentence_for_each():
    results = run_many([BenchCase(32, 32, 32, recipe, repeats=1) for recipe in ("bfloat16", "tensor_e4m3", "mxfp4", "int8_row", "float32")])
    for measured in results:
        sentence = why(measured, results[0], PEAKS)
        assert sentence.endswith(".") and sentence.count(". ") == 0


@pytest.mark.parametrize("other", [result("float16", 4.0), result("bfloat16", 4.0, **DECODE)])
def test_the_baseline_is_bfloat16_of_the_same_size(other):
    with pytest.raises(ValueError, match=r"it is 'bfloat16' of shape \(1024, 1024, 1024\)"):
        why(result(product_ms=2.0, **FP8), other)
