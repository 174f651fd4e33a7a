"""A format for each layer: chosen for a budget, changed by hand, and handed on to the libraries that carry it out."""

from fp8core.plan.cautions import cautions
from fp8core.plan.choose import KEEP, Chosen, Cost, cheapest, choose, frontier, priced, uniform
from fp8core.plan.costs import CANDIDATES, apart, dearest, noise_to_signal, of_model, of_outputs, of_rows, of_weights, plannable, planned_layers, stored_bits, writable
from fp8core.plan.exports import EXPORTS, Export
from fp8core.plan.fused import FUSED, group_of
from fp8core.plan.plan import Plan, from_line, parse_line, to_line

__all__ = [
    "CANDIDATES", "EXPORTS", "FUSED", "KEEP", "Chosen", "Cost", "Export", "Plan", "apart", "cautions", "cheapest", "choose", "dearest", "from_line", "frontier", "group_of",
    "noise_to_signal", "of_model", "of_outputs", "of_rows", "of_weights", "parse_line", "plannable", "planned_layers", "priced", "stored_bits", "to_line", "uniform", "writable",
]  # fmt: skip
