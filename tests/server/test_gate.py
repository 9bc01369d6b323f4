"""Admission: a full house answers 429 and says when to come again."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from server.app import create_app
from server.errors import BusyError
from server.http.admission import ConcurrencyLimit
from server.settings import Settings
from tests.fakes import EllipseMatting, FakeModels
from tests.server.conftest import TOKEN, b64, photo
from tests.server.test_refusals import refused


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


def test_one_request_too_many_is_429(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Waiting(EllipseMatting):
        def matte(self, rgb: Any) -> Any:
            begun.set()
            assert go_on.wait(10)
            return super().matte(rgb)

    monkeypatch.setattr("tests.fakes.EllipseMatting", Waiting)
    settings = Settings(data_dir=tmp_path, max_waiting=1, workers=1)
    body = {"file": b64(photo())}
    with (
        TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client,
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
