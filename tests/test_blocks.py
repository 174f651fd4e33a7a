"""Layers block by block: tiles whose errors add up, and scales."""

import math

import numpy as np
import pytest
import torch

import fp8core as fp8
from fp8core.layers import scales_of, tiles_of


def test_tiles_are_parts_of_the_matrix():
    x = torch.randn(70, 100, generator=torch.Generator().manual_seed(0)) * torch.logspace(-4, 1, 100)
    q = fp8.quantize(x, "tensor_e4m3")
    found, y = tiles_of(x, q), q.dequantize()
    assert found.sqnr_db.shape == found.underflow.shape == (3, 4)
    for row in range(3):
        for column in range(4):
            part = (slice(32 * row, 32 * row + 32), slice(32 * column, 32 * column + 32))
            assert found.sqnr_db[row, column] == pytest.approx(fp8.sqnr_db(x[part], y[part]))
            assert found.underflow[row, column] == pytest.approx(float(((x[part] != 0) & (y[part] == 0)).double().mean()))


def test_large_matrices_have_larger_tiles_and_odd_numbers_are_left_out():
    x = torch.zeros(40, 5000)
    x[0, 0], x[0, 1], x[39, 4999] = math.nan, 1.0, 3.0
    found = tiles_of(x, fp8.quantize(x, "float16"))
    assert found.side == (32, 79)
    assert found.sqnr_db.shape == (2, 64)
    assert found.sqnr_db[0, 0] == found.sqnr_db[1, 63] == np.inf
    assert np.isnan(found.sqnr_db[0, 1])


def test_scales():
    found = scales_of(fp8.quantize(torch.tensor([[448.0, 1.0], [896.0, 0.0], [448.0, 3.0]]), "row_e4m3"))
    assert (found.count, found.smallest, found.largest) == (3, 1.0, 2.0)
    assert found.spread == pytest.approx(found.std / (4 / 3))
    assert scales_of(fp8.quantize([1.0], "tensor_e4m3")).spread == 0
