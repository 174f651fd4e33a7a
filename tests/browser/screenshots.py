"""Pictures for people to look at.

    python tests/browser/screenshots.py FOLDER [PAGE ...]            whole pages, light and dark
    python tests/browser/screenshots.py --readme                     the README's: what a window of 1440 × 900 shows, light
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from pages.ui.frame import PAGES
from tests.browser.server import launch, running_server
from tests.browser.visitor import Visitor

WIDTH, HEIGHT = 1440, 900
README_FOLDER = Path(__file__).resolve().parents[2] / "data" / "screenshots"
README_PAGES = ["formats", "distributions", "scaling", "layers"]


def take(folder: Path, names: list[str], schemes: tuple[str, ...] = ("light", "dark"), most: int = 20_000) -> None:
    """Open each page, grow the window to its content up to `most` pixels, and save it as NAME-SCHEME.png."""
    folder.mkdir(parents=True, exist_ok=True)
    with running_server() as address, sync_playwright() as playwright:
        browser = launch(playwright)
        for scheme in schemes:
            for name in names:
                visitor = Visitor(browser, color_scheme=scheme)
                visitor.open(f"{address}/{'' if name == 'app' else name}")
                content = visitor.page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
                visitor.page.set_viewport_size({"width": WIDTH, "height": min(max(HEIGHT, content), most)})
                visitor.settle()
                visitor.page.wait_for_timeout(1000)  # for the eye only: fonts and fades
                visitor.page.screenshot(path=folder / f"{name}-{scheme}.png")
                visitor.check()
                visitor.close()
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--readme":
        take(README_FOLDER, README_PAGES, ("light",), HEIGHT)
        sys.exit()
    take(Path(sys.argv[1]), sys.argv[2:] or [Path(path).stem for path in PAGES])
