"""The Python under "The same in Python" gives the numbers on the page: taken from the page, run without Streamlit, and compared to the last digit that is printed.

To save the two seconds that importing torch takes each time, one fresh interpreter runs nearly all snippets one after the other, each in a namespace of its own
and in a folder that holds nothing but the files they name; Streamlit, Plotly and the pages cannot be imported there. Two of them run in an interpreter for themselves.
"""

import ast
import base64
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from test_frame import open_page
from torch import nn

import fp8core as fp8
from fp8core import conformance
from fp8core.bench import shapes
from fp8core.directions import transposed
from fp8core.grid import FormatSummary, exact_text
from pages.ui import conformance_reports, frame, sweeps
from pages.ui import snippets as parts
from pages.ui.charts.formats import raised
from pages.ui.number_tables import formula, kind_word, percent, summary_columns
from pages.ui.report_tables import decibel
from pages.ui.topics import BENCHMARK, LAYERS, TOPICS
from pages.ui.view import View, recipe_title

ROOT = Path(__file__).resolve().parents[1]
SMALL = {"size": "65536"}
HEAVY = {"source": "student_t", "seed": "3", "outlier": "100", "tail": "2", **SMALL}
OWN = {"format": "own", "pattern": "table(-1,-0.3,0,0.2,1)"}
DIGITS = {"model": "digits", "recipes": "int8_tensor,mxfp4,te_nvfp4_sr"}
TINY = {"rows": "64", "columns": "64", "inner": "64", "repeats": "5", "recipes": "tensor_e4m3,te_nvfp4_sr"}
FILE = "it's \"a\" {file} **x**.npy"
LAYER = "w\"] + 1; raise SystemExit('x') #'\\**x**{0}\u202e"
LOG = "te's \"x\".log"
STEPS = ("format", "scaling", "rounding", "overflow", "rotation")
SOME, ORACLES = ("e4m3fn", "int8", "mxfp4"), ("ml_dtypes", "numpy")

RUNNER = """
import contextlib, io, json, sys, traceback
for package in ("streamlit", "plotly", "pages"):
    sys.modules[package] = None
found = {}
for name, (before, code) in json.load(sys.stdin).items():
    printed, error = io.StringIO(), ""
    exec(before, {})
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, name, "exec"), {"__name__": "__main__"})
    except BaseException:
        error = traceback.format_exc()
    found[name] = printed.getvalue().splitlines(), error
json.dump(found, sys.__stdout__)
"""


# What a page shows


def table(app, *columns):
    """The one table with these columns."""
    (found,) = (each.value for each in app.dataframe if set(columns) <= set(each.value.columns))
    return found


def metric(app, label: str) -> str:
    return next(each.value for each in app.metric if each.label == label)


def figures(app) -> list[dict]:
    return [json.loads(each.proto.spec) for each in app.get("plotly_chart")]


def array(drawn) -> np.ndarray:
    """The numbers of a trace, as a list or packed."""
    if isinstance(drawn, dict):
        return np.frombuffer(base64.b64decode(drawn["bdata"]), drawn["dtype"]).reshape([int(side) for side in drawn["shape"].split(",")] if "shape" in drawn else -1)
    return np.array(drawn)


def snippets(app) -> list[str]:
    return [code.value for each in app.expander if each.label == "The same in Python" for code in each.get("code")]


# What a snippet prints


def numbers(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"(?<![\w.])[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf|nan)(?!\w)", text)]


def told(line: str) -> list[float]:
    """The numbers after the name of what they are of."""
    return numbers(line.partition(": ")[2])


def fields(line: str) -> dict[str, float]:
    """The numbers in the repr of a dataclass."""
    return {name: float(value) for name, value in re.findall(r"(\w+)=([-+\w.]+)", line) if numbers(value)}


def described(line: str) -> tuple[str, ...]:
    """Code, bits, arithmetic and kind."""
    return re.fullmatch(r"(0x\w+) = ([01 ]+): (.*), (\w+)", line).groups()


def starting(lines: list[str], *starts: str) -> list[str]:
    return [line for line in lines if line.startswith(starts)]


def same(shown, printed, digits: int | None = None) -> None:
    """Equal to the last digit; `digits` where a table holds more than it shows."""
    shown = [float(value) for value in shown]
    assert len(shown) > 0
    assert list(printed) == pytest.approx([value if digits is None else round(value, digits) for value in shown], nan_ok=True, rel=1e-9, abs=1e-12)


def columns_are(shown, printed: list[list[float]], digits: dict[str, int | None]) -> None:
    """Columns of a table, in the order in which each line prints them."""
    for place, (column, places) in enumerate(digits.items()):
        same(shown[column], [line[place] for line in printed], places)


def headline_is(app, line: str) -> None:
    r = fields(line)
    shown = {"SQNR": decibel(r["sqnr_db"]), "Flushed to zero": percent(r["underflow"]), "Saturated": percent(r["saturation"]), "Largest error": f"{r['max_abs']:.3g}", "Cosine": f"{r['cosine']:.6f}", "Bits per number": f"{r['bits_per_value']:.4g}"}
    assert {label: metric(app, label) for label in shown} == shown


def calibrated(app, lines: list[str]) -> None:
    columns_are(table(app, "method", "clipped (%)"), [told(line) for line in lines], {"amax": None, "SQNR (dB)": None, "clipped (%)": None, "flushed (%)": None})


# One comparison for each page and topic: (app, printed lines of its only snippet, or of each)


def overview(app, lines):
    assert any(f"in {lines[0]}" in each.value for each in app.markdown)
    drawn = figures(app)[0]["data"]
    for line, trace in zip(lines[1:], drawn, strict=True):
        same(array(trace["x"]), map(float, line.split()[1:]))


def formats(app, lines, readings):
    summaries = [eval(line, {"FormatSummary": FormatSummary, "inf": math.inf, "nan": math.nan}) for line in starting(lines, "FormatSummary(")]
    shown = table(app, "property")
    assert {name: list(cells) for name, cells in summary_columns(summaries).items()} == {name: shown[name].tolist() for name in shown}
    drawn = figures(app)
    for line, s, trace in zip(starting(lines, "numbers "), summaries, drawn[0]["data"], strict=True):
        if s.bits <= 8:
            same(array(trace["x"]), map(float, line.split()[1:]))
    for line, trace in zip(starting(lines, "gaps "), drawn[1]["data"], strict=True):
        same(2.0 ** array(trace["y"]), map(float, line.split()[1:]))
    codes, cells = starting(lines, "0x"), "\n".join(str(each) for figure in drawn[3:-1] for each in array(figure["data"][0]["customdata"]).reshape(-1))
    assert len(codes) == sum(1 << s.bits for s in summaries if s.bits <= 8)
    for line in codes:
        code, bits, arithmetic, kind = described(line)
        assert raised(f"<b>{code}</b> = {bits}<br>{arithmetic}<br>{kind_word(kind)}") in cells
    meanings = dict(zip(("the second reading is exactly half", "a number in the first", "NaN or infinity in the first", "anything else"), (int(line.split()[-1]) for line in readings[2:6]), strict=True))
    counts = table(app, "bytes")
    assert {words: count for words, count in meanings.items() if count} == {next(words for words in meanings if cell.startswith(words)): count for cell, count in zip(counts.iloc[:, 0], counts["bytes"], strict=True)}
    for line in readings[:2]:
        assert any(formula(re.search(r"arithmetic='([^']*)'", line)[1]) in each.value for each in app.markdown)
    there, back = numbers(readings[6])
    assert any(f"then {there:g} of 256 bytes" in each.value and f"then {back:g} do" in each.value for each in app.markdown)


def as_shown(line: str) -> str:
    """A line of the program with its per cents as the page writes them."""
    return re.sub(r"relative (\S+) %", lambda match: f"relative {percent(float(match[1]) / 100).replace('–', 'nan')}", line)


def number(app, lines):
    code, bits, arithmetic, kind = described(lines[0])
    assert any(each.value.startswith(f"`{code}`") and each.value.endswith(formula(arithmetic)) for each in app.markdown)
    assert kind_word(kind) == metric(app, "Kind")
    assert [each.label for each in app.button if each.key and each.key.startswith("bit_")] == list(bits.replace(" ", ""))
    shown = {label: metric(app, label).replace("–", "nan") for label in ("Error", "Relative error", "Error in ulp")}
    assert as_shown(lines[1]).startswith(f"error {shown['Error']}, relative {shown['Relative error']}, {shown['Error in ulp']} ulp; all of ")
    rows = table(app, "error in ulp")
    assert len(rows) == len(lines) - 2
    for line, row in zip(lines[2:], rows.to_dict("records"), strict=True):
        code, value, rest = re.fullmatch(r".*?: (0x\w+) = (\S+), (.*)", line).groups()
        assert (row["code"], row["value"]) == (code, exact_text(float(value)))
        shown = {label: row[label].replace("–", "nan") for label in ("error", "relative error", "error in ulp")}
        assert as_shown(rest) == f"error {shown['error']}, relative {shown['relative error']}, {shown['error in ulp']} ulp"


def distributions(app, lines):
    headline_is(app, lines[0])
    shown = table(app, "codes used")
    for line, row in zip((lines[0], starting(lines, "without scale")[0]), shown.to_dict("records"), strict=True):
        r = fields(line)
        assert (row["SQNR (dB)"], row["MSE"], row["exact zeros"], row["lost"]) == pytest.approx((round(r["sqnr_db"], 3), f"{r['mse']:.6g}", r["zeros"], r["lost"]), nan_ok=True)
        assert row["largest error (ulp)"] == pytest.approx(round(r["max_ulp"], 4), nan_ok=True)
    for axis, figure in zip(("|x|", "|x| / scale"), figures(app), strict=False):
        printed = [count for line in lines if re.match(re.escape(axis) + " [a-z]", line) for count in eval(line[line.index("{") :]).values()]
        assert printed == [cell[2] for trace in figure["data"] for cell in trace["customdata"] if cell[2]]
    counts = "\n".join(lines).split("[", 1)[1].split("]")[0]
    assert numbers(counts) == array(figures(app)[2]["data"][0]["y"]).tolist()
    if methods := [line for line in lines if "clipped" in line]:
        calibrated(app, methods)
    else:
        assert any("There is nothing to choose here" in each.value for each in app.caption)


def grid(app, lines):
    headline_is(app, lines[0])
    cell = re.search(r"cell=\((\d+), (\d+)\)", "".join(lines)).groups()
    assert any("One cell is {} × {} numbers".format(*cell) in each.value for each in app.caption)
    pairs = [line for line in lines if "saturated" in line]
    shown = table(app, "granularity", "rule")
    assert [line.partition(":")[0] for line in pairs] == [f"{granularity}, {rule}" for granularity, rule in zip(shown["granularity"], shown["rule"], strict=True)]
    columns_are(shown, [told(line) for line in pairs], {"SQNR (dB)": None, "flushed (%)": None, "saturated (%)": None, "bits per number": None})


def rules(app, lines):
    wanted = {"SQNR (dB)": None, "flushed (%)": None, "clipped (%)": None, "lost": None, "bits per number": None}
    shown, elements = (each.value for each in app.dataframe if "source" in each.value.columns)
    measured = [line for line in lines if "clipped" in line]
    assert [line.partition(":")[0] for line in measured] == [*shown["name"], *elements["name"]]
    columns_are(shown, [told(line) for line in measured[:-3]], wanted)
    columns_are(elements, [told(line) for line in measured[-3:]], wanted)
    columns_are(table(app, "codes that differ"), [told(line.replace("codes", ": codes")) for line in lines if " against " in line], {"codes that differ": None, "scales that differ": None})


def calibration(app, lines):
    calibrated(app, lines)


def delayed(app, lines):
    chosen = fields(lines[0])
    assert metric(app, "Reach") == f"{chosen['reach']:.4g}" and metric(app, "amax of this step") == f"{chosen['amax']:.4g}"
    columns_are(table(app, "scale kept"), [told(line) for line in lines[1:]], {"amax": None, "scale": None, "SQNR (dB)": None, "clipped (%)": None, "flushed (%)": None, "current (dB)": None})


def nvfp4(app, lines):
    headline_is(app, lines[0])
    elements = [re.fullmatch(r"(\S+) / scale = (\S+) -> (0x\w) = (\S+) -> (\S+)", line) for line in lines if " -> " in line]
    shown = table(app, "x̂")
    for column, place in (("x", 1), ("x / scale", 2), ("x̂", 5)):
        assert [each[place] for each in elements] == [f"{value:.9g}" for value in shown[column]]
    assert [each[3] for each in elements] == shown["code"].tolist() and [each[4] for each in elements] == shown["value"].tolist()
    part = fields(" ".join(lines))
    assert any(f"**{part['global_scale']:.6g}**" in each.value and f"**{part['wanted']:.6g}**" in each.value for each in app.markdown)


def directions(app, lines):
    wanted = {"SQNR (dB)": None, "flushed (%)": None, "bits per number": None}
    if "Numbers that differ" in {each.label for each in app.metric}:
        assert metric(app, "Numbers that differ") == percent(numbers(lines[0])[0] / 100)
        columns_are(table(app, "scales"), [told(line) for line in lines[1:3]], wanted)
    columns_are(table(app, "differ from the transpose (%)"), [told(line) for line in lines[3:]], wanted | {"differ from the transpose (%)": None})


def suffer(app, lines):
    summed = table(app, "worst layer")
    columns_are(summed, [numbers(re.sub(r" in .*?, underflow", ", underflow", line.partition(": ")[2])) for line in lines if ", worst" in line], {"all layers (dB)": 2, "worst (dB)": 2, "underflow (%)": 2, "saturation (%)": 2, "bits": 2, "MB after": 2})
    every = table(app, "crest factor")
    crest = {line.partition(": crest factor")[0]: numbers(line.partition(": crest factor")[2]) for line in lines if ": crest factor" in line}
    for name, row in zip(every["layer"], every.to_dict("records"), strict=True):
        same([row["crest factor"], row["kurtosis"], row["range (binades)"]], crest[name], 2)
        measured = [found for line in lines if (found := re.fullmatch(re.escape(name) + r", (\w+): (\S+) dB, underflow (\S+) %, saturation (\S+) %", line))]
        assert [found[1] for found in measured] == DIGITS["recipes"].split(",")
        for title, values in ((fp8.RECIPES[found[1]].title, found.groups()[1:]) for found in measured):
            same([row[f"{title}: dB"], row[f"{title}: underflow (%)"], row[f"{title}: saturation (%)"]], map(float, values), 2)
    scales = fields(next(iter(starting(lines, "Scales("))))
    assert (metric(app, "scale, smallest"), metric(app, "scale, largest"), metric(app, "scale, std / mean")) == tuple(f"{scales[name]:.3g}" for name in ("smallest", "largest", "spread"))
    assert metric(app, "block binades") == f"{numbers(starting(lines, 'block binades')[0])[0]:.1f}"


def products(app, lines):
    columns_are(table(app, "by weights (dB)"), [told(line) for line in lines], {"product (dB)": 2, "by weights (dB)": 2, "by inputs (dB)": 2, "weights (dB)": 2, "inputs (dB)": 2})


def model(app, lines):
    shown = table(app, "model output (dB)")
    for line, row in zip(lines, shown.to_dict("records"), strict=False):
        sqnr, metrics = re.fullmatch(r"\w+: (\S+) dB, (\{.*\})", line).groups()
        same([row["model output (dB)"]], [float(sqnr)], 2)
        same([row["accuracy (%)"], row["cross entropy (nats)"]], [100 * eval(metrics)["accuracy"], eval(metrics)["cross_entropy"]])
    alone, growth = figures(app)
    same(array(alone["data"][0]["x"]), [told(line)[0] for line in lines if ": alone" in line], 2)
    same(array(growth["data"][1]["y"]), [told(line)[1] for line in lines if ": its own" in line], 2)


def plan(app, lines):
    bits, predicted, _ = numbers(lines[0])
    assert (metric(app, "bits per weight"), metric(app, "error, predicted")) == (f"{bits:.3f}", f"{predicted:.3g}")
    rows, shown = [line for line in lines if " bits, error " in line], table(app, "recipe", "error", "shape")
    assert [tuple(re.split(": |, ", line)[:2]) for line in rows] == list(zip(shown["layer"], shown["recipe"], strict=True))
    same(shown["bits"], [numbers(line.rpartition("bits, error")[0].rsplit(",", 1)[1])[0] for line in rows], 3)
    assert [line.rsplit(" ", 1)[1] for line in rows] == [f"{value:.2e}" for value in shown["error"]]
    best = [numbers(line.partition("for ")[2]) for line in starting(lines, "the best for")]
    drawn = figures(app)[0]["data"][0]
    assert [f"{bits:.3f}: {error:.3g}" for bits, error in best if error > 0] == [f"{bits:.3f}: {error:.3g}" for bits, error in zip(array(drawn["x"]), array(drawn["y"]), strict=True)]
    if measured := [line for line in lines if "measured, {" in line]:
        assert metric(app, "error, measured") == measured[0].split()[1]
        assert float(metric(app, "accuracy")) == pytest.approx(float(re.search(r"'accuracy': ([\d.]+)", measured[0])[1]), abs=5e-5)
    cannot = any("It cannot be written so" in each.value for each in app.caption)
    assert cannot or lines[-1] == "0 numbers differ from what was meant"


def logs(app, lines):
    shown = table(app, "value")
    assert [line.partition(",")[0] for line in lines] == shown["layer"].tolist()
    same(shown["value"], [float(line.rpartition(" ")[2]) for line in lines])


def matmul(app, lines):
    shown, k = table(app, "SQNR of A·B (dB)"), int(re.search(r"K = (\d+)", app.subheader[1].value)[1])
    here = [told(line) for line in lines if f"K = {k}:" in line]
    columns_are(shown, [line[:3] for line in here], {"SQNR of A (dB)": None, "SQNR of B (dB)": None, "SQNR of A·B (dB)": None})
    same(shown["bits per value"], [line[5] for line in here])
    assert [f"{value:.3g}" for value in shown["rms error"]] == [f"{line[3]:.3g}" for line in here]
    assert [f"{value:.3g}" for value in shown["largest error"]] == [f"{line[4]:.3g}" for line in here]
    others = [float(re.search(r"the others (\S+) dB", line)[1]) for line in lines if "first column" in line]
    loud = [figure for figure in figures(app) if "first column" in figure["data"][0].get("hovertemplate", "")]
    if loud:
        same([value for trace in loud[0]["data"] for value in array(trace["y"])], others, 1)
    lost = [told(line) for line in lines if ": rms error" in line]
    sums = table(app, "accumulator")
    same(sums["SQNR (dB)"], [line[2] for line in lost])
    for column, place in (("rms error (%)", 0), ("mean error (%)", 1)):
        assert [f"{value:.2g}" for value in sums[column]] == [f"{line[place]:.2g}" for line in lost]


def run(app, lines):
    """Times differ from run to run: a live line is compared by its kernel and errors, a recorded one as a whole."""
    shown = [row for each in app.dataframe if "kernel" in each.value.columns for row in each.value.to_dict("records")]
    assert len(lines) == len(shown)
    for row in shown:
        recorded = re.fullmatch(r"recorded (\S+): .*|.*", row["how"])[1] or "live"
        assert any(line.startswith(f"{recorded} ") and f" {row['kernel']} {row['how']} " in line and _titled(line) == row["recipe"] and _agrees(line, row) for line in lines), row
    assert sum(line.startswith("live ") for line in lines) == len(app.dataframe[0].value)


def _titled(line: str) -> str:
    return recipe_title(line.partition(") ")[2].split(" ")[0])


def _agrees(line: str, row: dict) -> bool:
    if row["refused because"]:
        return line.endswith(row["refused because"])
    ms, tflops, sqnr, largest = map(float, re.search(r"(\S+) ms, (\S+) TFLOP/s, (\S+) dB, largest error (\S+)", line).groups())
    errors = (sqnr, largest) == pytest.approx((row["SQNR (dB)"], row["largest error"]), rel=1e-9)
    return errors and (line.startswith("live ") or (ms, tflops) == pytest.approx((row["product (ms)"], row["TFLOP/s"]), rel=1e-9))


def pays(app, lines):
    """Times differ from run to run: compared are what was measured, kernels and errors; the size is a small one, so that it takes no minute."""
    shown, printed = table(app, "kernel"), [line.split(" ", 4)[:4] for line in lines]
    assert [(layer, int(batch), recipe_title(recipe), kernel) for layer, batch, recipe, kernel in printed] == list(zip(shown["layer"], shown["batch (tokens)"], shown["recipe"], shown["kernel"], strict=True))
    same(shown["SQNR (dB)"], [numbers(line)[-1] for line in lines])


def roofline_here(app, lines):
    """Times differ from run to run: compared are units and intensities."""
    shown, here = table(app, "FLOP per byte"), [line for line in lines if "FLOP per byte" in line]
    assert [re.split(": |, ", line)[1] for line in here] == shown["units"].tolist()
    same(shown["FLOP per byte"], [told(line)[0] for line in here])


def roofline(app, lines):
    shown = table(app, "FLOP per byte")
    assert [re.split(": |, ", line)[1] for line in lines] == shown["units"].tolist()
    columns_are(shown, [numbers(line.partition(": ")[2].partition(", ")[2]) for line in lines], {"FLOP per byte": None, "TFLOP/s": None, "time (µs)": None})


def conform(app, lines):
    shown = table(app, "subject", "mismatches")
    compared = [re.fullmatch(r"(\S+), (\S*), (.*): (.*), (\d+) compared, (\d+) mismatches .*", line + " ") for line in lines if " compared, " in line]
    for column, place in (("subject", 1), ("implementation", 2), ("aspect", 3), ("status", 4)):
        assert shown[column].tolist() == [each[place] for each in compared]
    assert (shown["compared"].tolist(), shown["mismatches"].tolist()) == ([int(each[5]) for each in compared], [int(each[6]) for each in compared])
    known = table(app, "found here")
    for line in lines[len(compared) :]:
        where, _, found = line.rpartition(": ")
        state, count, _ = re.fullmatch(r"(.*), (\d+) (numbers)", found).groups()
        assert f"{state} ({int(count):,} numbers)".replace(",", " ") in known[known["where"] == where]["found here"].tolist()


# What a visitor does before the numbers stand there


def press(key: str) -> Callable:
    return lambda app, folder: app.button(key=key).click().run()


def here(app, folder):
    app.button(key="measurements_run").click().run()
    app.button_group(key="measure").set_value("roofline").run()


def upload(name: str, key: str = "upload_widget", then: Callable | None = None) -> Callable:
    def act(app, folder):
        app.file_uploader(key=key).set_value((name, (folder / name).read_bytes(), "application/octet-stream")).run()
        if then:
            then(app)

    return act


def topic(name: str) -> Callable:
    return lambda app: app.segmented_control(key="layers_topic").set_value(name).run()


@dataclass(frozen=True)
class Case:
    """A state of a page.

    Args:
        before: Python that runs ahead of the snippet, where what it does would take minutes otherwise.
    """

    path: str
    query: dict[str, str]
    check: Callable
    act: Callable | None = None
    before: str = ""


SCALING, LAYER_PAGE, MATMUL, BENCH = "pages/scaling.py", "pages/layers.py", "pages/matmul.py", "pages/benchmark.py"
QUICK = f"from functools import partial\nfrom fp8core import conformance\nconformance.run = partial(conformance.run, {SOME}, {ORACLES})"
TINY_SQUARES = "from fp8core.bench import shapes\nshapes.squares = lambda: (shapes.LayerShape('square', 'tiny', 16, 16),)"
CASES = {
    "overview": Case("app.py", {}, overview),
    "formats": Case("pages/formats.py", {"formats": "e4m3fn,int8,bfloat16", "pattern": "e3m4b3fn"}, formats),
    "formats, a list of values": Case("pages/formats.py", {"formats": "e2m1fn,e8m0fnu", "pattern": "table(-1,-0.5,0,0.5,1)", "pair": "e5m2", "byte": "128"}, formats),
    "number": Case("pages/number.py", {"number": "0.1"}, number),
    "number, a fraction, stochastic": Case("pages/number.py", {"number": "1/3", "rounding": "stochastic", "overflow": "ieee", **OWN}, number),
    "number, a code of 16 bits": Case("pages/number.py", {"number": "0x7f80", "format": "bfloat16", "overflow": "ieee", "families": "16 bits and more"}, number),
    "number, NaN": Case("pages/number.py", {"number": "nan", "format": "e5m2", "families": "FP8,IEEE P3109"}, number),
    "distributions": Case("pages/distributions.py", {"granularity": "1x32", "zoom": "4", **HEAVY}, distributions),
    "distributions, own format, no scaling": Case("pages/distributions.py", {"granularity": "none", "rounding": "up", **HEAVY, **OWN}, distributions),
    "distributions, stochastic": Case("pages/distributions.py", {"granularity": "row", "rounding": "stochastic", "overflow": "ieee", **HEAVY}, distributions),
    "distributions, a library's recipe": Case("pages/distributions.py", {"preset": "te_nvfp4_rht_sr", "source": "silero_vad/lstm_cell.weight_ih"}, distributions),
    "distributions, wide": Case("pages/distributions.py", {"format": "tfloat32", "granularity": "tensor", "source": "relu", "outlier": "1000", **SMALL}, distributions),
    "distributions, a file": Case("pages/distributions.py", {"format": "int4", "granularity": "1x16"}, distributions, upload(FILE)),
    "grid": Case(SCALING, {"format": "e2m1fn", "granularity": "1x32", "rule": "floor", "scale_format": "e8m0fnu", **HEAVY}, grid),
    "grid, rotated, stochastic": Case(SCALING, {"source": "outlier_channels", "format": "e2m1fn", "granularity": "1x16", "rotation": "te_rht", "rounding": "stochastic", **SMALL}, grid),
    "rules": Case(SCALING, {"topic": "rules", "library": "DeepSeek", **HEAVY}, rules),
    "rules, all": Case(SCALING, {"topic": "rules", "source": "digits/hidden.1.weight", **OWN}, rules),
    "calibration": Case(SCALING, {"topic": "calibration", "model": "digits", "layer": "hidden.1", "percentile": "99.9", "momentum": "0.5"}, calibration),
    "calibration, own format": Case(SCALING, {"topic": "calibration", "calibrated_on": "tensor", **HEAVY, **OWN}, calibration),
    "delayed": Case(SCALING, {"topic": "delayed", "scenario": "spike", "history": "8", "margin": "1", "algorithm": "most_recent", "step": "34", "seed": "2", "format": "e5m2"}, delayed),
    "delayed, own format": Case(SCALING, {"topic": "delayed", **OWN}, delayed),
    "nvfp4": Case(SCALING, {"topic": "nvfp4", "block": "37", **HEAVY}, nvfp4),
    "nvfp4, stochastic, the worst block": Case(SCALING, {"topic": "nvfp4", "two_level": "te_nvfp4_sr", "pick": "worst", **HEAVY}, nvfp4),
    "directions": Case(SCALING, {"topic": "directions", "granularity": "row", **HEAVY}, directions),
    "directions, none, up": Case(SCALING, {"topic": "directions", "granularity": "none", "rounding": "up", "source": "laplace", **SMALL}, directions),
    "directions, rotated recipe": Case(SCALING, {"topic": "directions", "preset": "te_nvfp4_rht_sr", "rounding": "stochastic", **HEAVY}, directions),
    "suffer": Case(LAYER_PAGE, {**DIGITS, "recipe": "te_nvfp4_sr"}, suffer),
    "suffer, activations": Case(LAYER_PAGE, {**DIGITS, "part": "activations", "layer": "hidden.1", "layers_chart": "outliers", "recipe": "mxfp4"}, suffer),
    "suffer, a file": Case(LAYER_PAGE, {**DIGITS, "layers_chart": "colours", "recipe": "mxfp4"}, suffer, upload("strange.safetensors")),
    "suffer, a quantized file": Case(LAYER_PAGE, {**DIGITS, "recipe": "mxfp4"}, suffer, upload("packed.safetensors")),
    "products": Case(LAYER_PAGE, {**DIGITS, "layers_topic": "products"}, products),
    "products, recorded": Case(LAYER_PAGE, {**DIGITS}, products, upload("step.safetensors", then=topic("products"))),
    "model": Case(LAYER_PAGE, {**DIGITS, "layers_topic": "model", "recipe": "mxfp4"}, model),
    "plan": Case(LAYER_PAGE, {**DIGITS, "layers_topic": "plan", "bits": "6"}, plan),
    "plan, by hand": Case(LAYER_PAGE, {**DIGITS, "layers_topic": "plan", "plan": "compressed_tensors_mxfp8*2,keep"}, plan, before="import shutil; shutil.rmtree('quantized')"),
    "plan, a file": Case(LAYER_PAGE, {**DIGITS, "bits": "8"}, plan, upload("strange.safetensors", then=topic("plan")), before="import shutil; shutil.rmtree('quantized')"),
    "logs": Case(LAYER_PAGE, {**DIGITS, "layers_topic": "logs"}, logs, upload(LOG, "layers_logs_file")),
    "matmul": Case(MATMUL, {"source": "student_t", "seed": "2", "outlier": "30", "recipes": "tensor_e4m3,te_nvfp4_sr", "inner": "512", "smoothing": "0.5", "accumulators": "own,ada_fp8", "fraction_bits": "6", "promotion": "64"}, matmul),
    "matmul, own pair": Case(MATMUL, {"source": "silero_vad/conv1.weight", "seed": "1", "recipes": "int8_tensor", "pair_of_own": "added", "granularity": "1x32", "inner": "1000", **OWN}, matmul),
    "run": Case(BENCH, TINY, run, press("measurements_run")),
    "run, one backend": Case(BENCH, {**TINY, "backend": "int8", "recipes": "int8_tensor,mxfp4", "recorded": "hidden", "seed": "3"}, run, press("measurements_run")),
    "pays": Case(BENCH, {**TINY, "measure": "pays", "batches": "1", "seconds": "20"}, pays, press("sweeps_run"), TINY_SQUARES),
    "roofline": Case(BENCH, {**TINY, "measure": "roofline", "machine": "B200", "recipes": "mxfp4,int4_1x128,tensor_e4m3"}, roofline),
    "roofline, changed": Case(BENCH, {**TINY, "measure": "roofline", "machine": "A100 SXM 80GB", "peaks": "A100 SXM 80GB:gb_per_s=1000.0", "recipes": "mxfp4,nf4_64,hif8_cast"}, roofline),
    "roofline, here": Case(BENCH, {**TINY, "recorded": "hidden"}, roofline_here, here),
    "conformance": Case("pages/conformance.py", {}, conform, press("conformance_run"), QUICK),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The files that are uploaded, and that snippets name."""
    place, draw = tmp_path_factory.mktemp("snippets"), torch.Generator().manual_seed(0)
    buffer = BytesIO()
    np.save(buffer, torch.randn(3, 20, 50, generator=draw).numpy())
    (place / FILE).write_bytes(buffer.getvalue())
    (place / "strange.safetensors").write_bytes(save({LAYER: torch.randn(64, 128, generator=draw).bfloat16(), "b.weight": torch.randn(8, 4, 3, 3, generator=draw)}))
    q = fp8.quantize(torch.randn(128, 128, generator=draw), "tensor_e4m3")
    (place / "packed.safetensors").write_bytes(save({"a.weight": q.codes.view(torch.float8_e4m3fn), "a.weight_scale": q.scale}))
    layers = nn.Sequential(nn.Linear(64, 32))
    with fp8.capture(layers, place / "step.safetensors"):
        layers(torch.randn(40, 64, generator=draw))
    (place / LOG).write_text("INFO - a.fc1_weight_mse iteration=1 value=0.5\nINFO - b.fc1_weight_mse iteration=2 value=0.25\nINFO - a.fc1_weight_max iteration=2 value=3")
    return place


@pytest.fixture(scope="module")
def opened(folder):
    """Every page in every state, by the name of the case."""
    patch = pytest.MonkeyPatch()
    real = conformance.run
    patch.setattr(conformance, "run", lambda on_progress=None: real(SOME, ORACLES, on_progress))
    patch.setattr(sweeps, "squares", lambda: (shapes.LayerShape("square", "tiny", 16, 16),))
    conformance_reports._kept().clear()
    apps = {}
    for name, case in CASES.items():
        app = apps[name] = open_page(case.path, case.query)
        if case.act:
            case.act(app, folder)
            assert not app.exception, name
    yield apps
    patch.undo()
    conformance_reports._kept().clear()


@pytest.fixture(scope="module")
def printed(opened, folder) -> dict[str, tuple[list[str], str]]:
    """What every snippet prints in a fresh interpreter, and its traceback; the second one of a page is called NAME/1."""
    jobs = {f"{name}/{place}": (CASES[name].before, code) for name, app in opened.items() for place, code in enumerate(snippets(app))}
    done = interpreter(["-c", RUNNER], folder, json.dumps(jobs))
    return json.loads(done)


def interpreter(arguments: list[str], folder: Path, given: str = "") -> str:
    return subprocess.run([sys.executable, *arguments], input=given, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", CASES)
def test_the_python_shown_gives_the_numbers_shown(name, opened, printed):
    found = [(lines, error) for key, (lines, error) in printed.items() if key.rpartition("/")[0] == name]
    assert found, "no snippet"
    assert [error for _, error in found] == [""] * len(found)
    CASES[name].check(opened[name], *(lines for lines, _ in found))


@pytest.mark.parametrize("name", ["distributions, a file", "model"])
def test_alone_in_an_interpreter_it_prints_the_same(name, opened, printed, folder):
    assert interpreter(["-c", snippets(opened[name])[0]], folder).splitlines() == printed[f"{name}/0"][0]


@pytest.mark.parametrize("name", ["w'\"\\", "a\nimport os", "a\u2028from os import abort\r\x85import os", "{x}\x00\ud800", "');\tabort() #"])
def test_whatever_a_name_holds_it_stays_a_literal(name):
    code = parts.program("import fp8core as fp8", f"from a import b\nx = {parts.tensor(f'open_checkpoint({name!r})', name, (2, 3))}", "print(x)")
    assert [type(node).__name__ for node in ast.parse(code).body] == ["Import", "ImportFrom", "Assign", "Expr"]
    assert [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant) and isinstance(node.value, str)].count(name) == 2


@pytest.mark.parametrize("made", [*fp8.RECIPES.values(), fp8.make_recipe("int4", fp8.ScaleSpec((1, 32), amax_floor=0.5), "up", "ieee", "te_rht"), fp8.make_recipe("table(-1,0,1)", None, "stochastic"), transposed("te_blockwise")], ids=lambda recipe: recipe.name)
def test_the_python_of_a_recipe_makes_it(made):
    again = fp8.parse_recipe(eval(parts.recipe(made), {"fp8": fp8}))
    assert [getattr(again, name) for name in STEPS] == [getattr(made, name) for name in STEPS]


def test_every_page_and_every_topic_is_here():
    assert {case.path for case in CASES.values()} == set(frame.PAGES) - {"pages/lessons.py"}  # each lesson ends with a link to the page that has the code
    for path, field, topics in ((SCALING, "topic", TOPICS), (LAYER_PAGE, "layers_topic", LAYERS), (BENCH, "measure", BENCHMARK)):
        assert {case.query.get(field, getattr(View, field)) for case in CASES.values() if case.path == path} == set(topics)


@pytest.mark.parametrize("name", CASES)
def test_every_figure_names_its_axes_and_says_what_lies_under_the_pointer(name, opened):
    for figure in figures(opened[name]):
        for key, axis in figure["layout"].items():
            if re.fullmatch(r"[xy]axis\d*", key) and axis.get("visible") is not False and not axis.get("ticktext") and axis.get("type") != "category" and "matches" not in axis:
                assert axis.get("title", {}).get("text"), (key, axis)
        for trace in figure["data"]:
            empty = len(array(trace["x"])) == 0 or array(trace["x"]).tolist() == [None] if "x" in trace else False
            assert empty or trace.get("hovertemplate") or trace.get("hoverinfo") == "skip", trace.get("name")
