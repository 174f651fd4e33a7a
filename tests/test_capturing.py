"""What is recorded of a model is what passed its layers; nothing changes in it."""

import pytest
import torch
import torch.utils.checkpoint
from torch import nn

import fp8core as fp8
from fp8core import capture
from fp8core.capturing import captured
from fp8core.checkpoints import open_checkpoint
from fp8core.layers import analyze
from fp8core.models import activations, load_inputs, load_weights
from fp8core.sensitivity import what_if


class Digits(nn.Module):
    """The bundled classifier as a module."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.ModuleList([nn.Linear(64, 128), nn.Linear(128, 128)])
        self.norm = nn.ModuleList([nn.LayerNorm(128), nn.LayerNorm(128)])
        self.output = nn.Linear(128, 10)
        weights = load_weights("digits")
        self.load_state_dict({name: weights.read(name).float() for name in weights.infos})

    def forward(self, x):
        for hidden, norm in zip(self.hidden, self.norm, strict=True):
            x = norm(hidden(x)).relu()
        return self.output(x)


class Block(nn.Module):
    """A plain transformer layer."""

    def __init__(self, width=32):
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        x = x + self.out(nn.functional.scaled_dot_product_attention(q, k, v))
        return x + self.down(nn.functional.gelu(self.up(x)))


def test_the_bundled_model_as_a_module_has_the_inputs_that_the_bundled_model_has(tmp_path):
    model, wanted = Digits(), activations("digits")
    with torch.no_grad(), capture(model, tmp_path / "step.safetensors"):
        model(load_inputs("digits")["images"])
    found = open_checkpoint(tmp_path / "step.safetensors")
    assert {name.removeprefix("input/") for name in found.infos if name.startswith("input/")} == set(wanted)
    for layer, x in wanted.items():
        torch.testing.assert_close(found.read(f"input/{layer}"), x, rtol=1e-5, atol=1e-5)
        assert torch.equal(found.read(f"weight/{layer}"), model.get_submodule(layer).weight)
        assert f"output_grad/{layer}" not in found.infos


def test_a_training_step_of_a_transformer(tmp_path):
    torch.manual_seed(0)
    model, x = nn.Sequential(Block(), Block()), torch.randn(4, 50, 32)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    gradients = {}
    model[1].down.register_full_backward_hook(lambda module, inputs, outputs: gradients.update(down=outputs[0].reshape(-1, 32)))
    with capture(model, tmp_path / "step.safetensors", max_numbers=32 * 100):
        model(x).square().mean().backward()
    found = open_checkpoint(tmp_path / "step.safetensors")
    layers = [f"{block}.{part}" for block in (0, 1) for part in ("qkv", "out", "up", "down")]
    assert set(found.infos) == {f"{part}/{layer}" for part in ("input", "weight", "output", "output_grad", "weight_grad") for layer in layers}
    places = torch.linspace(0, 199, 3200 // 128, dtype=torch.float64).round().long()
    assert torch.equal(found.read("output_grad/1.down"), gradients["down"][places])
    linear = model[0].qkv
    torch.testing.assert_close(found.read("output/0.qkv"), linear(found.read("input/0.qkv")), rtol=1e-5, atol=1e-5)
    assert torch.equal(found.read("weight_grad/0.qkv"), linear.weight.grad)
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    kinds = {layer.name: layer.kind for layer in analyze(found, ["mxfp8_e4m3"])}
    assert (kinds["input/0.up"], kinds["output/0.up"], kinds["output_grad/0.up"], kinds["weight_grad/0.up"], kinds["weight/0.up"]) == ("activation", "output", "gradient", "gradient", "matrix")
    (product,) = what_if({"0.up": (found.read("input/0.up"), found.read("weight/0.up"))}, ["mxfp8_e4m3"])
    assert product.product_sqnr_db == pytest.approx(fp8.sqnr_db(found.read("input/0.up") @ found.read("weight/0.up").T, fp8.fake_quantize(found.read("input/0.up"), "mxfp8_e4m3") @ fp8.fake_quantize(found.read("weight/0.up"), "mxfp8_e4m3").T), abs=0.01)


def test_the_last_call_counts_and_bfloat16_stays(tmp_path):
    model = nn.Sequential(nn.Linear(8, 4)).bfloat16()
    with capture(model, tmp_path / "x.safetensors", ["0"]):
        model(torch.zeros(2, 8, dtype=torch.bfloat16))
        model(torch.ones(3, 8, dtype=torch.bfloat16))
    assert torch.equal(open_checkpoint(tmp_path / "x.safetensors").read("input/0"), torch.ones(3, 8, dtype=torch.bfloat16))


def test_mistakes_are_named_and_leave_nothing_behind(tmp_path):
    model, path = nn.Sequential(nn.Linear(8, 4), nn.ReLU()), tmp_path / "x.safetensors"
    for layers, words in ((["5"], "layer '5' is not among the 3 modules of Sequential"), (lambda name, module: False, "has no layer that was chosen")):
        with pytest.raises(ValueError, match=words), capture(model, path, layers):
            pass
    with pytest.raises(ValueError, match=r"layer '0' was not called with a tensor \(1 of 1 were not\)"), capture(model, path):
        pass
    with pytest.raises(ValueError, match=r"has to end in \.safetensors"), capture(model, tmp_path / "x.pt"):
        pass
    (tmp_path / "y.safetensors").mkdir()
    with pytest.raises(ValueError, match="this is a folder"), capture(model, tmp_path / "y.safetensors"):
        pass
    (tmp_path / "y.safetensors").rmdir()
    with pytest.raises(ValueError, match=r"there is no such folder as .*nowhere"), capture(model, tmp_path / "nowhere/x.safetensors"):
        pass
    with pytest.raises(ValueError, match=r"layer '1' was not called with a tensor \(1 of 2 were not\)"), capture(model, path, ["0", "1"]):
        model[0](torch.ones(1, 8))
    with pytest.raises(RuntimeError, match="own"), capture(model, path):
        model(torch.ones(1, 8))
        raise RuntimeError("own")
    assert not list(tmp_path.iterdir())
    assert not model[0]._forward_hooks


def test_what_was_recorded_comes_back_by_layer(tmp_path):
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
    with capture(model, tmp_path / "x.safetensors"):
        model(torch.ones(3, 8))
    found = captured(open_checkpoint(tmp_path / "x.safetensors"))
    assert list(found) == ["0", "1"] and len(found) == 2
    inputs, weights = found["1"]
    assert torch.equal(weights, model[1].weight) and torch.equal(inputs, model[0](torch.ones(3, 8)))
    assert not captured(load_weights("digits")) and "2" not in found


def test_all_that_is_kept_is_of_the_last_call(tmp_path):
    layer = nn.Linear(4, 4)
    with capture(nn.Sequential(layer), tmp_path / "step.safetensors"):
        layer(layer(torch.ones(2, 4))).sum().backward()
    assert torch.equal(open_checkpoint(tmp_path / "step.safetensors").read("output_grad/0"), torch.ones(2, 4))


class Odd(nn.Module):
    """Layers that are called by keyword, that give several tensors, and that nobody calls."""

    def __init__(self):
        super().__init__()
        self.up, self.idle, self.attention, self.memory = nn.Linear(8, 8), nn.Linear(8, 8), nn.MultiheadAttention(8, 2, batch_first=True), nn.LSTM(8, 4, batch_first=True)

    def forward(self, x):
        x = self.up(input=x)
        return self.memory(self.attention(x, x, x)[0])[0]


def test_what_was_not_called_is_named_and_the_rest_is_kept(tmp_path):
    model = Odd()
    with pytest.warns(UserWarning, match=r"2 of 3 layers were not called .*: idle, attention\.out_proj"), capture(model, tmp_path / "x.safetensors"):
        model(torch.ones(2, 3, 8))
    found = open_checkpoint(tmp_path / "x.safetensors")
    assert set(found.infos) == {"input/up", "weight/up", "output/up"}
    assert torch.equal(found.read("input/up"), torch.ones(6, 8))


def test_of_several_tensors_the_first_is_kept(tmp_path):
    model = Odd()
    with capture(model, tmp_path / "x.safetensors", ["memory"]):
        wanted = model(torch.ones(2, 3, 8))
        wanted.sum().backward()
    found = open_checkpoint(tmp_path / "x.safetensors")
    assert torch.equal(found.read("output/memory"), wanted.detach().reshape(6, 4))
    assert torch.equal(found.read("output_grad/memory"), torch.ones(6, 4))


def test_a_model_that_is_one_layer(tmp_path):
    model = nn.Linear(8, 4)
    for layers in (None, ["model"], "model"):
        with capture(model, tmp_path / "x.safetensors", layers):
            model(torch.ones(2, 8))
        assert set(open_checkpoint(tmp_path / "x.safetensors").infos) == {"input/model", "weight/model", "output/model"}


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradients_are_kept_where_a_checkpoint_computes_layers_once_more(tmp_path, use_reentrant):
    torch.manual_seed(0)
    blocks, x = nn.ModuleList([Block(), Block()]), torch.randn(2, 5, 32, requires_grad=True)
    found = []
    for through in (lambda block, y: block(y), lambda block, y: torch.utils.checkpoint.checkpoint(block, y, use_reentrant=use_reentrant)):
        blocks.zero_grad()
        path = tmp_path / f"{len(found)}.safetensors"
        with capture(blocks, path):
            y = x
            for block in blocks:
                y = through(block, y)
            y.square().sum().backward()
        held = open_checkpoint(path)
        found.append({name: held.read(name) for name in held.infos})
    assert found[0].keys() == found[1].keys() and len(found[0]) == 5 * 8
    for name, x in found[0].items():
        assert torch.equal(x, found[1][name]), name


def test_of_calls_that_a_reentrant_checkpoint_computes_once_more_the_last_counts(tmp_path):
    torch.manual_seed(0)
    layer, x, found = nn.Linear(4, 4), torch.randn(2, 4, requires_grad=True), []
    for run in (lambda f: f(x), lambda f: torch.utils.checkpoint.checkpoint(f, x, use_reentrant=True)):
        with capture(nn.ModuleList([layer]), tmp_path / "x.safetensors"):
            run(lambda t: layer(layer(t))).sum().backward()
        held = open_checkpoint(tmp_path / "x.safetensors")
        found.append({name: held.read(name) for name in ("input/0", "output/0", "output_grad/0")})
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


class Masked(nn.Module):
    def forward(self, x, mask):
        return x * mask


class Named(nn.Module):
    def forward(self, x=None, y=None):
        return y


def test_arguments_by_name_are_taken_in_the_order_of_the_module_and_empty_calls_do_not_count(tmp_path):
    model = nn.ModuleDict({"masked": Masked(), "layer": nn.Linear(4, 2), "named": Named()})
    with capture(model, tmp_path / "x.safetensors", ["masked", "layer", "named"]):
        model["masked"](mask=torch.zeros(3, 4), x=torch.ones(3, 4))
        model["named"](None, y=torch.ones(5, 4))
        model["layer"](torch.ones(2, 4))
        model["layer"](torch.ones(0, 4))
    found = open_checkpoint(tmp_path / "x.safetensors")
    assert torch.equal(found.read("input/masked"), torch.ones(3, 4)) and found.infos["input/layer"].shape == (2, 4) and found.infos["input/named"].shape == (5, 4)


def test_a_model_with_a_child_of_its_own_name(tmp_path):
    model = nn.ModuleDict({"model": nn.Linear(4, 4)})
    model.forward = model["model"].forward
    with capture(model, tmp_path / "x.safetensors", lambda name, module: True):
        model["model"](model(torch.ones(2, 4)))
    assert {"input/model", "input/model itself"} <= set(open_checkpoint(tmp_path / "x.safetensors").infos)
