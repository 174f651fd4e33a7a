"""python -m fp8core analyze: the rows of `analyze`, written as they come, and a run that was stopped gives the same file in the end."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from fp8core.__main__ import main
from fp8core.checkpoints import open_checkpoint
from fp8core.layers import analyze, to_rows
from fp8core.layers import command as analyze_command

RECIPES = ["tensor_e4m3", "mxfp4"]


@pytest.fixture
def checkpoint(tmp_path):
    """Four layers; the third has an outlier, the last is a vector that stays as it is."""
    folder = tmp_path / "model"
    folder.mkdir()
    layers = {f"layers.{n}.weight": torch.randn(16, 64, generator=torch.Generator().manual_seed(n)) for n in range(3)}
    layers["layers.2.weight"][3, 5] = 1e5
    layers["norm.weight"] = torch.ones(64)
    for n, name in enumerate(layers):
        safetensors.torch.save_file({name: layers[name]}, folder / f"{n}.safetensors")
    return folder


def run(checkpoint, *options):
    return main(["analyze", str(checkpoint), "--recipes", ",".join(RECIPES), *map(str, options)])


def as_text(rows):
    return [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]


def test_the_file_has_the_rows_of_analyze(checkpoint, tmp_path, capsys):
    path = tmp_path / "rows.csv"
    assert run(checkpoint, "--csv", path) == 0
    with open(path, newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    expected = to_rows(analyze(open_checkpoint(checkpoint), RECIPES))
    assert written == as_text(expected) and len(written) == 7
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("model: 3 tensors measured, 1 left as they are; ")
    lowest = min((row["sqnr_db"], row["layer"]) for row in expected if row["recipe"] == "mxfp4")
    assert next(line for line in lines if line.startswith("mxfp4 ")).split()[-2:] == [f"{lowest[0]:.2f}", lowest[1]]


def test_the_worst_layer_comes_first(checkpoint, capsys):
    assert run(checkpoint, "--worst", 1) == 0
    lowest = min((row["sqnr_db"], row["layer"]) for row in to_rows(analyze(open_checkpoint(checkpoint), RECIPES)) if row["recipe"])
    shown = capsys.readouterr().out.splitlines()[-1].split()
    assert shown[0] == lowest[1] and f"{lowest[0]:.2f}" in shown


@pytest.mark.parametrize("stop", range(5))
def test_a_stopped_run_goes_on_to_the_same_file(checkpoint, tmp_path, capsys, monkeypatch, stop):
    whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    assert run(checkpoint, "--csv", whole) == 0
    measured = []

    def stopping(*arguments, **options):
        for report in analyze(*arguments, **options):
            if len(measured) == stop:
                raise KeyboardInterrupt
            measured.append(report.name)
            yield report

    monkeypatch.setattr(analyze_command, "analyze", stopping)
    assert run(checkpoint, "--csv", part) == (analyze_command.INTERRUPTED if stop < 4 else 0)
    if stop < 4:
        assert f"stopped after {stop} of 4 tensors" in capsys.readouterr().err
    first, stop = list(measured), -1
    measured.clear()
    assert run(checkpoint, "--csv", part, "--resume") == 0
    assert len(first) + len(measured) == 4 and not set(first) & set(measured)
    assert part.read_bytes() == whole.read_bytes()


def test_a_file_cut_off_anywhere_goes_on_to_the_same_file(checkpoint, tmp_path):
    whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    assert run(checkpoint, "--csv", whole) == 0
    content = whole.read_bytes()
    for end in range(0, len(content), 37):
        part.write_bytes(content[:end])
        assert run(checkpoint, "--csv", part, "--resume") == 0
        assert part.read_bytes() == content, end


def test_a_file_of_another_run_is_left_alone(checkpoint, tmp_path, capsys):
    path = tmp_path / "rows.csv"
    assert run(checkpoint, "--csv", path) == 0
    content = path.read_bytes()
    assert main(["analyze", str(checkpoint), "--recipes", "int8_row", "--csv", str(path), "--resume"]) == 2
    assert "this run has int8_row" in capsys.readouterr().err
    safetensors.torch.save_file({"layers.0.weight": torch.ones(2, 2)}, tmp_path / "other.safetensors")
    assert run(tmp_path / "other.safetensors", "--csv", path, "--resume") == 2
    assert "belongs to another checkpoint" in capsys.readouterr().err
    assert path.read_bytes() == content
    path.write_text("a,b\n1,2\n")
    assert run(checkpoint, "--csv", path, "--resume") == 2
    assert "its columns are 'a,b'" in capsys.readouterr().err and path.read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize(
    "options, rule",
    [
        (["--resume"], "--resume goes on with the file of --csv"),
        (["--worst", "-1"], "--worst -1 is not a number of layers"),
        (["--recipes", " , "], "names no recipe"),
        (["--recipes", "mxfp9"], "mxfp9"),
        (["--recipes", "mxfp4,mxfp4"], "is named 2 times"),
        (["--csv", "no/such/folder/rows.csv"], "there is no such folder"),
    ],
)
def test_bad_input_gets_one_sentence(checkpoint, capsys, options, rule):
    assert main(["analyze", str(checkpoint), *options]) == 2
    assert rule in capsys.readouterr().err


def test_a_checkpoint_without_matrices_says_so(tmp_path, capsys):
    safetensors.torch.save_file({"norm": torch.ones(4)}, tmp_path / "norm.safetensors")
    assert run(tmp_path / "norm.safetensors") == 0
    assert "no tensor here is quantized" in capsys.readouterr().out
    assert run(tmp_path / "absent.safetensors") == 2
    assert "it cannot be read" in capsys.readouterr().err


def test_nobody_has_to_read_to_the_end():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-m", "fp8core", "recipes"], cwd=Path(__file__).parents[1], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
