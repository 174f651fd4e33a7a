"""The implementations by others that ours is compared with: none is needed to run anything else, each is imported when it is asked."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import sys
import warnings
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Oracle:
    """An implementation by others.

    Args:
        module: what is imported.
        package: what is installed.
        version: the version that this project was last compared with.
        trusted_for: what it is held to be right about, and where that ends.
        source: who makes it.
    """

    module: str
    package: str
    version: str
    trusted_for: str
    source: str

    @property
    def requirement(self) -> str:
        """What pip installs: name and version.

        >>> ORACLES["gfloat"].requirement
        'gfloat==0.5.2'
        """
        return f"{self.package}=={self.version}"

    @property
    def advice(self) -> str:
        """What to say where it is not installed."""
        return f"not installed: pip install {self.requirement}"


ORACLES: dict[str, Oracle] = {
    "ml_dtypes": Oracle("ml_dtypes", "ml_dtypes", "0.6.0", "values of every code and round-half-even of 13 formats; it overflows to infinity or NaN and never saturates", "the number formats of JAX and TensorFlow"),
    "gfloat": Oracle("gfloat", "gfloat", "0.5.2", "values, five rounding modes and both overflow policies of any format with fields, IEEE P3109 and integers among them; OCP MX block scales", "Graphcore, generic definition of small formats"),
    "en_dtypes": Oracle("en_dtypes", "en_dtypes", "0.0.4", "values of every code and rounding of HiFloat8 (ties away from zero) and of FP4 E1M2", "Huawei's extension of ml_dtypes"),
    "torch": Oracle("torch", "torch", "2.13.0", "values of every code and round-half-even within the range; overflow differs by dtype and by release", "PyTorch's own casts"),
    "numpy": Oracle("numpy", "numpy", "2.4.6", "float16, float32 and integers: values, rounding, clamping", "NumPy's own dtypes"),
    "torchao": Oracle("torchao", "torchao", "0.18.0", "its own recipes: float8 training and inference, MX in four scale modes, NVFP4", "PyTorch's quantization library"),
    "compressed-tensors": Oracle("compressed_tensors", "compressed-tensors", "0.20.0", "its own recipes: FP8, INT8, MXFP4, MXFP8, NVFP4", "the format of llm-compressor and vLLM"),
    "modelopt": Oracle("modelopt", "nvidia-modelopt", "0.47.0", "its own recipes: FP8, MXFP4, MXFP8, NVFP4", "NVIDIA Model Optimizer"),
    "bitsandbytes": Oracle("bitsandbytes", "bitsandbytes", "0.50.2", "the values of NF4 and its blocks of 64", "the code of QLoRA"),
    "steps": Oracle("ml_dtypes", "ml_dtypes", "0.6.0", "recipes of libraries that need hardware, and plain formulas: their steps written a second time in NumPy's float32, rounded by ml_dtypes", "this project, from the sources that the recipes name: a second source, not the library"),
}


def load(name: str) -> ModuleType | None:
    """Import an oracle -> its module, None where it is not installed.

    >>> load("numpy").__name__
    'numpy'
    """
    return import_module(ORACLES[name].module)


def import_module(path: str) -> ModuleType | None:
    """Import a module without the warnings of its import -> None where it, or something it needs, is not installed."""
    if path in sys.modules and sys.modules[path] is not None:
        return sys.modules[path]
    quiet_before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(path)
    except ImportError:
        return None
    finally:
        logging.disable(quiet_before)


def installed_version(name: str) -> str | None:
    """Return the version of an oracle that is installed, without importing it, None where there is none."""
    if importlib.util.find_spec(ORACLES[name].module) is None:
        return None
    try:
        return importlib.metadata.version(ORACLES[name].package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def installed_versions() -> dict[str, str]:
    """Return the installed oracles with their versions."""
    found = {name: installed_version(name) for name in ORACLES}
    return {name: version for name, version in found.items() if version is not None}
