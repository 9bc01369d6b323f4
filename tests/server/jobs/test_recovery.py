"""A job that the database takes for running, and on which no process works, runs again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from server.app import create_app
from server.errors import JobInterruptedError
from server.jobs import recovery
from server.jobs.runner import JobRunner
from server.jobs.running import RunningWorkflows
from server.settings import Settings
from storage.server_lease import ServerLease
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, photo
from tests.helpers.services import Postgres

Wait = Callable[[Callable[[], bool]], None]


@pytest.mark.parametrize("executor", [None, "a-server-that-is-gone"])
def test_a_job_that_no_process_works_on_is_put_back_into_the_queue(
    executor: str | None,
    tmp_path: Path,
    postgres: Postgres,
    wait_until: Wait,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs: list[str] = []
    run, database_url = JobRunner.run, postgres.database()

    def lost_once(self: JobRunner, name: str, serialized: Any) -> Any:
        runs.append(name)
        if len(runs) == 1:
            if executor is not None:
                with psycopg.connect(database_url) as connection:
                    connection.execute(
                        "UPDATE dbos.workflow_status SET executor_id = %s", [executor]
                    )
            raise JobInterruptedError  # its workflow stays pending, as one that was never begun
        return run(self, name, serialized)

    renew, renewed = ServerLease.renew, []

    def fails_once(self: ServerLease) -> bool:
        renewed.append(1)
        if len(renewed) == 1:
            raise RuntimeError("a fault that nobody has thought of")
        return renew(self)

    monkeypatch.setattr(ServerLease, "renew", fails_once)
    monkeypatch.setattr(JobRunner, "run", lost_once)
    monkeypatch.setattr(recovery, "_IDLE_INTERVAL_S", 0.5)
    settings = Settings(data_dir=tmp_path, database_url=database_url, api_tokens="a:secret-a")
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        body = {"image": b64(photo()), "sync": False}
        accepted = client.post("/v2/image/edit/remove_background", json=body).json()
        status = f"/v2/status/{accepted['request_id']}"
        wait_until(lambda: client.get(status).json()["status"] == "COMPLETED")
        link = client.get(status).json()["result"]["image_url"]
        assert client.get(link.removeprefix("http://testserver")).status_code == 200
    assert runs == [accepted["request_id"]] * 2


def test_a_job_that_runs_is_left_alone(
    tmp_path: Path, postgres: Postgres, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    checks: list[int] = []
    run, check = JobRunner.run, recovery.JobRecovery._check_idle

    def slow(self: JobRunner, name: str, serialized: Any) -> Any:
        runs.append(name)
        begun = len(checks)
        wait_until(lambda: len(checks) > begun + 3)
        return run(self, name, serialized)

    def counted(self: recovery.JobRecovery) -> None:
        check(self)
        checks.append(1)

    monkeypatch.setattr(JobRunner, "run", slow)
    monkeypatch.setattr(recovery.JobRecovery, "_check_idle", counted)
    monkeypatch.setattr(recovery, "_IDLE_INTERVAL_S", 0.0)
    settings = Settings(
        data_dir=tmp_path, database_url=postgres.database(), api_tokens="a:secret-a"
    )
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        body = {"file": b64(photo()), "sync": False}
        link = client.post("/v1/crop", json=body).json()["result_url"]
        wait_until(lambda: client.get(link.removeprefix("http://testserver")).status_code == 200)
    assert len(runs) == 1


def test_a_workflow_that_runs_twice_runs_until_both_have_ended() -> None:
    running = RunningWorkflows()
    with running.noted("one"):
        with running.noted("one"):
            assert "one" in running
        assert "one" in running
        assert "another" not in running
    assert "one" not in running
