"""What one takes along from a page, in a real browser: its link, its code, its files; presenter mode, and a page in a frame of another."""

from urllib.parse import parse_qsl, urlsplit

import pytest
import zxingcpp
from PIL import Image

from pages.ui.view import View
from tests.browser.test_browser import CHANGED, heading_of, url_of

pytestmark = pytest.mark.browser


def open_share(visitor):
    visitor.page.get_by_role("button", name="Share").click()
    visitor.page.get_by_test_id("stPopoverBody").get_by_test_id("stCode").wait_for()
    visitor.settle()
    return visitor.page.get_by_test_id("stPopoverBody")


def test_the_copied_link_opens_the_same_page_and_the_code_is_its_address(server, visit, tmp_path):
    first = visit(url_of(server, "pages/number.py", CHANGED), permissions=["clipboard-read", "clipboard-write"])
    place = open_share(first)
    place.get_by_test_id("stCode").hover()
    place.get_by_role("button", name="Copy to clipboard").click()
    link = first.page.evaluate("navigator.clipboard.readText()")
    image = place.get_by_test_id("stImage").locator("img")
    first.page.wait_for_function("image => image.complete && image.clientWidth > 200", arg=image.element_handle())
    image.screenshot(path=tmp_path / "code.png")
    photographed = zxingcpp.read_barcode(Image.open(tmp_path / "code.png")).text
    assert photographed.split("?")[0] == link.split("?")[0] == url_of(server, "pages/number.py")
    assert View.from_query(dict(parse_qsl(urlsplit(photographed).query))) == (CHANGED, ())
    second = visit(link)
    second.settle(heading_of("pages/number.py"))
    second.wait_for_query(CHANGED.to_query())
    assert second.page.get_by_text("1/3 in FP8 E5M2").is_visible()


def test_a_page_is_downloaded_as_one_file_that_needs_no_server(server, visit, chromium, tmp_path):
    visitor = visit(url_of(server, "app.py"))
    place = open_share(visitor)
    with visitor.page.expect_download() as download:
        place.get_by_role("button", name="This page as one HTML file").click()
    download.value.save_as(tmp_path / "page.html")
    with chromium.new_context(offline=True) as context:
        page = context.new_page()
        page.goto((tmp_path / "page.html").as_uri())
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
        for kind, start in (("png", b"\x89PNG"), ("svg", b"<svg")):
            with page.expect_download() as download:
                page.locator(f"button[data-format={kind}]").first.click()
            assert download.value.suggested_filename == f"overview.{kind}"
            assert download.value.path().read_bytes().startswith(start)


@pytest.mark.parametrize(("scheme", "ink"), [("light", "rgb(0, 0, 0)"), ("dark", "rgb(255, 255, 255)")])
def test_presenter_mode_writes_in_full_contrast_and_large(server, visit, scheme, ink):
    look = "element => { const style = getComputedStyle(element); return [style.color, parseFloat(style.fontSize) >= 20]; }"
    visitor = visit(url_of(server, "pages/lessons.py", View(present="1")), color_scheme=scheme)
    assert visitor.page.locator(".st-key-lessons_choices button p").first.evaluate(look) == [ink, True]
    visitor = visit(url_of(server, "pages/lessons.py", View(present="1", lesson_step="reveal")), color_scheme=scheme)
    assert visitor.page.get_by_test_id("stCaptionContainer").locator("p").first.evaluate(look)[0] == ink


def test_presenter_mode(server, visit):
    visitor = visit(url_of(server, "pages/formats.py"))
    figure = visitor.page.get_by_test_id("stPlotlyChart").first
    size = "getComputedStyle(document.querySelector('.xtick text')).fontSize"
    usual, height = float(visitor.page.evaluate(size).removesuffix("px")), figure.bounding_box()["height"]
    open_share(visitor).get_by_role("button", name="Presenter mode").click()
    visitor.wait_for_query(View(present="1").to_query())
    visitor.page.get_by_role("button", name="Leave").wait_for()
    visitor.settle()
    assert not visitor.page.get_by_test_id("stPopoverBody").is_visible()
    assert not visitor.page.get_by_test_id("stSidebar").is_visible()
    assert not visitor.page.get_by_test_id("stHeader").is_visible()
    visitor.page.wait_for_function(f"parseFloat({size}) > {1.3 * usual}")
    box = figure.bounding_box()
    assert box["y"] + box["height"] < 900 and box["width"] > 1300 and box["height"] > 1.3 * height

    visitor.page.get_by_role("button", name="Controls").click()
    controls = visitor.page.get_by_test_id("stPopoverBody")
    controls.get_by_text("A format of your own", exact=True).wait_for()
    controls.get_by_text("Pages", exact=True).click()
    controls.get_by_role("link", name="Overview", exact=True).click()
    visitor.settle(heading_of("app.py"))
    visitor.page.get_by_role("button", name="Leave").click()
    visitor.wait_for_query(View().to_query())
    visitor.page.get_by_test_id("stSidebar").wait_for()
    assert visitor.page.evaluate("getComputedStyle(document.documentElement).fontSize") == "16px"


def test_a_page_in_a_frame_of_another(server, visit):
    address = url_of(server, "pages/formats.py", CHANGED)
    visitor = visit(f"{server}/number")
    visitor.page.evaluate("address => { document.body.innerHTML = `<iframe src=\"${address}\" width=1200 height=800></iframe>` }", f"{address}&embed=true")
    frame = visitor.page.frame_locator("iframe")
    frame.locator(".js-plotly-plot .main-svg").first.wait_for()
    assert frame.get_by_test_id("stPlotlyChart").first.is_visible()
    inside = visitor.page.frames[-1]
    inside.wait_for_function("new URLSearchParams(location.search).get('axis') === 'log'")
    assert "embed=true" in inside.url and "formats=e2m1fn" in inside.url
    frame.get_by_text("by binade").first.click()
    inside.wait_for_function("new URLSearchParams(location.search).get('axis') === 'binade'")
    assert "embed=true" in inside.url
