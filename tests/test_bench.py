"""The benchmark: what it measures adds up, what it cannot do it says, and what it saves it can read again."""

import json
from dataclasses import replace

import pytest
import torch

from fp8core import FORMATS, RECIPES, bench
from fp8core.__main__ import main
from fp8core.bench import BenchCase, BenchResult, Spread, load, load_note, run, run_many, save


@pytest.fixture(scope="module")
def results():
    cases = [BenchCase(64, 48, 96, recipe, repeats=3) for recipe in ("float32", "bfloat16", "tensor_e4m3", "mxfp4", "int8_row")]
    return run_many([*cases, BenchCase(64, 48, 96, "mxfp4", backend="int8")])


def test_every_case_gives_a_record_or_a_reason(results):
    assert [result.case.recipe for result in results] == ["float32", "bfloat16", "tensor_e4m3", "mxfp4", "int8_row", "mxfp4"]
    for result in results[:-1]:
        assert not result.refusal and result.kernel and result.kind in bench.KINDS and result.host
        assert result.tflops > 0 and result.gb_per_s > 0 and result.error_rows == 64
        for spread in (result.quantize_a_ms, result.quantize_b_ms, result.product_ms, result.end_to_end_ms):
            assert 0 < spread.p20 <= spread.median <= spread.p80
        assert result.end_to_end_ms.median > result.product_ms.median
    assert results[-1].refusal == "e2m1fn is not an integer format of at most 8 bits" and results[-1].product_ms is None


def test_figures_follow_from_the_times(results):
    result = results[2]
    seconds = result.product_ms.median / 1e3
    assert result.tflops == pytest.approx(2 * 64 * 48 * 96 / seconds / 1e12)
    assert result.gb_per_s == pytest.approx((64 * 96 + 96 * 48 + 2 * 4 + 4 * 64 * 48) / seconds / 1e9)
    assert result.speedup_float32 == pytest.approx(results[0].product_ms.median / result.product_ms.median)
    assert results[0].speedup_float32 == 1 and results[1].speedup_bfloat16 == 1
    assert results[-1].speedup_float32 is None


def test_errors_are_against_the_original_matrices(results):
    by_name = {result.case.recipe: result.sqnr_db for result in results[:-1]}
    assert by_name["float32"] > 100 > by_name["bfloat16"] > by_name["int8_row"] > by_name["tensor_e4m3"] > by_name["mxfp4"] > 10


def test_a_seed_repeats_the_errors_and_another_does_not():
    first, again, other = (run(BenchCase(32, 32, 32, "row_e4m3", seed=seed, repeats=1)) for seed in (3, 3, 4))
    assert first.sqnr_db == again.sqnr_db != other.sqnr_db
    assert first.speedup_bfloat16 is None


def test_cases_take_turns(monkeypatch):
    """Every case once, then every case again: drift of the machine hits all alike."""
    turns = []
    real = bench.timing._Subject.time_once
    monkeypatch.setattr(bench.timing._Subject, "time_once", lambda self, timer: (turns.append(self.case.recipe), real(self, timer)))
    run_many([BenchCase(16, 16, 16, "float32", repeats=3), BenchCase(16, 16, 16, "int8_row", repeats=2)])
    assert turns == ["float32", "int8_row", "float32", "int8_row", "float32"]


def test_progress_rises_to_one_and_can_stop_the_run():
    seen = []
    run_many([BenchCase(16, 16, 16, repeats=2), BenchCase(16, 16, 16, "mxfp4", "int8")], progress=lambda share, text: seen.append((share, text)))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    assert "tensor_e4m3, run 2 of 2" in [text for _, text in seen]

    def stop(share, text):
        raise InterruptedError("enough")

    with pytest.raises(InterruptedError):
        run_many([BenchCase(16, 16, 16)], progress=stop)


def test_a_slow_product_is_refused_in_words(monkeypatch):
    monkeypatch.setattr(bench.timing, "_seconds", lambda *args: 1.0)
    result = run(BenchCase(2048, 2048, 2048, "int8_row"))
    assert result.refusal == "one product would take about 64 s here; the limit is 20 s" and result.kernel == "int8"


def test_a_large_product_takes_its_error_over_the_first_rows(monkeypatch):
    monkeypatch.setattr(bench.timing, "_ERROR_WORK", 10 * 32 * 32)
    assert run(BenchCase(64, 32, 32, repeats=1)).error_rows == 10


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"m": 0}, "m = 0: it is a whole number from 1 to 8192"),
        ({"k": 100_000}, "k = 100000"),
        ({"n": 3.5}, "n = 3.5"),
        ({"repeats": True}, "repeats = True"),
        ({"seed": -1}, "seed = -1"),
        ({"recipe": "mxfp9"}, "'mxfp9'"),
        ({"backend": "cublas"}, "backend 'cublas' is not one of auto"),
    ],
)
def test_bad_cases_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        BenchCase(**values)


def test_runs_are_bounded():
    with pytest.raises(ValueError, match="65 cases: at most 64"):
        run_many([BenchCase()] * 65)
    with pytest.raises(ValueError, match="device 'tpu' is not one of cpu"):
        run(BenchCase(), "tpu")
    assert run_many([]) == []


def test_no_gpu_is_said():
    if torch.cuda.is_available():
        pytest.skip("torch sees a GPU here")
    with pytest.raises(ValueError, match="torch sees no GPU here"):
        run(BenchCase(), "cuda")


def test_the_run_ends_when_its_time_is_up(monkeypatch):
    monkeypatch.setattr(bench.timing, "MAX_RUN_SECONDS", -1.0)
    assert [result.runs for result in run_many([BenchCase(16, 16, 16, repeats=9), BenchCase(16, 16, 16, "mxfp4", repeats=9)])] == [1, 1]


def test_recorded_runs_can_be_read_and_say_where_they_come_from():
    runs = bench.recorded_runs()
    assert runs
    for path in runs.values():
        results = load(path)
        assert results and all(result.host and result.recorded for result in results)
        assert load_note(path)


def test_save_and_load(results, tmp_path):
    path = tmp_path / "run.json"
    save(results, path, note="a quiet machine")
    back = load(path)
    assert load_note(path) == "a quiet machine"
    assert back[0].recorded and back[0].label.startswith(f"recorded {back[0].recorded}: CPU, ")
    assert [replace(result, recorded="") for result in back] == results
    assert results[0].label == f"CPU, {results[0].kind}" and results[-1].label == "CPU, refused"


def test_numbers_that_json_lacks_survive(results, tmp_path):
    save([replace(results[0], sqnr_db=float("inf"))], tmp_path / "run.json")
    assert load(tmp_path / "run.json")[0].sqnr_db == float("inf")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: "not json", "is not a benchmark file"),
        (lambda content: "[1]", "schema None"),
        (lambda content: json.dumps({**content, "schema": 99}), "schema 99; this version reads schema 1"),
        (lambda content: json.dumps({**content, "date": "yesterday"}), "'yesterday' is not a date"),
        (lambda content: json.dumps({**content, "results": {}}), "'results' is"),
        (lambda content: json.dumps({**content, "results": [{}]}), "a BenchResult has the fields"),
        (lambda content: json.dumps({**content, "results": [{**content["results"][0], "tflops": "fast"}]}), "tflops = 'fast' should be a number"),
        (lambda content: json.dumps({**content, "results": [{**content["results"][0], "kind": "magic"}]}), "kind = 'magic'"),
        (lambda content: json.dumps({**content, "results": [{**content["results"][0], "host": 7}]}), "host = 7 should be text"),
        (lambda content: json.dumps({**content, "results": [{**content["results"][0], "runs": -1}]}), "runs = -1"),
        (lambda content: json.dumps({**content, "results": [{**content["results"][0], "product_ms": None}]}), "no product_ms"),
        (lambda content: json.dumps({**content, "results": [{**content["results"][0], "case": {"m": 1}}]}), "a BenchCase has the fields"),
        (lambda content: json.dumps({**content, "results": [{**content["results"][0], "product_ms": 3}]}), "a Spread has the fields"),
    ],
)
def test_bad_files_are_refused_in_words(results, tmp_path, change, words):
    path = tmp_path / "run.json"
    save(results[:1], path)
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(ValueError, match=words) as raised:
        load(path)
    assert "run.json" in str(raised.value)


def test_a_huge_file_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(bench.store, "MAX_FILE_BYTES", 10)
    (tmp_path / "run.json").write_text(" " * 11)
    with pytest.raises(ValueError, match="has 11 bytes"):
        load(tmp_path / "run.json")


def test_spread_of_one_time():
    assert Spread.of([5.0]) == Spread(5.0, 5.0, 5.0)


def test_refused_results_need_no_numbers():
    assert BenchResult(BenchCase(), "a host", refusal="no").label == "CPU, refused"


def test_command_line(tmp_path, capsys):
    path = tmp_path / "run.json"
    arguments = ["bench", "--m", "32", "--n", "32", "--k", "32", "--repeats", "1", "--recipes", "float32,mxfp4", "--save", str(path)]
    assert main(arguments) == 0
    assert "mxfp4" in capsys.readouterr().out and len(load(path)) == 2
    assert main(["bench", "--recipes", "mxfp9"]) == 2
    assert "'mxfp9'" in capsys.readouterr().err
    assert main(["bench", "--recipes", ","]) == 2
    assert main(["bench", "--m", "-1"]) == 2
    with pytest.raises(SystemExit) as raised:
        main(["nonsense"])
    assert raised.value.code == 2


def test_the_lists_name_everything(capsys):
    assert main(["formats"]) == main(["recipes"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*FORMATS, *RECIPES))
