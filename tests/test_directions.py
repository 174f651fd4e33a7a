"""Rows against columns, two quantized forms side by side, one block inside out, scale rules over a binade."""

import numpy as np
import pytest
import torch

import fp8core as fp8
from fp8core.anatomy import PICKS, anatomy, pick_block, scale_counts
from fp8core.compare import difference, scale_curve
from fp8core.directions import directions, transposed
from fp8core.rules import GENERIC_RULES
from fp8core.samples import make_sample

SHAPES = [(1, 1), (1, 7), (13, 1), (37, 45), (64, 128), (130, 257)]
RECIPES = ["row_e4m3", "mxfp4", "nvfp4", "int8_row", "nvfp4_2d", "te_nvfp4", "tensor_e4m3", "bfloat16"]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", RECIPES)
def test_columns_are_the_rows_of_the_transpose(shape, name):
    x = make_sample("laplace", shape, seed=1)
    found = directions(x, name)
    rows, columns = fp8.quantize(x, name).dequantize(), fp8.quantize(x.T.contiguous(), name).dequantize().T
    assert found.difference.values == int((rows != columns).sum())
    assert found.along_rows.sqnr_db == fp8.measure(x, fp8.quantize(x, name)).sqnr_db
    assert max(found.gap.shape) <= 64
    assert (found.gap == 0).all() == (found.difference.values == 0)
    rms = float(x.double().square().mean().sqrt())
    assert found.gap.max() == pytest.approx(float((rows.double() - columns.double()).abs().max()) / rms)


@pytest.mark.parametrize("name", ["tensor_e4m3", "nvfp4_2d", "deepseek_v3_128x128", "bfloat16"])
def test_square_blocks_one_scale_and_none_have_no_direction(name):
    assert transposed(name) is fp8.RECIPES[name]
    assert directions(make_sample("normal", (100, 60)), name).difference.share == 0


def test_transposing_twice_gives_the_same_blocks_and_rotation_is_refused():
    assert transposed(transposed("mxfp4")).scaling == fp8.RECIPES["mxfp4"].scaling
    with pytest.raises(ValueError, match="rotates the last axis"):
        transposed("te_nvfp4_rht")


def test_nan_and_infinity_do_not_reach_the_map():
    x = make_sample("normal", (20, 20))
    x[3, 4], x[5, 6] = torch.nan, torch.inf
    assert np.isfinite(directions(x, "row_e4m3").gap).all()


def test_differences_are_counted():
    x = make_sample("normal", (32, 64))
    same = difference(fp8.quantize(x, "mxfp8_e4m3"), fp8.quantize(x, "torchao_mxfp8_floor"))
    assert (same.codes, same.values, same.scales) == (0, 0, 0)
    other = difference(fp8.quantize(x, "mxfp8_e4m3"), fp8.quantize(x, "torchao_mxfp8_ceil"))
    a, b = fp8.quantize(x, "mxfp8_e4m3"), fp8.quantize(x, "torchao_mxfp8_ceil")
    assert other.codes == int((a.codes != b.codes).sum())
    assert other.scales == int((a.scale != b.scale).sum())
    assert other.count == x.numel()
    assert difference(a, fp8.quantize(x, "mxfp4")).codes is None
    assert difference(a, fp8.quantize(x, "row_e4m3")).scales is None


def test_numpy_tensors_and_nan_compare_too():
    x = np.array([[np.nan, 1.0], [2.0, 3.0]], np.float32)
    q = fp8.quantize(x, "tensor_e4m3")
    assert difference(q, q).values == 0
    assert directions(x, "row_e4m3").difference.count == 4
    with pytest.raises(ValueError, match="one shape"):
        difference(q, fp8.quantize(x[:1], "tensor_e4m3"))


@pytest.mark.parametrize("fmt", ["e4m3fn", "e5m2", "e2m1fn", "int8", "nf4", "hif8", "e8m0fnu"])
def test_ceil_and_rceil_never_clip_and_floor_may(fmt):
    shares = {rule: scale_curve(fmt, rule, "e8m0fnu")[1] for rule in GENERIC_RULES}
    assert (shares["ceil"] >= 1).all()
    assert (shares["rceil"] >= 1).all()
    assert (shares["floor"] <= shares["rceil"]).all()
    assert (shares["rceil"] <= shares["ceil"]).all()
    assert np.allclose(scale_curve(fmt, "amax", "float32")[1], 1)


@pytest.mark.parametrize("name", ["nvfp4", "te_nvfp4", "torchao_nvfp4", "compressed_tensors_nvfp4", "modelopt_nvfp4", "torchao_nvfp4_one_level", "mxfp8_e4m3", "row_e4m3", "nvfp4_2d"])
@pytest.mark.parametrize("shape", [(5, 16), (37, 45)], ids=str)
def test_an_anatomy_is_what_quantize_did(name, shape):
    x = make_sample("student_t", shape, seed=2, outlier=50)
    q = fp8.quantize(x, name)
    across = q.scale.shape[1]
    rows, columns = (length if side is None else side for side, length in zip(q.recipe.scaling.block, shape, strict=True))
    for index in range(q.scale.numel()):
        part = anatomy(x, q, index)
        i, j = divmod(index, across)
        inside = slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns)
        assert (part.restored == q.dequantize()[inside].double().reshape(-1).numpy()).all()
        assert (part.x == x[inside].double().reshape(-1).numpy()).all()
        assert (part.row, part.column) == (inside[0].start, inside[1].start)
        assert part.amax == x[inside].abs().max()
        assert part.scale == q.scale[i, j]
        assert part.stored * part.global_scale == pytest.approx(part.scale, rel=1e-6)
    assert anatomy(x, q, q.scale.numel() + 2).index == 2 % q.scale.numel()
    counts = scale_counts(x, q)
    assert counts.counts.sum() + counts.zero + counts.empty == counts.blocks == q.scale.numel()


@pytest.mark.parametrize(("name", "kept"), [("nvfp4", "raised"), ("te_nvfp4", "zero"), ("torchao_nvfp4", "raised"), ("compressed_tensors_nvfp4", "raised"), ("modelopt_nvfp4", "raised")])
def test_tiny_blocks_beside_a_large_one_are_seen(name, kept):
    x = torch.full((3, 16), 1e-7)
    x[0], x[2] = 6.0, 0.0
    counts = scale_counts(x, fp8.quantize(x, name))
    assert (counts.zero, int(counts.raised.sum()), counts.empty) == (int(kept == "zero"), int(kept == "raised"), 1)


@pytest.mark.parametrize("name", ["nvfp4", "te_nvfp4", "torchao_nvfp4", "compressed_tensors_nvfp4", "modelopt_nvfp4"])
def test_nan_infinity_and_zeros_have_an_anatomy(name):
    x = torch.ones(4, 32)
    x[0, 3], x[1, 20], x[2] = torch.nan, torch.inf, 0.0
    for part in (x, x[1:], x[2:], x[2:3]):
        q = fp8.quantize(part, name)
        counts = scale_counts(part, q)
        assert counts.counts.sum() + counts.zero + counts.empty + counts.nan == counts.blocks
        for index in range(q.scale.numel()):
            found = anatomy(part, q, index)
            assert np.array_equal(found.restored, q.dequantize().double().reshape(-1, 16)[index].numpy(), equal_nan=True)
        assert all(0 <= pick_block(part, q, which) < counts.blocks for which in PICKS)


def test_blocks_worth_a_look():
    x = torch.ones(4, 32)
    x[2, 20], x[1, :16], x[0, 0] = 100.0, 0.01, 1.3
    q = fp8.quantize(x, "nvfp4")
    found = {which: pick_block(x, q, which) for which in PICKS}
    assert (found["largest"], found["smallest"]) == (5, 2)
    worst = (x - q.dequantize()).abs().reshape(4, 2, 16).amax(dim=2).argmax()
    assert found["worst"] == worst
    with pytest.raises(ValueError, match="which = 'best'"):
        pick_block(x, q, "best")
    with pytest.raises(ValueError, match="has no scales"):
        anatomy(x, fp8.quantize(x, "bfloat16"), 0)
