"""The README says what the code does."""

import re
from pathlib import Path

import fp8core as fp8
from fp8core.formats import FloatFormat
from fp8core.recipes import Recipe
from fp8core.scaling import ScaleSpec

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [re.sub(r"(?m)^  ", "", block) if block.startswith("  ") else block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL)]


def test_the_ten_lines_run_and_give_what_they_say():
    scope = {}
    exec(BLOCKS[0], scope)
    assert len(BLOCKS[0].strip().splitlines()) <= 11
    fmt = scope["fmt"]
    assert (fmt.max, fmt.min_normal, fmt.min_subnormal) == (448.0, 0.015625, 0.001953125)
    assert fp8.round_to([0.1, 1000.0], fmt).tolist() == [0.1015625, 448.0]
    assert scope["c"].shape == (1024, 1024)
    assert scope["kernel"] in fp8.gemm.BACKENDS


def test_the_additions_shown_are_valid_literals():
    (new_format,) = eval(BLOCKS[1], {"FloatFormat": FloatFormat})
    assert new_format.max == 30.0
    assert new_format.name not in fp8.FORMATS
    (new_recipe,) = eval(BLOCKS[2], {"Recipe": Recipe, "ScaleSpec": ScaleSpec})
    assert new_recipe.name not in fp8.RECIPES


def test_every_file_that_is_linked_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
