"""The product of two matrices of codes as one Triton kernel: codes and scales are read as they are stored, and become numbers in registers.

This module needs triton, so nobody imports it before a product asks for it; `codes` prepares what goes in here.
Formats and scales come as tuples of constants, the fields of `codes.Layout` and `codes.ScaleLayout` in order, so that each pair of formats has a kernel of its own.
"""

from __future__ import annotations

import triton
import triton.language as tl

# Fields of a layout.
KIND: tl.constexpr = tl.constexpr(0)
BITS: tl.constexpr = tl.constexpr(1)
MANTISSA_BITS: tl.constexpr = tl.constexpr(2)
BIAS_BITS: tl.constexpr = tl.constexpr(3)
MAX_CODE: tl.constexpr = tl.constexpr(4)
INFINITE_CODE: tl.constexpr = tl.constexpr(5)
NAN_CODE: tl.constexpr = tl.constexpr(6)
SIGN_SHIFT: tl.constexpr = tl.constexpr(7)
MAGNITUDE_BITS: tl.constexpr = tl.constexpr(8)
STEP: tl.constexpr = tl.constexpr(9)
FLOATING: tl.constexpr = tl.constexpr(0)
INTEGER: tl.constexpr = tl.constexpr(1)
# Fields of the layout of scales, and kinds of them.
SCALE_KIND: tl.constexpr = tl.constexpr(0)
BLOCK_ROWS: tl.constexpr = tl.constexpr(1)
BLOCK_DEPTH: tl.constexpr = tl.constexpr(2)
ALONG_K: tl.constexpr = tl.constexpr(3)
NO_SCALE: tl.constexpr = tl.constexpr(0)
FLOAT32_SCALE: tl.constexpr = tl.constexpr(1)
E8M0_SCALE: tl.constexpr = tl.constexpr(2)


@triton.jit
def decode(code, table, LAYOUT: tl.constexpr):
    """int32 codes -> float32 values. A subnormal number is what it is beyond the smallest normal one, less that one, so that no step has a subnormal operand."""
    if LAYOUT[KIND] == FLOATING:
        magnitude = code & LAYOUT[MAGNITUDE_BITS]
        implicit = tl.where((magnitude >> LAYOUT[MANTISSA_BITS]) == 0, LAYOUT[BIAS_BITS] + (1 << 23), LAYOUT[BIAS_BITS])
        raised = ((magnitude << (23 - LAYOUT[MANTISSA_BITS])) + implicit).to(tl.float32, bitcast=True)
        value = tl.where(implicit == LAYOUT[BIAS_BITS], raised, raised - implicit.to(tl.float32, bitcast=True))
        value = tl.where(magnitude > LAYOUT[MAX_CODE], float("nan"), value)
        value = tl.where(magnitude == LAYOUT[INFINITE_CODE], float("inf"), value)
        sign = (code << LAYOUT[SIGN_SHIFT]) & -2147483648
        value = (value.to(tl.int32, bitcast=True) | sign).to(tl.float32, bitcast=True)
        value = tl.where(code == LAYOUT[NAN_CODE], float("nan"), value)
    elif LAYOUT[KIND] == INTEGER:
        sign_bit: tl.constexpr = 1 << (LAYOUT[BITS] - 1)
        value = ((code ^ sign_bit) - sign_bit).to(tl.float32) * LAYOUT[STEP]
    else:
        value = tl.load(table + code)
    return value


@triton.jit
def load_codes(codes, places, k, mask, LAYOUT: tl.constexpr):
    """Codes at `k` of the rows that begin at `places`, in bytes -> int32. Codes of 4 and 6 bits lie one after the other, least significant bits first."""
    if LAYOUT[BITS] == 4:
        code = (tl.load(codes + places + k // 2, mask=mask, other=0).to(tl.int32) >> (k % 2 * 4)) & 15
    elif LAYOUT[BITS] == 6:
        first = k * 6
        low = tl.load(codes + places + first // 8, mask=mask, other=0).to(tl.int32)
        high = tl.load(codes + places + first // 8 + 1, mask=mask & (first % 8 > 2), other=0).to(tl.int32)
        code = ((low | (high << 8)) >> (first % 8)) & 63
    else:
        code = tl.load(codes + places + k, mask=mask, other=0).to(tl.int32)
    return code


@triton.jit
def load_scale(scales, rows, k, mask, stride, SCALES: tl.constexpr, E4M3: tl.constexpr):
    """Scales of the blocks that hold these rows and k, without the scale of the whole matrix -> float32."""
    places = (rows // SCALES[BLOCK_ROWS]).to(tl.int64) * stride + k // SCALES[BLOCK_DEPTH]
    if SCALES[SCALE_KIND] == NO_SCALE:
        scale = tl.where(mask, 1.0, 0.0)
    elif SCALES[SCALE_KIND] == FLOAT32_SCALE:
        scale = tl.load(scales + places, mask=mask, other=0.0)
    elif SCALES[SCALE_KIND] == E8M0_SCALE:
        code = tl.load(scales + places, mask=mask, other=0).to(tl.int32)
        scale = tl.where(code == 0, 1 << 22, code << 23).to(tl.float32, bitcast=True)
        scale = tl.where(code == 255, float("nan"), scale)
    else:
        scale = decode(tl.load(scales + places, mask=mask, other=0).to(tl.int32), scales, E4M3)
    return scale


@triton.jit
def load_values(codes, table, scales, rows, k, mask, stride, scale_stride, LAYOUT: tl.constexpr, SCALES: tl.constexpr, E4M3: tl.constexpr, FOLD: tl.constexpr, OPERAND: tl.constexpr):
    """What is multiplied: values of codes, times their scale where it is folded in, and 0 outside of the matrix."""
    code = load_codes(codes, rows.to(tl.int64) * stride, k, mask, LAYOUT)
    if OPERAND.is_fp8():
        value = tl.where(mask, code, 0).to(tl.uint8).to(OPERAND, bitcast=True)
    else:
        value = decode(code, table, LAYOUT)
        if FOLD and SCALES[ALONG_K]:
            value = value * load_scale(scales, rows, k, mask, scale_stride, SCALES, E4M3)
        value = tl.where(mask, value, 0.0).to(OPERAND)
    return value


@triton.jit
def product_kernel(
    a, b, c, a_table, b_table, a_scales, b_scales, a_whole, b_whole, M, N, K, a_stride, b_stride, a_scale_stride, b_scale_stride, stretch,
    A: tl.constexpr, B: tl.constexpr, A_SCALES: tl.constexpr, B_SCALES: tl.constexpr, E4M3: tl.constexpr, A_OPERAND: tl.constexpr, B_OPERAND: tl.constexpr,
    FOLD: tl.constexpr, PROMOTE: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """C (M, N) float32 = A (M, K) · B (N, K)ᵀ, one tile of C per program.

    a, b: rows of codes, as bytes, and how many bytes a row takes. a_table, b_table: values of the codes of a code book. a_scales, b_scales: as stored, one per
    block, and how many lie in a row of blocks; a_whole, b_whole: one float32 each, the scale of the whole matrix.
    stretch: along K, within which no scale changes. FOLD: scales that change along K are multiplied into the operands; PROMOTE: each stretch is summed for
    itself, multiplied by its scales and added in float32. Else no scale changes along K.
    """
    tiles_down, tiles_across = tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N)
    group = tl.program_id(0) // (8 * tiles_across)  # eight rows of tiles at a time, whose B stays in the cache
    height = min(tiles_down - group * 8, 8)
    tile_m = group * 8 + tl.program_id(0) % (8 * tiles_across) % height
    tile_n = tl.program_id(0) % (8 * tiles_across) // height
    rows, columns = tile_m * BLOCK_M + tl.arange(0, BLOCK_M), tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    steps = tl.cdiv(stretch, BLOCK_K)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in range(tl.cdiv(K, stretch) * steps):
        first = step // steps * stretch + step % steps * BLOCK_K
        k = first + tl.arange(0, BLOCK_K)
        inside = k < min((step // steps + 1) * stretch, K)
        x = load_values(a, a_table, a_scales, rows[:, None], k[None, :], (rows < M)[:, None] & inside[None, :], a_stride, a_scale_stride, A, A_SCALES, E4M3, FOLD, A_OPERAND)
        y = load_values(b, b_table, b_scales, columns[None, :], k[:, None], (columns < N)[None, :] & inside[:, None], b_stride, b_scale_stride, B, B_SCALES, E4M3, FOLD, B_OPERAND)
        if PROMOTE:
            block = min(first, K - 1)  # beyond K there is none, and what is read there is multiplied by 0
            scale_a = load_scale(a_scales, rows, block, rows < M, a_scale_stride, A_SCALES, E4M3)
            scale_b = load_scale(b_scales, columns, block, columns < N, b_scale_stride, B_SCALES, E4M3)
            total += tl.dot(x, y, input_precision="ieee") * scale_a[:, None] * scale_b[None, :]
        else:
            total = tl.dot(x, y, total, input_precision="ieee")
    if not PROMOTE:
        if not (FOLD and A_SCALES[ALONG_K]):
            total *= load_scale(a_scales, rows, 0, rows < M, a_scale_stride, A_SCALES, E4M3)[:, None]
        if not (FOLD and B_SCALES[ALONG_K]):
            total *= load_scale(b_scales, columns, 0, columns < N, b_scale_stride, B_SCALES, E4M3)[None, :]
    total *= tl.load(a_whole) * tl.load(b_whole)
    places = rows[:, None].to(tl.int64) * N + columns[None, :]
    tl.store(c + places, total, mask=(rows < M)[:, None] & (columns < N)[None, :])


def _tiles():
    """What is tried for every size, and the quickest kept: tiles for few rows, for many, and in between."""
    shapes = ((16, 64, 128, 4, 4), (16, 128, 128, 4, 3), (32, 128, 64, 4, 4), (64, 128, 64, 4, 4), (128, 128, 64, 8, 3), (128, 128, 128, 8, 3), (128, 256, 64, 8, 3))
    return [triton.Config({"BLOCK_M": m, "BLOCK_N": n, "BLOCK_K": k}, num_warps=warps, num_stages=stages) for m, n, k, warps, stages in shapes]


tuned_product_kernel = triton.autotune(_tiles(), key=["M", "N", "K", "stretch", "A", "B", "A_SCALES", "B_SCALES", "A_OPERAND", "B_OPERAND", "FOLD", "PROMOTE"], cache_results=True)(product_kernel)
