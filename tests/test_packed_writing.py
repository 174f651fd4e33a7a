"""Quantized checkpoints that we write: they decode to what was meant, here, with compressed-tensors, and with transformers."""

import json

import pytest
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

import fp8core as fp8
from fp8core.checkpoints import open_checkpoint
from fp8core.packed import FAMILIES, LAYOUTS, decoded, family, verify, write_quantized
from fp8core.packed.layouts import SCHEMES
from fp8core.recipes import RECIPES
from fp8core.sensitivity import quantizing

WRITABLE = [name for name, recipe in RECIPES.items() if family(name) and not LAYOUTS["compressed-tensors"].refuses("a.weight", (256, 256), recipe)]


@pytest.fixture
def source(tmp_path):
    """A checkpoint with two matrices, a bias and a table of numbers."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "a.weight": torch.randn(256, 384, generator=generator) * torch.logspace(-4, 2, 384), "a.bias": torch.randn(256, generator=generator),
        "b.weight": torch.randn(128, 256, generator=generator).bfloat16(), "steps": torch.arange(5),
    }  # fmt: skip
    save_file(tensors, tmp_path / "source.safetensors")
    return open_checkpoint(tmp_path / "source.safetensors")


def theirs(folder, module):
    """What compressed-tensors makes of one module of a written folder, in float32."""
    config = QuantizationConfig.model_validate(json.loads((folder / "config.json").read_text())["quantization_config"])
    scheme = next(each for each in config.config_groups.values() if module in each.targets)
    stored = open_checkpoint(folder)
    state = {name.removeprefix(f"{module}."): stored.read(name) for name in stored.infos if name.startswith(f"{module}.")}
    return BaseCompressor.get_value_from_registry(scheme.format).decompress(state, scheme)["weight"]


@pytest.mark.parametrize("recipe", WRITABLE)
def test_every_form_decodes_to_what_was_meant(tmp_path, source, recipe):
    plan = {"a.weight": recipe, "b.weight": recipe, "a.bias": ""}
    write_quantized(source, plan, tmp_path / "out")
    found = verify(source, plan, tmp_path / "out")
    assert [(each.name, each.different) for each in found] == [(name, 0) for name in source.infos]
    assert {each.recipe for each in found} == {recipe, ""}
    again = theirs(tmp_path / "out", "a")
    assert torch.equal(again, fp8.fake_quantize(source.read("a.weight"), recipe).to(again.dtype))


def test_every_family_can_be_written():
    assert {family(name) for name in WRITABLE} == set(FAMILIES) == set(SCHEMES)


def test_several_forms_in_several_shards(tmp_path, source):
    plan = {"a.weight": "compressed_tensors_nvfp4", "b.weight": "compressed_tensors_fp8_block"}
    write_quantized(source, plan, tmp_path / "out", shard_nbytes=57_000)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json", *(f"model-0000{n}-of-00002.safetensors" for n in (1, 2)), "model.safetensors.index.json"]
    assert not any(each.different for each in verify(source, plan, tmp_path / "out"))
    config = json.loads((tmp_path / "out/config.json").read_text())["quantization_config"]
    assert config["format"] == "mixed-precision"
    for module, recipe in (("a", "compressed_tensors_nvfp4"), ("b", "compressed_tensors_fp8_block")):
        again = theirs(tmp_path / "out", module)
        assert torch.equal(again, fp8.fake_quantize(source.read(f"{module}.weight").float(), recipe).to(again.dtype))


def test_deepseek(tmp_path, source):
    for recipe, scale_fmt in (("deepseek_v3_128x128", None), ("deepseek_v3_128x128_ue8m0", "ue8m0")):
        write_quantized(source, {"a.weight": recipe}, tmp_path / recipe, "deepseek")
        stored = open_checkpoint(tmp_path / recipe)
        assert stored.infos["a.weight"].dtype is torch.float8_e4m3fn
        assert stored.infos["a.weight_scale_inv"].shape == (2, 3)
        config = json.loads((tmp_path / recipe / "config.json").read_text())["quantization_config"]
        assert (config["quant_method"], config["weight_block_size"], config.get("scale_fmt"), config["modules_to_not_convert"]) == ("fp8", [128, 128], scale_fmt, ["b"])
        assert not any(each.different for each in verify(source, {"a.weight": recipe}, tmp_path / recipe))


def test_verification_finds_what_is_wrong(tmp_path, source):
    write_quantized(source, {"a.weight": "row_e4m3"}, tmp_path / "out")
    found = {each.name: each for each in verify(source, {"a.weight": "tensor_e4m3"}, tmp_path / "out")}
    assert 0 < found["a.weight"].different <= found["a.weight"].count
    found = {each.name: each for each in verify(source, {}, tmp_path / "out")}
    assert found["a.weight"].different > 0 and found["b.weight"].different == 0


@pytest.mark.parametrize(
    ("plan", "layout", "words"),
    [
        ({"a.weight": "row_e4m3"}, "gguf", "layout 'gguf' is not one of compressed-tensors, deepseek"),
        ({"c.weight": "row_e4m3"}, "deepseek", "'c.weight' is not among the 4 tensors of source.safetensors"),
        ({"a.bias": "row_e4m3"}, "compressed-tensors", "only matrices whose names end in .weight"),
        ({"a.weight": "tensor_e5m2"}, "compressed-tensors", "recipe tensor_e5m2: this layout holds E4M3, one FP32 scale"),
        ({"a.weight": "nvfp4"}, "compressed-tensors", "cannot be stored exactly in this layout; compressed_tensors_nvfp4 can"),
        ({"a.weight": "row_e4m3"}, "deepseek", "this layout holds E4M3, one FP32 scale per 128 × 128"),
        ({"a.weight": ""}, "deepseek", "nothing to write quantized"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is(tmp_path, source, plan, layout, words):
    with pytest.raises(ValueError, match=words):
        write_quantized(source, plan, tmp_path / "out", layout)
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_over_and_nothing_is_left_half_done(tmp_path, source):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("x")
    with pytest.raises(ValueError, match="nothing is written over"):
        write_quantized(source, {"a.weight": "row_e4m3"}, tmp_path / "full")

    def stop(done, every, name):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_quantized(source, {"a.weight": "row_e4m3"}, tmp_path / "out", progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "source.safetensors"]
    write_quantized(source, {"a.weight": "row_e4m3"}, tmp_path / "out")
    with pytest.raises(ValueError, match="is quantized already"):
        write_quantized(open_checkpoint(tmp_path / "out"), {"b.weight": "row_e4m3"}, tmp_path / "again")


@pytest.mark.parametrize(("recipe", "layout"), [("compressed_tensors_fp8_dynamic", "compressed-tensors"), ("compressed_tensors_w4a16", "compressed-tensors"), ("compressed_tensors_fp8_block", "compressed-tensors")])
def test_transformers_loads_what_was_written(tmp_path, recipe, layout):
    torch.manual_seed(0)
    config = LlamaConfig(hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, vocab_size=64, max_position_embeddings=64)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    checkpoint = open_checkpoint(tmp_path / "model")
    plan = {name: recipe for name in checkpoint.infos if "proj" in name}
    write_quantized(checkpoint, plan, tmp_path / "quantized", layout, beside=tmp_path / "model")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "quantized", dtype=torch.float32)
    assert (tmp_path / "quantized/generation_config.json").exists()
    shown = decoded(open_checkpoint(tmp_path / "quantized"))
    linears = {name: module for name, module in loaded.named_modules() if hasattr(module, "weight_scale") or f"{name}.weight" in plan}
    assert len(linears) == len(plan)
    tokens = torch.arange(12)[None]
    meant = LlamaForCausalLM(config)
    meant.load_state_dict({name: shown.read(name) for name in shown.infos}, strict=False)
    hooks = quantizing({name.removesuffix(".weight"): recipe for name in plan}, ("inputs",))
    for name, module in meant.named_modules():
        if f"{name}.weight" in plan:
            module.forward = lambda x, name=name, weight=module.weight: hooks(name, x.flatten(0, -2), weight, None).unflatten(0, x.shape[:-1])
    with torch.no_grad():
        got, wanted = loaded(tokens).logits, meant(tokens).logits
    assert fp8.sqnr_db(wanted, got) > (100 if recipe == "compressed_tensors_w4a16" else 40)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_one_number_that_is_not_finite_spoils_no_other(tmp_path, bad):
    x = torch.randn(4, 128, generator=torch.Generator().manual_seed(0))
    x[1, 5] = bad
    save_file({"a.weight": x}, tmp_path / "x.safetensors")
    checkpoint, plan = open_checkpoint(tmp_path / "x.safetensors"), {"a.weight": "compressed_tensors_nvfp4"}
    write_quantized(checkpoint, plan, tmp_path / "out")
    assert [each.different for each in verify(checkpoint, plan, tmp_path / "out")] == [0]


def test_a_name_is_written_once_and_an_empty_weight_is_refused(tmp_path):
    save_file({"a.weight": torch.ones(4, 32), "a.weight_scale": torch.ones(2), "b.weight": torch.ones(0, 32)}, tmp_path / "x.safetensors")
    checkpoint = open_checkpoint(tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"'a\.weight_scale' would be in the checkpoint twice"):
        write_quantized(checkpoint, {"a.weight": "row_e4m3"}, tmp_path / "out")
    with pytest.raises(ValueError, match=r"b\.weight of shape \(0, 32\): there is no number in it"):
        write_quantized(checkpoint, {"b.weight": "row_e4m3"}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_blocks_of_128_have_to_be_whole_where_inputs_are_quantized_in_groups_of_128(tmp_path):
    save_file({"a.weight": torch.randn(200, 200)}, tmp_path / "x.safetensors")
    checkpoint = open_checkpoint(tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"its columns are not a multiple of 128, the block of this layout"):
        write_quantized(checkpoint, {"a.weight": "compressed_tensors_fp8_block"}, tmp_path / "out")
    write_quantized(checkpoint, {"a.weight": "deepseek_v3_128x128"}, tmp_path / "out", "deepseek")
    assert [each.different for each in verify(checkpoint, {"a.weight": "deepseek_v3_128x128"}, tmp_path / "out")] == [0]
