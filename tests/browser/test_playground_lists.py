"""Lists of pictures, registered pictures and the place in the queue, on a page with fakes for every role."""

import io
import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Request, expect

from models.roles import MATTING
from server.settings import Settings
from tests.helpers.browser import served
from tests.helpers.fake_models import GenerativeModels, HeldMatting
from tests.helpers.places import PHOTOS
from tests.helpers.playground import (
    add_pictures,
    choose_operation,
    choose_photo,
    code,
    downloaded,
    fill,
    opened,
    run,
)
from tests.helpers.requests import b64, photo

COFFEE, CAT, ASTRONAUT = (PHOTOS / f"{name}.jpg" for name in ("coffee", "chelsea", "astronaut"))
HOLDING, PLACING = "Put products into a person's hands", "Put products into a scene"
DROP = """([selector, kind, field]) => {
    const data = new DataTransfer();
    const bytes = Uint8Array.from(atob(window.picture), (one) => one.charCodeAt(0));
    data.items.add(new File([bytes], `${kind}.png`, {type: "image/png"}));
    const Kind = kind === "paste" ? ClipboardEvent : DragEvent;
    const options = {[field]: data, bubbles: true, cancelable: true};
    document.querySelector(selector).dispatchEvent(new Kind(kind, options));
}"""


@pytest.fixture(scope="module")
def matting() -> HeldMatting:
    """The model that cuts out; it works at once unless a test holds it."""
    matting = HeldMatting()
    matting.proceed.set()
    return matting


@pytest.fixture(scope="module")
def address(matting: HeldMatting, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with one worker and fakes for every role."""
    folder: Path = tmp_path_factory.mktemp("lists")
    models = GenerativeModels({MATTING: matting})
    with served(Settings(data_dir=folder, workers=1), models) as address:
        yield address


@pytest.fixture(scope="module")
def opened_page(chromium: Browser, address: str) -> Iterator[Page]:
    """One page for all tests; fails at the end if it has logged an error."""
    errors: list[str] = []
    page = opened(chromium, address, errors)
    # With a listener the browser hands choices of files over all the time: a key may be quicker than the
    # request to do so.
    page.on("filechooser", lambda _: None)
    yield page
    page.context.close()
    assert errors == []


@pytest.fixture
def page(opened_page: Page) -> Page:
    """The page as at its start, with a photograph."""
    opened_page.reload()
    choose_photo(opened_page)
    return opened_page


def choose(page: Page, version: str, title: str) -> None:
    """Choose an operation of a version."""
    page.get_by_role("button", name=f"API {version}").click()
    choose_operation(page, title)


def names(page: Page) -> list[str]:
    """Return the names of the pictures of the list, in their order."""
    return page.locator(".picture-name strong").all_inner_texts()


def shown_result(page: Page) -> NDArray[np.uint8]:
    """Run the operation and return the pixels of its result, not of the one that was shown before."""
    back = page.get_by_role("button", name="Back to the picture")
    if back.is_visible():
        back.click()
    run(page)
    return np.asarray(downloaded(page))


def result_of_code(page: Page, language: str, folder: Path) -> NDArray[np.uint8]:
    """Run the code of the call beside copies of the photographs, and return the pixels of its result."""
    for one in (COFFEE, CAT, ASTRONAUT):
        (folder / one.name).write_bytes(one.read_bytes())
    file = folder / {"curl": "call.sh", "JavaScript": "call.mjs"}[language]
    file.write_text(code(page, language).replace("await answer.json()", "await answer.text()"))
    command = "sh" if language == "curl" else "node"
    done = subprocess.run(
        [command, file.name], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    link = answer["image_res"] if "image_res" in answer else answer["result"]["image_url"]
    return np.asarray(Image.open(io.BytesIO(httpx.get(link).content)))


def test_pictures_are_added_put_in_order_and_removed(page: Page) -> None:
    choose(page, "v2", HOLDING)
    expect(page.locator("#run-state")).to_have_text("Add a picture to Product images.")
    add_pictures(page, "product_images", CAT, ASTRONAUT)
    expect(page.locator(".picture-list li")).to_have_count(2)
    expect(page.locator("#field-product_images-count")).to_have_text("2 of 3")
    page.get_by_role("button", name="Later: chelsea.jpg").click()
    assert names(page) == ["astronaut.jpg", "chelsea.jpg"]
    page.get_by_role("button", name="Earlier: chelsea.jpg").click()
    assert names(page) == ["chelsea.jpg", "astronaut.jpg"]
    page.get_by_role("button", name="Remove: chelsea.jpg").click()
    assert names(page) == ["astronaut.jpg"]


def test_pictures_are_dropped_on_the_list_and_pasted_into_it(page: Page) -> None:
    choose(page, "v2", HOLDING)
    page.evaluate(f"window.picture = {json.dumps(b64(photo(40, 30)))}")
    for kind, data, name in (
        ("drop", "dataTransfer", "drop.png"),
        ("paste", "clipboardData", "paste.png"),
    ):
        page.evaluate(DROP, [".picture-list", kind, data])
        expect(page.locator(".picture-name strong", has_text=name)).to_be_visible()
    expect(page.get_by_text("600 × 400")).to_be_visible()  # the picture of the stage stays


def test_no_more_pictures_are_taken_than_the_route_takes(page: Page, tmp_path: Path) -> None:
    choose(page, "v2", HOLDING)
    notes = tmp_path / "notes.png"
    notes.write_text("no picture")
    add_pictures(page, "product_images", notes)
    expect(page.get_by_role("alert")).to_contain_text("notes.png cannot be read as a picture")
    add_pictures(page, "product_images", CAT, CAT, ASTRONAUT, COFFEE)
    expect(page.locator(".picture-list li")).to_have_count(3)
    expect(page.get_by_role("alert")).to_contain_text("3 at most")
    expect(page.locator("#field-product_images")).to_be_disabled()


def test_the_list_works_by_keyboard_alone(page: Page) -> None:
    choose(page, "v2", HOLDING)
    page.locator("#field-product_images").focus()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([CAT, ASTRONAUT])
    expect(page.locator(".picture-list li")).to_have_count(2)
    for _ in range(3):  # back over: remove, later (off), earlier of the second picture
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.ariaLabel") == "Earlier: astronaut.jpg":
            break
    page.keyboard.press("Enter")
    assert names(page) == ["astronaut.jpg", "chelsea.jpg"]
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("region", name="Result")).to_be_visible()


@pytest.mark.parametrize("language", ["curl", "JavaScript"])
def test_the_code_sends_a_list_as_the_page_does(page: Page, tmp_path: Path, language: str) -> None:
    choose(page, "v2", HOLDING)
    add_pictures(page, "product_images", CAT, ASTRONAUT)
    page.get_by_text("More settings").click()
    fill(page, "seed", "7")
    of_code = result_of_code(page, language, tmp_path)
    # The fake model paints a colour that depends on the pictures, their order and the seed.
    assert np.array_equal(of_code, shown_result(page))
    page.get_by_role("button", name="Later: chelsea.jpg").click()
    assert not np.array_equal(of_code, shown_result(page))


def test_products_have_places_in_the_scene(page: Page, tmp_path: Path) -> None:
    choose(page, "v2", PLACING)
    add_pictures(page, "products", CAT)
    box = page.get_by_role("group", name="Place of chelsea.jpg")
    expect(box.get_by_label("Width")).to_have_value("200")
    box.get_by_label("X").fill("10")
    product = page.locator(".product-box")
    place = product.evaluate("one => one.style.left")
    assert float(place.removesuffix("%")) == pytest.approx(100 * 10 / 600, abs=0.1)
    drag(page, product, 30, 20)
    assert abs(int(box.get_by_label("X").input_value()) - 10 - in_pixels(page, 30)) <= 1
    drag(page, product.locator("i"), 30, 30)
    assert int(box.get_by_label("Width").input_value()) > 215
    box.get_by_label("X").fill("10")
    page.get_by_text("More settings").click()
    fill(page, "seed", "7")
    assert "--form-string 'products[0][coordinates][x]=10'" in code(page, "curl")
    of_code = result_of_code(page, "curl", tmp_path)
    assert np.array_equal(of_code, shown_result(page))


def drag(page: Page, handle: Locator, across: int, down: int) -> None:
    """Drag something by some pixels of the screen."""
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + across, y + down, steps=3)
    page.mouse.up()


def in_pixels(page: Page, length: int) -> float:
    """Return a length on the screen in pixels of the photograph, which is 600 wide."""
    width: float = page.locator(".surface").evaluate("one => one.getBoundingClientRect().width")
    return length * 600 / width


def test_further_images_follow_that_of_the_stage(page: Page, tmp_path: Path) -> None:
    choose(page, "v2", "Edit pictures by words")
    fill(page, "instruction", "Put the cat beside the cup")
    add_pictures(page, "images", CAT)
    page.get_by_text("More settings").click()
    fill(page, "seed", "7")
    text = code(page, "curl")
    assert text.index("images=<coffee.jpg.txt") < text.index("images=<chelsea.jpg.txt")
    assert np.array_equal(result_of_code(page, "curl", tmp_path), shown_result(page))


def test_a_picture_is_registered_first_and_its_results_go_on(page: Page, tmp_path: Path) -> None:
    sent: list[Request] = []

    def note(request: Request) -> None:
        sent.append(request)

    page.on("request", note)
    choose(page, "v1", "Blur the background of a visual")
    assert "/v1/register" in code(page, "curl")
    for language in ("curl", "JavaScript"):
        of_code = result_of_code(page, language, tmp_path)
        assert of_code.shape == (400, 600, 3)
    assert np.array_equal(of_code, shown_result(page))
    page.get_by_role("button", name="Use as input").click()
    choose(page, "v1", "Increase the resolution of a visual")
    assert "/v1/register" not in code(page, "curl")
    assert shown_result(page).shape[:2] == (800, 1200)
    page.remove_listener("request", note)
    calls = [one.url for one in sent if "/v1/" in one.url]
    assert [one.split("/")[-1].split("?")[0] for one in calls] == [
        "register",
        "blur_bg",
        "increase_resolution",
    ]
    assert "sid=" in calls[-1]


def test_the_page_tells_the_place_in_the_queue(
    page: Page, address: str, matting: HeldMatting, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    matting.proceed.clear()
    picture = {"file": ("in.png", photo(), "image/png")}

    def post(known_as: str) -> httpx.Response:
        headers = {"api_token": "me", "Queue-Id": known_as}
        return httpx.post(f"{address}v1/crop", files=picture, headers=headers, timeout=60)

    def place(known_as: str) -> object:
        return httpx.get(f"{address}queue/{known_as}", headers={"api_token": "me"}).json()

    try:
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(post, "the-first-of-two-calls")
            wait_until(
                lambda: place("the-first-of-two-calls") == {"state": "running", "before": None}
            )
            second = threads.submit(post, "the-second-of-two-calls")
            wait_until(
                lambda: place("the-second-of-two-calls") == {"state": "waiting", "before": 0}
            )
            page.get_by_role("button", name="Run", exact=True).click()
            status = page.locator(".run .state")
            expect(status).to_contain_text("Waiting, 1 before this one")
            matting.proceed.set()
            expect(page.get_by_role("region", name="Result")).to_be_visible()
            assert [one.result(60).status_code for one in (first, second)] == [200, 200]
        matting.proceed.clear()
        page.get_by_role("button", name="Run", exact=True).click()
        expect(status).to_contain_text("· Running")
    finally:
        matting.proceed.set()
    history = page.get_by_role("region", name="History of this session")
    expect(history.get_by_role("button")).to_have_count(2)
