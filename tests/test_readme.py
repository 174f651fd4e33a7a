"""The README says what the code does."""

import re
from pathlib import Path

import pytest
import torch

import fp8core as fp8
from fp8core.__main__ import main
from fp8core.capturing import PARTS
from fp8core.checkpoints import open_checkpoint

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [re.sub(r"(?m)^  ", "", block) if block.startswith("  ") else block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL)]


def block(word: str) -> str:
    """The one example with this word in it."""
    (found,) = (each for each in BLOCKS if word in each)
    return found


def test_the_ten_lines_run_and_give_what_they_say():
    scope = {}
    exec(block("parse_format"), scope)
    assert len(block("parse_format").strip().splitlines()) <= 11
    fmt = scope["fmt"]
    assert (fmt.max, fmt.min_normal, fmt.min_subnormal) == (448.0, 0.015625, 0.001953125)
    assert fp8.round_to([0.1, 1000.0], fmt).tolist() == [0.1015625, 448.0]
    assert scope["c"].shape == (1024, 1024)
    assert scope["kernel"] in fp8.gemm.BACKENDS


def test_the_calibration_block_runs():
    scope = {}
    exec(block("DelayedScaling"), scope)
    assert scope["amax"] < max(float(batch.abs().max()) for batch in scope["batches"])
    assert scope["static"].scale.item() == pytest.approx(scope["amax"] / 127)


def test_a_recorded_step_is_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(block("fp8.capture"), {"fp8": fp8, "model": torch.nn.Sequential(torch.nn.Linear(8, 4)), "batch": torch.ones(2, 8)})
    assert set(open_checkpoint("step.safetensors").infos) == {f"{part}/0" for part in PARTS}


def test_commands_that_are_shown_are_understood():
    for line in re.findall(r"(?m)^ {4}python -m fp8core (\w+ .*?)(?:  #|$)", README):
        with pytest.raises(SystemExit) as ended:
            main([*line.split(), "--help"])
        assert ended.value.code == 0


def test_counts_in_words_are_the_registries():
    assert f"{len(fp8.FORMATS)} formats" in README and f"{len(fp8.RECIPES)} recipes" in README


def test_the_additions_shown_are_in_the_registries():
    diffs = re.findall(r"```diff\n--- a/(\S+)\n(.*?)```", README, re.DOTALL)
    assert [path for path, _ in diffs] == ["fp8core/formats/registry.py", "fp8core/recipes/registry.py"]
    for path, text in diffs:
        _, *lines = text.splitlines()
        assert sum(line.startswith("+") for line in lines) == 1
        assert "\n".join(line[1:] for line in lines) in (ROOT / path).read_text(encoding="utf-8")


def test_every_file_that_is_linked_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
