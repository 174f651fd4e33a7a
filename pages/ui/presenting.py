"""Presenter mode: large type, strong contrast, no sidebar; what the sidebar holds is folded into one button above the page."""

from __future__ import annotations

from contextlib import nullcontext

import streamlit as st

from pages.ui import theme
from pages.ui.language import tr

_SIDE = "presenting_side"
_STYLE = """<style>
html {{ font-size: {size}px; }}
.stApp, .stApp h1, .stApp h2, .stApp h3, .stApp [data-testid="stCaptionContainer"] p, [data-testid="stWidgetLabel"], [data-testid="stMetricLabel"], [data-testid="stMetricValue"], [data-testid="stMarkdown"] p, [data-testid="stMarkdown"] li {{ color: {ink}; opacity: 1; }}
[data-testid="stHeader"], [data-testid="stSidebar"] {{ display: none; }}
[data-testid="stMainBlockContainer"] {{ padding: 0.4rem 1.2rem 2rem; }}
[data-testid="stMainBlockContainer"] h1 {{ font-size: 1.5rem; padding: 0; white-space: nowrap; }}
[data-testid="stMainBlockContainer"] h3 {{ font-size: 1.25rem; padding: 0.2rem 0; }}
.st-key-lessons_choices button, .st-key-lessons_choices button p {{ color: {ink}; }}
.st-key-head {{ flex-wrap: nowrap; }}
.st-key-head > :has([data-testid="stMarkdown"]) {{ flex: 0 1 auto; min-width: 0; }}
[data-testid="stHorizontalBlock"]:has(> [data-testid="stColumn"] [data-testid="stPlotlyChart"]) {{ flex-wrap: wrap; }}
[data-testid="stHorizontalBlock"]:has(> [data-testid="stColumn"] [data-testid="stPlotlyChart"]) > [data-testid="stColumn"] {{ flex: 1 1 100%; min-width: 100%; }}
</style>"""
_PIXELS = 16  # of a browser's ordinary type


def begin(is_on: bool, is_dark: bool) -> None:
    """Decide for this run of a page where its controls go: into the sidebar, or into a button drawn here."""
    if is_on:
        st.html(_STYLE.format(size=_PIXELS * theme.LARGE, ink="#FFFFFF" if is_dark else "#000000"))
        st.session_state[_SIDE] = st.popover(tr("Controls"), icon=":material/tune:", key="presenting_controls")
    else:
        st.session_state[_SIDE] = st.sidebar


def side():
    """The container for what belongs beside the page and not into it."""
    return st.session_state.get(_SIDE, st.sidebar)


def folded(is_on: bool, label: str, icon: str):
    """Where that stands which a projector shows on request only, so that figures and controls come first."""
    return st.expander(label, icon=icon) if is_on else nullcontext()
