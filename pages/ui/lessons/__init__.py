"""The guided tour as data: one literal per lesson, and beside it its texts, `<id>.en.md` and `<id>.zh.md`. Nothing here draws or computes.

`exhibits` computes what a lesson shows, `texts` reads what it says, `tour` draws it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

STEPS = ("predict", "reveal")
SUMMARY = "summary"


@dataclass(frozen=True)
class Lesson:
    """One lesson of the tour.

    Args:
        exhibit: name of the function in `exhibits` that computes figures and numbers.
        arguments: what that function is given.
        right: the choice that comes true, counted from 0; the tests compute it.
        page: where one goes on.
        settings: fields of `View` in which that page opens.
    """

    exhibit: str
    right: int
    page: str
    settings: dict[str, Any]
    arguments: dict[str, Any] = field(default_factory=dict)


LESSONS: dict[str, Lesson] = {
    "eight_bits": Lesson("eight_bits", 2, "pages/formats.py", {"formats": ("e4m3fn", "int8"), "axis": "linear"}, {"name": "e4m3fn", "beside": "int8", "number": "0.1"}),
    "e4m3_e5m2": Lesson("two_formats", 2, "pages/formats.py", {"formats": ("e4m3fn", "e5m2"), "axis": "binade"}, {"first": "e4m3fn", "second": "e5m2", "wide": "bfloat16"}),
    "log_line": Lesson("doublings", 0, "pages/formats.py", {"formats": ("e4m3fn", "int8"), "axis": "log"}, {"name": "e4m3fn", "beside": "int8", "near": 0, "far": 7}),
    "ulp": Lesson("rounding", 1, "pages/number.py", {"number": "400", "format": "e4m3fn"}, {"numbers": ("400", "0.1"), "name": "e4m3fn"}),
    "scale": Lesson("scale", 1, "pages/distributions.py", {"source": "weights", "format": "e4m3fn", "granularity": "tensor"}, {"source": "weights", "recipe": "tensor_e4m3"}),
    "outlier": Lesson(
        "outlier", 3, "pages/scaling.py", {"source": "normal", "outlier": 1000, "format": "int8", "granularity": "tensor"},
        {"source": "normal", "recipes": ("tensor_e4m3", "int8_tensor", "mxfp8_e4m3"), "factor": 1000},
    ),
    "granularity": Lesson(
        "granularity", 3, "pages/scaling.py", {"source": "outlier_channels", "format": "int8", "granularity": "column"},
        {"source": "outlier_channels", "formats": ("int8", "e4m3fn"), "granularities": ("tensor", "row", "1x32", "column")},
    ),
    "delayed": Lesson(
        "delayed", 2, "pages/scaling.py", {"topic": "delayed", "scenario": "spike", "format": "e4m3fn", "history": 16, "algorithm": "max", "step": 32},
        {"scenario": "spike", "name": "e4m3fn", "history": 16, "algorithm": "max"},
    ),
    "mx_rules": Lesson(
        "scale_rules", 0, "pages/scaling.py", {"source": "normal", "format": "e2m1fn", "granularity": "1x32", "rule": "ceil", "scale_format": "e8m0fnu"},
        {"source": "normal", "formats": ("e4m3fn", "e2m1fn"), "rules": ("floor", "rceil", "ceil", "even", "amax")},
    ),
    "ue8m0": Lesson(
        "element_or_scale", 1, "pages/distributions.py", {"source": "weights", "preset": "signed_e8m0_element"},
        {"source": "weights", "recipes": ("deepseek_v3_128x128", "deepseek_v3_128x128_ue8m0", "signed_e8m0_element", "ue8m0_element")},
    ),
    "vanishing": Lesson(
        "vanishing", 3, "pages/distributions.py", {"source": "lognormal_gradient", "format": "e4m3fn", "granularity": "tensor"},
        {"source": "lognormal_gradient", "recipes": ("tensor_e4m3", "tensor_e5m2", "mxfp8_e4m3")},
    ),
    "fp6_fp4": Lesson(
        "few_bits", 2, "pages/scaling.py", {"source": "weights", "preset": "nvfp4", "format": "e2m1fn", "topic": "nvfp4"},
        {"source": "weights", "formats": ("e4m3fn", "e2m3fn", "e3m2fn", "e2m1fn"), "recipes": ("tensor_e4m3", "mxfp6_e2m3", "mxfp6_e3m2", "nvfp4", "mxfp4", "e2m1fn:tensor")},
    ),
    "speed": Lesson(
        "speed", 2, "pages/benchmark.py", {"measure": "roofline", "machine": "H100 SXM", "rows": 64, "columns": 4096, "inner": 4096, "recipes": ("tensor_e4m3", "nvfp4", "int8_tensor")},
        {"run": "amd-epyc-2-threads-1024", "recipe": "tensor_e4m3", "others": ("int8_tensor", "mxfp4"), "device": "H100 SXM", "tokens": (64, 1024), "side": 4096},
    ),
    "accumulators": Lesson(
        "accumulators", 2, "pages/matmul.py", {"accumulators": ("float32", "hopper_fp8", "hopper_fp8_128"), "inner": 4096},
        {"units": ("float32", "hopper_fp8", "hopper_fp8_128"), "lengths": (64, 256, 1024, 4096)},
    ),
}  # fmt: skip
