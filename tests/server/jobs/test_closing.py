"""An application that starts in the process of one whose database did not answer at its end."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dbos import DBOS
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, photo
from tests.helpers.services import Postgres

Wait = Callable[[Callable[[], bool]], None]
JOB = {"file": b64(photo()), "sync": False}


def application(folder: Path, database_url: str) -> TestClient:
    """Return an application that is not started yet."""
    settings = Settings(data_dir=folder, database_url=database_url, api_tokens="a:secret-a")
    return TestClient(create_app(settings, FakeModels()), headers=TOKEN)


def test_the_next_queue_of_a_process_waits_for_the_end_of_the_last_one(
    tmp_path: Path, postgres: Postgres, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, proceed = [], threading.Event()
    launch, destroy = DBOS.launch, DBOS.destroy

    def slow_destroy() -> None:
        assert proceed.wait(60)
        destroy()
        events.append("destroyed")

    def noted_launch() -> None:
        events.append("launched")
        launch()

    monkeypatch.setattr(DBOS, "destroy", slow_destroy)
    monkeypatch.setattr(DBOS, "launch", noted_launch)
    try:
        with application(tmp_path / "first", postgres.database()) as first:
            postgres.freeze()
            wait_until(lambda: "database" in first.get("/readyz").text)
    finally:
        postgres.thaw()
    second = application(tmp_path / "second", postgres.database())
    with ThreadPoolExecutor(1) as thread:
        starting = thread.submit(second.__enter__)
        time.sleep(1)  # enough for a start that does not wait
        proceed.set()
        starting.result()
    try:
        assert events == ["launched", "destroyed", "launched"]
        link = second.post("/v1/crop", json=JOB).json()["result_url"]
        wait_until(lambda: second.get(link.removeprefix("http://testserver")).status_code == 200)
    finally:
        second.__exit__(None, None, None)
