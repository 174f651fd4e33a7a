"""The benchmark of the kernels: ratios and floors add up, whatever fails says so in its row, and the command says what it measured."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fp8core import parse_recipe
from fp8core.__main__ import main
from fp8core.bench import Spread, kernels, peers
from fp8core.bench.kernel_jobs import JOBS, LARGEST, OPERATIONS, Job, KernelResult, select
from fp8core.bench.kernels import run
from fp8core.bench.peers import PEERS, Peer, agreement

SMALL = 65536
ROW = KernelResult("round_to:e4m3fn", "ours", "a host", "2026-01-01", SMALL, 2)


@pytest.fixture(scope="module")
def results():
    return run(select(["round_to:e4m3fn", "encode", "measure:mxfp8_e4m3"]), SMALL, repeats=3, peers=("torch cast", "separate passes, numpy", "separate passes, torch"))


def test_every_job_and_peer_gives_a_row(results):
    assert [(result.job, result.subject) for result in results] == [
        ("round_to:e4m3fn", "ours"), ("round_to:e4m3fn", "torch cast"), ("encode:e4m3fn", "ours"), ("encode:e4m3fn", "torch cast"),
        ("measure:mxfp8_e4m3", "ours"), ("measure:mxfp8_e4m3", "separate passes, numpy"), ("measure:mxfp8_e4m3", "separate passes, torch"),
    ]  # fmt: skip
    for result in results:
        assert not result.refusal and result.runs == 3 and result.numbers == SMALL and result.threads == kernels.THREADS and result.host and result.date
        assert 0 < result.call_ms.p20 <= result.call_ms.median <= result.call_ms.p80
        assert result.ns_per_number == pytest.approx(result.call_ms.median * 1e6 / SMALL)
        if result.subject == "ours":
            assert (result.allocated_ms is None) == result.job.startswith("measure") and result.times_faster is None
            assert result.reached == result.times_floor.median and result.aim == "x floor"
        else:
            assert result.floor_ms is None and result.reached == result.times_faster.median and result.aim == "x faster"
            assert result.note.startswith("equal") and result.version == PEERS[result.subject].version


@pytest.mark.parametrize("name", ["round_to:e4m3fn", "encode:e4m3fn", "decode:e4m3fn", "measure:tensor_e4m3"])
def test_the_floor_copies_the_bytes_that_are_read_and_written(name):
    job = select([name])[0]
    x, _, subjects = kernels._ours(job, SMALL, 1)
    copied = subjects["floor"].call()
    assert 2 * copied.nbytes == SMALL * OPERATIONS[job.operation].nbytes
    assert torch.equal(copied, x.view(-1)[: copied.numel()])


def test_ratios_are_taken_within_a_round_as_far_as_both_ran():
    slow, quick = (kernels._Subject(lambda: None, 3) for _ in range(2))
    slow.times_ms, quick.times_ms = [4.0, 90.0], [2.0, 30.0, 1.0]
    assert kernels._ratio(slow, quick) == Spread.of([2.0, 3.0])
    assert kernels._timed(ROW, quick, slow).runs == 3 and kernels._timed(ROW, quick, slow).times_floor == Spread.of([0.5, 1 / 3])


@pytest.mark.parametrize(
    ("aim", "reached", "goal", "verdict"),
    [("x floor", 1.2, 1.2, "met"), ("x floor", 2.4, 1.2, "missed by 2.00x"), ("x faster", 12.5, 12.0, "met"), ("x faster", 6.0, 12.0, "missed by 2.00x"), ("MB beyond", 0.1, 16.0, "met"), ("x floor", 3.0, None, ""), ("x floor", None, 1.2, "")],
)  # fmt: skip
def test_verdicts(aim, reached, goal, verdict):
    assert replace(ROW, aim=aim, reached=reached, goal=goal).verdict == verdict


def test_csv_keeps_every_figure(results, tmp_path):
    path = tmp_path / "kernels.csv"
    everything = [*results, replace(ROW, refusal='not installed: a, "b"', goal=1.2)]
    kernels.save_csv(everything, path)
    with open(path, newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(everything)
    for line, result in zip(lines, everything, strict=True):
        assert (line["job"], line["subject"], line["refusal"], line["verdict"], int(line["numbers"])) == (result.job, result.subject, result.refusal, result.verdict, result.numbers)
        for name in ("call_ms", "allocated_ms", "floor_ms", "times_floor", "times_faster"):
            parts, spread = [line[f"{name}_{part}"] for part in ("median", "p20", "p80")], getattr(result, name)
            assert parts == ["", "", ""] if spread is None else Spread(*map(float, parts)) == spread
        for name in ("ns_per_number", "reached", "goal"):
            assert (float(line[name]) if line[name] else None) == getattr(result, name)


def test_a_job_that_fails_says_so_in_its_rows(monkeypatch):
    def broken(given, name, out):
        raise RuntimeError("no such kernel\nand more")

    monkeypatch.setitem(OPERATIONS, "encode", replace(OPERATIONS["encode"], run=broken))
    ours, peer = run(select(["encode"]), SMALL, repeats=1, peers=("torch cast",))
    assert ours.refusal == "RuntimeError: no such kernel" and peer.refusal == "ours did not run"
    assert ours.call_ms is None and ours.verdict == ""


def test_a_job_that_does_not_fit_into_memory_is_not_begun(monkeypatch):
    monkeypatch.setattr(kernels, "_kib", lambda path, key: 1000)
    assert run(select(["encode"]), SMALL, repeats=1, peers=())[0].refusal == "MemoryError: it needs about 0.0 GB, and 0.0 GB are free"


@pytest.mark.parametrize(
    ("function", "refusal"),
    [
        (lambda x, name: peers._load("no_such_package"), "not installed: No module named 'no_such_package'"),
        (lambda x, name: lambda: x + 1, "ValueError: it computes something else: 65536 of 65536 numbers differ from ours"),
        (lambda x, name: lambda: x[:1], "ValueError: it computes something else: 4096 numbers where ours are 65536"),
    ],
)
def test_a_peer_that_cannot_be_compared_says_why(monkeypatch, function, refusal):
    monkeypatch.setitem(PEERS, "torch cast", Peer("torch", {"round_to": function}))
    ours, peer = run(select(["round_to:e4m3fn"]), SMALL, repeats=1, peers=("torch cast",))
    assert not ours.refusal and peer.refusal == refusal and peer.goal == 12


def test_a_peer_that_fails_in_a_round_leaves_the_others_alone(monkeypatch):
    calls = []

    def function(x, name):
        def call():
            calls.append(name)
            if len(calls) > 3:
                raise MemoryError("enough")
            return x.to(torch.float8_e4m3fn).float()

        return call

    monkeypatch.setitem(PEERS, "torch cast", Peer("torch", {"round_to": function}))
    ours, peer = run(select(["round_to:e4m3fn"]), SMALL, repeats=3, peers=("torch cast",))
    assert ours.runs == 3 and peer.refusal == "MemoryError: enough" and len(calls) == 4


def test_a_slow_peer_takes_part_in_fewer_rounds(monkeypatch):
    monkeypatch.setattr(kernels, "_SLOW_SECONDS", 0.0)
    ours, peer = run(select(["round_to:e4m3fn"]), SMALL, repeats=3, peers=("torch cast",))
    assert (ours.runs, peer.runs) == (3, 2)


def test_agreement():
    a = torch.arange(1, 1001, dtype=torch.float32)
    off = a.clone()
    off[0] = 7
    assert agreement(a, off.numpy()) == "1 of 1000 numbers differ"
    assert agreement((a, 3), (a.double() * (1 + 1e-8), 3)) == "equal within 1e-08"
    assert agreement([float("nan"), float("inf")], [float("nan"), float("inf")]) == "equal"


def test_threads_are_given_back():
    before = torch.get_num_threads()
    assert run(select(["encode"]), SMALL, threads=before + 1, repeats=1, peers=())[0].threads == before + 1
    assert torch.get_num_threads() == before


def test_the_registry_holds_together():
    assert len({job.name for job in JOBS}) == len(JOBS)
    for job in JOBS:
        assert job.operation in OPERATIONS and all(job.operation in PEERS[name].functions for name in job.peers)
        if job.subject:
            parse_recipe(job.subject)
    assert set(PEERS) == {name for job in JOBS for name in job.peers}
    assert Job("cost", "e4m3fn", numbers=10).name == "cost:e4m3fn:10" and select(["cost"], largest=True)[-1] is LARGEST


def test_others_are_imported_only_when_they_are_asked():
    code = "import sys, fp8core.bench.kernels; print(sorted({name.split('.')[0] for name in sys.modules} & {'ml_dtypes', 'en_dtypes', 'gfloat', 'pychop', 'mx', 'torchao', 'triton'}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[1])
    assert answer.stdout.strip() == "[]"


def test_flatness_looks_at_sizes_beyond_the_caches(monkeypatch):
    monkeypatch.setattr(kernels, "_cache_bytes", lambda: 1 << 20)
    sizes = [replace(ROW, job=f"cost:e4m3fn:{numbers}", numbers=numbers, call_ms=Spread.of([1.0]), ns_per_number=cost) for numbers, cost in ((1000, 9.0), (10**6, 0.5), (10**7, 0.6))]
    flat = kernels._flatness(sizes)
    assert flat.reached == pytest.approx(1.2) and flat.verdict == "met" and flat.numbers == 10**7
    assert kernels._flatness(sizes[:2]).refusal == "fewer than two sizes beyond the caches of 1 MiB were timed"


def test_memory_is_measured_in_a_process_of_its_own():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system has no /proc")
    row = kernels._memory(1 << 20)
    assert not row.refusal and 0 <= row.reached < 100 and row.goal == 16


def test_command_line(tmp_path, capsys):
    path = tmp_path / "kernels.csv"
    assert main(["bench", "kernels", "--numbers", str(SMALL), "--repeats", "1", "--only", "round_to:e4m3fn,decode", "--no-peers", "--csv", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "numpy" in shown and "round_to:e4m3fn" in shown and "decode:e4m3fn" in shown and "torch cast" not in shown
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--only", "round_to,fly"], "job 'fly' is not one of round_to, encode"),
        (["--only", ","], "--only ',' names no job"),
        (["--numbers", "5000"], "numbers = 5000: it is a multiple of 4096, from 4096 to"),
        (["--threads", "0"], "threads = 0: it is a whole number from 1 to 256"),
        (["--repeats", "0"], "repeats = 0: it is a whole number from 1 to 100"),
        (["--csv", "no/such/folder/k.csv"], "--csv 'no/such/folder/k.csv': there is no such folder"),
    ],
)
def test_bad_options_are_refused_in_words(capsys, options, words):
    assert main(["bench", "kernels", *options]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", ["np.histogram, edges 2^k", "np.histogram of log2"])
def test_the_histograms_of_numpy_count_binades(name):
    x = torch.tensor([[1.0, -1.5, 2.0, 0.0, float("nan"), float("-inf"), 0.25]])
    binades, counts, *others = PEERS[name].functions["binade_histogram"](x, "")()
    assert (binades.tolist(), counts.tolist(), others) == ([-2, -1, 0, 1], [1, 0, 2, 1], [1, 1, 1])
