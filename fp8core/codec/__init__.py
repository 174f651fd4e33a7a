"""encode and decode: numbers to codes and back, with every rounding mode and overflow policy."""

from fp8core.codec.bits import exponent_of, pow2
from fp8core.codec.chance import seed_or_drawn
from fp8core.codec.convert import CODE_DTYPES, OVERFLOWS, ROUNDINGS, decode, encode, round_to
from fp8core.codec.packing import pack, unpack
from fp8core.codec.spacing import is_clipped, ulp_of

__all__ = ["CODE_DTYPES", "OVERFLOWS", "ROUNDINGS", "decode", "encode", "exponent_of", "is_clipped", "pack", "pow2", "round_to", "seed_or_drawn", "ulp_of", "unpack"]
