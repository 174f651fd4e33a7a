"""Which layers suffer: every tensor of a checkpoint under several recipes, one tensor in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch

from fp8core import kernels
from fp8core.arrays import FLOAT_DTYPES, as_tensor
from fp8core.checkpoints import Checkpoint
from fp8core.metrics import ErrorReport, measure
from fp8core.quantized import quantize
from fp8core.recipes import Recipe, parse_recipe

KINDS = {
    "matrix": "rows are output features, columns the inputs that are summed over",
    "convolution": "seen as (output channels, input channels · kernel), so that blocks lie along the sum",
    "experts": "a stack of matrices, one per expert; the rows of all of them are put one below the other",
    "embedding": "one row per token or position, looked up and not multiplied",
    "vector": "a bias, or the gain of a normalization: one number per feature",
    "scalar": "a single number",
    "activation": "inputs of a layer: one row per position, columns summed over",
    "unreadable": "an entry of the file that holds no numbers",
}
_EMBEDDING_WORDS = ("embed", "wte", "wpe", "lookup")


@dataclass(frozen=True)
class Statistics:
    """What a tensor's numbers look like before anything is done to them; NaN and infinity are left out.

    Args:
        rms: root of the mean square.
        amax: largest magnitude.
        crest_factor: amax / rms; √3 for a uniform distribution, about 5 for a million Gaussian numbers, far more with outliers; NaN where all is zero.
        kurtosis: mean fourth power of the deviation over the squared variance; 3 for a Gaussian; NaN where all numbers are equal.
        range_binades: log2 of the largest over the smallest non-zero magnitude; NaN where all is zero.
        zeros: exact zeros, counted.
    """

    rms: float
    amax: float
    crest_factor: float
    kurtosis: float
    range_binades: float
    zeros: int


@dataclass(frozen=True, eq=False)
class LayerReport:
    """One tensor under every recipe.

    Args:
        name: as in the checkpoint.
        shape: as in the checkpoint.
        kind: a key of `KINDS`.
        dtype: stored type, in the checkpoint's words.
        count: numbers in it.
        nbytes: bytes as stored in the checkpoint.
        statistics: None where the tensor was not read.
        errors: one report per recipe, by the recipe's name; empty where the tensor stays as it is.
        reason: why it stays as it is, in words; empty where it was quantized.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    dtype: str
    count: int
    nbytes: int
    statistics: Statistics | None
    errors: Mapping[str, ErrorReport]
    reason: str = ""


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


def statistics(x) -> Statistics:
    """Describe the finite numbers of a tensor of any shape, in float64; all NaN where there are none.

    >>> s = statistics([3.0, -4.0, 0.0, 0.0])
    >>> s.rms, s.amax, s.crest_factor, s.zeros
    (2.5, 4.0, 1.6, 2)
    """
    source = as_tensor(x)
    if kernels.usable(source) and source.dtype in FLOAT_DTYPES and source.dtype != torch.float64:
        return _in_one_pass(source)
    numbers = source[source.isfinite()].to(torch.float64)
    if not numbers.numel():
        return Statistics(math.nan, math.nan, math.nan, math.nan, math.nan, 0)
    magnitude = numbers.abs()
    amax, rms = float(magnitude.max()), float(numbers.square().mean().sqrt())
    deviation = numbers.sub_(numbers.mean()).square_()
    variance = float(deviation.mean())
    nonzero = magnitude[magnitude > 0]
    return Statistics(
        rms=rms,
        amax=amax,
        crest_factor=amax / rms if rms else math.nan,
        kurtosis=float((deviation / variance).square_().mean()) if variance else math.nan,
        range_binades=math.log2(amax) - math.log2(float(nonzero.min())) if nonzero.numel() else math.nan,
        zeros=int(magnitude.numel() - nonzero.numel()),
    )


def _in_one_pass(source: torch.Tensor) -> Statistics:
    seen = kernels.moments(source)
    if not seen.count:
        return Statistics(math.nan, math.nan, math.nan, math.nan, math.nan, 0)
    rms = math.sqrt(seen.squares / seen.count)
    return Statistics(
        rms=rms,
        amax=seen.largest,
        crest_factor=seen.largest / rms if rms else math.nan,
        kurtosis=seen.fourth * seen.count / seen.second**2 if seen.second else math.nan,
        range_binades=math.log2(seen.largest) - math.log2(seen.smallest) if seen.smallest else math.nan,
        zeros=seen.zeros,
    )


def kind_of(name: str, shape: tuple[int, ...]) -> str:
    """Guess what a weight is from its shape and, where the shape does not tell, from words in its name -> a key of `KINDS`.

    >>> kind_of("conv1.weight", (64, 3, 7, 7)), kind_of("wte.weight", (50257, 768)), kind_of("ln.weight", (768,))
    ('convolution', 'embedding', 'vector')
    """
    lowered = name.lower()
    if len(shape) < 2:
        return "vector" if shape else "scalar"
    if len(shape) == 2:
        return "embedding" if any(word in lowered for word in _EMBEDDING_WORDS) else "matrix"
    return "experts" if "expert" in lowered else "convolution"


def as_layer(x: torch.Tensor, kind: str) -> torch.Tensor:
    """Return a tensor in the shape in which it is quantized: a convolution (O, I, k…) becomes (O, I·k…), everything else stays."""
    return x.reshape(x.shape[0], -1) if kind == "convolution" and x.ndim > 2 else x


def why_not(shape: tuple[int, ...], kind: str, dtype: torch.dtype, *, matrices_only: bool = True, most: int | None = None) -> str:
    """Say why a tensor is not quantized; an empty text where it is.

    Args:
        matrices_only: keep vectors as they are.
        most: keep tensors of more numbers than this as they are; None for no limit.
    """
    count = math.prod(shape)
    if not count:
        return f"shape {tuple(shape)} is empty: there is nothing to quantize"
    if dtype not in FLOAT_DTYPES:
        kept = "is already 8 bits wide" if dtype.is_floating_point else "holds no real numbers" if dtype.is_complex else "holds whole numbers, such as indices or masks"
        return f"{_short(dtype)} {kept}: only {', '.join(_short(d) for d in FLOAT_DTYPES)} are quantized"
    if kind == "scalar":
        return "a single number stays in high precision: a scale would cost more than it saves"
    if kind == "vector" and matrices_only:
        return f"a vector of {count:,} numbers stays in high precision: biases and norms are a tiny part of all weights and enter no matrix product"
    if most is not None and count > most:
        return f"{count:,} numbers are more than the {most:,} that are analysed here"
    return ""


def analyze(
    checkpoint: Checkpoint,
    recipes: Iterable[str | Recipe],
    names: Iterable[str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    *,
    matrices_only: bool = True,
    most: int | None = None,
) -> Iterator[LayerReport]:
    """Report on the tensors of a checkpoint one after the other, in its own order; each is read, measured and dropped before the next.

    Args:
        checkpoint: as `open_checkpoint` or `load_weights` return it.
        recipes: Recipes or their names.
        names: which tensors, None for all, and for the entries after them that hold no numbers.
        progress: called with (done, all, name) before each tensor.
        matrices_only: keep vectors in high precision, as everyone does; they are listed with the reason.
        most: tensors of more numbers than this are listed and not read; None for no limit.

    Raises:
        ValueError: an unknown recipe, a recipe that is named twice, or a name that the checkpoint does not have; before anything is read.
        CheckpointError: a damaged tensor, when its turn comes.
    """
    chosen = _parse(recipes)
    wanted = [*checkpoint.infos, *checkpoint.refused] if names is None else list(names)
    for name in wanted:
        _check_name(checkpoint, name)

    def reports() -> Iterator[LayerReport]:
        for done, name in enumerate(wanted):
            if progress is not None:
                progress(done, len(wanted), name)
            yield report(checkpoint, name, chosen, matrices_only=matrices_only, most=most)

    return reports()


def report(checkpoint: Checkpoint, name: str, recipes: Iterable[str | Recipe], *, matrices_only: bool = True, most: int | None = None) -> LayerReport:
    """Report on one tensor of a checkpoint; arguments as in `analyze`.

    A tensor that is kept as it is because of its shape or type is not read.
    """
    chosen = _parse(recipes)
    _check_name(checkpoint, name)
    if name in checkpoint.refused:
        return LayerReport(name, (), "unreadable", "", 0, 0, None, {}, checkpoint.refused[name])
    info = checkpoint.infos[name]
    kind = kind_of(name, info.shape)
    reason = why_not(info.shape, kind, info.dtype, matrices_only=matrices_only, most=most)
    seen, errors = (None, {}) if reason else _measure(as_layer(checkpoint.read(name), kind), chosen)
    return LayerReport(name, info.shape, kind, _short(info.dtype), info.count, info.nbytes, seen, errors, reason)


def analyze_tensors(
    tensors: Mapping[str, torch.Tensor],
    recipes: Iterable[str | Recipe],
    progress: Callable[[int, int, str], None] | None = None,
    *,
    kind: str = "activation",
) -> Iterator[LayerReport]:
    """Report on tensors that are in memory already, such as activations (…, C) whose last axis is summed over.

    Args:
        kind: a key of `KINDS`, the same for all.

    Raises:
        ValueError: an unknown kind or recipe, or a recipe that is named twice; before anything is measured.
    """
    if kind not in KINDS:
        raise ValueError(f"kind = {kind!r} is not one of {', '.join(KINDS)}")
    chosen = _parse(recipes)

    def reports() -> Iterator[LayerReport]:
        for done, (name, x) in enumerate(tensors.items()):
            if progress is not None:
                progress(done, len(tensors), name)
            shape = tuple(x.shape)
            reason = why_not(shape, kind, x.dtype)
            seen, errors = (None, {}) if reason else _measure(as_layer(x, kind), chosen)
            yield LayerReport(name, shape, kind, _short(x.dtype), x.numel(), x.numel() * x.element_size(), seen, errors, reason)

    return reports()


def to_rows(reports: Iterable[LayerReport]) -> list[dict]:
    """Flatten reports into one dict per layer and recipe, all with the same keys; one row with an empty recipe where a layer was not quantized."""
    rows = []
    for layer in reports:
        seen = layer.statistics
        head = {
            "layer": layer.name, "kind": layer.kind, "shape": "×".join(map(str, layer.shape)), "dtype": layer.dtype, "count": layer.count,
            **{key: getattr(seen, key) if seen else None for key in ("rms", "amax", "crest_factor", "kurtosis", "range_binades", "zeros")},
        }  # fmt: skip
        measured = ("sqnr_db", "underflow", "saturation", "max_ulp", "cosine", "lost", "bits_per_value")
        for recipe, error in layer.errors.items():
            rows.append({**head, "recipe": recipe, **{key: getattr(error, key) for key in measured}, "kept": ""})
        if not layer.errors:
            rows.append({**head, "recipe": "", **dict.fromkeys(measured), "kept": layer.reason})
    return rows


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


def _measure(x: torch.Tensor, recipes: list[Recipe]) -> tuple[Statistics, dict[str, ErrorReport]]:
    x = x.float() if x.dtype.itemsize == 2 else x  # the same numbers, and loops that are ready
    return statistics(x), {recipe.name: measure(x, quantize(x, recipe)) for recipe in recipes}


def _parse(recipes: Iterable[str | Recipe]) -> list[Recipe]:
    chosen = [parse_recipe(recipe) for recipe in recipes]
    names = [recipe.name for recipe in chosen]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"recipe {name!r} is named {names.count(name)} times: each one is reported once")
    return chosen


def _check_name(checkpoint: Checkpoint, name: str) -> None:
    if name not in checkpoint.infos and name not in checkpoint.refused:
        raise ValueError(f"{name!r} is not among the {len(checkpoint.infos)} tensors of {checkpoint.filename}")


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
