"""Layer reports: the same numbers as measure() gives, one tensor alive at a time, sums that add up."""

import gc
import math
import weakref

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import fp8core as fp8
from fp8core.checkpoints import TensorInfo, open_checkpoint
from fp8core.layers import analyze, analyze_tensors, as_layer, report, statistics, summary, to_rows, why_not

RECIPES = ["tensor_e4m3", "int8_tensor", "mxfp4"]


class Fake:
    """A checkpoint that makes its tensors when they are read, and counts how many of them are alive."""

    def __init__(self, **tensors):
        self.make = tensors
        built = {name: make() for name, make in tensors.items()}
        self.filename, self.refused = "fake.safetensors", {}
        self.infos = {name: TensorInfo(name, tuple(x.shape), x.dtype) for name, x in built.items()}
        self.reads, self.alive, self.most_alive = [], 0, 0

    def read(self, name):
        x = self.make[name]()
        self.reads.append(name)
        self.alive += 1
        self.most_alive = max(self.most_alive, self.alive)
        weakref.finalize(x, self._died)
        return x

    def _died(self):
        self.alive -= 1


def randn(*shape, seed=0, dtype=torch.float32):
    return lambda: torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.fixture
def checkpoint():
    return Fake(
        **{
            "fc.weight": randn(48, 64),
            "conv.weight": randn(16, 8, 3, 3, seed=1),
            "half.weight": randn(32, 32, seed=2, dtype=torch.bfloat16),
            "fc.bias": randn(48, seed=3),
            "steps": lambda: torch.arange(4).reshape(2, 2),
            "nothing": lambda: torch.zeros(0, 4),
            "gain": lambda: torch.tensor(1.5),
            "packed": lambda: torch.ones(4, 4).to(torch.float8_e4m3fn),
        }
    )


def same(a, b):
    for field in ("count", "sqnr_db", "mse", "max_abs", "max_ulp", "cosine", "underflow", "saturation", "bits_per_value"):
        assert getattr(a, field) == getattr(b, field), field


def test_a_report_is_what_measure_says_of_the_same_tensor(checkpoint):
    for layer in analyze(checkpoint, RECIPES, ["fc.weight", "half.weight"]):
        x = checkpoint.make[layer.name]()
        assert list(layer.errors) == RECIPES
        for recipe, error in layer.errors.items():
            same(error, fp8.measure(x, fp8.quantize(x, recipe)))


def test_a_convolution_is_a_matrix_of_output_channels(checkpoint):
    (layer,) = analyze(checkpoint, ["int8_row", "mxfp4"], ["conv.weight"])
    x = checkpoint.make["conv.weight"]()
    assert (layer.kind, layer.shape) == ("convolution", (16, 8, 3, 3))
    assert as_layer(x, "convolution").shape == (16, 72)
    for recipe, error in layer.errors.items():
        same(error, fp8.measure(x.reshape(16, 72), fp8.quantize(x.reshape(16, 72), recipe)))
    by_channel = torch.stack([fp8.quantize(channel.reshape(1, -1), "int8_tensor").dequantize() for channel in x])
    assert layer.errors["int8_row"].sqnr_db == pytest.approx(fp8.sqnr_db(x.reshape(16, 1, 72), by_channel))


def test_what_stays_in_high_precision_says_why_and_is_not_read(checkpoint):
    kept = {layer.name: layer.reason for layer in analyze(checkpoint, RECIPES) if layer.reason}
    assert set(kept) == {"fc.bias", "steps", "nothing", "gain", "packed"}
    assert checkpoint.reads == ["fc.weight", "conv.weight", "half.weight"]
    for name, words in {"fc.bias": "a vector of 48", "steps": "int64", "nothing": "(0, 4) is empty", "gain": "a single number", "packed": "already 8 bits"}.items():
        assert words in kept[name]
    assert why_not((4, 4), "matrix", torch.complex64) != ""
    assert not report(checkpoint, "fc.bias", RECIPES, matrices_only=False).reason
    assert "3,072 numbers are more than the 1,000" in report(checkpoint, "fc.weight", RECIPES, most=1000).reason


def test_one_tensor_is_alive_at_a_time(checkpoint):
    gc.disable()  # reference counts alone have to free each tensor
    try:
        for _ in analyze(checkpoint, ["tensor_e4m3"], matrices_only=False):
            pass
        assert checkpoint.most_alive == 1
        assert checkpoint.alive == 0
        checkpoint.reads.clear()
        next(iter(analyze(checkpoint, ["tensor_e4m3"])))
        assert checkpoint.reads == ["fc.weight"]
    finally:
        gc.enable()


def test_progress_names_every_tensor_before_it_is_read(checkpoint):
    told = []
    list(analyze(checkpoint, ["mxfp4"], progress=lambda *step: told.append((*step, list(checkpoint.reads)))))
    assert [step[:3] for step in told] == [(i, 8, name) for i, name in enumerate(checkpoint.infos)]
    assert told[1][3] == ["fc.weight"]


@pytest.mark.parametrize(
    ("recipes", "names", "words"),
    [(["fp9"], None, "fp9"), (["mxfp4", "mxfp4"], None, "named 2 times"), (["mxfp4"], ["fc.weigth"], "'fc.weigth' is not among the 8")],
)
def test_bad_requests_are_refused_before_anything_is_read(checkpoint, recipes, names, words):
    with pytest.raises(ValueError, match=words):
        analyze(checkpoint, recipes, names)
    assert not checkpoint.reads
    with pytest.raises(ValueError, match="kind = 'tensor'"):
        analyze_tensors({}, [], kind="tensor")


def test_entries_without_numbers_are_listed(tmp_path):
    np.savez(tmp_path / "mixed.npz", weight=np.ones((2, 32), np.float32), words=np.array(["a", "b"]))
    layers = list(analyze(open_checkpoint(tmp_path / "mixed.npz"), ["mxfp4"]))
    assert [(layer.name, layer.kind) for layer in layers] == [("weight", "matrix"), ("words", "unreadable")]
    assert "text" in layers[1].reason
    assert len(to_rows(layers)) == 2


def test_the_summary_weighs_by_energy_and_counts_every_byte():
    checkpoint = Fake(loud=lambda: 1000 * randn(64, 64)(), quiet=lambda: 1e-3 * randn(32, 96, seed=1)(), bias=randn(10), exact=lambda: torch.ones(8, 8), zero=lambda: torch.zeros(8, 8))
    layers = list(analyze(checkpoint, RECIPES))
    found = summary(layers)
    assert list(found) == RECIPES
    tensors = [checkpoint.make[name]() for name in ("loud", "quiet", "exact", "zero")]
    for recipe, s in found.items():
        pairs = [(x.double(), fp8.quantize(x, recipe)) for x in tensors]
        signal = sum(float((x**2).sum()) for x, _ in pairs)
        noise = sum(float(((x - q.dequantize()) ** 2).sum()) for x, q in pairs)
        assert s.sqnr_db == pytest.approx(10 * math.log10(signal / noise), abs=1e-9)
        assert s.nbytes == sum(q.nbytes for _, q in pairs) + 40
        assert s.stored_nbytes == 4 * (64 * 64 + 32 * 96 + 10 + 128)
        assert s.bits_per_value == 8 * sum(q.nbytes for _, q in pairs) / sum(x.numel() for x, _ in pairs)
        assert s.worst_sqnr_db == min(layer.errors[recipe].sqnr_db for layer in layers if layer.name in ("loud", "quiet", "exact"))
        assert s.worst in ("loud", "quiet")
        assert s.underflow == pytest.approx(sum(int(((x != 0) & (q.dequantize() == 0)).sum()) for x, q in pairs) / s.count)
    assert summary([]) == {}
    (alone,) = analyze(checkpoint, ["mxfp4"], ["quiet"])
    assert summary([alone])["mxfp4"].sqnr_db == pytest.approx(alone.errors["mxfp4"].sqnr_db, abs=1e-12)


def test_summary_of_what_has_no_error():
    checkpoint = Fake(zero=lambda: torch.zeros(4, 4), exact=lambda: torch.eye(4))
    assert math.isnan(summary(analyze(checkpoint, ["mxfp4"], ["zero"]))["mxfp4"].sqnr_db)
    assert summary(analyze(checkpoint, ["mxfp4"]))["mxfp4"].sqnr_db == math.inf


def test_statistics_of_known_distributions():
    g = torch.randn(1 << 18, generator=torch.Generator().manual_seed(0))
    s = statistics(g)
    assert s.rms == pytest.approx(1.0, rel=0.01)
    assert s.kurtosis == pytest.approx(3.0, rel=0.05)
    assert s.crest_factor == s.amax / s.rms
    u = statistics(torch.linspace(-2, 2, 100001))
    assert (u.crest_factor, u.kurtosis) == (pytest.approx(math.sqrt(3), rel=1e-4), pytest.approx(1.8, rel=1e-3))
    assert statistics([0.0, 1.0, -8.0, math.nan, math.inf]).range_binades == 3.0
    assert statistics([0.0, 1.0, -8.0, math.nan]).zeros == 1
    for nothing in ([0.0, 0.0], [math.nan], torch.zeros(0)):
        assert math.isnan(statistics(nothing).crest_factor)
    x = torch.ones(4)
    statistics(x)
    assert torch.equal(x, torch.ones(4))


def test_statistics_do_not_change_the_tensor():
    x = torch.randn(5, dtype=torch.float64)
    before = x.clone()
    statistics(x)
    assert torch.equal(x, before)


def test_activations_and_rows():
    tensors = {"block1.in": randn(10, 64)(), "block2.in": randn(2, 5, 64, seed=1)(), "nothing": torch.zeros(0, 3)}
    layers = list(analyze_tensors(tensors, RECIPES))
    assert [layer.kind for layer in layers] == ["activation"] * 3
    same(layers[1].errors["mxfp4"], fp8.measure(tensors["block2.in"], fp8.quantize(tensors["block2.in"], "mxfp4")))
    rows = to_rows(layers)
    assert len(rows) == 2 * len(RECIPES) + 1
    assert len({tuple(row) for row in rows}) == 1
    assert rows[0]["layer"] == "block1.in"
    assert rows[0]["sqnr_db"] == layers[0].errors["tensor_e4m3"].sqnr_db
    assert rows[-1]["recipe"] == ""
    assert "is empty" in rows[-1]["kept"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_rows_do_not_depend_on_the_number_of_threads(tmp_path, dtype):
    save_file({"a.weight": torch.randn(700, 1024, dtype=dtype, generator=torch.Generator().manual_seed(0))}, tmp_path / "x.safetensors")
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(repr(to_rows(analyze(open_checkpoint(tmp_path / "x.safetensors"), ["tensor_e4m3", "nvfp4", "compressed_tensors_mxfp4"]))))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]
