"""The topics of the layers page: products, the whole model, plans and their exports, logs; and checkpoints of this machine."""

import io
import json
import re
import zipfile

import pytest
import torch
from safetensors.torch import save, save_file
from streamlit.testing.v1 import AppTest
from test_page_layers import open_page
from torch import nn

import fp8core as fp8
from fp8core import capture
from fp8core.checkpoints import open_checkpoint
from fp8core.layers import analyze
from fp8core.models import load_weights
from fp8core.packed import decoded
from fp8core.plan import CANDIDATES, cheapest, choose, of_model, planned_layers, to_line, uniform, writable
from fp8core.sensitivity import end_to_end, layers_of, pairs_of, what_if
from pages.ui import layer_reports, layer_sources, local, plans
from pages.ui.view import View

DIGITS = {"model": "digits", "recipes": "int8_tensor,mxfp4"}


def upload(app: AppTest, name: str, data: bytes, key: str) -> AppTest:
    app.file_uploader(key=key).set_value((name, data, "application/octet-stream")).run()
    assert not app.exception
    return app


def test_products_are_those_of_the_core():
    app = open_page(**DIGITS, layers_topic="products")
    wanted = what_if(pairs_of("digits"), ["int8_tensor", "mxfp4"])
    found = app.dataframe[0].value
    assert list(found["layer"]) == [each.layer for each in wanted]
    assert list(found["product (dB)"]) == pytest.approx([each.product_sqnr_db for each in wanted])
    app = open_page(model="silero_vad", recipes="mxfp4", layers_topic="products")
    assert "this file has none" in app.info[0].value
    assert "from fp8core import capture" in app.code[0].value


def test_a_recorded_step_has_products(tmp_path):
    model = nn.Sequential(nn.Linear(64, 32))
    with capture(model, tmp_path / "step.safetensors"):
        model(torch.randn(40, 64)).sum().backward()
    app = upload(open_page(**DIGITS), "step.safetensors", (tmp_path / "step.safetensors").read_bytes(), "upload_widget")
    assert dict(zip(app.dataframe[1].value["layer"], app.dataframe[1].value["kind"], strict=True)) == {"input/0": "activation", "output/0": "output", "output_grad/0": "gradient", "weight/0": "matrix", "weight_grad/0": "gradient"}
    app.segmented_control(key="layers_topic").set_value("products").run()
    assert not app.exception
    assert set(app.dataframe[0].value["layer"]) == {"0"}


def test_the_whole_model():
    app = open_page(**DIGITS, layers_topic="model", recipe="mxfp4")
    outcome = end_to_end("digits", dict.fromkeys(layers_of("digits"), "mxfp4"))
    row = app.dataframe[0].value.iloc[1]
    assert row["model output (dB)"] == outcome.output_sqnr_db
    assert row["accuracy (%)"] == 100 * outcome.metrics["accuracy"]
    app = open_page(model="silero_vad", recipes="mxfp4", layers_topic="model")
    assert "needs a model that can be run" in app.info[0].value


def test_the_plan_is_the_best_that_the_budget_buys():
    app = open_page(**DIGITS, layers_topic="plan", bits="6")
    weights = load_weights("digits")
    count = sum(weights.infos[f"{layer}.weight"].count for layer in planned_layers("digits"))
    wanted = choose(writable(of_model("digits", CANDIDATES), {name: info.shape for name, info in weights.infos.items()}), 6 * count)
    bits, predicted, measured, accuracy = (each.value for each in app.metric)
    assert float(bits) == pytest.approx(wanted.nbits / count, abs=1e-3)
    assert float(predicted) == pytest.approx(wanted.error, rel=0.01)
    assert float(measured) == pytest.approx(10 ** (-end_to_end("digits", wanted.recipes).output_sqnr_db / 10), rel=0.01)
    assert float(accuracy) == pytest.approx(end_to_end("digits", wanted.recipes).metrics["accuracy"], abs=1e-4)


def test_the_other_budgets():
    costs, layers = of_model("digits", [*CANDIDATES, "mxfp4"]), planned_layers("digits")
    app = open_page(**DIGITS, layers_topic="plan", budget="error", ceiling="30")
    wanted = cheapest([cost for cost in costs if cost.recipe != "mxfp4"], 10 ** (-30 / 10))
    assert float(app.metric[1].value) == pytest.approx(wanted.error, rel=0.01)
    assert float(app.metric[0].value) == pytest.approx(wanted.nbits / sum(load_weights("digits").infos[f"{layer}.weight"].count for layer in layers), abs=1e-3)
    assert wanted.error <= 1e-3
    app = open_page(**DIGITS, layers_topic="plan", budget="same", recipe="mxfp4")
    assert float(app.metric[1].value) == pytest.approx(uniform(costs, "mxfp4").error, rel=0.01)
    assert float(app.metric[3].value) == pytest.approx(end_to_end("digits", dict.fromkeys(layers, "mxfp4")).metrics["accuracy"], abs=1e-4)


def test_a_plan_in_the_link_is_shown_and_a_bad_one_is_named():
    line = "compressed_tensors_mxfp8,keep"
    app = open_page(**DIGITS, layers_topic="plan", plan=line)
    assert [button.label for button in app.button if button.key == "layers_plan_reset"]
    assert app.query_params["plan"] == line
    app.button(key="layers_plan_reset").click().run()
    assert not app.exception
    assert app.query_params["plan"] == ""
    app = open_page(**DIGITS, layers_topic="plan", plan="mxfp9*2")
    assert "is not a plan" in app.warning[0].value
    app = open_page(**DIGITS, layers_topic="plan", plan="compressed_tensors_mxfp8*7")
    assert "the plan has 7 recipes, and there are 2 tensors" in app.warning[0].value.replace("\\", "")
    app = open_page(**DIGITS, layers_topic="plan", plan="mxfp4*2")
    assert "not among the recipes to choose from" in app.warning[0].value
    app = open_page(**DIGITS, layers_topic="plan", bits="3.5")
    assert "3.5 bits per weight are too few" in app.warning[0].value.replace("\\", "")


def test_a_change_by_hand_changes_what_engines_fuse():
    recipes = {"a.q_proj.weight": "mxfp4", "a.k_proj.weight": "mxfp4", "b.weight": "mxfp4"}
    for fused, wanted in (("together", {"a.q_proj.weight": "", "a.k_proj.weight": "", "b.weight": "mxfp4"}), ("apart", recipes | {"a.k_proj.weight": ""})):
        assert plans.edited(recipes, {1: ""}, fused) == wanted


def test_the_checkpoint_that_is_written_decodes_to_what_was_meant():
    app = open_page(**DIGITS, layers_topic="plan", plan="compressed_tensors_mxfp8,compressed_tensors_nvfp4")
    app.button(key="layers_plan_write").click().run()
    assert not app.exception
    assert "bit for bit" in app.success[0].value
    (wanted, archive, _) = app.session_state["layers_plan_written"]
    assert wanted[1] == "compressed_tensors_mxfp8,compressed_tensors_nvfp4"
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        shown = decoded(open_checkpoint(members.read("model.safetensors"), "model.safetensors"))
        assert "quantization_config" in json.loads(members.read("config.json"))
    stored = load_weights("digits")
    for name, recipe in (("hidden.0.weight", "compressed_tensors_mxfp8"), ("hidden.1.weight", "compressed_tensors_nvfp4")):
        assert torch.equal(shown.read(name), fp8.fake_quantize(stored.read(name).float(), recipe))
    app.radio(key="layers_plan_layout").set_value("deepseek").run()
    assert any("this layout holds E4M3" in each.value.replace("\\", "") for each in app.caption)


def test_a_plan_comes_from_a_file():
    plan = {"kind": "fp8core plan", "version": 1, "checkpoint": "x", "recipes": {"hidden.0.weight": "compressed_tensors_mxfp8"}}
    app = upload(open_page(**DIGITS, layers_topic="plan"), "plan.json", json.dumps(plan).encode(), "plans_file")
    assert app.query_params["plan"] == "compressed_tensors_mxfp8,keep"
    app = upload(app, "plan.json", b"{", "plans_file")
    assert "a plan is JSON" in app.error[0].value


@pytest.mark.parametrize(("topic", "job"), [("suffer", "digits/weights/('int8_tensor', 'mxfp4')"), ("products", "products/digits/('int8_tensor', 'mxfp4')"), ("plan", f"costs/digits/{CANDIDATES!r}")])
def test_what_was_stopped_stays_so_until_it_may_go_on(topic, job):
    layer_reports._kept.clear()
    app = open_page(**DIGITS, layers_topic=topic)
    whole = len(app.dataframe)
    app.session_state["progress_stopped"] = job, []
    layer_reports._kept.clear()
    app.run()
    assert not app.exception
    layers = {"suffer": 10, "products": 3, "plan": 2}[topic]
    assert f"Stopped: 0 of {layers} layers are shown." in app.info[0].value
    assert bool(app.button(key="progress_go_on"))
    app.button(key="progress_go_on").click().run()
    assert len(app.dataframe) == whole


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one checkpoint of two shards, one file, and what is neither."""
    monkeypatch.setenv(local.VARIABLE, str(tmp_path))
    monkeypatch.setattr(local, "_seen", {})
    monkeypatch.setattr(local, "_looked", -10.0)
    (tmp_path / "model").mkdir()
    for n in range(2):
        save_file({f"layers.{n}.weight": torch.randn(64, 128, generator=torch.Generator().manual_seed(n))}, tmp_path / f"model/m-{n}.safetensors")
    q = fp8.quantize(torch.randn(128, 128), "tensor_e4m3")
    (tmp_path / "fp8.safetensors").write_bytes(save({"a.weight": q.codes.view(torch.float8_e4m3fn), "a.weight_scale": q.scale}))
    (tmp_path / "notes.txt").write_text("x")
    return tmp_path


def test_checkpoints_of_this_machine(folder):
    assert local.checkpoints() == ("none", "fp8.safetensors", "model")
    app = open_page(checkpoint="model", recipes="mxfp4")
    assert set(app.dataframe[1].value["layer"]) == {"layers.0.weight", "layers.1.weight"}
    wanted = {layer.name: layer.errors["mxfp4"].sqnr_db for layer in analyze(open_checkpoint(folder / "model"), ["mxfp4"])}
    assert dict(zip(app.dataframe[1].value["layer"], app.dataframe[1].value["MXFP4: dB"], strict=True)) == wanted
    app = open_page(checkpoint="fp8.safetensors", recipes="tensor_e4m3", layers_topic="plan", bits="8.25")
    assert any("is quantized already" in each.value for each in app.caption)
    app = open_page(checkpoint="../etc", recipes="mxfp4")
    assert "is not one of the choices" in app.warning[0].value
    with pytest.raises(ValueError, match="is not a checkpoint in the folder"):
        local.path_of("../etc")


def test_a_damaged_config_is_a_reason_and_no_accident(folder):
    (folder / "model/config.json").write_text('{"model_type": "llama",')
    app = open_page(checkpoint="model", recipes="mxfp4", layers_topic="plan", bits="8.25")
    assert any("config.json beside the checkpoint is not JSON" in each.value.replace("\\", "") for each in app.caption)


def test_without_a_folder_nothing_of_this_machine_is_offered(monkeypatch):
    monkeypatch.delenv(local.VARIABLE, raising=False)
    monkeypatch.setattr(local, "_seen", {})
    assert local.checkpoints() == ("none",)
    assert "checkpoint" not in layer_sources.controls()
    assert all(box.key != "checkpoint" for box in open_page(**DIGITS).selectbox)


def test_a_checkpoint_that_has_gone_is_said(folder):
    assert "model" in local.checkpoints()
    for path in (folder / "model").iterdir():
        path.unlink()
    app = open_page(checkpoint="model", recipes="mxfp4")
    assert "cannot be read to its end" in app.error[0].value


def test_logs():
    app = open_page(**DIGITS, layers_topic="logs")
    assert "Nothing is open" in app.info[0].value
    app = upload(app, "te.log", b"INFO - a.fc1_weight_mse iteration=1 value=0.5\nINFO - a.fc1_weight_mse iteration=2 value=0.25\nINFO - a.fc1_weight_max iteration=2 value=3", "layers_logs_file")
    assert list(app.dataframe[0].value["value"]) == [0.5, 0.25]
    app.selectbox(key="layers_logs_kind").set_value(("weight", "max")).run()
    assert list(app.dataframe[0].value["value"]) == [3.0]
    app = upload(app, "te.log", b"hello", "layers_logs_file")
    assert "no line here" in app.error[0].value


def test_the_html_file_has_all_three_pictures_and_every_layer():
    app = open_page(**DIGITS)
    app.session_state["share_open"] = True
    app.run()
    text = app.session_state["sharing_sheet"].document().decode()
    assert text.count("Plotly.newPlot(") == len(app.get("plotly_chart")) + 2  # the pictures that the page shows one at a time
    headings = re.findall("<h2>(.*?)</h2>", text)
    assert headings[:3] == ["Handwritten digits classifier", "SQNR as colours", "Outliers"]
    for layer in analyze(load_weights("digits"), ["mxfp4"]):
        assert layer.name.removesuffix(".weight") in text


def test_every_plan_of_the_page_has_a_line():
    assert View(plan=to_line({"a": "mxfp4", "b": ""})).plan == "mxfp4,keep"


def test_a_plan_says_what_it_leaves_out_and_why():
    held = {"a.weight": torch.randn(64, 128), "big.weight": torch.ones(2048, 2176), "lm_head.weight": torch.ones(64, 128)}
    app = upload(open_page(recipes="mxfp4", layers_topic="plan"), "w.safetensors", save(held), "upload_widget")
    assert any("up to 4,194,304 numbers per tensor: 1 larger ones, such as big.weight" in each.value.replace("\\", "") for each in app.caption)
    assert list(app.dataframe[0].value["layer"]) == ["a.weight"]


def test_a_file_that_plans_what_is_not_planned_here_is_refused_with_the_layer():
    plan = {"kind": "fp8core plan", "version": 1, "checkpoint": "x", "recipes": {"output.weight": "compressed_tensors_mxfp8"}}
    app = upload(open_page(**DIGITS, layers_topic="plan"), "plan.json", json.dumps(plan).encode(), "plans_file")
    assert "output.weight has a recipe in it" in app.error[0].value.replace("\\", "")
    assert app.query_params["plan"] == ""
