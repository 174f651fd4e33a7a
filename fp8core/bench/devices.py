"""What machines that are not here could do at most, by their makers' figures. Nothing of it is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fp8core.hardware import CPU_OPERANDS

OPERANDS = ("float32", *CPU_OPERANDS)


@dataclass(frozen=True)
class DeviceProfile:
    """Peaks of one device.

    Args:
        tflops: pairs of an operand (`float32` or a key of `hardware.CPU_OPERANDS`) and its peak in 10^12 operations per second, for dense matrices. An operand
            that is missing has no unit of its own.
        gb_per_s: of its memory, in 10^9 bytes per second.
        memory_gb: in 10^9 bytes.
        source: where the figures are from.

    Raises:
        ValueError: an unknown operand, or one that is there twice; no operand; a figure that is not above 0.
    """

    name: str
    tflops: tuple[tuple[str, float], ...]
    gb_per_s: float
    memory_gb: float | None = None
    source: str = ""

    def __post_init__(self):
        names = [operand for operand, _ in self.tflops]
        if unknown := [operand for operand in names if operand not in OPERANDS]:
            raise ValueError(f"operand {unknown[0]!r} is not one of {', '.join(OPERANDS)}")
        if not names or len(names) != len(set(names)):
            raise ValueError(f"operands {', '.join(names) or 'none'}: there is at least one, and each once")
        for what, value in (*self.tflops, ("gb_per_s", self.gb_per_s), *((("memory_gb", self.memory_gb),) if self.memory_gb is not None else ())):
            if not 0 < value < math.inf:
                raise ValueError(f"{what} = {value!r}: it is a number above 0")

    def peak(self, operand: str) -> float | None:
        """TFLOP/s of an operand; None where the device has no unit for it."""
        return dict(self.tflops).get(operand)


_SPARSE = "half of the figures that are given for sparse matrices"

DEVICES: dict[str, DeviceProfile] = {
    "a100": DeviceProfile(
        "NVIDIA A100 SXM 80 GB", (("float32", 19.5), ("tfloat32", 156.0), ("bfloat16", 312.0), ("float16", 312.0), ("int8", 624.0)), 2039.0, 80.0,
        "NVIDIA, A100 Tensor Core GPU data sheet",
    ),
    "h100": DeviceProfile(
        "NVIDIA H100 SXM", (("float32", 67.0), ("tfloat32", 494.5), ("bfloat16", 989.5), ("float16", 989.5), ("int8", 1979.0), ("float8", 1979.0)), 3350.0, 80.0,
        f"NVIDIA, H100 Tensor Core GPU data sheet, {_SPARSE}",
    ),
    "h200": DeviceProfile(
        "NVIDIA H200 SXM", (("float32", 67.0), ("tfloat32", 494.5), ("bfloat16", 989.5), ("float16", 989.5), ("int8", 1979.0), ("float8", 1979.0)), 4800.0, 141.0,
        f"NVIDIA, H200 Tensor Core GPU data sheet, {_SPARSE}",
    ),
    "b200": DeviceProfile(
        "NVIDIA B200", (("float32", 75.0), ("tfloat32", 1125.0), ("bfloat16", 2250.0), ("float16", 2250.0), ("int8", 4500.0), ("float8", 4500.0), ("float4", 9000.0)), 8000.0, 180.0,
        f"NVIDIA, HGX B200 and DGX B200 data sheets, an eighth of the system's figures and {_SPARSE}",
    ),
    "mi300x": DeviceProfile(
        "AMD MI300X", (("float32", 163.4), ("tfloat32", 653.7), ("bfloat16", 1307.4), ("float16", 1307.4), ("int8", 2614.9), ("float8", 2614.9)), 5300.0, 192.0,
        "AMD, Instinct MI300X data sheet",
    ),
    "mi355x": DeviceProfile(
        "AMD MI355X", (("float32", 157.3), ("bfloat16", 2516.6), ("float16", 2516.6), ("int8", 5033.2), ("float8", 5033.2), ("float4", 10066.3)), 8000.0, 288.0,
        "AMD, Instinct MI355X data sheet",
    ),
    "gaudi2": DeviceProfile("Intel Gaudi 2", (("bfloat16", 432.0), ("float8", 865.0)), 2460.0, 96.0, "Intel, Gaudi 3 AI Accelerator white paper, comparison with Gaudi 2"),
    "gaudi3": DeviceProfile("Intel Gaudi 3", (("bfloat16", 1835.0), ("float8", 1835.0)), 3700.0, 128.0, "Intel, Gaudi 3 AI Accelerator white paper"),
    "tpu_v5e": DeviceProfile("Google TPU v5e", (("bfloat16", 197.0), ("int8", 393.0)), 800.0, 16.0, "docs.cloud.google.com/tpu/docs/v6e, the column of v5e"),
    "tpu_v6e": DeviceProfile("Google TPU v6e", (("bfloat16", 918.0), ("int8", 1836.0)), 1600.0, 32.0, "docs.cloud.google.com/tpu/docs/v6e"),
    "tpu7x": DeviceProfile("Google TPU7x", (("bfloat16", 2307.0), ("float8", 4614.0)), 7380.0, 206.0, "docs.cloud.google.com/tpu/docs/tpu7x; 192 GiB"),
}  # fmt: skip
