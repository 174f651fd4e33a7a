"""Our own kernels for GPUs: products of codes and scales as they are stored, of any two formats of at most 8 bits and any blocks along K.

Codes of 4 and 6 bits are packed, scales of one byte stay one byte. `triton_codes` decodes to BF16 in registers where every value of the format is a BF16
number, else to float32; `triton_codes_bfloat16` rounds those too; `triton_fp8` gives FP8 codes to the FP8 units, and adds what they sum in float32 every 128
numbers, as DeepSeek does (arXiv 2412.19437, section 3.3.2).
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch

from fp8core.arrays import as_integers, as_tensor
from fp8core.codec.packing import pack
from fp8core.formats import FloatFormat, Format, IntFormat, parse_format
from fp8core.gemm.backend import Backend, Case, transpose
from fp8core.kernels.constants import decoding
from fp8core.quantized import QuantizedTensor

FLOATING, INTEGER, LISTED = range(3)
NO_SCALE, FLOAT32_SCALE, E8M0_SCALE, E4M3_SCALE = range(4)
PROMOTION = 128  # numbers along K that FP8 units add before float32 takes over
PACKED_BITS = (4, 6)
_WHOLE = 1 << 30  # a block's side that spans the axis
_TILE = {"BLOCK_M": 16, "BLOCK_N": 16, "BLOCK_K": 32}  # where there is nothing to be tuned
_FP8_UNITS = {"e4m3fn": "float8e4nv", "e5m2": "float8e5", "e4m3fnuz": "float8e4b8", "e5m2fnuz": "float8e5b16"}
_BFLOAT16_DIGITS = 8
_SCALE_DIGITS = {E8M0_SCALE: 1, E4M3_SCALE: 4}


class Layout(NamedTuple):
    """What the kernel needs to know of a format: how its codes are decoded, their width, and the constants of `kernels.constants.Decoding`; an integer's step."""

    kind: int
    bits: int
    mantissa_bits: int = 0
    bias_bits: int = 0
    max_code: int = 0
    infinite_code: int = 0
    nan_code: int = 0
    sign_shift: int = 0
    magnitude_bits: int = 0
    step: float = 0.0


class ScaleLayout(NamedTuple):
    """How scales are stored, rows and depth of a block, and whether they change along K."""

    kind: int
    block_rows: int
    block_depth: int
    along_k: bool


class Factor(NamedTuple):
    """One factor as it is read: (rows, K) codes in rows of bytes, scales, and the scale of the whole matrix."""

    codes: torch.Tensor
    table: torch.Tensor
    scales: torch.Tensor
    whole: torch.Tensor
    layout: Layout
    scale_layout: ScaleLayout


@lru_cache(maxsize=128)
def layout(fmt: Format) -> Layout:
    """Return how the kernel decodes a format of at most 8 bits."""
    if isinstance(fmt, IntFormat):
        return Layout(INTEGER, fmt.bits, step=float(fmt.step))
    known = decoding(fmt)
    if not known.arithmetic:
        return Layout(LISTED, fmt.bits)
    return Layout(FLOATING, fmt.bits, *(int(each) for each in (known.mantissa_bits, known.bias_bits, known.max_code, known.infinite_code, known.nan_code, known.sign_shift, known.magnitude_bits)))


def factor(q: QuantizedTensor) -> Factor:
    """Lay out a matrix (rows, K) whose blocks lie along K."""
    fmt, codes = q.recipe.fmt, as_integers(q.codes)
    if fmt.bits in PACKED_BITS:
        padded = torch.nn.functional.pad(codes, (0, -codes.shape[1] % 8)).contiguous()
        codes = pack(padded, fmt.bits).reshape(codes.shape[0], -1)
    known = layout(fmt)
    table = torch.from_numpy(fmt.values.astype(np.float32)) if known.kind == LISTED else torch.zeros(1)
    whole = torch.ones(1) if q.global_scale is None else as_tensor(q.global_scale).to(torch.float32).reshape(1)
    scales, scale_layout = _scales(q)
    device = codes.device
    return Factor(codes.contiguous(), table.to(device), scales.contiguous(), whole.to(device) if scale_layout.kind == E4M3_SCALE else torch.ones(1, device=device), known, scale_layout)


def _scales(q: QuantizedTensor) -> tuple[torch.Tensor, ScaleLayout]:
    spec = q.recipe.scaling
    if spec is None:
        return as_tensor(q.scale).to(torch.float32), ScaleLayout(NO_SCALE, _WHOLE, _WHOLE, False)
    rows, depth = (_WHOLE if side is None else side for side in spec.block)
    kind = {"e8m0fnu": E8M0_SCALE, "e4m3fn": E4M3_SCALE, "e4m3fn_float32": E4M3_SCALE}.get(spec.scale_format, FLOAT32_SCALE)
    stored = as_tensor(q.scale).to(torch.float32) if kind == FLOAT32_SCALE else as_integers(q.scale_codes)
    return stored, ScaleLayout(kind, rows, depth, depth < q.shape[1])


def foldable(q: Factor, fmt: Format) -> bool:
    """Return whether value times scale is always a BF16 number: both have few enough digits, and these scales stay within its range."""
    digits = _digits(fmt)
    if not q.scale_layout.along_k or q.scale_layout.kind not in _SCALE_DIGITS or digits + _SCALE_DIGITS[q.scale_layout.kind] > _BFLOAT16_DIGITS:
        return False
    if q.scale_layout.kind == E4M3_SCALE:
        return bool((q.scales & 127).max() < 127) and fmt.max * 448 < 2.0**127 and fmt.min_positive * 2.0**-9 >= 2.0**-126
    exponents = q.scales.to(torch.int32) - 127
    return int(exponents.max()) + fmt.emax < 127 and int(exponents.min()) + math.log2(fmt.min_positive) >= -126


def _digits(fmt: Format) -> int:
    """Binary digits of a format's values at most."""
    if isinstance(fmt, FloatFormat):
        return fmt.mantissa_bits + 1
    return fmt.bits - 1 if isinstance(fmt, IntFormat) else 24


@lru_cache(maxsize=128)
def is_bfloat16(fmt: Format) -> bool:
    """Return whether every finite value of a format is a BF16 number."""
    values = torch.tensor(fmt.finite_values)
    return bool((values.to(torch.bfloat16).to(torch.float64) == values).all())


def prepare(qa: QuantizedTensor, qb: QuantizedTensor, operand: str) -> Callable[[], torch.Tensor]:
    """Lay out both factors -> a function that multiplies them, float32 (M, N).

    Args:
        qa, qb: (M, K) and (K, N).
        operand: what the processor multiplies: "exact", "bfloat16" or "float8".
    """
    import triton.language as tl
    from triton.compiler.errors import CompilationError

    from fp8core.gemm import triton_kernels

    transposed = transpose(qb)
    a, b, formats = factor(qa), factor(transposed), (qa.recipe.fmt, qb.recipe.fmt)
    (rows, depth), columns = qa.shape, qb.shape[1]
    interpreted = not isinstance(triton_kernels.product_kernel, triton_kernels.triton.JITFunction)
    if operand == "float8":
        operands = tuple(getattr(tl, _FP8_UNITS[fmt.name]) for fmt in formats)
    else:  # the interpreter multiplies the bits of BF16 numbers, and not the numbers
        narrow = operand == "bfloat16" or all(is_bfloat16(fmt) for fmt in formats)
        operands = (tl.bfloat16,) * 2 if narrow and not interpreted else (tl.float32,) * 2
    sides = tuple(zip((a, b), formats, strict=True))
    steps = [side.scale_layout.block_depth for side, _ in sides if side.scale_layout.along_k]
    fold = operand != "float8" and bool(steps) and all(foldable(side, fmt) for side, fmt in sides if side.scale_layout.along_k)
    promote = operand == "float8" or (bool(steps) and not fold)
    stretch = math.gcd(*steps) if steps and promote else PROMOTION if promote else depth
    numbers = (rows, columns, depth, a.codes.shape[1], b.codes.shape[1], a.scales.shape[1], b.scales.shape[1], stretch)
    constants = {
        "A": tuple(a.layout), "B": tuple(b.layout), "A_SCALES": tuple(a.scale_layout), "B_SCALES": tuple(b.scale_layout), "E4M3": tuple(layout(parse_format("e4m3fn"))),
        "A_OPERAND": operands[0], "B_OPERAND": operands[1], "FOLD": fold, "PROMOTE": promote,
    }  # fmt: skip
    kernel = triton_kernels.product_kernel if interpreted else triton_kernels.tuned_product_kernel
    tile = _TILE if interpreted else {}

    def multiply() -> torch.Tensor:
        c = torch.empty(rows, columns, device=a.codes.device)
        try:
            kernel[_grid(rows, columns)](a.codes, b.codes, c, a.table, b.table, a.scales, b.scales, a.whole, b.whole, *numbers, **constants, **tile)
        except CompilationError as error:
            raise RuntimeError(f"triton cannot compile this product: {error}") from error
        return c

    return multiply


def _grid(rows: int, columns: int):
    return lambda tile: (-(-rows // tile["BLOCK_M"]) * -(-columns // tile["BLOCK_N"]),)


def _refuses(case: Case) -> str | None:
    for recipe in (case.recipe_a, case.recipe_b):
        if recipe.fmt.bits > 8:
            return f"{recipe.format} has {recipe.fmt.bits} bits; the kernel reads codes of at most 8"
    if case.device == "cpu":
        return "Triton's kernels run on GPUs, and these matrices are on the CPU"
    return None if importlib.util.find_spec("triton") else "the package triton is not installed, which torch brings along on GPU hosts"


def _refuses_fp8(case: Case) -> str | None:
    for recipe in (case.recipe_a, case.recipe_b):
        if recipe.format not in _FP8_UNITS:
            return f"{recipe.format} is not a format of FP8 units: {', '.join(_FP8_UNITS)}"
    return _refuses(case)


def _backend(title: str, multiplied: str, **facts) -> Backend:
    ready = partial(prepare, operand=multiplied)
    return Backend(title, multiply=lambda qa, qb: ready(qa, qb)(), prepare=ready, **facts)


BACKENDS = {
    "triton_fp8": _backend("our kernel: FP8 units, float32 every 128 numbers or at every scale", "float8", operand="float8", refuses=_refuses_fp8),
    "triton_codes": _backend("our kernel: codes decoded as they are read, BF16 or float32 units", "exact", operand="bfloat16", refuses=_refuses, dequantizes=True),
    "triton_codes_bfloat16": _backend("our kernel: codes decoded as they are read and rounded to BF16", "bfloat16", operand="bfloat16", refuses=_refuses, exact=False, dequantizes=True),
}
