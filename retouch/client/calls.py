"""How requests are made, repeated and waited for, without input and output: both clients carry these out."""

import base64
import json
import random
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from time import monotonic, time
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2 as httpx

from retouch.client.answers import (
    Answer,
    ApiError,
    ContentRefusedError,
    NoAnswerError,
    TimeLimitError,
    answer_of,
    answer_of_state,
    error_of,
)

_BUSY = frozenset({429, 502, 503, 504})
_BROKEN = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError, httpx.ProxyError)
_LONGEST_PAUSE_S, _FIRST_POLL_S, _LONGEST_POLL_S = 30.0, 0.25, 2.0
_BLOCKED = ("Content moderation refused the result.", 422, "CONTENT_BLOCKED")
_NEVER = float("inf")
_REQUEST_ID = "X-Request-ID"

T = TypeVar("T")
Outcome = httpx.Response | httpx.TransportError | None
Flow = Generator[httpx.Request | float, Outcome, T]
"""Yields requests, whose outcome is sent into it, and pauses in seconds; returns a result."""


@dataclass(frozen=True)
class Limits:
    """When a client gives up, in seconds.

    tries, retry_s: of a request that met a busy server or a broken connection. timeout_s: how long the server
    may stay silent, which is longer than it works on a request with sync=true. connect_s: to connect.
    """

    tries: int = 8
    retry_s: float = 300
    timeout_s: float = 660
    connect_s: float = 10


@dataclass(frozen=True)
class Calls:
    """The requests to one server. base_url: with or without /v1."""

    base_url: str
    token: str
    limits: Limits

    def post(
        self, operation: str, content: bytes, key: str | None, request_id: str | None = None
    ) -> Flow[Answer]:
        """Send an operation, all tries with one Idempotency-Key. content: from `encoded`."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key or uuid.uuid4().hex}
        if request_id is not None:
            headers[_REQUEST_ID] = request_id
        response = yield from self._send(self._request("POST", operation, content, headers))
        return answer_of(_json(response), response.status_code == httpx.codes.ACCEPTED)

    def get(self, operation: str, query: Mapping[str, Any], until: float = _NEVER) -> Flow[Answer]:
        """Send a GET."""
        told = {name: value for name, value in query.items() if value is not None}
        path = f"{operation}?{httpx.QueryParams(told)}" if told else operation
        return answer_of(_json((yield from self._send(self._request("GET", path), until))))

    def wait(self, answer: Answer, seconds: float) -> Flow[Answer]:
        """Return an answer whose results exist."""
        until = monotonic() + seconds
        if answer.is_pending:
            made = yield from _poll(lambda: self._finished(str(answer.request_id), until), until)
            return replace(made, warning=made.warning or answer.warning)
        results = []
        for one in answer.results:
            link = one.link
            if link and not (yield from _poll(partial(self._is_whole, link, until), until)):
                link = None
            results.append(replace(one, link=link))
        ready = replace(answer, results=tuple(results))
        if results and not ready.links:
            raise ContentRefusedError(*_BLOCKED)
        return ready

    def download(self, link: str) -> Flow[bytes]:
        """Read a link without sending the token."""
        response = yield from self._send(httpx.Request("GET", link))
        if not response.content:
            raise ContentRefusedError(*_BLOCKED)
        return response.content

    def _finished(self, request_id: str, until: float) -> Flow[Answer | None]:
        """Ask for the state of a request of v2; None while it is in work."""
        name = quote(request_id, safe="", errors="replace")  # a server's text: it may be anything
        told = yield from self.get(f"v2/status/{name}", {}, until)
        return answer_of_state(told.body)

    def _is_whole(self, link: str, until: float) -> Flow[bool | None]:
        """Ask for the first byte of a result: None while there is none, False if moderation blocked it."""
        try:
            first = httpx.Request("GET", link, headers={"Range": "bytes=0-0"})
            return bool((yield from self._send(first, until)).content)
        except ApiError as error:
            # Stores answer 403 for a missing file, in XML; this server's 403 is final.
            if error.code == 404 or (error.code == 403 and error.status is None):
                return None
            if error.code == 416:
                return False
            raise

    def _request(
        self, method: str, operation: str, content: bytes | None = None, more: Any = ()
    ) -> httpx.Request:
        """Return a request with the token."""
        path = operation.lstrip("/")
        base = self.base_url.rstrip("/").removesuffix("/v1").removesuffix("/v2")
        url = f"{base}/{path}" if path.startswith(("v1/", "v2/")) else f"{base}/v1/{path}"
        known = {"api_token": self.token, "Accept": "application/json", **dict(more)}
        headers = httpx.Headers(known, encoding="utf-8")
        return httpx.Request(method, url, headers=headers, content=content)

    def _send(self, request: httpx.Request, until: float = _NEVER) -> Flow[httpx.Response]:
        """Return the successful answer to a request, which is repeated while that may help; raises ApiError."""
        end, tried = min(monotonic() + self.limits.retry_s, until), 0
        while True:
            left = min(self.limits.timeout_s, max(until - monotonic(), 1))
            timeout = httpx.Timeout(left, connect=min(self.limits.connect_s, left))
            request.extensions["timeout"] = timeout.as_dict()
            outcome = yield request
            tried += 1
            pause = pause_before_retry(outcome, tried)
            if pause is None or tried >= self.limits.tries or monotonic() + pause > end:
                break
            yield pause
        if not isinstance(outcome, httpx.Response):
            text = f"{request.url.copy_with(query=None)}: {outcome or type(outcome).__name__}"
            raise NoAnswerError(text, request_id=request.headers.get(_REQUEST_ID)) from outcome
        if not outcome.is_success:
            raise error_of(outcome.status_code, _json(outcome), outcome.headers.get(_REQUEST_ID))
        return outcome


def pause_before_retry(outcome: Outcome, tried: int) -> float | None:
    """Return after how many seconds a request may succeed that was tried before; None if it never will."""
    backoff = min(2.0 ** (tried - 1), _LONGEST_PAUSE_S) * random.uniform(0.5, 1)  # noqa: S311
    if not isinstance(outcome, httpx.Response):
        return backoff if isinstance(outcome, _BROKEN) else None
    asked = retry_after(outcome.headers.get("Retry-After"))
    if outcome.status_code in _BUSY:
        return backoff if asked is None else asked
    return asked if outcome.status_code == 409 else None  # a call with the same key is in work


def retry_after(text: str | None) -> float | None:
    """Return the seconds of a Retry-After, which is a number or a date (RFC 9110); None if it is neither."""
    if text is not None and text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text or "").timestamp() - time())
    except ValueError:
        return None


def _poll(look: Callable[[], Flow[T | None]], until: float) -> Flow[T]:
    """Look for something until it is there; raises TimeLimitError."""
    pause = _FIRST_POLL_S
    while (found := (yield from look())) is None:
        if monotonic() + pause > until:
            raise TimeLimitError("There is no result within the time limit; the work goes on.")
        yield pause
        pause = min(pause * 1.5, _LONGEST_POLL_S)
    return found


def encoded(operation: str, fields: Mapping[str, Any]) -> bytes:
    """Return the body of an operation, with the pictures in it. It reads their files, so it blocks."""
    sent = {name: value for name, value in fields.items() if value is not None}
    if not operation.lstrip("/").startswith("v2/"):
        for name in sent.keys() & {"image", "mask"}:
            value, file = sent.pop(name), {"image": "file"}.get(name, "mask_file")
            is_address = isinstance(value, str) and value.startswith(("http:", "https:", "data:"))
            sent.setdefault(f"{name}_url" if is_address else file, value)
    return json.dumps(sent, default=_base64).encode()


def _base64(value: Any) -> str:
    content = value.read_bytes() if isinstance(value, Path) else value
    if not isinstance(content, bytes):
        raise TypeError(f"A {type(value).__name__} is no value of a field.")
    return base64.b64encode(content).decode()


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        if not response.is_success:
            return None
        text = "The answer is no JSON: is it a Retouch server?"
        raise ApiError(text, response.status_code) from error
