"""A result link of this server as a picture for the next call, with both kinds of stores."""

import asyncio
import io
import json
import re
import time
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from PIL import Image
from starlette.testclient import TestClient

from server.app import create_app
from server.errors import FetchFailedError
from server.http.image_fetch import PictureFetcher
from server.settings import Settings
from storage.errors import StoreUnavailableError
from storage.object_store import ObjectStore, Refusal
from tests.helpers.answers import refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, mask, noise, photo
from tests.helpers.services import SeaweedFs

PNG = "image/png"


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def settings(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings whose links name a host that does not exist: a request to it would fail."""
    common: dict[str, Any] = {"data_dir": tmp_path, "api_tokens": "a:secret-a,b:secret-b"}
    public = "https://pictures.invalid"
    if request.param == "folder":
        return Settings(**common, public_url=f"{public}/retouch")
    seaweed: SeaweedFs = request.getfixturevalue("seaweed")
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    return Settings(
        **common,
        store=seaweed.prefix(),
        s3_endpoint=seaweed.endpoint,
        s3_public_endpoint=public,
    )


@pytest.fixture(autouse=True)
def no_requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the host of every request that a fetch would send, and send none."""
    hosts: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        hosts.append(host)
        raise OSError

    monkeypatch.setattr("server.http.url_guard._resolve", resolve)
    return hosts


@pytest.fixture
def link(client: TestClient) -> str:
    """The link of a picture without its background."""
    answer = client.post("/v1/background/remove", json={"file": b64(photo())})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["result_url"])


def store_of(client: TestClient) -> ObjectStore:
    """Return the store of results."""
    store: ObjectStore = client.app.state.dependencies.delivery.store  # type: ignore[attr-defined]
    return store


def key_of(link: str) -> str:
    """Return the key of a result, which begins with the organisation."""
    return "a/" + urlsplit(link).path.rpartition("/a/")[2]


def ask(client: TestClient, link: str, **fields: Any) -> httpx.Response:
    """Crop the picture at a link."""
    return client.post("/v1/crop", json={"image_url": link, **fields})


def reason(answer: httpx.Response) -> str:
    """Check that a picture could not be fetched; return why."""
    body = refused(answer, 460)
    assert body["parameter"] == "image_url"
    return str(body["description"])


def size_of(client: TestClient, link: str) -> tuple[int, int]:
    """Return the size of the picture in the store."""
    return Image.open(io.BytesIO(store_of(client).get(key_of(link)))).size


def test_a_result_is_the_picture_of_the_next_call(
    client: TestClient, link: str, no_requests: list[str]
) -> None:
    assert link.startswith("https://pictures.invalid/")
    answer = ask(client, link)
    assert answer.status_code == 200, answer.text
    width, height = size_of(client, answer.json()["result_url"])
    assert 180 < width < 210  # the ellipse of the fake model is 0.6 of each side
    assert 130 < height < 160
    assert no_requests == []


def test_it_is_the_same_as_sending_the_file(client: TestClient, link: str) -> None:
    file = store_of(client).get(key_of(link))
    by_file = client.post("/v1/register", json={"file": b64(file)}).json()
    by_link = client.post("/v1/register", json={"image_url": link}).json()
    assert by_link == {**by_file, "code": 208, "description": "ALREADY_REGISTERED"}


def test_every_field_of_an_address_takes_a_link(client: TestClient) -> None:
    drawn = ask(client, "data:image/png;base64," + b64(mask())).json()["result_url"]
    store_of(client).put(key_of(drawn), mask(), PNG)
    picture = {"file": b64(photo())}
    answer = client.post("/v1/eraser", json={**picture, "mask_url": drawn})
    assert answer.status_code == 200, answer.text
    visual_id = client.post("/v1/register", json=picture).json()["visual_id"]
    changes = [{"mask_url": drawn, "mask_source": "manual", "actions": {"remove": True}}]
    answer = client.post(f"/v1/{visual_id}/objects/remove", data={"changes": json.dumps(changes)})
    assert answer.status_code == 200, answer.text
    answer = client.post("/v1/crop", data={"file": drawn})
    assert answer.status_code == 200, answer.text


def test_another_organisation_may_use_a_link_that_it_holds(client: TestClient, link: str) -> None:
    answer = client.post("/v1/crop", json={"image_url": link}, headers={"api_token": "secret-b"})
    assert answer.status_code == 200, answer.text


def test_another_server_with_the_same_store_reads_the_link(
    settings: Settings, client: TestClient, link: str, tmp_path: Path, no_requests: list[str]
) -> None:
    shared = {"store": settings.store or str(settings.data_dir), "data_dir": tmp_path / "other"}
    (tmp_path / "other").mkdir()
    other = settings.model_copy(update={**shared, "public_url": None, "s3_public_endpoint": None})
    with TestClient(create_app(other, FakeModels()), headers=TOKEN) as second:
        assert ask(second, link).status_code == 200
    assert no_requests == []


def test_a_link_also_serves_with_sync_false(client: TestClient, link: str, wait_until: Any) -> None:
    answer = ask(client, link, sync=False)
    assert answer.status_code == 200, answer.text
    later = key_of(answer.json()["result_url"])
    # The picture was read when the job was accepted, so nothing is lost with the first result.
    store_of(client).delete(key_of(link))
    wait_until(lambda: store_of(client).exists(later))
    assert store_of(client).refusal(later) is None


def test_an_expired_link_is_460(
    client: TestClient, link: str, monkeypatch: pytest.MonkeyPatch, no_requests: list[str]
) -> None:
    now = time.time()
    monkeypatch.setattr("server.http.result_links.time.time", lambda: now + 86_390)
    assert ask(client, link).status_code == 200
    monkeypatch.setattr("server.http.result_links.time.time", lambda: now + 86_400)
    assert "expired" in reason(ask(client, link))
    assert no_requests == []


def test_a_result_that_is_not_there_is_460(
    client: TestClient, link: str, no_requests: list[str]
) -> None:
    store_of(client).delete(key_of(link))
    assert "no result under this link, or not yet" in reason(ask(client, link))
    assert no_requests == []


def test_the_result_of_a_failed_job_is_460_with_its_error(client: TestClient, link: str) -> None:
    store_of(client).delete(key_of(link))
    store_of(client).refuse(key_of(link), Refusal(506, "This visual has no such mask: 7."))
    assert "failed: This visual has no such mask: 7." in reason(ask(client, link))


def test_a_result_that_moderation_refused_is_460(client: TestClient, link: str) -> None:
    store_of(client).put(key_of(link), b"", PNG)
    assert "moderation" in reason(ask(client, link))


@pytest.mark.parametrize("change", ["key", "time", "signature", "no signature"])
def test_a_changed_link_is_an_address_like_any_other(
    client: TestClient, link: str, change: str, no_requests: list[str]
) -> None:
    other = key_of(client.post("/v1/crop", json={"file": b64(photo())}).json()["result_url"])
    last = link[-1]
    changed = {
        "key": link.replace(key_of(link), other),
        "time": re.sub(r"(?<=xpires=)\d+", lambda found: str(int(found[0]) + 1), link),
        "signature": link[:-1] + ("0" if last != "0" else "1"),
        "no signature": link.rpartition("&")[0],
    }[change]
    assert changed != link
    text = reason(ask(client, changed))
    assert "could not be reached" in text
    assert "this server did not sign it" in text
    assert no_requests == ["pictures.invalid"]


def test_other_addresses_get_no_hint_about_links(client: TestClient) -> None:
    for address in (
        "https://pictures.invalid/photo.png",
        "https://x.invalid/results/",
        "http://[::1",
    ):
        assert "sign" not in reason(ask(client, address))


def test_a_result_larger_than_an_upload_is_accepted(
    client: TestClient, link: str, settings: Settings
) -> None:
    limit = settings.max_picture_mb * 2**20
    large = Image.fromarray(noise(2600, 2000))
    stream = io.BytesIO()
    large.save(stream, "PNG", compress_level=1)
    data = stream.getvalue()
    assert limit < len(data) < settings.max_body_mb * 2**20
    refused(client.post("/v1/crop", files={"file": ("a.png", data)}), 413)
    store_of(client).put(key_of(link), data, PNG)
    assert ask(client, link).status_code == 200


def test_a_result_larger_than_a_body_is_413(
    client: TestClient, link: str, settings: Settings
) -> None:
    store_of(client).put(key_of(link), bytes(settings.max_body_mb * 2**20 + 1), PNG)
    assert "40 MiB" in refused(ask(client, link), 413)["description"]


def test_a_result_that_is_no_picture_is_415(client: TestClient) -> None:
    answer = client.post("/v1/objects/mask_generator", json={"file": b64(photo())})
    refused(ask(client, answer.json()["objects_masks"]), 415)
    visual_id = client.post("/v1/register", json={"file": b64(photo())}).json()["visual_id"]
    answer = client.post(f"/v1/{visual_id}/image_to_psd")
    refused(ask(client, answer.json()["image_res"]), 415)


def test_a_broken_store_is_503(
    client: TestClient, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(key: str) -> None:
        raise StoreUnavailableError(f"the store failed at {key}")

    monkeypatch.setattr(store_of(client), "stat", fail)
    refused(ask(client, link), 503)


class TestTheHostOfALink:
    """Links that the server itself signs, at whatever address the caller sees it."""

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return Settings(data_dir=tmp_path, api_tokens="results:secret-a")

    @pytest.fixture
    def path(self, client: TestClient) -> str:
        """The path and query of a link; the organisation's name is part of every link's path."""
        answer = client.post("/v1/background/remove", json={"file": b64(photo())})
        parts = urlsplit(answer.json()["result_url"])
        return f"{parts.path}?{parts.query}"

    def test_any_host_may_stand_before_it(
        self, client: TestClient, path: str, no_requests: list[str]
    ) -> None:
        for base in (
            "http://127.0.0.1:8000",
            "http://localhost:8000",
            "http://[::1]:9999",
            "http://retouch",
            "https://edit.example.com/some/prefix",
            "https://edit.example.com/results/",
            "http://10.0.0.1//",
        ):
            answer = ask(client, base + path)
            assert answer.status_code == 200, (base, answer.text)
        assert no_requests == []

    def test_only_what_is_signed_counts(self, client: TestClient, path: str) -> None:
        link = f"http://localhost{path}"
        for same in (f"{link}&v=2", f"{link}#x", f" {link} ", link.replace("-", "%2D", 4)):
            answer = ask(client, same)
            assert answer.status_code == 200, (same, answer.text)
        reason(ask(client, f"{link}&signature=x"))

    def test_strange_links_are_460(self, client: TestClient) -> None:
        for path in (
            "/results/../link-secret?expires=1&signature=x",
            "/results/" + "a/" * 100_000 + "?expires=1&signature=x",
            "/results/" * 10_000 + "?expires=1&signature=x",
            "/results/a/b.png?" + "&" * 8000,
            "/results/a/b.png?expires=" + "9" * 5000 + "&signature=é",
            "/results/a%00b.png?expires=1&signature=x",
            "/results/a/b.png?expires=%FF&signature=%ED%A0%80",
        ):
            reason(ask(client, "http://localhost" + path))


async def test_a_redirect_to_a_link_is_followed_by_the_same_check() -> None:
    links = {"http://127.0.0.1/results/a.png": b"picture"}

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        to = f"http://127.0.0.1/results{path}"
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {to}\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(redirect, "127.0.0.2", 0)
    address = f"http://elsewhere.example:{server.sockets[0].getsockname()[1]}"
    fetcher = PictureFetcher(
        [ip_network("127.0.0.2/32")],
        read_result=lambda url, max_bytes: links.get(url),
        resolve=lambda host, port: ["127.0.0.2"] if host == "elsewhere.example" else [host],
    )
    assert await fetcher.fetch(f"{address}/a.png") == b"picture"
    with pytest.raises(FetchFailedError, match="could not be reached"):
        await fetcher.fetch(f"{address}/b.png")
    server.close()
    await fetcher.aclose()


def test_a_file_instead_of_its_link_passes_through_the_server(client: TestClient) -> None:
    large = photo(1200, 900)  # noise: more than one part
    for _ in ("made", "repeated"):
        answer = client.post(
            "/v1/background/remove",
            json={"file": b64(large)},
            headers={"accept": PNG, "idempotency-key": "1"},
        )
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == PNG
        assert answer.headers["content-location"].startswith("https://pictures.invalid/")
        assert len(answer.content) == int(answer.headers["content-length"]) > 1 << 20
        with Image.open(io.BytesIO(answer.content)) as image:
            image.load()
            assert image.size == (1200, 900)
