"""Who may import whom, read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = sorted(ROOT.glob("fp8core/**/*.py"))
CHARTS = sorted(ROOT.glob("pages/ui/charts/*.py"))
PAGES = [ROOT / "app.py", *sorted(ROOT.glob("pages/*.py"))]

STEM = ("formats", "codec", "rules", "scaling", "recipes", "quantized")
CHAINS = [(*STEM, "packed"), (*STEM, "metrics", "parts", "layers", "plan"), (*STEM, "metrics", "sensitivity", "plan"), (*STEM, "metrics", "calibration", "gemm", "bench"), (*STEM, "conformance")]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """Dotted names of all that a file imports: `from a import b` gives both a and a.b."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}: imports are absolute"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages(path: Path, top_level_only: bool = False) -> set[str]:
    return {name.split(".")[0] for name in imports(path, top_level_only)}


def core_modules(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("fp8core.")}


@pytest.mark.parametrize("path", CORE, ids=relative)
def test_the_core_never_draws(path):
    assert not packages(path) & {"streamlit", "plotly", "pages", "app"}


@pytest.mark.parametrize("path", [*CHARTS, *(ROOT / "pages/ui" / name for name in ("theme.py", "view.py", "controls.py", "language.py", "markdown.py", "exports.py"))], ids=relative)
def test_streamlit_stays_out_of_charts_theme_view_and_language(path):
    assert "streamlit" not in packages(path)
    assert not imports(path) & {"pages.ui.frame", "pages.ui.cached", "pages.ui.upload"}


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_pages_neither_compute_nor_draw(path):
    assert not packages(path) & {"torch", "plotly", "numpy"}


@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
def test_the_core_imports_in_one_direction(chain):
    for place, name in enumerate(chain):
        later = set(chain[place + 1 :])
        files = sorted((ROOT / "fp8core" / name).rglob("*.py")) or [ROOT / "fp8core" / f"{name}.py"]
        for path in files:
            assert not core_modules(path) & later, f"{relative(path)} comes before {', '.join(sorted(core_modules(path) & later))}"


def test_hardware_imports_nothing_of_ours():
    assert not packages(ROOT / "fp8core/hardware.py") & {"fp8core", "pages"}


@pytest.mark.parametrize("path", CORE, ids=relative)
def test_triton_is_imported_only_when_it_is_used(path):
    """A file named triton_… is all kernels; nobody imports one of those, or triton, before a kernel is asked for."""
    early = imports(path, top_level_only=True)
    assert path.stem.startswith("triton_") or "triton" not in {name.split(".")[0] for name in early}
    assert not any(name.split(".")[-1].startswith("triton_") for name in early)


@pytest.mark.parametrize("path", CORE, ids=relative)
def test_numba_stays_in_the_kernels(path):
    assert "kernels" in path.parts or not packages(path) & {"numba", "llvmlite"}


def test_numba_is_imported_when_it_is_needed():
    program = "import sys, fp8core; assert 'numba' not in sys.modules; fp8core.round_to([0.1], 'e4m3fn'); assert 'numba' in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
