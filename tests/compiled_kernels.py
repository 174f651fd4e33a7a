"""Compile the kernels that quantize for GPUs that need not be there, and print what came out as JSON: `python compiled_kernels.py '{"targets": …, "recipes": …}'`.

Launches are caught, and compiled as a launch would: numbers that are multiples of 16 are known to be, and so are addresses.
"""

import json
import os
import re
import sys
import tempfile

import torch

import fp8core as fp8
from fp8core.kernels import fused

POINTERS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float64: "fp64", torch.uint8: "u8", torch.uint16: "u16", torch.uint32: "u32", torch.int32: "i32"}


class Launcher:
    """A kernel that is not run: what it is launched with is kept."""

    def __init__(self, kernel, launches: list):
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid):
        return lambda *args, **options: self.launches.append((self.kernel, args, options))


def assembly_of(kernel, args, options, target) -> dict:
    import triton

    names = kernel.arg_names
    constants = {name: value for name, value in options.items() if name in names}
    signature, known = {}, {}
    for place, (name, value) in enumerate(zip(names, args, strict=False)):
        if isinstance(value, torch.Tensor):
            signature[name] = f"*{POINTERS[value.dtype]}"
        elif value == 1:
            constants[name] = 1
            continue
        else:
            signature[name] = "i32"
        if isinstance(value, torch.Tensor) or value % 16 == 0:
            known[(place,)] = [["tt.divisibility", 16]]
    source = triton.compiler.ASTSource(kernel, {name: signature.get(name, "constexpr") for name in names}, constants, known)
    return triton.compile(source, target=target, options={name: value for name, value in options.items() if name not in names}).asm


def main(asked: dict) -> list:
    from triton.backends.compiler import GPUTarget

    from fp8core.kernels import triton_quantize

    launches, found = [], []
    for name in ("peaks", "quantize_all", "scale_and_quantize"):
        setattr(triton_quantize, name, Launcher(getattr(triton_quantize, name), launches))
    for name in asked["recipes"]:
        recipe, matrix, result = fp8.parse_recipe(name), torch.empty(4096, 20480, dtype=torch.bfloat16), torch.empty(1, dtype=torch.uint8)
        launches.clear()
        fused.quantize_matrix(matrix, recipe, **{"packed" if recipe.fmt.bits in (4, 6) else "codes": result})
        for where in asked["targets"]:
            backend, architecture = where.split(":")
            target = GPUTarget(backend, int(architecture), 32) if backend == "cuda" else GPUTarget(backend, architecture, 64)
            for kernel, args, options in launches:
                assembly = assembly_of(kernel, args, options, target)
                text = assembly.get("ptx", "")
                facts = {"bytes": len(assembly["cubin" if backend == "cuda" else "hsaco"]), "wide_loads": bool(re.search(r"ld\.global(\.\w+)*\.v4\.b32", text)), "remainders": "fma.rn.f32" in text}
                found.append((where, name, kernel.__name__, facts))
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TRITON_CACHE_DIR"] = cache
        print(json.dumps(main(json.loads(sys.argv[1]))))
