"""The definition of a product of quantized matrices: dequantize to float32, multiply."""

from __future__ import annotations

from contextlib import contextmanager
from threading import RLock

import torch

from fp8core.arrays import as_tensor
from fp8core.gemm.backend import Backend, nothing
from fp8core.quantized import QuantizedTensor

_PRECISION = RLock()  # torch's setting belongs to the whole process


@contextmanager
def float32_precision(level: str):
    """Let float32 products run at torch's precision `level` inside: "highest" is float32, "high" allows TF32 on a GPU.

    One thread at a time, and what was set before comes back.
    """
    with _PRECISION:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(level)
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


def reference(qa: QuantizedTensor, qb: QuantizedTensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return dequantize(a) @ dequantize(b) -> `dtype` (M, N): products and sums in `dtype`, TF32 switched off.

    Args:
        dtype: float32, or float64 for a result in which only quantization shows.
    """
    a, b = (as_tensor(q.dequantize()).to(dtype) for q in (qa, qb))
    with float32_precision("highest"):
        return a @ b


BACKENDS = {"reference": Backend("the definition: dequantize to float32, multiply in float32", "float32", reference, nothing, dequantizes=True)}
