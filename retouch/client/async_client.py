"""The client for programs with asyncio."""

import asyncio
from typing import Any, Self

import httpx2 as httpx

from retouch.client.answers import Answer
from retouch.client.calls import Calls, Flow, Limits, Outcome, T, encoded


class AsyncClient:
    """Does what `Client` does; every method has the same arguments, and is awaited."""

    def __init__(
        self,
        base_url: str,
        token: str,
        limits: Limits = Limits(),  # noqa: B008 (it cannot change)
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._calls = Calls(base_url, token, limits)
        self._http = httpx.AsyncClient(transport=transport)

    async def call(
        self,
        operation: str,
        /,
        *,
        idempotency_key: str | None = None,
        request_id: str | None = None,
        **fields: Any,
    ) -> Answer:
        """Send a POST; see `Client.call`."""
        content = await asyncio.to_thread(encoded, operation, fields)
        return await self._run(self._calls.post(operation, content, idempotency_key, request_id))

    async def get(self, operation: str, /, **query: Any) -> Answer:
        """Send a GET."""
        return await self._run(self._calls.get(operation, query))

    async def register(self, image: Any) -> str:
        """Register a picture and return its visual_id."""
        return str((await self.call("register", image=image)).body["visual_id"])

    async def wait(self, answer: Answer, seconds: float = 600) -> Answer:
        """Return an answer when its results exist; see `Client.wait`."""
        return await self._run(self._calls.wait(answer, seconds))

    async def download(self, link: str) -> bytes:
        """Return the file of a result."""
        return await self._run(self._calls.download(link))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, flow: Flow[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as done:
                result: T = done.value
                return result
            outcome = None
            try:
                if isinstance(step, httpx.Request):
                    outcome = await self._http.send(step)
                else:
                    await asyncio.sleep(step)
            except httpx.TransportError as error:
                outcome = error
