"""What one server answers to one request of `retouch parity`: status, shape, final state, files and times."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2 as httpx

from retouch.client import Answer, ApiError, AsyncClient, Limits, NoAnswerError
from retouch.client.calls import pause_before_retry
from retouch.parity.guarded import Exchange, GuardedTransport
from retouch.parity.plan import Case

MAX_RESULTS = 4
"""Files that are read of one answer."""
HEADERS = ("content-type", "retry-after", "www-authenticate", "location")
_WRONG_TOKEN = "a-token-that-nobody-has"  # noqa: S105 - nobody has it
_MAX_DEPTH = 20


@dataclass(frozen=True)
class ResultFile:
    """One result. problem: why it was not read."""

    content: bytes = field(repr=False)
    content_type: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Observation:
    """What a server answered.

    shape: by path in the JSON, such as `result.masks[].id`, the types found there. state: of a request of
    version 2 that was polled. problem: why there is no comparable answer. busy: how often it answered 429.
    answered_s: until the answer. finished_s: until the results were known.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    shape: Mapping[str, list[str]] = field(default_factory=dict)
    state: str | None = None
    state_shape: Mapping[str, list[str]] = field(default_factory=dict)
    problem: str | None = None
    text: str | None = None
    busy: int = 0
    answered_s: float | None = None
    finished_s: float | None = None
    result_count: int = 0
    results: tuple[ResultFile, ...] = ()


class Observer:
    """Sends requests to one server. timeout_s: for each, with all that follows from it."""

    def __init__(self, base: str, token: str, timeout_s: float) -> None:
        self.base = base
        self._timeout_s = timeout_s
        self._transport = GuardedTransport(base)
        # A server that does not know the header Idempotency-Key would do a repeated request twice.
        once, often = Limits(tries=1), Limits(retry_s=timeout_s, timeout_s=timeout_s)
        self._caller = AsyncClient(base, token, once, self._transport)
        self._stranger = AsyncClient(base, _WRONG_TOKEN, once, self._transport)
        self._reader = AsyncClient(base, token, often, self._transport)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def observe(self, case: Case) -> Observation:
        """Return what the server answers to a request; the error of a server is no error here."""
        self._transport.exchanges.clear()
        self._transport.until = until = time.monotonic() + self._timeout_s
        began = time.monotonic()
        seen = Observation()
        answer: Answer | None = None
        try:
            answer = await self._call(case, until)
        except NoAnswerError as error:
            seen = replace(seen, problem=error.text)
        except ApiError as error:
            # Without a code the answer was a success in which no results could be found.
            problem = error.text if error.code is None else None
            seen = replace(seen, text=error.text, problem=problem)
        calls = list(self._transport.exchanges)
        if calls and seen.problem is None:
            seen = _seen(seen, calls[-1])
        seen = replace(seen, busy=sum(one.response.status_code == 429 for one in calls))
        if seen.status == httpx.codes.TOO_MANY_REQUESTS:
            return replace(seen, problem="it was busy (429) until the time limit")
        if answer is None or case.status is not None:
            return seen
        return await self._finish(seen, answer, until, began)

    async def _call(self, case: Case, until: float) -> Answer:
        """Send a request; while the server is busy, again when it says so."""
        client = self._stranger if case.has_wrong_token else self._caller
        tried = 0
        while True:
            try:
                if case.is_get:
                    return await client.get(case.operation)
                return await client.call(case.operation, **case.fields)
            except ApiError as error:
                if error.code != httpx.codes.TOO_MANY_REQUESTS:
                    raise
                tried += 1
                pause = pause_before_retry(self._transport.exchanges[-1].response, tried)
                if pause is None or time.monotonic() + pause > until:
                    raise
                await asyncio.sleep(pause)

    async def _finish(
        self, seen: Observation, answer: Answer, until: float, began: float
    ) -> Observation:
        """Wait for the results and read the first of them."""
        try:
            answer = await self._reader.wait(answer, max(0.0, until - time.monotonic()))
        except ApiError as error:
            state = _last_state(self._transport.exchanges)
            if state is None or state[0] == "IN_PROGRESS" or error.code is None:
                return replace(seen, problem=error.text)
            return replace(seen, state=state[0], state_shape=state[1], text=error.text)
        seen = replace(seen, finished_s=time.monotonic() - began, result_count=len(answer.results))
        if (state := _last_state(self._transport.exchanges)) is not None:
            seen = replace(seen, state=state[0], state_shape=state[1])
        files = [await self._read(link) for link in answer.links[:MAX_RESULTS]]
        return replace(seen, results=tuple(files))

    async def _read(self, link: str) -> ResultFile:
        try:
            content = await self._reader.download(link)
        except ApiError as error:
            return ResultFile(b"", problem=error.text)
        headers = self._transport.exchanges[-1].response.headers
        return ResultFile(content, _media_type(headers.get("Content-Type", "")))


def _seen(seen: Observation, call: Exchange) -> Observation:
    response = call.response
    headers = {name: response.headers[name] for name in HEADERS if name in response.headers}
    return replace(
        seen,
        status=response.status_code,
        headers=headers,
        shape=_shape_of(response),
        answered_s=call.seconds,
    )


def _last_state(exchanges: list[Exchange]) -> tuple[str, Mapping[str, list[str]]] | None:
    """Return the last state that the status service told, and its shape; None if it was not asked."""
    for one in reversed(exchanges):
        if "/v2/status/" in one.path:
            body = _json(one.response)
            state = str(body.get("status")) if isinstance(body, dict) else None
            return f"{state or one.response.status_code}", _shape_of(one.response)
    return None


def _json(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def _shape_of(response: httpx.Response) -> dict[str, list[str]]:
    body = _json(response)
    if body is None and response.content.strip() != b"null":
        return {"": ["no JSON"]}
    return shape(body)


def shape(value: Any) -> dict[str, list[str]]:
    """Return the types in JSON by their paths; all parts of a list are one path."""
    found: dict[str, set[str]] = {}
    for path, kind in _walk(value, ""):
        found.setdefault(path, set()).add(kind)
    return {path: sorted(kinds) for path, kinds in sorted(found.items())}


def _walk(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    yield path, _kind(value)
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _walk(part, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(value, list):
        for part in value:
            yield from _walk(part, f"{path}[]", depth + 1)


def _kind(value: Any) -> str:
    names = {dict: "object", list: "list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "integer" if isinstance(value, int) else "number")


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()
