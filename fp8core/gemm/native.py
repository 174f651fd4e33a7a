"""torch's own products, on codes as they are where torch takes them, else on dequantized numbers.

Layouts, as `_scaled_mm` of CUDA wants them and as is fastest elsewhere: A row-major, B column-major. On CUDA the matrices are
padded with the code of zero to the multiples that it asks for.
"""

from __future__ import annotations

import math
import time
from functools import lru_cache

import torch

from fp8core.arrays import as_integers, as_tensor
from fp8core.formats import IntFormat
from fp8core.gemm.backend import Backend, Case, nothing, transpose
from fp8core.gemm.reference import float32_precision
from fp8core.quantized import QuantizedTensor

FLOAT8_DTYPES = {
    "e4m3fn": torch.float8_e4m3fn,
    "e5m2": torch.float8_e5m2,
    "e4m3fnuz": torch.float8_e4m3fnuz,
    "e5m2fnuz": torch.float8_e5m2fnuz,
}
WIDE_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CUDA_MULTIPLE = 16  # torch._scaled_mm and torch._int_mm on CUDA: K and N; Source: their checks in aten/src/ATen/native/cuda/Blas.cpp
CUDA_INT8_ROWS = 32  # torch._int_mm on CUDA: more than 16 rows
INT8_MAX_K = (2**31 - 1) // 2**14  # (-128)² · K has to fit in int32
FLOAT16_CPU_SECONDS = 20.0


def multiply_float32(qa: QuantizedTensor, qb: QuantizedTensor) -> torch.Tensor:
    """Multiply float32 numbers, TF32 switched off -> float32 (M, N)."""
    with float32_precision("highest"):
        return _numbers(qa) @ _numbers(qb)


def multiply_tfloat32(qa: QuantizedTensor, qb: QuantizedTensor) -> torch.Tensor:
    """Multiply TF32 numbers in the tensor cores, float32 sums -> float32 (M, N)."""
    with float32_precision("high"):
        return _numbers(qa) @ _numbers(qb)


def multiply_rounded(qa: QuantizedTensor, qb: QuantizedTensor) -> torch.Tensor:
    """Multiply BF16 or FP16 numbers as a layer would, result rounded to the same format -> float32 (M, N)."""
    return (_numbers(qa) @ _column_major(_numbers(qb))).to(torch.float32)


def multiply_to_float32(qa: QuantizedTensor, qb: QuantizedTensor) -> torch.Tensor:
    """Multiply BF16 or FP16 numbers and keep the float32 sums -> float32 (M, N)."""
    return torch.mm(_numbers(qa), _column_major(_numbers(qb)), out_dtype=torch.float32)


def multiply_int8(qa: QuantizedTensor, qb: QuantizedTensor) -> torch.Tensor:
    """Multiply integers with exact int32 sums, then apply step and scales -> float32 (M, N)."""
    rows, columns = qa.shape[0], qb.shape[1]
    a, b = _integers(qa), _integers(qb)
    if a.is_cuda:
        a, b = _padded(a, CUDA_INT8_ROWS, CUDA_MULTIPLE), _padded(b, CUDA_MULTIPLE, CUDA_MULTIPLE)
    sums = torch._int_mm(a.contiguous(), _column_major(b))[:rows, :columns].to(torch.float32)
    step = qa.recipe.fmt.step * qb.recipe.fmt.step
    return _scaled(sums if step == 1 else sums.mul_(step), qa, qb)


def multiply_fp8_tensor(qa: QuantizedTensor, qb: QuantizedTensor) -> torch.Tensor:
    """torch._scaled_mm with one scale per matrix -> float32 (M, N)."""
    return _scaled_mm(_codes8(qa), _codes8(qb), *(as_tensor(q.scale).reshape(()) for q in (qa, qb)))


def multiply_fp8_row(qa: QuantizedTensor, qb: QuantizedTensor) -> torch.Tensor:
    """torch._scaled_mm with one scale per row of A and per column of B -> float32 (M, N)."""
    return _scaled_mm(_codes8(qa), _codes8(qb), *_row_and_column_scales(qa, qb))


def multiply_fp8_row_bfloat16(qa: QuantizedTensor, qb: QuantizedTensor) -> torch.Tensor:
    """The same with a BF16 result, the only one that some CUDA versions have -> float32 (M, N)."""
    return _scaled_mm(_codes8(qa), _codes8(qb), *_row_and_column_scales(qa, qb), torch.bfloat16).to(torch.float32)


def multiply_fp8_unscaled(qa: QuantizedTensor, qb: QuantizedTensor) -> torch.Tensor:
    """torch._scaled_mm with scales of 1, and the real ones afterwards -> float32 (M, N)."""
    one = torch.ones((), device=as_tensor(qa.scale).device)
    return _scaled(_scaled_mm(_codes8(qa), _codes8(qb), one, one), qa, qb)


def multiply_fp8_blocks(qa: QuantizedTensor, qb: QuantizedTensor) -> torch.Tensor:
    """One FP8 product per stretch of K in which no scale changes, each scaled and added in float32 -> float32 (M, N)."""
    (rows, depth), columns = qa.shape, qb.shape[1]
    steps = _steps(qa, qb)
    stretch = math.gcd(*(step or 0 for step in steps)) or depth
    a, b = _codes8(qa), _codes8(qb)
    scale_a, scale_b = _scale_rows(qa), _scale_rows(transpose(qb)).t()
    one = torch.ones((), device=a.device)
    total = torch.zeros(rows, columns, device=a.device)
    for low in range(0, depth, stretch):
        part = _scaled_mm(a[:, low : low + stretch], b[low : low + stretch], one, one)
        block_a, block_b = (low // step if step else 0 for step in steps)
        total += part * scale_a[:, block_a, None] * scale_b[block_b]
    return total


def dequantize_float32(qa: QuantizedTensor, qb: QuantizedTensor) -> torch.Tensor:
    """Dequantize both to float32, then multiply, TF32 switched off -> float32 (M, N)."""
    with float32_precision("highest"):
        return _dequantized(qa) @ _dequantized(qb)


def dequantize_bfloat16(qa: QuantizedTensor, qb: QuantizedTensor) -> torch.Tensor:
    """Dequantize both, round to BF16, multiply, round the result to BF16 -> float32 (M, N)."""
    return (_dequantized(qa).to(torch.bfloat16) @ _column_major(_dequantized(qb).to(torch.bfloat16))).to(torch.float32)


def _refuse_wide(*formats: str):
    """Refuse all but unscaled numbers of one of these formats on both sides."""

    def refuses(case: Case) -> str | None:
        for recipe in (case.recipe_a, case.recipe_b):
            if recipe.format not in formats:
                return f"{recipe.format} is not {' or '.join(formats)}"
            if recipe.scaling is not None:
                return f"scaled codes of {recipe.format} fill its whole range, so that their products overflow before the scale is applied"
        return None

    return refuses


def _refuse_scales_along_k(case: Case) -> str | None:
    step = case.step_a or case.step_b
    return f"the scale changes every {step} along K, so that it cannot be taken out of the sum" if step else None


def _refuse_fp8_formats(case: Case) -> str | None:
    for recipe in (case.recipe_a, case.recipe_b):
        if recipe.format not in FLOAT8_DTYPES:
            return f"{recipe.format} is not an FP8 format that torch has: {', '.join(FLOAT8_DTYPES)}"
    return None


def _refuse_fp8(case: Case) -> str | None:
    return _refuse_fp8_formats(case) or _refuse_scales_along_k(case)


def _refuse_fp8_tensor(case: Case) -> str | None:
    if reason := _refuse_fp8(case):
        return reason
    return None if case.per_tensor else "there is more than one scale per matrix"


def _refuse_fp8_blocks(case: Case) -> str | None:
    if reason := _refuse_fp8_formats(case):
        return reason
    if not _refuse_scales_along_k(case):
        return "no scale changes along K, so that there is nothing to cut"
    stretch = math.gcd(case.step_a or 0, case.step_b or 0)
    return None if stretch % CUDA_MULTIPLE == 0 else f"scales change every {stretch} along K, which is not a multiple of {CUDA_MULTIPLE}"


def _refuse_int8(case: Case) -> str | None:
    for recipe in (case.recipe_a, case.recipe_b):
        if not isinstance(recipe.fmt, IntFormat) or recipe.fmt.bits > 8:
            return f"{recipe.format} is not an integer format of at most 8 bits"
    if case.shape is not None and case.shape[1] > INT8_MAX_K:
        return f"K = {case.shape[1]} is above {INT8_MAX_K}, beyond which a sum of int8 products may not fit in int32"
    return _refuse_scales_along_k(case)


def _refuse_tfloat32(case: Case) -> str | None:
    if case.device == "cpu":
        return "TF32 products exist on CUDA devices only, and this one is on the CPU"
    return _refuse_wide("tfloat32")(case)


def _refuse_float16(case: Case) -> str | None:
    if reason := _refuse_wide("float16")(case):
        return reason
    if case.device != "cpu" or case.shape is None:
        return None
    seconds = 2 * math.prod(case.shape) / _float16_cpu_flops()
    limit = FLOAT16_CPU_SECONDS
    return f"float16 products on this CPU would take about {seconds:.0f} s for {case.shape}; the limit is {limit:.0f} s" if seconds > limit else None


@lru_cache(maxsize=1)
def _float16_cpu_flops(side: int = 256) -> float:
    """Floating point operations per second of float16 products here, from one small product."""
    a, b = (torch.ones(side, side, dtype=torch.float16) for _ in range(2))
    a[:16] @ _column_major(b)
    start = time.perf_counter()
    a @ _column_major(b)
    return 2 * side**3 / (time.perf_counter() - start)


def _numbers(q: QuantizedTensor) -> torch.Tensor:
    """Codes of a format that torch has as a dtype, as that dtype; no copy. TF32 as float32, copied."""
    codes = as_integers(q.codes)
    if q.recipe.format == "tfloat32":
        return (codes.to(torch.int64) << 13).to(torch.int32).view(torch.float32)
    return codes.view(WIDE_DTYPES[q.recipe.format])


def _integers(q: QuantizedTensor) -> torch.Tensor:
    """Codes of an integer format as int8."""
    codes = as_integers(q.codes)
    sign = 1 << (q.recipe.fmt.bits - 1)
    return codes.view(torch.int8) if q.recipe.fmt.bits == 8 else ((codes ^ sign).to(torch.int8) - sign)


def _codes8(q: QuantizedTensor) -> torch.Tensor:
    return as_integers(q.codes).view(FLOAT8_DTYPES[q.recipe.format])


def _dequantized(q: QuantizedTensor) -> torch.Tensor:
    """q.dequantize() as a torch tensor, by the quickest way for its format."""
    fmt, codes = q.recipe.fmt, as_integers(q.codes)
    if not codes.is_contiguous() and codes.T.is_contiguous():
        return _dequantized(transpose(q)).T  # in the order of memory
    if fmt.name in FLOAT8_DTYPES:
        values = _codes8(q).to(torch.float32)
    elif fmt.name in WIDE_DTYPES or fmt.name == "tfloat32":
        values = _numbers(q).to(torch.float32)
    elif isinstance(fmt, IntFormat) and fmt.bits <= 8:
        values = _integers(q).to(torch.float32) * fmt.step
    else:
        return as_tensor(q.dequantize())
    return values if q.recipe.scaling is None else values * q.element_scale()


def _scaled(c: torch.Tensor, qa: QuantizedTensor, qb: QuantizedTensor) -> torch.Tensor:
    """Apply scales that are constant along K to a product (M, N), in place."""
    if qa.recipe.scaling is None and qb.recipe.scaling is None:
        return c
    row, column = _row_and_column_scales(qa, qb)
    return c.mul_(row).mul_(column)


def _row_and_column_scales(qa: QuantizedTensor, qb: QuantizedTensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales that are constant along K -> (M, 1) and (1, N), contiguous."""
    return _scale_rows(qa)[:, :1].contiguous(), _scale_rows(transpose(qb))[:, :1].t().contiguous()


def _scale_rows(q: QuantizedTensor) -> torch.Tensor:
    """Scales repeated over the rows of their blocks -> (R, blocks along the columns)."""
    scale = as_tensor(q.scale)
    height = None if q.recipe.scaling is None else q.recipe.scaling.block[0]
    return scale.expand(q.shape[0], -1) if scale.shape[0] == 1 else scale.repeat_interleave(height, dim=0)[: q.shape[0]]


def _steps(qa: QuantizedTensor, qb: QuantizedTensor) -> tuple[int | None, int | None]:
    case = Case(qa.recipe, qb.recipe, shape=(*qa.shape, qb.shape[1]))
    return case.step_a, case.step_b


def _scaled_mm(a8, b8, scale_a, scale_b, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    rows, columns = a8.shape[0], b8.shape[1]
    if a8.is_cuda:
        a8, b8 = _padded(a8, 1, CUDA_MULTIPLE), _padded(b8, CUDA_MULTIPLE, CUDA_MULTIPLE)
        if scale_b.ndim:
            scale_b = torch.nn.functional.pad(scale_b, (0, b8.shape[1] - columns), value=1.0)
    return torch._scaled_mm(a8.contiguous(), _column_major(b8), scale_a=scale_a, scale_b=scale_b, out_dtype=dtype)[:rows, :columns]


def _column_major(matrix: torch.Tensor) -> torch.Tensor:
    return matrix.t().contiguous().t()


def _padded(matrix: torch.Tensor, row_multiple: int, column_multiple: int) -> torch.Tensor:
    """Pad 8-bit codes with the code of zero at the bottom and at the right."""
    more_rows, more_columns = -matrix.shape[0] % row_multiple, -matrix.shape[1] % column_multiple
    if not more_rows and not more_columns:
        return matrix
    return torch.nn.functional.pad(matrix.view(torch.uint8), (0, more_columns, 0, more_rows)).view(matrix.dtype)


# Order is preference: `auto` takes the first that is exact and available, our own kernels before those in SLOWER.
BACKENDS = {
    "fp8_tensor": Backend("torch._scaled_mm, one scale per matrix", "float8", multiply_fp8_tensor, _refuse_fp8_tensor),
    "fp8_row": Backend("torch._scaled_mm, one scale per row of A and column of B", "float8", multiply_fp8_row, _refuse_fp8),
    "fp8_unscaled": Backend("torch._scaled_mm without scales, scales applied to its float32 result", "float8", multiply_fp8_unscaled, _refuse_fp8),
    "int8": Backend("torch._int_mm, exact int32 sums, then scales", "int8", multiply_int8, _refuse_int8),
    "bfloat16_float32": Backend("torch.mm of BF16, float32 result", "bfloat16", multiply_to_float32, _refuse_wide("bfloat16")),
    "float16_float32": Backend("torch.mm of FP16, float32 result", "float16", multiply_to_float32, _refuse_float16),
    "tfloat32": Backend("torch.mm with TF32 allowed", "tfloat32", multiply_tfloat32, _refuse_tfloat32),
    "float32": Backend("torch.mm of float32", "float32", multiply_float32, _refuse_wide("float32")),
}
# What comes after every kernel that takes codes.
SLOWER = {
    "dequantize_float32": Backend("dequantize to float32, torch.mm of float32", "float32", dequantize_float32, nothing, dequantizes=True),
    "fp8_blocks": Backend("torch._scaled_mm for each block along K, scaled and added in float32", "float8", multiply_fp8_blocks, _refuse_fp8_blocks),
    "bfloat16": Backend("torch.mm of BF16, result rounded to BF16", "bfloat16", multiply_rounded, _refuse_wide("bfloat16"), exact=False),
    "float16": Backend("torch.mm of FP16, result rounded to FP16", "float16", multiply_rounded, _refuse_float16, exact=False),
    "fp8_row_bfloat16": Backend("torch._scaled_mm by row and column, result rounded to BF16", "float8", multiply_fp8_row_bfloat16, _refuse_fp8, exact=False),
    "dequantize_bfloat16": Backend("dequantize, round to BF16, torch.mm of BF16", "bfloat16", dequantize_bfloat16, nothing, exact=False, dequantizes=True),
}
