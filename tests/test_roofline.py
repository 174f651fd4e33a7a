"""Profiles of devices, the roofline, and the sentence that explains a speed."""

from dataclasses import replace

import pytest
import torch

from fp8core import RECIPES, bench, gemm, parse_recipe
from fp8core.bench import BenchCase, BenchResult, Spread
from fp8core.bench.devices import DEVICES, OPERANDS, DeviceProfile
from fp8core.bench.roofline import attainable_tflops, intensity, modelled_ms, nbytes, operand_of, ridge, why
from fp8core.hardware import CUDA_OPERANDS

H100 = DEVICES["h100"]


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_profiles_name_their_source_and_narrower_is_not_slower(device):
    assert device.source and device.memory_gb and device.gb_per_s > 100
    peaks = dict(device.tflops)
    order = [peaks[name] for name in ("float32", "tfloat32", "bfloat16", "float8", "float4") if name in peaks]
    assert order == sorted(order) and "bfloat16" in peaks


def test_nvidia_profiles_have_the_units_of_their_capability():
    for name, capability in (("a100", (8, 0)), ("h100", (9, 0)), ("b200", (10, 0))):
        units = {operand for operand, least in CUDA_OPERANDS.items() if capability >= least}
        assert set(dict(DEVICES[name].tflops)) - {"float32"} == units


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"tflops": (("fp8", 1.0),)}, "operand 'fp8' is not one of float32"),
        ({"tflops": ()}, "operands none"),
        ({"tflops": (("int8", 1.0), ("int8", 2.0))}, "each once"),
        ({"tflops": (("int8", 0.0),)}, "int8 = 0.0: it is a number above 0"),
        ({"gb_per_s": -1.0}, "gb_per_s = -1.0"),
        ({"memory_gb": float("inf")}, "memory_gb = inf"),
    ],
)
def test_bad_profiles_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        DeviceProfile(**{"name": "x", "tflops": (("bfloat16", 1.0),), "gb_per_s": 1.0, **values})


@pytest.mark.parametrize("recipe", ["bfloat16", "tensor_e4m3", "row_e4m3", "mxfp4", "mxfp6_e2m3", "nvfp4", "deepseek_v3_128x128", "int8_row"])
def test_bytes_are_those_of_quantized_matrices(recipe):
    m, n, k = 48, 130, 200
    qa, qb = gemm.operands(torch.randn(m, k), torch.randn(n, k), parse_recipe(recipe))
    assert nbytes(recipe, m, n, k) == qa.nbytes + qb.nbytes + 4 * m * n


def test_the_roof():
    assert ridge(H100, "float8") == pytest.approx(1979 / 3.35)
    assert attainable_tflops(H100, "float8", 1e9) == 1979 and attainable_tflops(H100, "float8", 1.0) == pytest.approx(3.35)
    m = n = k = 8192
    assert intensity("tensor_e4m3", m, n, k) > ridge(H100, "float8")
    assert modelled_ms(H100, "tensor_e4m3", m, n, k) == pytest.approx(2 * m * n * k / 1979e12 * 1e3)
    one_token = modelled_ms(H100, "bfloat16", 1, n, k) / modelled_ms(H100, "mxfp4", 1, n, k)
    assert one_token == pytest.approx(nbytes("bfloat16", 1, n, k) / nbytes("mxfp4", 1, n, k)) and one_token > 3.7
    with pytest.raises(ValueError, match="NVIDIA H100 SXM has no unit for float4: it has float32, tfloat32"):
        ridge(H100, "float4")


@pytest.mark.parametrize(
    ("recipe", "device", "operand"),
    [
        ("tensor_e4m3", "h100", "float8"), ("tensor_e4m3", "a100", "bfloat16"), ("mxfp4", "mi300x", "float8"), ("nvfp4", "b200", "float4"), ("nf4_64", "h100", "bfloat16"),
        ("int8_row", "a100", "int8"), ("int8_row", "gaudi3", "bfloat16"), ("float32", "h100", "float32"), ("float32", "gaudi3", None), ("bfloat16", "h100", "bfloat16"),
        ("tfloat32", "h100", "tfloat32"), ("float16", "gaudi2", None), ("mxfp6_e2m3", "h100", "float8"), ("hif8:tensor", "b200", "bfloat16"), ("e5m10:row", "gaudi2", None),
    ],
)  # fmt: skip
def test_which_unit_takes_a_format(recipe, device, operand):
    assert operand_of(recipe, DEVICES[device]) == operand
    assert operand is None or operand in OPERANDS
    assert (modelled_ms(DEVICES[device], recipe, 64, 64, 64) is None) == (operand is None)


def test_units_take_every_value_of_the_formats_they_are_given():
    """What goes to FP8 or BF16 units is there exactly."""
    for name in RECIPES:
        fmt = parse_recipe(name).fmt
        unit = operand_of(name, DEVICES["b200"])
        if fmt.bits <= 8 and unit == "float8" and fmt.name.startswith("e2m") | fmt.name.startswith("e3m2fn"):
            values = torch.tensor(fmt.finite_values)
            assert any((values.to(torch.float32).to(dtype).to(torch.float64) == values).all() for dtype in (torch.float8_e4m3fn, torch.float8_e5m2))


def result(product=1.0, quantize=0.1, kind="native", recipe="tensor_e4m3", side=1024, m=None, **values):
    spread = Spread(product, product, product)
    return BenchResult(
        BenchCase(m or side, side, side, recipe), "host", kind=kind, product_ms=spread, quantize_a_ms=Spread(quantize, quantize, quantize), quantize_b_ms=Spread(quantize, quantize, quantize),
        end_to_end_ms=Spread(*(product + 2 * quantize,) * 3), peak_tflops=100.0, peak_gb_per_s=1000.0, **values,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (result(3.0, kind="emulated"), "took 3 times as long as BF16, because this processor does not multiply the format itself"),
        (result(0.5, kind="emulated", m=1), "was 2 times faster than BF16, although this processor does not multiply the format itself, because 2 times fewer bytes"),
        (result(0.5, kind="emulated"), "what was compared with it is slow here"),
        (result(1.01, kind="emulated"), "as fast as BF16, because this processor does not multiply"),
        (result(0.5), "2 times faster than BF16, because this processor multiplies the format itself"),
        (result(0.5, m=1), "because 2 times fewer bytes were moved, and with so few operations per byte"),
        (result(0.5, quantize=2.0), "in the product alone, but quantizing both matrices took 89%"),
        (result(0.01), "took 1.2 times as long"),
        (result(2.0, m=1), "because with so few operations per byte the memory is the limit"),
        (result(2.0), "its kernel does not reach the speed of that of BF16"),
        (replace(result(), refusal="it would take too long"), "there is nothing to compare, because it would take too long"),
    ],
)
def test_the_sentence_says_why(measured, words):
    base = 0.008 if measured.product_ms.median == 0.01 else 1.0
    sentence = why(measured, result(base, recipe="bfloat16", m=measured.case.m))
    assert words in sentence and sentence.endswith(".") and sentence.startswith("E4M3 per tensor")


def test_a_short_product_is_said_to_be_short():
    assert "10 µs are too short" in why(result(0.01), result(0.008, recipe="bfloat16"))


def test_a_real_run_is_explained():
    results = bench.run_many([BenchCase(64, 64, 64, name, repeats=1) for name in ("bfloat16", "mxfp4")])
    assert "BF16" in why(results[1], results[0])
