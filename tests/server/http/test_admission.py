"""The concurrency limit: a full server answers 429 with Retry-After."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
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


async def test_a_full_queue_refuses_with_retry_after() -> None:
    limit = ConcurrencyLimit(limit=2, workers=1)
    for _ in range(100):
        limit.record("a", 1.0, 4.0)
    async with limit.place("a", 1), limit.place("a", 1):
        with pytest.raises(BusyError) as refusal:
            async with limit.place("a", 1):
                pass
        assert refusal.value.headers == {"Retry-After": "8"}
    async with limit.place("a", 1), limit.place("a", 1):
        pass


async def test_a_failed_request_frees_its_place() -> None:
    limit = ConcurrencyLimit(limit=1, workers=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="inside"):
            async with limit.place("a", 1):
                raise ValueError("inside")


def test_a_request_over_the_limit_is_429(tmp_path: Path) -> None:
    started, proceed = threading.Event(), threading.Event()

    class Waiting(EllipseMatting):
        def matte(self, rgb: Any) -> Any:
            started.set()
            assert proceed.wait(10)
            return super().matte(rgb)

    settings = Settings(data_dir=tmp_path, max_waiting=1, workers=1)
    body = {"file": b64(photo())}
    with (
        TestClient(create_app(settings, FakeModels({MATTING: Waiting()})), headers=TOKEN) as client,
        ThreadPoolExecutor(1) as caller,
    ):
        first = caller.submit(client.post, "/v1/crop", json=body)
        assert started.wait(10)
        answer = client.post("/v1/crop", json=body)
        refused(answer, 429)
        assert int(answer.headers["retry-after"]) >= 1
        proceed.set()
        assert first.result(10).status_code == 200
        assert client.post("/v1/crop", json=body).status_code == 200


def test_one_worker_runs_one_model_at_a_time_moderation_included(tmp_path: Path) -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

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


def test_moderation_runs_before_queued_work(tmp_path: Path) -> None:
    started, proceed = threading.Event(), threading.Event()
    order: list[str] = []

    class Waiting(EllipseMatting):
        def matte(self, rgb: Any) -> Any:
            order.append("work")
            started.set()
            assert proceed.wait(10)
            return super().matte(rgb)

    class Recording(RedModeration):
        def score(self, rgb: Any) -> Any:
            order.append("check")
            return super().score(rgb)

    models = FakeModels({MATTING: Waiting(), MODERATION: Recording()})
    settings = Settings(data_dir=tmp_path, workers=1)
    with (
        TestClient(create_app(settings, models), headers=TOKEN) as client,
        ThreadPoolExecutor(8) as callers,
    ):

        def ask(**fields: bool) -> int:
            return client.post("/v1/crop", json={"file": b64(photo()), **fields}).status_code

        calls = [callers.submit(ask)]
        assert started.wait(10)
        calls += [callers.submit(ask) for _ in range(3)]
        calls.append(callers.submit(ask, sync=False, content_moderation=True))
        time.sleep(0.5)  # all are in the queue by then
        proceed.set()
        assert [one.result(20) for one in calls] == [200] * 5
    assert order[:2] == ["work", "check"]


async def test_the_files_of_waiting_requests_are_limited_and_each_newcomer_has_room_for_one() -> (
    None
):
    limit = ConcurrencyLimit(100, 2, max_bytes=lambda: 100)
    async with AsyncExitStack() as stack:

        async def count(organisation: str, size: int) -> int:
            for number in range(100):
                try:
                    await stack.enter_async_context(limit.place(organisation, 1.0, size))
                except BusyError:
                    return number
            return 100

        assert await count("a", 10) == 8
        assert await count("b", 10) == 1
        assert await count("c", 500) == 1
    async with limit.place("a", 1.0, 500):
        pass


async def test_the_bytes_of_files_are_free_again_after_requests_that_failed() -> None:
    limit = ConcurrencyLimit(100, 2, max_bytes=lambda: 100)
    for _ in range(50):
        with suppress(ZeroDivisionError):
            async with limit.place("a", 1.0, 40), limit.place("b", 1.0, 40):
                raise ZeroDivisionError
    async with limit.place("a", 1.0, 20), limit.place("a", 1.0, 20):
        pass
