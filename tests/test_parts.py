"""Large tensors, measured some rows at a time: the same codes, scales and reports as in one piece."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import fp8core as fp8
from fp8core.checkpoints import open_checkpoint
from fp8core.layers import analyze, analyze_tensors, measuring
from fp8core.packed import decoded
from fp8core.parts import column_peaks, quantize_part, spans_rows
from fp8core.recipes import RECIPES

EXACT = [name for name, recipe in RECIPES.items() if recipe.rounding != "stochastic"]


def weight(*shape, seed=0):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    x[shape[0] // 3] *= 40
    x[-1].view(-1)[5] = 1000
    return x


@pytest.mark.parametrize("name", EXACT)
def test_rows_quantized_apart_have_the_codes_that_they_have_together(name):
    recipe, x = RECIPES[name], weight(300, 160)
    whole = fp8.quantize(x, recipe)
    parts = [x[first : first + 128] for first in range(0, 300, 128)]
    peaks = torch.stack([column_peaks(part, recipe) for part in parts]).amax(0) if spans_rows(recipe) else None
    found = [quantize_part(part, recipe, peaks) for part in parts]
    assert torch.equal(torch.cat([q.codes for q in found]), whole.codes)
    if recipe.scaling is not None and recipe.scaling.block[0] is not None:
        assert torch.equal(torch.cat([q.scale for q in found]), whole.scale)
    else:
        assert all(torch.equal(q.scale, whole.scale) for q in found)


def reports(checkpoint, recipes, monkeypatch, part):
    monkeypatch.setattr(measuring, "PART", part)
    return list(analyze(checkpoint, recipes))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_reports_of_parts_are_those_of_the_whole(tmp_path, monkeypatch, dtype):
    tensors = {"a.weight": weight(300, 160), "conv.weight": weight(260, 12, 3, 3), "mlp.experts.up": weight(6, 40, 64), "nan.weight": weight(300, 160)}
    tensors["nan.weight"][299, 3] = torch.nan
    save_file({name: x.to(dtype) for name, x in tensors.items()}, tmp_path / "x.safetensors")
    checkpoint = open_checkpoint(tmp_path / "x.safetensors")
    recipes = EXACT if dtype is torch.float32 else ["tensor_e4m3", "nvfp4_2d", "nf4_64", "te_nvfp4_rht", "float16"]
    for whole, parted in zip(reports(checkpoint, recipes, monkeypatch, 1 << 24), reports(checkpoint, recipes, monkeypatch, 160 * 16), strict=True):
        assert vars(parted.statistics) == pytest.approx(vars(whole.statistics), rel=1e-12, nan_ok=True)
        for name, error in whole.errors.items():
            other = parted.errors[name]
            for field in ("count", "max_abs", "max_ulp", "underflow", "saturation", "zeros", "nans", "infs", "lost", "bits_per_value"):
                assert getattr(other, field) == getattr(error, field), (whole.name, name, field)
            for field in ("sqnr_db", "mse", "cosine"):
                assert getattr(other, field) == pytest.approx(getattr(error, field), rel=1e-12, nan_ok=True), (whole.name, name, field)
            np.testing.assert_array_equal(other.code_histogram, error.code_histogram)
            np.testing.assert_array_equal(other.binade_count, error.binade_count)


def test_a_large_tensor_is_never_read_in_one_piece(tmp_path, monkeypatch):
    q = fp8.quantize(weight(640, 256), "deepseek_v3_128x128")
    save_file({"a.weight": q.codes.view(torch.float8_e4m3fn), "a.weight_scale_inv": q.scale}, tmp_path / "x.safetensors")
    checkpoint, most = decoded(open_checkpoint(tmp_path / "x.safetensors")), []
    read = type(checkpoint).read

    def watched(self, name, rows=None):
        x = read(self, name, rows)
        most.append(x.numel())
        return x

    monkeypatch.setattr(type(checkpoint), "read", watched)
    (layer,) = reports(checkpoint, ["mxfp4", "deepseek_v3_128x128"], monkeypatch, 128 * 256)
    assert max(most) == 128 * 256
    assert layer.errors["deepseek_v3_128x128"].sqnr_db > 100


def test_an_analysis_gives_the_same_rows_again():
    x = {"a": weight(64, 64)}
    first, second = (next(analyze_tensors(x, ["te_nvfp4_sr"])) for _ in range(2))
    assert first.errors["te_nvfp4_sr"].mse == second.errors["te_nvfp4_sr"].mse
