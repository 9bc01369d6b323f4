"""The limit of an organisation's requests in work holds on all servers of a database together."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from models.roles import MATTING
from server.app import create_app
from server.http.admission import ConcurrencyLimit
from server.jobs.queue import JobQueue
from server.settings import Settings
from tests.helpers.answers import refused
from tests.helpers.fake_models import EllipseMatting, FakeModels
from tests.helpers.requests import b64, photo
from tests.helpers.services import Postgres

A, B = {"api_token": "secret-a"}, {"api_token": "secret-b"}
BODY = {"file": b64(photo())}


class HeldMatting(EllipseMatting):
    """Works until the test ends that."""

    def __init__(self) -> None:
        self.proceed = threading.Event()

    def matte(self, rgb: Any) -> Any:
        """Return the matte when the test lets it."""
        assert self.proceed.wait(60)
        return super().matte(rgb)


class OneServer:
    """One of several servers in this process."""

    def __init__(
        self, http: httpx.AsyncClient, matting: HeldMatting, limit: ConcurrencyLimit
    ) -> None:
        self.http = http
        self.matting = matting
        self.limit = limit
        self.others = limit._others
        self.calls: list[asyncio.Task[httpx.Response]] = []

    async def post(self, headers: dict[str, str] = A) -> httpx.Response:
        """Ask for a cropped picture."""
        return await self.http.post("/v1/crop", headers=headers, json=BODY)

    async def hold(self, count: int) -> None:
        """Begin requests of organisation a, and wait until they are in work."""
        held = self.limit._shares.held("a") + count
        self.calls += [asyncio.create_task(self.post()) for _ in range(count)]
        await until(lambda: self.limit._shares.held("a") == held)

    async def knows(self, requests: int) -> None:
        """Wait until it knows how many requests of organisation a the other servers have in work."""
        await until(lambda: self.others.requests("a") == requests)

    def die(self) -> None:
        """Publish nothing any more."""
        self.others._is_needed = lambda: False

    async def end(self) -> list[int]:
        """Let the requests end; return their codes."""
        self.matting.proceed.set()
        return [answer.status_code for answer in await asyncio.gather(*self.calls)]


async def until(happened: Callable[[], bool]) -> None:
    """Wait until something has happened."""
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110 - it is no event of this loop
            await asyncio.sleep(0.01)


@asynccontextmanager
async def one_server(folder: Path, **settings: Any) -> AsyncIterator[OneServer]:
    """Yield a server with two organisations, which may have three requests in work."""
    tokens = "a:secret-a,b:secret-b"
    options = {"api_tokens": tokens, "workers": 1, "max_at_once": 3, "grace_s": 5, **settings}
    matting = HeldMatting()
    app = create_app(Settings(data_dir=folder, **options), FakeModels({MATTING: matting}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://server", timeout=60
        ) as http,
    ):
        server = OneServer(http, matting, app.state.dependencies.concurrency_limit)
        try:
            yield server
        finally:
            await server.end()


@asynccontextmanager
async def two_servers(
    folder: Path, database: str, **settings: Any
) -> AsyncIterator[tuple[OneServer, OneServer]]:
    """Yield two servers of one database."""
    async with (
        one_server(folder / "one", database_url=database, **settings) as one,
        one_server(folder / "two", database_url=database, **settings) as two,
    ):
        yield one, two


@pytest.fixture(autouse=True)
def no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no queues of jobs: a process can have but one."""
    monkeypatch.setattr(JobQueue, "start", lambda *_: None)


async def test_the_limit_holds_on_all_servers_together(tmp_path: Path, postgres: Postgres) -> None:
    async with two_servers(tmp_path, postgres.database()) as (one, two):
        await one.hold(2)
        await two.knows(2)
        await two.hold(1)
        await one.knows(1)
        for server in (one, two):
            answer = await server.post()
            refused(answer, 429)
            assert "3 requests" in answer.json()["message"]
            assert int(answer.headers["retry-after"]) >= 1
        two.matting.proceed.set()
        assert (await two.post(B)).status_code == 200  # another organisation
        await one.knows(0)
        await one.hold(1)  # the place that the second server gave back
        await two.knows(3)
        refused(await two.post(), 429)
        assert await one.end() == [200] * 3
        assert (await two.post()).status_code == 200


async def test_a_server_refuses_what_all_others_hold(tmp_path: Path, postgres: Postgres) -> None:
    async with two_servers(tmp_path, postgres.database()) as (one, two):
        await one.hold(3)
        await two.knows(3)
        answer = await two.post()
        refused(answer, 429)
        assert int(answer.headers["retry-after"]) == one.limit.in_work()["a"].seconds


async def test_what_a_dead_server_had_in_work_counts_no_more(
    tmp_path: Path, postgres: Postgres
) -> None:
    async with two_servers(tmp_path, postgres.database()) as (one, two):
        await one.hold(3)
        await two.knows(3)
        one.die()
        refused(await two.post(), 429)
        await two.knows(0)
        two.matting.proceed.set()
        assert (await two.post()).status_code == 200


async def test_without_the_database_each_server_counts_for_itself(
    tmp_path: Path, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with two_servers(tmp_path, postgres.database()) as (one, two):
        await one.hold(2)
        await two.knows(2)
        postgres.stop()
        try:
            await two.knows(0)
            await two.hold(3)
            refused(await two.post(), 429)
            await one.hold(1)
        finally:
            postgres.start()
        await two.knows(3)
        await one.knows(3)
        assert await one.end() == await two.end() == [200] * 3
    assert caplog.text.count("requests in work are counted by each server for itself") == 2
    assert caplog.text.count("servers tell each other what they have in work again") == 2


async def test_servers_without_a_limit_tell_each_other_nothing(
    tmp_path: Path, postgres: Postgres
) -> None:
    async with two_servers(tmp_path, postgres.database(), max_at_once=0) as (one, two):
        await one.hold(4)
        await two.hold(4)
        assert one.others._is_needed() is False
        assert one.others.requests("a") == two.others.requests("a") == 0


async def test_a_single_server_has_no_others(tmp_path: Path) -> None:
    async with one_server(tmp_path) as server:
        await server.hold(3)
        refused(await server.post(), 429)
        assert server.others._table is None
