"""Delayed scaling against Transformer Engine's slots written out, and its laws."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fp8core as fp8
from fp8core.calibration import ALGORITHMS, SCENARIOS, DelayedScaling, make_steps, simulate

FLOAT32_MAX = float(np.finfo(np.float32).max)

magnitudes = st.one_of(st.floats(0, FLOAT32_MAX, width=32), st.floats(2.0**-10, 2.0**10, width=32), st.sampled_from([0.0, math.inf, math.nan, 1e-40, 1e-45, 7.0, 448.0]))
sequences = st.lists(magnitudes, max_size=12)
scalings = st.builds(DelayedScaling, st.sampled_from(["e4m3fn", "e5m2", "int8"]), st.integers(1, 5), st.sampled_from(sorted(ALGORITHMS)), st.integers(0, 3))


class Slots:
    """The update with an array of slots, float32, slot 0 for staging: the order of the kernel."""

    def __init__(self, largest, length, algorithm, margin):
        self.scaled_max = np.float32(largest) * np.float32(2.0) ** np.float32(-margin)
        self.history, self.scale, self.algorithm = np.zeros(length, np.float32), np.float32(1), algorithm

    def cast(self, amax):
        self.history[0] = np.fmax(self.history[0], np.float32(amax))

    def update(self):
        last, amax = self.history[0], np.float32(0)
        if last != 0:
            rolled = np.append(self.history[1:], last)
            amax = np.fmax.reduce(rolled) if self.algorithm == "max" else last
            rolled[0] = 0
            self.history = rolled
        with np.errstate(over="ignore"):
            scale = self.scaled_max / amax if np.isfinite(amax) and amax > 0 else self.scale
        self.scale = np.float32(FLOAT32_MAX) if np.isinf(scale) else scale


@given(scalings, sequences)
@settings(deadline=None)
def test_the_scale_is_that_of_the_slots(scaling, seen):
    state, slots = scaling.start(), Slots(scaling.fmt.max, scaling.history_length, scaling.algorithm, scaling.margin)
    for amax in seen:
        amax = 0.0 if math.isnan(amax) else amax  # a NaN never reaches the slots
        state = scaling.update(state, amax)
        slots.cast(amax)
        slots.update()
        assert state.scale == float(np.float32(1) / slots.scale)


@given(scalings, sequences)
@settings(deadline=None)
def test_the_amax_of_the_state_gives_its_scale(scaling, seen):
    state = scaling.start()
    for amax in seen:
        state = scaling.update(state, amax)
    if state.amax < FLOAT32_MAX:
        q = fp8.quantize([1.0], scaling.fmt, fp8.ScaleSpec(rule="te_delayed"), amax=state.amax)
        assert float(q.scale[0, 0]) == state.scale


@given(st.integers(1, 6), st.lists(st.floats(2.0**-20, 2.0**20, width=32), min_size=1, max_size=12))
@settings(deadline=None)
def test_the_maximum_reaches_at_least_as_far_as_the_most_recent(length, seen):
    largest, recent = (DelayedScaling("e4m3fn", length, algorithm) for algorithm in ("max", "most_recent"))
    a, b = largest.start(), recent.start()
    for amax in seen:
        a, b = largest.update(a, amax), recent.update(b, amax)
        assert a.scale >= b.scale
        assert a.history == b.history
    assert a.history == tuple(seen[-length:])
    assert a.amax == max(seen[-length:])
    assert b.amax == seen[-1]


@given(st.lists(st.floats(2.0**-20, 2.0**20, width=32), min_size=1, max_size=6), st.integers(0, 8))
@settings(deadline=None)
def test_a_binade_of_margin_doubles_the_scale(seen, margin):
    plain, free = DelayedScaling("e4m3fn"), DelayedScaling("e4m3fn", margin=margin)
    a, b = plain.start(), free.start()
    for amax in seen:
        a, b = plain.update(a, amax), free.update(b, amax)
    assert b.scale == a.scale * 2.0**margin


def test_a_history_of_one_is_the_most_recent():
    steps = make_steps("drift", steps=12, count=64)
    first, second = (simulate(steps, DelayedScaling("e4m3fn", 1, algorithm)) for algorithm in ALGORITHMS)
    assert [a.scale for a in first] == [b.scale for b in second]


def test_a_step_never_knows_its_own_amax():
    steps = simulate(make_steps("spike"), DelayedScaling("e4m3fn", 16))
    assert steps[0].scale == 1.0
    assert steps[0].history == ()
    for before, after in itertools.pairwise(steps):
        assert after.history == (*before.history, before.amax)[-16:]
        assert after.reach == pytest.approx(max(after.history), rel=1e-6)
    spike = steps[32]
    assert spike.saturation > 0.5 > 0.0 == spike.current_saturation
    assert [step.reach > 1000 for step in steps[30:52]] == [False] * 3 + [True] * 16 + [False] * 3


def test_what_simulate_says_is_what_quantize_does():
    tensors = make_steps("drift", steps=8, count=512, seed=3)
    for x, step in zip(tensors, simulate(tensors, DelayedScaling("e5m2", 2, margin=1)), strict=True):
        restored = (fp8.round_to(x * np.float32(1 / step.scale), "e5m2") * step.scale).double()
        assert step.sqnr_db == pytest.approx(fp8.sqnr_db(x, restored), abs=1e-3)
        assert step.underflow == float(((x != 0) & (restored == 0)).double().mean())
        assert step.amax == float(x.abs().max())
        assert step.current_scale == pytest.approx(step.amax / 57344)
        now = fp8.measure(x, fp8.quantize(x, "te_current_e5m2"))
        assert (step.current_sqnr_db, step.current_underflow, step.current_saturation) == (now.sqnr_db, now.underflow, now.saturation)


def test_zeros_neither_enter_the_history_nor_move_the_scale():
    steps = simulate([[8.0], [0.0], [0.0], [4.0], [1.0]], DelayedScaling("e4m3fn", 2))
    assert [step.history for step in steps] == [(), (8.0,), (8.0,), (8.0,), (8.0, 4.0)]
    assert len({step.scale for step in steps[1:]}) == 1
    assert math.isnan(steps[1].sqnr_db)


def test_an_infinity_holds_the_scale_until_it_leaves_the_history():
    loud = [[4.0], [math.inf], [16.0], [16.0], [16.0]]
    steps = simulate(loud, DelayedScaling("e4m3fn", 2))
    assert [step.reach for step in steps] == pytest.approx([448.0, 4.0, 4.0, 4.0, 16.0])
    assert [step.kept for step in steps] == [True, False, True, True, False]
    recent = simulate(loud, DelayedScaling("e4m3fn", 2, "most_recent"))
    assert [step.reach for step in recent] == pytest.approx([448.0, 4.0, 4.0, 16.0, 16.0])


def test_nan_does_not_count():
    steps = simulate([[4.0, math.nan], [math.nan], [2.0]], DelayedScaling("e4m3fn", 8))
    assert [step.amax for step in steps] == [4.0, 0.0, 2.0]
    assert steps[2].history == (4.0,)
    e4m3 = DelayedScaling("e4m3fn", 8)
    assert e4m3.update(e4m3.update(e4m3.start(), 4.0), math.nan).scale == pytest.approx(4.0 / 448)


def test_tiny_amax_stops_at_the_largest_float32():
    e4m3 = DelayedScaling("e4m3fn")
    state = e4m3.update(e4m3.start(), 1e-40)
    assert state.scale == float(np.float32(1) / np.float32(FLOAT32_MAX))


def test_empty_steps_are_left_out():
    assert [step.step for step in simulate([torch.empty(0), torch.ones(2)], DelayedScaling("int8"))] == [1]
    assert simulate([], DelayedScaling("int8")) == ()


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_are_repeatable_and_what_they_say(name):
    first, again, other = make_steps(name), make_steps(name), make_steps(name, seed=1)
    assert len(first) == 64
    assert all(x.shape == (4096,) and x.dtype == torch.float32 for x in first)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert len(simulate(first[:3], DelayedScaling("e4m3fn"))) == 3
    loudness = [float(x.abs().max()) for x in first]
    expected = {
        "steady": max(loudness) < 30, "warm_up": loudness[0] > 300 * loudness[-1], "drift": loudness[-1] > 1000 * loudness[0],
        "spike": sum(a > 1000 for a in loudness) == 1, "zeros": 5 < sum(a == 0 for a in loudness) < 15, "non_finite": sum(map(math.isinf, loudness)) == 1,
    }  # fmt: skip
    assert expected[name]


@pytest.mark.parametrize("bad", [{"history_length": 0}, {"history_length": 1.5}, {"history_length": True}, {"algorithm": "mean"}, {"margin": -1}, {"margin": 65}, {"margin": 0.5}, {"format": "e9m9"}])
def test_what_delayed_scaling_cannot_do_is_refused(bad):
    with pytest.raises(ValueError, match=str(next(iter(bad.values())))):
        DelayedScaling(**{"format": "e4m3fn"} | bad)


@pytest.mark.parametrize(("name", "bad"), [("storm", {}), ("steady", {"steps": 0}), ("steady", {"count": 0}), ("steady", {"seed": -1})])
def test_sequences_that_do_not_exist_are_refused(name, bad):
    with pytest.raises(ValueError, match=r"scenario|at least"):
        make_steps(name, **bad)
    with pytest.raises(TypeError):
        simulate([["one"]], DelayedScaling("int8"))


@pytest.mark.parametrize(("name", "margin", "amax"), [("e5m2", 8, 3e38), ("e4m3fn", 64, 1e25)])
def test_a_step_tells_the_scale_that_it_used(name, margin, amax):
    _first, second = simulate([[amax], [1.0]], DelayedScaling(name, margin=margin))
    used = fp8.quantize([1.0], name, fp8.ScaleSpec(rule="te_delayed"), amax=DelayedScaling(name, margin=margin).update(DelayedScaling(name).start(), amax).amax)
    assert second.scale == used.scale[0, 0]
    assert second.reach == second.scale * fp8.parse_format(name).max
