"""The benchmark: what it measures adds up, what it cannot do it says, and what it saves it can read again."""

import csv
from dataclasses import replace
from datetime import date

import pandas
import pytest
import torch

from fp8core import FORMATS, RECIPES, bench, gemm
from fp8core.__main__ import main
from fp8core.bench import BenchCase, BenchResult, Spread, load, load_note, run, run_many, save
from fp8core.recipes import parse_recipe


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


@pytest.mark.parametrize("recipe", ["tensor_e4m3", "row_e4m3", "mxfp8_e4m3", "mxfp4", "nvfp4", "int8_row", "deepseek_v3_1x128", "e3m4:1x128:rceil:e8m0fnu"])
@pytest.mark.parametrize("backend", ["auto", "dequantize_float32", "dequantize_bfloat16"])
def test_the_error_of_a_kernel_is_that_of_the_definition(recipe, backend):
    """The reference multiplies the same quantized matrices in float64; only a kernel that says it rounds on the way may be further off."""
    case = BenchCase(48, 80, 256, recipe, backend, repeats=1)
    measured = run(case)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(rows, 256, generator=generator) for rows in (48, 80))
    exact = a.double() @ b.double().T
    qa, qb = gemm.operands(a, b, parse_recipe(recipe))
    want = gemm.reference(qa, qb, torch.float64)
    near = 0.001 if gemm.BACKENDS[measured.kernel].exact else 0.5
    assert abs(measured.sqnr_db - 20 * float(torch.log10(exact.norm() / (exact - want).norm()))) < near
    assert measured.max_abs_error == pytest.approx(float((exact - want).abs().max()), rel=1e-3 if gemm.BACKENDS[measured.kernel].exact else 0.1)


def test_a_seed_repeats_the_errors_and_another_does_not():
    first, again, other = (run(BenchCase(32, 32, 32, "row_e4m3", seed=seed, repeats=1)) for seed in (3, 3, 4))
    assert first.sqnr_db == again.sqnr_db != other.sqnr_db
    assert first.speedup_bfloat16 is None


def test_cases_take_turns(monkeypatch):
    """Every case once, then every case again: drift of the machine hits all alike."""
    turns = []
    real = bench.timing._Subject.time_once
    monkeypatch.setattr(bench.timing._Subject, "time_once", lambda self, timer, turn: (turns.append(self.case.recipe), real(self, timer, turn)))
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
        ({"m": 0}, "m = 0: it is a whole number from 1 to 65536"),
        ({"m": 65536, "k": 65536}, "a matrix would have 4294967296 numbers"),
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
    path = tmp_path / "run.csv"
    save(results, path, note="a quiet machine, \"quoted\"\nand cut")
    back = load(path)
    assert load_note(path) == "a quiet machine, \"quoted\"\nand cut"
    assert back[0].recorded == back[0].date and back[0].label.startswith(f"recorded {back[0].recorded}: CPU, ")
    assert [replace(result, recorded="") for result in back] == [replace(result, date=result.date or date.today().isoformat()) for result in results]
    assert results[0].label == f"CPU, {results[0].kind}" and results[-1].label == "CPU, refused"


def test_parquet_holds_the_same_rows(results, tmp_path):
    save(results, tmp_path / "run.parquet", note="quiet")
    table = pandas.read_parquet(tmp_path / "run.parquet")
    assert list(table["recipe"]) == [result.case.recipe for result in results] and set(table["note"]) == {"quiet"}
    assert table["product_ms_median"][0] == results[0].product_ms.median and table["product_ms_median"].isna().sum() == 1


def test_infinite_numbers_survive(results, tmp_path):
    save([replace(results[0], sqnr_db=float("inf"))], tmp_path / "run.csv")
    assert load(tmp_path / "run.csv")[0].sqnr_db == float("inf")


def test_what_cannot_be_saved_is_said(results, tmp_path):
    with pytest.raises(ValueError, match=r"run.json does not end in .csv or .parquet"):
        save(results, tmp_path / "run.json")
    with pytest.raises(ValueError, match="there are no results"):
        save([], tmp_path / "run.csv")


def changed(**values):
    """A change of the first line of a file."""
    return lambda lines: [lines[0], {**lines[1], **values}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changed(date="yesterday"), "'yesterday' is not a date"),
        (changed(tflops="fast"), "tflops = 'fast' should be a number"),
        (changed(tflops="nan"), "tflops = 'nan' should be a number"),
        (changed(m="3.5"), "m = '3.5' should be a whole number"),
        (changed(m="0"), "m = 0: it is a whole number"),
        (changed(kind="magic"), "kind = 'magic'"),
        (changed(runs="-1"), "runs = -1"),
        (changed(product_ms_median="", product_ms_p20="", product_ms_p80=""), "no product_ms"),
        (changed(product_ms_p20=""), "product_ms has 2 of its 3 numbers"),
        (changed(product_ms_median="0"), "product_ms = Spread.*finite numbers above 0"),
        (changed(quantize_a_ms_p20="-1"), "quantize_a_ms = Spread.*finite numbers above 0"),
        (changed(tflops=""), "has no tflops"),
        (changed(tflops="inf"), "tflops = inf: times and speeds are finite"),
        (changed(peak_tflops="0"), "peak_tflops = 0.0"),
        (changed(kernel="magic"), "kernel = 'magic'"),
        (changed(kind=""), "kind = ''"),
        (changed(recipe="mxfp9"), "'mxfp9'"),
        (lambda lines: [{name: value for name, value in line.items() if name != "kernel"} for line in lines], "different are 'kernel'"),
        (lambda lines: [{**line, "extra": "extra"} for line in lines], "different are 'extra'"),
        (lambda lines: lines[:1], "holds no results"),
    ],
)
def test_bad_files_are_refused_in_words(results, tmp_path, change, words):
    path = tmp_path / "run.csv"
    save(results[:1], path)
    with open(path, newline="") as file:
        header, line = csv.reader(file)
    lines = change([dict(zip(header, header, strict=True)), dict(zip(header, line, strict=True))])
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([line.values() for line in lines])
    with pytest.raises(ValueError, match=words) as raised:
        load(path)
    assert "run.csv" in str(raised.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"not a table", b"m,n\n1"])
def test_what_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "run.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.csv"):
        load(tmp_path / "run.csv")


def test_a_line_that_is_too_short_or_too_long_is_refused(results, tmp_path):
    path = tmp_path / "run.csv"
    save(results[:1], path)
    whole = path.read_text()
    for line in (whole.rstrip() + ",7\n", whole.rstrip().rsplit(",", 3)[0] + "\n"):
        path.write_text(line)
        with pytest.raises(ValueError, match="a line has"):
            load(path)


def test_a_huge_file_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(bench.store, "MAX_FILE_BYTES", 10)
    (tmp_path / "run.csv").write_text(" " * 11)
    with pytest.raises(ValueError, match="has 11 bytes"):
        load(tmp_path / "run.csv")


def test_peaks_bound_what_is_measured(results):
    """The same for all results of a run, and of the order of what was reached in it."""
    peaks = {(result.peak_tflops, result.peak_gb_per_s) for result in results[:-1]}
    assert len(peaks) == 1 and all(value > 0 for value in peaks.pop())
    assert results[0].peak_share == results[0].tflops / results[0].peak_tflops and results[-1].peak_share is None


def test_static_scaling_is_measured_where_there_is_scaling(results):
    by_name = {result.case.recipe: result for result in results[:-1]}
    assert by_name["float32"].quantize_a_static_ms is None and by_name["tensor_e4m3"].quantize_b_static_ms.median > 0
    assert by_name["mxfp4"].quantize_a_static_ms.median > 0


def test_runs_take_other_copies_of_the_same_numbers(monkeypatch):
    """Each a place of its own in memory, as long as all are small; the numbers are the same."""
    case, seen = BenchCase(32, 32, 32, "mxfp4", repeats=3), []
    real = gemm.BACKENDS["dequantize_float32"]
    monkeypatch.setitem(gemm.BACKENDS, "dequantize_float32", replace(real, multiply=lambda qa, qb: (seen.append((qa.codes.data_ptr(), qa.codes.sum())), real.multiply(qa, qb))[1]))
    run(case)
    assert len({place for place, _ in seen[-4:-1]}) == 3 and len({int(total) for _, total in seen[-4:-1]}) == 1


def test_what_is_quantized_is_in_another_place_every_time(monkeypatch):
    seen, real = [], bench.timing.quantize

    def watched(x, recipe, **settings):
        seen.append((x.data_ptr(), "amax" in settings))
        return real(x, recipe, **settings)

    monkeypatch.setattr(bench.timing, "quantize", watched)
    run(BenchCase(32, 32, 32, "tensor_e4m3", repeats=4))
    dynamic = [place for place, known in seen if not known]
    assert len(dynamic) == 8 and len(set(dynamic)) == 4  # static scaling takes the other half of the copies


def test_many_cases_share_the_room_for_copies(monkeypatch):
    monkeypatch.setattr(bench.timing, "_ALL_ROTATED_BYTES", 8192)
    made, real = [], bench.timing._copied
    monkeypatch.setattr(bench.timing, "_copied", lambda q: (made.append(q), real(q))[1])
    run_many([BenchCase(32, 32, 32, "int8_row", repeats=8) for _ in range(4)])
    assert len(made) == 0  # 2304 bytes each, and room for 2048
    run(BenchCase(32, 32, 32, "int8_row", repeats=8))
    assert len(made) == 2 * 2


def test_spread_of_one_time():
    assert Spread.of([5.0]) == Spread(5.0, 5.0, 5.0)


def test_refused_results_need_no_numbers():
    assert BenchResult(BenchCase(), "a host", refusal="no").label == "CPU, refused"


def test_command_line(tmp_path, capsys):
    path = tmp_path / "run.csv"
    arguments = ["bench", "--m", "32", "--n", "32", "--k", "32", "--repeats", "1", "--recipes", "float32,mxfp4", "--save", str(path)]
    assert main(arguments) == 0
    assert "mxfp4" in capsys.readouterr().out and len(load(path)) == 2
    assert main(["bench", "--recipes", "mxfp9"]) == 2
    assert "'mxfp9'" in capsys.readouterr().err
    assert main(["bench", "--recipes", ","]) == 2
    assert main(["bench", "--m", "-1"]) == 2
    assert main(["bench", "--save", str(tmp_path / "missing" / "run.csv")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert main(["bench", "--save", "run.json"]) == 2
    with pytest.raises(SystemExit) as raised:
        main(["nonsense"])
    assert raised.value.code == 2


def test_the_lists_name_everything(capsys):
    assert main(["formats"]) == main(["recipes"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*FORMATS, *RECIPES))
