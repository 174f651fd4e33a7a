"""The address of what one sees, its code, and presenter mode, as far as they need no browser."""

import re
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
import zxingcpp
from streamlit.testing.v1 import AppTest

from pages.ui import sharing
from pages.ui.frame import PAGES
from pages.ui.view import View

ROOT = Path(__file__).resolve().parents[1]


def photographed(svg: str, pixels: int = 4) -> str:
    """What a scanner reads from a code; the lines of its path are drawn here."""
    width, height, *rest = (int(each) for each in re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups())
    picture, x, y = np.full((height, width), 255, np.uint8), 0, 0.0
    for command, numbers in re.findall(r"([Mmh])([\d. -]*)", re.search(r'class="qrline"[^>]* d="([^"]*)"', svg)[1]):
        first, *rest = map(float, re.findall(r"-?[\d.]+", numbers))
        if command == "h":
            picture[int(y), int(x) : int(x + first)] = 0
            x += first
        elif command == "m":
            x, y = x + first, y + rest[0]
        else:
            x, y = first, rest[0]
    return zxingcpp.read_barcode(picture.repeat(pixels, 0).repeat(pixels, 1)).text


@pytest.mark.parametrize("view", [View(), View(number="1/3", plan="mxfp4*2,keep", layer="Schicht.ü.0", recipes=("nvfp4", "mxfp4")), View(plan=",".join(["mxfp4"] * 330))], ids=["short", "usual", "long"])
def test_the_code_is_the_address(view, monkeypatch):
    monkeypatch.setattr(sharing.st, "context", SimpleNamespace(url="https://lab.example/fp8/formats"))
    address = sharing.address("pages/formats.py", view.to_short_query())
    assert photographed(sharing.code(address)) == address
    assert View.from_query(dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))) == (view, ())


def test_what_is_too_long_for_a_code_is_refused():
    assert sharing.code("x" * 2900)
    with pytest.raises(ValueError, match="too long"):
        sharing.code("x" * 2954)


@pytest.mark.parametrize(("base", "path", "wanted"), [
    ("http://127.0.0.1:8501", "app.py", "http://127.0.0.1:8501/?v=1"),
    ("http://127.0.0.1:8501/formats", "pages/formats.py", "http://127.0.0.1:8501/formats?v=1"),
    ("https://lab.example/tools/fp8", "app.py", "https://lab.example/tools/fp8/?v=1"),
    ("https://lab.example/tools/fp8/number", "pages/number.py", "https://lab.example/tools/fp8/number?v=1"),
])  # fmt: skip
def test_the_address_is_that_of_the_browser(monkeypatch, base, path, wanted):
    monkeypatch.setattr(sharing.st, "context", SimpleNamespace(url=base))
    assert sharing.address(path, {"v": "1"}) == wanted


def opened(path: str, share: bool = False, **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=180).run()
    app.query_params.update(query)
    (app if path == "app.py" else app.switch_page(path)).run()
    if share:
        app.session_state["share_open"] = True
        app.run()
    assert not app.exception
    return app


@pytest.mark.parametrize("path", PAGES)
def test_every_page_can_be_presented(path):
    app = opened(path, present="1", size="65536", model="digits", recipes="int8_tensor", inner="64")
    assert not app.sidebar.children
    assert app.button(key="present_leave").label == "Leave"
    app.button(key="present_leave").click().run()
    assert not app.exception and app.sidebar.children
    assert app.query_params["present"] == "0"


def test_the_controls_work_while_presenting():
    app = opened("pages/formats.py", share=True)
    app.button(key="share_present").click().run()
    assert app.query_params["present"] == "1" and not app.session_state["share_open"]
    app.multiselect(key="formats").set_value(["int8"]).run()
    assert (app.query_params["present"], app.query_params["formats"]) == ("1", "int8")
    app.query_params.clear()
    app.switch_page("app.py").run()  # as the menu does
    assert app.query_params["present"] == "1"


def test_the_place_shows_the_address_and_the_camera_obeys():
    app = opened("pages/formats.py", share=True, formats="int8")
    assert dict(parse_qsl(urlsplit(app.code[0].value).query, keep_blank_values=True)) == app.query_params == View(formats=("int8",)).to_query()
    assert '"format": "svg"' in app.get("plotly_chart")[0].proto.config
    app.segmented_control(key="camera").set_value("png").run()
    assert '"format": "png"' in app.get("plotly_chart")[0].proto.config
    assert "camera=png" in app.code[0].value


def test_a_closed_place_takes_nothing_down():
    app = opened("pages/formats.py")
    assert app.session_state["sharing_sheet"] is None
    assert not any("share" in (each.proto.id or "") for each in app.get("download_button"))
