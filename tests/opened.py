"""Every page with every topic, opened once for all tests that look at what is drawn."""

from __future__ import annotations

import json
from functools import lru_cache

from streamlit.testing.v1 import AppTest
from test_frame import open_page

from pages.ui.frame import PAGES

_SMALL = (("size", "65536"),)
STATES = (
    *((path, ()) for path in PAGES),
    *(("pages/scaling.py", (*_SMALL, ("topic", topic))) for topic in ("rules", "calibration", "delayed", "nvfp4", "directions")),
    *(("pages/layers.py", (("model", "digits"), ("layers_topic", topic))) for topic in ("products", "model", "plan", "logs")),
    *(("pages/layers.py", (("model", "digits"), ("layers_chart", chart))) for chart in ("colours", "outliers")),
    *(("pages/benchmark.py", (("measure", measure),)) for measure in ("pays", "roofline")),
    ("pages/formats.py", (("axis", "binade"), ("formats", "e4m3fn,e5m2,e2m1fn,int8,bfloat16"))),
    ("pages/distributions.py", (*_SMALL, ("source", "lognormal_gradient"), ("span", "2^-12..2^9"))),
    ("pages/number.py", (("number", "1/3"), ("rounding", "stochastic"))),
)  # fmt: skip
NAMES = ["/".join((path.removeprefix("pages/").removesuffix(".py"), *(value for _, value in query))) for path, query in STATES]


@lru_cache(maxsize=len(STATES))
def opened(path: str, query: tuple[tuple[str, str], ...]) -> AppTest:
    """Open a page in a state."""
    return open_page(path, dict(query))


def figures(app: AppTest) -> list[dict]:
    """The figures of a page as Plotly's JSON."""
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
