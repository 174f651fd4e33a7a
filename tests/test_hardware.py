"""The host's description: complete here, and honest where the system tells nothing."""

from pathlib import Path

import pytest
import torch

from fp8core import hardware
from fp8core.__main__ import main
from fp8core.hardware import CPU_FLAGS, CPU_OPERANDS, CUDA_OPERANDS, HIP_OPERANDS, Gpu, Host, probe

SAPPHIRE_RAPIDS = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8480+
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu avx2 avx512f avx512_bf16 avx512_vnni avx512_fp16 amx_tile amx_int8 amx_bf16

processor\t: 1
model name\t: Intel(R) Xeon(R) Platinum 8480+
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu avx2 avx512f avx512_bf16 avx512_vnni avx512_fp16 amx_tile amx_int8 amx_bf16
"""


def host(**changes):
    values = {"cpu": "a CPU", "physical_cores": 1, "logical_cores": 1, "cpu_flags": (), "memory_gib": None, "system": "Linux", "torch": "2", "threads": 1}
    return Host(**{**values, **changes})


def test_this_host_has_a_processor_and_a_label():
    found = probe()
    assert found.cpu and found.logical_cores >= 1 and found.threads >= 1
    assert found.torch == torch.__version__ and found.torch in found.label and found.cpu in found.label
    assert "\n" not in found.label
    assert (found.gpu is None) == (not torch.cuda.is_available())


def test_without_proc_unknown_is_none(monkeypatch):
    monkeypatch.setattr(hardware, "_read", lambda path: None)
    found = probe()
    assert found.cpu and found.cpu_flags == () and found.physical_cores is None


def test_a_file_that_is_not_there_reads_as_none(tmp_path):
    assert hardware._read(Path(tmp_path / "nothing")) is None


def test_sapphire_rapids_has_no_fp8(monkeypatch):
    """AMX there multiplies INT8 and BF16; AMX-FP8 comes with a later processor. Source: LLVM commit e02d081."""
    monkeypatch.setattr(hardware, "_read", lambda path: SAPPHIRE_RAPIDS if path == Path("/proc/cpuinfo") else None)
    found = probe()
    assert found.cpu == "Intel(R) Xeon(R) Platinum 8480+" and found.physical_cores == 1
    assert [operand for operand in CPU_OPERANDS if found.multiplies(operand)] == ["bfloat16", "float16", "int8"]
    assert host(cpu_flags=("amx_fp8",)).multiplies("float8")


@pytest.mark.parametrize(
    ("capability", "architecture", "operands"),
    [
        ((7, 5), "", {"float16", "int8"}),
        ((8, 0), "", {"float16", "int8", "bfloat16", "tfloat32"}),
        ((8, 9), "", set(CUDA_OPERANDS) - {"float4"}),
        ((9, 0), "", set(CUDA_OPERANDS) - {"float4"}),
        ((10, 0), "", set(CUDA_OPERANDS)),
        ((9, 0), "gfx90a", {"float16", "int8", "bfloat16"}),
        ((9, 4), "gfx942", set(HIP_OPERANDS) - {"float4"}),
        ((9, 5), "gfx950", set(HIP_OPERANDS) - {"tfloat32"}),
    ],
)
def test_what_a_gpu_multiplies(capability, architecture, operands):
    with_gpu = host(gpu=Gpu("a GPU", capability, 80.0, None, "CUDA 12", architecture))
    assert {operand for operand in CPU_OPERANDS if with_gpu.multiplies(operand, "cuda")} == operands
    assert "a GPU" in with_gpu.label


def test_no_gpu_multiplies_nothing_and_float32_is_always_there():
    assert not host().multiplies("bfloat16", "cuda")
    assert host().multiplies("float32")
    with pytest.raises(ValueError, match="operand 'fp4' is not one of float32, bfloat16"):
        host().multiplies("fp4")


def test_every_flag_that_counts_is_shown():
    assert {flag for flags in CPU_OPERANDS.values() for flag in flags} <= set(CPU_FLAGS)
    assert set(CPU_OPERANDS) == set(CUDA_OPERANDS) == set(HIP_OPERANDS)


def test_command_line(capsys):
    assert main(["hardware"]) == 0
    assert probe().cpu in capsys.readouterr().out
    assert main(["formats"]) == 0
    assert "e4m3fn" in capsys.readouterr().out
