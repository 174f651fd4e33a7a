"""How the loops are compiled: once per machine and version, kept on disk, without the interpreter's lock."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

_SOURCES = Path(__file__).parent


def _folder() -> str | None:
    """A writable folder for machine code of exactly these sources, None where there is none.

    numba looks at the file of the outermost function only, so a change in a function that it calls would go unnoticed.
    """
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(_SOURCES.glob("*.py")))).hexdigest()[:16]
    for root in (os.environ.get("NUMBA_CACHE_DIR"), _SOURCES / "__pycache__", Path.home() / ".cache" / "fp8core"):
        if root is None:
            continue
        folder = Path(root) / f"kernels-{digest}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError:
            continue
        for outdated in set(folder.parent.glob("kernels-*")) - {folder}:
            shutil.rmtree(outdated, ignore_errors=True)
        return str(folder)
    return None


CACHE_FOLDER = _folder()


def compiled(function):
    """Compile a loop for the array types that it is called with; without a writable folder it is compiled anew in every process."""
    configured = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = CACHE_FOLDER or configured
    try:
        return numba.njit(function, nogil=True, cache=CACHE_FOLDER is not None, error_model="numpy")
    finally:
        numba.config.CACHE_DIR = configured


def inlined(function):
    """Compile a piece of a loop into the loops that call it."""
    return numba.njit(function, nogil=True, error_model="numpy")


def summing(function):
    """Compile a piece of a loop whose sums may be taken in another order."""
    return numba.njit(function, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


@intrinsic
def float_of(typing, bits):
    """The float32 or float64 that has these bits."""
    number, kind = {types.int32: (types.float32, ir.FloatType), types.int64: (types.float64, ir.DoubleType)}[bits]
    return number(bits), lambda context, builder, signature, args: builder.bitcast(args[0], kind())


@intrinsic
def bits_of(typing, number):
    """The bits of a float32 or float64, as a signed integer."""
    bits, width = {types.float32: (types.int32, 32), types.float64: (types.int64, 64)}[number]
    return bits(number), lambda context, builder, signature, args: builder.bitcast(args[0], ir.IntType(width))


@intrinsic
def left(typing, bits, places):
    """int32 bits shifted to the left, 0 to 31 places: `<<` of numba is one of 64 bits, which takes three times as long."""
    return types.int32(types.int32, types.int32), lambda context, builder, signature, args: builder.shl(*args)


@intrinsic
def right(typing, bits, places):
    """int32 bits shifted to the right, 0 to 31 places; the sign is kept."""
    return types.int32(types.int32, types.int32), lambda context, builder, signature, args: builder.ashr(*args)


@intrinsic
def fused_multiply_add(typing, a, b, c):
    """a · b + c of float32 numbers, rounded once."""

    def generate(context, builder, signature, args):
        return builder.fma(*args)

    return types.float32(types.float32, types.float32, types.float32), generate


@intrinsic
def _half_as_float(typing, bits):
    def generate(context, builder, signature, args):
        return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), generate


@intrinsic
def add_pair(typing, sums, place, pairs, pair):
    """Add two neighbours of a flat float64 array, from `pair` on, to two of another, from `place` on, at once."""

    def generate(context, builder, signature, args):
        two = ir.VectorType(ir.DoubleType(), 2)

        def at(array, index, kind):
            return builder.bitcast(builder.gep(context.make_array(kind)(context, builder, array).data, [index]), two.as_pointer())

        to, of = at(args[0], args[1], sums), at(args[2], args[3], pairs)
        builder.store(builder.fadd(builder.load(to, align=8), builder.load(of, align=8)), to, align=8)
        return context.get_dummy_value()

    return types.void(sums, types.intp, pairs, types.intp), generate


def widened(number):
    """A number as float32 or float64; int16 holds the bits of a bfloat16, uint16 those of a float16."""
    raise NotImplementedError("only inside of compiled loops")


@overload(widened, inline="always")
def _widened(number):
    if number == types.int16:
        return lambda number: float_of(types.int32(types.int32(number) << types.int32(16)))
    if number == types.uint16:
        return lambda number: _half_as_float(number)
    return lambda number: number


def magnitude_bits(number):
    """The bits of |number|, int32 for a float32 and int64 for a float64: as wide as the number, where numba would widen to int64."""
    raise NotImplementedError("only inside of compiled loops")


@overload(magnitude_bits, inline="always")
def _magnitude_bits(number):
    if number == types.float32:
        return lambda number: types.int32(bits_of(number) & 0x7FFFFFFF)
    return lambda number: bits_of(number) & 0x7FFFFFFFFFFFFFFF


def as_single(numbers, room):
    """An array of numbers as float32: itself, or copied to `room`."""
    raise NotImplementedError("only inside of compiled loops")


@overload(as_single)
def _as_single(numbers, room):
    if numbers.dtype == types.float32:
        return lambda numbers, room: numbers

    def copied(numbers, room):
        for i in range(numbers.size):
            room[i] = widened(numbers[i])
        return room

    return copied
