"""Plans: the best that a budget can buy, compared with an exact solver and with uniform formats on the real model; and what libraries make of them."""

import ast
import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import yaml
from compressed_tensors.quantization import QuantizationConfig
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp
from torchao.quantization import FqnToConfig

from fp8core.layers import analyze, to_rows
from fp8core.models import load_weights
from fp8core.packed import FAMILIES, family
from fp8core.plan import CANDIDATES, EXPORTS, Chosen, Cost, Plan, apart, cheapest, choose, from_line, frontier, group_of, of_model, of_rows, of_weights, plannable, priced, stored_bits, to_line, uniform, writable
from fp8core.quantized import quantize
from fp8core.recipes import RECIPES
from fp8core.sensitivity import end_to_end


@st.composite
def costs(draw):
    layers = draw(st.integers(1, 6))
    return [
        Cost(f"layer{layer}", str(recipe), draw(st.integers(0, 60)), draw(st.floats(0, 1, allow_subnormal=False).map(lambda x: round(x, 6))))
        for layer in range(layers) for recipe in range(draw(st.integers(1, 5)))
    ]  # fmt: skip


def exact(choices, nbits):
    """The least error of any choice of at most so many bits, by an exact solver."""
    layers = list(dict.fromkeys(cost.layer for cost in choices))
    one_each = np.array([[cost.layer == layer for cost in choices] for layer in layers], float)
    found = milp(
        [cost.error for cost in choices], integrality=np.ones(len(choices)), bounds=Bounds(0, 1),
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(np.array([[cost.nbits for cost in choices]], float), -np.inf, nbits)],
    )  # fmt: skip
    return found.fun if found.success else None


@settings(max_examples=80, deadline=None)
@given(costs(), st.floats(0, 1))
def test_a_choice_lies_between_the_bound_and_the_optimum_is_not_below_the_bound(choices, share):
    least = sum(min(cost.nbits for cost in choices if cost.layer == layer) for layer in {cost.layer for cost in choices})
    most = sum(max(cost.nbits for cost in choices if cost.layer == layer) for layer in {cost.layer for cost in choices})
    budget = math.floor(least + share * (most - least))
    chosen, best = choose(choices, budget), exact(choices, budget)
    assert chosen.nbits <= budget
    assert chosen.bound - 1e-9 <= best <= chosen.error + 1e-9
    picked = {(cost.layer, cost.recipe): cost for cost in choices}
    assert chosen.error == pytest.approx(math.fsum(picked[each].error for each in chosen.recipes.items()))
    assert chosen.nbits == sum(picked[each].nbits for each in chosen.recipes.items())


@settings(max_examples=40, deadline=None)
@given(costs())
def test_every_point_of_the_frontier_is_optimal(choices):
    points = frontier(choices)
    for fewer, more in pairwise(points):
        assert fewer.nbits < more.nbits and fewer.error > more.error
    for point in points:
        assert exact(choices, point.nbits) == pytest.approx(point.error, abs=1e-9)
    assert cheapest(choices, points[0].error) == points[0]
    assert cheapest(choices, points[-1].error) == points[-1]


def test_what_cannot_be_chosen_is_said():
    two = [Cost("a", "x", 10, 0.5), Cost("a", "y", 20, 0.1)]
    with pytest.raises(ValueError, match="9 bits are too few: the recipes at hand need 10 at least"):
        choose(two, 9)
    with pytest.raises(ValueError, match=r"an error of 0.05 cannot be reached: the recipes at hand leave 0\.1 at least"):
        cheapest(two, 0.05)
    with pytest.raises(ValueError, match="layer 'a' has no cost under 'z', because it loses numbers there or was not measured; what it can have: x, y"):
        uniform(two, "z")
    with pytest.raises(ValueError, match="layer 'c' has no cost under 'x'"):
        priced(two, {"c": "x"})
    with pytest.raises(ValueError, match="there is no layer"):
        frontier([])
    with pytest.raises(ValueError, match="two costs under recipe 'x'"):
        frontier([*two, two[0]])
    with pytest.raises(ValueError, match="finite and at least 0"):
        Cost("a", "x", 10, math.nan)


@pytest.fixture(scope="module")
def minilm_costs():
    return of_model("minilm", CANDIDATES)


@pytest.mark.parametrize("recipe", [*CANDIDATES, "mxfp4", "nvfp4", "nf4_64", "mxfp6_e2m3", "int8_row", "row_e4m3", "deepseek_v3_128x128", "mxfp8_e4m3"])
def test_the_plan_beats_every_uniform_format_of_as_many_bits_on_the_real_model(minilm_costs, recipe):
    weights = load_weights("minilm")
    layers = list(dict.fromkeys(cost.layer for cost in minilm_costs))
    nbits, same = sum(stored_bits(weights.infos[layer].shape, recipe) for layer in layers), end_to_end("minilm", dict.fromkeys(layers, recipe))
    planned = end_to_end("minilm", choose(apart(minilm_costs), nbits).recipes)
    assert planned.output_sqnr_db > same.output_sqnr_db
    assert planned.metrics["cosine_mean"] > same.metrics["cosine_mean"]
    together = end_to_end("minilm", choose(minilm_costs, nbits).recipes)  # query, key and value alike leave less to choose
    assert together.output_sqnr_db > same.output_sqnr_db - 0.5


def test_layers_that_engines_fuse_get_one_recipe(minilm_costs):
    for nbits in (4.3, 5, 6, 8):
        recipes = choose(minilm_costs, nbits * sum(info.count for name, info in load_weights("minilm").infos.items() if name in {cost.layer for cost in minilm_costs})).recipes
        for layer, recipe in recipes.items():
            if "query" in layer:
                assert recipes[layer.replace("query", "key")] == recipes[layer.replace("query", "value")] == recipe
    three = [Cost("a.q_proj", "x", 10, 0.5, "a"), Cost("a.q_proj", "y", 20, 0.1, "a"), Cost("a.k_proj", "x", 5, 0.0, "a"), Cost("a.k_proj", "z", 1, 0.0, "a"), Cost("b", "z", 1, 0.25)]
    assert frontier(three) == [Chosen({"a.q_proj": "x", "a.k_proj": "x", "b": "z"}, 16, 0.75, 0.75)]
    assert frontier(apart(three))[-1].recipes == {"a.q_proj": "y", "a.k_proj": "z", "b": "z"}
    with pytest.raises(ValueError, match="the layers of 'a' have no recipe in common"):
        choose([Cost("p", "x", 1, 0.0, "a"), Cost("q", "y", 1, 0.0, "a")], 10)


def test_what_cannot_be_written_in_a_shape_is_no_choice():
    costs = [Cost("a.weight", name, 1, 0.0) for name in ("", "compressed_tensors_nvfp4", "compressed_tensors_int8", "nf4_64")]
    for columns, wanted in ((120, {"", "compressed_tensors_int8", "nf4_64"}), (128, {"", "compressed_tensors_nvfp4", "compressed_tensors_int8", "nf4_64"})):
        assert {cost.recipe for cost in writable(costs, {"a.weight": (64, columns)})} == wanted


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("m.0.self_attn.q_proj.weight", "m.0.self_attn.k_proj.weight", True), ("m.0.mlp.gate_proj.weight", "m.0.mlp.up_proj.weight", True), ("m.0.mlp.up_proj.weight", "m.0.mlp.down_proj.weight", False),
        ("m.0.self_attn.q_proj.weight", "m.1.self_attn.q_proj.weight", False), ("m.0.mlp.experts.0.w1.weight", "m.0.mlp.experts.9.w2.weight", True), ("experts.weight", "expert.weight", False),
    ],
)  # fmt: skip
def test_which_layers_engines_fuse(one, other, same):
    assert (group_of(one) == group_of(other)) is same


def test_layers_add_up(minilm_costs):
    """The error that is predicted from layers alone is the error that is measured, within a fifth."""
    for recipe in CANDIDATES:
        predicted = uniform(minilm_costs, recipe)
        measured = 10 ** (-end_to_end("minilm", predicted.recipes).output_sqnr_db / 10)
        assert predicted.error == pytest.approx(measured, rel=0.2)


def test_bits_from_shapes_are_the_bits_of_quantized_tensors():
    x = torch.randn(200, 300)
    for name in RECIPES:
        if RECIPES[name].rounding != "stochastic":
            assert stored_bits((200, 300), name) == 8 * quantize(x, name).nbytes, name


def test_costs_of_weights_are_those_of_their_rows():
    weights = load_weights("digits")
    reports = list(analyze(weights, ["mxfp4", "ue8m0_element"]))
    found = of_weights(reports)
    assert found == of_rows([{key: str(value) for key, value in row.items()} for row in to_rows(reports)], {name: info.nbytes for name, info in weights.infos.items()})
    assert {cost.recipe for cost in found} == {"", "mxfp4"}  # a recipe that loses numbers is no choice
    assert {cost.layer for cost in found} == {*plannable(weights), "output.weight"}


def test_a_recipe_that_leaves_no_numbers_is_no_choice():
    assert {cost.recipe for cost in of_model("digits", ["ue8m0_element", "mxfp4"])} == {"", "mxfp4"}


def test_embeddings_and_heads_are_left_alone():
    digits = load_weights("digits")
    matrix = digits.infos["hidden.0.weight"]
    held = replace(digits, infos={"embed_tokens.weight": matrix, "lm_head.weight": matrix, "mlp.up.weight": matrix, "norm": digits.infos["hidden.0.bias"]})
    assert plannable(held) == ["mlp.up.weight"]
    assert plannable(held, everything=True) == ["embed_tokens.weight", "lm_head.weight", "mlp.up.weight"]


def test_parameters_that_no_checkpoint_stores_quantized_are_left_alone():
    matrix = load_weights("digits").infos["hidden.0.weight"]
    named = replace(load_weights("digits"), infos={"mixer.A_log": matrix, "attn.in_proj_weight": matrix, "mlp.experts.down_proj_bias": matrix, "mlp.up.weight": matrix})
    assert plannable(named) == ["mlp.up.weight"]
    assert plannable(replace(named, infos={"w1": matrix, "b1_bias": matrix})) == ["w1"]


PLAN = Plan("model", {f"layers.{number}.weight": name for number, name in enumerate([*CANDIDATES, "te_nvfp4", "tensor_e4m3", "tensor_e5m2", ""])})


def test_a_plan_comes_back_from_its_file_and_its_line():
    assert Plan.from_json(PLAN.to_json()) == PLAN
    assert from_line(to_line(PLAN.recipes), list(PLAN.recipes)) == PLAN.recipes
    assert to_line(dict.fromkeys("abc", "mxfp4")) == "mxfp4*3"
    with pytest.raises(ValueError, match="the plan has 3 recipes, and there are 2 tensors"):
        from_line("mxfp4*3", ["a", "b"])
    for line, words in (("mxfp5", "'mxfp5' is not a registered recipe"), ("mxfp4*0", "after \\* comes how many"), ("mxfp4*x", "after \\*"), ("mxfp4*999999", "more than 100,000")):
        with pytest.raises(ValueError, match=words):
            from_line(line, ["a"])
    for text, words in (("{", "a plan is JSON"), ("[]", "a plan has \"kind\""), (json.dumps(json.loads(PLAN.to_json()) | {"recipes": [1]}), "\"recipes\", the name"), (PLAN.to_json().replace("tensor_e5m2", "fp9"), "fp9")):
        with pytest.raises(ValueError, match=words):
            Plan.from_json(text)
    with pytest.raises(ValueError, match=r"names 'layers.0.weight', which this checkpoint does not have \(12 of 12 are missing\)"):
        PLAN.for_tensors(["a"])


def test_what_a_library_has_no_form_for_is_named():
    for name, export in EXPORTS.items():
        left = export.left_out(PLAN)
        assert all(family(recipe) not in (export.families or FAMILIES) for recipe in left.values())
        if export.language == "python":
            text = export.text(PLAN)
            for tensor in left:
                assert f"# Left as they are, because there is no form for their recipe: {tensor}" in text
            compile(text, name, "exec")


def test_torchao_takes_its_config():
    scope = {}
    exec(EXPORTS["torchao"].text(PLAN), scope)
    config = scope["CONFIG"]
    assert isinstance(config, FqnToConfig)
    assert set(config.fqn_to_config) == {name.removesuffix(".weight") for name, recipe in PLAN.recipes.items() if recipe and family(recipe) in EXPORTS["torchao"].families}
    model = torch.nn.Sequential(torch.nn.Linear(128, 128, bias=False).bfloat16(), torch.nn.Linear(128, 128, bias=False).bfloat16())
    plan = Plan("model", {"0.weight": "compressed_tensors_int8", "1.weight": ""})
    exec(EXPORTS["torchao"].text(plan), scope)
    scope["apply"](model)
    assert type(model[0].weight.data).__name__ == "Int8Tensor" or "Int8" in type(model[0].weight).__name__ or "Quantized" in type(model[0].weight).__name__
    assert type(model[1].weight) is torch.nn.Parameter and model[1].weight.dtype is torch.bfloat16


def test_compressed_tensors_takes_its_groups():
    content = json.loads(EXPORTS["llm_compressor"].text(PLAN))
    modifier = content["quant_stage"]["quant_modifiers"]["QuantizationModifier"]
    config = QuantizationConfig.model_validate({"config_groups": modifier["config_groups"], "ignore": modifier["ignore"]})
    targets = [target for group in config.config_groups.values() for target in group.targets]
    assert sorted(targets) == sorted(name.removesuffix(".weight") for name, recipe in PLAN.recipes.items() if recipe and family(recipe))
    assert config.ignore == ["layers.11"]


def test_transformer_engine_code_names_its_recipes():
    text = EXPORTS["transformer_engine"].text(PLAN)
    assert "from transformer_engine.common.recipe import Float8BlockScaling, Float8CurrentScaling, MXFP8BlockScaling, NVFP4BlockScaling" in text
    assert "'layers.5': 'fp8_block'" in text


def test_names_of_any_characters_come_through_every_form():
    names = ["a.\N{GRINNING FACE}", 'b."quoted"', "c.\ud83d"]  # the last one is half a pair, which JSON can hold
    plan = Plan("x \ud83d", {f"{name}.weight": "row_e4m3" for name in names})
    for name, export in EXPORTS.items():
        text = export.text(plan)
        text.encode("utf-8")
        if export.language == "python" and name == "torchao":
            held = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
            assert set(names) <= held
    recipe = EXPORTS["llm_compressor"].text(Plan("x", {f"{name}.weight": "row_e4m3" for name in names[:2]}))
    targets = yaml.safe_load(recipe)["quant_stage"]["quant_modifiers"]["QuantizationModifier"]["config_groups"]["group_0"]["targets"]
    assert targets == json.loads(recipe)["quant_stage"]["quant_modifiers"]["QuantizationModifier"]["config_groups"]["group_0"]["targets"] == names[:2]
