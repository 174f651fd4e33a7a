"""Statistics as NVIDIA Transformer Engine's debug features define them, and the logs in which it writes them.

Some differ from those of `measure`: its underflows are all codes that are zero, zeros of the tensor among them, and not only numbers that became zero.
Source: Transformer Engine, debug/features/utils/stats_computation.py; nvdlfw_inspect's statistics logs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from fp8core.arrays import as_integers, as_matrix, as_tensor
from fp8core.quantized import QuantizedTensor

TENSORS = ("activation", "gradient", "weight", "output", "wgrad", "dgrad")


def te_statistics(x, q: QuantizedTensor | None = None, *, block: int = 32) -> dict[str, float]:
    """Return what Transformer Engine logs of a tensor, under its names; arithmetic is float64.

    Args:
        x: any shape, finite; not empty.
        q: its quantized form, for `underflows%`, `overflows%`, `scale_inv_min`, `scale_inv_max`, `scale_inv_std` and `mse`.
        block: of `max_blockwise_dynamic_range`: so many numbers along the last axis; the last ones of a row may be fewer.

    Raises:
        ValueError: an empty tensor, or one with NaN or infinity.

    >>> found = te_statistics([[1.0, -4.0, 0.0, 0.5]])
    >>> found["cur_amax"], found["dynamic_range"], found["l1_norm"]
    (4.0, 3.0, 5.5)
    """
    source = as_tensor(x).to(torch.float64)
    if not source.numel() or not bool(source.isfinite().all()):
        raise ValueError(f"a tensor of shape {tuple(source.shape)}: these statistics are of finite numbers, of which there is one at least")
    found = {
        "min": float(source.min()), "max": float(source.max()), "mean": float(source.mean()), "std": float(source.std()) if source.numel() > 1 else math.nan,
        "l1_norm": float(source.abs().sum()), "l2_norm": float(source.square().sum().sqrt()), "cur_amax": float(source.abs().max()),
        "dynamic_range": dynamic_range(source.reshape(1, -1)), "max_blockwise_dynamic_range": blockwise_dynamic_range(source, block),
    }  # fmt: skip
    if q is None:
        return found
    scale, codes = as_tensor(q.scale).double(), as_integers(q.codes)
    limit = q.recipe.fmt.max * q.element_scale().double()
    found |= {
        "underflows%": 100 * float((codes == 0).double().mean()),
        "overflows%": 100 * float((as_matrix(source).abs() > limit).double().mean()),
        "scale_inv_min": float(scale.min()), "scale_inv_max": float(scale.max()), "scale_inv_std": float(scale.std()) if scale.numel() > 1 else 0.0,
        "mse": float((source - as_tensor(q.dequantize()).double()).square().mean()),
    }  # fmt: skip
    return found


def dynamic_range(rows: torch.Tensor) -> float:
    """log2 of the largest over the smallest magnitude that is not zero, of the row where that is most; 0 where all is zero."""
    magnitude = rows.abs()
    largest = magnitude.amax(dim=1)
    smallest = torch.where(magnitude > 0, magnitude, torch.inf).amin(dim=1)
    spans = torch.where(largest > 0, largest.log2() - smallest.log2(), 0.0)
    return float(spans.max())


def blockwise_dynamic_range(x, block: int = 32) -> float:
    """The largest `dynamic_range` of any block of so many numbers along the last axis: what one scale per block has to span."""
    matrix = as_matrix(as_tensor(x))
    padded = torch.nn.functional.pad(matrix, (0, -matrix.shape[1] % block))
    return dynamic_range(padded.reshape(-1, block).double())


@dataclass(frozen=True)
class LogEntry:
    """One line of a log.

    Args:
        layer, tensor, statistic: as Transformer Engine names them; the tensor is empty where the name holds none.
        step: iteration.
        value: what was logged.
    """

    layer: str
    tensor: str
    statistic: str
    step: int
    value: float


_LINE = re.compile(r"INFO - (?P<name>\S+)\s+iteration=(?P<step>\d+)\s+value=(?P<value>\S+)")


def read_log(lines: Iterable[str], most: int = 2_000_000) -> list[LogEntry]:
    """Read a statistics log, `nvdlfw_inspect_statistics_logs/nvdlfw_inspect_globalrank-0.log`; lines that are something else are passed over.

    Raises:
        ValueError: not a single line of statistics, or more than `most`.

    >>> read_log(["INFO - block.0.fc1_activation_underflows%   iteration=000002   value=0.5000"])
    [LogEntry(layer='block.0.fc1', tensor='activation', statistic='underflows%', step=2, value=0.5)]
    """
    found = []
    for line in lines:
        match = _LINE.search(line)
        if match is None:
            continue
        try:
            value = float(match["value"])
        except ValueError:
            continue
        found.append(LogEntry(*_split(match["name"]), int(match["step"]), value))
        if len(found) > most:
            raise ValueError(f"the log has more than {most:,} lines of statistics")
    if not found:
        raise ValueError("no line here is one of Transformer Engine's statistics: INFO - LAYER_TENSOR_STATISTIC iteration=N value=X")
    return found


def _split(name: str) -> tuple[str, str, str]:
    """LAYER_TENSOR_STATISTIC, where names of layers may hold the words for tensors: the last such word counts."""
    places = [(name.rfind(f"_{tensor}_"), tensor) for tensor in TENSORS]
    place, tensor = max(places)
    if place < 0:
        layer, _, statistic = name.rpartition("_")
        return layer, "", statistic
    return name[:place], tensor, name[place + len(tensor) + 2 :]
