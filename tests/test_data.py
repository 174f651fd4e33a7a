"""The bundled files: as data/README.md says, and small."""

import importlib.util
import sys
from pathlib import Path

import pytest

from fp8core.models import DATA, MODELS

MOST = 40_000_000


@pytest.fixture
def make(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec = importlib.util.spec_from_file_location("data_make", DATA / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_file_has_the_sha256_and_size_in_the_readme(make):
    assert make.check() == []
    assert {info.file for info in MODELS.values()} | {info.inputs for info in MODELS.values() if info.inputs} <= make.declared().keys()


def test_check_names_what_is_missing_changed_and_unknown(make, monkeypatch, tmp_path):
    for folder in ("models", "samples", "licenses"):
        (tmp_path / folder).mkdir()
    (tmp_path / "models/a").write_bytes(b"changed")
    (tmp_path / "samples/b").write_bytes(b"")
    (tmp_path / "README.md").write_text(f"| `models/a` | 1,000 | `{'0' * 64}` |\n| `models/c` | 1 | `{'0' * 64}` |\n")
    monkeypatch.setattr(make, "DATA", tmp_path)
    changed, missing, unknown = make.check()
    assert changed.startswith("models/a has 7 bytes")
    assert "README.md says 1,000" in changed
    assert missing == "models/c is in README.md and not in the folder"
    assert unknown == "samples/b is in the folder and not in README.md"


def test_the_readme_pins_the_packages_that_make_downloads(make):
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    for package in make.WHEELS:
        assert package.replace("==", " ") in readme
    assert make.MINILM_SHA256 in readme


def test_the_folder_is_small():
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) <= MOST


def test_no_model_is_a_pickle():
    for info in MODELS.values():
        assert Path(info.file).suffix == ".safetensors"
