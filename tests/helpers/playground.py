"""What the tests of the playground do again and again in a browser, and the server that they visit."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from PIL import Image
from playwright.sync_api import Page, expect

from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from server.app import create_app
from server.settings import Settings
from tests.helpers.places import PHOTOS

Visit = Callable[..., Page]
"""Opens the page; see the fixture `visit`."""


@contextmanager
def served(settings: Settings, lite: Pool) -> Iterator[str]:
    """Serve the application on a free loopback port; the value is its address, with a slash at its end."""
    config = uvicorn.Config(
        create_app(settings, LocalEngine(lite)), port=0, log_level="warning", ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


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
