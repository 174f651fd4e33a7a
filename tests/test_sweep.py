"""The layers of known models, and the sweep over them: what it measures, what it leaves out and why."""

import csv
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from fp8core import hardware
from fp8core.__main__ import main
from fp8core.bench import BenchCase, BenchResult, Spread, record, timing
from fp8core.bench import sweep as sweep_bench
from fp8core.bench.shapes import BATCHES, MAX_BATCH, MODELS, LayerShape, squares
from fp8core.bench.sweep import LeftOut, Sweep, SweepPoint, points, rows, save_csv, sweep


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


class World:
    """A machine on which time is what it says: every recipe takes so many seconds for a weight and token, and everything else takes none.

    Args:
        slower: how many times longer a product takes than the small ones suggest.
        refuses: a recipe that is refused.
    """

    def __init__(self, monkeypatch, per_weight: float, slower: float = 1.0, refuses: str = ""):
        self.now, self.per_weight, self.slower, self.refuses, self.measured = 0.0, per_weight, slower, refuses, []
        monkeypatch.setattr(sweep_bench, "time", SimpleNamespace(monotonic=lambda: self.now, perf_counter=lambda: 0.0))
        monkeypatch.setattr(timing, "run_many", self.run_many)

    def run_many(self, cases, device="cpu", progress=None):
        small = cases[0].repeats == 1
        if not small:
            self.measured.append((cases[0].n, cases[0].m))
        results = []
        for number, case in enumerate(cases):
            progress(number / len(cases), case.recipe)
            if case.recipe == self.refuses:
                results.append(BenchResult(case, "a machine", device, refusal="too odd"))
                continue
            seconds = self.per_weight * case.n * case.k * case.m
            self.now += 0 if small else seconds * self.slower * (case.repeats + 2)
            spread, nothing = Spread.of([seconds * 1e3]), Spread.of([0.0])
            ratio = None if case.recipe == "bfloat16" else 2.0
            results.append(BenchResult(case, "a machine", device, "kernel", "emulated", case.repeats, quantize_a_ms=nothing, quantize_b_ms=nothing, product_ms=spread, end_to_end_ms=spread, tflops=1.0, gb_per_s=1.0, speedup_bfloat16=ratio))
        progress(1.0, "done")
        return results


def test_a_small_sweep_measures_everything_and_compares_within_each_product():
    found = sweep(["tensor_e4m3", "mxfp4"], squares([16, 48]), [1, 8], repeats=2)
    assert found.recipes == ("bfloat16", "tensor_e4m3", "mxfp4") and found.batches == (1, 8) and found.shapes == squares([16, 48])
    assert not found.left_out and len(found.points) == 12
    assert found.matrix("bfloat16").tolist() == [[1, 1], [1, 1]]
    for recipe in found.recipes[1:]:
        drawn, times = found.matrix(recipe), found.matrix(recipe, lambda result: result.product_ms.median)
        assert drawn.shape == (2, 2)
        assert drawn * times == pytest.approx(found.matrix("bfloat16", lambda result: result.product_ms.median))
    for point in found.points:
        case = point.result.case
        assert (case.m, case.n, case.k, case.repeats) == (point.batch, point.shape.n, point.shape.k, 2) and point.result.sqnr_db > 10


def test_the_quickest_comes_first_and_what_would_end_too_late_is_left_out(monkeypatch):
    """Both recipes, 7 products each: 0.000014 s a weight and token. The first three take 0.14 s, 1.4 s and 14 s, which leaves 1.5 s of 17."""
    world = World(monkeypatch, 1e-6)
    found = sweep(["mxfp4"], squares([1100, 100]), [100, 1, 10], seconds=17)
    assert world.measured == [(100, 1), (100, 10), (100, 100)]
    assert [(item.shape.n, item.batch, item.reason) for item in found.left_out] == [
        (1100, 1, "would take about 17 s; 1.5 s of 17 are left"),
        (1100, 10, "would take about 169 s; 1.5 s of 17 are left"),
        (1100, 100, "would take about 1694 s; 1.5 s of 17 are left"),
    ]
    drawn = found.matrix("mxfp4")
    assert drawn[1].tolist() == [2, 2, 2] and all(map(math.isnan, drawn[0]))


def test_projections_follow_what_the_products_really_took(monkeypatch):
    World(monkeypatch, 1e-6, slower=10)
    found = sweep([], squares([100, 1000]), [1], seconds=5)
    assert [item.reason for item in found.left_out] == ["would take about 70 s; 4.3 s of 5 are left"]


def test_time_that_is_over_is_none(monkeypatch):
    World(monkeypatch, 1e-6, slower=100)
    found = sweep([], squares([100, 200]), [1], seconds=5)
    assert [item.reason for item in found.left_out] == ["would take about 28 s; 0 s of 5 are left"]


@pytest.mark.parametrize("repeats", [2, 5])
def test_the_pace_is_that_of_the_small_products(monkeypatch, repeats):
    World(monkeypatch, 1e-6)
    pace = sweep_bench._Pace.of(["bfloat16", "mxfp4"], "cpu", repeats, lambda share, text: None)
    shape = LayerShape("", "", 300, 70)
    for batch in (1, 40):
        assert pace.seconds(shape, batch) == pytest.approx(2 * (repeats + 2) * 300 * 70 * batch * 1e-6)


def test_progress_grows_to_one_and_says_what_is_done(monkeypatch):
    World(monkeypatch, 1e-9)
    said = []
    sweep(["mxfp4"], squares([64]), [1, 2], progress=lambda share, text: said.append((share, text)))
    shares = [share for share, _ in said]
    assert shares == sorted(shares) and shares[0] == 0 and said[-1] == (1.0, "done")
    assert said[0][1] == "trying small products: bfloat16" and (0.75, "64 × 64, batch 2: mxfp4") in said


def test_what_was_measured_before_progress_raised_is_kept(monkeypatch):
    World(monkeypatch, 1e-9)

    def stop(share, text):
        if "batch 4" in text:
            raise InterruptedError("enough")

    kept = []
    with pytest.raises(InterruptedError):
        kept.extend(points(["mxfp4"], squares([64]), [1, 2, 4], progress=stop))
    found = Sweep.of(["mxfp4"], squares([64]), [1, 2, 4], kept)
    assert found.matrix("mxfp4")[0, :2].tolist() == [2, 2] and math.isnan(found.matrix("mxfp4")[0, 2])
    with pytest.raises(InterruptedError):
        sweep(["mxfp4"], squares([64]), [4], progress=stop)


def test_sides_beyond_the_limit_are_left_out_until_it_is_raised(monkeypatch):
    World(monkeypatch, 1e-12)
    monkeypatch.setattr(record, "MAX_SIDE", 512)
    wide, deep = LayerShape("square", "wide", 513, 8), LayerShape("square", "deep", 8, 513)
    found = sweep(["mxfp4"], [wide, deep], [1])
    assert found.left_out == (
        LeftOut(wide, 1, "n = 513: sides of at most 512 are measured"),
        LeftOut(deep, 1, "k = 513: sides of at most 512 are measured"),
    )
    assert not found.points
    monkeypatch.setattr(record, "MAX_SIDE", 513)
    assert len(sweep(["mxfp4"], [wide, deep], [1]).points) == 4


def test_what_does_not_fit_into_the_memory_is_left_out(monkeypatch):
    shape = LayerShape("square", "big", 1024, 1024)
    host = replace(hardware.probe(), memory_gib=0.04, gpu=None)
    monkeypatch.setattr(sweep_bench, "probe", lambda: host)
    assert sweep_bench._impossible(shape, 1, 3, "cpu") == "would need about 0.027 GiB of memory; at most 50% of 0.04 GiB are used"
    assert sweep_bench._impossible(shape, 1, 3, "cuda").endswith("of 0.04 GiB are used")
    host = replace(host, memory_gib=1.0, gpu=SimpleNamespace(memory_gib=0.03))
    assert not sweep_bench._impossible(shape, 1, 3, "cpu")
    assert sweep_bench._impossible(shape, 1, 3, "cuda:1").endswith("of 0.03 GiB are used")
    host = replace(host, memory_gib=None)
    assert not sweep_bench._impossible(shape, 1, 3, "cpu")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shapes": []}, "there is no layer to measure"),
        ({"batches": []}, "there is no batch to measure"),
        ({"batches": [0]}, "batch 0: it is a whole number from 1 to 8192"),
        ({"batches": [8193]}, "batch 8193: it is"),
        ({"batches": [1.0]}, "batch 1.0: it is"),
        ({"seconds": 0}, "seconds = 0: it is a number above 0"),
        ({"seconds": math.nan}, "seconds = nan: it is"),
        ({"seconds": math.inf}, "seconds = inf: it is"),
        ({"repeats": 0}, "repeats = 0: it is a whole number from 1 to 100"),
        ({"recipes": ["mxfp9"]}, "mxfp9"),
        ({"recipes": [f"int8_row{number}" for number in range(64)]}, "65 recipes with bfloat16: at most 64 run together"),
    ],
)
def test_bad_values_are_refused_before_anything_is_measured(changes, words):
    asked = {"recipes": ["mxfp4"], "shapes": squares([64]), "batches": [1]} | changes
    with pytest.raises(ValueError, match=words):
        points(**asked)


def test_a_device_that_is_not_there_is_refused_at_the_first_result():
    found = points(["mxfp4"], squares([64]), [1], "tpu")
    with pytest.raises(ValueError, match="device 'tpu' is not one of cpu"):
        next(found)


def test_a_recipe_that_is_not_in_the_sweep_has_no_map():
    with pytest.raises(ValueError, match="recipe 'nvfp4' is not one of bfloat16, mxfp4"):
        Sweep.of(["mxfp4"], squares([64]), [1], []).matrix("nvfp4")


def test_refused_and_missing_figures_are_nan(monkeypatch):
    World(monkeypatch, 1e-9, refuses="mxfp4")
    found = sweep(["mxfp4"], squares([64]), [1])
    assert [point.result.refusal for point in found.points] == ["", "too odd"]
    assert math.isnan(found.matrix("mxfp4")[0, 0]) and math.isnan(found.matrix("bfloat16")[0, 0])
    assert found.matrix("bfloat16", lambda result: result.tflops)[0, 0] == 1


def test_rows_are_flat(tmp_path):
    shape = LayerShape("square", "small", 8, 16)
    spread = Spread(2.0, 1.0, 3.0)
    done = SweepPoint(shape, 4, BenchResult(BenchCase(4, 8, 16, "mxfp4", seed=5), "a machine", product_ms=spread, sqnr_db=20.0))
    found = Sweep.of(["mxfp4"], [shape], [4, 8], [done, LeftOut(shape, 8, "no time")])
    first, last = rows(found)
    assert [first[name] for name in ("model", "layer", "n", "k", "batch", "recipe", "seed")] == ["square", "small", 8, 16, 4, "mxfp4", 5]
    assert [first[name] for name in ("product_ms_median", "product_ms_p20", "product_ms_p80", "sqnr_db")] == [2.0, 1.0, 3.0, 20.0]
    assert first["end_to_end_ms_median"] is None and first["refusal"] == "" and "case" not in first
    assert last == {"model": "square", "layer": "small", "n": 8, "k": 16, "batch": 8, "refusal": "no time"}
    path = tmp_path / "sweep.csv"
    save_csv(found, path)
    with open(path, newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert read[0]["product_ms_median"] == "2.0" and read[0]["tflops"] == "" and read[1]["recipe"] == "" and read[1]["refusal"] == "no time"
    save_csv(Sweep((), (), ()), path)
    assert path.read_text().strip() == ""


def test_command_line(monkeypatch, tmp_path, capsys):
    World(monkeypatch, 1e-9, refuses="mxfp4")
    monkeypatch.setattr(record, "MAX_SIDE", 8192)
    path = tmp_path / "sweep.csv"
    options = ["--model", "llama3_8b", "--squares", "64", "--batch", "1,16", "--recipes", "tensor_e4m3,mxfp4", "--seconds", "2", "--csv", str(path)]
    assert main(["bench", "sweep", *options]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "a machine; cpu, 5 runs; the product alone, without quantizing"
    assert shown.count("tensor_e4m3: times as fast as bfloat16; emulated by kernel") == 1
    assert [line.split() for line in shown if line.startswith("square")] == [
        ["square", "64", "×", "64", "64", "x", "64", "0.0041", "0.0655"],
        ["square", "64", "×", "64", "64", "x", "64", "2", "2"],
        ["square", "64", "×", "64", "64", "x", "64", "-", "-"],
        ["square", "64", "×", "64,", "batch", "1,", "16:", "mxfp4", "refused:", "too", "odd"],
    ]
    assert "llama3_8b MLP down, batch 1, 16: left out: k = 14336: sides of at most 8192 are measured" in shown
    assert any("QKV, batch 16: left out: would take about" in line for line in shown)
    assert len(path.read_text().splitlines()) > 10


def test_command_line_measures_for_real(capsys):
    assert main(["bench", "sweep", "--squares", "32", "--batch", "4", "--recipes", "int8_row", "--repeats", "1"]) == 0
    shown = capsys.readouterr().out
    assert "int8_row: times as fast as bfloat16; " in shown and "left out" not in shown and "llama3" not in shown


def test_command_line_with_nothing_that_fits(monkeypatch, capsys):
    monkeypatch.setattr(record, "MAX_SIDE", 16)
    assert main(["bench", "sweep", "--batch", "1"]) == 0
    shown = capsys.readouterr().out
    assert "llama3_8b QKV, batch 1: left out: n = 6144" in shown and "runs" not in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "llama9"], "model 'llama9' is not one of llama3_8b, llama3_70b, deepseek_v3, gpt3_175b"),
        (["--recipes", ","], "--recipes ',' names no recipe"),
        (["--recipes", "mxfp9"], "mxfp9"),
        (["--batch", "1,many"], "--batch '1,many': these are whole numbers, separated by commas"),
        (["--batch", ","], "there is no batch to measure"),
        (["--squares", "wide"], "--squares 'wide': these are whole numbers"),
        (["--squares", "0"], "n = 0: it is a whole number from 1 on"),
        (["--seconds", "-1"], "seconds = -1.0: it is a number above 0"),
        (["--csv", "no/such/folder/s.csv"], "--csv 'no/such/folder/s.csv': there is no such folder"),
    ],
)
def test_bad_options_are_refused_in_words(capsys, options, words):
    assert main(["bench", "sweep", *options]) == 2
    assert words in capsys.readouterr().err
