"""What this host has: processor, memory, GPU, and which number formats it multiplies in hardware."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

# What each flag of /proc/cpuinfo means for matrix products; the page lists these and no others.
CPU_FLAGS: dict[str, str] = {
    "avx2": "256-bit vectors",
    "f16c": "converts float16 to float32 and back",
    "avx_vnni": "int8 dot products, 256 bits",
    "avx512f": "512-bit vectors",
    "avx512_vnni": "int8 dot products, 512 bits",
    "avx512_bf16": "bfloat16 dot products, 512 bits",
    "avx512_fp16": "float16 arithmetic, 512 bits",
    "amx_tile": "matrix tiles",
    "amx_int8": "int8 matrix products",
    "amx_bf16": "bfloat16 matrix products",
    "amx_fp16": "float16 matrix products",
    "amx_fp8": "FP8 matrix products",
    "avx10_2": "AVX10.2: converts FP8",
    "asimd": "128-bit vectors (Arm)",
    "asimdhp": "float16 arithmetic (Arm)",
    "asimddp": "int8 dot products (Arm)",
    "i8mm": "int8 matrix products (Arm)",
    "bf16": "bfloat16 matrix products (Arm)",
    "sve": "scalable vectors (Arm)",
}

# Any one of these flags, and the processor multiplies these operands itself.
CPU_OPERANDS: dict[str, tuple[str, ...]] = {
    "bfloat16": ("avx512_bf16", "amx_bf16", "bf16"),
    "float16": ("avx512_fp16", "amx_fp16", "asimdhp"),
    "int8": ("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"),
    "float8": ("amx_fp8",),
    "float4": (),
    "tfloat32": (),
}

# Smallest compute capability whose tensor cores take these operands. Source: NVIDIA, CUDA C++ Programming Guide, "Compute Capabilities".
CUDA_OPERANDS: dict[str, tuple[int, int]] = {"float16": (7, 0), "int8": (7, 5), "bfloat16": (8, 0), "tfloat32": (8, 0), "float8": (8, 9), "float4": (10, 0)}

# The same for AMD, by the name of the architecture. Source: ROCm documentation, "Data types and precision support".
HIP_OPERANDS: dict[str, tuple[str, ...]] = {
    "float16": ("gfx908", "gfx90a", "gfx942", "gfx950"),
    "int8": ("gfx908", "gfx90a", "gfx942", "gfx950"),
    "bfloat16": ("gfx90a", "gfx942", "gfx950"),
    "tfloat32": ("gfx942",),
    "float8": ("gfx942", "gfx950"),
    "float4": ("gfx950",),
}


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Args:
        capability: compute capability (major, minor).
        architecture: AMD's name such as gfx942; empty on NVIDIA.
        driver: version of the kernel driver, None where it does not say.
        runtime: "CUDA 12.8" or "ROCm 6.4": what torch was built with.
    """

    name: str
    capability: tuple[int, int]
    memory_gib: float
    driver: str | None
    runtime: str
    architecture: str = ""


@dataclass(frozen=True)
class Host:
    """What a machine has. Unknown numbers are None, never guessed.

    Args:
        cpu: the processor's own name, else its architecture.
        logical_cores: hardware threads that this process may use.
        cpu_flags: those of `CPU_FLAGS` that it has; empty where the system does not tell.
        memory_gib: main memory.
        threads: threads that torch uses.
    """

    cpu: str
    physical_cores: int | None
    logical_cores: int
    cpu_flags: tuple[str, ...]
    memory_gib: float | None
    system: str
    torch: str
    threads: int
    gpu: Gpu | None = None

    @property
    def label(self) -> str:
        """The host in one line."""
        cores = f"{self.logical_cores} hardware thread" + ("s" if self.logical_cores != 1 else "")
        parts = [self.cpu, cores]
        if self.memory_gib is not None:
            parts.append(f"{self.memory_gib:.0f} GiB")
        if self.gpu is not None:
            parts.append(f"{self.gpu.name} ({self.gpu.memory_gib:.0f} GiB, {self.gpu.runtime})")
        return ", ".join([*parts, f"torch {self.torch}"])

    def multiplies(self, operand: str, device: str = "cpu") -> bool:
        """Whether the processor itself multiplies these operands: float32, or a key of `CPU_OPERANDS`.

        Where it does not, torch may still take them: it converts them to a wider format first.

        Raises:
            ValueError: an operand that is none of these.
        """
        if operand == "float32":
            return True
        if operand not in CPU_OPERANDS:
            raise ValueError(f"operand {operand!r} is not one of float32, {', '.join(CPU_OPERANDS)}")
        if device == "cpu":
            return any(flag in self.cpu_flags for flag in CPU_OPERANDS[operand])
        if self.gpu is None:
            return False
        if self.gpu.architecture:
            return self.gpu.architecture in HIP_OPERANDS[operand]
        return self.gpu.capability >= CUDA_OPERANDS[operand]


def probe() -> Host:
    """Look at this machine. Works without /proc; what cannot be seen is None or empty."""
    info = _cpuinfo()
    flags = set((_first(info, "flags") or _first(info, "Features") or "").split())
    return Host(
        cpu=_cpu_name(info),
        physical_cores=_physical_cores(info),
        logical_cores=_logical_cores(),
        cpu_flags=tuple(flag for flag in CPU_FLAGS if flag in flags),
        memory_gib=_memory_gib(),
        system=f"{platform.system()} {platform.machine()}",
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        gpu=_gpu(),
    )


def clock_mhz(device: str = "cpu") -> float | None:
    """Return the clock of a processor now, the fastest core of a CPU; None where the system does not tell.

    Args:
        device: as torch writes it.
    """
    if device == "cpu":
        clocks = [float(block["cpu MHz"]) for block in _cpuinfo() if "cpu MHz" in block]
        return max(clocks, default=None)
    try:
        return float(torch.cuda.clock_rate(device))
    except (ModuleNotFoundError, RuntimeError):  # it asks the driver through a package that need not be there
        return None


def _cpuinfo() -> list[dict[str, str]]:
    """One dict per hardware thread; [] where there is no /proc."""
    text = _read(Path("/proc/cpuinfo"))
    blocks = [block for block in (text or "").split("\n\n") if block.strip()]
    return [{key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block.splitlines())} for block in blocks]


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:  # not this kind of system
        return None


def _first(info: list[dict[str, str]], key: str) -> str | None:
    return next((block[key] for block in info if block.get(key)), None)


def _cpu_name(info: list[dict[str, str]]) -> str:
    if name := _first(info, "model name"):
        return name
    if platform.system() == "Darwin":
        answer = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False)
        if answer.stdout.strip():
            return answer.stdout.strip()
    return platform.processor() or platform.machine() or "unknown processor"


def _physical_cores(info: list[dict[str, str]]) -> int | None:
    cores = {(block.get("physical id", "0"), block["core id"]) for block in info if "core id" in block}
    return len(cores) or None


def _logical_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_gib() -> float | None:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def _gpu() -> Gpu | None:
    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    hip = torch.version.hip
    driver = _read(Path("/sys/module/amdgpu/version" if hip else "/sys/module/nvidia/version"))
    return Gpu(
        name=properties.name,
        capability=(properties.major, properties.minor),
        memory_gib=properties.total_memory / 2**30,
        driver=driver.strip() if driver else None,
        runtime=f"ROCm {hip}" if hip else f"CUDA {torch.version.cuda}",
        architecture=properties.gcnArchName.split(":")[0] if hip else "",
    )
