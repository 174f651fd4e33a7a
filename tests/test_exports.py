"""Files of what a page shows: the numbers that are shown, and nothing in them that reaches out."""

import io
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from pyarrow import parquet as arrow_parquet
from streamlit.testing.v1 import AppTest

from pages.ui import exports, language, markdown, theme
from pages.ui.exports import Part, Prose, Sheet
from pages.ui.frame import PAGES
from pages.ui.lessons import LESSONS, exhibits, texts
from pages.ui.upload import as_text

ROOT = Path(__file__).resolve().parents[1]
AWKWARD = pd.DataFrame({
    "layer": ["a", "b", "<script>alert(1)</script>"], "dB": [31.56, np.nan, np.inf], "single": np.float32([0.1, np.nan, -0.0]),
    "count": [1, 2**53 + 1, -3], "flag": [True, False, True], "mixed": [1, "two", None], "maybe": ["x", None, "y"],
})  # fmt: skip


class Reader(HTMLParser):
    """What a browser makes of a file: what it refers to, its tags, and the text under each kind of tag."""

    def __init__(self, text: str):
        super().__init__()
        self.references, self.tags, self.texts, self._open = [], Counter(), {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.references += [value for name, value in attributes if name in ("src", "href", "srcset", "action", "data")]
        self.tags[tag] += 1
        if tag in ("h1", "h2", "dt", "dd", "td", "p"):
            self._open = tag
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        self._open = "" if tag == self._open else self._open

    def handle_data(self, data):
        if self._open:
            self.texts[self._open][-1] += data


def test_parquet_holds_the_numbers_with_their_types():
    table = arrow_parquet.read_table(io.BytesIO(exports.parquet(AWKWARD)))
    assert [str(field.type).removeprefix("large_") for field in table.schema] == ["string", "double", "float", "int64", "bool", "string", "string"]
    for name in ("dB", "single"):
        assert table[name].null_count == 0
        np.testing.assert_array_equal(table[name].to_numpy(), AWKWARD[name].to_numpy())
        np.testing.assert_array_equal(np.signbit(table[name].to_numpy()), np.signbit(AWKWARD[name].to_numpy()))
    assert table["count"].to_pylist() == [1, 2**53 + 1, -3]
    assert table["mixed"].to_pylist() == ["1", "two", None]
    assert table["maybe"].to_pylist() == ["x", None, "y"]


def test_csv_holds_the_numbers():
    read = pd.read_csv(io.BytesIO(exports.csv(AWKWARD)))
    assert list(read) == list(AWKWARD)
    np.testing.assert_array_equal(read["dB"], AWKWARD["dB"])
    assert list(read["count"]) == list(AWKWARD["count"])


def test_empty_tables_have_files():
    assert arrow_parquet.read_table(io.BytesIO(exports.parquet(pd.DataFrame({"a": []})))).num_rows == 0
    assert exports.csv(pd.DataFrame()).strip() == b"\xef\xbb\xbf"


def shared(path: str, **query: str) -> AppTest:
    """A page with the place for sharing open."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=180).run()
    app.query_params.update(query)
    (app if path == "app.py" else app.switch_page(path)).run()
    app.session_state["share_open"] = True
    app.run()
    assert not app.exception
    return app


@pytest.mark.parametrize("path", PAGES)
def test_a_page_as_a_file_has_every_figure_and_table(path):
    app = shared(path, size="65536", model="digits", recipes="int8_tensor,mxfp4", inner="64")
    sheet = app.session_state["sharing_sheet"]
    text = sheet.document().decode()
    read = Reader(text)
    unseen = sum(callable(part.content) for part in sheet.parts)
    assert text.count("Plotly.newPlot(") == len(app.get("plotly_chart")) + unseen
    assert read.tags["table"] == len(app.dataframe)
    assert {re.sub(r"\\(.)", r"\1", heading.value) for heading in app.subheader} <= set(read.texts.get("h2", ()))
    assert set(read.texts.get("dt", ())) <= {metric.label for metric in app.metric}
    assert read.references == [sheet.address]
    labels = [as_text(sheet.label(part)) for part in sheet.parts if isinstance(part.content, go.Figure)]
    assert len(set(labels)) == len(labels) == len(app.get("plotly_chart"))
    assert [button.label for button in app.get("download_button") if button.label in labels] == labels


def test_strangers_texts_are_escaped():
    evil = "</script><script>alert(1)</script>"
    figure = go.Figure(go.Scatter(x=[1], y=[2], name=evil), {"title": {"text": evil}})
    sheet = Sheet(evil, evil, f"http://x/?layer={evil}", evil, [Part(evil), Part(figure, f'"{evil}', evil), Part(AWKWARD, note=evil), Part([(evil, evil)]), Part(lambda: figure)])
    usual = Reader(Sheet("", "", "", "", [Part(go.Figure()), Part(lambda: go.Figure())]).document().decode())
    read = Reader(sheet.document().decode())
    assert read.tags["script"] == usual.tags["script"]
    assert read.references == [sheet.address]
    assert read.texts["h1"] == read.texts["h2"] == read.texts["dt"] == read.texts["dd"] == [evil]
    assert "<script>alert(1)</script>" in read.texts["td"]
    assert "<script>alert" not in sheet.figure_document(sheet.parts[1]).decode()


def test_notes_keep_their_emphasis_and_lose_their_escapes():
    text = Sheet("t", "", "", "", [Part(pd.DataFrame({"a": [1.0]}), note=r"**What you see:** `x` in hidden\.0\.weight \<b\> & more")]).document().decode()
    assert "<strong>What you see:</strong> <code>x</code> in hidden.0.weight &lt;b&gt; &amp; more" in text


def test_prose_becomes_paragraphs_lists_tables_and_formulas():
    text = "#### What?\n\n- *a*\n- 2\n\n**Why?**\n\nAs *ulp* $448 = 1.75 \\cdot 2^{8}$ <b>.\n\n1. one\n2. `two`\n\n| | SQNR |\n|---|---|\n| a | 3 dB |"
    made = Sheet("t", "", "", "", [Part(Prose(text))]).document().decode()
    assert "<h3>What?</h3><ul><li><em>a</em></li><li>2</li></ul><p><strong>Why?</strong></p><p>As <em>ulp</em> 448 = 1.75 · 2<sup>8</sup> &lt;b&gt;.</p><ol><li>one</li><li><code>two</code></li></ol>" in made
    assert "<tr><td></td><td>SQNR</td></tr><tr><td>a</td><td>3 dB</td></tr>" in made


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_as_a_file_has_its_text(lesson):
    app = shared("pages/lessons.py", lesson=lesson, lesson_step="reveal", language="zh")
    made = app.session_state["sharing_sheet"].document().decode()
    language.use_language("zh")
    text, numbers = texts.read(lesson, "zh"), exhibits.show(lesson).numbers
    language.use_language("en")
    parts = [part.format(**numbers) for part in (text.question, text.reveal, text.explain, *text.captions)]
    assert all(markdown.blocks(part) in made or markdown.inline(part) in made for part in (*parts[:2], *parts[3:])) and markdown.blocks(parts[2])[-40:] in made
    assert not re.search(r"\*\*|\\cdot|\$", re.sub(r"<script.*?</script>", "", made, flags=re.DOTALL))


def test_the_selection_is_in_the_file():
    app = shared("pages/distributions.py", size="65536", span="2^3..2^6")
    assert "<p>Selected: 2^3 ≤ |x| / scale &lt; 2^6" in app.session_state["sharing_sheet"].document().decode()


def test_yes_and_no_are_words():
    language.use_language("zh")
    text = Sheet("t", "", "", "", [Part(pd.DataFrame({"a": [True, False]}))]).document().decode()
    language.use_language("en")
    assert re.findall("<td>(.*?)</td>", text) == ["是", "否"]


def test_numbers_are_written_as_the_page_shows_them():
    formats = exports.column_formats({"a": {"type_config": {"type": "number", "format": "%.1f dB"}}, "b": {"type_config": None}, "c": {"type_config": {"format": "percent"}}, "d": "text"})
    assert formats == {"a": "%.1f dB"}
    text = Sheet("t", "", "", "", [Part(pd.DataFrame({"a": [1.25, np.nan], "b": [1e-9, 123456789.0]}), formats=formats)]).document().decode()
    assert re.findall("<td>(.*?)</td>", text) == ["1.2 dB", "1e-09", "", "1.23457e+08"]


def test_figures_are_called_by_their_heading():
    first, second, third = (Part(go.Figure(), name) for name in "abc")
    sheet = Sheet("Page", "", "", "", [first, Part(r"Layer a\.b"), second, third])
    assert [sheet.label(part) for part in (first, second, third)] == ["Page", "Layer a.b", "Layer a.b (2)"]


def test_a_file_speaks_the_language_in_which_it_was_offered():
    language.use_language("zh")
    make = exports.later(language.tr, "Layers")
    language.use_language("en")
    with ThreadPoolExecutor(1) as elsewhere:
        assert (language.tr("Layers"), elsewhere.submit(make).result()) == ("Layers", language.CATALOGUES["zh"]["Layers"])


def test_figures_grow_for_a_projector():
    figure = go.Figure(
        [go.Scatter(x=[1], y=[1], marker={"size": [4, 8], "line": {"width": 2}}, textfont={"size": 10}), go.Heatmap(z=[[1]], colorbar={"title": {"font": {"size": 14}}})],
        {"annotations": [{"text": "a", "font": {"size": 10}, "xshift": 6}], "shapes": [{"line": {"width": 2}}], "margin": {"t": 20}},
    )
    large = theme.enlarged(figure)
    assert large.layout.height == pytest.approx(450 * theme.LARGE)
    assert list(large.data[0].marker.size) == pytest.approx([4 * theme.LARGE, 8 * theme.LARGE])
    for size, usual in ((large.data[0].textfont.size, 10), (large.data[0].marker.line.width, 2), (large.data[1].colorbar.title.font.size, 14), (large.layout.annotations[0].font.size, 10), (large.layout.annotations[0].xshift, 6), (large.layout.shapes[0].line.width, 2), (large.layout.margin.t, 20)):
        assert size == pytest.approx(usual * theme.LARGE)
    assert figure.layout.height is None and figure.layout.margin.t == 20
    usual, large = theme.styled(go.Figure()).layout.template, theme.styled(go.Figure(), large=True).layout.template
    assert large.layout.font.size == pytest.approx(usual.layout.font.size * theme.LARGE)
