"""What the tests of the playground do again and again in a browser."""

import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.helpers.places import PHOTOS

TIMEOUT_MS = 60_000
"""Timeout of anything that takes a moment on an idle machine, which other tests may keep busy."""
Visit = Callable[..., Page]
"""Opens the page; see the fixture `visit`."""


def opened(
    browser: Browser,
    address: str,
    errors: list[str],
    size: tuple[int, int] = (1280, 800),
    theme: str = "light",
) -> Page:
    """Open the page of a server; what it logs as an error is added to `errors`, except refusals."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if theme == "dark" else "light",
        has_touch=size[0] < 500,
        accept_downloads=True,
    )
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda line: (
            errors.append(line.text)
            if line.type == "error" and "status of" not in line.text
            else None
        ),
    )
    page.goto(address)
    return page


def choose_photo(page: Page, photo: Path = PHOTOS / "coffee.jpg") -> None:
    """Choose a photograph as a file."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files(photo)
    expect(page.get_by_alt_text("The picture to edit")).to_be_visible()


def paint(page: Page) -> None:
    """Paint a stroke over the middle of the picture."""
    box = page.locator("canvas.mask").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5, steps=4)
    page.mouse.up()


def fill(page: Page, field: str, value: str) -> None:
    """Give a field a value."""
    control = page.locator(f"#field-{field}")
    if control.evaluate("one => one.tagName") == "SELECT":
        control.select_option(value)
    else:
        control.fill(value)


def add_pictures(page: Page, field: str, *photos: Path) -> None:
    """Add pictures to a list by choosing files."""
    with page.expect_file_chooser() as chooser:
        page.locator(f"#field-{field}").click()
    chooser.value.set_files(photos)


def code(page: Page, language: str) -> str:
    """Return the call in a language, as the page shows it."""
    if page.locator("details.snippets").get_attribute("open") is None:
        page.get_by_text("This call as code").click()
    page.get_by_role("button", name=language, exact=True).click()
    return page.locator("#call").inner_text()


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
