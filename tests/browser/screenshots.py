"""Full-page pictures of every page in light and dark, for people to look at: python tests/browser/screenshots.py FOLDER [PAGE ...]"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from pages.ui.frame import PAGES  # noqa: E402
from tests.browser.server import PATIENCE_S, launch, running_server  # noqa: E402


def settle(page) -> None:
    """Wait until the script has run and every figure is drawn."""
    page.wait_for_selector("h1", timeout=PATIENCE_S * 1000)
    page.wait_for_selector('[data-testid="stStatusWidget"]', state="detached", timeout=PATIENCE_S * 1000)
    page.wait_for_function("[...document.querySelectorAll('[data-testid=stPlotlyChart]')].every(e => e.querySelector('.main-svg'))", timeout=PATIENCE_S * 1000)
    page.wait_for_timeout(1000)


def take(folder: Path, names: list[str]) -> None:
    """Open each page 1440 × 900, then as tall as its content, and save it."""
    folder.mkdir(parents=True, exist_ok=True)
    with running_server() as address, sync_playwright() as playwright:
        browser = launch(playwright)
        for scheme in ("light", "dark"):
            page = browser.new_context(color_scheme=scheme, viewport={"width": 1440, "height": 900}).new_page()
            for name in names:
                page.set_viewport_size({"width": 1440, "height": 900})
                page.goto(f"{address}/{'' if name == 'app' else name}")
                settle(page)
                height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
                page.set_viewport_size({"width": 1440, "height": max(900, height)})
                settle(page)
                page.screenshot(path=folder / f"{name}-{scheme}.png", full_page=True)
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    take(Path(sys.argv[1]), sys.argv[2:] or [Path(path).stem for path in PAGES])
