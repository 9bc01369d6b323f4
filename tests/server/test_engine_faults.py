"""Errors for callers, and the jobs, if the engine is full, unavailable or too slow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from models.deadline import checkpoint
from models.errors import EngineBusyError, EngineUnavailableError
from models.roles import MATTING, Role
from server.app import create_app
from server.settings import Settings
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import TOKEN, b64, photo

Wait = Callable[[Callable[[], bool]], None]
BUSY = EngineBusyError("64 calls wait for matting, the limit", 7)


class FailingModels(FakeModels):
    """Models that raise on their first calls."""

    def __init__(self, error: Exception, times: int = 10**9) -> None:
        super().__init__()
        self.error, self.times = error, times

    def before(self, role: Role[Any]) -> None:
        """Raise the error while calls are to fail."""
        if self.times > 0:
            self.times -= 1
            raise self.error


@pytest.mark.parametrize(
    ("error", "code", "wait", "text"),
    [
        (BUSY, 429, "7", "64 calls wait for matting, the limit; try again in 7 s."),
        (EngineUnavailableError("no replica answers"), 503, "5", "no replica answers"),
    ],
)
def test_busy_and_unavailable_engines_answer_with_retry_after(
    settings: Settings, error: Exception, code: int, wait: str, text: str
) -> None:
    with TestClient(create_app(settings, FailingModels(error)), headers=TOKEN) as client:
        answer = client.post("/v1/background/remove", json={"file": b64(photo())})
        assert text in refused(answer, code)["description"]
        assert answer.headers["retry-after"] == wait
        assert not list((settings.data_dir / "results").rglob("*.png"))


@pytest.mark.parametrize("error", [BUSY, EngineUnavailableError("no replica answers")])
def test_a_job_is_retried_while_the_engine_is_busy_or_unavailable(
    settings: Settings, error: Exception, wait_until: Wait
) -> None:
    models = FailingModels(error, times=2)
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        body = {"file": b64(photo()), "sync": False}
        link = local(client.post("/v1/background/remove", json=body).json()["result_url"])
        wait_until(lambda: client.get(link).status_code == 200)


class EndlessMatting:
    """A matting model that runs until its work is cancelled."""

    def matte(self, rgb: Any) -> Any:
        """Run until the deadline cancels it."""
        while True:
            checkpoint()


@pytest.mark.parametrize("sync", [True, False])
def test_work_is_cancelled_at_its_timeout(tmp_path: Path, sync: bool, wait_until: Wait) -> None:
    settings = Settings(data_dir=tmp_path, request_timeout_s=0.3, job_timeout_s=0.3)
    with TestClient(
        create_app(settings, FakeModels({MATTING: EndlessMatting()})), headers=TOKEN
    ) as client:
        body = {"file": b64(photo()), "sync": sync}
        answer = client.post("/v1/background/remove", json=body)
        if not sync:
            link = local(answer.json()["result_url"])
            wait_until(lambda: client.get(link).status_code != 404)
            answer = client.get(link)
        assert "took longer than its time" in refused(answer, 503)["description"]
