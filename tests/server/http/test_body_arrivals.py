"""Bodies that arrive: how many at once, how fast, and that none is read from unknown callers."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message

from server.errors import ApiError, BodyTimeoutError, BusyError, InvalidTokenError, TooLargeError
from server.http import bounded_body
from server.http.body_arrivals import Arrival, BodyArrivals
from server.http.bounded_body import BoundedBody


def filled(arrivals: BodyArrivals, organisation: str, size: int = 0) -> list[Arrival]:
    """Begin as many bodies of a size as an organisation may have."""
    begun: list[Arrival] = []
    while True:
        try:
            begun.append(arrivals.begin(organisation, size))
        except BusyError:
            return begun


def test_an_organisation_alone_gets_nearly_all_and_each_newcomer_a_place() -> None:
    arrivals = BodyArrivals(120, 10**9)
    counts = [len(filled(arrivals, name)) for name in "ab"]
    assert counts == [106, 12]
    assert all(filled(arrivals, name) for name in "cdefg")


def test_a_place_is_free_again_at_the_end_of_its_body() -> None:
    arrivals = BodyArrivals(8, 100)
    for _ in range(3):
        begun = filled(arrivals, "a", 10)
        assert len(begun) == 7
        for arrival in begun:
            arrival.end()
            arrival.end()  # once more changes nothing
            arrival.grow(10**9)
    assert not arrivals._bodies
    assert not arrivals._bytes


def test_bytes_are_shared_too_and_the_only_body_of_a_newcomer_has_a_place() -> None:
    arrivals = BodyArrivals(1000, 120)
    begun = filled(arrivals, "a", 10)
    assert len(begun) == 10
    arrivals.begin("b", 140)
    with pytest.raises(BusyError):
        arrivals.begin("c", 1)


def test_a_body_of_unknown_length_is_counted_as_it_arrives() -> None:
    arrivals = BodyArrivals(1000, 120)
    first, second = arrivals.begin("a", 0), arrivals.begin("a", 0)
    first.grow(40)
    first.grow(40)
    first.grow(30)
    second.grow(66)
    with pytest.raises(BusyError):
        second.grow(67)
    assert arrivals._bytes["a"] == 106


class Dependencies:
    """An application's state with tokens of which only `unknown` is refused."""

    state = dependencies = tokens = property(lambda self: self)

    def organisation(self, request: Any) -> str:
        token: str = request.headers["api_token"]
        if token == "unknown":
            raise InvalidTokenError("It is unknown.")
        return token


class Sender:
    """A caller whose body arrives in pieces, each after seconds of a clock that the test controls."""

    def __init__(self, *pieces: tuple[float, int]) -> None:
        self.pieces = list(pieces)
        self.reads = 0

    async def receive(self) -> Message:
        self.reads += 1
        seconds, size = self.pieces.pop(0)
        await asyncio.sleep(seconds)
        return {"type": "http.request", "body": bytes(size), "more_body": bool(self.pieces)}


def call(
    limits: BodyArrivals, sender: Sender, token: str = "a", **headers: str
) -> Awaitable[ApiError | int]:
    """Read a body as an application; return its length, or the error that the application got."""

    async def app(scope: Any, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        outcome.append(size)

    outcome: list[ApiError | int] = []
    headers = {"transfer-encoding": "chunked", "api_token": token, **headers}
    scope = {
        "type": "http",
        "app": Dependencies(),
        "headers": [
            (n.replace("_", "-").replace("api-", "api_").encode(), v.encode())
            for n, v in headers.items()
        ],
    }

    async def run() -> ApiError | int:
        unused: Any = None
        try:
            await BoundedBody(app, 50_000, 60, limits)(scope, sender.receive, unused)
        except ApiError as error:
            return error
        return outcome[0]

    return run()


class _NoWaiting(selectors.DefaultSelector):
    """Waits for no timer: it notes how long it would have waited."""

    skipped_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now. timeout: seconds until the next timer; None: there is none."""
        events = super().select(timeout if timeout is None else 0)
        if not events and timeout is not None:
            self.skipped_s += max(0.0, timeout)
        return events


class FastLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock goes forward at once to the next timer that was not cancelled."""

    def __init__(self) -> None:
        self._no_waiting = _NoWaiting()
        super().__init__(self._no_waiting)

    def time(self) -> float:
        return super().time() + self._no_waiting.skipped_s


def run(awaitable: Awaitable[Any]) -> Any:
    async def wait() -> Any:
        return await awaitable

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        return runner.run(wait())


@pytest.mark.parametrize(
    ("pieces", "is_read"),
    [
        ([(0, 100), (4, 100)], True),
        ([(0, 100), (6, 100)], False),
        ([(0, 20_000), (20, 100)], True),
        ([(0, 20_000), (26, 100)], False),
        ([(1, 1100)] * 40, True),
        ([(1, 100)] * 40, False),
        ([(1, 900)] * 43, False),
        ([(3, 4000), (58, 1)], False),
    ],
)
def test_a_body_must_arrive_at_a_minimum_rate(
    pieces: list[tuple[float, int]], is_read: bool
) -> None:
    arrivals = BodyArrivals(10, 10**6)
    found = run(call(arrivals, Sender(*pieces)))
    if is_read:
        assert found == sum(size for _, size in pieces)
    else:
        assert isinstance(found, BodyTimeoutError)
        assert found.headers["Connection"] == "close"
    assert not arrivals._bodies


def test_time_in_which_the_server_does_not_read_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded_body, "MIN_RATE", 10**9)
    assert run(call(BodyArrivals(10, 10**6), Sender(*[(0.5, 10)] * 9))) == 90
    assert isinstance(
        run(call(BodyArrivals(10, 10**6), Sender(*[(0.5, 10)] * 12))), BodyTimeoutError
    )


def test_nothing_is_read_from_an_unknown_caller_or_beyond_the_limits() -> None:
    arrivals = BodyArrivals(4, 10**6)
    sender = Sender((0, 1))
    assert isinstance(run(call(arrivals, sender, "unknown")), InvalidTokenError)
    assert isinstance(run(call(arrivals, sender, content_length="50001")), TooLargeError)
    held = filled(arrivals, "a")
    assert isinstance(run(call(arrivals, sender)), BusyError)
    assert sender.reads == 0
    assert run(call(arrivals, sender, "b")) == 1
    held[0].end()
    assert run(call(arrivals, Sender((0, 1)))) == 1


def test_an_organisation_with_many_slow_senders_does_not_stop_another() -> None:
    async def scenario() -> None:
        arrivals = BodyArrivals(128, 10**9)
        slow = [
            asyncio.create_task(_as_coroutine(call(arrivals, Sender((0, 10), (2, 10)))))
            for _ in range(150)
        ]
        await asyncio.sleep(0.1)
        assert await call(arrivals, Sender((0, 5)), "b") == 5
        outcomes = await asyncio.gather(*slow)
        assert sum(isinstance(outcome, BusyError) for outcome in outcomes) == 37

    run(scenario())


def test_the_state_tells_while_the_rest_of_a_body_is_dropped() -> None:
    """A connection that only drops a body is the one to close when there are too many."""
    seen: list[bool] = []
    scope: dict[str, Any] = {
        "type": "http",
        "app": Dependencies(),
        "headers": [(b"content-length", b"2"), (b"api_token", b"a")],
    }

    async def receive() -> Message:
        seen.append(bool(scope.get("state", {}).get(bounded_body.DROPS_BODY)))
        return {"type": "http.request", "body": b"x", "more_body": len(seen) < 2}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start"})

    async def send(message: Message) -> None:
        assert seen == [False, True]

    run(BoundedBody(app, 50_000, 60, BodyArrivals(8, 100))(scope, receive, send))
    assert seen == [False, True]


async def _as_coroutine(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
