"""Overview: what this is, ready-made examples, where to go."""

import streamlit as st

from fp8core.formats import FORMATS
from pages.ui import cached, frame
from pages.ui.charts.formats import grid_figure
from pages.ui.language import tr
from pages.ui.lessons import LESSONS

view = frame.page(__file__)

st.markdown(
    tr(
        "An 8-bit number has 256 codes at most, and every value of a network has to become one of them. "
        "Here you can watch that happen, from a single number to whole layers and their products, in {count} number formats. "
        "It is computed here as you choose, and the Python that gives the same numbers stands beside it."
    ).format(count=len(FORMATS))
)

frame.link("pages/lessons.py", tr("**New to FP8?** {count} short lessons: predict first, then see what happens").format(count=len(LESSONS)))

frame.heading(tr("Every positive number of four formats"))
frame.figure(
    grid_figure(cached.spacings(("e4m3fn", "e5m2", "e2m1fn", "int8")), "log"),
    "overview",
    tr("Each tick is a number. FP8 E5M2 reaches furthest and steps most coarsely; FP8 E4M3 trades range for precision; FP4 has seven numbers; INT8 spends most of its numbers on the largest magnitudes."),
)

frame.copy_python("""
import fp8core as fp8
from fp8core.grid import spacing

print(len(fp8.FORMATS), "number formats")
for name in ("e4m3fn", "e5m2", "e2m1fn", "int8"):
    print(name, *spacing(name).values)
""")

frame.heading(tr("Six things to look at"))
examples = (
    ("pages/number.py", tr("Why 0.1 becomes 0.1015625"), {"number": "0.1", "format": "e4m3fn"}),
    ("pages/formats.py", tr("Two FP8 formats, binade by binade"), {"formats": ("e4m3fn", "e5m2"), "axis": "binade"}),
    ("pages/distributions.py", tr("Gradients that vanish in E4M3"), {"source": "lognormal_gradient", "format": "e4m3fn", "granularity": "tensor"}),
    ("pages/scaling.py", tr("One outlier against blocks of 32"), {"source": "normal", "outlier": 100_000, "format": "e4m3fn", "granularity": "1x32", "rule": "floor", "scale_format": "e8m0fnu"}),
    ("pages/layers.py", tr("MiniLM in FP8, FP4 and INT8"), {"model": "minilm", "recipes": ("tensor_e4m3", "mxfp8_e4m3", "mxfp4", "nvfp4", "int8_tensor")}),
    ("pages/matmul.py", tr("Error of a product as K grows"), {"recipes": ("tensor_e4m3", "tensor_e5m2", "nvfp4", "int8_tensor"), "inner": 4096}),
)
for first in (0, 3):
    for column, (path, label, values) in zip(st.columns(3), examples[first : first + 3], strict=True):
        with column, st.container(border=True):
            frame.link(path, label, **values)

frame.heading(tr("Where to go"))
for path, about in list(frame.PAGES.items())[1:]:
    st.page_link(path, label=f"**{tr(about.title)}** {tr(about.question)}", icon=about.icon, query_params=view.to_query())
