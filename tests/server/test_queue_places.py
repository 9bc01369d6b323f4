"""The place of a request in the queue: who may ask, what is told while it waits and runs, and what remains."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from models.roles import MATTING
from server.app import create_app
from server.queue_places import HEADER
from server.settings import Settings
from tests.helpers.answers import refused
from tests.helpers.fake_models import FakeModels, HeldMatting
from tests.helpers.requests import b64, photo

Wait = Callable[[Callable[[], bool]], None]
A, B = {"api_token": "secret-a"}, {"api_token": "secret-b"}
CROP, V2 = "/v1/crop", "/v2/image/edit/crop_foreground"
SHORT = b64(photo())
IDS = [f"0000-0000-0000-{number:04}" for number in range(10)]


class Queue:
    """A server whose only worker is held, and the calls that wait for it."""

    def __init__(
        self, client: TestClient, matting: HeldMatting, threads: ThreadPoolExecutor
    ) -> None:
        self.client = client
        self.matting = matting
        self._threads = threads

    def begin(
        self, token: dict[str, str], known_as: str, **fields: Any
    ) -> "Future[httpx.Response]":
        """Begin a call of v1 in a thread of its own."""
        headers = {**token, HEADER: known_as}
        body = {"file": SHORT, **fields}
        return self._threads.submit(self.client.post, CROP, json=body, headers=headers)

    def place(self, token: dict[str, str], known_as: str) -> dict[str, Any] | None:
        """Return where a request is; None for 404."""
        answer = self.client.get(f"/queue/{known_as}", headers=token)
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def hold(self) -> None:
        """Begin a call and wait until it holds all workers that its organisation may have."""
        self.begin(A, IDS[0])
        assert self.matting.running.acquire(timeout=60)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """A server with one worker and two organisations."""
    matting = HeldMatting()
    settings = Settings(data_dir=tmp_path, api_tokens="a:secret-a,b:secret-b", workers=1)
    app = create_app(settings, FakeModels({MATTING: matting}))
    with (
        TestClient(app, raise_server_exceptions=False) as client,
        ThreadPoolExecutor(8) as threads,  # ends first: it waits for the calls
    ):
        yield Queue(client, matting, threads)
        matting.proceed.set()


def waiting(before: int | None) -> dict[str, Any]:
    return {"state": "waiting", "before": before}


RUNNING = {"state": "running", "before": None}


def test_a_call_runs_or_waits_behind_those_before_it(queue: Queue, wait_until: Wait) -> None:
    queue.hold()
    assert queue.place(A, IDS[0]) == RUNNING
    calls = []
    for number in (1, 2, 3):
        calls.append(queue.begin(A, IDS[number]))
        wait_until(lambda: queue.place(A, IDS[number]) is not None)  # noqa: B023 - it is called at once
    assert [queue.place(A, IDS[number]) for number in (1, 2, 3)] == [*map(waiting, range(3))]
    queue.matting.proceed.set()
    assert [call.result(60).status_code for call in calls] == [200] * 3
    assert [queue.place(A, one) for one in IDS] == [None] * len(IDS)
    assert not queue.client.app.state.endpoints.places._tasks  # type: ignore[attr-defined]


def test_an_id_tells_nothing_to_another_organisation(queue: Queue, wait_until: Wait) -> None:
    queue.hold()
    queue.begin(A, IDS[1])
    wait_until(lambda: queue.place(A, IDS[1]) is not None)
    unknown = queue.client.get(f"/queue/{IDS[9]}", headers=B)
    answer = queue.client.get(f"/queue/{IDS[1]}", headers=B)
    refused(answer, 404)
    told, of_unknown = (one.json() | {"request_id": ""} for one in (answer, unknown))
    assert told == of_unknown


def test_two_organisations_may_choose_the_same_id(queue: Queue, wait_until: Wait) -> None:
    queue.hold()
    first = queue.begin(A, IDS[1])
    wait_until(lambda: queue.place(A, IDS[1]) == waiting(0))
    second = queue.begin(B, IDS[1])
    # B is below its share: it uses a further worker and does not wait.
    wait_until(lambda: queue.place(B, IDS[1]) == RUNNING)
    assert queue.place(A, IDS[1]) == waiting(0)
    queue.matting.proceed.set()
    assert [one.result(60).status_code for one in (first, second)] == [200] * 2


def test_a_job_is_known_until_it_is_done(queue: Queue, wait_until: Wait) -> None:
    queue.hold()
    for number, (path, body) in enumerate(
        [(CROP, {"file": SHORT}), (V2, {"image": SHORT})], start=1
    ):
        answer = queue.client.post(
            path, json={**body, "sync": False}, headers={**A, HEADER: IDS[number]}
        )
        assert answer.status_code in (200, 202), answer.text
        wait_until(lambda: queue.place(A, IDS[number]) == waiting(number - 1))  # noqa: B023
    assert queue.place(A, answer.json()["request_id"]) == waiting(1)
    assert queue.place(B, answer.json()["request_id"]) is None
    queue.matting.proceed.set()
    wait_until(lambda: [queue.place(A, one) for one in IDS[1:3]] == [None, None])


@pytest.mark.parametrize("sent", ["short", "x" * 65, "0123456789 abcdef", "../../../../../etc"])
@pytest.mark.parametrize("path", [CROP, V2])
def test_a_malformed_id_is_refused(queue: Queue, path: str, sent: str) -> None:
    answer = queue.client.post(path, json={"file": SHORT}, headers={**A, HEADER: sent})
    assert answer.status_code == 400
    assert HEADER in answer.text
    assert not queue.matting.running.acquire(blocking=False)


def test_asking_has_the_limit_of_the_status_service(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        api_tokens="a:secret-a",
        requests_per_minute=1,
        status_requests_per_minute=2,
    )
    with TestClient(create_app(settings, FakeModels())) as client:
        codes = [
            client.get(f"/queue/{IDS[0]}", headers=A).status_code
            for _ in range(21)  # refused requests have ten times the limit
        ]
    assert codes == [404] * 20 + [429]
