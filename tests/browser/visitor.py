"""A browser context that keeps account of all that must not happen."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from tests.browser.server import PATIENCE_S

# On a deep link Streamlit's page first asks below its own path where the server is, then at the root: /formats/_stcore/health, /_stcore/health.
_SEARCH_FOR_THE_SERVER = re.compile(r"/[a-z]+/_stcore/(health|host-config)")
_PATIENCE_MS = PATIENCE_S * 1000
_IDLE = """() => document.querySelector('.stApp')?.getAttribute('data-test-script-state') === 'notRunning'
    && !document.querySelector('[data-testid="stSkeleton"]')
    && [...document.querySelectorAll('[data-testid="stPlotlyChart"]')].every(chart => chart.querySelector('.main-svg'))"""


class Visitor:
    """One person with a browser of their own."""

    def __init__(self, chromium, **context):
        self.context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}} | context)
        self.page = self.context.new_page()
        self.troubles: list[str] = []
        self.page.on("console", self._check_message)
        self.page.on("response", self._check_response)
        self.page.on("pageerror", lambda error: self._note(f"script error: {error}"))
        self.page.on("request", self._check_host)
        self.page.on("websocket", self._check_host)

    def open(self, url: str) -> None:
        """Go there and wait until the page stands."""
        self.page.goto(url)
        self.settle()

    def settle(self, heading: str | None = None) -> None:
        """Wait until the heading is there, the script has finished and every figure is drawn."""
        wanted = self.page.get_by_role("heading", level=1, name=heading, exact=True) if heading else self.page.locator("h1")
        wanted.first.wait_for(timeout=_PATIENCE_MS)
        self.page.wait_for_function(_IDLE, timeout=_PATIENCE_MS)

    def query(self) -> dict[str, str]:
        """The query of the address bar."""
        return dict(parse_qsl(urlsplit(self.page.url).query, keep_blank_values=True))

    def wait_for_query(self, wanted: dict[str, str]) -> None:
        """Wait until the address bar holds this query."""
        self.page.wait_for_function(
            "wanted => JSON.stringify(Object.entries(wanted).sort()) === JSON.stringify([...new URLSearchParams(location.search)].sort())", arg=wanted, timeout=_PATIENCE_MS
        )

    def check(self) -> None:
        """Fail with all that went wrong."""
        broken = self.page.locator('[data-testid="stException"]').all_inner_texts()
        assert not self.troubles and not broken, "\n".join([*self.troubles, *broken])

    def close(self) -> None:
        self.context.close()

    def _note(self, trouble: str) -> None:
        self.troubles.append(f"{self.page.url}: {trouble}")

    def _check_message(self, message) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):  # _check_response knows which resource
            self._note(f"console: {message.text}")

    def _check_response(self, response) -> None:
        if response.status >= 400 and not _SEARCH_FOR_THE_SERVER.fullmatch(urlsplit(response.url).path):
            self._note(f"status {response.status}: {response.url}")

    def _check_host(self, request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            self._note(f"request to another host: {request.url}")
