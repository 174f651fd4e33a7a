"""What only a real browser shows: cold deep links, the menu, copied links, and that nothing is fetched from elsewhere."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from pages.ui.frame import PAGES
from pages.ui.view import View

pytestmark = pytest.mark.browser

CHANGED = View(source="laplace", size=65_536, seed=7, format="e5m2", formats=("e2m1fn", "int8"), granularity="row", rounding="up", number="1/3", model="digits", recipes=("int8_tensor", "nvfp4"), inner=64, rows=64, columns=64, repeats=5)


def url_of(address: str, path: str, view: View | None = None) -> str:
    name = "" if path == "app.py" else Path(path).stem
    return f"{address}/{name}" + (f"?{urlencode(view.to_query())}" if view else "")


def heading_of(path: str) -> str:
    return PAGES[path].heading or PAGES[path].title


def menu(visitor, path: str):
    return visitor.page.get_by_test_id("stSidebar").get_by_role("link", name=PAGES[path].title, exact=True)


@pytest.mark.parametrize("path", PAGES)
def test_a_deep_link_opens_cold(cold_server, visit, path):
    visitor = visit(url_of(cold_server, path, CHANGED))
    visitor.settle(heading_of(path))
    assert visitor.page.get_by_text(PAGES[path].question, exact=True).first.is_visible()
    assert visitor.query() == CHANGED.to_query()


def test_the_menu_keeps_the_state_through_every_page(server, visit):
    visitor = visit(url_of(server, "app.py", CHANGED))
    for path in [*list(PAGES)[1:], "app.py"]:
        menu(visitor, path).click()
        visitor.settle(heading_of(path))
        visitor.wait_for_query(CHANGED.to_query())


def test_a_changed_control_is_in_the_copied_link(server, visit):
    first = visit(url_of(server, "pages/formats.py"))
    first.page.get_by_role("radio", name="by binade").or_(first.page.get_by_role("button", name="by binade")).first.click()
    first.wait_for_query(View(axis="binade").to_query())
    first.settle()
    second = visit(first.page.url)
    second.settle(heading_of("pages/formats.py"))
    assert second.query() == View(axis="binade").to_query()
    assert second.page.get_by_text("by binade").first.is_visible()


def test_the_back_button_brings_the_page_and_its_state_back(server, visit):
    visitor = visit(url_of(server, "pages/formats.py", CHANGED))
    menu(visitor, "pages/number.py").click()
    visitor.settle(heading_of("pages/number.py"))
    visitor.wait_for_query(CHANGED.to_query())
    visitor.page.go_back()
    visitor.settle(heading_of("pages/formats.py"))
    visitor.wait_for_query(CHANGED.to_query())


def test_an_example_of_the_overview_opens_in_its_state(server, visit):
    visitor = visit(url_of(server, "app.py"))
    visitor.page.get_by_role("link", name="Why 0.1 becomes 0.1015625").click()
    visitor.settle(heading_of("pages/number.py"))
    visitor.wait_for_query(View(number="0.1", format="e4m3fn").to_query())


def test_a_bad_setting_in_a_link_is_named(server, visit):
    visitor = visit(url_of(server, "pages/formats.py") + "?format=e9m9&seed=3")
    visitor.page.get_by_text("format = e9m9 in this link is not one of the choices; e4m3fn is shown instead.").wait_for()
    visitor.wait_for_query(View(seed=3).to_query())


def test_another_language_changes_words_and_no_setting(server, visit):
    view = replace(CHANGED, families=("FP8", "integers"))
    visitor = visit(url_of(server, "pages/number.py", view))
    for language, key, menu_name, chosen, family in (("简体中文", "zh", "舍入", "向正无穷舍入", "整数"), ("English", "en", "Rounding", "Toward +infinity", "integers")):
        visitor.page.get_by_role("radio", name=language).or_(visitor.page.get_by_role("button", name=language)).first.click()
        visitor.wait_for_query(replace(view, language=key).to_query())
        visitor.settle()
        expect(visitor.page.get_by_role("combobox", name=menu_name, exact=True)).to_have_value(chosen)
        expect(visitor.page.get_by_text(family, exact=True).first).to_be_visible()
        number = visitor.page.get_by_test_id("stSidebar").get_by_role("textbox").first
        number.fill(f"1/{len(key + chosen)}")  # the browser sends the words of every menu along
        number.press("Enter")
        view = replace(view, number=f"1/{len(key + chosen)}")
        visitor.wait_for_query(replace(view, language=key).to_query())
        visitor.settle()


def test_a_browser_in_chinese_is_answered_in_chinese(server, visit):
    visitor = visit(url_of(server, "app.py"), locale="zh-CN")
    visitor.wait_for_query(View(language="zh").to_query())
    visitor.page.get_by_role("link", name="概览", exact=True).wait_for()
    assert visitor.page.title() == "概览 · FP8 Explorer"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_follow_the_theme(server, visit, scheme):
    visitor = visit(url_of(server, "app.py"), color_scheme=scheme)
    brightness = "[...getComputedStyle(document.querySelector('.xtick text')).fill.matchAll(/\\d+/g)].reduce((sum, [part]) => sum + Number(part), 0)"
    visitor.page.wait_for_function(f"{brightness} > 550" if scheme == "dark" else f"{brightness} > 0 && {brightness} < 250")
