"""Hadamard rotation against the matrix spelled out entry by entry."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fp8core.rotation import ROTATIONS, Rotation, rotate, rotate_back

NAMED = [name for name in ROTATIONS if name]


def dense(rotation: Rotation) -> np.ndarray:
    """diag(signs) H / √n with H[i, j] = (-1)^(number of ones that i and j share)."""
    n = rotation.size
    matrix = np.array([[(-1) ** bin(i & j).count("1") for j in range(n)] for i in range(n)]) / np.sqrt(n)
    return np.array(rotation.signs or (1,) * n)[:, None] * matrix


@pytest.mark.parametrize("name", NAMED)
def test_rotation_is_a_product_with_an_orthonormal_matrix(name):
    rotation = ROTATIONS[name]
    matrix = dense(rotation)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(rotation.size), atol=1e-12)
    x = np.random.default_rng(0).standard_normal((5, 3 * rotation.size)).astype(np.float32)
    want = (x.reshape(5, 3, rotation.size).astype(np.float64) @ matrix).reshape(5, -1)
    np.testing.assert_allclose(rotate(x, name), want, atol=3e-6)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("columns", [0, 1, 15, 16, 17, 100, 256])
def test_it_comes_back_and_leaves_what_is_left_over(name, columns):
    x = torch.randn(4, columns, generator=torch.Generator().manual_seed(columns))
    turned = rotate(x, name)
    rest = columns % ROTATIONS[name].size
    assert turned.shape == x.shape
    assert torch.equal(turned[:, columns - rest :], x[:, columns - rest :])
    torch.testing.assert_close(rotate_back(turned, name), x, atol=2e-6, rtol=0)


@given(st.sampled_from(NAMED), st.integers(0, 5))
def test_products_and_norms_stay(name, seed):
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(6, 300, generator=generator), torch.randn(7, 300, generator=generator)
    torch.testing.assert_close(rotate(a, name) @ rotate(b, name).T, a @ b.T, atol=2e-4, rtol=1e-5)
    torch.testing.assert_close(rotate(a, name).norm(), a.norm(), atol=1e-4, rtol=1e-6)


def test_no_rotation_copies():
    x = torch.ones(2, 3)
    assert torch.equal(rotate(x, ""), x)
    assert rotate(x, "") is not x


def test_bad_rotations_are_refused_in_words():
    with pytest.raises(ValueError, match="rotation = 'spin' is not one of hadamard16"):
        rotate([1.0], "spin")
    with pytest.raises(ValueError, match="size = 12"):
        Rotation("x", 12)
    with pytest.raises(ValueError, match="4 of them are needed"):
        Rotation("x", 4, (1, -1))
