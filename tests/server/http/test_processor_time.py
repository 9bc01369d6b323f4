"""What counts as the processor time of a request, and whose it is."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.types import Receive, Scope, Send

from server.app import create_app
from server.errors import InvalidTokenError
from server.http.auth import Caller
from server.http.processor_time import ShareProcessor, measured, note_disconnected
from server.processor_shares import NOBODY, ProcessorShares
from server.settings import Settings
from tests.helpers.answers import local
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import b64, photo

A, B = {"api_token": "secret-a"}, {"api_token": "secret-b"}


class Seen:
    """The seconds that were charged, by organisation, and those whose turn was awaited."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds: dict[str, float] = {}
        self.turns: list[str] = []
        charge, turn, follow = (
            ProcessorShares.charge,
            ProcessorShares.turn,
            ProcessorShares.follow,
        )

        def note(
            shares: ProcessorShares, organisation: str, seconds: float, ahead: float | None = None
        ) -> None:
            self.seconds[organisation] = self.seconds.get(organisation, 0.0) + seconds
            charge(shares, organisation, seconds, ahead)

        async def wait(shares: ProcessorShares, organisation: str) -> float:
            self.turns.append(organisation)
            return await turn(shares, organisation)

        async def wait_too(shares: ProcessorShares, organisation: str) -> None:
            self.turns.append(organisation)
            await follow(shares, organisation)

        monkeypatch.setattr(ProcessorShares, "charge", note)
        monkeypatch.setattr(ProcessorShares, "turn", wait)
        monkeypatch.setattr(ProcessorShares, "follow", wait_too)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    return Seen(monkeypatch)


@pytest.fixture
async def http(tmp_path: Path, seen: Seen) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(data_dir=tmp_path, api_tokens="a:secret-a,b:secret-b")
    app = create_app(settings, FakeModels())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://server") as client,
    ):
        yield client


async def test_time_is_that_of_the_caller(http: httpx.AsyncClient, seen: Seen) -> None:
    await http.post("/v1/crop", headers=A, json={"file": b64(photo())})
    assert list(seen.seconds) == ["a"]
    assert seen.seconds["a"] > 0
    assert seen.turns == ["a"]


@pytest.mark.parametrize("headers", [{}, {"api_token": "secret-c"}])
async def test_time_of_unknown_callers_is_nobodys(
    http: httpx.AsyncClient, seen: Seen, headers: Mapping[str, str]
) -> None:
    assert (await http.post("/v1/crop", headers=headers)).status_code == 401
    assert list(seen.seconds) == [""]


async def test_time_of_a_revoked_token_is_nobodys() -> None:
    shares = ProcessorShares()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert shares.asks(NOBODY)
        assert not shares.asks("a")

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    revoked = Caller("a", "name", error=InvalidTokenError("it was revoked"))
    scope = {"type": "http", "path": "/v1/crop", "state": {"caller": revoked}}
    await ShareProcessor(app, shares)(scope, nothing, nothing)


async def test_a_refused_body_costs_more_than_a_small_one(
    http: httpx.AsyncClient, seen: Seen
) -> None:
    assert (await http.get("/v2/status/" + 32 * "0", headers=A)).status_code == 404
    parts = {f"field{number}": (None, "a") for number in range(3000)}
    assert (await http.post("/v1/crop", headers=B, files=parts)).status_code == 400
    assert seen.seconds["b"] > seen.seconds["a"]


async def test_time_in_threads_counts(http: httpx.AsyncClient, seen: Seen) -> None:
    await http.post("/v1/crop", headers=A, json={"file": "A" * 100})
    await http.post("/v1/crop", headers=B, json={"file": "A" * 20_000_000})
    assert seen.seconds["b"] > seen.seconds["a"]


async def test_health_checks_are_not_held_up(http: httpx.AsyncClient, seen: Seen) -> None:
    await http.get("/healthz")
    await http.get("/readyz")
    assert not seen.turns
    assert not seen.seconds


class TestResults:
    async def test_reading_one_is_charged_to_its_owner(
        self, http: httpx.AsyncClient, seen: Seen
    ) -> None:
        answer = await http.post("/v1/crop", headers=A, json={"file": b64(photo())})
        seen.seconds.clear()
        seen.turns.clear()
        link = local(answer.json()["result_url"])
        assert (await http.get(link)).status_code == 200
        assert list(seen.seconds) == ["a"]
        assert seen.seconds["a"] > 0
        assert seen.turns == ["a"]

    async def test_a_forged_link_is_not(self, http: httpx.AsyncClient, seen: Seen) -> None:
        await http.post("/v1/crop", headers=A, json={"file": b64(photo())})
        seen.seconds.clear()
        answer = await http.get("/results/a/x.png?expires=9999999999&signature=x")
        assert answer.status_code == 403
        assert list(seen.seconds) == [""]

    async def test_a_link_that_names_no_organisation_waits_as_nobody(
        self, http: httpx.AsyncClient, seen: Seen
    ) -> None:
        await http.get("/results/nobody-knows/x.png?expires=9999999999&signature=x")
        assert seen.turns == [""]


async def test_a_request_above_the_share_waits_for_its_turn(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = {"a": 1.0}
    monkeypatch.setattr(ProcessorShares, "wait_s", lambda _, name: waits.get(name, 0.0))
    held = asyncio.create_task(http.get("/v2/status/" + 32 * "0", headers=A))
    assert (await http.get("/v2/status/" + 32 * "0", headers=B)).status_code == 404
    assert not held.done()
    waits.clear()
    assert (await held).status_code == 404


async def test_a_request_whose_caller_has_gone_does_nothing(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    waits = [0.01, 0.01]
    monkeypatch.setattr(ProcessorShares, "wait_s", lambda *_: waits.pop() if waits else 0.0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        called.append(scope["path"])

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    served = ShareProcessor(app, ProcessorShares())
    scopes = [{"type": "http", "path": path, "state": {}} for path in ("/gone", "/here")]
    gone = asyncio.create_task(served(scopes[0], nothing, nothing))
    await asyncio.sleep(0)
    note_disconnected(scopes[0])
    await gone
    await served(scopes[1], nothing, nothing)
    assert called == ["/here"]


@pytest.mark.parametrize("path", ["/v1/crop", "/v2/image/edit/crop_foreground"])
async def test_too_long_a_wait_is_429(
    http: httpx.AsyncClient, seen: Seen, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("server.processor_shares._PATIENCE_S", 0.01)
    monkeypatch.setattr(ProcessorShares, "wait_s", lambda *_: 1.0)
    answer = await http.post(path, headers=A, json={"file": "A" * 2_000_000})
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "1"
    assert "processor" in answer.text
    assert seen.seconds["a"] > 0


class TestMeasured:
    async def test_its_result_and_its_steps(self) -> None:
        steps: list[float] = []

        async def work() -> str:
            end = time.thread_time() + 0.01
            while time.thread_time() < end:
                pass
            await asyncio.sleep(0)
            return "done"

        assert await measured(work(), steps.append) == "done"
        assert len(steps) == 2
        assert steps[0] >= 0.01

    async def test_its_errors(self) -> None:
        async def fail() -> None:
            await asyncio.sleep(0)
            raise ValueError("x")

        with pytest.raises(ValueError, match="x"):
            await measured(fail(), lambda _: None)

    async def test_that_it_is_cancelled(self) -> None:
        cleaned = False

        async def work() -> None:
            nonlocal cleaned
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0)
                cleaned = True

        task = asyncio.create_task(measured_as_coroutine(work()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cleaned

    async def test_an_error_of_what_it_awaits(self) -> None:
        awaited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        awaited.set_exception(KeyError("y"))

        async def work() -> str:
            try:
                await awaited
            except KeyError:
                return "caught"
            return "missed"

        assert await measured(work(), lambda _: None) == "caught"


async def measured_as_coroutine(work: Coroutine[Any, Any, Any]) -> None:
    """Measure work; a task needs a coroutine."""
    await measured(work, lambda _: None)
