"""The frame round every page: title, menu, shared controls, the URL, and the pieces a page is made of.

One rule: the URL is always written, in full, from the View; it is read only when the page or the URL is not what was written last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages.ui import exports, presenting, sharing, theme, widgets
from pages.ui.cached import prepare_server
from pages.ui.charts.alternatives import alternative
from pages.ui.language import of_locale, tr, use_language
from pages.ui.view import CONTROLS, View

NAME = "FP8 Explorer"

_TABLE_FILES = (
    ("csv", "Download as CSV", exports.csv, "text/csv"),
    ("parquet", "Parquet", exports.parquet, "application/vnd.apache.parquet"),
)


@dataclass(frozen=True)
class Page:
    title: str
    question: str
    icon: str
    heading: str = ""


PAGES: dict[str, Page] = {
    "app.py": Page("Overview", "What does 8-bit floating point do to numbers, tensors, layers and matrix products?", ":material/home:", NAME),
    "pages/lessons.py": Page("Lessons", "What should I understand first?", ":material/school:"),
    "pages/formats.py": Page("Formats", "Which numbers exist?", ":material/straighten:"),
    "pages/number.py": Page("One number", "What happens to one number?", ":material/pin:"),
    "pages/distributions.py": Page("Distributions", "What happens to a tensor?", ":material/bar_chart:"),
    "pages/scaling.py": Page("Scaling", "What does the scale do?", ":material/grid_on:"),
    "pages/layers.py": Page("Layers", "Which layers suffer, and what to do about it?", ":material/layers:"),
    "pages/matmul.py": Page("Matrix product", "What survives a product?", ":material/close:"),
    "pages/benchmark.py": Page("Benchmark", "How fast is it here?", ":material/speed:"),
    "pages/conformance.py": Page("Conformance", "Can I trust it?", ":material/verified:"),
}

_VIEW, _WRITTEN, _REFUSED = "frame_view", "frame_written", "frame_refused"
_TOOLBAR = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}
_CAMERAS = {"svg": {"format": "svg"}, "png": {"format": "png", "scale": 2}}
_CARRIED = ("language", "present", "camera")  # how one looks, not what at: it stays where a link sets everything else


def page(file: str, *controls: str) -> View:
    """Draw title, question, menu and controls of a page -> what the visitor chose. The first call of every page.

    Args:
        file: the page's `__file__`.
        controls: names of `View` fields, drawn in the sidebar, or what stands for it, under the headings of their groups.
    """
    name = Path(file).name
    path = next(key for key in PAGES if Path(key).name == name)
    about = PAGES[path]
    view = _incoming(path)
    use_language(view.language)
    st.set_page_config(page_title=f"{tr(about.title)} · {NAME}", layout="wide")
    prepare_server()
    is_presented, title = view.present == "1", about.heading or tr(about.title)
    head = st.container(horizontal=True, vertical_alignment="center", key="head")
    with head:
        st.title(title, anchor=False)
        if is_presented:
            st.markdown(tr(about.question))
        presenting.begin(is_presented, is_dark())
    with presenting.side():
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{NAME}**", width="content")
            view = replace(view, language=widgets.draw("language", view, label_visibility="collapsed"))
        with presenting.folded(is_presented, tr("Pages"), ":material/menu:"):
            for key, each in PAGES.items():  # a link without the query would cost the back button one more press
                st.page_link(key, label=tr(each.title), icon=each.icon, query_params=view.to_query())
        group = None
        for wanted in controls:
            asked = CONTROLS[wanted]
            if asked.only_with and asked.only_with[0] in controls and getattr(view, asked.only_with[0]) != asked.only_with[1]:
                continue
            if asked.group != group:
                group = asked.group
                st.markdown(f"**{tr(group)}**")
            view = replace(view, **{wanted: widgets.draw(wanted, view)})
        st.caption(tr("The address holds every setting: copy it to share what you see."))
    _keep(view, path)
    colours = f"theme.{'dark' if is_dark() else 'light'}"
    st.html(theme.stylesheet(st.get_option(f"{colours}.grayTextColor"), st.get_option(f"{colours}.backgroundColor")))
    with head:
        sharing.draw(path, title, tr(about.question), view, change, control)
        if is_presented:
            st.button(tr("Leave"), key="present_leave", icon=":material/close:", help=tr("Leave presenter mode"), on_click=change, kwargs={"present": "0"})
    if not is_presented:
        with st.container(key="question"):
            st.markdown(f"## :gray[{tr(about.question)}]")
    refused, brought = st.session_state.get(_REFUSED, ((), view))
    if view == brought:  # until the visitor changes something
        widgets.tell(refused)
    return view


def control(name: str) -> View:
    """Draw one more shared control where the page stands -> the view with it."""
    view = st.session_state[_VIEW]
    view = replace(view, **{name: widgets.draw(name, view)})
    _keep(view, st.session_state[_WRITTEN][0])
    return view


def change(**values: Any) -> None:
    """Set fields of the view from a callback (`on_click=`, `on_change=`, `on_select=`), before the next run draws their widgets.

    Raises:
        ValueError: a value that the control does not allow.
    """
    use_language(st.session_state[_VIEW].language)  # a callback runs before its page chooses it: what it says of a refusal has to be in it
    view = replace(st.session_state[_VIEW], **values)
    st.session_state[_VIEW] = view
    _seed(view, values)


def is_dark() -> bool:
    """Whether the visitor's theme is dark."""
    return st.context.theme.type == "dark"


def heading(text: str) -> None:
    """Draw the heading of a section, already translated."""
    st.subheader(text, anchor=False)
    sharing.took(exports.Part(text))


def say(text: str, draw: Callable[[str], Any] = st.markdown) -> None:
    """Draw prose, already translated, that belongs into the page's HTML file too.

    Args:
        draw: what shows it on the page.
    """
    draw(text)
    sharing.took(exports.Part(exports.Prose(text)))


def metrics(shown: Sequence[tuple], columns: Sequence[Any] = (), widths: Sequence[float] = ()) -> None:
    """Draw numbers side by side.

    Args:
        shown: label, value and help of each, already translated; where its arithmetic is to open below it, as Markdown, the lines of that.
        columns: where they stand, if not in a row of their own.
        widths: of the columns of that row.
    """
    for column, (label, value, help, *lines) in zip(columns or st.columns(widths or len(shown)), shown, strict=True):
        column.metric(label, value, help=help)
        if any(lines):
            with column:
                why(value, *lines[0])
    sharing.took(exports.Part([(label, value) for label, value, *_ in shown]))


def flowing_metrics(shown: Sequence[tuple]) -> None:
    """Draw numbers side by side, each as wide as it is, in as many rows as they need."""
    with st.container(horizontal=True, gap="small"):
        places = [st.container(width="content", gap=None) for _ in shown]
    metrics(shown, columns=places)


def figure(drawing: go.Figure, key: str, note: str, **chart: Any):
    """Draw a figure in the visitor's theme, and below it one sentence on what one sees -> what `st.plotly_chart` returns.

    A screen reader reads what is drawn over what, the reach of the numbers, and the sentence.

    Args:
        note: Markdown, already translated.
        chart: further arguments of `st.plotly_chart`, such as `on_select`, `selection_mode`, `config`.
    """
    view = _shown()
    is_presented = view.present == "1"
    sharing.took(exports.Part(drawing, key, note))
    words = alternative(drawing, note)
    drawing = theme.styled(theme.enlarged(drawing) if is_presented else drawing, is_dark(), is_presented)
    if drawing.layout.uirevision is None:
        drawing.layout.uirevision = key
    chart["config"] = _TOOLBAR | {"toImageButtonOptions": _CAMERAS[view.camera] | {"filename": key}} | chart.get("config", {})
    shown = st.plotly_chart(drawing, key=key, theme=None, alt=words, **chart)
    st.caption(note)
    return shown


def in_report(title: str, draw: Callable[[], go.Figure] | None = None, key: str = "") -> None:
    """Put a heading into the page's HTML file that the page itself does not show, and under it a figure, which is drawn when the file is asked for."""
    sharing.took(exports.Part(title))
    if draw:
        sharing.took(exports.Part(draw, key))


def table(rows: Any, name: str, **dataframe: Any):
    """Draw a table with buttons that download it -> what `st.dataframe` returns.

    Args:
        rows: a DataFrame, or what makes one: a dict of columns, a list of dicts.
        name: key of the widgets and name of the file, without its ending.
        dataframe: further arguments of `st.dataframe`, such as `column_config`, `on_select`, `height`.
    """
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    sharing.took(exports.Part(frame, name, formats=exports.column_formats(dataframe.get("column_config") or {})))
    with presenting.folded(_shown().present == "1", tr("Table"), ":material/table_rows:"):
        shown = st.dataframe(frame, key=f"{name}_table", **{"hide_index": True} | dataframe)
        with st.container(horizontal=True, gap="medium"):
            for kind, label, make, mime in _TABLE_FILES:
                st.download_button(tr(label), exports.later(make, frame), f"{name}.{kind}", mime, key=f"{name}_{kind}", icon=":material/download:", type="tertiary", on_click="ignore")
    return shown


def copy_python(code: str) -> None:
    """Show the code that gives the same numbers in a plain interpreter; its copy button is Streamlit's own."""
    with st.expander(tr("The same in Python"), icon=":material/code:"):
        st.code(code.strip(), language="python", wrap_lines=True)


def explain(title: str, text: str, expanded: bool = False) -> None:
    """Draw a foldable paragraph of Markdown, both already translated."""
    with st.expander(title, expanded=expanded, icon=":material/help:"):
        st.markdown(text)


def why(value: str, *lines: str) -> None:
    """Draw a button that opens the arithmetic behind a number beside it.

    Args:
        value: the number as it is shown.
        lines: Markdown, already translated, with the numbers in it.
    """
    with st.popover(tr("Why {value}?").format(value=value), type="tertiary"):
        st.markdown("\n\n".join(lines))


def link(path: str, label: str, **values: Any) -> None:
    """Draw a link to a page in a chosen state: the values here, defaults elsewhere, but for how the visitor looks at it.

    Raises:
        ValueError: a value that a control does not allow.
    """
    st.page_link(path, label=label, icon=PAGES[path].icon, query_params=View(**{name: getattr(_shown(), name) for name in _CARRIED} | values).to_query())


def _shown() -> View:
    return st.session_state.get(_VIEW) or View(language=of_locale(st.context.locale))


def _incoming(path: str) -> View:
    """The view before this run's controls.

    Links, the menu's too, and the back button bring a query; where one types the address of a page there is none, and the last view carries over.
    """
    query, usual, last = st.query_params.to_dict(), {"language": of_locale(st.context.locale)}, _shown()
    if st.session_state.get(_WRITTEN) == (path, query):
        view = _with_widgets(last)
        if view.language != last.language:
            _seed(view, CONTROLS)  # the browser knows options by their words, and these are others now
        return view
    view, refused = View.from_query(query, **usual) if query else (last, ())
    st.session_state[_REFUSED] = refused, view
    _seed(view, CONTROLS)
    return view


def _with_widgets(view: View) -> View:
    """The view with what the visitor has just set, also in widgets that this run has not come to yet."""
    held, changed = st.session_state.to_dict(), {}  # all of it now: menus send the words that were chosen, and these are of the language they were drawn in
    for name, about in CONTROLS.items():
        with suppress(ValueError):  # widgets.draw tells
            changed[name] = about.checked(held.get(name, getattr(view, name)))
    return replace(view, **changed)


def _seed(view: View, names: Iterable[str]) -> None:
    for name in names:
        st.session_state[name] = getattr(view, name)


def _keep(view: View, path: str) -> None:
    query = view.to_query()
    st.session_state[_VIEW], st.session_state[_WRITTEN] = view, (path, query)
    if st.query_params.to_dict() != query:
        st.query_params.from_dict(query)
