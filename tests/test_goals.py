"""The goals on GPUs: what is compared with what; on a host without one, what cannot be measured is said."""

import csv

import pytest
import torch

from fp8core import gemm, parse_recipe
from fp8core.__main__ import main
from fp8core.bench import goals
from fp8core.bench.goals import GOALS, Goal, Verdict, run, save_csv


def test_goals_name_recipes_and_backends_that_there_are():
    for goal in GOALS:
        for recipe, backend in (goal.subject, goal.baseline):
            assert parse_recipe(recipe) and (backend == "auto" or backend in gemm.BACKENDS)
        assert goal.shapes and goal.factor > 0


def test_ratios_are_those_of_one_run(monkeypatch):
    monkeypatch.setattr(goals, "QUANTIZED_SIDE", 64)
    small = [Goal(("int8_row", "int8"), ("bfloat16", "auto"), ((32, 16, 64),), 1e-9), Goal(("mxfp4", "triton_codes"), ("bfloat16", "auto"), ((32, 16, 64),), 1.0)]
    seen = []
    verdicts = run("cpu", goals=small, repeats=1, progress=lambda share, text: seen.append(share))
    assert [verdict.what for verdict in verdicts[:2]] == ["int8_row by int8 against bfloat16 by auto", "mxfp4 by triton_codes against bfloat16 by auto"]
    assert verdicts[0].met and verdicts[0].reached > 0 and not verdicts[0].refusal
    assert not verdicts[1].met and "run on GPUs" in verdicts[1].refusal and verdicts[1].reached is None
    assert [verdict.what for verdict in verdicts[2:]] == [f"quantizing to {name} against a copy" for name in goals.QUANTIZED]
    assert all(verdict.reached > 0 for verdict in verdicts[2:]) and seen == sorted(seen) and seen[-1] == 1


def test_verdicts_are_saved(tmp_path):
    save_csv([Verdict("a against b", 1, 2, 3, 0.5, 0.75, "x"), Verdict("c against d", 1, 2, 3, 0.5, None, "x", "no")], tmp_path / "goals.csv")
    with open(tmp_path / "goals.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert lines[0]["reached"] == "0.75" and lines[1]["reached"] == "" and lines[1]["refusal"] == "no"


def test_command_line(monkeypatch, tmp_path, capsys):
    found = [Verdict("a against b", 1, 2, 3, 0.5, 0.75, "x"), Verdict("c against d", 1, 2, 3, 0.5, None, "x", "no FP8 units")]
    monkeypatch.setattr(goals, "run", lambda *args, **kwargs: found)
    assert main(["bench", "goals", "--device", "cuda", "--csv", str(tmp_path / "goals.csv")]) == 1
    shown = capsys.readouterr().out
    assert "a against b" in shown and "met" in shown and "no FP8 units" in shown
    found.pop()
    assert main(["bench", "goals"]) == 0


def test_without_a_gpu_it_is_said(capsys):
    if torch.cuda.is_available():
        pytest.skip("torch sees a GPU here")
    assert main(["bench", "goals"]) == 2
    assert "torch sees no GPU here" in capsys.readouterr().err
