"""Every operation of the playground, end to end on a small photograph, through the controls of the page."""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.helpers.places import PHOTOS
from tests.helpers.playground import (
    choose_operation,
    choose_photo,
    fill,
    opened,
    paint,
    run,
)

Size = tuple[int, int]
SIZE = (330, 220)
"""Of the photograph: little more than the smallest that increase_resolution takes."""
DOUBLE = (660, 440)


@dataclass(frozen=True)
class Case:
    """What an operation needs besides the picture, and what it makes.

    least, most: bounds of the result's size. corner: the colour of its upper left pixel. kind: the end of the
    result's name, of any picture by default; text for an answer without a file. mask: whether one is drawn.
    expand: whether the picture is made wider.
    """

    least: Size = SIZE
    most: Size = SIZE
    fields: Mapping[str, str] = field(default_factory=dict)
    mask: bool = False
    expand: bool = False
    corner: tuple[int, int, int] | None = None
    kind: str = "picture"


SAME, TWICE, PART = Case(), Case(DOUBLE, DOUBLE), Case((60, 60), SIZE)
GREEN = (0, 255, 0)
ZIP, TEXT = Case(kind="zip"), Case(kind="text")
EXPANDED = Case((346, 220), (346, 220), expand=True)
DRAWN = Case(mask=True)
CASES: dict[tuple[str, str], Case] = {
    ("v1", "Blur the background"): SAME,
    ("v1", "Remove the background"): SAME,
    ("v1", "Replace the background"): Case(
        SIZE, (2000, 2000), {"bg_prompt": "#00ff00", "num_results": "1"}, corner=GREEN
    ),
    ("v1", "Crop out the foreground"): PART,
    ("v1", "Erase the foreground"): SAME,
    ("v1", "Erase what a mask marks"): DRAWN,
    ("v1", "Get the masks of a picture"): ZIP,
    ("v1", "Enhance the image"): TWICE,
    ("v1", "Increase the resolution"): TWICE,
    ("v1", "Expand the image"): EXPANDED,
    ("v1", "Cut out a product"): PART,
    ("v1", "Put a product into a scene that a text describes"): Case(
        (500, 500), (2000, 2000), {"scene_description": "#00ff00", "num_results": "1"}, corner=GREEN
    ),
    ("v1", "Make a packshot of a product"): Case(
        (2000, 2000), (2000, 2000), {"background_color": "#00ff00"}, corner=GREEN
    ),
    ("v1", "Add a shadow to a product"): Case(SIZE, (800, 800)),
    ("v1", "Blur the background of a visual"): SAME,
    ("v1", "Increase the resolution of a visual"): TWICE,
    ("v1", "Split a visual into layers"): Case(kind="psd"),
    ("v1", "Get the masks of a visual"): ZIP,
    ("v1", "Remove objects from a visual"): DRAWN,
    ("v1", "Describe all parts of a visual"): TEXT,
    ("v1", "The objects of a visual"): TEXT,
    ("v1", "The people of a visual"): TEXT,
    ("v1", "The background of a visual"): TEXT,
    ("v2", "Blur the background"): SAME,
    ("v2", "Remove the background"): SAME,
    ("v2", "Replace the background"): Case(SIZE, (2000, 2000), {"prompt": "#00ff00"}, corner=GREEN),
    ("v2", "Crop out the foreground"): PART,
    ("v2", "Erase the foreground"): SAME,
    ("v2", "Erase what a mask marks"): DRAWN,
    ("v2", "Get the masks of a picture"): SAME,
    ("v2", "Enhance the image"): TWICE,
    ("v2", "Increase the resolution"): TWICE,
    ("v2", "Expand the image"): EXPANDED,
    ("v2", "Colour a picture, or take its colours away"): Case(fields={"color": "black_and_white"}),
    ("v2", "Cut out a product"): PART,
}
"""By the version and the title of an operation that profile `lite` has."""


@pytest.fixture(scope="module")
def errors() -> list[str]:
    """What the page has logged as errors."""
    return []


@pytest.fixture(scope="module")
def page(
    chromium: Browser, address: str, errors: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """One page for all operations, with the photograph."""
    photo = tmp_path_factory.mktemp("photo") / "coffee.jpg"
    with Image.open(PHOTOS / "coffee.jpg") as image:
        image.resize(SIZE, Image.Resampling.LANCZOS).save(photo, quality=92)
    page = opened(chromium, address, errors)
    choose_photo(page, photo)
    yield page
    page.context.close()


def choose(page: Page, version: str, title: str) -> None:
    """Choose an operation of a version."""
    page.get_by_role("button", name=f"API {version}").click()
    choose_operation(page, title)


def listed(page: Page, selector: str) -> set[tuple[str, str]]:
    """Return the version and the title of each operation that a selector finds in the list."""
    found = set()
    for version in ("v1", "v2"):
        page.get_by_role("button", name=f"API {version}").click()
        titles = page.locator(f"{selector} > span:first-child").all_inner_texts()
        found |= {(version, title) for title in titles}
    return found


def test_every_operation_that_the_profile_has_is_tried(page: Page) -> None:
    assert listed(page, ".operation:not(.lacking)") == CASES.keys()


@pytest.mark.parametrize(("version", "title"), CASES)
def test_an_operation_gives_its_result(
    page: Page, errors: list[str], version: str, title: str
) -> None:
    case = CASES[version, title]
    choose(page, version, title)
    for name, value in case.fields.items():
        fill(page, name, value)
    if case.mask:
        paint(page)
    if case.expand:
        page.get_by_role("slider", name="Margin at the right").press("ArrowRight")
    run(page)
    if case.kind == "text":
        answer = json.loads(page.locator("pre.answer").inner_text())
        assert isinstance(answer, list)
        assert answer or title == "The people of a visual"
    else:
        check_file(page, case)
    assert errors == []


def check_file(page: Page, case: Case) -> None:
    """Check the file that the page offers as the result."""
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    content = Path(download.value.path()).read_bytes()
    name = download.value.suggested_filename
    if case.kind == "zip":
        assert name.endswith(".zip")
        assert content.startswith(b"PK")
        return
    assert name.endswith(".psd" if case.kind == "psd" else (".png", ".jpg", ".jpeg", ".webp"))
    with Image.open(io.BytesIO(content)) as result:
        assert case.least[0] <= result.width <= case.most[0]
        assert case.least[1] <= result.height <= case.most[1]
        if case.corner:
            corner = result.convert("RGB").getpixel((0, 0))
            assert isinstance(corner, tuple)
            assert max(abs(a - b) for a, b in zip(corner, case.corner, strict=True)) <= 2
    if case.kind == "picture":
        shown = page.get_by_role("region", name="Result").locator("img").last
        assert shown.evaluate("one => one.decode().then(() => one.naturalWidth)") > 0


def test_what_the_profile_lacks_is_grey_and_says_why(
    page: Page, errors: list[str], address: str
) -> None:
    states = httpx.get(f"{address}capabilities").json()["operations"]
    reasons = {state["path"]: state["reason"] for state in states if not state["available"]}
    for version, title in sorted(listed(page, ".operation.lacking")):
        page.get_by_role("button", name=f"API {version}").click()
        entry = page.locator(".operation.lacking", has_text=title).filter(
            has=page.locator(f"span:text-is({json.dumps(title)})")
        )
        entry.click()
        settings = page.get_by_role("complementary")
        expect(settings).to_contain_text("Not on this server")
        path = settings.locator(".route").inner_text().split()[-1]
        reason = reasons.pop(path)
        expect(settings).to_contain_text(reason)
        assert entry.get_attribute("title") == reason
        expect(page.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    assert not reasons, "the page does not list what the profile lacks"
    assert errors == []
