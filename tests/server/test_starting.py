"""The start: the server listens at once, and answers 503 until its application is made."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from models.deadline import checkpoint
from models.errors import WeightsUnavailableError
from server import starting
from server.app import create_app, create_waiting_app
from server.http.shutdown import Shutdown
from server.settings import Settings
from server.starting import StartingApp
from tests.helpers.fake_models import FakeModels

Wait = Callable[[Callable[[], bool]], None]


class Start:
    """A start whose making of the application waits until the test lets it go on."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_dir=folder)
        self.shutdown = Shutdown(0, 30)
        self.may_go_on = threading.Event()
        self.fault: BaseException | None = None
        self.ready: list[FastAPI] = []
        self.checks = True
        self.stopped_by: list[str] = []
        waiting = create_waiting_app(self.settings, self.shutdown)
        self.app = StartingApp(waiting, self.make, self.shutdown, self.ready.append)

    def make(self) -> FastAPI:
        """Make the application as the program does."""
        while not self.may_go_on.wait(0.01):
            if self.checks:
                try:
                    checkpoint()
                except Exception as error:
                    self.stopped_by.append(type(error).__name__)
                    raise
        if self.fault is not None:
            raise self.fault
        return create_app(self.settings, FakeModels(), self.shutdown)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A start that has not begun; at the end its thread is let go."""
    made = Start(tmp_path)
    yield made
    made.may_go_on.set()


def test_while_the_weights_are_fetched_health_answers_and_all_else_is_503(start: Start) -> None:
    with TestClient(start.app) as client:
        assert client.get("/healthz").status_code == 200
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json() == {
            "status": "starting",
            "awaited": ["weights"],
            "reason": "the weights are being checked, and fetched where they are missing",
        }
        origin = {"Origin": "https://app.example"}
        for method, path in (
            ("POST", "/v1/background/remove"),
            ("POST", "//v1/crop/"),
            ("GET", "/v1/0123456789abcdef/info"),
            ("GET", "/results/a.png"),
            ("GET", "/"),
        ):
            answer = client.request(method, path, headers=origin)
            assert answer.status_code == 503, path
            assert int(answer.headers["retry-after"]) > 0
            assert answer.headers["access-control-allow-origin"] == "*"
            body = answer.json()
            assert (body["code"], body["status"]) == (503, "SERVICE_UNAVAILABLE")
            assert body["message"] == body["error"] == body["description"]
            assert "the weights are being" in body["message"]
        assert start.ready == []


def test_meanwhile_a_browser_gets_a_page_that_asks_again(start: Start) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    with TestClient(start.app) as client:
        page = client.get("/", headers=browser)
        assert page.status_code == 503
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert int(page.headers["refresh"]) == int(page.headers["retry-after"]) > 0
        assert "The weights are being checked" in page.text
        assert "script" not in page.text
        assert client.head("/", headers=browser).status_code == 503
        # What a browser asks for on any other path is an answer of the API.
        assert client.get("/v1/0123456789abcdef/info", headers=browser).json()["code"] == 503


def test_without_the_playground_there_is_no_page_meanwhile(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, playground=False)
    with TestClient(create_waiting_app(settings, Shutdown(0, 30))) as client:
        answer = client.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["code"]) == (503, 503)


def test_then_the_application_answers_and_its_readiness_is_announced_once(
    start: Start, wait_until: Wait
) -> None:
    with TestClient(start.app) as client:
        start.may_go_on.set()
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.post("/v1/crop").status_code == 401
        wait_until(lambda: bool(start.ready))
    assert len(start.ready) == 1
    assert start.app.failure is None
    assert not start.shutdown.failed
    assert not start.shutdown.unfinished


def test_a_failed_fetch_ends_the_server_with_its_error(start: Start, wait_until: Wait) -> None:
    start.fault = WeightsUnavailableError("u2netp.onnx could not be fetched")
    with TestClient(start.app):
        start.may_go_on.set()
        wait_until(lambda: start.shutdown.failed)
    assert start.app.failure is start.fault


def test_a_panic_in_a_library_ends_the_server_too(start: Start, wait_until: Wait) -> None:
    class PanicException(BaseException):
        """What libraries in Rust raise."""

    start.fault = PanicException("called unwrap on an error")
    with TestClient(start.app):
        start.may_go_on.set()
        wait_until(lambda: start.shutdown.failed)
    assert str(start.app.failure) == "called unwrap on an error"


def test_a_failed_startup_of_the_application_ends_the_server_too(
    start: Start, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object) -> None:
        raise OSError("jobs.db is damaged")

    monkeypatch.setattr("server.jobs.durable.DurableJobs.start", broken)
    with TestClient(start.app):
        start.may_go_on.set()
        wait_until(lambda: start.shutdown.failed)
    assert str(start.app.failure) == "jobs.db is damaged"


def test_a_shutdown_interrupts_the_fetch(start: Start) -> None:
    with TestClient(start.app) as client:
        assert client.get("/healthz").status_code == 200
    assert start.stopped_by == ["CallerDisconnectedError"]
    assert start.app.failure is None
    assert not start.shutdown.unfinished


def test_a_shutdown_does_not_wait_for_a_step_that_hangs(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "_ABANDON_S", 0.2)
    start.checks = False
    with TestClient(start.app) as client:
        assert client.get("/healthz").status_code == 200
    assert start.shutdown.unfinished


def test_an_application_that_is_made_during_the_shutdown_is_stopped(start: Start) -> None:
    start.checks = False
    with TestClient(start.app) as client:
        assert client.get("/healthz").status_code == 200
        threading.Timer(0.3, start.may_go_on.set).start()
    assert start.app.failure is None
    assert not start.shutdown.unfinished
    assert start.ready == []
