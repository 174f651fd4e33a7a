"""What accumulators lose, for a page: random numbers in E4M3, summed by each of the visitor's units, computed once per unit."""

from __future__ import annotations

import streamlit as st

from fp8core.gemm.accumulate import AccumulationError, accumulation_growth
from fp8core.gemm.accumulators import ACCUMULATORS, Accumulator
from fp8core.gemm.error import ProductError, error_growth, random_pair
from pages.ui.language import tr
from pages.ui.view import OWN, View

MEANS = (0, 1)  # of the random numbers
RECIPE = "tensor_e4m3"
SIDE = 32  # 1024 sums: enough for a steady rms
LENGTHS = tuple(16 << n for n in range(9))
OWN_GROUP = 32
SEED = 0  # whatever that of the tensor is: which numbers these are is of no matter


def units(view: View) -> dict[str, Accumulator]:
    """The accumulators that the visitor chose, in order; one's own is put together from the view."""
    return {name: _own(view) if name == OWN else ACCUMULATORS[name] for name in view.accumulators}


def growth(view: View) -> dict[int, list[AccumulationError]]:
    """What every accumulator loses at K = 16, 32 and so on, by the mean of the numbers."""
    return {mean: [point for unit in units(view).values() for point in _errors(mean, unit)] for mean in MEANS}


def at_inner(view: View) -> dict[int, list[AccumulationError]]:
    """The same at the chosen K."""
    return {mean: [point for unit in units(view).values() for point in _errors(mean, unit, (view.inner,))] for mean in MEANS}


def quantization(view: View) -> dict[int, tuple[ProductError, ...]]:
    """What the rounding of the same numbers to E4M3 costs, for comparison."""
    return {mean: _quantization(mean) for mean in MEANS}


def heading(mean: int) -> str:
    """What the numbers of one panel are."""
    return tr("mean 0: signs are mixed") if mean == 0 else tr("mean {mean}: most are positive").format(mean=mean)


def table(view: View) -> list[dict]:
    """One row per accumulator and kind of numbers, at the chosen K."""
    chosen = units(view)
    return [
        {
            tr("numbers"): tr("mean {mean}").format(mean=mean),
            tr("accumulator"): tr(chosen[e.accumulator].title),
            tr("fraction bits"): chosen[e.accumulator].sum_bits,
            tr("products per step"): chosen[e.accumulator].group,
            tr("promoted"): tr("never") if chosen[e.accumulator].promotion is None else tr("every {k}").format(k=chosen[e.accumulator].promotion),
            tr("rms error (%)"): 100 * e.relative_error,
            tr("mean error (%)"): 100 * e.mean_error / e.rms,
            tr("largest error (%)"): 100 * e.max_abs_error / e.rms,
            tr("SQNR (dB)"): round(e.sqnr_db, 2),
            tr("source"): tr(chosen[e.accumulator].source),
        }
        for mean, points in at_inner(view).items()
        for e in points
    ]


def columns() -> dict:
    """How the table's numbers are shown."""
    meaning = tr("Share of the root mean square of the exact sums.")
    return {tr(name): st.column_config.NumberColumn(format="%.2g", help=meaning) for name in ("rms error (%)", "mean error (%)", "largest error (%)")}


def as_python(view: View) -> str:
    """The program that gives the table's numbers."""
    own = "from fp8core.gemm.accumulators import Accumulator" if OWN in view.accumulators else ""
    return f"""
from fp8core.gemm.accumulate import accumulation_growth
{own}
from fp8core.gemm.error import random_pair
accumulators = [{", ".join(map(_as_python, units(view).values()))}]
for mean in {MEANS}:
    numbers = random_pair({SIDE}, {SIDE}, {LENGTHS[-1]}, seed={SEED}, mean=mean)
    for e in accumulation_growth(*numbers, {RECIPE!r}, accumulators, [{view.inner}]):
        print(f"mean {{mean}}, {{e.accumulator}}: rms error {{100 * e.relative_error:.2g}} %, mean error {{100 * e.mean_error / e.rms:.2g}} %, SQNR {{e.sqnr_db:.2f}} dB")
"""


def _own(view: View) -> Accumulator:
    bits, promotion = view.fraction_bits, None if view.promotion == "never" else view.promotion
    return Accumulator(OWN, "a unit of your own", "the settings above", OWN_GROUP, bits, bits, "toward_zero", promotion)


def _as_python(unit: Accumulator) -> str:
    if unit.name != OWN:
        return repr(unit.name)
    return f"Accumulator({OWN!r}, group={unit.group}, aligned_bits={unit.aligned_bits}, sum_bits={unit.sum_bits}, rounding={unit.rounding!r}, promotion={unit.promotion})"


@st.cache_data(max_entries=256, show_spinner=False)
def _errors(mean: int, unit: Accumulator, ks: tuple[int, ...] = LENGTHS) -> tuple[AccumulationError, ...]:
    return accumulation_growth(*random_pair(SIDE, SIDE, LENGTHS[-1], SEED, mean), RECIPE, [unit], ks)


@st.cache_data(max_entries=32, show_spinner=False)
def _quantization(mean: int) -> tuple[ProductError, ...]:
    return error_growth(*random_pair(SIDE, SIDE, LENGTHS[-1], SEED, mean), [RECIPE], LENGTHS)
