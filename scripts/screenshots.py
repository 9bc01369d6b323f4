"""Makes the screenshots of the playground in the documentation, in the Chromium of the system.

`python -m scripts.screenshots [ADDRESS]` visits a server of profile `lite` that does nothing else, by default
http://127.0.0.1:8000/, and writes docs/images/playground.webp and playground-mask.webp. It runs the operation once
before, so that the time on the picture is not that of a first call.
"""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.helpers.browser import chromium_path
from tests.helpers.playground import choose_operation, choose_photo, opened, paint, run

IMAGES = Path(__file__).parents[1] / "docs" / "images"
_QUALITY = 82


@contextmanager
def _visited(browser: Browser, address: str, theme: str) -> Iterator[Page]:
    """Open the page with a photograph; raises RuntimeError at the end if it has logged an error."""
    errors: list[str] = []
    page = opened(browser, address, errors, theme=theme)
    choose_photo(page)
    yield page
    page.context.close()
    if errors:
        raise RuntimeError(f"the page has logged errors: {errors}")


def _save(page: Page, name: str) -> None:
    """Save what the window shows."""
    page.mouse.move(640, 790)
    with Image.open(io.BytesIO(page.screenshot())) as image:
        image.convert("RGB").save(IMAGES / name, quality=_QUALITY, method=6)


def _result(page: Page) -> None:
    """Show a result beside its picture, and the call as code."""
    run(page)
    page.reload()
    choose_photo(page)
    run(page)
    page.get_by_text("This call as code").click()
    _save(page, "playground.webp")


def _mask(page: Page) -> None:
    """Show found objects, one of which is marked, and a stroke of the brush."""
    choose_operation(page, "Erase what a mask marks")
    page.get_by_role("button", name="Find objects").click()
    first = page.get_by_role("button", name="Object 2", exact=True)
    expect(first).to_be_visible()
    first.click()
    page.get_by_role("button", name="Brush").click()
    paint(page)
    page.get_by_text("This call as code").click()
    _save(page, "playground-mask.webp")


def main(address: str) -> None:
    """Make all screenshots at the address of a server."""
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        with _visited(browser, address, "light") as page:
            _result(page)
        with _visited(browser, address, "dark") as page:
            _mask(page)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/")
