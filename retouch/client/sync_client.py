"""The client for programs without asyncio."""

import time
from typing import Any, Self

import httpx2 as httpx

from retouch.client.answers import Answer
from retouch.client.calls import Calls, Flow, Limits, Outcome, T, encoded


class Client:
    """Calls the operations of one server, whose address may end in /v1; close it, or use it in `with`.

    Threads may share it. transport: of httpx2, for example with a proxy. Every method raises ApiError.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        limits: Limits = Limits(),  # noqa: B008 (it cannot change)
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._calls = Calls(base_url, token, limits)
        self._http = httpx.Client(transport=transport)

    def call(
        self,
        operation: str,
        /,
        *,
        idempotency_key: str | None = None,
        request_id: str | None = None,
        **fields: Any,
    ) -> Answer:
        """Send a POST of v1, such as `background/remove`, or of v2, such as `v2/image/edit/erase`.

        Fields of the query follow a `?`. fields: the others; a picture is a Path, bytes or text (an address or
        base64), also in lists and objects. v1 takes `image` and `mask` too. idempotency_key: by default a new one.
        request_id: sent as X-Request-ID, by which the log of the server is searched; else the server makes one.
        """
        content = encoded(operation, fields)
        return self._run(self._calls.post(operation, content, idempotency_key, request_id))

    def get(self, operation: str, /, **query: Any) -> Answer:
        """Send a GET, such as `{visual_id}/person/info`."""
        return self._run(self._calls.get(operation, query))

    def register(self, image: Any) -> str:
        """Register a picture and return its visual_id, for the operations `{visual_id}/...`."""
        return str(self.call("register", image=image).body["visual_id"])

    def wait(self, answer: Answer, seconds: float = 600) -> Answer:
        """Return an answer when its results exist: for a 202 of v2 the finished one, else the same.

        Raises TimeLimitError, and the error of a job that failed.
        """
        return self._run(self._calls.wait(answer, seconds))

    def download(self, link: str) -> bytes:
        """Return the file of a result; the token is not sent."""
        return self._run(self._calls.download(link))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, flow: Flow[T]) -> T:
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
                    outcome = self._http.send(step)
                else:
                    time.sleep(step)
            except httpx.TransportError as error:
                outcome = error
