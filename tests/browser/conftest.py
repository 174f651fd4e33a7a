import pytest
from playwright.sync_api import sync_playwright

from tests.browser.server import launch, running_server


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def cold_server():
    """A server that nobody has visited: the first request is the one that the test makes."""
    with running_server() as address:
        yield address


@pytest.fixture(scope="module")
def server():
    with running_server() as address:
        yield address


@pytest.fixture
def visit(chromium):
    """visit(url) -> a page in a browser context of its own, settled; what went wrong there fails the test at its end."""
    from tests.browser.visitor import Visitor

    visitors = []

    def open_url(url: str, **context) -> Visitor:
        visitors.append(Visitor(chromium, **context))
        visitors[-1].open(url)
        return visitors[-1]

    yield open_url
    for visitor in visitors:
        visitor.check()
        visitor.close()
