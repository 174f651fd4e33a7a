"""Every page opens, keeps the view, and takes what a link brings. AppTest knows no browser: tests/browser does."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies
from streamlit import config
from streamlit.testing.v1 import AppTest

from pages.ui import frame
from pages.ui.frame import PAGES
from pages.ui.view import CONTROLS, View

ROOT = Path(__file__).resolve().parents[1]
SMALL = {"size": "65536", "model": "digits", "recipes": "int8_tensor", "rows": "64", "columns": "64", "inner": "64"}  # what a page need not work long for
HOSTILE = ["table(", "table(nan,inf)", "e99m99", "int0", "binary8p9", "own", "hidden.0.weight", "1e999999999", "2^99999", "0x" + "F" * 38, "nvfp4*99999", "keep*0", "B200:float8=nan", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "../../etc/passwd", "\0", "‮", "$x$ :material/home:"]
CHANGED = View(source="laplace", size=65_536, seed=7, format="e5m2", formats=("e2m1fn", "int8"), granularity="row", rounding="up", axis="linear", number="1/3", model="digits", recipes=("int8_tensor",), recipe="nvfp4", inner=64, rows=64, columns=64, repeats=5)


def open_page(path: str, query: dict[str, str] | None = None) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=180)
    if path == "app.py":
        app.query_params.update(query or {})
        app.run()
    else:
        app.run()
        app.query_params.clear()
        app.query_params.update(query or {})
        app.switch_page(path).run()
    assert not app.exception
    return app


def click_menu(app: AppTest, path: str) -> AppTest:
    app.query_params.clear()
    app.switch_page(path).run()
    assert not app.exception
    return app


def view_of(app: AppTest) -> View:
    return app.session_state["frame_view"]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_with_title_and_question(path):
    app = open_page(path)
    assert app.title[0].value == (PAGES[path].heading or PAGES[path].title)
    assert any(PAGES[path].question in text.value for text in app.markdown)


@pytest.mark.parametrize("path", PAGES)
def test_a_link_restores_the_view(path):
    assert view_of(open_page(path, CHANGED.to_query())) == CHANGED


@pytest.mark.parametrize("path", PAGES)
def test_the_whole_view_is_written_into_the_url(path):
    app = open_page(path, {"format": "e5m2"})
    assert dict(app.query_params) == View(format="e5m2").to_query()


@pytest.mark.parametrize("path", PAGES)
def test_junk_in_a_link_gets_a_sentence_and_no_exception(path):
    junk = dict.fromkeys(CONTROLS, "<script>**x**") | {"utm_source": "x"}
    text = open_page(path, junk).warning[0].value
    assert text.startswith("source = ") and text.endswith("more settings in this link are not used.")
    assert "<script>" not in text and "**" not in text


@pytest.mark.parametrize("path", PAGES)
@settings(max_examples=3, deadline=None)
@given(strategies.dictionaries(strategies.sampled_from([*CONTROLS, "v", "embed", "utm_source"]), strategies.sampled_from(HOSTILE) | strategies.text(max_size=60), min_size=4))
def test_no_query_raises(path, query):
    assert view_of(open_page(path, SMALL | query))


def test_a_bad_setting_is_named_with_what_is_shown_instead():
    app = open_page("pages/formats.py", {"format": "e9m9", "seed": "3"})
    assert [w.value for w in app.warning] == ["format = e9m9 in this link is not one of the choices; e4m3fn is shown instead."]
    app.multiselect(key="formats").set_value(["int8"]).run()
    assert not app.warning


def test_change_leave_and_return():
    app = open_page("pages/formats.py")
    app.multiselect(key="formats").set_value(["int8", "e5m2"]).run()
    assert view_of(app) == View(formats=("int8", "e5m2"))
    click_menu(app, "app.py")
    assert view_of(app) == View(formats=("int8", "e5m2"))
    click_menu(app, "pages/formats.py")
    assert list(app.multiselect(key="formats").value) == ["int8", "e5m2"]
    app.query_params.clear()
    app.query_params.update(View(formats=("e3m4",)).to_query())
    app.run()
    assert list(app.multiselect(key="formats").value) == ["e3m4"]


def test_an_empty_choice_keeps_the_last_good_one_and_says_so():
    app = open_page("pages/formats.py")
    app.multiselect(key="formats").set_value([]).run()
    assert not app.exception
    assert view_of(app).formats == View().formats
    assert any("Formats is empty; e4m3fn,e5m2 is shown instead." in caption.value.replace("\\", "") for caption in app.caption)


def _demo():
    import streamlit as st

    from pages.ui import frame

    view = frame.page("app.py", "number", "seed")
    if view.seed == 0:
        frame.control("overflow")
    frame.table({"a": [1, 2]}, "demo")
    frame.explain("Why?", "So.")
    frame.copy_python("\nprint(1)\n")
    st.button("change", on_click=frame.change, kwargs={"number": "0x5E"})


def test_the_pieces_of_a_page(monkeypatch):
    monkeypatch.setattr(frame.st, "page_link", lambda *args, **kwargs: None)
    app = AppTest.from_function(_demo).run()
    assert not app.exception
    assert [e.label for e in app.expander] == ["Why?", "The same in Python"]
    assert app.code[0].value == "print(1)"
    assert app.dataframe[0].value.to_dict("list") == {"a": [1, 2]}

    app.button[-1].click().run()
    assert (view_of(app).number, app.text_input(key="number").value) == ("0x5E", "0x5E")

    app.text_input(key="number").set_value("one").run()
    assert view_of(app).number == "0x5E"
    assert any("is not a number that can be read" in caption.value for caption in app.caption)

    app.selectbox(key="overflow").set_value("ieee").run()
    app.select_slider(key="seed").set_value(1).run()  # the page leaves the control out for one run
    app.select_slider(key="seed").set_value(0).run()
    assert view_of(app).overflow == app.selectbox(key="overflow").value == "ieee"


def test_streamlit_still_has_the_options_that_the_config_names():
    assert config.get_option("runner.postScriptGC") is False
    assert config.get_option("browser.gatherUsageStats") is False
    assert config.get_option("client.showErrorDetails") == "none"
    assert config.get_option("client.showSidebarNavigation") is False
    assert config.get_option("server.fileWatcherType") == "none"
    assert config.get_option("server.maxUploadSize") == 50


@pytest.mark.parametrize(("locale", "query", "language"), [
    ("zh-CN", {}, "zh"), ("zh-TW", {"format": "e5m2"}, "zh"), ("de-DE", {}, "en"), ("zh-CN", {"language": "en"}, "en"), ("en-US", {"language": "zh"}, "zh"), ("zh-CN", {"language": "xx"}, "zh"),
])  # fmt: skip
def test_the_language_of_a_link_comes_before_that_of_the_browser(locale, query, language):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=180)
    app.context["locale"] = locale
    app.query_params.update(query)
    app.run()
    assert not app.exception
    assert (view_of(app).language, app.query_params["language"]) == (language, language)


def test_another_language_keeps_everything_else():
    app = open_page("pages/formats.py", CHANGED.to_query())
    app.button_group(key="language").set_value("zh").run()
    assert not app.exception
    assert view_of(app) == replace(CHANGED, language="zh")
    click_menu(app, "pages/number.py")
    assert view_of(app) == replace(CHANGED, language="zh")
