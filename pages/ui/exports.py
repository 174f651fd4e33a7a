"""What a page shows, as files: its tables, its figures, and all of it as one HTML file that needs no server. No Streamlit.

A `Sheet` takes down what a page draws, in order; the files are made when they are asked for, in another thread, so that texts are translated before.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
from pyarrow import parquet as arrow_parquet

from pages.ui import markdown, theme
from pages.ui.language import tr

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #262C38; max-width: 1200px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: 14px; } th, td { padding: 4px 10px; border-bottom: 1px solid #D5DBE4; text-align: right; }
th:first-child, td:first-child { text-align: left; } .wide { overflow-x: auto; margin: 1rem 0; } small, .note { color: #5B6678; } a { overflow-wrap: anywhere; }
dl { display: flex; flex-wrap: wrap; gap: 0.5rem 2.5rem; } dt { font-size: 14px; color: #5B6678; } dd { margin: 0; font-size: 22px; } button { font: inherit; font-size: 14px; }
"""
_SAVE = """<script>document.addEventListener("click", event => {
const button = event.target.closest("button[data-format]");
if (button) Plotly.downloadImage(button.closest("section").querySelector(".js-plotly-plot"), {format: button.dataset.format, filename: button.dataset.name, scale: button.dataset.format === "png" ? 2 : 1});
});</script>"""

Metrics = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Prose:
    """Paragraphs of Markdown, already translated."""

    text: str


@dataclass(frozen=True)
class Part:
    """One thing of a page.

    Args:
        content: a heading, prose, a figure or what makes it, a table, or numbers by their labels.
        name: of its files.
        note: Markdown, already translated.
        formats: printf formats of the columns of a table.
    """

    content: str | Prose | go.Figure | Callable[[], go.Figure] | pd.DataFrame | Metrics
    name: str = ""
    note: str = ""
    formats: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sheet:
    """What a page has drawn so far.

    Args:
        address: the link to it, in full.
        short: the same without what is as by default.
    """

    title: str
    question: str
    address: str
    short: str
    parts: list[Part] = field(default_factory=list)

    def label(self, figure: Part) -> str:
        """What a figure is called: the heading that it stands under, numbered where there are several."""
        heading, place, places = self.title, 0, {}
        for part in self.parts:
            if isinstance(part.content, str):
                heading = markdown.plain(part.content)
            elif isinstance(part.content, go.Figure):
                places[heading] = places.get(heading, 0) + 1
            if part is figure:
                place = places[heading]
                break
        return heading if place == 1 else f"{heading} ({place})"

    def document(self) -> bytes:
        """Everything as one HTML file."""
        return document(self, self.title, self.parts)

    def figure_document(self, figure: Part) -> bytes:
        """One figure as an HTML file."""
        return document(self, self.label(figure), [figure])


def later(make: Callable[..., bytes], *arguments: Any) -> Callable[[], bytes]:
    """Put off making a file to the click on its button -> what makes it, in the language of now."""
    context = copy_context()
    return lambda: context.copy().run(partial(make, *arguments))


def csv(table: pd.DataFrame) -> bytes:
    """A table as spreadsheets read it."""
    return table.to_csv(index=False).encode("utf-8-sig")


def parquet(table: pd.DataFrame) -> bytes:
    """A table with the types of its columns; NaN stays NaN, and a column of mixed types becomes text."""
    written = io.BytesIO()
    arrow_parquet.write_table(pa.table({str(name): _column(table[name]) for name in table.columns}), written)
    return written.getvalue()


def _column(values: pd.Series) -> pa.Array:
    if values.dtype.kind == "f":
        return pa.array(values.to_numpy(), from_pandas=False)
    try:
        return pa.Array.from_pandas(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if pd.api.types.is_scalar(value) and pd.isna(value) else str(value) for value in values], pa.string())


def column_formats(column_config: Mapping[str, Any]) -> dict[str, str]:
    """The printf formats out of the `column_config` of a table."""
    found = {name: (config.get("type_config") or {}).get("format") for name, config in column_config.items() if isinstance(config, Mapping)}
    return {name: text for name, text in found.items() if text and re.fullmatch(r"[^%]*%[\d.]*[dfeg][^%]*(%%)?", text)}


def document(sheet: Sheet, title: str, parts: Sequence[Part]) -> bytes:
    """Put an HTML file of parts of a page together, with Plotly's library inside where there is a figure; every text is escaped here."""
    body = "".join(_sections(parts))
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    origin = tr("Computed by the FP8 Explorer, bit for bit as the formats are defined.")
    link = f'<a href="{html.escape(sheet.address)}">{html.escape(sheet.short)}</a>'
    head = f"<h1>{html.escape(title)}</h1><p>{html.escape(sheet.question)}</p><p><small>{html.escape(origin)} {when}<br>{link}</small></p>"
    return f'<!DOCTYPE html><html><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>{head}{body}{_SAVE}</body></html>'.encode()


def _sections(parts: Sequence[Part]) -> Iterator[str]:
    library = True
    for part in parts:
        content = part.content() if callable(part.content) else part.content
        note = f'<p class="note">{markdown.inline(part.note)}</p>' if part.note else ""
        if isinstance(content, str):
            yield f"<h2>{markdown.inline(content)}</h2>"
        elif isinstance(content, Prose):
            yield markdown.blocks(content.text)
        elif isinstance(content, go.Figure):
            drawn = theme.styled(go.Figure(content)).to_html(full_html=False, include_plotlyjs=library, config={"displaylogo": False, "modeBarButtonsToRemove": ["toImage"]})
            buttons = " ".join(f'<button data-format="{kind}" data-name="{html.escape(part.name)}">{kind.upper()}</button>' for kind in ("png", "svg"))
            yield f"<section>{drawn}{note}{buttons}</section>"
            library = False
        elif isinstance(content, pd.DataFrame):
            yield f'<div class="wide">{_table(content, part.formats)}{note}</div>'
        else:
            yield f"<dl>{''.join(f'<div><dt>{markdown.inline(label)}</dt><dd>{markdown.inline(value)}</dd></div>' for label, value in content)}</dl>"


def _table(table: pd.DataFrame, formats: Mapping[str, str]) -> str:
    shown = table.copy()
    for name in shown.columns:
        if shown[name].dtype.kind == "f":
            pattern = formats.get(str(name), "%.6g")
            shown[name] = ["" if value != value else pattern % value for value in table[name]]
        elif shown[name].dtype.kind == "b":
            shown[name] = [tr("yes") if value else tr("no") for value in table[name]]
    return shown.to_html(index=False, border=0, na_rep="")
