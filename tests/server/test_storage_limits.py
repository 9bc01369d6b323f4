"""Quotas of stored bytes and pictures, the reserve of the disk, and visuals that expire."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from models.roles import Role
from server.app import create_app
from server.operations import OPERATIONS
from server.settings import Settings
from storage.database import database_url, open_engine
from tests.helpers.answers import local, refused
from tests.helpers.disk import MIB, SmallDisk
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, photo

Wait = Callable[[Callable[[], bool]], None]
OTHER = {"api_token": "secret-b"}
PICTURE = {"file": b64(photo(320, 240))}
"""Noise of 225 KiB; its result without a background has 112 KiB."""
RESULT = 128 << 10
"""What that result counts as, in bytes."""
EDIT = "/v1/background/remove"


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[TestClient]:
    """A client of organisation a, where each may store 1 MiB and two visuals."""
    settings = Settings(
        data_dir=tmp_path, api_tokens="a:secret-a,b:secret-b", max_stored_mb=1, max_visuals=2
    )
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        yield client


def figures(client: TestClient, token: dict[str, str] = TOKEN) -> dict[str, Any]:
    """Return what /capabilities says of storage."""
    storage: dict[str, Any] = client.get("/capabilities", headers=token).json()["storage"]
    return storage


def fill(client: TestClient, **body: Any) -> Any:
    """Make results until they are refused; return the refusal."""
    for _ in range(20):
        answer = client.post(EDIT, json=PICTURE | body)
        if answer.status_code != 200:
            return answer
    raise AssertionError("never refused")


def change(folder: Path, statement: str, **values: Any) -> None:
    """Execute SQL in the database of a server."""
    engine = open_engine(database_url(f"sqlite:///{folder}/records.db"))
    with engine.begin() as connection:
        connection.execute(text(statement), values)
    engine.dispose()


def register(client: TestClient, side: int, **headers: str) -> Any:
    """Register a picture of a side of its own."""
    return client.post("/v1/register", json={"file": b64(photo(side, side))}, headers=headers)


def test_an_organisation_that_stores_too_much_is_told_when_results_expire(
    limited: TestClient, tmp_path: Path
) -> None:
    first = limited.post(EDIT, json=PICTURE)
    answer = fill(limited)
    body = refused(answer, 429)
    assert body["status"] == "QUOTA_EXCEEDED"
    assert 86400 < int(answer.headers["retry-after"]) <= 86400 + 60 + 3600
    assert "may store 1.0 MiB" in body["description"]
    assert f"expire in {answer.headers['retry-after']} s" in body["description"]
    refused(register(limited, 300), 429)
    assert limited.post(EDIT, json=PICTURE, headers=OTHER).status_code == 200
    assert limited.get(local(first.json()["result_url"])).status_code == 200
    assert figures(limited)["stored_mb"] >= 1.0
    assert 0 < figures(limited, OTHER)["stored_mb"] < 0.5
    limited.app.state.dependencies.storage.close()  # type: ignore[attr-defined]
    change(
        tmp_path,
        "UPDATE stored_bytes SET expires = :past",
        past=datetime.now(UTC) - timedelta(days=1),
    )
    assert limited.post(EDIT, json=PICTURE).status_code == 200


def test_v2_has_its_own_body(limited: TestClient) -> None:
    fill(limited)
    answer = limited.post("/v2/image/edit/remove_background", json={"image": PICTURE["file"]})
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == 429
    assert answer.headers["retry-after"]


def test_the_number_of_registered_pictures_is_limited(limited: TestClient) -> None:
    ids = [register(limited, side).json()["visual_id"] for side in (30, 31)]
    answer = register(limited, 32)
    body = refused(answer, 429)
    assert "2 registered pictures" in body["description"]
    assert "remove_image" in body["description"]
    assert body["status"] == "QUOTA_EXCEEDED"
    assert int(answer.headers["retry-after"]) > 0
    mask = limited.post("/v1/objects/mask_generator", json={"file": b64(photo(33, 33))})
    refused(mask, 429)
    assert register(limited, 31).json()["code"] == 208
    assert register(limited, 32, **OTHER).json()["code"] == 200
    assert figures(limited)["visuals"] == 2
    assert limited.post(f"/v1/{ids[0]}/remove_image").status_code == 200
    assert register(limited, 32).json()["code"] == 200


def test_removing_a_picture_gives_back_its_bytes_and_those_of_its_results(
    limited: TestClient,
) -> None:
    visual = limited.post("/v1/register", json=PICTURE).json()["visual_id"]
    before = figures(limited)["stored_mb"]
    for _ in range(9):
        edited = limited.get(f"/v1/{visual}/blur_bg")
    body = refused(edited, 429)
    assert "remove_image" in body["description"]
    assert "expire" not in body["description"].partition("MiB;")[0]
    assert before < figures(limited)["stored_mb"]
    assert limited.post(f"/v1/{visual}/remove_image").status_code == 200
    assert figures(limited)["stored_mb"] == 0
    assert limited.post(EDIT, json=PICTURE).status_code == 200


def test_masks_that_must_be_stored_need_room(limited: TestClient) -> None:
    known, new = (register(limited, side).json()["visual_id"] for side in (40, 41))
    assert limited.get(f"/v1/{known}/objects/info").status_code == 200
    fill(limited)
    assert limited.get(f"/v1/{known}/objects/info").status_code == 200
    refused(limited.get(f"/v1/{new}/objects/info"), 429)


def test_pictures_of_a_job_count_until_it_ends(
    limited: TestClient, wait_until: Wait, tmp_path: Path
) -> None:
    answer = limited.post(EDIT, json=PICTURE | {"sync": False})
    link = local(answer.json()["result_url"])
    wait_until(lambda: limited.get(link).status_code == 200)
    wait_until(lambda: not [p for p in (tmp_path / "sources").rglob("*.png")])
    storage = limited.app.state.dependencies.storage  # type: ignore[attr-defined]
    wait_until(lambda: storage.state("a").used == RESULT)
    refused(fill(limited, sync=False), 429)


def test_stored_answers_count(limited: TestClient) -> None:
    limited.post("/v1/register", json={"file": b64(photo(9, 9))}, headers={"Idempotency-Key": "k"})
    storage = limited.app.state.dependencies.storage  # type: ignore[attr-defined]
    assert storage.state("a").used == 2 * 16384


def test_requests_at_once_exceed_the_quota_by_no_more_than_they_store(limited: TestClient) -> None:
    with ThreadPoolExecutor(8) as threads:
        sent = [threads.submit(limited.post, EDIT, json=PICTURE) for _ in range(24)]
        codes = [one.result().status_code for one in sent]
    assert set(codes) == {200, 429}
    assert MIB // RESULT <= codes.count(200) < MIB // RESULT + 8
    assert refused(limited.post(EDIT, json=PICTURE), 429)


@pytest.mark.parametrize(
    "settings", [{}, {"api_tokens": "a:secret-a", "max_stored_mb": 0, "max_visuals": 0}]
)
def test_quotas_can_be_off_and_are_without_tokens(tmp_path: Path, settings: dict[str, Any]) -> None:
    limits = {"max_stored_mb": 1, "max_visuals": 1} | settings
    app = create_app(Settings(data_dir=tmp_path, **limits), FakeModels())
    with TestClient(app, headers=TOKEN) as client:
        for side in (30, 31, 32):
            assert register(client, side).status_code == 200
        for _ in range(6):
            assert client.post(EDIT, json=PICTURE).status_code == 200


def test_by_default_an_organisation_may_use_a_quarter_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SmallDisk(tmp_path, 24 * MIB, monkeypatch)
    settings = Settings(data_dir=tmp_path, api_tokens="a:secret-a,b:secret-b")
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        assert figures(client)["max_stored_mb"] == 6.0
        assert figures(client)["max_visuals"] == 10_000
        assert figures(client)["disk_reserve_mb"] == 2.4


class Blocking(FakeModels):
    """Models that wait until the test lets them run, and count their calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.unblocked = threading.Event()
        self.unblocked.set()

    def before(self, role: Role[Any]) -> None:
        """Count the call and wait."""
        self.calls += 1
        assert self.unblocked.wait(20)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallDisk:
    """The disk of the server `on_small_disk`, 100 MiB; 10 are its reserve."""
    return SmallDisk(tmp_path, 100 * MIB, monkeypatch)


@pytest.fixture
def models() -> Blocking:
    """The models of the server `on_small_disk`."""
    return Blocking()


@pytest.fixture
def on_small_disk(
    disk: SmallDisk, models: Blocking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """A client of a server on a small disk, which looks at it often."""
    monkeypatch.setattr("server.lifecycle._DISK_INTERVAL_S", 0.05)
    settings = Settings(data_dir=tmp_path, api_tokens="a:secret-a,b:secret-b", sweep_interval_s=0.2)
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        yield client


def test_on_a_full_disk_new_things_are_refused_before_any_work(
    on_small_disk: TestClient, disk: SmallDisk, models: Blocking, wait_until: Wait
) -> None:
    client = on_small_disk
    visual = client.post("/v1/register", json=PICTURE).json()["visual_id"]
    result = local(client.get(f"/v1/{visual}/blur_bg").json()["image_res"])
    calls = models.calls
    disk.fill(10 * MIB - 1)
    v1_posts = [o for o in OPERATIONS if o.version == "v1" and o.method == "POST"]
    urls = [operation.url.replace("{visual_id}", visual) for operation in v1_posts]
    assert len(urls) > 20
    for url in [*urls, "/v1/register", "/v1/upload"]:
        answer = client.post(url, json=PICTURE)
        assert "disk of the server is full" in refused(answer, 503)["description"], url
        assert int(answer.headers["retry-after"]) > 0
    for url in ("blur_bg", "increase_resolution"):
        refused(client.get(f"/v1/{visual}/{url}"), 503)
    for operation in (o for o in OPERATIONS if o.version == "v2"):
        answer = client.post(operation.url, json={"image": PICTURE["file"]})
        assert answer.status_code == 503, operation.url
        assert "full" in answer.json()["error"]["message"]
    refused(client.get(f"/v1/{visual}/objects/info"), 503)
    assert models.calls == calls
    wait_until(lambda: client.get("/readyz").json() == {"status": "ready", "disk": "full"})
    assert client.get("/readyz").status_code == 200
    assert figures(client)["disk_full"]
    assert client.get(result).status_code == 200
    assert client.post(f"/v1/{visual}/remove_image").status_code == 200
    assert client.get(result).status_code == 404
    disk.fill(50 * MIB)
    assert client.post(EDIT, json=PICTURE).status_code == 200
    wait_until(lambda: client.get("/readyz").json() == {"status": "ready"})


def test_an_accepted_job_ends_on_a_full_disk(
    on_small_disk: TestClient, disk: SmallDisk, models: Blocking, wait_until: Wait
) -> None:
    models.unblocked.clear()
    answer = on_small_disk.post(EDIT, json=PICTURE | {"sync": False})
    link = local(answer.json()["result_url"])
    wait_until(lambda: models.calls > 0)
    disk.fill(6 * MIB)
    refused(on_small_disk.post(EDIT, json=PICTURE), 503)
    models.unblocked.set()
    wait_until(lambda: on_small_disk.get(link).status_code == 200)


def test_the_sweep_frees_a_full_disk(
    on_small_disk: TestClient, disk: SmallDisk, tmp_path: Path, wait_until: Wait
) -> None:
    assert on_small_disk.post(EDIT, json=PICTURE).status_code == 200
    disk.fill(0)
    (result,) = (tmp_path / "results").rglob("*.png")
    os.utime(result, (1, 1))
    wait_until(lambda: not result.exists())


def test_visuals_are_removed_after_their_life(tmp_path: Path, wait_until: Wait) -> None:
    settings = Settings(data_dir=tmp_path, visual_ttl_s=3600, sweep_interval_s=0.1)
    age = "UPDATE visuals SET registered = :time WHERE visual_id = :id"
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        old, renewed = (register(client, side).json()["visual_id"] for side in (30, 31))
        result = local(client.get(f"/v1/{old}/blur_bg").json()["image_res"])
        now = datetime.now(UTC)
        change(tmp_path, age, time=now - timedelta(minutes=58), id=renewed)
        assert register(client, 31).json()["code"] == 208
        change(tmp_path, age, time=now - timedelta(minutes=61), id=old)
        wait_until(lambda: client.get(f"/v1/{old}/blur_bg").status_code == 404)
        assert client.get(result).status_code == 404
        # Two minutes later it would have expired, if it had not been registered again.
        change(tmp_path, "UPDATE visuals SET registered = datetime(registered, '-2 minutes')")
        time.sleep(0.3)
        assert client.get(f"/v1/{renewed}/blur_bg").status_code == 200
        files = [path for path in (tmp_path / "visuals").rglob("*") if path.is_file()]
        assert [path.parent.name for path in files] == [renewed]


def test_sizes_of_pictures_of_an_earlier_version_are_filled_in(
    tmp_path: Path, wait_until: Wait
) -> None:
    settings = Settings(data_dir=tmp_path, api_tokens="a:secret-a", sweep_interval_s=0.1)
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        register(client, 200)
        before = figures(client)["stored_mb"]
        change(tmp_path, "UPDATE visuals SET bytes = NULL")
        assert before > 0
        wait_until(lambda: figures(client)["stored_mb"] == before)


def test_a_result_by_sid_may_not_be_larger_than_a_picture(tmp_path: Path) -> None:
    body = {"file": b64(photo(300, 300))}
    settings = Settings(data_dir=tmp_path, max_pixels=300 * 300)
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        visual = client.post("/v1/register", json=body).json()["visual_id"]
        larger = client.get(f"/v1/{visual}/increase_resolution").json()
        answer = client.get(f"/v1/{visual}/blur_bg", params={"sid": larger["sid"]})
        refusal = refused(answer, 413)
        assert refusal["parameter"] == "sid"
        assert "600 x 600" in refusal["description"]
        same = client.get(f"/v1/{visual}/blur_bg").json()
        again = client.get(f"/v1/{visual}/blur_bg", params={"sid": same["sid"]})
        assert again.status_code == 200
