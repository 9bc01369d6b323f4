"""The sync and the async client of one server in this process, used in the same way."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx2 as httpx
from starlette.testclient import TestClient

from retouch.client import AsyncClient, Client, Limits

HOST = "http://testserver"
KINDS = ("sync", "async")


class Awaited:
    """An `AsyncClient` in the loop of the server, whose methods wait."""

    def __init__(self, client: AsyncClient, portal: Any) -> None:
        self._client = client
        self._portal = portal

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *words, **named: self._portal.call(partial(method, *words, **named))


@dataclass
class Served:
    """A running server, and clients of both kinds for it."""

    http: TestClient
    app: Any

    def client(self, kind: str, token: str = "secret-a", lost: list[str] | None = None) -> Any:
        """Return a client of a kind, typed as both. lost: the answers to a method each that never arrive."""
        if kind == "sync":
            transport = _Losing(self.http._transport, lost or [])
            return Client(HOST, token, Limits(tries=4), transport)
        losing = _AsyncLosing(httpx.ASGITransport(self.app), lost or [])
        return Awaited(AsyncClient(HOST, token, Limits(tries=4), losing), self.http.portal)


Serve = Callable[..., Served]
"""Starts the server of a module, with some models and settings."""


class _Losing(httpx.BaseTransport):
    def __init__(self, inner: httpx.BaseTransport, lost: list[str]) -> None:
        self._inner, self._lost = inner, lost

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if request.method in self._lost:
            self._lost.remove(request.method)
            response.read()  # else the server waits for its reader
            raise httpx.ReadError("the answer was lost")
        return response


class _AsyncLosing(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, lost: list[str]) -> None:
        self._inner, self._lost = inner, lost

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if request.method in self._lost:
            self._lost.remove(request.method)
            await response.aread()
            raise httpx.ReadError("the answer was lost")
        return response
