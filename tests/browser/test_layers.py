"""From a folder as Hugging Face writes it to a quantized checkpoint, as a visitor goes."""

import json
import zipfile

import pytest
import torch
from safetensors.torch import save_file

import fp8core as fp8
from fp8core.checkpoints import open_checkpoint
from fp8core.packed import decoded
from pages.ui.local import VARIABLE
from tests.browser.server import running_server

pytestmark = pytest.mark.browser
LOUD = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def folder(tmp_path):
    """Two shards and their index; one layer has an outlier."""
    random, place, homes = torch.Generator().manual_seed(0), tmp_path / "models/tiny", {}
    place.mkdir(parents=True)
    for shard in range(2):
        names = [f"model.layers.{2 * shard + n}.mlp.{part}_proj.weight" for n in range(2) for part in ("up", "down")]
        tensors = {name: torch.randn(256, 128, generator=random).bfloat16() for name in names} | {f"model.layers.{shard}.norm.weight": torch.ones(128)}
        if LOUD in tensors:
            tensors[LOUD][3, 5] = 500.0
        file = f"model-0000{shard + 1}-of-00002.safetensors"
        save_file(tensors, place / file)
        homes |= dict.fromkeys(tensors, file)
    (place / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": homes}))
    (place / "config.json").write_text('{"model_type": "llama"}')
    return place


@pytest.fixture
def address(folder, monkeypatch):
    """A server that was started for this folder."""
    monkeypatch.setenv(VARIABLE, str(folder.parent))
    with running_server() as address:
        yield address


def test_a_folder_becomes_a_quantized_checkpoint(address, folder, visit, tmp_path):
    visitor = visit(f"{address}/layers")
    page = visitor.page

    page.get_by_role("combobox", name="Checkpoint on this machine").click()  # the folder
    page.get_by_role("option", name="tiny").click()
    page.get_by_text("These are the tensors of tiny on this machine").wait_for()
    page.get_by_role("heading", name=f"{LOUD}: 256 × 128").wait_for()  # the worst layer is opened by itself
    visitor.settle()

    page.get_by_role("radio", name="a plan, and its export").or_(page.get_by_role("button", name="a plan, and its export")).first.click()
    page.get_by_role("heading", name="The plan, layer by layer").wait_for()  # the plan
    visitor.settle()
    predicted = page.get_by_test_id("stMetric").filter(has_text="error, predicted").get_by_test_id("stMetricValue").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="The plan as JSON").click()
    download.value.save_as(tmp_path / "plan.json")

    page.get_by_role("button", name="Write it, and prove that it decodes").click()  # the checkpoint
    page.get_by_text("are those that this page shows, bit for bit").wait_for()
    visitor.settle()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the checkpoint (.zip)").click()
    download.value.save_as(tmp_path / "quantized.zip")

    with zipfile.ZipFile(tmp_path / "quantized.zip") as archive:
        archive.extractall(tmp_path / "quantized")
    recipes = json.loads((tmp_path / "plan.json").read_text())["recipes"]
    assert len(recipes) == 8 and len(set(recipes.values())) > 1
    source, written, noise = open_checkpoint(folder), decoded(open_checkpoint(tmp_path / "quantized")), 0.0
    for name, recipe in recipes.items():
        x = source.read(name).float()
        assert torch.equal(written.read(name).float(), fp8.fake_quantize(x, recipe) if recipe else x)
        noise += 10 ** (-fp8.sqnr_db(x, written.read(name).float()) / 10)
    assert f"{noise:.3g}" == predicted
    assert json.loads((tmp_path / "quantized/config.json").read_text())["model_type"] == "llama"
