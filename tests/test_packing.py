"""Packed codes, held against numpy's packbits."""

import numpy as np
import pytest
import torch

import fp8core as fp8
from fp8core import kernels


def reference(codes: np.ndarray, bits: int) -> np.ndarray:
    ones = np.unpackbits(codes.reshape(-1, 1), axis=1, count=bits, bitorder="little")
    return np.packbits(ones.reshape(-1), bitorder="little")


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 1001, (1 << 17) + 5, (1 << 19) + 13])
def test_codes_are_packed_as_by_numpy_and_come_back(bits, count):
    codes = np.random.default_rng(bits).integers(0, 1 << bits, count, dtype=np.uint8)
    packed = fp8.pack(codes, bits)
    assert np.array_equal(packed, reference(codes, bits))
    assert np.array_equal(fp8.unpack(packed, bits, count), codes)
    with kernels.set_aside():
        assert np.array_equal(fp8.pack(codes, bits), packed)
        assert np.array_equal(fp8.unpack(packed, bits, count), codes)


def test_fp4_lies_as_in_torch():
    codes = fp8.encode([0.5, 6.0, -1.0, 0.0], "e2m1fn")
    assert fp8.pack(codes, 4).tolist() == [codes[0] | codes[1] << 4, codes[2] | codes[3] << 4]


def test_a_result_can_be_given():
    codes, packed, back = torch.arange(16, dtype=torch.uint8).reshape(4, 4), torch.empty(8, dtype=torch.uint8), torch.empty(16, dtype=torch.uint8)
    assert fp8.pack(codes, 4, out=packed) is packed
    assert fp8.unpack(packed, 4, 16, out=back) is back
    assert torch.equal(back, codes.reshape(-1))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: fp8.pack([1, 16], 4), ValueError, "code 16 does not fit into 4 bits"),
        (lambda: fp8.pack([1], 9), ValueError, "bits = 9: packed codes have 1 to 8"),
        (lambda: fp8.pack(np.int64([1]), 4), TypeError, "codes are uint8, not torch.int64"),
        (lambda: fp8.unpack(np.uint8([1]), 4, 3), ValueError, "1 bytes: 3 codes of 4 bits take 2"),
        (lambda: fp8.pack([1, 2], 4, out=np.zeros(2, np.uint8)), ValueError, r"out has shape \(2,\) and torch.uint8; it must be contiguous with shape \(1,\)"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
