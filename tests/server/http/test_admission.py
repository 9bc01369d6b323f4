"""The concurrency limit: a full server answers 429 with Retry-After."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from models.roles import MATTING, MODERATION
from server.app import create_app
from server.errors import BusyError
from server.http.admission import ConcurrencyLimit
from server.settings import Settings
from tests.helpers.answers import refused
from tests.helpers.fake_models import EllipseMatting, FakeModels, RedModeration
from tests.helpers.requests import TOKEN, b64, photo


async def test_a_full_house_turns_away_and_tells_the_wait() -> None:
    limit = ConcurrencyLimit(limit=2, workers=1)
    for _ in range(100):
        limit.record(4.0)
    async with limit, limit:
        with pytest.raises(BusyError) as refusal:
            await limit.__aenter__()
        assert refusal.value.headers == {"Retry-After": "8"}
    async with limit, limit:
        pass


async def test_whoever_fails_leaves_room() -> None:
    limit = ConcurrencyLimit(limit=1, workers=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="inside"):
            async with limit:
                raise ValueError("inside")


def test_one_request_too_many_is_429(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Waiting(EllipseMatting):
        def matte(self, rgb: Any) -> Any:
            begun.set()
            assert go_on.wait(10)
            return super().matte(rgb)

    settings = Settings(data_dir=tmp_path, max_waiting=1, workers=1)
    body = {"file": b64(photo())}
    with (
        TestClient(create_app(settings, FakeModels({MATTING: Waiting()})), headers=TOKEN) as client,
        ThreadPoolExecutor(1) as caller,
    ):
        first = caller.submit(client.post, "/v1/crop", json=body)
        assert begun.wait(10)
        answer = client.post("/v1/crop", json=body)
        refused(answer, 429)
        assert int(answer.headers["retry-after"]) >= 1
        go_on.set()
        assert first.result(10).status_code == 200
        assert client.post("/v1/crop", json=body).status_code == 200


def test_one_worker_means_one_model_at_work_checks_included(tmp_path: Path) -> None:
    at_work, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.02)
        with lock:
            at_work -= 1

    class Matting(EllipseMatting):
        def matte(self, rgb: Any) -> Any:
            work()
            return super().matte(rgb)

    class Moderation(RedModeration):
        def score(self, rgb: Any) -> Any:
            work()
            return super().score(rgb)

    models = FakeModels({MATTING: Matting(), MODERATION: Moderation()})
    settings = Settings(data_dir=tmp_path, workers=1)
    with (
        TestClient(create_app(settings, models), headers=TOKEN) as client,
        ThreadPoolExecutor(8) as callers,
    ):

        def ask(n: int) -> int:
            body = {"file": b64(photo()), "sync": n % 2 == 0, "content_moderation": True}
            return client.post("/v1/background/remove", json=body).status_code

        assert set(callers.map(ask, range(16))) == {200}
    assert most == 1


def test_a_check_goes_before_work_that_waits(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    class Waiting(EllipseMatting):
        def matte(self, rgb: Any) -> Any:
            order.append("work")
            begun.set()
            assert go_on.wait(10)
            return super().matte(rgb)

    class Noting(RedModeration):
        def score(self, rgb: Any) -> Any:
            order.append("check")
            return super().score(rgb)

    models = FakeModels({MATTING: Waiting(), MODERATION: Noting()})
    settings = Settings(data_dir=tmp_path, workers=1)
    with (
        TestClient(create_app(settings, models), headers=TOKEN) as client,
        ThreadPoolExecutor(8) as callers,
    ):

        def ask(**fields: bool) -> int:
            return client.post("/v1/crop", json={"file": b64(photo()), **fields}).status_code

        asked = [callers.submit(ask)]
        assert begun.wait(10)
        asked += [callers.submit(ask) for _ in range(3)]
        asked.append(callers.submit(ask, sync=False, content_moderation=True))
        time.sleep(0.5)  # all are in the queue by then
        go_on.set()
        assert [one.result(20) for one in asked] == [200] * 5
    assert order[:2] == ["work", "check"]
