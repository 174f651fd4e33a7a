"""Which layers suffer: every tensor of a checkpoint under several recipes, one tensor in memory at a time."""

from fp8core.layers.blocks import Scales, Tiles, scales_of, tiles_of
from fp8core.layers.kinds import KINDS, as_layer, kind_of, why_not
from fp8core.layers.moments import Statistics, statistics
from fp8core.layers.report import LayerReport, analyze, analyze_tensors, report, to_rows
from fp8core.layers.summaries import Summary, summary

__all__ = [
    "KINDS", "LayerReport", "Scales", "Statistics", "Summary", "Tiles", "analyze", "analyze_tensors", "as_layer", "kind_of",
    "report", "scales_of", "statistics", "summary", "tiles_of", "to_rows", "why_not",
]  # fmt: skip
