"""Synthetic tensors: the same every time, shaped as their descriptions say, outliers exactly where and as large as promised."""

import math

import numpy as np
import pytest
import torch

import fp8core as fp8
from fp8core.samples import MAX_COUNT, SAMPLES, make_sample

SHAPE = (512, 512)


def kurtosis(x):
    x = x.double()
    return float((((x - x.mean()) / x.std()) ** 4).mean())


@pytest.mark.parametrize("name", SAMPLES)
def test_same_arguments_same_numbers_and_other_seed_other_numbers(name):
    x = make_sample(name, SHAPE, seed=3)
    assert x.dtype is torch.float32
    assert x.shape == SHAPE
    assert x.isfinite().all()
    assert torch.equal(x, make_sample(name, SHAPE, seed=3))
    assert not torch.equal(x, make_sample(name, SHAPE, seed=4))


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("shape", [(1,), (7,), (1, 1), (3, 5, 8), (2, 1, 1, 4)])
def test_every_shape(name, shape):
    x = make_sample(name, shape, outlier=10.0)
    assert x.shape == shape
    assert x.isfinite().all()


def test_drawing_leaves_the_global_generators_alone():
    torch.manual_seed(0)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    for name in SAMPLES:
        make_sample(name, (16, 16))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


def test_the_shapes_that_the_descriptions_promise():
    draw = {name: make_sample(name, SHAPE) for name in SAMPLES}
    assert kurtosis(draw["uniform"]) == pytest.approx(1.8, abs=0.05)
    assert kurtosis(draw["normal"]) == pytest.approx(3, abs=0.1)
    assert kurtosis(draw["laplace"]) == pytest.approx(6, abs=0.5)
    assert draw["uniform"].abs().max() <= 1
    assert float((draw["relu"] == 0).float().mean()) == pytest.approx(0.5, abs=0.01)
    assert draw["relu"].min() == 0
    assert float(draw["gelu"].min()) == pytest.approx(-0.17, abs=1e-3)
    per_row = draw["weights"].std(dim=1)
    assert float(per_row.log2().std()) == pytest.approx(0.75, rel=0.1)
    assert float(per_row.median()) == pytest.approx(0.02, rel=0.15)


def test_outlier_channels_are_few_whole_columns():
    per_column = make_sample("outlier_channels", SHAPE).std(dim=0)
    loud = per_column > 10
    assert int(loud.sum()) == math.ceil(SHAPE[1] / 171)
    assert float(per_column[loud].min()) > 17
    assert float(per_column[loud].max()) < 65
    assert float(per_column[~loud].max()) < 1.3


def test_gradients_flush_to_zero_and_still_read_a_good_sqnr():
    x = make_sample("lognormal_gradient")
    report = fp8.measure(x, fp8.quantize(x, "tensor_e4m3"))
    assert report.underflow > 0.3
    assert report.sqnr_db > 30
    assert len(report.binades) > 30


def test_fewer_degrees_of_freedom_heavier_tails():
    crest = [float(x.abs().max() / x.square().mean().sqrt()) for x in (make_sample("student_t", SHAPE, tail=tail) for tail in (1.0, 3.0, 100.0))]
    assert crest[0] > 2 * crest[1] > 4 * crest[2]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_names_the_settings_that_change_its_numbers(name):
    usual = {"seed": 3, "outlier": 10.0, "outlier_share": 0.01, "tail": 3.0}
    x = make_sample(name, SHAPE, **usual)
    others = {"seed": 4, "outlier": 20.0, "outlier_share": 0.02, "tail": 9.0}
    assert {key for key, value in others.items() if not torch.equal(x, make_sample(name, SHAPE, **usual | {key: value}))} == set(SAMPLES[name].settings)


@pytest.mark.parametrize("name", SAMPLES)
def test_outliers_are_planted_in_the_promised_number_of_places_and_nowhere_else(name):
    plain = make_sample(name, SHAPE)
    rms = float(plain.double().square().mean().sqrt())
    for share, places in ((2**-16, 4), (1e-9, 1), (0.01, 2621)):
        x = make_sample(name, SHAPE, outlier=1e6, outlier_share=share)
        changed = x != plain
        assert int(changed.sum()) == places
        assert torch.allclose(x[changed].abs().double(), torch.tensor(1e6 * rms, dtype=torch.float64), rtol=1e-6)
        assert torch.equal(x[changed].sign(), torch.where(plain[changed].signbit(), -1.0, 1.0))
        assert torch.equal(changed, make_sample(name, SHAPE, outlier=1e5, outlier_share=share) != plain)


def test_one_outlier_ruins_int8_long_before_e4m3():
    plain = make_sample("normal")
    x = make_sample("normal", outlier=300.0)
    body = x == plain
    left = {recipe: fp8.sqnr_db(plain[body], fp8.quantize(x, recipe).dequantize()[body]) for recipe in ("int8_tensor", "tensor_e4m3")}
    assert left["int8_tensor"] < 6
    assert left["tensor_e4m3"] > 31


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "cauchy"}, r"sample 'cauchy' is not one of normal, uniform, .*weights"),
        ({"shape": ()}, r"shape = \(\) needs at least one axis"),
        ({"shape": (4, 0)}, r"shape = \(4, 0\) needs"),
        ({"shape": (4, -1)}, r"shape = \(4, -1\) needs"),
        ({"shape": (4.0, 4)}, r"shape = \(4.0, 4\) needs"),
        ({"shape": 16}, r"shape = 16 needs"),
        ({"shape": (2**40, 2**40)}, rf"at most {MAX_COUNT:,}"),
        ({"seed": -1}, r"seed = -1 is not"),
        ({"seed": 0.5}, r"seed = 0.5 is not"),
        ({"outlier": 0.5}, r"outlier = 0.5 is not"),
        ({"outlier": math.inf}, r"outlier = inf is not"),
        ({"outlier": math.nan}, r"outlier = nan is not"),
        ({"outlier": 1e39}, r"outlier = 1e\+39 × rms is .* float32 ends at 3.4e38"),
        ({"outlier_share": 0.0}, r"outlier_share = 0.0 is not"),
        ({"outlier_share": 1.5}, r"outlier_share = 1.5 is not"),
        ({"tail": 0.5}, r"tail = 0.5 degrees of freedom are not within 1 … 100"),
        ({"tail": math.nan}, r"tail = nan"),
    ],
)
def test_a_bad_argument_is_named_with_its_rule(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_sample(**{"name": "normal", "shape": (8, 8), **arguments})


def test_every_sample_has_words():
    for sample in SAMPLES.values():
        assert sample.label
        assert sample.description.endswith(".")
        assert len({s.label for s in SAMPLES.values()}) == len(SAMPLES)
