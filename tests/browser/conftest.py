"""A Chromium for the tests of the playground, and the real server that it visits."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from models.runtime.pool import Pool
from server.settings import Settings
from tests.helpers.browser import chromium_path, served
from tests.helpers.playground import TIMEOUT_MS, Visit, opened

expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser of the system, without a window.

    Its event loop runs in the thread of the tests, where later tests could start no other.
    """
    path = chromium_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(lite: Pool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with the real models of `lite`, which takes any token."""
    folder: Path = tmp_path_factory.mktemp("playground")
    with served(Settings(data_dir=folder, workers=2), lite) as address:
        yield address


@pytest.fixture
def visit(chromium: Browser, address: str) -> Iterator[Visit]:
    """Open the page of a server; fails at the end if the page has logged an error."""
    errors: list[str] = []
    pages: list[Page] = []

    def open_page(
        at: str = address, size: tuple[int, int] = (1280, 800), theme: str = "light"
    ) -> Page:
        pages.append(opened(chromium, at, errors, size, theme))
        return pages[-1]

    yield open_page
    for page in pages:
        page.context.close()
    assert errors == []
