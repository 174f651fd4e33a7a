"""Counts behind the distribution and scaling pages, against plain numpy."""

from dataclasses import asdict
from functools import partial

import numpy as np
import pytest
import torch

import fp8core as fp8
from fp8core import kernels
from fp8core.distributions import FATES, distribution, linear_view, maps


@pytest.fixture
def spread():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((96, 160)) * np.exp2(rng.integers(-30, 12, (96, 160)))).astype(np.float32)
    x[0, :4] = [0.0, np.nan, np.inf, -0.0]
    return x


@pytest.mark.parametrize("name", ["e4m3fn", "tensor_e4m3", "mxfp8_e5m2", "nvfp4", "int8_row", "bfloat16", "e4m3fn:128x128"])
@pytest.mark.parametrize("scaled", [False, True])
def test_counts_by_binade_and_fate(spread, name, scaled):
    q = fp8.quantize(spread, name)
    d, r = distribution(spread, q, scaled=scaled), fp8.measure(spread, q)
    assert (d.zeros, d.nans, d.infs, d.count) == (2, 1, 1, spread.size)
    lost_with_a_binade = max(r.lost - 2, 0)  # both zeros stand beside the NaN
    in_nan_blocks = lost_with_a_binade if scaled else 0
    assert sum(c.sum() for c in d.counts.values()) == spread.size - 4 - in_nan_blocks
    assert d.share("flushed") == r.underflow
    assert d.share("saturated") == pytest.approx(r.saturation)
    if not scaled:
        assert d.share("lost") == lost_with_a_binade / r.count
        assert np.array_equal(d.binades, r.binades)
        assert np.array_equal(sum(counts for fate, counts in d.counts.items() if fate != "lost"), r.binade_count)


def test_fates_meet_at_the_formats_own_limits():
    x = [2.0**-10, 2.0**-10 * 1.01, 2.0**-6 * 0.999, 2.0**-6, 448.0, 464.0, 465.0]
    d = distribution(x, fp8.quantize(x, "e4m3fn"), scaled=True)
    assert {fate: int(d.counts[fate].sum()) for fate in FATES} == {"flushed": 1, "subnormal": 2, "normal": 3, "saturated": 1, "lost": 0}


def test_integers_have_no_subnormals():
    x = torch.linspace(-1, 1, 1001)
    assert distribution(x, fp8.quantize(x, "int8_tensor"), scaled=True).share("subnormal") == 0.0


def test_all_zero_and_empty_tensors_have_no_binades():
    for x in (torch.zeros(4, 4), torch.zeros(0, 4)):
        d = distribution(x, fp8.quantize(x, "mxfp4"), scaled=True)
        assert d.binades.size == 0
        assert d.share("flushed") == 0.0


def test_linear_view_counts_everything_once(spread):
    q = fp8.quantize(spread, "tensor_e4m3")
    for zoom in (1, 4, 64):
        v = linear_view(spread, q, zoom)
        assert v.counts.sum() + v.outside == np.isfinite(spread).sum()
        assert v.edges[-1] == pytest.approx(448 / zoom)
        assert np.all(np.abs(v.grid) <= v.edges[-1])
    assert linear_view(np.zeros(5), fp8.quantize(np.zeros(5), "tensor_e4m3")).counts.sum() == 5
    with pytest.raises(ValueError, match="zoom = 0"):
        linear_view(spread, q, 0)


@pytest.mark.parametrize("name", ["tensor_e4m3", "row_e4m3", "mxfp8_e4m3", "e4m3fn:128x128", "e4m3fn"])
def test_maps_agree_with_cells_cut_by_hand(name):
    x = torch.randn(200, 300, generator=torch.Generator().manual_seed(0))
    x[:8] = 0
    q = fp8.quantize(x, name)
    m = maps(x, q, most=32)
    assert m.scale_log2.shape == m.sqnr_db.shape
    assert max(m.sqnr_db.shape) <= 32 or q.recipe.scaling.block[1] not in (None, 1)
    rows, columns = m.cell
    part = (slice(rows, 2 * rows), slice(columns, 2 * columns)) if m.sqnr_db.shape[0] > 2 else (slice(rows, 2 * rows), slice(0, columns))
    i, j = 1, part[1].start // columns
    if x[part].abs().sum() > 0:
        assert m.sqnr_db[i, j] == pytest.approx(fp8.sqnr_db(x[part], q.dequantize()[part]), abs=1e-6)
    if rows <= 8:
        assert np.isnan(m.sqnr_db[0]).all()


@pytest.mark.parametrize("name", ["e4m3fn", "tensor_e4m3", "column_e4m3", "mxfp4", "nvfp4", "te_nvfp4_rht", "nf4_64", "float32", "e4m3fn:3x5", "ue4m4"])
def test_one_pass_counts_on_a_line_and_of_rotated_numbers_equal_the_definition(spread, name):
    ties = np.random.default_rng(1).integers(-500, 500, (40, 128)).astype(np.float32)
    for x in (spread, np.nan_to_num(spread, posinf=1.0), ties, np.zeros((3, 64), np.float32), spread.T, ties.astype(np.float16)):
        q = fp8.quantize(x, name, seed=0)
        for question in (*(partial(linear_view, zoom=zoom) for zoom in (1, 3, 500)), partial(distribution, scaled=True), partial(distribution, scaled=False)):
            ours = question(x, q)
            with kernels.set_aside():
                theirs = question(x, q)
            for mine, other in zip(asdict(ours).values(), asdict(theirs).values(), strict=True):
                assert mine == other if isinstance(mine, int) else all(map(np.array_equal, mine.values(), other.values())) if isinstance(mine, dict) else np.array_equal(mine, other)
