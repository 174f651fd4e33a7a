"""What each oracle makes of a matrix under a recipe, compared element by element and scale by scale."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from fp8core.codec import decode
from fp8core.conformance.check import CheckResult, Mismatch, Tally, number_text, same
from fp8core.conformance.divergences import RECIPE_DIVERGENCES, Divergence
from fp8core.conformance.matrices import recipe_matrices
from fp8core.conformance.oracles import import_module
from fp8core.conformance.recipe_oracles import NO_ORACLE, RECIPE_ORACLES, Answer, RecipeOracle
from fp8core.quantized import QuantizedTensor, quantize
from fp8core.recipes import Recipe
from fp8core.scaling import SCALE_FORMATS, expand

__all__ = ["NO_ORACLE", "RECIPE_ORACLES", "Answer", "RecipeOracle", "check_recipe"]


def check_recipe(recipe: Recipe, oracle: str) -> list[CheckResult]:
    """Compare one recipe with one oracle -> one result; none where the oracle does not have it."""
    found = []
    for about in RECIPE_ORACLES:
        if about.recipe != recipe.name or about.oracle != oracle:
            continue
        if about.needs and import_module(about.needs) is None:
            found.append(CheckResult(recipe.name, "recipe", oracle, "", "not installed", note=f"{oracle} needs {about.needs} for it, which is not installed"))
            continue
        tally = Tally()
        known = [each for each in RECIPE_DIVERGENCES if oracle in each.oracles and each.applies(recipe)]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for label, x in recipe_matrices(recipe, about.ragged):
                _compare(label, x, recipe, about.ask(x), known, tally)
        found.append(tally.result(recipe.name, "recipe", oracle, "elements and scales", about.note))
    return found


def _compare(label: str, x: np.ndarray, recipe: Recipe, theirs: Answer, known: list[Divergence], tally: Tally) -> None:
    q, block = quantize(torch.from_numpy(x), recipe), recipe.scaling.block
    blocks = tuple(q.scale.shape)
    ours = Answer(decode(q.codes, recipe.fmt).numpy(), _scales(q, theirs))
    if theirs.dequantized is not None:
        values = q.dequantize().numpy()
        tally.add(~same(values, theirs.dequantized).ravel(), x.size, lambda place: _of_element(label, np.unravel_index(place, x.shape), x, _over_elements(ours.scales, x.shape, block), values, theirs.dequantized))
    theirs = Answer(*(None if part is None else np.asarray(part).reshape(shape) for part, shape in ((theirs.elements, x.shape), (theirs.scales, blocks))), theirs.global_scale)
    scale, their_scale = (None if part is None else _over_elements(part, x.shape, block) for part in (ours.scales, theirs.scales))
    wrong = np.zeros(x.shape, bool) if theirs.elements is None else ~same(ours.elements, theirs.elements)
    wrong_scale = np.zeros(blocks, bool) if theirs.scales is None else ~same(ours.scales, theirs.scales)
    differs = wrong | _over_elements(wrong_scale, x.shape, block)
    excluded = np.zeros(x.shape, bool)
    for divergence in known:
        region = divergence.region(x, recipe)
        tally.meet(divergence, int(region.sum()), int((region & differs).sum()))
        excluded |= region & differs & divergence.described((x, ours.elements, scale), (theirs.elements, their_scale), recipe)
    lost = np.zeros(blocks, bool) if theirs.scales is None else _is_lost(q.scale.numpy(), theirs)
    kept, kept_scales = ~excluded & ~_over_elements(lost, x.shape, block), _any_in_block(~excluded, blocks, block)
    if theirs.elements is not None:
        tally.add((wrong & kept).ravel(), int(kept.sum()), lambda place: _of_element(label, np.unravel_index(place, x.shape), x, scale, ours.elements, theirs.elements))
    if theirs.scales is not None:
        tally.add((wrong_scale & kept_scales).ravel(), int(kept_scales.sum()), lambda place: _of_scale(label, np.unravel_index(place, blocks), x, ours.scales, theirs.scales, block))
    if theirs.global_scale is not None and kept_scales.any():
        whole = float(q.global_scale)
        tally.add(~same(np.array([whole]), np.array([theirs.global_scale])), 1, lambda place: Mismatch(f"{label}, scale of the tensor with amax {number_text(np.abs(x).max())}", number_text(whole), number_text(theirs.global_scale)))


def _of_element(label: str, at: tuple, x, scale, ours, theirs) -> Mismatch:
    return Mismatch(f"{label}, element {tuple(map(int, at))}: {number_text(x[at])}, scale {number_text(scale[at])}", number_text(ours[at]), number_text(theirs[at]))


def _of_scale(label: str, at: tuple, x, ours, theirs, block) -> Mismatch:
    chosen = np.zeros(ours.shape, bool)
    chosen[at] = True
    amax = np.abs(x[_over_elements(chosen, x.shape, block)]).max()
    return Mismatch(f"{label}, scale of block {tuple(map(int, at))} with amax {number_text(amax)}", number_text(ours[at]), number_text(theirs[at]))


def _scales(q: QuantizedTensor, theirs: Answer) -> np.ndarray:
    """Our scales in the form of the oracle's: what is stored for a block where there is one for the tensor too, else the decode multiplier."""
    if theirs.global_scale is None:
        return q.scale.numpy()
    return decode(q.scale_codes, SCALE_FORMATS[q.recipe.scaling.scale_format].element).numpy()


def _is_lost(ours: np.ndarray, theirs: Answer) -> np.ndarray:
    """Blocks whose scale is NaN on both sides: whatever their elements are, all of them decode to NaN."""
    return np.isnan(ours) & np.isnan(theirs.scales * np.float64(1.0 if theirs.global_scale is None else theirs.global_scale))


def _over_elements(per_block: np.ndarray, shape: tuple[int, int], block) -> np.ndarray:
    return expand(torch.from_numpy(np.ascontiguousarray(per_block)), shape, block).numpy()


def _any_in_block(wrong: np.ndarray, blocks: tuple[int, int], block) -> np.ndarray:
    place = _over_elements(np.arange(blocks[0] * blocks[1]).reshape(blocks), wrong.shape, block)
    return np.bincount(place[wrong], minlength=blocks[0] * blocks[1]).reshape(blocks) > 0


