"""GET /admin/state: jobs, queue, refusals, models and storage, and what it says without a database."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS
from PIL import Image
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from server.admin.state import AdminState
from server.app import create_app
from server.http.scopes import Scope
from server.settings import Settings
from storage.errors import DatabaseUnavailableError
from tests.helpers.answers import local
from tests.helpers.fake_models import BlockingModels
from tests.helpers.requests import b64, encode, photo
from tests.helpers.services import Postgres

Wait = Callable[[Callable[[], bool]], None]
A, B = {"api_token": "secret-a"}, {"api_token": "secret-b"}
LATER = {"file": b64(photo()), "sync": False}
MARK = "m4rk"
"""Is in everything that these tests send and nobody may be shown."""


def state_of(client: TestClient) -> AdminState:
    """Return the state; each part is read anew."""
    for name in ("jobs", "_servers", "storage", "disk"):
        getattr(report_of(client), name)._tried_at = None
    tokens = client.app.state.dependencies.tokens  # type: ignore[attr-defined]
    table, name = tokens._table, f"operator {time.monotonic_ns()}"
    sent = table.create("ops", name, [Scope.ADMIN])[0] if tokens.required else "me"
    answer = client.get("/admin/state", headers={"api_token": sent})
    assert answer.status_code == 200, answer.text
    assert MARK not in answer.text
    return AdminState.model_validate_json(answer.text)


def report_of(client: TestClient) -> Any:
    """Return what makes the state."""
    return client.app.state.admin  # type: ignore[attr-defined]


@pytest.fixture
def blocked(settings: Settings) -> Iterator[tuple[TestClient, BlockingModels]]:
    """A client of a server with one worker, whose models wait until the test lets them run."""
    models = BlockingModels()
    app = create_app(settings.model_copy(update={"workers": 1}), models)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, models
        models.unblocked.set()


def test_it_tells_of_unfinished_jobs_and_of_the_queue(
    blocked: tuple[TestClient, BlockingModels], wait_until: Wait
) -> None:
    client, models = blocked
    links = [client.post("/v1/crop", json=LATER, headers=A).json()["result_url"]]
    assert models.started.wait(60)
    for _ in range(2):
        links.append(client.post("/v1/crop", json=LATER, headers=A).json()["result_url"])
    wait_until(lambda: sum(row.waiting_jobs for row in state_of(client).queue.organisations) == 2)
    state = state_of(client)
    assert state.jobs.counts == {"running": 1, "waiting": 2}
    assert state.jobs.is_complete
    first, second, third = state.jobs.unfinished
    assert (first.operation, first.organisation, first.state) == ("POST /v1/crop", "a", "running")
    assert (second.state, third.state) == ("waiting", "waiting")
    assert first.age_s >= second.age_s >= third.age_s >= 0
    (row,) = state.queue.organisations
    assert (row.organisation, row.running, row.waiting, row.waiting_jobs) == ("a", 1, 0, 2)
    assert (state.queue.workers, state.queue.running, state.queue.waiting) == (1, 1, 2)
    models.unblocked.set()
    wait_until(lambda: all(client.get(local(link)).status_code == 200 for link in links))
    wait_until(lambda: state_of(client).jobs.counts == {})
    assert state_of(client).jobs.failed == []


def test_it_tells_why_jobs_failed(client: TestClient, wait_until: Wait) -> None:
    white = b64(encode(Image.new("L", (320, 240), 255)))
    v1 = {"file": b64(photo()), "mask_file": white, "sync": False}
    v2 = {"image": b64(photo()), "mask": white, "sync": False}
    assert client.post("/v1/eraser", json=v1, headers=A).status_code == 200
    wait_until(lambda: len(state_of(client).jobs.failed) == 1)
    assert client.post("/v2/image/edit/erase", json=v2, headers=B).status_code == 202
    wait_until(lambda: len(state_of(client).jobs.failed) == 2)
    assert client.post("/v1/crop", json=LATER, headers=A).status_code == 200
    wait_until(lambda: state_of(client).jobs.counts == {})
    newest, oldest = state_of(client).jobs.failed
    assert (newest.organisation, newest.operation) == ("b", "POST /v2/image/edit/erase")
    assert (oldest.organisation, oldest.operation) == ("a", "POST /v1/eraser")
    for job in (newest, oldest):
        assert job.code == 506
        assert "left to fill" in job.error
        assert job.ended is not None
        assert job.accepted <= job.ended <= datetime.now(UTC)


def test_a_failure_that_cannot_be_noted_is_told_to_the_caller_all_the_same(
    client: TestClient,
    wait_until: Wait,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("update", {}, Exception("disk I/O error"))

    monkeypatch.setattr(DBOS, "update_workflow_attributes", fail)
    white = b64(encode(Image.new("L", (320, 240), 255)))
    body = {"image": b64(photo()), "mask": white, "sync": False}
    answer = client.post("/v2/image/edit/erase", json=body, headers=B).json()

    def status() -> str:
        path = f"/v2/status/{answer['request_id']}"
        return str(client.get(path, headers=B).json()["status"])

    wait_until(lambda: status() == "ERROR")
    assert state_of(client).jobs.failed == []
    assert "not in the list of /admin" in caplog.text


def test_a_job_of_an_earlier_version_has_no_operation(
    blocked: tuple[TestClient, BlockingModels], wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, models = blocked
    monkeypatch.setattr("server.jobs.queue.attributes_of", lambda serialized: None)
    link = client.post("/v1/crop", json=LATER, headers=A).json()["result_url"]
    (job,) = state_of(client).jobs.unfinished
    assert (job.organisation, job.operation) == ("a", None)
    models.unblocked.set()
    wait_until(lambda: client.get(local(link)).status_code == 200)


def test_it_tells_what_was_refused_and_nothing_that_callers_sent(client: TestClient) -> None:
    for _ in range(3):
        client.post("/v1/crop", json={"file": MARK}, headers=A)
    client.post("/v1/crop", json={}, headers={"api_token": f"{MARK}-wrong"})
    client.get(f"/{MARK}<script>", headers=B)
    client.get(f"/v1/{MARK}/info", headers=B)
    body = {"image_url": f"http://{MARK}.invalid/{MARK}?{MARK}={MARK}"}
    client.post("/v1/crop", json=body, headers=B)
    refusals = {(one.organisation, one.operation): one for one in state_of(client).refusals}
    crop = refusals["a", "POST /v1/crop"]
    assert (crop.code, crop.count) == (415, 3)
    assert crop.text.startswith("file: ")
    assert refusals[None, "POST /v1/crop"].code == 401
    assert refusals["b", None].text == "There is no such route."
    assert refusals["b", "GET /v1/{visual_id}/info"].code == 404
    assert refusals["b", "POST /v1/crop"].code == 460
    times = [one.time for one in state_of(client).refusals]
    assert times == sorted(times, reverse=True)


def test_it_tells_what_organisations_store(client: TestClient) -> None:
    for headers, width in ((A, 200), (A, 210), (B, 220)):
        body = {"file": b64(photo(width, 150))}
        assert client.post("/v1/register", json=body, headers=headers).status_code == 200
    storage = state_of(client).storage
    assert [(row.organisation, row.visuals) for row in storage.organisations] == [
        ("a", 2),
        ("b", 1),
    ]
    assert storage.total_bytes == sum(row.bytes for row in storage.organisations) > 0
    assert storage.organisation_count == 2
    assert storage.is_counted
    assert storage.disk_free_bytes
    assert storage.disk_reserve_bytes


def test_it_tells_whether_the_server_is_ready_as_readyz_does(
    client: TestClient, wait_until: Wait
) -> None:
    wait_until(lambda: client.get("/readyz").status_code == 200)
    state = state_of(client)
    assert (state.server.status, state.server.reason) == ("ready", None)
    assert (state.server.profile, state.server.has_tokens) == ("lite", True)
    assert not state.servers.is_shared
    client.app.state.readiness.error = "the weights are damaged"  # type: ignore[attr-defined]
    server = state_of(client).server
    assert (server.status, server.reason) == ("failed", "the weights are damaged")


def test_it_tells_which_models_are_loaded(lite: Pool, tmp_path: Path, wait_until: Wait) -> None:
    app = create_app(Settings(data_dir=tmp_path, workers=1), LocalEngine(lite))
    with TestClient(app) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        models = state_of(client).models
    by_role = {one.role: one for one in models.models}
    assert set(by_role) == {role.name for role in lite.profile}
    assert all(one.is_loaded for one in models.models)
    assert by_role["matting"].device == "cpu"
    assert models.memory.models_mb == lite.held_mb > 0
    assert models.memory.process_mb > 0


def test_an_engine_that_tells_nothing_has_no_models(client: TestClient) -> None:
    assert state_of(client).models.models == []


def test_without_its_database_the_rest_is_told(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DatabaseUnavailableError(f"{MARK}: connection refused")

    client.post("/v1/crop", json={"file": "x"}, headers=A)
    before = state_of(client)
    assert before.jobs.error is None
    report = report_of(client)
    monkeypatch.setattr(report.jobs, "_read", fail)
    monkeypatch.setattr(report.storage, "_read", fail)
    state = state_of(client)
    assert state.jobs.error == state.storage.error == "The database does not answer."
    assert state.jobs.age_s is not None
    assert state.server.status == before.server.status
    assert state.refusals[-1].operation == "POST /v1/crop"


def test_servers_that_share_a_database_are_told(
    postgres: Postgres, tmp_path: Path, wait_until: Wait
) -> None:
    models = BlockingModels()
    shared = {"database_url": postgres.database(), "store": str(tmp_path / "store"), "workers": 1}
    first, second = (
        create_app(Settings(data_dir=tmp_path / name, **shared), models) for name in ("1", "2")
    )
    # DBOS has one instance in a process, so only the first server has a queue.
    with TestClient(first) as client:
        assert client.post("/v1/crop", json=LATER, headers={"api_token": "me"}).status_code == 200
        assert models.started.wait(60)
        state = state_of(client)
        models.unblocked.set()
        own, other = state.servers.servers
        assert state.servers.is_shared
        assert (own.is_this, own.is_alive, own.name) == (True, True, state.server.name)
        assert (other.is_this, other.is_alive) == (False, True)
        (job,) = state.jobs.unfinished
        assert (job.state, job.server) == ("running", own.name)
    second.state.admin._context.durable.stop(1)
    second.state.admin._context.records.close()
