"""What 8-bit floating point does to numbers, tensors and matrix products.

    fmt   = parse_format("e4m3fn")          which numbers exist
    codes = encode(x, fmt)                  numbers -> codes; decode(codes, fmt) goes back
    y     = round_to(x, fmt)                both at once; pack(codes, bits) stores FP4 and FP6 without gaps
    q     = quantize(x, "mxfp8_e4m3")       amax -> scale -> codes, by a recipe; amax=… from calibration
    x_hat = q.dequantize()                  decode(codes) · scale; fake_quantize(x, recipe) does both at once
    r     = measure(x, q)                   what was lost
    c     = gemm.matmul(qa, qb)             products of quantized matrices

    with capture(model, "step.safetensors"):    what the layers of a torch model see; layers, sensitivity and plan say what to do about it
"""

from fp8core import calibration, gemm
from fp8core.capturing import capture
from fp8core.codec import OVERFLOWS, ROUNDINGS, decode, encode, pack, round_to, unpack
from fp8core.formats import FAMILIES, FORMATS, FloatFormat, Format, IntFormat, TableFormat, parse_format
from fp8core.metrics import ErrorReport, cosine, measure, sqnr_db
from fp8core.quantized import QuantizedTensor, fake_quantize, quantize
from fp8core.recipes import RECIPES, Recipe, make_recipe, parse_recipe
from fp8core.scaling import GRANULARITIES, SCALE_FORMATS, SCALE_RULES, ScaleSpec, parse_granularity

__all__ = [
    "FAMILIES", "FORMATS", "GRANULARITIES", "OVERFLOWS", "RECIPES", "ROUNDINGS", "SCALE_FORMATS", "SCALE_RULES",
    "ErrorReport", "FloatFormat", "Format", "IntFormat", "QuantizedTensor", "Recipe", "ScaleSpec", "TableFormat",
    "calibration", "capture", "cosine", "decode", "encode", "fake_quantize", "gemm", "make_recipe", "measure", "pack", "parse_format", "parse_granularity", "parse_recipe",
    "quantize", "round_to", "sqnr_db", "unpack",
]  # fmt: skip
