"""Colours stay apart for readers who see them differently, and where they cannot, a dash, a symbol, a pattern or a word says the same."""

import tomllib
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import plotly.colors
import pytest
from coloraide import Color
from opened import NAMES, STATES, figures, opened

from pages.ui import theme
from pages.ui.charts import conformance, distributions, formats
from pages.ui.charts.cells import written

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE TVCG 15(6), 2009, severity 1.0, for linear RGB.
VISIONS = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
GREY = ((0.2126, 0.7152, 0.0722),) * 3  # the luminance of sRGB, IEC 61966-2-1
APART = 10  # CIEDE2000; about 1 can just be told side by side, and marks lie apart from each other and from their legend
FIRST_OF_A_FAMILY = ("e4m3fn", "e5m2", "e2m1fn", "int8", "bfloat16", "nf4", "float32")
CONFIG = tomllib.loads((Path(__file__).parents[1] / ".streamlit/config.toml").read_text())["theme"]


def seen(colour: str, matrix) -> Color:
    linear = np.array(Color(colour).convert("srgb-linear")[:3])
    return Color("srgb-linear", np.clip(np.array(matrix) @ linear, 0, 1).tolist())


def distance(one: str, other: str, visions) -> float:
    return min(seen(one, matrix).delta_e(seen(other, matrix), method="2000") for matrix in visions)


def too_close(colours: dict) -> list:
    return [(a, b, round(found, 1)) for a, b in combinations(colours, 2) if (found := distance(colours[a], colours[b], VISIONS.values())) < APART]


def test_the_simulation_is_that_of_the_paper():
    """Rows sum to 1, so that greys stay as they are; red and green of equal luminance meet in deuteranopia."""
    for matrix in VISIONS.values():
        assert np.allclose(np.sum(matrix, axis=1), 1, atol=1e-5)
    assert distance("#C8553D", "#7F8A2A", [VISIONS["usual"]]) > 30 > 10 > distance("#B0622C", "#7F7F2C", [VISIONS["deuteranopia"]])


@pytest.mark.parametrize(
    "colours",
    [
        {index: theme.series(index) for index in range(8)},
        theme.FATE_COLOURS,
        {name: theme.FORMAT_COLOURS[name] for name in FIRST_OF_A_FAMILY},
        {state: hue for state, (_, hue, _) in conformance._STATES.items()},
    ],
    ids=["series", "fates", "families of formats", "states of a comparison"],
)
def test_colours_are_told_apart_in_every_form_of_colour_blindness(colours):
    assert not too_close(colours)


def cue(trace: dict) -> tuple:
    """What tells a trace from another without its colour; a name that begins with a sign of its own is written into the picture."""
    marker, mode = trace.get("marker") or {}, trace.get("mode", trace["type"])
    symbol = marker.get("symbol", "circle")
    symbol = symbol if isinstance(symbol, str) else symbol[0].removesuffix("-open")
    sign = trace["name"].split()[0]
    return sign if len(sign) == 1 and not sign.isalnum() else "", mode, (trace.get("line") or {}).get("dash", "solid") if "lines" in mode else "", symbol if "markers" in mode else "", (marker.get("pattern") or {}).get("shape", ""), marker.get("opacity"), trace.get("xaxis"), trace.get("yaxis")


def hue(trace: dict) -> str | None:
    for part in ("marker", "line"):
        found = (trace.get(part) or {}).get("color")
        if isinstance(found, str) and found.startswith("#"):
            return found
    return None


@pytest.mark.parametrize(("path", "query"), STATES, ids=NAMES)
def test_series_of_a_figure_are_told_apart_without_their_colours(path, query):
    for figure in figures(opened(path, query)):
        legend = {trace["name"]: trace for trace in figure["data"] if trace.get("name") and trace.get("showlegend", True) and trace["type"] != "heatmap"}
        alike = [(a, b) for a, b in combinations(legend, 2) if cue(legend[a]) == cue(legend[b])]
        for a, b in alike:
            one, other = hue(legend[a]), hue(legend[b])
            assert one and other and distance(one, other, (*VISIONS.values(), GREY)) >= APART, (a, b, cue(legend[a]))


def test_every_fate_has_a_pattern_of_its_own():
    patterns = [theme.fate(key)["pattern"]["shape"] for key in distributions.fate_labels()]
    assert len(set(patterns)) == len(patterns)


@pytest.mark.parametrize("vision", [*VISIONS, "grey"])
def test_the_scale_of_colours_goes_from_dark_to_light(vision):
    matrix = GREY if vision == "grey" else VISIONS[vision]
    steps = [seen(Color("srgb", [part / 255 for part in plotly.colors.unlabel_rgb(rgb)]).to_string(hex=True), matrix) for rgb in plotly.colors.sample_colorscale(theme.SEQUENTIAL, 9, colortype="rgb")]
    lightness = [step.convert("lab-d65")["lightness"] for step in steps]
    assert all(after - before > 3 for before, after in pairwise(lightness))


@pytest.mark.parametrize("vision", VISIONS)
def test_the_ends_of_the_diverging_scale_differ(vision):
    low, high = (Color("srgb", [part / 255 for part in plotly.colors.unlabel_rgb(rgb)]).to_string(hex=True) for rgb in plotly.colors.sample_colorscale(theme.DIVERGING, [0.15, 0.85], colortype="rgb"))
    assert distance(low, high, [VISIONS[vision]]) >= APART


@pytest.mark.parametrize(("path", "query"), STATES, ids=NAMES)
def test_words_in_tables_of_colours_are_not_left_to_plotly(path, query):
    """Its own choice between #444 and white has a contrast of 2.6 on the green in the middle of the scale."""
    assert not [trace["texttemplate"] for figure in figures(opened(path, query)) for trace in figure["data"] if trace["type"] == "heatmap" and "texttemplate" in trace]


@pytest.mark.parametrize("scale", [theme.SEQUENTIAL, theme.DIVERGING, "Cividis", *formats._SHADES.values()], ids=str)
def test_words_stand_out_on_every_colour_of_a_scale(scale):
    places = np.linspace(0, 1, 101)
    cells, words = written({"z": [places, np.full(101, np.nan)], "text": [["x"] * 101, [""] * 101], "colorscale": scale, "zmin": 0, "zmax": 1})
    drawn = scale if isinstance(scale, str) else [[stop, "rgb({}, {}, {})".format(*plotly.colors.hex_to_rgb(colour))] for stop, colour in scale]
    below = plotly.colors.sample_colorscale(drawn, places, colortype="rgb")
    assert cells["type"] == "heatmap" and list(words["x"]) == list(range(101)) and set(words["y"]) == {0}
    for text, rgb in zip(words["textfont"]["color"], below, strict=True):
        assert Color(text).contrast(Color("srgb", [part / 255 for part in plotly.colors.unlabel_rgb(rgb)]), method="wcag21") >= 4.5


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_stands_out_on_the_page(mode):
    page = CONFIG[mode]
    ink = theme.styled(plotly.graph_objects.Figure(), mode == "dark").layout.template.layout.font.color
    for paper in (page["backgroundColor"], page["secondaryBackgroundColor"], page["sidebar"]["backgroundColor"], page["sidebar"]["secondaryBackgroundColor"]):
        for text in (page["textColor"], page["grayTextColor"], page["linkColor"], ink):
            assert Color(text).contrast(paper, method="wcag21") >= 4.5, (text, paper)
    assert Color(page["primaryColor"]).contrast(page["backgroundColor"], method="wcag21") >= 4.5
