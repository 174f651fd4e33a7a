"""The bundled models: MiniLM against transformers, digits against their labels, and every product through one callback."""

import math

import pytest
import torch

import fp8core as fp8
from fp8core.models import MODELS, activations, evaluate, forward, load_inputs, load_weights, minilm_forward, plain_linear, sentences

RUNNABLE = [name for name, info in MODELS.items() if info.inputs]

# The first eight numbers of three embeddings out of BertModel of transformers 5.23.0 with torch 2.13.0 on a CPU, attention "eager", fed with the ids
# from tokenizers 0.23.3, mean over tokens, divided by the length. FULL: the published float32 model, from ids. STORED: its encoder with the
# float16 weights and float16 embeddings of data/.
FULL = {
    0: [0.0696806, 0.0658024, 0.0277790, 0.0586153, 0.0916208, 0.0244652, -0.0077336, -0.0326822],
    9: [-0.0271193, 0.0113151, -0.0359528, 0.0687628, 0.0606191, -0.0091890, 0.0695429, -0.0286173],
    22: [0.0239701, 0.0649975, -0.0492023, -0.0626307, -0.0796170, 0.0012677, -0.0478715, 0.0734116],
}
STORED = {
    0: [0.0696177, 0.0657452, 0.0277474, 0.0585953, 0.0916269, 0.0244692, -0.0076730, -0.0326744],
    9: [-0.0271134, 0.0113132, -0.0359452, 0.0688609, 0.0607036, -0.0092371, 0.0695451, -0.0285850],
    22: [0.0239452, 0.0649908, -0.0491762, -0.0626761, -0.0796543, 0.0012694, -0.0478205, 0.0735098],
}


def quantized_linear(recipe):
    def linear(name, x, weight, bias):
        return plain_linear(name, fp8.quantize(x, recipe).dequantize(), fp8.quantize(weight, recipe).dequantize(), bias)

    return linear


@pytest.mark.parametrize(("reference", "tolerance"), [(STORED, 2e-6), (FULL, 3e-4)])
def test_minilm_gives_the_embeddings_of_transformers(reference, tolerance):
    embeddings = forward("minilm", load_inputs("minilm"))
    assert embeddings.shape == (32, 384)
    assert embeddings.dtype is torch.float32
    for row, first in reference.items():
        assert embeddings[row, :8].tolist() == pytest.approx(first, abs=tolerance)
    assert embeddings.norm(dim=1).tolist() == pytest.approx([1.0] * 32, abs=1e-6)


def test_minilm_does_not_see_padding_or_the_other_sentences():
    inputs = load_inputs("minilm")
    together = forward("minilm", inputs)
    noisy = {"hidden": torch.where(inputs["mask"][:, :, None], inputs["hidden"], torch.nan), "mask": inputs["mask"]}
    assert torch.equal(forward("minilm", noisy), together)
    for row in (0, 31):
        length = int(inputs["mask"][row].sum())
        alone = forward("minilm", {"hidden": inputs["hidden"][row : row + 1, :length], "mask": inputs["mask"][row : row + 1, :length]})
        assert torch.allclose(alone[0], together[row], atol=1e-6)


def test_minilm_without_tokens():
    weights = {name: load_weights("minilm").read(name).float() for name in load_weights("minilm").infos}
    assert minilm_forward(weights, torch.zeros(0, 5, 384), torch.zeros(0, 5, dtype=torch.bool)).shape == (0, 384)
    mask = torch.tensor([[True, True], [False, False]])
    embeddings = minilm_forward(weights, torch.ones(2, 2, 384), mask)
    assert embeddings[0].isfinite().all()
    assert not embeddings[1].any()


def test_in_float32_every_model_does_its_job():
    assert evaluate("digits")["accuracy"] >= 0.97
    assert evaluate("digits")["correct"] == 443
    whole = evaluate("minilm")
    assert whole["cosine_min"] == pytest.approx(1.0, abs=1e-9)
    assert whole["paired"] == 1.0
    assert whole["count"] == len(sentences()) == 32


def test_digits_accuracy_is_that_of_the_labels():
    from fp8core.checkpoints import open_checkpoint
    from fp8core.models import DATA

    samples = open_checkpoint(DATA / "samples/digits.safetensors")
    images, labels = samples.read("test_images"), samples.read("test_labels")
    assert images.shape == (450, 64)
    assert int(images.max()) == 16
    guess = forward("digits", {"images": images.float() / 16}).argmax(dim=1)
    assert evaluate("digits")["accuracy"] == float((guess == labels).double().mean())
    seen = {tuple(row) for row in samples.read("train_images").tolist()}
    assert not any(tuple(row) in seen for row in images.tolist())
    assert len(seen) == 1347


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_weight_matrix_is_multiplied_through_the_callback_once(name):
    calls = []

    def spy(layer, x, weight, bias):
        calls.append((layer, tuple(weight.shape), x.shape[1]))
        return plain_linear(layer, x, weight, bias)

    plain = forward(name, load_inputs(name))
    assert torch.equal(forward(name, load_inputs(name), spy), plain)
    infos = load_weights(name).infos
    matrices = {key.removesuffix(".weight"): info.shape for key, info in infos.items() if len(info.shape) == 2}
    assert {layer: shape for layer, shape, _ in calls} == matrices
    assert len(calls) == len(matrices)
    assert all(shape[1] == k for _, shape, k in calls)


@pytest.mark.parametrize("name", RUNNABLE)
def test_activations_are_what_the_products_see(name):
    captured = activations(name)
    read = load_weights(name).read
    for layer, x in captured.items():
        assert x.dtype is torch.float32
        assert x.shape[1] == read(f"{layer}.weight").shape[1]
        assert x.isfinite().all()
    last = list(captured)[-1]
    if name == "digits":
        logits = plain_linear(last, captured[last], read("output.weight").float(), read("output.bias").float())
        assert torch.equal(logits, forward("digits", load_inputs("digits")))
    else:
        tokens = int(load_inputs("minilm")["mask"].sum())
        assert {len(x) for x in captured.values()} == {tokens} == {465}


def test_activations_of_other_inputs():
    captured = activations("digits", {"images": torch.zeros(3, 64)})
    assert captured["hidden.0"].shape == (3, 64)
    assert not captured["hidden.0"].any()


def test_fewer_bits_do_the_job_worse():
    cosines = [evaluate("minilm", quantized_linear(recipe))["cosine_mean"] for recipe in ("mxfp4", "tensor_e5m2", "tensor_e4m3")]
    assert cosines == sorted(cosines)
    assert cosines[2] > 0.99
    assert cosines[0] < cosines[2] - 0.005
    losses = [evaluate("digits", quantized_linear(recipe))["cross_entropy"] for recipe in ("tensor_e4m3", "mxfp4")]
    assert losses[0] < losses[1]


@pytest.mark.parametrize(("name", "key"), [("digits", "cross_entropy"), ("minilm", "cosine_mean"), ("minilm", "paired")])
def test_nan_is_not_a_good_result(name, key):
    broken = evaluate(name, lambda layer, x, weight, bias: plain_linear(layer, x, weight, bias) * torch.nan)
    assert math.isnan(broken[key])
    assert broken.get("correct", 0) == 0


def test_gradients_flow_through_the_forward():
    images = load_inputs("digits")["images"][:4].requires_grad_()
    forward("digits", {"images": images}).sum().backward()
    assert images.grad.shape == (4, 64)
    assert images.grad.any()


def test_callers_cannot_change_the_bundled_inputs_by_replacing_entries():
    load_inputs("digits").clear()
    assert load_inputs("digits").keys() == {"images"}


def test_silero_has_weights_and_says_that_it_has_no_more():
    infos = load_weights("silero_vad").infos
    assert infos["lstm_cell.weight_hh"].shape == (512, 128)
    assert all(load_weights("silero_vad").read(name).isfinite().all() for name in infos)
    assert "cannot be run" in MODELS["silero_vad"].description
    for run in (load_inputs, activations, evaluate, lambda name: forward(name, {})):
        with pytest.raises(ValueError, match="'silero_vad' has weights only for now: minilm, digits can be run"):
            run("silero_vad")


@pytest.mark.parametrize("run", [load_weights, load_inputs, activations, evaluate, lambda name: forward(name, {})])
def test_an_unknown_model_is_named_with_the_known_ones(run):
    with pytest.raises(ValueError, match=r"model '\.\./x' is not one of minilm, digits, silero_vad"):
        run("../x")
