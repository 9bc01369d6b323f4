"""Result links: who may read them, how, and for how long."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from PIL import Image
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from tests.helpers.answers import refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, photo


@pytest.fixture
def link(client: TestClient) -> str:
    """The link of a new result, without the server's address."""
    answer = client.post("/v1/background/remove", json={"file": b64(photo())})
    client.headers.pop("api_token")  # the link is the permission
    parts = urlsplit(answer.json()["result_url"])
    return f"{parts.path}?{parts.query}"


def altered(link: str, **changes: str) -> str:
    """Return a link with a changed query."""
    parts = urlsplit(link)
    return f"{parts.path}?{urlencode(dict(parse_qsl(parts.query)) | changes)}"


def test_a_link_reads_without_any_header(client: TestClient, link: str) -> None:
    answer = client.get(link, headers={"origin": "http://page.example"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert Image.open(io.BytesIO(answer.content)).size == (320, 240)


def test_head_returns_size_and_type_without_body(client: TestClient, link: str) -> None:
    answer = client.head(link)
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(client.get(link).content)
    assert answer.content == b""


def test_ranges_are_served(client: TestClient, link: str) -> None:
    whole = client.get(link).content
    answer = client.get(link, headers={"range": "bytes=0-0"})
    assert (answer.status_code, answer.content) == (206, whole[:1])
    answer = client.get(link, headers={"range": "bytes=-10"})
    assert (answer.status_code, answer.content) == (206, whole[-10:])
    assert client.get(link, headers={"range": f"bytes={len(whole)}-"}).status_code == 416
    for ignored in ("lines=1-2", "bytes=5-2", "bytes=0-1,9-8", f"bytes=0-{'9' * 5000}", "bytes=٣-"):
        answer = client.get(link, headers={"range": ignored.encode()})
        assert (answer.status_code, answer.content) == (200, whole), ignored


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": "AAAA"},
        {"signature": ""},
        {"signature": "ü" * 300},
        {"expires": str(int(time.time()) + 10**7)},
        {"expires": "soon"},
        {"expires": ""},
    ],
)
def test_a_forged_link_is_403(client: TestClient, link: str, changes: dict[str, str]) -> None:
    refused(client.get(altered(link, **changes)), 403)


def test_a_link_without_signature_is_403(client: TestClient, link: str) -> None:
    refused(client.get(urlsplit(link).path), 403)
    refused(client.get("/results/a/%2e%2e/%2e%2e/link-secret"), 403)
    refused(client.get("/results/%2e%2e/link-secret?expires=1&signature=x"), 403)


def test_an_expired_link_is_403(
    client: TestClient, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 86401
    monkeypatch.setattr("server.http.results.time.time", lambda: later)
    assert "expired" in refused(client.get(link), 403)["description"]


def test_a_missing_result_is_404(client: TestClient, link: str, settings: Settings) -> None:
    for file in (settings.data_dir / "results").rglob("*.png"):
        file.unlink()
    refused(client.get(link), 404)


def test_a_failing_store_is_503(client: TestClient, link: str, settings: Settings) -> None:
    folder = settings.data_dir / "results" / "a"
    folder.rename(settings.data_dir / "aside")
    folder.symlink_to(folder)
    answer = client.get(link)
    refused(answer, 503)
    assert int(answer.headers["retry-after"]) > 0


def test_servers_with_one_store_read_each_others_results(tmp_path: Path) -> None:
    store = str(tmp_path / "shared")
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    one, other = (Settings(data_dir=tmp_path / name, store=store) for name in ("one", "other"))
    with TestClient(create_app(one, FakeModels()), headers=TOKEN) as client:
        link = urlsplit(client.post("/v1/crop", json={"file": b64(photo())}).json()["result_url"])
    with TestClient(create_app(other, FakeModels())) as client:
        assert client.get(f"{link.path}?{link.query}").status_code == 200


def test_links_start_with_public_url(tmp_path: Path) -> None:
    address = "https://edit.example.com/retouch/"
    tokens = f"me:{TOKEN['api_token']}"
    settings = Settings(data_dir=tmp_path, public_url=address, api_tokens=tokens)
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        answer = client.post("/v1/crop", json={"file": b64(photo())}).json()
    assert answer["result_url"].startswith("https://edit.example.com/retouch/results/")


def test_a_browser_may_send_its_token(client: TestClient) -> None:
    answer = client.options(
        "/v1/crop",
        headers={
            "origin": "http://page.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "api_token, content-type",
        },
    )
    assert answer.status_code == 200
    assert "api_token" in answer.headers["access-control-allow-headers"]


def test_expired_results_are_deleted_and_new_ones_stay(
    tmp_path: Path, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    settings = Settings(data_dir=tmp_path, sweep_interval_s=0.05, link_ttl_s=100)
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        for _ in range(2):
            client.post("/v1/crop", json={"file": b64(photo())})
        old, fresh = (tmp_path / "results").rglob("*.png")
        past = time.time() - 200
        os.utime(old, (past, past))
        wait_until(lambda: not old.exists())
        assert fresh.exists()


def test_links_work_after_a_restart(settings: Settings, client: TestClient, link: str) -> None:
    with TestClient(create_app(settings, FakeModels())) as restarted:
        assert restarted.get(link).status_code == 200
