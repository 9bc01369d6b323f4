"""The playground for everyone: by keyboard alone, on a phone, light and dark, with refusals and tokens."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from models.runtime.pool import Pool
from server.settings import Settings
from tests.helpers.axe import findings
from tests.helpers.browser import served
from tests.helpers.places import PHOTOS
from tests.helpers.playground import Visit, add_pictures, choose_operation, choose_photo, run

PHONE, DESKTOP = (360, 740), (1280, 800)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_axe_finds_nothing_serious(visit: Visit, size: tuple[int, int], theme: str) -> None:
    page = visit(size=size, theme=theme)
    expect(page.get_by_text("Start with a picture")).to_be_visible()
    assert findings(page) == []
    choose_photo(page)
    run(page)
    assert findings(page) == []
    if size == PHONE:
        page.get_by_role("button", name="Operation Remove the background").click()
    assert findings(page) == []
    choose_operation(page, "Expand the image")
    page.get_by_text("This call as code").click()
    assert findings(page) == []
    choose_operation_anywhere(page, "Erase what a mask marks")
    assert findings(page) == []
    choose_operation_anywhere(page, "Split a visual into layers")
    assert findings(page) == []
    if size == PHONE:
        page.locator(".nav-toggle").click()
    page.get_by_role("button", name="API v2").click()
    if size == PHONE:
        page.locator(".nav-toggle").click()
    page.get_by_role("button", name="Put products into a scene").click()
    add_pictures(page, "products", PHOTOS / "chelsea.jpg", PHOTOS / "astronaut.jpg")
    expect(page.locator(".picture-list li")).to_have_count(2)
    assert findings(page) == []
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= size[0], "the page is wider than the window"


def choose_operation_anywhere(page: Page, name: str) -> None:
    """Choose an operation, also where the list is closed."""
    toggle = page.locator(".nav-toggle")
    if toggle.is_visible():
        toggle.click()
    choose_operation(page, name)


def tab_to(page: Page, name: str) -> None:
    """Press Tab until a control has the focus; 90 times at most."""
    for _ in range(90):
        page.keyboard.press("Tab")
        if page.evaluate(
            """() => {
                const one = document.activeElement;
                return one.getAttribute("aria-label") ?? one.querySelector("img")?.alt ?? one.innerText.trim();
            }"""
        ).startswith(name):
            return
    pytest.fail(f"Tab does not reach {name}")


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_an_edit_by_keyboard_alone(visit: Visit, size: tuple[int, int]) -> None:
    page = visit(size=size)
    expect(page.get_by_text("Start with a picture")).to_be_visible()
    tab_to(page, "A cup of coffee")
    page.keyboard.press("Enter")
    expect(page.get_by_alt_text("The picture to edit")).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    if size == PHONE:
        tab_to(page, "Operation")
        page.keyboard.press("Enter")
    tab_to(page, "Erase what a mask marks")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Erase what a mask marks")
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "Mask")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    page.keyboard.press("Control+Enter")
    slider = page.locator("img-comparison-slider")
    expect(slider).to_be_visible()
    tab_to(page, "Before and after")
    page.keyboard.press("ArrowLeft")
    tab_to(page, "Download")


def test_a_refusal_stands_at_its_field(visit: Visit) -> None:
    page = visit()
    choose_photo(page)
    choose_operation(page, "Blur the background")
    page.get_by_label("Scale", exact=True).fill("99")
    page.get_by_role("button", name="Run", exact=True).click()
    field = page.get_by_label("Scale", exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(page.locator("#field-scale-refusal")).to_contain_text("scale")
    field.fill("2")
    expect(page.locator("#field-scale-refusal")).to_have_count(0)


@pytest.mark.parametrize("status", [429, 503])
def test_the_button_counts_down_after_a_busy_server(visit: Visit, status: int) -> None:
    page = visit()
    choose_photo(page)

    def refuse(route: Route) -> None:
        route.fulfill(
            status=status, headers={"Retry-After": "2"}, json={"message": "Try again in 2 s."}
        )

    page.route("**/v1/background/remove", refuse)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Try again in 2 s.")
    expect(page.get_by_role("button", name="Again in")).to_be_disabled()
    page.unroute("**/v1/background/remove")
    run(page)


def test_a_call_can_be_cancelled(visit: Visit) -> None:
    page = visit()
    choose_photo(page)
    held: list[Route] = []
    page.route("**/v1/background/remove", lambda route: held.append(route))
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("usually about")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    assert len(held) == 1


def test_a_token_is_asked_for_and_kept_in_the_tab(visit: Visit, lite: Pool, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, workers=2, api_tokens="acme:correct-horse")
    with served(settings, lite) as address:
        page = visit(address)
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("only with a token of your organisation")
        dialog.get_by_label("Token of your organisation").fill("wrong")
        dialog.get_by_role("button", name="Use it").click()
        expect(dialog).to_contain_text("no organisation has this token")
        dialog.get_by_label("Token of your organisation").fill("correct-horse")
        dialog.get_by_role("button", name="Use it").click()
        page.get_by_role("button", name="Choose a picture").wait_for()
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose a picture").click()
        chooser.value.set_files(PHOTOS / "coffee.jpg")
        run(page)
        page.get_by_text("This call as code").click()
        assert "$API_TOKEN" in page.locator("#call").inner_text()
        assert "correct-horse" not in page.content()
        assert page.evaluate("sessionStorage.getItem('retouch-token')") == "correct-horse"
        assert page.evaluate("localStorage.length") == 0
        page.reload()
        expect(page.get_by_text("Start with a picture")).to_be_visible()
        page.context.close()


def test_the_colours_can_be_changed_and_stay(visit: Visit) -> None:
    page = visit(theme="light")
    page.get_by_role("button", name="Dark colours").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 18, 20)"
    page.reload()
    expect(page.get_by_role("button", name="Light colours")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 18, 20)"
