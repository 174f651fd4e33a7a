"""Static calibration against brute force and against an independent search; smoothing and rotation by their laws."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fp8core as fp8
from fp8core import kernels
from fp8core.calibration import CALIBRATIONS, calibrate, observe, search, smooth
from fp8core.calibration.effect import effect
from fp8core.rotation import ROTATIONS, Rotation, rotate, rotate_back
from fp8core.samples import make_sample

FORMATS = ["int8", "int4", "e4m3fn", "e5m2", "e2m1fn", "e3m4", "mxint8", "nf4", "hif8", "float16", "tfloat32"]
TENSORS = {
    "student": make_sample("student_t", (64, 64), seed=1, tail=2),
    "gelu": make_sample("gelu", (64, 64), seed=2),
    "gradients": make_sample("lognormal_gradient", (64, 64), seed=3),
    "outlier": make_sample("normal", (64, 64), seed=4, outlier=300.0),
}


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("tensor", TENSORS)
@pytest.mark.parametrize("method", CALIBRATIONS)
def test_the_effect_that_is_reported_is_the_effect_of_quantizing(fmt, tensor, method):
    x = TENSORS[tensor]
    found = calibrate(x, fmt, method)
    report = fp8.measure(x, fp8.quantize(x, fmt, fp8.ScaleSpec(), amax=found.amax))
    assert (found.clipped, found.flushed) == (report.saturation, report.underflow)
    assert found.sqnr_db == pytest.approx(report.sqnr_db, abs=1e-9)
    assert 0 < found.amax <= found.largest == float(x.abs().max())
    assert len(found.thresholds) == len(found.losses) == {"mse": 97, "entropy": 1921}.get(method, 0)


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("tensor", TENSORS)
def test_mse_is_that_of_every_number_rounded(fmt, tensor):
    x, shares = TENSORS[tensor], (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1.3)
    found = calibrate(x.split(7), fmt, "mse", shares=shares)
    brute = []
    for threshold in found.thresholds:
        restored = fp8.quantize(x, fmt, fp8.ScaleSpec(), amax=float(threshold)).dequantize()
        brute.append(float(((x.double() - restored) ** 2).mean()))
    assert found.thresholds == pytest.approx(float(x.abs().max()) * np.array(shares), rel=1e-15)
    np.testing.assert_allclose(found.losses, brute, rtol=1e-3, atol=1e-12 * float((x.double() ** 2).mean()))
    assert found.amax == found.thresholds[found.losses == found.losses.min()][-1]


def plain_entropy(x, fmt, bins=2048):
    """The search written out with loops, as the description of the method reads."""
    magnitude = np.abs(x.numpy().astype(np.float64)).ravel()
    largest = magnitude.max()
    counts = [0.0] * bins
    for value in magnitude:
        counts[min(int(value / largest * bins), bins - 1)] += 1
    counts[0] = counts[1]
    for end in range(128, bins + 1, 120):
        rounded = fp8.round_to([(2 * b + 1) * fmt.max / (2 * end) for b in range(end)], fmt).tolist()
        level = [b * 2 ** (fmt.bits - 1) // end for b in range(end)] if isinstance(fmt, fp8.IntFormat) else rounded
        held, full = {}, {}
        for b in range(end):
            held[level[b]] = held.get(level[b], 0.0) + counts[b]
            full[level[b]] = full.get(level[b], 0) + (counts[b] > 0)
        q = [held[level[b]] / full[level[b]] if counts[b] else 0.0 for b in range(end)]
        p = [*counts[: end - 1], counts[end - 1] + sum(counts[end:])]
        loss = 0.0
        for pb, qb in zip(p, q, strict=True):
            if pb:
                loss += pb / sum(p) * math.log(pb / sum(p) / (qb / sum(q))) if qb else math.inf
        yield end, loss


@pytest.mark.parametrize("fmt", ["int8", "int4", "e4m3fn", "e5m2", "e2m1fn"])
@pytest.mark.parametrize("tensor", ["student", "gelu"])
def test_entropy_is_that_of_the_search_written_out(fmt, tensor):
    found = calibrate(TENSORS[tensor], fmt, "entropy")
    for end, loss in plain_entropy(TENSORS[tensor], fp8.parse_format(fmt)):
        assert found.losses[end - 128] == pytest.approx(loss, rel=1e-9, abs=1e-12)
        assert found.thresholds[end - 128] == pytest.approx(found.largest * end / 2048)
    assert found.amax == found.thresholds[np.flatnonzero(found.losses == found.losses.min())[-1]]


def test_a_search_beats_the_largest_where_there_is_an_outlier_and_integers():
    x = TENSORS["outlier"]
    largest, mse = (calibrate(x, "int8", method) for method in ("amax", "mse"))
    assert largest.clipped == 0
    assert mse.sqnr_db >= largest.sqnr_db
    body = make_sample("laplace", (256, 256), seed=5)
    assert calibrate(body, "int4", "mse").sqnr_db > calibrate(body, "int4").sqnr_db + 3


@given(st.lists(st.floats(0.001, 100), min_size=2, max_size=6, unique=True), st.sampled_from(sorted(TENSORS)))
@settings(deadline=None, max_examples=40)
def test_percentiles_rise_and_clip_what_they_say(percentiles, tensor):
    x = TENSORS[tensor]
    found = [calibrate(x, "int8", "percentile", percentile=p).amax for p in sorted(percentiles)]
    assert found == sorted(found)
    for p, amax in zip(sorted(percentiles), found, strict=True):
        above = int((x.abs().double() > amax).sum())
        assert above <= math.floor((100 - p) / 100 * x.numel() + 1e-6)
    assert calibrate(x, "int8", "percentile", percentile=100).amax == float(x.abs().max())


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=12), st.floats(0, 0.99))
@settings(deadline=None)
def test_the_moving_average_stays_within_the_batches(loudness, momentum):
    batches = [torch.tensor([a, -a / 2]) for a in loudness]
    found = calibrate(batches, "e4m3fn", "moving_average", momentum=momentum)
    seen = [float(torch.tensor(a)) for a in loudness]
    assert found.batch_amax.tolist() == seen
    assert min(seen) * (1 - 1e-12) <= found.amax <= max(seen) * (1 + 1e-12)
    expected = seen[0]
    for a in seen[1:]:
        expected = momentum * expected + (1 - momentum) * a
    assert found.amax == pytest.approx(expected)


@given(st.permutations(range(5)), st.sampled_from(["amax", "percentile", "mse", "entropy"]))
@settings(deadline=None, max_examples=8)
def test_the_order_and_the_cut_of_the_batches_do_not_matter_but_for_the_moving_average(order, method):
    x = TENSORS["student"]
    parts = list(x.tensor_split(5))
    assert calibrate([parts[i] for i in order], "e2m1fn", method).amax == calibrate(x, "e2m1fn", method).amax


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_a_power_of_two_goes_through(method):
    x = TENSORS["gelu"]
    assert calibrate(x * 2.0**-60, "e4m3fn", method).amax == calibrate(x, "e4m3fn", method).amax * 2.0**-60


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_nan_and_infinity_are_left_out_and_counted(method):
    x = TENSORS["student"].clone()
    dirty = torch.cat([x.reshape(-1), torch.tensor([math.nan, math.inf, -math.inf])])
    clean, found = calibrate(x, "e4m3fn", method), calibrate([dirty, torch.tensor([math.nan])], "e4m3fn", method)
    assert (found.amax, found.count, found.nans, found.infs) == (clean.amax, x.numel(), 2, 2)
    assert math.isnan(found.batch_amax[1])


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_zeros_and_single_numbers(method):
    nothing = calibrate([torch.zeros(8), torch.zeros(2, 2)], "int8", method)
    assert (nothing.amax, nothing.clipped, nothing.flushed, nothing.count) == (0.0, 0.0, 0.0, 12)
    assert math.isnan(nothing.sqnr_db)
    assert not nothing.losses.size
    one = calibrate(np.array([-3.0]), "e4m3fn", method)
    assert 0 < one.amax <= 3.0


def test_what_was_observed_once_serves_every_method():
    observed = observe(TENSORS["student"].split(9))
    for method in CALIBRATIONS:
        once, again = calibrate(observed, "e4m3fn", method), calibrate(TENSORS["student"].split(9), "e4m3fn", method)
        assert (once.amax, once.sqnr_db, once.batch_amax.tolist()) == (again.amax, again.sqnr_db, again.batch_amax.tolist())


@given(st.lists(st.floats(2.0**-30, 2.0**30), min_size=1, max_size=30), st.integers(1, 8))
@settings(deadline=None)
def test_the_histogram_counts_every_magnitude_in_its_bin(numbers, per_binade):
    edges, counts = observe([*numbers, 0.0, math.nan]).histogram(per_binade, most_binades=70)
    assert counts.sum() == len(numbers)
    assert np.allclose(np.diff(edges), 1 / per_binade)
    for lower, upper, count in zip(np.exp2(edges), np.exp2(edges[1:]), counts, strict=False):
        assert count == sum(lower <= x < upper for x in numbers)
    assert observe([0.0]).histogram()[1].size == 0


def test_mostly_zeros_have_a_percentile_above_zero():
    x = torch.tensor([0.0] * 99 + [5.0])
    assert calibrate(x, "int8", "percentile", percentile=50).amax == 5.0
    assert calibrate([torch.zeros(3), torch.tensor([2.0])], "int8", "moving_average", momentum=0.75).amax == 0.5


@pytest.mark.parametrize("batches", [[], torch.empty(0), [torch.tensor([math.nan, math.inf])]], ids=["none", "empty", "not finite"])
def test_without_a_number_there_is_no_calibration(batches):
    with pytest.raises(ValueError, match="no finite number"):
        calibrate(batches, "int8")


@pytest.mark.parametrize("bad", [{"percentile": 0}, {"percentile": 101}, {"momentum": 1.0}, {"shares": ()}, {"shares": (0.0,)}, {"shares": (math.inf,)}, {"bins": 128}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        calibrate([1.0], "int8", **bad)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="not one of amax, percentile"):
        calibrate([1.0], "int8", "best")
    with pytest.raises(ValueError, match="e9m9"):
        calibrate([1.0], "e9m9")
    with pytest.raises(TypeError):
        calibrate([1.0], "int8", speed=3)
    with pytest.raises(TypeError):
        calibrate(["one"], "int8")


matrices = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed))


@given(matrices, st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.floats(0, 1))
@settings(deadline=None)
def test_smoothing_keeps_the_product_and_the_shapes(rng, m, n, k, alpha):
    x, w = (rng.standard_normal((rows, k)) * np.exp2(rng.normal(0, 3, k)) for rows in (m, n))
    done = smooth(x, w, alpha)
    assert (done.activations.shape, done.weights.shape, done.scale.shape) == ((m, k), (n, k), (k,))
    assert (done.scale > 0).all()
    before, after = x @ w.T, done.activations.astype(np.float64) @ done.weights.astype(np.float64).T
    assert np.abs(after - before).max() <= 1e-6 * (np.abs(x) @ np.abs(w).T).max()


def test_smoothing_is_the_formula():
    x, w = make_sample("outlier_channels", (32, 20), seed=1), make_sample("weights", (16, 20), seed=2)
    for alpha in (0.0, 0.3, 0.5, 1.0):
        expected = x.double().abs().amax(0) ** alpha / w.double().abs().amax(0) ** (1 - alpha)
        assert torch.equal(smooth(x, w, alpha).scale, expected.float())
    half = smooth(x, w)
    assert half.activations.abs().amax(0) == pytest.approx(half.weights.abs().amax(0), rel=1e-5)


def test_channels_without_a_scale_are_left_alone():
    x, w = torch.tensor([[0.0, 1.0, math.inf, 2.0]]), torch.tensor([[1.0, 0.0, 1.0, math.nan]])
    done = smooth(x, w)
    assert torch.equal(done.scale, torch.ones(4))
    assert torch.equal(done.activations, x)


@pytest.mark.parametrize(("x", "w", "alpha", "said"), [
    ([[1.0]], [[1.0, 2.0]], 0.5, r"\(M, K\) and \(N, K\)"), ([1.0], [[1.0]], 0.5, "M, K"), (np.ones((0, 2)), np.ones((1, 2)), 0.5, "at least one"), ([[1.0]], [[1.0]], 1.5, "alpha"),
])  # fmt: skip
def test_matrices_that_do_not_meet_are_refused(x, w, alpha, said):
    with pytest.raises(ValueError, match=said):
        smooth(x, w, alpha)


@given(matrices, st.sampled_from([*filter(None, ROTATIONS)]), st.integers(1, 5), st.integers(1, 300))
@settings(deadline=None)
def test_rotation_keeps_norms_and_products_and_can_be_undone(rng, name, rows, columns):
    x, y = (rng.standard_normal((rows, columns)).astype(np.float32) for _ in range(2))
    turned = rotate(x, name)
    assert turned.shape == x.shape
    assert turned.dtype == np.float32
    assert np.linalg.norm(turned, axis=1) == pytest.approx(np.linalg.norm(x, axis=1), rel=1e-5)
    assert turned @ rotate(y, name).T == pytest.approx(x @ y.T, abs=1e-4 * columns**0.5)
    np.testing.assert_allclose(rotate_back(turned, name), x, atol=1e-5)
    tail = columns % ROTATIONS[name].size
    assert np.array_equal(turned[:, columns - tail :], x[:, columns - tail :])


def test_rotation_is_the_hadamard_matrix_with_signs():
    scipy_linalg = pytest.importorskip("scipy.linalg")
    for rotation in ROTATIONS.values():
        matrix = np.diag(rotation.signs or (1,) * rotation.size) @ scipy_linalg.hadamard(rotation.size) / rotation.size**0.5
        np.testing.assert_allclose(rotate(np.eye(rotation.size), rotation), matrix, atol=1e-6)


@pytest.mark.parametrize("bad", [{"size": 12}, {"size": 0}, {"size": 4, "signs": (1, -1)}, {"size": 2, "signs": (1, 2)}])
def test_rotations_that_do_not_exist_are_refused(bad):
    with pytest.raises(ValueError, match=r"size =|signs ="):
        Rotation("", **bad)
    with pytest.raises(ValueError, match="not one of"):
        rotate([1.0], "hadamard17")


@pytest.mark.parametrize(("count", "percentile", "place"), [(1000, 99.9, 999), (2000, 99.9, 1998), (100_000, 99.9, 99_900), (100, 7, 7), (1000, 99.99, 1000)])
def test_a_percentile_that_is_a_whole_number_of_numbers_takes_no_more(count, percentile, place):
    assert calibrate(np.arange(1.0, count + 1), "int8", "percentile", percentile=percentile).amax == place


def test_numbers_that_an_unsigned_format_cannot_hold_are_counted():
    x = np.random.default_rng(0).standard_normal(2000)
    found = calibrate(x, "ue4m4", "mse")
    assert found.lost == np.count_nonzero(x < 0) / 2000
    assert np.isclose(found.losses[-1], np.mean((x[x >= 0] - fp8.round_to(x[x >= 0] / (found.thresholds[-1] / fp8.parse_format("ue4m4").max), "ue4m4") * (found.thresholds[-1] / fp8.parse_format("ue4m4").max)) ** 2), rtol=1e-4)


def test_of_equal_losses_the_threshold_that_clips_least_is_chosen():
    assert calibrate([3e-39, 1e-40], "e4m3fn", "mse").amax == 3e-39


def test_numbers_beyond_float32_are_refused():
    with pytest.raises(ValueError, match=r"the largest magnitude is 1e\+300: scales are float32 numbers, which end at 3.4028e38"):
        calibrate(np.array([1.0, 1e300]), "e4m3fn", "mse")


def by_definition(question, *args):
    with kernels.set_aside():
        return question(*args)


ORDERED = {
    "normal": np.random.default_rng(0).standard_normal(20_000).astype(np.float32),
    "on midpoints": np.round(np.random.default_rng(1).standard_normal(9000) * 4) / 4,
    "one of each": np.arange(-64, 65) / 8,
    "wild": np.random.default_rng(2).standard_normal(3000) * 10.0 ** np.random.default_rng(3).uniform(-40, 30, 3000),
    "below zero": -np.abs(np.random.default_rng(4).standard_normal(500)),
    "zeros": np.array([0.0, -0.0, 0.0, 1e-30, -1e-30, 2.0]),
    "subnormal": np.random.default_rng(5).standard_normal(900) * 1e-42,
    "at the end of float32": np.array([1e38, 3.4e38]),
}


@pytest.mark.parametrize("name", [*fp8.FORMATS, "ue4m4", "e3m2_nosub", "table(-1,-0.5,0,0.5,1)", "table(1,2,-0.0,0)", "binary6p3uf"])
def test_the_effect_on_numbers_in_order_equals_the_definition(name):
    fmt = fp8.parse_format(name)
    for body in ORDERED.values():
        x = torch.from_numpy(np.sort(body.astype(np.float64)))
        largest = float(x.abs().max())
        for amax in (largest * share for share in (1, 0.5, 0.99, 0.125, 0.001, 2) if largest * share < 3.4028e38):
            assert effect(x, fmt, amax) == pytest.approx(by_definition(effect, x, fmt, amax), rel=1e-9, abs=0, nan_ok=True)


@pytest.mark.parametrize("name", ["int4", "int8", "e4m3fn", "e2m1fn", "nf4", "e8m0fnu", "float16"])
@pytest.mark.parametrize("body", ["normal", "on midpoints", "wild"])
def test_divergences_equal_the_definition(name, body):
    counts, edges = np.histogram(np.abs(ORDERED[body]), bins=300)
    for each in (counts, np.where(np.arange(300) < 7, counts, 0), np.where(np.arange(300) == 299, 5, 0)):
        (thresholds, ours), (same, theirs) = search.divergences(each, edges, fp8.parse_format(name)), by_definition(search.divergences, each, edges, fp8.parse_format(name))
        assert np.array_equal(thresholds, same)
        assert np.array_equal(np.isinf(ours), np.isinf(theirs)) and np.array_equal(ours == 0, theirs == 0)
        assert np.allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("body", ORDERED)
def test_observing_equals_the_definition_and_counts_as_numpy_does(body):
    x = torch.from_numpy(ORDERED[body].astype(np.float32))
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        batches = [*x.to(dtype).nan_to_num(posinf=1.0, neginf=1.0).tensor_split(3), torch.tensor([math.nan, math.inf, -math.inf], dtype=dtype), torch.empty(0, dtype=dtype)]
        ours, theirs = observe(batches), by_definition(observe, batches)
        assert torch.equal(ours.numbers, theirs.numbers) and torch.equal(ours.magnitudes, theirs.magnitudes)
        assert np.array_equal(ours.batch_amax, theirs.batch_amax, equal_nan=True) and (ours.nans, ours.infs) == (theirs.nans, theirs.infs) == (1, 2)
        if ours.largest:
            x64 = ours.magnitudes.numpy()
            for bins in (7, 200):
                assert all(map(np.array_equal, search.equal_bins(x64, bins), np.histogram(x64, bins, range=(0.0, ours.largest))))
