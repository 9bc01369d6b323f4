"""The page /docs in a real browser: it renders, and a call from it shows the picture that comes back."""

import base64
import io
import json
from collections.abc import Callable
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Page, expect

from tests.helpers.places import PHOTOS


def small_photo() -> str:
    """Return a photograph of 128 pixels in base64."""
    with Image.open(PHOTOS / "astronaut.jpg") as image:
        stream = io.BytesIO()
        image.resize((128, 128)).save(stream, "JPEG")
    return base64.b64encode(stream.getvalue()).decode()


def test_an_operation_is_tried_out_and_its_picture_is_shown(
    visit: Callable[..., Page], address: str
) -> None:
    page = visit("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}docs/")
    assert page.url == f"{address}docs"
    page.get_by_role("button", name="Authorize").first.click()
    page.locator("#api_key_value").fill("browser")
    page.get_by_role("button", name="Apply credentials").first.click()
    page.get_by_role("button", name="Close").first.click()

    block = page.locator("#operations-editing-background_remove")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    block.locator("textarea").first.fill(json.dumps({"file": small_photo()}))
    block.get_by_label("Media Type").first.select_option("image/png")
    with page.expect_response("**/v1/background/remove") as answered:
        block.get_by_role("button", name="Execute").click()
    answer = answered.value
    assert answer.status == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.request.headers["api_token"] == "browser"
    assert answer.request.headers["accept"] == "image/png"
    shown = block.locator(".live-responses-table img")
    expect(shown).to_be_visible()
    expect(shown).to_have_js_property("naturalWidth", 128)

    origin = urlsplit(address).netloc
    elsewhere = [url for url in asked if not url.startswith(("data:", "blob:"))]
    assert elsewhere
    assert {urlsplit(url).netloc for url in elsewhere} == {origin}
