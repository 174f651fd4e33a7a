"""An analysis as one HTML file that needs no server: its figures, with Plotly's library inside, and its tables."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from fp8core.layers import LayerReport
from pages.ui import layer_reports as work
from pages.ui import theme
from pages.ui.charts import layers
from pages.ui.language import language, tr, use_language

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #262C38; max-width: 1200px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: 14px; } th, td { padding: 4px 10px; border-bottom: 1px solid #D5DBE4; text-align: right; }
th:first-child, td:first-child { text-align: left; } .wide { overflow-x: auto; } small { color: #5B6678; }
"""

Section = tuple[str, go.Figure | pd.DataFrame]


def button(source: work.Source, found: Sequence[LayerReport], titles: dict[str, str]) -> None:
    """Draw the button that downloads the report of an analysis; it is put together when it is asked for."""
    st.download_button(
        tr("Download as one HTML file"), partial(_analysis, language(), source, list(found), titles), "layers.html", "text/html",
        key="layers_html", icon=":material/summarize:", on_click="ignore", help=tr("Figures and tables in one file of about 5 MB, for a colleague without this program."),
    )  # fmt: skip


def document(title: str, note: str, sections: Sequence[Section]) -> str:
    """Put a report together; every text is escaped here.

    Args:
        sections: a heading, and a figure or a table, in order.
    """
    parts, library = [], True
    for heading, content in sections:
        parts.append(f"<h2>{html.escape(heading)}</h2>")
        if isinstance(content, go.Figure):
            parts.append(theme.styled(content).to_html(full_html=False, include_plotlyjs=library, config={"displaylogo": False}))
            library = False
        else:
            parts.append(f'<div class="wide">{content.to_html(index=False, border=0, float_format="%.2f", na_rep="")}</div>')
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f'<!DOCTYPE html><html lang="{language()}"><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>'
        f"<h1>{html.escape(title)}</h1><p>{html.escape(note)} <small>{when}</small></p>{''.join(parts)}</body></html>"
    )


def _analysis(chosen: str, source: work.Source, found: list[LayerReport], titles: dict[str, str]) -> bytes:
    use_language(chosen)  # a download is put together outside of the run that drew its button
    sections: list[Section] = [(tr("All layers together"), pd.DataFrame(work.summary_rows(found)))]
    sections += [(tr("Layer by layer"), layers.dots(found, titles)), (tr("SQNR as colours"), layers.heat_map(found, titles)), (tr("Outliers"), layers.outliers(found, titles))]
    sections += [(tr("All layers"), pd.DataFrame(work.layer_rows(layers.by_difference(found))))]
    if kept := work.kept_rows(found):
        sections.append((tr("Left as they are"), pd.DataFrame(kept)))
    note = tr("What number formats with their scales do to the tensors of {name}: computed by the FP8 Explorer, bit for bit as the formats are defined.").format(name=source.title)
    return document(source.title, note, sections).encode()
