"""Compile the kernels that quantize for GPUs that need not be there, and print what came out as JSON: `python compiled_kernels.py '{"targets": …, "recipes": …}'`."""

import json
import os
import re
import sys
import tempfile

import torch

import fp8core as fp8
from fp8core.kernels import fused


class Driver:
    """What triton asks of a GPU before it compiles for it."""

    def __init__(self, target):
        self.get_current_target = lambda: target

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


class Launcher:
    """A kernel whose launches end when it is compiled."""

    def __init__(self, kernel, compiled: list):
        self.kernel, self.compiled = kernel, compiled

    def __getitem__(self, grid):
        return lambda *args, **options: self.compiled.append(self.kernel.warmup(*args, grid=grid, **options))


def main(asked: dict) -> list:
    import triton
    from triton.backends.compiler import GPUTarget

    from fp8core.kernels import triton_quantize

    compiled, found = [], []
    for name in ("peaks", "quantize_all", "scale_and_quantize"):
        setattr(triton_quantize, name, Launcher(getattr(triton_quantize, name), compiled))
    for where in asked["targets"]:
        backend, architecture = where.split(":")
        triton.runtime.driver.set_active(Driver(GPUTarget(backend, int(architecture), 32) if backend == "cuda" else GPUTarget(backend, architecture, 64)))
        for launcher in (triton_quantize.peaks, triton_quantize.quantize_all, triton_quantize.scale_and_quantize):
            launcher.kernel.device_caches.clear()
        for name in asked["recipes"]:
            recipe, matrix, result = fp8.parse_recipe(name), torch.empty(4096, 20480, dtype=torch.bfloat16), torch.empty(1, dtype=torch.uint8)
            compiled.clear()
            fused.quantize_matrix(matrix, recipe, **{"packed" if recipe.fmt.bits in (4, 6) else "codes": result})
            for kernel in compiled:
                text = kernel.asm.get("ptx", "")
                facts = {"bytes": len(kernel.asm["cubin" if backend == "cuda" else "hsaco"]), "wide_loads": bool(re.search(r"ld\.global(\.\w+)*\.v4\.b32", text)), "remainders": "fma.rn.f32" in text}
                found.append((where, name, kernel.metadata.name, facts))
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TRITON_CACHE_DIR"] = cache
        print(json.dumps(main(json.loads(sys.argv[1]))))
