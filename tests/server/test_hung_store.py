"""A store that hangs: finished work waits for it without a worker, and new work is refused at once."""

import gc
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from models.roles import MATTING, Role
from server.app import create_app
from server.jobs.executor import JobExecutor
from server.jobs.job import FinishedWork, JobOutcome
from server.settings import Settings
from storage.errors import StoreSilentError
from storage.filesystem import LocalObjects
from storage.stored_bytes import charged
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, photo

Wait = Callable[[Callable[[], bool]], None]
ROUTE = "/v1/background/remove"


class Store:
    """The server's store, which can be away."""

    def __init__(self) -> None:
        self.is_away = False
        self.refused = 0

    def check(self) -> None:
        """Raise the error of a store that does not answer."""
        if self.is_away:
            self.refused += 1
            raise StoreSilentError("no answer for 5 s")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store of `client`."""
    store = Store()
    monkeypatch.setattr("storage.breaker._INTERVAL_S", 0.05)
    monkeypatch.setattr("storage.breaker._RETRY_S", 0.05)
    statvfs = os.statvfs

    def guarded_statvfs(folder: Path) -> os.statvfs_result:
        store.check()
        return statvfs(folder)

    monkeypatch.setattr("storage.stores.os.statvfs", guarded_statvfs)
    for name in ("put", "get", "stat", "delete", "is_settled", "refusal", "refuse"):
        call = getattr(LocalObjects, name)

        def guarded(*arguments: Any, call: Callable[..., Any] = call) -> Any:
            store.check()
            return call(*arguments)

        monkeypatch.setattr(LocalObjects, name, guarded)
    return store


class StoreGoesAway(FakeModels):
    """Models during whose work the store goes away."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.works = True
        self.runs = 0

    def before(self, role: Role[Any]) -> None:
        """Count the runs."""
        if role == MATTING:
            self.runs += 1
            self.store.is_away = self.works


@pytest.fixture
def models(store: Store) -> StoreGoesAway:
    return StoreGoesAway(store)


@pytest.fixture
def client(
    tmp_path: Path, models: StoreGoesAway, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """A client of a server with one worker, on which finished work waits as long as the request."""
    monkeypatch.setattr("server.jobs.hand_over._LONGEST_WAIT_S", 600)
    settings = Settings(
        data_dir=tmp_path, api_tokens="a:secret-a", workers=1, request_timeout_s=120
    )
    app = create_app(settings, models)
    with TestClient(app, raise_server_exceptions=False, headers=TOKEN) as client:
        yield client
        models.store.is_away = False


def post(client: TestClient, **fields: object) -> "Future[httpx.Response]":
    """Send a request on another thread."""
    threads = ThreadPoolExecutor(1)
    future = threads.submit(client.post, ROUTE, json={"file": b64(photo()), **fields})
    threads.shutdown(wait=False)
    return future


def test_finished_work_is_handed_over_when_the_store_is_back(
    client: TestClient, store: Store, models: StoreGoesAway, wait_until: Wait
) -> None:
    answer = post(client)
    wait_until(lambda: store.refused > 0 and client.get("/readyz").status_code == 503)
    worked = threading.Event()
    client.app.state.endpoints._work._scheduler.submit(worked.set)  # type: ignore[attr-defined]
    assert worked.wait(60)  # the only worker is free
    assert not answer.done()
    store.is_away = False
    link = answer.result(60).json()["result_url"]
    assert client.get(local(link)).status_code == 200
    assert models.runs == 1
    # However often it was tried, the result counts once.
    file = client.get(local(link)).content
    state = client.app.state.dependencies.storage.state("a")  # type: ignore[attr-defined]
    assert state.used == charged(len(file))


def test_new_work_is_refused_at_once_while_the_store_is_away(
    client: TestClient, store: Store, models: StoreGoesAway, wait_until: Wait
) -> None:
    store.is_away = True
    wait_until(lambda: client.get("/readyz").status_code == 503)
    for fields in ({}, {"sync": False}):
        answer = client.post(ROUTE, json={"file": b64(photo()), **fields})
        refused(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
    assert models.runs == 0
    assert client.get("/readyz").json() == {
        "status": "unavailable",
        "unavailable": ["store"],
        "reason": "the store does not answer",
    }
    assert client.get("/healthz").status_code == 200
    store.is_away = models.works = False
    wait_until(lambda: client.get("/readyz").status_code == 200)
    assert client.post(ROUTE, json={"file": b64(photo())}).status_code == 200


def test_finished_work_is_dropped_at_the_deadline(
    tmp_path: Path, store: Store, models: StoreGoesAway
) -> None:
    settings = Settings(data_dir=tmp_path, api_tokens="a:secret-a", workers=1, request_timeout_s=2)
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        answer = client.post(ROUTE, json={"file": b64(photo())})
        refused(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
        store.is_away = False
    assert not list((tmp_path / "results").rglob("*.png"))


def test_finished_work_does_not_wait_for_the_whole_deadline(
    client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    monkeypatch.setattr("server.jobs.hand_over._LONGEST_WAIT_S", 0.5)
    # pytest keeps the records of the log, and with their errors the work.
    monkeypatch.setattr(logging.getLogger("retouch"), "disabled", True)
    works: list[weakref.ref[FinishedWork]] = []
    store_work = JobExecutor.store

    def noting(executor: JobExecutor, work: FinishedWork) -> JobOutcome:
        works.append(weakref.ref(work))
        return store_work(executor, work)

    monkeypatch.setattr(JobExecutor, "store", noting)
    answer = post(client).result(60)  # the deadline is 120 s
    refused(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert store.refused > 0
    assert len(works) > 0

    def is_freed() -> bool:
        gc.collect()
        return works[0]() is None

    wait_until(is_freed)


def test_finished_work_hardly_waits_while_the_server_shuts_down(
    client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    monkeypatch.setattr("server.jobs.hand_over._LAST_WAIT_S", 0.5)
    answer = post(client)
    wait_until(lambda: store.refused > 0 and client.get("/readyz").status_code == 503)
    assert not answer.done()
    client.app.state.endpoints._availability.hurry()  # type: ignore[attr-defined]
    refused(answer.result(60), 503)
    assert int(answer.result().headers["retry-after"]) > 0


def test_a_finished_job_is_stored_when_the_store_is_back_and_runs_once(
    client: TestClient, store: Store, models: StoreGoesAway, wait_until: Wait
) -> None:
    link = local(
        client.post(ROUTE, json={"file": b64(photo()), "sync": False}).json()["result_url"]
    )
    wait_until(lambda: models.runs == 1 and client.get("/readyz").status_code == 503)
    store.is_away = models.works = False
    wait_until(lambda: client.get(link).status_code == 200)
    assert models.runs == 1
