"""Full-page pictures of every page in light and dark, for people to look at: python tests/browser/screenshots.py FOLDER [PAGE ...]"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from pages.ui.frame import PAGES  # noqa: E402
from tests.browser.server import launch, running_server  # noqa: E402
from tests.browser.visitor import Visitor  # noqa: E402

WIDTH, HEIGHT = 1440, 900


def take(folder: Path, names: list[str]) -> None:
    """Open each page, grow the window to its content, and save it as NAME-SCHEME.png."""
    folder.mkdir(parents=True, exist_ok=True)
    with running_server() as address, sync_playwright() as playwright:
        browser = launch(playwright)
        for scheme in ("light", "dark"):
            for name in names:
                visitor = Visitor(browser, color_scheme=scheme)
                visitor.open(f"{address}/{'' if name == 'app' else name}")
                content = visitor.page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
                visitor.page.set_viewport_size({"width": WIDTH, "height": max(HEIGHT, content)})
                visitor.settle()
                visitor.page.wait_for_timeout(1000)  # for the eye only: fonts and fades
                visitor.page.screenshot(path=folder / f"{name}-{scheme}.png", full_page=True)
                visitor.check()
                visitor.close()
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    take(Path(sys.argv[1]), sys.argv[2:] or [Path(path).stem for path in PAGES])
