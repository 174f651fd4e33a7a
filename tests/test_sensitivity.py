"""What a quantized layer does: to its own product, and to the model."""

import math

import pytest
import torch

import fp8core as fp8
from fp8core.models import activations, evaluate, load_weights
from fp8core.recipes import INPUTS, RECIPES, inputs_of
from fp8core.sensitivity import alone, end_to_end, error_growth, layers_of, pairs_of, sensitivities, what_if


def test_products_are_compared_in_float64_with_both_sides_quantized():
    x, w = torch.randn(40, 128, generator=torch.Generator().manual_seed(0)), torch.randn(64, 128, generator=torch.Generator().manual_seed(1))
    recipes = ["mxfp4", "int4_1x128", "deepseek_v3_128x128"]
    found = what_if({"a": (x, w), "b": (x, 2 * w)}, recipes)
    assert [(each.layer, each.recipe) for each in found] == [(layer, recipe) for layer in "ab" for recipe in recipes]
    for each, partner in zip(found, ["mxfp4", None, "deepseek_v3_1x128"], strict=False):
        narrow_x = (x if partner is None else fp8.fake_quantize(x, partner)).double()
        narrow_w = fp8.fake_quantize(w, each.recipe).double()
        product = x.double() @ w.double().T
        assert each.weight_sqnr_db == fp8.sqnr_db(w, narrow_w)
        assert each.input_sqnr_db == (math.inf if partner is None else fp8.sqnr_db(x, narrow_x))
        assert each.product_sqnr_db == pytest.approx(fp8.sqnr_db(product, narrow_x @ narrow_w.T), rel=1e-12)
        assert each.by_weights_db == pytest.approx(fp8.sqnr_db(product, x.double() @ narrow_w.T), rel=1e-12)
        assert each.by_inputs_db == (math.inf if partner is None else pytest.approx(fp8.sqnr_db(product, narrow_x @ w.double().T), rel=1e-12))
    with pytest.raises(ValueError, match=r"layer 'a': inputs \(40, 128\) and weights \(4, 5\) differ"):
        what_if({"a": (x, torch.ones(4, 5))}, ["mxfp4"])


def test_every_partner_is_a_recipe():
    for weights, inputs in INPUTS.items():
        assert inputs_of(RECIPES[weights]) == (RECIPES[inputs] if inputs else None)
    assert inputs_of(RECIPES["mxfp4"]) is RECIPES["mxfp4"]


@pytest.mark.parametrize("model", ["digits", "minilm"])
def test_without_a_recipe_a_model_does_as_trained(model):
    outcome = end_to_end(model, dict.fromkeys(layers_of(model), ""))
    assert outcome.output_sqnr_db == math.inf
    assert outcome.metrics == evaluate(model)
    assert list(pairs_of(model)) == list(layers_of(model)) == list(activations(model))


def test_the_whole_model_quantized_is_what_its_layers_make_of_it():
    recipe = "int8_row"
    weights = load_weights("digits")

    def linear(layer, x, weight, bias):
        return fp8.fake_quantize(x, recipe) @ fp8.fake_quantize(weight, recipe).T + bias

    assert end_to_end("digits", dict.fromkeys(layers_of("digits"), recipe)).metrics["cross_entropy"] == pytest.approx(evaluate("digits", linear)["cross_entropy"], rel=1e-6)
    by_tensor = {name: recipe for name in weights.infos if name.removesuffix(".weight") in layers_of("digits")}
    assert end_to_end("digits", by_tensor) == end_to_end("digits", dict.fromkeys(layers_of("digits"), recipe))


def test_one_layer_alone_is_the_whole_run_with_only_that_layer():
    for layer in (layers_of("minilm")[0], layers_of("minilm")[17], layers_of("minilm")[-1]):
        assert alone("minilm", layer, "mxfp4") == end_to_end("minilm", {layer: "mxfp4"})
    with pytest.raises(ValueError, match="layer 'x' is not one of the 36 of minilm"):
        alone("minilm", "x", "mxfp4")


def test_a_layer_alone_hurts_less_than_all_and_leaving_it_out_helps():
    all_of_them = end_to_end("digits", dict.fromkeys(layers_of("digits"), "mxfp4")).output_sqnr_db
    told = []
    found = sensitivities("digits", "mxfp4", lambda *step: told.append(step))
    assert [each.layer for each in found] == list(layers_of("digits")) == [name for _, _, name in told]
    for each in found:
        assert each.alone.output_sqnr_db > all_of_them
        assert each.all_but.output_sqnr_db > all_of_them


def test_errors_grow_on_their_way():
    growth = error_growth("minilm", dict.fromkeys(layers_of("minilm"), "mxfp4"))
    assert growth[0].local_sqnr_db == growth[0].cumulative_sqnr_db
    assert all(each.cumulative_sqnr_db < each.local_sqnr_db for each in growth[6:])
    first = pairs_of("minilm")[growth[0].layer]
    bias = load_weights("minilm").read(f"{growth[0].layer}.bias").float()
    narrow = fp8.fake_quantize(first[0], "mxfp4") @ fp8.fake_quantize(first[1], "mxfp4").T + bias
    assert growth[0].local_sqnr_db == pytest.approx(fp8.sqnr_db(first[0] @ first[1].T + bias, narrow), rel=1e-4)
