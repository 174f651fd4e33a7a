"""Accelerators by their data sheets: how many operations and how many bytes per second each could do at most.

These are what vendors state, never measurements. Peaks are dense: where a vendor gives a figure "with sparsity" (two of four numbers zero),
it is halved here, and the source says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from fp8core.hardware import CPU_OPERANDS

OPERANDS: tuple[str, ...] = ("float32", *CPU_OPERANDS)


@dataclass(frozen=True)
class DeviceProfile:
    """What a data sheet says of one accelerator.

    Args:
        tflops: dense peak of matrix products in 10^12 operations per second, by operand (one of `OPERANDS`); a mapping or pairs, kept as
            pairs. An operand that the vendor gives no figure for is not there.
        gb_per_s: peak of the memory, in 10^9 bytes per second.
        memory_gib: capacity as the vendor states it; GB of stacked memory are mostly powers of two, so GiB.
        source: the document, and what was done to its figures.

    Raises:
        ValueError: no name or source, an unknown operand, no operand at all, or a number that is not positive and finite.

    >>> DEVICES["H100 SXM"].peak("float8")
    1979.0
    """

    name: str
    tflops: Mapping[str, float] | tuple[tuple[str, float], ...]
    gb_per_s: float
    memory_gib: float
    source: str

    def __post_init__(self):
        for field in ("name", "source"):
            if not getattr(self, field):
                raise ValueError(f"{field} = {getattr(self, field)!r}: a device has a name and a source")
        pairs = tuple(self.tflops.items() if isinstance(self.tflops, Mapping) else self.tflops)
        if not pairs:
            raise ValueError(f"tflops = {self.tflops!r}: a device has the peak of at least one of {', '.join(OPERANDS)}")
        for operand, _ in pairs:
            if operand not in OPERANDS:
                raise ValueError(f"operand {operand!r} is not one of {', '.join(OPERANDS)}")
        if len(dict(pairs)) < len(pairs):
            raise ValueError(f"tflops = {pairs!r}: each operand has one peak")
        for field, value in (*((f"tflops of {operand}", peak) for operand, peak in pairs), ("gb_per_s", self.gb_per_s), ("memory_gib", self.memory_gib)):
            if not 0 < value < math.inf:
                raise ValueError(f"{field} = {value!r}: it is a finite number above 0")
        object.__setattr__(self, "tflops", pairs)

    @property
    def operands(self) -> tuple[str, ...]:
        """The operands that there is a peak of."""
        return tuple(operand for operand, _ in self.tflops)

    def peak(self, operand: str) -> float:
        """Return the dense peak in TFLOP/s.

        Raises:
            ValueError: the device has no figure for this operand.
        """
        if operand not in self.operands:
            raise ValueError(f"operand {operand!r}: the source of {self.name} gives {', '.join(self.operands)} only")
        return dict(self.tflops)[operand]


_HALVED = "; figures with sparsity halved"
_HOPPER = {"float32": 67.0, "tfloat32": 494.5, "bfloat16": 989.5, "float16": 989.5, "int8": 1979.0, "float8": 1979.0}
_GOOGLE = "Google Cloud documentation, "

_PROFILES = (
    DeviceProfile(
        "A100 SXM 80GB",
        {"float32": 19.5, "tfloat32": 156.0, "bfloat16": 312.0, "float16": 312.0, "int8": 624.0},
        2039.0,
        80.0,
        "NVIDIA A100 Tensor Core GPU data sheet; its dense figures",
    ),
    DeviceProfile("H100 SXM", _HOPPER, 3350.0, 80.0, "NVIDIA H100 Tensor Core GPU data sheet" + _HALVED),
    DeviceProfile("H200 SXM", _HOPPER, 4800.0, 141.0, "NVIDIA H200 Tensor Core GPU data sheet" + _HALVED),
    DeviceProfile(
        "B200",
        {"float32": 80.0, "tfloat32": 1100.0, "bfloat16": 2250.0, "float16": 2250.0, "int8": 4500.0, "float8": 4500.0, "float4": 9000.0},
        8000.0,
        192.0,
        "NVIDIA Blackwell Architecture Technical Brief, HGX B200 at 1000 W" + _HALVED,
    ),
    DeviceProfile(
        "MI300X",
        {"float32": 163.4, "tfloat32": 653.7, "bfloat16": 1307.4, "float16": 1307.4, "int8": 2614.9, "float8": 2614.9},
        5300.0,
        192.0,
        "AMD Instinct MI300X data sheet; its dense figures",
    ),
    DeviceProfile(
        "MI355X",
        {"bfloat16": 2516.6, "float16": 2516.6, "int8": 5033.2, "float8": 5033.2, "float4": 10066.3},
        8000.0,
        288.0,
        "AMD Instinct MI355X data sheet; dense: FP8 is 256 compute units of 8192 operations per clock at 2.4 GHz, FP16 half of it, MXFP4 twice",
    ),
    DeviceProfile("Gaudi 2", {"bfloat16": 432.0, "float8": 865.0}, 2450.0, 96.0, "Intel Gaudi 3 AI Accelerator White Paper, comparison with Gaudi 2; matrix engines, dense"),
    DeviceProfile(
        "Gaudi 3",
        {"float32": 229.0, "tfloat32": 459.0, "bfloat16": 1835.0, "float16": 459.0, "float8": 1835.0},
        3700.0,
        128.0,
        "Intel Gaudi 3 AI Accelerator White Paper; matrix engines, dense. Cards that run at 1.6 in place of 1.75 GHz reach 1678 in BF16 and FP8",
    ),
    DeviceProfile("TPU v5e", {"bfloat16": 197.0, "int8": 393.0}, 819.0, 16.0, _GOOGLE + "TPU v5e; dense"),
    DeviceProfile("TPU v6e", {"bfloat16": 918.0, "int8": 1836.0}, 1638.0, 32.0, _GOOGLE + "TPU v6e (Trillium); dense; its FP8 figure is that of BF16"),
    DeviceProfile("TPU7x", {"bfloat16": 2307.0, "float8": 4614.0}, 7380.0, 192.0, _GOOGLE + "TPU7x (Ironwood); dense"),
)

DEVICES: dict[str, DeviceProfile] = {profile.name: profile for profile in _PROFILES}


def parse_peaks(text: str) -> DeviceProfile | None:
    """Read figures that replace those of a device -> its profile with them; None for an empty text.

    The text is NAME:FIGURE=VALUE,…, each figure `gb_per_s` or an operand that the device has.

    Raises:
        ValueError: another form, an unknown device or figure, a figure twice, or a value that is not positive and finite.

    >>> parse_peaks("B200:gb_per_s=4000,float8=1000").peak("float8")
    1000.0
    """
    if not text:
        return None
    name, _, figures = text.partition(":")
    if name not in DEVICES:
        raise ValueError(f"device {name!r} is not one of {', '.join(DEVICES)}")
    changed: dict[str, float] = {}
    for part in figures.split(","):
        figure, _, value = part.partition("=")
        if figure not in ("gb_per_s", *DEVICES[name].operands) or figure in changed:
            raise ValueError(f"{figure!r} is not one of gb_per_s, {', '.join(DEVICES[name].operands)}, each at most once")
        changed[figure] = float(value)
    gb_per_s = changed.pop("gb_per_s", DEVICES[name].gb_per_s)
    return replace(DEVICES[name], tflops=dict(DEVICES[name].tflops) | changed, gb_per_s=gb_per_s, source=DEVICES[name].source + ", changed by hand")


def write_peaks(profile: DeviceProfile) -> str:
    """Write where a profile differs from the device of its name, as `parse_peaks` reads it; empty where it does not.

    Raises:
        ValueError: its name is not one of `DEVICES`.

    >>> write_peaks(replace(DEVICES["B200"], gb_per_s=4000.0)), write_peaks(DEVICES["B200"])
    ('B200:gb_per_s=4000.0', '')
    """
    if profile.name not in DEVICES:
        raise ValueError(f"device {profile.name!r} is not one of {', '.join(DEVICES)}")
    device = DEVICES[profile.name]
    now, before = ({"gb_per_s": each.gb_per_s, **dict(each.tflops)} for each in (profile, device))
    changed = [f"{figure}={value!r}" for figure, value in now.items() if before.get(figure) != value]
    return f"{profile.name}:{','.join(changed)}" if changed else ""
