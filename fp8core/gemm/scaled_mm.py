"""torch.nn.functional.scaled_mm with scales that change along K: DeepSeek's blocks, MXFP8, MXFP4 and NVFP4, on GPUs whose torch has them.

Which GPU takes which is found out by running a small product; cuBLAS has DeepSeek's blocks on Hopper only and the others on Blackwell.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import ScalingType, SwizzleType, pad, scaled_mm

from fp8core.arrays import as_integers, as_tensor
from fp8core.codec.packing import pack
from fp8core.gemm.backend import Backend, Case, transpose
from fp8core.quantized import QuantizedTensor

FLOAT8_DTYPES = {"e4m3fn": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}
MULTIPLE = 32  # rows of both factors and K; Source: torch, aten/src/ATen/native/cuda/ScaledBlas.cpp: 16, and 32 on ROCm
BLOCK_PAIRS = (((1, 128), (1, 128)), ((1, 128), (128, 128)), ((128, 128), (1, 128)))
_TILE_ROWS, _TILE_COLUMNS = 128, 4


def swizzled(scales: torch.Tensor) -> torch.Tensor:
    """Put the scales of a matrix (rows, blocks) in the order in which Blackwell's units read them -> one axis.

    They lie in tiles of 128 × 4, tile after tile along the rows of tiles; within a tile row r and column c lie at 16 · (r mod 32) + 4 · ⌊r / 32⌋ + c. What a
    tile has beyond the matrix is 0. Source: NVIDIA, cuBLAS documentation, "1D Block Scaling Factors Layout".
    """
    rows, columns = -(-scales.shape[0] // _TILE_ROWS), -(-scales.shape[1] // _TILE_COLUMNS)
    whole = pad(scales, (0, columns * _TILE_COLUMNS - scales.shape[1], 0, rows * _TILE_ROWS - scales.shape[0]))
    return whole.reshape(rows, 4, 32, columns, _TILE_COLUMNS).permute(0, 3, 2, 1, 4).reshape(-1)


def _prepared(qa: QuantizedTensor, qb: QuantizedTensor, side: Callable) -> Callable[[], torch.Tensor]:
    """Lay out both factors -> what multiplies them, float32 (M, N). `side` gives what `scaled_mm` takes of one factor (rows, K), rows and K padded."""
    rows, columns = qa.shape[0], qb.shape[1]
    (a, scale_a, recipe_a, swizzle_a), (b, scale_b, recipe_b, swizzle_b) = side(qa), side(transpose(qb))
    return lambda: scaled_mm(a, b.t(), scale_a, recipe_a, scale_b, recipe_b, swizzle_a, swizzle_b, output_dtype=torch.float32)[:rows, :columns]


def _padded_codes(q: QuantizedTensor) -> torch.Tensor:
    codes = as_integers(q.codes)
    return pad(codes, (0, -codes.shape[1] % MULTIPLE, 0, -codes.shape[0] % MULTIPLE)).contiguous()


def _of_blocks(q: QuantizedTensor):
    """128 × 128: (blocks along K, padded to 4; blocks along the rows), the first axis contiguous. 1 × 128: (rows, blocks along K), likewise."""
    codes, scale = _padded_codes(q), as_tensor(q.scale).to(torch.float32)
    blocks = -(-codes.shape[1] // 128)
    if q.recipe.scaling.block == (128, 128):
        below = -(-codes.shape[0] // 128) - scale.shape[0]
        laid_out = pad(scale, (0, -(-blocks // 4) * 4 - scale.shape[1], 0, below), value=1.0).contiguous().t()
        recipe = ScalingType.BlockWise128x128
    else:
        laid_out = pad(scale, (0, blocks - scale.shape[1], 0, codes.shape[0] - scale.shape[0]), value=1.0).t().contiguous().t()
        recipe = ScalingType.BlockWise1x128
    return codes.view(FLOAT8_DTYPES[q.recipe.format]), laid_out, recipe, SwizzleType.NO_SWIZZLE


def _of_mx(q: QuantizedTensor):
    codes = _padded_codes(q)
    scales = as_integers(q.scale_codes)
    scales = pad(scales, (0, codes.shape[1] // 32 - scales.shape[1], 0, codes.shape[0] - scales.shape[0]))
    plain = torch.version.hip is not None
    elements = codes.view(FLOAT8_DTYPES[q.recipe.format]) if q.recipe.fmt.bits == 8 else _packed(codes)
    stored = (scales.contiguous() if plain else swizzled(scales)).view(torch.float8_e8m0fnu)
    return elements, stored, ScalingType.BlockWise1x32, SwizzleType.NO_SWIZZLE if plain else SwizzleType.SWIZZLE_32_4_4


def _of_nvfp4(q: QuantizedTensor):
    codes = _padded_codes(q)
    scales = as_integers(q.scale_codes)
    scales = pad(scales, (0, codes.shape[1] // 16 - scales.shape[1], 0, codes.shape[0] - scales.shape[0]))
    whole = as_tensor(q.global_scale).to(torch.float32).reshape(1)
    return _packed(codes), [swizzled(scales).view(torch.float8_e4m3fn), whole], [ScalingType.BlockWise1x16, ScalingType.TensorWise], [SwizzleType.SWIZZLE_32_4_4, SwizzleType.NO_SWIZZLE]


def _packed(codes: torch.Tensor) -> torch.Tensor:
    return pack(codes, 4).reshape(codes.shape[0], -1).view(torch.float4_e2m1fn_x2)


def _sides(case: Case) -> list[tuple[str, tuple | None, str]]:
    """Format, block along K and scale format of both factors."""
    specs = (case.recipe_a.scaling, None if case.recipe_b.scaling is None else case.recipe_b.scaling.transposed)
    return [(recipe.format, *((None, "") if spec is None else (spec.block, spec.scale_format))) for recipe, spec in zip((case.recipe_a, case.recipe_b), specs, strict=True)]


def _refuses_blocks(case: Case) -> str | None:
    sides = _sides(case)
    for name, _, _ in sides:
        if name not in FLOAT8_DTYPES:
            return f"{name} is not {' or '.join(FLOAT8_DTYPES)}"
    blocks = tuple(block for _, block, _ in sides)
    return None if blocks in BLOCK_PAIRS else "blocks are not 1 × 128 in one factor and 1 × 128 or 128 × 128 in the other"


def _refuses_all_but(formats: tuple[str, ...], block: tuple[int, int], scale_format: str):
    """Refuse all but these formats, blocks and scales in both factors."""

    def refuses(case: Case) -> str | None:
        for name, found, stored in _sides(case):
            if name not in formats:
                return f"{name} is not {' or '.join(formats)}"
            if (found, stored) != (block, scale_format):
                return f"scales are not {scale_format} of every {block[1]} along K"
        return None

    return refuses


def _backend(title: str, operand: str, side: Callable, refuses: Callable[[Case], str | None], sample: str) -> Backend:
    return Backend(title, operand, lambda qa, qb: _prepared(qa, qb, side)(), refuses, prepare=lambda qa, qb: _prepared(qa, qb, side), sample=sample)


BACKENDS = {
    "scaled_blocks": _backend("torch scaled_mm, blocks of 1 × 128 and 128 × 128", "float8", _of_blocks, _refuses_blocks, "deepseek_v3_1x128"),
    "scaled_mxfp8": _backend("torch scaled_mm, MXFP8", "float8", _of_mx, _refuses_all_but(("e4m3fn", "e5m2"), (1, 32), "e8m0fnu"), "mxfp8_e4m3"),
    "scaled_mxfp4": _backend("torch scaled_mm, MXFP4", "float4", _of_mx, _refuses_all_but(("e2m1fn",), (1, 32), "e8m0fnu"), "mxfp4"),
    "scaled_nvfp4": _backend("torch scaled_mm, NVFP4", "float4", _of_nvfp4, _refuses_all_but(("e2m1fn",), (1, 16), "e4m3fn_float32"), "nvfp4"),
}
