"""What `retouch edit` sends its requests to: a server, or the application in this process, without a port."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import cv2
import httpx2 as httpx

from models.runtime.allocator import bound_memory
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from retouch.client.calls import retry_after
from server.app import create_app
from server.settings import Settings

_LOCAL = "http://127.0.0.1"
_TIMEOUT = httpx.Timeout(900, connect=20)
"""Longer than a server works on one request."""
_PATIENCE_S = 900.0
"""How long one picture waits altogether for a server that is busy."""
_TRIES = 5
"""Connections that may break before a picture fails."""
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
_POLL_S = 0.5


class EditError(Exception):
    """One picture could not be edited. The text says why."""


class StopError(Exception):
    """No picture can be edited. The text says why."""


Fields = Mapping[str, str]
Files = Mapping[str, tuple[str, bytes]]
"""By field: a name and the content of a picture."""


@dataclass
class Connection:
    """Sends requests with retries.

    results: the folder in which the application of this process stores results, which are removed once
    they are read; None for a server. patience_s: how long a picture waits for a server that is busy.
    """

    client: httpx.AsyncClient
    token: str
    results: Path | None = None
    patience_s: float = _PATIENCE_S
    _has_answered: bool = field(default=False, init=False)

    @property
    def is_remote(self) -> bool:
        """Whether it is a server."""
        return self.results is None

    async def send(self, path: str, fields: Fields, files: Files, key: str) -> Any:
        """Return the answer to a request with its results, after waiting for them.

        key: names the request, so that a repeat of it is not worked on again. Raises EditError, StopError.
        """
        headers = {"Idempotency-Key": key} if self.is_remote else {}
        response = await self._request("POST", path, headers, data=fields, files=files)
        answer = _json(response)
        if response.status_code != httpx.codes.ACCEPTED:
            return answer
        request_id = str(answer["request_id"])
        while True:
            state = _json(await self._request("GET", f"/v2/status/{request_id}", {}))
            if state["status"] == "COMPLETED":
                return state
            if state["status"] != "IN_PROGRESS":
                raise EditError(str(state.get("error", {}).get("message", state["status"])))
            await asyncio.sleep(_POLL_S)

    async def read(self, link: str) -> tuple[bytes, str]:
        """Return a result and its content type; raises EditError. The token is not sent: links need none."""
        response = await self._request("GET", link, {"api_token": ""})
        if self.results is not None:
            key = unquote(urlsplit(link).path).removeprefix("/results/")
            await asyncio.to_thread((self.results / "results" / key).unlink, missing_ok=True)
        kind = response.headers.get("content-type", "").partition(";")[0]
        return response.content, kind

    async def _request(
        self, method: str, url: str, headers: Fields, **content: Any
    ) -> httpx.Response:
        """Return a successful answer; waits as long as a busy server asks for."""
        until, broken, wait = time.monotonic() + self.patience_s, 0, _FIRST_WAIT_S
        while True:
            try:
                response = await self.client.request(
                    method, url, headers={"api_token": self.token, **headers}, **content
                )
            except httpx.HTTPError as error:
                broken += 1
                text = f"{self.client.base_url}: {error or type(error).__name__}"
                if not self._has_answered and isinstance(error, httpx.ConnectError):
                    raise StopError(text) from error
                if broken == _TRIES:
                    raise EditError(text) from error
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT_S)
                continue
            self._has_answered = True
            if response.is_success:
                return response
            pause = self._pause(response, wait)
            if pause is None or time.monotonic() + pause > until:
                raise _refusal(response)
            await asyncio.sleep(pause)
            wait = min(2 * wait, _LONGEST_WAIT_S)

    def _pause(self, response: httpx.Response, wait: float) -> float | None:
        """Return after how many seconds a request may succeed; None if it never will."""
        asked = retry_after(response.headers.get("Retry-After"))
        match response.status_code:
            case 429 | 503 if self.is_remote:
                return wait if asked is None else asked
            case 409 if self.is_remote:
                return asked
            case _:
                return None


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise EditError(f"{response.url} answered no JSON: is it a Retouch server?") from error


def _refusal(response: httpx.Response) -> EditError | StopError:
    """Return the error of a refused request, in the words of the server."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    error = body.get("error") if isinstance(body, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    status = response.status_code
    shown = str(text) if text else f"{response.url.copy_with(query=None)} answered {status}."
    if status in (401, 403):
        return StopError(f"{shown} Name a token with --token or RETOUCH_EDIT_TOKEN.")
    return EditError(shown)


@asynccontextmanager
async def connect(server: str, token: str) -> AsyncIterator[Connection]:
    """Connect to a server."""
    async with httpx.AsyncClient(base_url=server, timeout=_TIMEOUT) as client:
        yield Connection(client, token)


@asynccontextmanager
async def in_process(
    settings: Settings, jobs: int, result_format: str | None, *, has_jobs: bool
) -> AsyncIterator[Connection]:
    """Run the application in this process, with what it stores in a folder that is removed at the end.

    jobs: requests at once. result_format: as in the settings. has_jobs: whether the operation runs as a job,
    for which the queue of jobs is started. Raises WeightsUnavailableError and what else stops a server.
    """
    bound_memory(jobs)
    cv2.setNumThreads(1 if jobs > 1 else 0)
    models = LocalEngine(await asyncio.to_thread(_pool, settings, jobs))
    with tempfile.TemporaryDirectory(prefix="retouch-edit-") as name:
        folder = Path(name)
        own = settings.model_copy(
            update={
                "data_dir": folder,
                "store": None,
                "database_url": None,
                "public_url": None,
                "api_tokens": (),
                "host": "127.0.0.1",
                "port": 0,
                "workers": jobs,
                "max_waiting": max(settings.max_waiting, jobs),
                "max_body_mb": 1024,
                "max_picture_mb": 512,
                "result_format": result_format or settings.result_format,
                "disk_reserve_mb": 0,
                "audit_log": "off",
                "preload": False,
                "drain_s": 0.0,
            }
        )
        app = await asyncio.to_thread(create_app, own, models)
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app) if has_jobs else nullcontext(),
            httpx.AsyncClient(transport=transport, base_url=_LOCAL, timeout=None) as client,
        ):
            yield Connection(client, "edit", folder)


def _pool(settings: Settings, threads: int) -> Pool:
    return Pool.for_profile(
        settings.profile,
        settings.weights_dir,
        threads=threads,
        models_dir=settings.models_dir,
        device=settings.device,
        dtype=settings.dtype,
        offload=settings.offload,
        memory_mb=settings.memory_mb,
        main_memory_mb=settings.main_memory_mb,
        preload=False,
    )
