"""What the tests of the playground do again and again in a browser."""

import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from tests.helpers.places import PHOTOS

Visit = Callable[..., Page]
"""Opens the page; see the fixture `visit`."""


def choose_photo(page: Page, name: str = "coffee.jpg") -> None:
    """Choose a photograph as a file."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files(PHOTOS / name)
    expect(page.get_by_alt_text("The picture to edit")).to_be_visible()


def run(page: Page) -> None:
    """Run the operation and wait for its result."""
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("region", name="Result")).to_be_visible()


def downloaded(page: Page) -> Image.Image:
    """Return the picture that the button downloads."""
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    return Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))


def choose_operation(page: Page, name: str) -> None:
    """Choose an operation of the version that the list shows."""
    page.get_by_role("navigation").get_by_role("button", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
