"""The layers of known models, and the sweep over them: what it measures, what it leaves out and why."""

import pytest

from fp8core.bench.shapes import BATCHES, MAX_BATCH, MODELS, LayerShape, squares


def weights(model: str, *words: str) -> int:
    """Weights of the layers whose name holds one of the words; of all layers where there is none."""
    return sum(shape.n * shape.k for shape in MODELS[model].layers if not words or any(word in shape.layer for word in words))


@pytest.mark.parametrize(
    ("model", "layers", "hidden", "vocabulary", "published"),
    [("llama3_8b", 32, 4096, 128256, 8_030_261_248), ("llama3_70b", 80, 8192, 128256, 70_553_706_496)],
)
def test_llama_has_as_many_parameters_as_its_files_hold(model, layers, hidden, vocabulary, published):
    """With two vectors of norms in each layer, one after the last, and the words in and out."""
    assert layers * (weights(model) + 2 * hidden) + 2 * vocabulary * hidden + hidden == published


def test_gpt3_has_its_175_billion_parameters():
    """96 layers, 50257 words, 2048 places; biases and norms are too few to count."""
    assert 96 * weights("gpt3_175b") + (50257 + 2048) * 12288 == pytest.approx(175e9, rel=0.005)


def test_deepseek_v3_has_its_671_billion_parameters_of_which_37_work_for_a_token():
    """61 layers: 3 dense ones, 58 of one shared and 256 routed experts (8 of them for a token) and their router; 129280 words in and out."""
    attention, dense, expert = (weights("deepseek_v3", *words) for words in (("query", "value", "attention"), ("dense",), ("expert",)))
    rest = 61 * attention + 3 * dense + 58 * 256 * 7168 + 2 * 129280 * 7168
    assert rest + 58 * 257 * expert == pytest.approx(671e9, rel=0.0005)
    assert rest + 58 * 9 * expert == pytest.approx(37e9, rel=0.02)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_layer_is_named_once_and_every_model_has_a_source(model):
    assert len({shape.layer for shape in model.layers}) == len(model.layers) >= 4
    assert {shape.model for shape in model.layers} == {model.name} and "arXiv" in model.source


def test_squares_and_batches():
    assert [(shape.n, shape.k) for shape in squares()] == [(side, side) for side in (256, 512, 1024, 2048, 4096, 8192)]
    assert min(BATCHES) == 1 and max(BATCHES) == MAX_BATCH == 8192


@pytest.mark.parametrize(("n", "k", "words"), [(0, 8, "n = 0: it is a whole number from 1 on"), (8, 8.0, "k = 8.0: it is")])
def test_sides_are_whole_numbers(n, k, words):
    with pytest.raises(ValueError, match=words):
        LayerShape("square", "odd", n, k)
