"""python -m fp8core analyze, plan and export: from a folder to a quantized checkpoint that decodes to what was meant."""

import json

import pytest
import torch
from safetensors.torch import save_file

import fp8core as fp8
from fp8core.__main__ import main
from fp8core.checkpoints import open_checkpoint
from fp8core.packed import decoded, packed_layers
from fp8core.plan import Plan, command


@pytest.fixture
def folder(tmp_path):
    """A model of two shards with an embedding, a loud layer, a norm, and a config beside them."""
    place = tmp_path / "model"
    place.mkdir()
    random = torch.Generator().manual_seed(0)
    weights = {f"layers.{n}.proj.weight": torch.randn(128, 256, generator=random).bfloat16() for n in range(4)}
    weights["layers.2.proj.weight"][5, 7] = 400.0
    for shard, names in enumerate((("layers.0.proj.weight", "layers.1.proj.weight"), ("layers.2.proj.weight", "layers.3.proj.weight"))):
        others = {"embed_tokens.weight": torch.randn(64, 256, generator=random)} if shard == 0 else {"norm.weight": torch.ones(256)}
        save_file({name: weights[name] for name in names} | others, place / f"model-0000{shard + 1}-of-00002.safetensors")
    (place / "config.json").write_text('{"model_type": "mine"}')
    (place / "tokenizer.json").write_text("{}")
    return place


def test_from_a_folder_to_a_quantized_checkpoint(folder, tmp_path, capsys):
    recipes = "compressed_tensors_mxfp4,int8_tensor,compressed_tensors_mxfp8"
    assert main(["analyze", str(folder), "--recipes", recipes, "--csv", str(tmp_path / "rows.csv"), "--worst", "1"]) == 0
    assert "layers.2.proj.weight" in capsys.readouterr().out.split("kurtosis")[1]  # the worst layer
    measured = ["plan", str(folder), "--bits", "6.5", "--recipes", recipes, "--out", str(tmp_path / "plan.json")]
    assert main(measured) == 0
    shown = capsys.readouterr().out
    assert "bits per weight over 4 layers" in shown
    plan = Plan.from_json((tmp_path / "plan.json").read_text())
    assert set(plan.recipes) == {f"layers.{n}.proj.weight" for n in range(4)}
    assert main(["plan", str(folder), "--bits", "6.5", "--rows", str(tmp_path / "rows.csv"), "--out", str(tmp_path / "again.json")]) == 0
    assert Plan.from_json((tmp_path / "again.json").read_text()) == plan
    assert main(["export", str(folder), "--plan", str(tmp_path / "plan.json"), "--to", str(tmp_path / "quantized")]) == 0
    assert "all 147,712 numbers are those that were meant, bit for bit" in capsys.readouterr().out
    assert json.loads((tmp_path / "quantized/config.json").read_text())["model_type"] == "mine"
    assert (tmp_path / "quantized/tokenizer.json").exists()
    source, written = open_checkpoint(folder), decoded(open_checkpoint(tmp_path / "quantized"))
    assert len(packed_layers(open_checkpoint(tmp_path / "quantized"))) == sum(bool(name) for name in plan.recipes.values()) > 0
    for name, recipe in plan.recipes.items():
        x = source.read(name).float()
        assert torch.equal(written.read(name).float(), fp8.fake_quantize(x, recipe) if recipe else x), name
    assert main(["analyze", str(tmp_path / "quantized"), "--recipes", "mxfp8_e4m3"]) == 0  # what is quantized already is understood


def test_other_budgets_and_forms(folder, tmp_path, capsys):
    assert main(["plan", str(folder), "--all", "compressed_tensors_fp8_dynamic", "--out", str(tmp_path / "same.json")]) == 0
    assert set(Plan.from_json((tmp_path / "same.json").read_text()).recipes.values()) == {"compressed_tensors_fp8_dynamic"}
    assert main(["plan", str(folder), "--all", "tensor_e4m3", "--everything", "--out", str(tmp_path / "all.json")]) == 0
    assert "embed_tokens.weight" in Plan.from_json((tmp_path / "all.json").read_text()).recipes
    capsys.readouterr()
    assert main(["plan", str(folder), "--error", "0.01", "--recipes", "mxfp8_e4m3,mxfp4", "--form", "torchao"]) == 0
    assert "FqnToConfig" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bits", "2"], "--bits 2 for 131,072 weights: 262,144 bits are too few"),
        (["--all", "mxfp5"], "mxfp5"),
        (["--all", ""], "--all '' names no recipe"),
        (["--all", "mxfp4,mxfp8_e4m3"], "recipe 'mxfp4,mxfp8_e4m3' is not known"),
        (["--bits", "8", "--recipes", " ,"], "--recipes ' ,' names no recipe"),
        (["--bits", "nan"], "--bits nan for"),
        (["--bits", "8", "--recipes", "nvfp4", "--rows", "ROWS"], "it lacks 3 of 4 layers"),
        (["--bits", "8", "--recipes", "mxfp4", "--rows", "ROWS"], "it lacks 3 of 4 layers"),
    ],
)
def test_what_cannot_be_planned_is_said(folder, tmp_path, capsys, arguments, words):
    rows = tmp_path / "rows.csv"
    assert main(["analyze", str(folder), "--recipes", "mxfp4", "--csv", str(rows)]) == 0
    rows.write_text("\n".join(line for line in rows.read_text().splitlines() if not line.startswith(("layers.1", "layers.2", "layers.3"))) + "\n")
    capsys.readouterr()
    assert main(["plan", str(folder), *(str(rows) if each == "ROWS" else each for each in arguments)]) == 2
    assert words in capsys.readouterr().err


def test_a_plan_for_another_checkpoint_writes_nothing(folder, tmp_path, capsys):
    (tmp_path / "plan.json").write_text(Plan("other", {"other.weight": "mxfp4"}).to_json())
    assert main(["export", str(folder), "--plan", str(tmp_path / "plan.json"), "--to", str(tmp_path / "out")]) == 2
    assert "names 'other.weight', which this checkpoint does not have" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_export_that_decodes_to_something_else_fails(folder, tmp_path, capsys, monkeypatch):
    assert main(["plan", str(folder), "--all", "row_e4m3", "--out", str(tmp_path / "plan.json")]) == 0
    verify = command.verify
    monkeypatch.setattr(command, "verify", lambda checkpoint, recipes, *rest: verify(checkpoint, dict.fromkeys(recipes, "tensor_e4m3"), *rest))
    assert main(["export", str(folder), "--plan", str(tmp_path / "plan.json"), "--to", str(tmp_path / "out")]) == 1
    assert "4 tensors do not decode to what was meant" in capsys.readouterr().err


def test_a_plan_from_default_rows_can_be_written(folder, tmp_path, capsys):
    assert main(["analyze", str(folder), "--csv", str(tmp_path / "rows.csv")]) == 0
    capsys.readouterr()
    assert main(["plan", str(folder), "--bits", "6", "--rows", str(tmp_path / "rows.csv"), "--out", str(tmp_path / "plan.json")]) == 0
    assert "rows.csv: left out, as no checkpoint stores them exactly: bfloat16, nvfp4;" in capsys.readouterr().err
    assert main(["export", str(folder), "--plan", str(tmp_path / "plan.json"), "--to", str(tmp_path / "out")]) == 0
    assert main(["plan", str(folder), "--bits", "6", "--rows", str(tmp_path / "rows.csv"), "--recipes", "nvfp4", "--out", str(tmp_path / "plan.json")]) == 0
    assert "nvfp4" in Plan.from_json((tmp_path / "plan.json").read_text()).recipes.values()


def test_what_lies_beside_one_file_goes_with_it_where_it_is_the_whole_model(folder, tmp_path, capsys):
    (tmp_path / "plan.json").write_text(Plan("x", {"layers.0.proj.weight": "row_e4m3"}).to_json())
    shard, whole = folder / "model-00001-of-00002.safetensors", tmp_path / "odd::name/model.safetensors"
    whole.parent.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (whole.parent / name).write_bytes((folder / name).read_bytes())
    whole.write_bytes(shard.read_bytes())
    assert main(["export", str(whole), "--plan", str(tmp_path / "plan.json"), "--to", str(tmp_path / "whole")]) == 0
    assert json.loads((tmp_path / "whole/config.json").read_text())["model_type"] == "mine" and (tmp_path / "whole/tokenizer.json").exists()
    shown = capsys.readouterr().out
    assert "note: No model of the type 'mine' was loaded" in shown and "load it with the class that its config.json names" in shown
    links = tmp_path / "snapshot"
    links.mkdir()
    for path in whole.parent.iterdir():
        (links / path.name).symlink_to(path)
    assert main(["export", str(links), "--plan", str(tmp_path / "plan.json"), "--to", str(tmp_path / "linked")]) == 0
    assert json.loads((tmp_path / "linked/config.json").read_text())["model_type"] == "mine" and not (tmp_path / "linked/tokenizer.json").is_symlink()
    capsys.readouterr()
    assert main(["export", str(shard), "--plan", str(tmp_path / "plan.json"), "--to", str(tmp_path / "part")]) == 0
    assert sorted(path.name for path in (tmp_path / "part").iterdir()) == ["config.json", "model.safetensors"]
    assert "note: No config.json of the whole model lies beside this checkpoint" in capsys.readouterr().out
    for text, words in (("[1]", "config.json beside the checkpoint is not a JSON object"), ("{", "config.json beside the checkpoint is not JSON")):
        (folder / "config.json").write_text(text)
        assert main(["export", str(folder), "--plan", str(tmp_path / "plan.json"), "--to", str(tmp_path / "broken")]) == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "broken").exists()


def test_what_lies_beside_a_checkpoint_elsewhere_goes_with_it(folder, tmp_path):
    import fsspec

    storage = fsspec.filesystem("memory")
    storage.put(str(folder), "/elsewhere", recursive=True)
    (tmp_path / "plan.json").write_text(Plan("x", {"layers.0.proj.weight": "row_e4m3"}).to_json())
    storage.put(str(folder / "model-00001-of-00002.safetensors"), "/alone/model.safetensors")
    storage.pipe("/alone/config.json", b'{"model_type": "mine"}')
    storage.pipe("/alone/tokenizer.json", b"{}")
    for url, to in (("memory://elsewhere", "a"), ("memory://alone/model.safetensors", "b")):
        assert main(["export", url, "--plan", str(tmp_path / "plan.json"), "--to", str(tmp_path / to)]) == 0
        assert json.loads((tmp_path / to / "config.json").read_text())["model_type"] == "mine"
        assert (tmp_path / to / "tokenizer.json").exists()
    for place in ("/elsewhere", "/alone"):
        storage.rm(place, recursive=True)


def test_a_plan_that_libraries_have_trouble_with_is_written_with_a_note(folder, tmp_path, capsys):
    (tmp_path / "plan.json").write_text(Plan("x", {"embed_tokens.weight": "row_e4m3"}).to_json())
    assert main(["export", str(folder), "--plan", str(tmp_path / "plan.json"), "--to", str(tmp_path / "out")]) == 0
    assert "note: 'embed_tokens.weight' is quantized, an embedding or a router (1 in all)" in capsys.readouterr().out


def test_what_stands_in_the_way_of_a_budget_or_of_a_checkpoint_is_named(folder, tmp_path, capsys):
    assert main(["plan", str(folder), "--all", "nvfp4", "--out", str(tmp_path / "plan.json")]) == 0
    assert "no layout stores a checkpoint by it: layout compressed-tensors: layers.0.proj.weight, recipe nvfp4: its global scale" in capsys.readouterr().out
    assert main(["plan", str(folder), "--all", "deepseek_v3_128x128_ue8m0", "--out", str(tmp_path / "plan.json")]) == 0
    assert "writes the checkpoint" in capsys.readouterr().out
    assert main(["export", str(folder), "--plan", str(tmp_path / "plan.json"), "--layout", "deepseek", "--to", str(tmp_path / "full")]) == 0
    save_file({"layers.4.proj.weight": torch.ones(128, 250)}, folder / "more.safetensors")
    assert main(["plan", str(folder), "--bits", "5", "--recipes", "compressed_tensors_mxfp4"]) == 2
    assert "'layers.4.proj.weight' alone needs 32 bits per weight" in capsys.readouterr().err
    assert main(["plan", str(tmp_path / "full"), "--bits", "5", "--out", str(tmp_path / "a plan.json")]) == 0
    assert "no layout stores a checkpoint by it: full is quantized already" in capsys.readouterr().out
