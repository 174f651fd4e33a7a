"""Where nothing is said of a written checkpoint, transformers loads it right; and what is said to be in the way is."""

import warnings

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM

import fp8core as fp8
from fp8core.checkpoints import TensorInfo, open_checkpoint
from fp8core.packed import decoded, model_type, verify, write_quantized
from fp8core.plan import CANDIDATES, cautions, plannable
from fp8core.plan.cautions import LOADED, LOADED_EXPERTS

FORMS = (*CANDIDATES, "tensor_e4m3", "int8_tensor")  # one of every family
TOKENS = torch.arange(3, 15)[None]
SIZES = {  # as the configurations of different models call them
    "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 32, "vocab_size": 64, "max_position_embeddings": 64,
    "n_embd": 128, "n_layer": 2, "n_head": 4, "n_inner": 256, "n_positions": 64, "ffn_dim": 256, "word_embed_proj_dim": 128, "dim": 128, "hidden_dim": 256, "n_heads": 4, "n_layers": 2,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 128, "rotary_dim": 16, "sliding_window": 32,
}  # fmt: skip
MASKED = ("bert", "roberta", "xlm-roberta", "distilbert", "electra")

pytestmark = pytest.mark.filterwarnings("ignore")  # of transformers, of what it was told to load


def auto(kind):
    return AutoModelForMaskedLM if kind in MASKED else AutoModelForCausalLM


def made(kind, folder, dtype=torch.bfloat16, **sizes):
    """Write a model of two small layers with random weights, and open it."""
    config = AutoConfig.for_model(kind)
    for name, size in (SIZES | sizes).items():
        if name in config.to_dict() or name in config.attribute_map:
            setattr(config, name, size)
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:2]
    torch.manual_seed(0)
    auto(kind).from_config(config).eval().to(dtype).save_pretrained(folder)
    return open_checkpoint(folder)


def written(checkpoint, plan, place, layout="compressed-tensors"):
    """Write by a plan -> what is said of it."""
    write_quantized(checkpoint, plan, place / "out", layout, beside=place / "model")
    return cautions(checkpoint.infos, plan, layout, model_type(place / "model"))


def error_of(kind, place):
    """SQNR in decibels of what transformers makes of a written checkpoint against the model with the decoded weights; None where it refuses, or has nothing for some weights."""
    shown = decoded(open_checkpoint(place / "out"))
    (place / "decoded").mkdir()
    save_file({name: shown.read(name).float() for name in shown.infos}, place / "decoded/model.safetensors", metadata={"format": "pt"})
    (place / "decoded/config.json").write_text((place / "model/config.json").read_text())
    with torch.no_grad(), warnings.catch_warnings():
        wanted = auto(kind).from_pretrained(place / "decoded", dtype=torch.float32).eval()(TOKENS).logits
        try:
            model, about = auto(kind).from_pretrained(place / "out", dtype="auto", output_loading_info=True)
            got = model.eval()(TOKENS).logits.float()
        except (RuntimeError, AttributeError, ValueError):
            return None
    return None if about["missing_keys"] else fp8.sqnr_db(wanted, got)


def is_right(decibel, recipe):
    """Whether what was lost is what quantized inputs and sums in 16 bits explain."""
    return decibel is not None and decibel > (8 if "mxfp4" in recipe else 20)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("recipe", FORMS)
def test_every_form_from_every_type(tmp_path, recipe, dtype):
    checkpoint = made("llama", tmp_path / "model", dtype)
    plan = dict.fromkeys(plannable(checkpoint), recipe)
    assert len(plan) == 14
    said = written(checkpoint, plan, tmp_path)
    assert is_right(error_of("llama", tmp_path), recipe)
    narrowed = open_checkpoint(tmp_path / "out").infos["model.norm.weight"].dtype is not torch.bfloat16 and recipe in ("compressed_tensors_mxfp4", "compressed_tensors_nvfp4", "compressed_tensors_mxfp6", "compressed_tensors_mxfp8")
    assert ["and a config.json that is carried on says so" in each for each in said] == ([True] if narrowed else [False] if dtype is torch.float16 else [])


@pytest.mark.parametrize("kind", LOADED)
def test_models_that_are_said_to_load(tmp_path, kind):
    checkpoint = made(kind, tmp_path / "model")
    for number, (recipe, layout) in enumerate((("compressed_tensors_w4a16", "compressed-tensors"), ("compressed_tensors_int8", "compressed-tensors"), ("compressed_tensors_mxfp8", "compressed-tensors"), ("deepseek_v3_128x128", "deepseek"))):
        place = tmp_path / str(number)
        place.mkdir()
        (place / "model").symlink_to(tmp_path / "model")
        plan = {name: recipe for name in plannable(checkpoint) if not any(side % 128 for side in checkpoint.infos[name].shape)}
        assert len(plan) >= 8
        assert written(checkpoint, plan, place, layout) == []
        assert is_right(error_of(kind, place), recipe), recipe


def test_several_forms_in_one_model(tmp_path):
    checkpoint = made("llama", tmp_path / "model")
    plan = {name: CANDIDATES["mlp" in name] if ".0." in name else CANDIDATES[-2 - ("mlp" in name)] for name in plannable(checkpoint)}
    assert len(set(plan.values())) == 4
    assert written(checkpoint, plan, tmp_path) == []
    assert is_right(error_of("llama", tmp_path), "mxfp4")


def test_a_model_whose_layers_are_not_linear_is_loaded_wrong_as_is_said(tmp_path):
    checkpoint = made("gpt2", tmp_path / "model")
    plan = dict.fromkeys((name for name in plannable(checkpoint) if "attn" in name or "mlp" in name), "compressed_tensors_fp8_dynamic")
    (said,) = written(checkpoint, plan, tmp_path)
    assert "No model of the type 'gpt2' was loaded" in said
    assert not any(each.different for each in verify(checkpoint, plan, tmp_path / "out"))
    assert not is_right(error_of("gpt2", tmp_path), "")


@pytest.mark.parametrize("recipe", ["compressed_tensors_w4a16", "compressed_tensors_mxfp4", "compressed_tensors_fp8_dynamic"])
def test_quantized_embeddings_are_not_loaded(tmp_path, recipe):
    checkpoint = made("llama", tmp_path / "model")
    (said,) = written(checkpoint, {"model.embed_tokens.weight": recipe}, tmp_path)
    assert "an embedding or a router (1 in all)" in said
    assert error_of("llama", tmp_path) is None


def test_another_class_of_the_same_model_has_other_names(tmp_path):
    checkpoint = made("llama", tmp_path / "model")
    for layout, recipe, is_found in (("compressed-tensors", "compressed_tensors_w4a16", False), ("deepseek", "deepseek_v3_128x128", True)):
        write_quantized(checkpoint, dict.fromkeys(plannable(checkpoint), recipe), tmp_path / layout, layout, beside=tmp_path / "model")
        _, about = AutoModel.from_pretrained(tmp_path / layout, dtype="auto", output_loading_info=True)
        assert bool(about["missing_keys"]) != is_found


def parts(checkpoint, which):
    every = plannable(checkpoint)
    return {"all": every, "first layer": [name for name in every if ".0.self_attn" in name or ".0.block_sparse_moe" in name or ".layers.0.mlp" in name], "no attention": [name for name in every if "experts" in name]}[which]


@pytest.mark.parametrize("which", ["all", "first layer", "no attention"])
@pytest.mark.parametrize("recipe", FORMS)
@pytest.mark.parametrize("kind", LOADED_EXPERTS)
def test_experts_are_loaded_right_where_nothing_is_said(tmp_path, kind, recipe, which):
    checkpoint = made(kind, tmp_path / "model")
    plan = dict.fromkeys(parts(checkpoint, which), recipe)
    assert plan and not any("gate" in name.split(".") for name in plan)
    said = written(checkpoint, plan, tmp_path)
    right = is_right(error_of(kind, tmp_path), recipe)
    assert right or any("mixture of experts" in each for each in said)
    if which == "all":
        assert right or recipe not in ("compressed_tensors_w4a16", "compressed_tensors_mxfp4", "compressed_tensors_mxfp6", "compressed_tensors_fp8_dynamic", "tensor_e4m3")
    if recipe == "compressed_tensors_nvfp4":
        assert not right


def test_blocks_that_are_not_whole_are_loaded_wrong_in_the_layout_of_deepseek(tmp_path):
    checkpoint = made("llama", tmp_path / "model", intermediate_size=160)
    plan = dict.fromkeys(plannable(checkpoint), "deepseek_v3_128x128")
    (said,) = written(checkpoint, plan, tmp_path, "deepseek")
    assert "is not made of whole blocks of 128 × 128 (6 such weights)" in said
    assert not any(each.different for each in verify(checkpoint, plan, tmp_path / "out"))
    loaded, shown = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto").state_dict(), decoded(open_checkpoint(tmp_path / "out"))
    found = {name: fp8.sqnr_db(shown.read(name), loaded[name].float()) for name in plan}
    wrong = {name for name, decibel in found.items() if decibel < 45}
    assert wrong and all("mlp" in name for name in wrong)  # the others are rounded to BF16, and no more


def test_small_scales_lose_digits_in_models_of_fp16(tmp_path):
    checkpoint = made("llama", tmp_path / "model", torch.float16, initializer_range=1e-4)
    plan = dict.fromkeys(plannable(checkpoint), "compressed_tensors_int8")
    said = written(checkpoint, plan, tmp_path)
    assert any("scales below 6.1e-5 lose digits" in each for each in said)
    scale = open_checkpoint(tmp_path / "out").read("model.layers.0.mlp.up_proj.weight_scale")
    assert fp8.sqnr_db(scale, scale.half().float()) < 55


def test_groups_with_several_recipes():
    infos = {f"layers.0.{name}_proj.weight": TensorInfo("", (64, 64), torch.bfloat16) for name in ("q", "k", "v", "o")}
    assert cautions(infos, dict.fromkeys(infos, "row_e4m3"), model_type="llama") == cautions(infos, {"layers.0.o_proj.weight": "row_e4m3"}, model_type="llama") == cautions(infos, {}) == []
    for others in ({}, {"layers.0.k_proj.weight": "row_e4m3", "layers.0.v_proj.weight": "mxfp8_e4m3"}):
        (found,) = cautions(infos, {"layers.0.q_proj.weight": "row_e4m3"} | others, model_type="llama")
        assert "(groups of this kind: 1): vLLM refuses" in found
    assert "No config.json" in cautions(infos, dict.fromkeys(infos, "row_e4m3"))[0]
