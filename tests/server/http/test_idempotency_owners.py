"""Idempotency keys among several servers: who runs a request when its owner dies or gives up."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from server.errors import InWorkError, UnavailableError
from server.http.auth import Tokens
from server.http.fields import read_fields
from server.http.idempotency import REPLAYED, Idempotency
from server.http.request_id import is_repeated, request_id
from server.settings import Settings
from storage.database import database_url
from storage.filesystem import LocalObjects
from storage.idempotency import IdempotencyKeys
from storage.records import Records
from tests.helpers.storage_limits import unlimited

HOUR = timedelta(hours=1)
BODY = b'{"file": "picture"}'


@dataclass
class Cluster:
    """What decides in a test which servers are alive, and what of them ran."""

    records: Records
    results: Path
    alive: set[str] = field(default_factory=set)
    ran: list[tuple[str, bool]] = field(default_factory=list)

    def add(self, name: str, grace_s: float = 0.0, **settings: Any) -> Idempotency:
        """Return another server; it is alive."""
        self.alive.add(name)
        keys = IdempotencyKeys(self.records.engine, HOUR, settings.pop("lease", HOUR))
        cluster = self

        class Owner:
            def __init__(self) -> None:
                self.name, self.grace_s = name, grace_s

            def is_alive(self, other: str) -> bool:
                return other in cluster.alive

        return Idempotency(
            Settings(**settings),
            Tokens(()),
            keys,
            Owner(),
            unlimited(self.records.engine),
            LocalObjects(self.results),
        )

    async def run(self, request: Request) -> Response:
        """Note a request that runs, and answer with its id."""
        self.ran.append((request_id(request.scope), is_repeated(request.scope)))
        assert await read_fields(request, 100) == {"file": "picture"}
        return JSONResponse({"id": request_id(request.scope)})


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster without servers."""
    records = Records(database_url(f"sqlite:///{tmp_path}/records.db"))
    yield Cluster(records, tmp_path / "results")
    records.close()


def call(body: bytes = BODY, is_gone: Callable[[], bool] = lambda: False) -> Request:
    """Return a request with a key; is_gone: whether its caller has disconnected."""
    headers = [(b"idempotency-key", b"k"), (b"api_token", b"t"), (b"content-type", b"text/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/crop", "headers": headers}
    messages = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, Any]:
        if not messages and not is_gone():
            await asyncio.sleep(1000)
        return messages.pop() if messages else {"type": "http.disconnect"}

    return Request({**scope, "query_string": b""}, receive)


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test in an event loop; it fails after half a minute."""

    async def bounded() -> None:
        await asyncio.wait_for(test, 30)

    asyncio.run(bounded())


async def hang(_: Request) -> Response:
    """Work until the process dies."""
    await asyncio.sleep(1000)
    raise AssertionError


async def killed(server: Idempotency, work: Callable[[Request], Awaitable[Response]]) -> None:
    """Let a server begin a request and die: it neither answers nor frees the key."""
    begun = asyncio.Event()

    async def begin(request: Request) -> Response:
        begun.set()
        return await work(request)

    task = asyncio.create_task(server.answer(call(), begin))
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_the_next_server_waits_for_a_living_owner_and_replays_its_answer(cluster: Cluster) -> None:
    async def test() -> None:
        one, other = cluster.add("one"), cluster.add("other")
        go = asyncio.Event()

        async def wait(request: Request) -> Response:
            await go.wait()
            return await cluster.run(request)

        first = asyncio.create_task(one.answer(call(), wait))
        await asyncio.sleep(0.2)
        second = asyncio.create_task(other.answer(call(), cluster.run))
        await asyncio.sleep(0.2)
        assert not second.done()
        go.set()
        answers = await asyncio.gather(first, second)
        assert answers[0].body == answers[1].body
        assert answers[1].headers[REPLAYED] == "true"
        assert len(cluster.ran) == 1

    run(test())


def test_another_server_takes_over_from_a_dead_one_with_its_id(cluster: Cluster) -> None:
    async def test() -> None:
        ids: list[str] = []

        async def die(request: Request) -> Response:
            ids.append(request_id(request.scope))
            return await hang(request)

        await killed(cluster.add("one"), die)
        second = asyncio.create_task(cluster.add("other").answer(call(), cluster.run))
        await asyncio.sleep(0.3)
        assert not second.done()
        cluster.alive.remove("one")
        assert (await second).body == b'{"id":"%s"}' % ids[0].encode()
        assert cluster.ran == [(ids[0], True)]

    run(test())


def test_a_server_without_a_lease_for_a_moment_is_not_dead(cluster: Cluster) -> None:
    async def test() -> None:
        await killed(cluster.add("one"), hang)
        other = cluster.add("other", grace_s=1.5)
        second = asyncio.create_task(other.answer(call(), cluster.run))
        cluster.alive.remove("one")
        await asyncio.sleep(1.2)
        cluster.alive.add("one")
        await asyncio.sleep(1.0)
        assert not second.done()
        cluster.alive.remove("one")
        start = time.monotonic()
        await second
        assert time.monotonic() - start > 1.0

    run(test())


def test_a_request_whose_lease_is_over_is_taken_over_from_a_living_server(
    cluster: Cluster,
) -> None:
    async def test() -> None:
        await killed(cluster.add("one", lease=timedelta()), hang)
        await cluster.add("other").answer(call(), cluster.run)
        assert [repeated for _, repeated in cluster.ran] == [True]

    run(test())


def test_a_process_takes_over_what_it_no_longer_works_on(cluster: Cluster) -> None:
    async def test() -> None:
        one = cluster.add("one")
        await killed(one, hang)
        await one.answer(call(), cluster.run)
        assert [repeated for _, repeated in cluster.ran] == [True]

    run(test())


def test_when_the_caller_disconnects_a_waiting_call_runs(cluster: Cluster) -> None:
    async def test() -> None:
        one = cluster.add("one")
        go = asyncio.Event()

        async def disconnect(_: Request) -> Response:
            await go.wait()
            raise ClientDisconnect

        first = asyncio.create_task(one.answer(call(), disconnect))
        await asyncio.sleep(0.1)
        others = [asyncio.create_task(one.answer(call(), cluster.run)) for _ in range(5)]
        await asyncio.sleep(0.1)
        go.set()
        with pytest.raises(ClientDisconnect):
            await first
        answers = await asyncio.gather(*others)
        assert len({bytes(answer.body) for answer in answers}) == 1
        assert [repeated for _, repeated in cluster.ran] == [False]

    run(test())


def test_a_waiting_caller_who_disconnects_stops_waiting(cluster: Cluster) -> None:
    async def test() -> None:
        one = cluster.add("one")
        first = asyncio.create_task(one.answer(call(), hang))
        await asyncio.sleep(0.1)
        with pytest.raises(ClientDisconnect):
            await one.answer(call(is_gone=lambda: True), cluster.run)
        first.cancel()

    run(test())


async def until(happened: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    for _ in range(2000):
        if happened():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the condition did not become true")


def test_waiting_calls_share_one_copy_of_the_fields_and_the_running_call_keeps_none(
    cluster: Cluster,
) -> None:
    async def test() -> None:
        one = cluster.add("one", request_timeout_s=1.0)
        first = asyncio.create_task(one.answer(call(), hang))
        await until(lambda: bool(one._calls) and not any(c.fields for c in one._calls.values()))
        (calls,) = one._calls.values()
        others = [asyncio.create_task(one.answer(call(), cluster.run)) for _ in range(5)]
        await until(lambda: all(c.fields for c in one._calls.values()))
        assert list(one._calls.values()) == [calls]
        assert calls.fields == {"file": "picture"}
        for other in others:
            with pytest.raises(InWorkError):
                await other
        assert calls.fields is None
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        del calls, first, others, other
        await asyncio.sleep(0.1)
        gc.collect()
        assert not one._calls

    run(test())


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"text": "x" * 2**20}),
        JSONResponse({}, 404),
        PlainTextResponse("text"),
    ],
    ids=["too long", "an error", "not JSON"],
)
def test_what_is_not_a_short_json_answer_is_not_stored(cluster: Cluster, answer: Response) -> None:
    async def test() -> None:
        one = cluster.add("one")

        async def work(_: Request) -> Response:
            return answer

        assert await one.answer(call(), work) is answer
        await one.answer(call(), cluster.run)
        assert [repeated for _, repeated in cluster.ran] == [False]

    run(test())


def test_an_error_of_another_server_is_not_shared_and_the_call_runs(cluster: Cluster) -> None:
    async def test() -> None:
        one, other = cluster.add("one"), cluster.add("other")
        begun, go = asyncio.Event(), asyncio.Event()

        async def fail(_: Request) -> Response:
            begun.set()
            await go.wait()
            raise UnavailableError("no memory")

        first = asyncio.create_task(one.answer(call(), fail))
        await begun.wait()
        second = asyncio.create_task(other.answer(call(), cluster.run))
        await asyncio.sleep(0.1)
        go.set()
        with pytest.raises(UnavailableError):
            await first
        assert REPLAYED not in (await second).headers

    run(test())
