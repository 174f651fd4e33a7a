"""One recipe over all layers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from fp8core.layers.report import LayerReport
from fp8core.metrics import ErrorReport


@dataclass(frozen=True)
class Summary:
    """One recipe over all quantized layers.

    Args:
        recipe: its name.
        layers: how many were quantized.
        count: numbers in them.
        bits_per_value: stored bits of those numbers, scales included.
        nbytes: bytes of the whole checkpoint then: the quantized layers, and the others as they are stored now.
        stored_nbytes: bytes of the whole checkpoint now.
        sqnr_db: 10 log10(Σ energies / Σ noise) over all layers: large and loud layers weigh more.
        worst: name of the layer with the lowest SQNR; empty where no layer has one.
        worst_sqnr_db: its SQNR.
        underflow, saturation: shares of all numbers.
        lost: finite numbers that became NaN or infinite, counted.
    """

    recipe: str
    layers: int
    count: int
    bits_per_value: float
    nbytes: int
    stored_nbytes: int
    sqnr_db: float
    worst: str
    worst_sqnr_db: float
    underflow: float
    saturation: float
    lost: int


def summary(reports: Iterable[LayerReport]) -> dict[str, Summary]:
    """Add up all layers, per recipe -> by the recipe's name, in the order of the reports.

    Layers without the recipe count with the bytes they have now. Numbers that were lost are in neither energy, as in `measure`.
    """
    layers = list(reports)
    recipes = list(dict.fromkeys(name for layer in layers for name in layer.errors))
    return {name: _summarize(name, layers) for name in recipes}


def _summarize(recipe: str, layers: list[LayerReport]) -> Summary:
    quantized = [(layer, layer.errors[recipe]) for layer in layers if recipe in layer.errors]
    packed = sum(round(error.bits_per_value * error.count / 8) for _, error in quantized)
    count = sum(error.count for _, error in quantized)
    signal, noise = (sum(parts) for parts in zip(*(_energies(layer, error) for layer, error in quantized), strict=True))
    rated = [(error.sqnr_db, layer.name) for layer, error in quantized if not math.isnan(error.sqnr_db)]
    worst_sqnr_db, worst = min(rated, default=(math.nan, ""))
    return Summary(
        recipe=recipe,
        layers=len(quantized),
        count=count,
        bits_per_value=8 * packed / count,
        nbytes=packed + sum(layer.nbytes for layer in layers if recipe not in layer.errors),
        stored_nbytes=sum(layer.nbytes for layer in layers),
        sqnr_db=math.nan if not signal else 10 * math.log10(signal / noise) if noise else math.inf,
        worst=worst,
        worst_sqnr_db=worst_sqnr_db,
        underflow=sum(error.underflow * error.count for _, error in quantized) / count,
        saturation=sum(error.saturation * error.count for _, error in quantized) / count,
        lost=sum(error.lost for _, error in quantized),
    )


def _energies(layer: LayerReport, error: ErrorReport) -> tuple[float, float]:
    """‖x‖² and ‖x − x̂‖² over the numbers that the report compares."""
    if math.isnan(error.sqnr_db):
        return 0.0, error.mse * (error.count - error.nans - error.infs - error.lost)
    if math.isinf(error.sqnr_db):
        return layer.statistics.rms**2 * (error.count - error.nans - error.infs), 0.0
    noise = error.mse * (error.count - error.nans - error.infs - error.lost)
    return noise * 10 ** (error.sqnr_db / 10), noise
