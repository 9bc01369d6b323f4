"""A Chromium for the tests of the playground, and the real server that it visits."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from models.runtime.pool import Pool
from server.settings import Settings
from tests.helpers.browser import chromium_path, served
from tests.helpers.playground import Visit

TIMEOUT_MS = 60_000
"""Timeout of anything that takes a moment on an idle machine, which other tests may keep busy."""


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
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if theme == "dark" else "light",
            has_touch=size[0] < 500,
            accept_downloads=True,
        )
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda line: (
                errors.append(line.text)
                if line.type == "error" and "status of" not in line.text
                else None
            ),
        )
        page.goto(at)
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert errors == []
