"""remove_image: nothing of a visual stays, also if requests for it are running."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import text
from starlette.testclient import TestClient

from models.roles import MODERATION, Role
from server.app import create_app
from server.durations import Durations
from server.errors import NotFoundError
from server.jobs.executor import JobExecutor
from server.jobs.job import Job
from server.settings import Settings
from server.v1.visual_edits import BLUR_BG
from server.visuals import Visuals
from storage.database import database_url, open_engine
from storage.errors import StoreUnavailableError
from storage.filesystem import LocalObjects
from storage.records import Records
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, encode, photo
from tests.helpers.storage_limits import unlimited

Wait = Callable[[Callable[[], bool]], None]
OTHER = {"api_token": "secret-b"}
REMOVE = {"changes": [{"mask_id": 1}]}
EDITS: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("POST", "image_to_psd", None),
    ("POST", "objects/mask_generator", None),
    ("POST", "objects/remove", REMOVE),
    ("GET", "increase_resolution", None),
    ("GET", "blur_bg", None),
)
"""Every route that makes a result of a visual with the fake models."""


class BlockingModels(FakeModels):
    """Models that wait until the test lets them run."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Event()
        self.unblocked = threading.Event()

    def before(self, role: Role[Any]) -> None:
        """Wait until the test lets the call run."""
        self.started.set()
        assert self.unblocked.wait(20)


@pytest.fixture
def visual(client: TestClient) -> str:
    """The visual_id of a registered picture."""
    return register(client)


def register(client: TestClient, **headers: Any) -> str:
    answer = client.post("/v1/register", json={"file": b64(photo())}, **headers)
    return str(answer.json()["visual_id"])


def link_of(answer: Any) -> str:
    """Return the link in an answer, without the server's address."""
    body = answer.json()
    return local(body.get("image_res") or body["objects_masks"])


def stored(settings: Settings) -> list[Path]:
    """Return every file of results, visuals and jobs."""
    folders = ("results", "visuals", "sources")
    return [path for f in folders for path in (settings.data_dir / f).rglob("*") if path.is_file()]


def rows(settings: Settings) -> int:
    """Return the number of rows about visuals in the database."""
    engine = open_engine(database_url(f"sqlite:///{settings.data_dir}/records.db"))
    with engine.connect() as connection:
        counts = [
            connection.execute(text(f"select count(*) from {table}")).scalar_one()
            for table in ("visuals", "sessions", "visual_results")
        ]
    engine.dispose()
    return sum(counts)


@pytest.mark.parametrize("sync", [True, False])
def test_every_result_of_the_visual_is_removed(
    client: TestClient, visual: str, settings: Settings, wait_until: Wait, sync: bool
) -> None:
    links = [
        link_of(
            client.request(
                method,
                f"/v1/{visual}/{route}",
                json={**body, "sync": sync} if body else None,
                params={"sync": sync} if not body else None,
            )
        )
        for method, route, body in EDITS
    ]
    file = {"file": b64(photo()), "sync": sync}
    links.append(link_of(client.post("/v1/objects/mask_generator", json=file)))
    for link in links:
        wait_until(lambda link=link: client.get(link).status_code == 200)
    wait_until(lambda: not list((settings.data_dir / "sources").rglob("*.png")))
    assert client.post(f"/v1/{visual}/remove_image").status_code == 200
    for link in links:
        refused(client.get(link), 404)
    assert stored(settings) == []
    assert rows(settings) == 0


def test_only_the_own_visual_of_the_same_picture_is_removed(
    client: TestClient, visual: str
) -> None:
    other = register(client, headers=OTHER)
    edit = link_of(client.post(f"/v1/{other}/image_to_psd", headers=OTHER))
    assert client.post(f"/v1/{visual}/remove_image").status_code == 200
    refused(client.post(f"/v1/{other}/remove_image"), 404)
    assert client.get(edit).status_code == 200
    assert client.get(f"/v1/{other}/objects/info", headers=OTHER).status_code == 200


def test_other_results_stay(client: TestClient, visual: str) -> None:
    crop = local(client.post("/v1/crop", json={"file": b64(photo())}).json()["result_url"])
    client.post(f"/v1/{visual}/remove_image")
    assert client.get(crop).status_code == 200


@pytest.mark.parametrize(("method", "route", "body"), EDITS)
@pytest.mark.parametrize("sync", [True, False])
def test_no_result_of_a_running_request_appears_afterwards(
    settings: Settings,
    wait_until: Wait,
    method: str,
    route: str,
    body: dict[str, Any] | None,
    sync: bool,
) -> None:
    models = BlockingModels()
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        visual = register(client)
        answers = []

        def call() -> None:
            params = {"sync": sync}
            path = f"/v1/{visual}/{route}"
            answers.append(client.request(method, path, json=body, params=params))

        caller = threading.Thread(target=call)
        caller.start()
        assert models.started.wait(10)
        assert client.post(f"/v1/{visual}/remove_image").status_code == 200
        models.unblocked.set()
        caller.join(20)
        (answer,) = answers
        if sync:
            assert "no visual" in refused(answer, 404)["description"]
        else:
            wait_until(lambda: not list((settings.data_dir / "sources").rglob("*.png")))
            refused(client.get(link_of(answer)), 404)
        assert stored(settings) == []
        assert rows(settings) == 0


@pytest.fixture
def removing_put(
    client: TestClient, visual: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """Remove the visual right before the next object is stored; yields the keys stored then."""
    put, keys = LocalObjects.put, []

    def remove_and_put(self: LocalObjects, key: str, data: bytes, content_type: str) -> None:
        monkeypatch.setattr(LocalObjects, "put", put)
        assert client.post(f"/v1/{visual}/remove_image").status_code == 200
        keys.append(key)
        put(self, key, data, content_type)

    monkeypatch.setattr(LocalObjects, "put", remove_and_put)
    yield keys
    assert keys


def test_a_result_stored_during_the_removal_is_removed(
    client: TestClient, visual: str, settings: Settings, removing_put: list[str]
) -> None:
    refused(client.get(f"/v1/{visual}/blur_bg"), 404)
    assert removing_put[0].endswith(".png")
    assert stored(settings) == []


def test_a_map_stored_during_the_removal_is_removed(
    client: TestClient, visual: str, settings: Settings, removing_put: list[str]
) -> None:
    refused(client.get(f"/v1/{visual}/objects/info"), 404)
    assert removing_put[0].endswith("labels.png")
    assert stored(settings) == []


def test_a_lost_picture_that_returns_during_the_removal_is_registered_anew(
    client: TestClient, visual: str, settings: Settings, request: pytest.FixtureRequest
) -> None:
    for file in stored(settings):
        file.unlink()
    request.getfixturevalue("removing_put")
    answer = client.post("/v1/register", json={"file": b64(photo())}).json()
    assert (answer["code"], answer["visual_id"]) == (200, visual)
    assert len(stored(settings)) == 1


@pytest.mark.parametrize("moderation", [True, False])
def test_the_link_of_a_blocked_or_failed_job_is_404_afterwards(
    settings: Settings, wait_until: Wait, moderation: bool
) -> None:
    class BlockResult:
        """Lets the input pass, at the request and in the job, and blocks the result."""

        calls = 0

        def score(self, rgb: Any) -> dict[str, float]:
            self.calls += 1
            return {"nsfw": float(self.calls > 2)}

    models = FakeModels({MODERATION: BlockResult()})
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        visual = register(client)
        body: dict[str, Any] = {"sync": False, "content_moderation": moderation}
        body |= {"changes": [{"mask_id": 1 if moderation else 250}]}
        answer = client.post(f"/v1/{visual}/objects/remove", json=body)
        link = link_of(answer)
        wait_until(lambda: client.get(link).status_code != 404)
        if moderation:
            assert client.get(link).content == b""
        else:
            refused(client.get(link), 506)
        assert client.post(f"/v1/{visual}/remove_image").status_code == 200
        refused(client.get(link), 404)
        wait_until(lambda: stored(settings) == [])
        assert rows(settings) == 0


def test_a_removal_without_the_store_can_be_repeated(
    client: TestClient, visual: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = link_of(client.post(f"/v1/{visual}/image_to_psd"))
    delete = LocalObjects.delete

    def fail(*_: Any) -> None:
        raise StoreUnavailableError("gone")

    monkeypatch.setattr(LocalObjects, "delete", fail)
    refused(client.post(f"/v1/{visual}/remove_image"), 503)
    monkeypatch.setattr(LocalObjects, "delete", delete)
    assert client.post(f"/v1/{visual}/remove_image").status_code == 200
    refused(client.get(link), 404)
    assert stored(settings) == []


def test_the_picture_can_be_registered_again(client: TestClient, visual: str) -> None:
    client.post(f"/v1/{visual}/image_to_psd")
    client.post(f"/v1/{visual}/remove_image")
    assert register(client) == visual
    link = link_of(client.post(f"/v1/{visual}/image_to_psd"))
    assert client.get(link).status_code == 200


def test_a_refused_request_leaves_no_record(
    client: TestClient, visual: str, settings: Settings
) -> None:
    before = rows(settings)
    clear = encode(Image.new("RGBA", (64, 64), (9, 9, 9, 0)))
    refused(client.post("/v1/crop", json={"file": b64(clear)}), 506)
    refused(client.post(f"/v1/{visual}/objects/remove", json={"changes": [{"mask_id": 99}]}), 506)
    assert rows(settings) == before


def test_results_that_a_crashed_process_stored_are_removed_with_their_visual(
    tmp_path: Path,
) -> None:
    records = Records(database_url(f"sqlite:///{tmp_path}/records.db"))
    results = LocalObjects(tmp_path / "results")
    limits = unlimited(records.engine)
    visuals = Visuals(records, LocalObjects(tmp_path / "visuals"), results, limits)
    executor = JobExecutor(FakeModels(), results, visuals, 0.8, "lite", Durations(), {}, limits)
    body = BLUR_BG.body(sync=False)
    job = Job(BLUR_BG, "a", body, {}, ["a/x.png"], visual_id="0" * 16, sid="x.JPEG")
    results.put("a/x.png", b"picture", "image/png")
    with pytest.raises(NotFoundError):
        executor.finish_stored(job)
    records.close()
    assert not results.exists("a/x.png")
