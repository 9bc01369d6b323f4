"""The page /admin in a browser: all its parts, by keyboard, with hostile names, and without an answer."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from playwright.sync_api import Page, Route, expect

from models.runtime.pool import Pool
from server.settings import Settings
from tests.helpers.axe import findings
from tests.helpers.browser import served
from tests.helpers.requests import b64, photo

PHONE, DESKTOP = (360, 740), (1280, 800)
STATE = "**/admin/state"
HOSTILE = "<img src=x onerror=document.title='taken'>"
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def address(lite: Pool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose only token is in it, with a refusal and a registered picture."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("admin"), workers=2, api_tokens="acme:correct-horse"
    )
    with served(settings, lite) as address:
        token = {"api_token": "correct-horse"}
        picture = {"file": b64(photo())}
        assert httpx.post(f"{address}v1/register", json=picture, headers=token).is_success
        assert httpx.post(f"{address}v1/crop", json={}, headers=token).status_code == 400
        yield address.replace("://", "://operator:correct-horse@")


@pytest.fixture(scope="module")
def busy(address: str) -> dict[str, Any]:
    """A state in which every part of the page has something to show."""
    state: dict[str, Any] = httpx.get(f"{address}admin/state").json()
    now, then = state["time"], state["server"]["started"]
    job = {"request_id": "0f" * 16, "organisation": "acme", "operation": "POST /v1/gen_fill"}
    unfinished = {**job, "age_s": 4000.0}
    state["jobs"] |= {
        "counts": {"running": 1, "waiting": 61, "elsewhere": 1, "queued": 1},
        "unfinished": [
            {**unfinished, "request_id": f"{number}" * 32, "state": name, "server": server}
            for number, (name, server) in enumerate(
                [("running", "a"), ("waiting", "a"), ("elsewhere", "b" * 60), ("queued", None)]
            )
        ],
        "failed": [
            {
                **job,
                "code": 503,
                "error": "A model cannot be loaded.",
                "accepted": then,
                "ended": now,
            }
        ],
        "error": "The database does not answer.",
        "age_s": 75.0,
    }
    state["servers"] |= {
        "is_shared": True,
        "servers": [
            {"name": name * 60, "started": then, "is_alive": name != "c", "is_this": name == "a"}
            for name in "abc"
        ],
    }
    load = {"running": 1, "waiting": 7, "waiting_jobs": 61, "requests": 8, "elsewhere": 2}
    state["queue"]["organisations"] = [{"organisation": "o" * 64, **load}]
    state["models"]["models"][0] |= {"is_loaded": False}
    state["server"] |= {"status": "unavailable", "reason": "the database does not answer"}
    return state


def show(page: Page, address: str, state: dict[str, Any]) -> None:
    """Open the page with a state."""
    page.route(STATE, lambda route: route.fulfill(json=state))
    page.goto(f"{address}admin")
    expect(page.get_by_role("heading", level=1)).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_axe_finds_nothing_serious(
    visit: Visit, address: str, busy: dict[str, Any], size: tuple[int, int], theme: str
) -> None:
    page = visit("about:blank", size, theme)
    page.goto(f"{address}admin")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready")
    expect(page.get_by_role("row", name="POST /v1/crop")).to_contain_text("400")
    expect(page.get_by_text("Every accepted job is done.")).to_be_visible()
    assert findings(page) == []
    show(page, address, busy)
    expect(page.get_by_role("heading", level=1)).to_have_text("Not ready")
    expect(page.get_by_text("The figures are 1 min 15 s old.").first).to_be_visible()
    assert findings(page) == []
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= size[0], "the page is wider than the window"


def test_names_and_errors_of_strangers_are_text(
    visit: Visit, address: str, busy: dict[str, Any]
) -> None:
    page = visit("about:blank", PHONE)
    text = json.dumps(busy).replace("acme", json.dumps(HOSTILE)[1:-1])
    text = text.replace("A model cannot be loaded.", json.dumps(HOSTILE * 9)[1:-1])
    show(page, address, json.loads(text))
    expect(page.get_by_role("row", name=HOSTILE).first).to_be_visible()
    assert page.locator("#admin img").count() == 0
    assert page.title() == "Not ready · Retouch administration"
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def test_it_says_that_the_server_does_not_answer_and_goes_on(visit: Visit, address: str) -> None:
    page = visit("about:blank")
    page.clock.install()
    page.goto(f"{address}admin")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready")
    page.evaluate(
        "() => { window.known = fetch; window.fetch = () => Promise.reject(new TypeError()); }"
    )
    page.clock.fast_forward(5000)
    expect(page.get_by_role("alert")).to_contain_text(
        "The server does not answer. Shown is the state of"
    )
    expect(page.get_by_role("row", name="POST /v1/crop")).to_be_visible()
    page.evaluate("() => { window.fetch = window.known; }")
    page.route(STATE, lambda route: route.fulfill(status=403, json={"message": "No such scope."}))
    page.clock.fast_forward(5000)
    expect(page.get_by_role("alert")).to_contain_text("No such scope.")
    page.unroute(STATE)
    page.clock.fast_forward(5000)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_it_is_paused_and_resumed_by_keyboard(visit: Visit, address: str) -> None:
    page = visit("about:blank")
    page.clock.install()
    asked: list[str] = []

    def note(route: Route) -> None:
        asked.append(route.request.url)
        route.continue_()

    page.route(STATE, note)
    page.goto(f"{address}admin")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Resume")).to_be_focused()
    before = len(asked)
    page.clock.fast_forward(60_000)
    expect(page.get_by_text("Paused at")).to_be_visible()
    assert len(asked) == before
    with page.expect_request(STATE):
        page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    expect(page.get_by_text("As of")).to_be_visible()


def test_without_a_token_there_is_no_page(visit: Visit, address: str, tmp_path: Path) -> None:
    page = visit("about:blank")
    answer = page.request.get(f"{address.replace('operator:correct-horse@', '')}admin")
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
