"""The place on every page to take it along: its address, a code to photograph, presenter mode, and its files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import plotly.graph_objects as go
import segno
import streamlit as st
from segno.encoder import DataOverflowError

from pages.ui.exports import Part, Sheet, later
from pages.ui.language import tr
from pages.ui.upload import as_text
from pages.ui.view import View

OPEN = "share_open"
_STYLE = """<style>
[data-testid="stPopoverBody"]:has(.st-key-share_body) { width: 58rem !important; max-width: 94vw !important; }
.st-key-share_files button { min-height: 1.5rem; padding-block: 0; }
</style>"""
_SHEET, _FILES = "sharing_sheet", "sharing_files"


def address(path: str, query: dict[str, str]) -> str:
    """The full address of a page of this server as the visitor's browser reaches it, behind a proxy too."""
    name = "" if path == "app.py" else Path(path).stem
    base = (st.context.url or "").rstrip("/").removesuffix(f"/{name}")
    return f"{base}/{name}?{urlencode(query, safe=',:/*')}"


def code(text: str) -> str:
    """A QR code as SVG, black on white.

    Raises:
        ValueError: the text is too long for any.
    """
    try:
        made = segno.make(text, micro=False, error="l")
    except DataOverflowError as error:
        raise ValueError("is too long for a QR code") from error
    drawn = io.BytesIO()
    made.save(drawn, kind="svg", border=4, light="white", xmldecl=False, omitsize=True)
    return drawn.getvalue().decode()


def draw(path: str, title: str, question: str, view: View, switch: Callable[..., None], control: Callable[[str], View]) -> None:
    """Draw the button; what is behind it costs nothing while it is closed.

    Args:
        switch: `frame.change`.
        control: `frame.control`.
    """
    place = st.popover(tr("Share"), icon=":material/share:", key=OPEN, on_change="rerun")
    if not place.open:
        st.session_state[_SHEET] = None
        return
    sheet = Sheet(title, question, address(path, view.to_query()), address(path, view.to_short_query()))
    st.session_state[_SHEET] = sheet
    with place, st.container(key="share_body"):
        st.html(_STYLE)
        left, right = st.columns(2, gap="medium")
        with left:
            _draw_code(sheet.short)
        with right:
            st.markdown(f"**{tr('The address of what you see')}**")
            st.code(sheet.address, language=None, wrap_lines=True, height=120)
            if view.present == "0":
                st.button(tr("Presenter mode"), key="share_present", icon=":material/co_present:", on_click=_present, args=(switch,), help=tr("Large type, strong contrast, figures at full width, and the controls folded away."))
            _download(tr("This page as one HTML file"), Path(path).stem, sheet.document, key="share_page", help=tr("Figures, tables and notes in one file of about 5 MB, for a colleague without this program."))
            control("camera")
            st.caption(tr("Each figure as an HTML file of its own:"))
            st.session_state[_FILES] = st.container(key="share_files", gap="xxsmall")


def took(part: Part) -> None:
    """Take down what the page has just drawn, and offer the file of a figure; nothing happens while the place is closed."""
    sheet: Sheet | None = st.session_state.get(_SHEET)
    if sheet is None:
        return
    sheet.parts.append(part)
    if isinstance(part.content, go.Figure):
        with st.session_state[_FILES]:
            _download(as_text(sheet.label(part)), part.name, sheet.figure_document, part, key=f"share_figure_{part.name}")


def _present(switch: Callable[..., None]) -> None:
    switch(present="1")
    st.session_state[OPEN] = False


def _draw_code(text: str) -> None:
    try:
        st.image(code(text), width="stretch")
    except ValueError:
        st.info(tr("The address is too long for a code to photograph: send it as text."))
    else:
        st.caption(tr("Opens the same view. What is as by default is left out, so that the code can be read from afar."))


def _download(label: str, name: str, make: Callable[..., bytes], *arguments: Any, **button: Any) -> None:
    st.download_button(label, later(make, *arguments), f"{name}.html", "text/html", icon=":material/download:", type="tertiary", on_click="ignore", **button)
