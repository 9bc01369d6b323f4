"""One organisation floods the server; another one is served beside it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.datastructures import State

from models.roles import MATTING
from server.app import create_app
from server.http.image_fetch import PictureFetcher
from server.settings import Settings
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import EllipseMatting, FakeModels
from tests.helpers.requests import b64, photo
from tests.helpers.services import Postgres

A, B = {"api_token": "secret-a"}, {"api_token": "secret-b"}
TOKENS = "a:secret-a,b:secret-b"
LONG = b64(photo(640, 480))
"""A picture whose work lasts until the test ends it."""
SHORT = b64(photo())
ADDRESS = "https://example.com/picture.png"


class LongMatting(EllipseMatting):
    """Works on wide pictures until the test ends that."""

    def __init__(self) -> None:
        self.running = threading.Semaphore(0)
        self.proceed = threading.Event()

    def matte(self, rgb: Any) -> Any:
        """Return the matte, of a wide picture only when the test lets it."""
        if rgb.shape[1] == 640:
            self.running.release()
            assert self.proceed.wait(30)
        return super().matte(rgb)


class Flooded:
    """A server in this process, and the requests of `a` that are in work."""

    def __init__(self, http: httpx.AsyncClient, matting: LongMatting, state: State) -> None:
        self.http = http
        self.state = state
        self.matting = matting
        self.calls: list[asyncio.Task[httpx.Response]] = []

    async def post(self, headers: Mapping[str, str], **fields: Any) -> httpx.Response:
        """Ask for a cropped picture."""
        return await self.http.post("/v1/crop", headers=headers, json={"file": SHORT, **fields})

    def start(self, headers: Mapping[str, str], count: int = 1, **fields: Any) -> None:
        """Begin requests that last until the end of the test."""
        for _ in range(count):
            call = self.post(headers, **{"file": LONG, **fields})
            self.calls.append(asyncio.create_task(call))

    async def works(self, count: int = 1) -> None:
        """Wait until some pictures more are in work."""
        for _ in range(count):
            assert await asyncio.to_thread(self.matting.running.acquire, True, 20)

    async def hold(self, organisation: str, count: int, limit: str = "work") -> None:
        """Wait until an organisation holds some places."""
        dependencies = self.state.dependencies
        limits = {"fetches": dependencies.intake._fetches, "work": dependencies.concurrency_limit}
        await self.until(lambda: limits[limit]._shares.held(organisation) >= count)

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something has happened."""
        async with asyncio.timeout(20):
            while not happened():  # noqa: ASYNC110 - it is no event of this loop
                await asyncio.sleep(0.01)

    async def end(self) -> list[int]:
        """Let all requests end; return their codes."""
        self.matting.proceed.set()
        return [answer.status_code for answer in await asyncio.gather(*self.calls)]


@asynccontextmanager
async def flooded(folder: Path, **settings: Any) -> AsyncIterator[Flooded]:
    """Yield a server with two organisations."""
    matting = LongMatting()
    options = {"api_tokens": TOKENS, "workers": 1, "sweep_interval_s": 86400, **settings}
    app = create_app(Settings(data_dir=folder, **options), FakeModels({MATTING: matting}))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://server", timeout=30) as http,
    ):
        try:
            yield Flooded(http, matting, app.state)
        finally:
            matting.proceed.set()


async def test_slow_senders_hold_no_place(tmp_path: Path) -> None:
    async with flooded(tmp_path, max_waiting=2) as server:
        finish, arriving = asyncio.Event(), 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal arriving
            yield b'{"file": "'
            arriving += 1
            await finish.wait()
            yield SHORT.encode() + b'"}'

        senders = [
            asyncio.create_task(server.http.post("/v1/crop", headers=headers, content=body()))
            for headers in (
                A,
                A,
                A,
                B,
                {**A, "Idempotency-Key": "1"},
                {**A, "Idempotency-Key": "2"},
            )
        ]
        await server.until(lambda: arriving == 6)
        for headers in (A, B, {**B, "Idempotency-Key": "3"}):
            assert (await server.post(headers)).status_code == 200
        finish.set()
        assert {one.status_code for one in await asyncio.gather(*senders)} <= {200, 429}


async def test_silent_addresses_hold_no_place_and_leave_others_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = asyncio.Event()

    async def fetch(*_: Any) -> bytes:
        await answer.wait()
        return photo()

    monkeypatch.setattr(PictureFetcher, "fetch", fetch)
    async with flooded(tmp_path, max_waiting=2) as server:
        server.start(A, 2, file=None, image_url=ADDRESS)
        await server.hold("a", 2, "fetches")
        refusal = await server.post(A, file=None, image_url=ADDRESS)
        assert "fetched" in refused(refusal, 429)["description"]
        assert refusal.headers["retry-after"] == "20"
        assert (await server.post(A)).status_code == 200
        theirs = asyncio.create_task(server.post(B, file=None, image_url=ADDRESS))
        await server.hold("b", 1, "fetches")
        answer.set()
        assert (await theirs).status_code == 200
        assert 200 in await server.end()


async def test_a_newcomer_has_a_place_and_a_worker_where_others_hold_all(tmp_path: Path) -> None:
    async with flooded(tmp_path, max_waiting=4) as server:
        server.start(A, 4)
        await server.works()
        await server.hold("a", 4)
        refusal = await server.post(A)
        refused(refusal, 429)
        assert int(refusal.headers["retry-after"]) >= 1
        assert [(await server.post(B)).status_code for _ in range(3)] == [200] * 3
        server.start(B, 2)
        await server.hold("b", 2)
        refused(await server.post(B), 429)
        assert await server.end() == [200] * 6


async def test_alone_an_organisation_has_all_places_and_no_extra_worker(tmp_path: Path) -> None:
    async with flooded(tmp_path, max_waiting=3, workers=2) as server:
        server.start(A, 3)
        await server.works(2)
        await server.hold("a", 3)
        assert not server.matting.running.acquire(blocking=False)
        assert await server.end() == [200] * 3


async def test_checks_and_queries_of_a_newcomer_are_answered(tmp_path: Path) -> None:
    async with flooded(tmp_path, max_waiting=2) as server:
        server.start(A, 2)
        await server.works()
        await server.hold("a", 2)
        for token in (A, B):
            registered = await server.http.post("/v1/register", headers=token, json={"file": SHORT})
            if token is A:
                refused(registered, 429)
        path = f"/v1/{registered.json()['visual_id']}/background/info"
        assert (await server.http.get(path, headers=B)).status_code == 200


async def has_result(server: Flooded, link: str) -> bool:
    """Whether the result behind a link exists within about ten seconds."""
    for _ in range(200):
        if (await server.http.get(link)).status_code == 200:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_the_job_of_another_organisation_begins_beside_many(tmp_path: Path) -> None:
    async with flooded(tmp_path, max_waiting=2) as server:
        for _ in range(8):  # four for each request that may wait
            assert (await server.post(A, file=LONG, sync=False)).status_code == 200
        await server.works()
        refusal = await server.post(A, sync=False)
        assert "jobs of this organisation" in refused(refusal, 429)["description"]
        link = local((await server.post(B, sync=False)).json()["result_url"])
        assert await has_result(server, link)


async def test_the_jobs_of_an_earlier_process_leave_room_for_a_new_one(tmp_path: Path) -> None:
    async with flooded(tmp_path, grace_s=1, drain_s=0) as server:
        for _ in range(6):
            assert (await server.post(A, file=LONG, sync=False)).status_code == 200
        await server.works()
        threading.Timer(0.5, server.matting.proceed.set).start()
    async with flooded(tmp_path) as server:
        await server.works()
        link = local((await server.post(B, sync=False)).json()["result_url"])
        assert await has_result(server, link)


async def test_the_quota_of_work_at_once(tmp_path: Path) -> None:
    async with flooded(tmp_path, max_at_once=1) as server:
        server.start(A)
        await server.works()
        refused(await server.post(A), 429)
        assert (await server.post(B)).status_code == 200
        assert await server.end() == [200]


async def test_the_quota_of_unfinished_jobs(tmp_path: Path) -> None:
    async with flooded(tmp_path, max_jobs=2) as server:
        for _ in range(2):
            assert (await server.post(A, file=LONG, sync=False)).status_code == 200
        answer = await server.post(A, sync=False)
        refused(answer, 429)
        assert int(answer.headers["retry-after"]) >= 1
        assert (await server.post(B, sync=False)).status_code == 200


async def test_without_tokens_there_are_no_quotas(tmp_path: Path) -> None:
    async with flooded(tmp_path, api_tokens=(), max_at_once=1, max_jobs=1) as server:
        server.start(A)
        await server.works()
        assert (await server.post(A, file=LONG, sync=False)).status_code == 200
        assert (await server.post(A, file=LONG, sync=False)).status_code == 200
        server.start(A)
        assert await server.end() == [200, 200]


async def test_unfinished_jobs_are_counted_for_all_servers_of_a_database(
    tmp_path: Path, postgres: Postgres
) -> None:
    async with flooded(tmp_path, database_url=postgres.database(), max_jobs=2) as server:
        for _ in range(2):
            assert (await server.post(A, file=LONG, sync=False)).status_code == 200
        count = server.state.endpoints._durable._queue.unfinished
        assert await asyncio.to_thread(count, "a", 5) == 2
        assert await asyncio.to_thread(count, "a", 1) == 1
        assert await asyncio.to_thread(count, "b", 5) == 0
        refused(await server.post(A, sync=False), 429)
