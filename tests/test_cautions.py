"""What a written checkpoint is said to be in the way of is in the way, with the libraries that can be asked here; and without a caution it loads and runs."""

import warnings

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

import fp8core as fp8
from fp8core.checkpoints import open_checkpoint
from fp8core.packed import decoded, verify, write_quantized
from fp8core.plan import CANDIDATES, cautions, plannable

SIZES = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 64, "max_position_embeddings": 64}
TOKENS = torch.arange(12)[None]
RECIPES = (*CANDIDATES, "tensor_e4m3", "int8_tensor")  # one of every family


def llama(folder, dtype):
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SIZES)).to(dtype).save_pretrained(folder)
    return open_checkpoint(folder)


def load(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AutoModelForCausalLM.from_pretrained(folder, dtype="auto")


def logits(folder):
    with torch.no_grad():
        return load(folder)(TOKENS).logits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("recipe", RECIPES)
def test_transformers_runs_every_family(tmp_path, recipe, dtype):
    checkpoint = llama(tmp_path / "model", dtype)
    plan = dict.fromkeys(plannable(checkpoint), recipe)
    assert len(plan) == 14
    write_quantized(checkpoint, plan, tmp_path / "out", beside=tmp_path / "model")
    got, shown = logits(tmp_path / "out"), decoded(open_checkpoint(tmp_path / "out"))
    model = LlamaForCausalLM(LlamaConfig(**SIZES))
    model.load_state_dict({name: shown.read(name).float() for name in shown.infos})
    with torch.no_grad():
        wanted = model(TOKENS).logits
    assert fp8.sqnr_db(wanted, got.float()) > (12 if recipe == "compressed_tensors_mxfp4" else 25)  # inputs are quantized too, and the first passes are in the model's own type
    narrowed = got.dtype is not dtype
    assert narrowed == any("a config.json that is carried on says so" in each for each in cautions(checkpoint.infos, plan))


@pytest.mark.parametrize("recipe", ["compressed_tensors_w4a16", "compressed_tensors_mxfp4", "compressed_tensors_fp8_dynamic"])
def test_transformers_does_not_load_quantized_embeddings(tmp_path, recipe):
    checkpoint = llama(tmp_path / "model", torch.bfloat16)
    plan = {"model.embed_tokens.weight": recipe}
    assert any("transformers does not load those" in each for each in cautions(checkpoint.infos, plan))
    write_quantized(checkpoint, plan, tmp_path / "out", beside=tmp_path / "model")
    assert not any(each.different for each in verify(checkpoint, plan, tmp_path / "out"))
    with pytest.raises((AttributeError, RuntimeError)):
        logits(tmp_path / "out")


@pytest.mark.parametrize("recipe", RECIPES)
def test_which_experts_transformers_loads(tmp_path, recipe, capfd):
    torch.manual_seed(0)
    MixtralForCausalLM(MixtralConfig(**SIZES, num_local_experts=4)).bfloat16().save_pretrained(tmp_path / "model")
    checkpoint = open_checkpoint(tmp_path / "model")
    plan = dict.fromkeys(plannable(checkpoint), recipe)
    assert len(plan) == 32 and not any("gate" in name.split(".") for name in plan)
    write_quantized(checkpoint, plan, tmp_path / "out", beside=tmp_path / "model")
    shown = decoded(open_checkpoint(tmp_path / "out"))
    try:
        model = load(tmp_path / "out")
        with torch.no_grad():
            model(TOKENS)
    except RuntimeError:
        right = False
    else:
        stacked = model.model.layers[0].mlp.experts.gate_up_proj[1].bfloat16()
        right = torch.equal(stacked, torch.cat([shown.read(f"model.layers.0.block_sparse_moe.experts.1.{name}.weight") for name in ("w1", "w3")]).bfloat16())
    assert right != any("mixture of experts" in each for each in cautions(checkpoint.infos, plan))


def test_groups_with_several_recipes():
    infos = {f"layers.0.{name}_proj.weight": fp8.checkpoints.TensorInfo("", (64, 64), torch.bfloat16) for name in ("q", "k", "v", "o")}
    assert cautions(infos, dict.fromkeys(infos, "row_e4m3")) == cautions(infos, {"layers.0.o_proj.weight": "row_e4m3"}) == cautions(infos, {}) == []
    for others in ({}, {"layers.0.k_proj.weight": "row_e4m3", "layers.0.v_proj.weight": "mxfp8_e4m3"}):
        (found,) = cautions(infos, {"layers.0.q_proj.weight": "row_e4m3"} | others)
        assert "(groups of this kind: 1): vLLM refuses" in found
