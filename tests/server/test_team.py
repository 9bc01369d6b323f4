"""The server with S3 and PostgreSQL, also while one of them is unavailable."""

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import obstore
import pytest
from obstore.store import S3Store
from PIL import Image
from starlette.testclient import TestClient

from models.roles import INPAINTING, MODERATION, Role
from server.app import create_app
from server.settings import Settings
from tests.helpers.answers import refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, encode, photo
from tests.helpers.services import Postgres, SeaweedFs

Wait = Callable[[Callable[[], bool]], None]


@pytest.fixture
def settings(
    tmp_path: Path, postgres: Postgres, seaweed: SeaweedFs, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings of a server with its data in S3 and PostgreSQL."""
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    return Settings(
        data_dir=tmp_path,
        api_tokens="a:secret-a,b:secret-b",
        workers=2,
        store=seaweed.prefix(),
        s3_endpoint=seaweed.endpoint,
        database_url=postgres.database(),
        # So long finished work waits for a store that has gone away.
        request_timeout_s=15,
    )


@pytest.fixture
def stored(settings: Settings) -> Callable[[], set[str]]:
    """Return the keys of all objects in the store."""
    assert settings.store is not None
    bucket, _, prefix = settings.store.removeprefix("s3://").partition("/")
    store = S3Store(
        bucket,
        prefix=prefix,
        endpoint=settings.s3_endpoint,
        access_key_id=SeaweedFs.key,
        secret_access_key=SeaweedFs.secret,
        client_options={"allow_http": True},
    )
    return lambda: {meta["path"] for page in obstore.list(store) for meta in page}


class Red:
    """An inpainting model that fills with red, which moderation blocks."""

    def fill(self, rgb: Any, hole: Any, avoid: Any = None) -> Any:
        """Return `rgb` with a red hole."""
        filled = rgb.copy()
        filled[hole] = (255, 0, 0)
        return filled


class BlockingModels(FakeModels):
    """Models that wait until the test lets them run."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Event()
        self.unblocked = threading.Event()

    def before(self, role: Role[Any]) -> None:
        """Wait, except for moderation."""
        if role != MODERATION:
            self.started.set()
            assert self.unblocked.wait(30)


def check_retry_later(answer: httpx.Response) -> None:
    """Check that an answer tells the caller to retry and contains no address."""
    response = refused(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert "127.0.0.1" not in str(response)


def size(answer: httpx.Response) -> tuple[int, int]:
    assert answer.status_code == 200
    return Image.open(io.BytesIO(answer.content)).size


BODY = {"file": b64(photo())}


def test_a_result_is_read_directly_from_the_store(
    client: TestClient, settings: Settings, tmp_path: Path
) -> None:
    link = client.post("/v1/background/remove", json=BODY).json()["result_url"]
    assert link.startswith(f"{settings.s3_endpoint}/")
    assert size(httpx.get(link)) == (320, 240)
    assert httpx.get(link, headers={"range": "bytes=0-0"}).status_code == 206
    assert not list(tmp_path.rglob("*.png"))


def test_the_server_itself_serves_no_results(client: TestClient) -> None:
    link = urlsplit(client.post("/v1/crop", json=BODY).json()["result_url"])
    key = link.path.partition("/results/")[2]
    refused(client.get(f"/results/{key}?{link.query}"), 403)


def test_the_link_of_a_job_works_once_it_is_done(client: TestClient, wait_until: Wait) -> None:
    answer = client.post("/v1/crop", json={**BODY, "sync": False})
    link = answer.json()["result_url"]
    wait_until(lambda: httpx.get(link).status_code == 200)
    assert size(httpx.get(link))[0] > 0


def test_a_failed_job_reports_the_error_at_its_link(client: TestClient, wait_until: Wait) -> None:
    white = encode(Image.new("L", (320, 240), 255))
    answer = client.post("/v1/eraser", json={**BODY, "mask_file": b64(white), "sync": False})
    link = answer.json()["result_url"]
    wait_until(lambda: httpx.get(link).status_code != 404)
    response = httpx.get(link)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["x-amz-meta-retouch-code"] == "506"
    assert httpx.get(link, headers={"range": "bytes=0-0"}).status_code == 416


def test_a_blocked_result_is_empty_at_its_link(settings: Settings, wait_until: Wait) -> None:
    body = {
        "file": b64(encode(Image.new("RGB", (300, 300), (0, 200, 0)))),
        "mask_file": b64(encode(Image.new("L", (300, 300), 255))),
        "content_moderation": True,
        "sync": False,
    }
    with TestClient(create_app(settings, FakeModels({INPAINTING: Red()})), headers=TOKEN) as client:
        link = client.post("/v1/eraser", json=body).json()["result_url"]
        wait_until(lambda: httpx.get(link).status_code != 404)
    response = httpx.get(link)
    assert (response.status_code, response.content) == (200, b"")
    assert "x-amz-meta-retouch-code" not in response.headers


def test_visuals_are_edited_in_steps(client: TestClient, stored: Callable[[], set[str]]) -> None:
    visual_id = client.post("/v1/register", json=BODY).json()["visual_id"]
    assert client.post("/v1/register", json=BODY).json()["code"] == 208

    def remove(mask_id: int, **more: str) -> httpx.Response:
        change = {"mask_id": mask_id, "mask_source": "generated", "actions": {"remove": True}}
        return client.post(f"/v1/{visual_id}/objects/remove", json={"changes": [change], **more})

    first = remove(1).json()
    second = remove(2, sid=first["sid"])
    assert size(httpx.get(second.json()["image_res"])) == (320, 240)
    as_other = {"api_token": "secret-b"}
    refused(client.get(f"/v1/{visual_id}/info", headers=as_other), 404)
    assert client.post(f"/v1/{visual_id}/remove_image").status_code == 200
    assert stored() == set()
    assert httpx.get(first["image_res"]).status_code == 404


def test_servers_share_visuals(client: TestClient, settings: Settings, tmp_path: Path) -> None:
    visual_id = client.post("/v1/register", json=BODY).json()["visual_id"]
    other = settings.model_copy(update={"data_dir": tmp_path / "other"})
    with TestClient(create_app(other, FakeModels()), headers=TOKEN) as peer:
        assert peer.get(f"/v1/{visual_id}/info").status_code == 200
        assert peer.post("/v1/register", json=BODY).json()["code"] == 208


def test_callers_get_503_and_retry_after_without_the_store(
    client: TestClient,
    settings: Settings,
    seaweed: SeaweedFs,
    stored: Callable[[], set[str]],
    wait_until: Wait,
) -> None:
    visual_id = client.post("/v1/register", json=BODY).json()["visual_id"]
    before = stored()
    change = {"mask_id": 1, "mask_source": "generated", "actions": {"remove": True}}
    other = {"file": b64(photo(200, 100))}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("/v1/crop", BODY),
        ("/v1/crop", {**BODY, "sync": False}),
        ("/v1/background/replace", {**BODY, "bg_prompt": "white", "num_results": 2, "sync": True}),
        ("/v1/register", other),
        (f"/v1/{visual_id}/objects/remove", {"changes": [change]}),
    ]
    seaweed.stop()
    try:
        for route, body in calls:
            check_retry_later(client.post(route, json=body))
        check_retry_later(client.get(f"/v1/{visual_id}/info"))
        assert client.get("/healthz").status_code == 200
    finally:
        seaweed.start()
    assert stored() == before
    wait_until(lambda: client.get("/readyz").status_code == 200)
    for route, body in calls:
        assert client.post(route, json=body).status_code == 200, route


def test_a_job_waits_for_the_store_and_then_finishes(
    settings: Settings, seaweed: SeaweedFs, wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    models = BlockingModels()
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        link = client.post("/v1/crop", json={**BODY, "sync": False}).json()["result_url"]
        assert models.started.wait(10)
        seaweed.stop()
        try:
            models.unblocked.set()
            wait_until(lambda: "a job is retried in" in caplog.text)
        finally:
            seaweed.start()
        wait_until(lambda: httpx.get(link).status_code == 200)


def test_a_result_is_removed_if_its_session_cannot_be_recorded(
    settings: Settings, postgres: Postgres, stored: Callable[[], set[str]]
) -> None:
    models = BlockingModels()
    models.unblocked.set()
    change = {"mask_id": 1, "mask_source": "generated", "actions": {"remove": True}}
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        visual_id = client.post("/v1/register", json=BODY).json()["visual_id"]
        route = f"/v1/{visual_id}/objects/remove"
        assert client.post(route, json={"changes": [change]}).status_code == 200
        before = stored()
        models.unblocked.clear()
        models.started.clear()
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(client.post, route, json={"changes": [change]})
            assert models.started.wait(10)
            postgres.stop()
            try:
                models.unblocked.set()
                check_retry_later(answer.result(60))
            finally:
                postgres.start()
        assert stored() == before


def test_callers_get_503_and_retry_after_without_the_database(
    client: TestClient, postgres: Postgres, stored: Callable[[], set[str]], wait_until: Wait
) -> None:
    visual_id = client.post("/v1/register", json=BODY).json()["visual_id"]
    before = stored()
    other = {"file": b64(photo(200, 100))}
    postgres.stop()
    try:
        check_retry_later(client.post("/v1/register", json=other))
        check_retry_later(client.post("/v1/objects/mask_generator", json=other))
        check_retry_later(client.get(f"/v1/{visual_id}/info"))
        check_retry_later(client.post(f"/v1/{visual_id}/remove_image"))
        # Requests that need no database still succeed.
        assert client.post("/v1/crop", json=BODY).status_code == 200
    finally:
        postgres.start()
    assert {key for key in stored() if not key.startswith("results/")} == before
    wait_until(lambda: client.get("/readyz").status_code == 200)
    assert client.get(f"/v1/{visual_id}/info").status_code == 200
    assert client.post("/v1/register", json=other).status_code == 200
