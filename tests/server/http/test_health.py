"""Liveness and readiness."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from models.errors import EngineLostError, EngineUnavailableError
from server.app import create_app
from server.http.shutdown import Shutdown
from server.settings import Settings
from tests.helpers.fake_models import FakeModels


class SlowModels(FakeModels):
    """Models that wait for a signal when they are loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.start = threading.Event()
        self.fault: Exception | None = None

    def warm_up(self) -> None:
        """Wait, then raise if the test says so."""
        self.start.wait(10)
        if self.fault:
            raise self.fault


def test_the_server_is_ready_after_the_warm_up(
    tmp_path: Path, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    models = SlowModels()
    with TestClient(create_app(Settings(data_dir=tmp_path), models)) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        models.start.set()
        wait_until(lambda: client.get("/readyz").status_code == 200)


def test_a_failed_warm_up_is_reported(
    tmp_path: Path, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    models = SlowModels()
    models.fault = RuntimeError("u2netp.onnx is truncated")
    models.start.set()
    with TestClient(create_app(Settings(data_dir=tmp_path), models)) as client:
        wait_until(lambda: client.get("/readyz").json()["status"] == "failed")
        assert client.get("/readyz").json()["reason"] == "u2netp.onnx is truncated"
        assert client.get("/readyz").status_code == 503


def test_the_warm_up_is_retried_while_the_engine_is_unavailable(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[[Callable[[], bool]], None],
) -> None:
    class Away(FakeModels):
        tries = 0

        def warm_up(self) -> None:
            self.tries += 1
            if self.tries < 3:
                raise EngineUnavailableError("nobody answers")

    monkeypatch.setattr("server.lifecycle._ENGINE_RETRY_S", 0.5)
    models = Away()
    with TestClient(create_app(Settings(data_dir=tmp_path), models)) as client:
        wait_until(lambda: models.tries == 1)
        answer = client.get("/readyz")
        assert answer.status_code == 503
        wait_until(lambda: client.get("/readyz").status_code == 200)


def test_a_process_that_cannot_have_its_engine_ends(
    tmp_path: Path, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    models, shutdown = SlowModels(), Shutdown(1, 30)
    models.fault = EngineLostError("it does not start")
    with TestClient(create_app(Settings(data_dir=tmp_path), models, shutdown)) as client:
        assert not shutdown.failed
        models.start.set()
        wait_until(lambda: shutdown.failed)
        assert client.get("/readyz").json() == {"status": "failed", "reason": "it does not start"}


def test_a_process_that_shuts_down_is_not_ready(tmp_path: Path) -> None:
    shutdown = Shutdown(1, 30)
    with TestClient(create_app(Settings(data_dir=tmp_path), FakeModels(), shutdown)) as client:
        shutdown.begin()
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "ending"})
        assert client.get("/healthz").status_code == 200
