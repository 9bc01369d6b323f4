"""Repeated calls with one `Idempotency-Key` run once: the others get the stored answer."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, Protocol
from weakref import WeakValueDictionary

import anyio.to_thread
from fastapi import Request
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from server.errors import BadRequestError, KeyReusedError, still_in_work
from server.http.accept import wanted_file
from server.http.auth import Tokens
from server.http.fields import Fields, read_fields, replace_fields
from server.http.fingerprint import fingerprint
from server.http.request_id import request_id, resume
from server.http.result_files import FileResponse, open_file, read_reference
from server.settings import Settings
from server.storage_limits import StorageLimits
from storage.idempotency import Claim, IdempotencyKeys, KnownRequest, StoredAnswer
from storage.object_store import ObjectStore

log = logging.getLogger("retouch")

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
"""The header of an answer that was stored."""
MAX_KEY_LENGTH = 255
"""Longest key, in characters."""
_KEY = re.compile(r"[ -~]+", re.ASCII)
_MAX_ANSWER_BYTES = 1 << 20
"""Longer answers are not stored. One with 250 links of 2 KB each is half as long."""
_MEDIA_TYPE = "application/json"
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.05, 0.5
"""Seconds between two looks at a request in work: they grow."""
_LEASE_RESERVE = timedelta(minutes=10)

Run = Callable[[Request], Awaitable[Response]]


class Owner(Protocol):
    """The process itself among those that share the database; see `storage.server_lease`."""

    name: str
    grace_s: float

    def is_alive(self, name: str) -> bool:
        """Whether a process may still work; it blocks. Raises DatabaseUnavailableError."""
        ...


class _SameCalls:
    """The calls in this process with one key and one content.

    They look at the database one after another, and share one copy of the fields. failures, error: how
    often such a call failed, and the last error: calls that came before it get it too. answer: that of
    such a call, once it is stored. dead_since: when the owner of the request was first found dead.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.fields: Fields | None = None
        self.waiting = 0
        self.failures = 0
        self.error: Exception | None = None
        self.answer: StoredAnswer | None = None
        self.dead_since: float | None = None

    def leave(self) -> None:
        """Count a call that waits no longer; the fields are kept only while others wait."""
        self.waiting -= 1
        if not self.waiting:
            self.fields = None

    def fail(self, error: Exception) -> None:
        """Let the calls that wait get an error."""
        self.failures += 1
        self.error = error


class Idempotency:
    """Runs a request with a key once, and answers its repeats from the database.

    A claim in the database decides which call runs. The others wait without a worker and without a
    place of the concurrency limit. Use it in one event loop.
    """

    def __init__(
        self,
        settings: Settings,
        tokens: Tokens,
        keys: IdempotencyKeys,
        owner: Owner,
        limits: StorageLimits,
        results: ObjectStore,
    ) -> None:
        self._results = results
        self._max_bytes = settings.max_body_mb * 2**20
        self._timeout_s = settings.request_timeout_s
        self._tokens = tokens
        self._keys = keys
        self._owner = owner
        self._limits = limits
        self._ttl = timedelta(seconds=settings.idempotency_ttl_s)
        self._calls: WeakValueDictionary[tuple[str, str, str], _SameCalls] = WeakValueDictionary()
        self._running: set[str] = set()

    async def answer(self, request: Request, run: Run) -> Response:
        """Return the answer to a request: that of `run`, or the stored one of an earlier call.

        Raises BadRequestError for a malformed key, KeyReusedError if an earlier call with the key had
        another content, InWorkError if the request is in work for longer than its timeout.
        """
        key = read_key(request)
        if key is None:
            return await run(request)
        organisation = self._tokens.organisation(request)
        calls, printed = await self._read(request, organisation, key)
        proposed = Claim(organisation, key, request_id(request.scope), self._owner.name)
        found = await self._claim(request, calls, proposed, printed)
        if isinstance(found, StoredAnswer):
            return await self._replay(found)
        return await self._run(request, run, found, calls)

    async def _replay(self, stored: StoredAnswer) -> Response:
        """Return a stored answer again; raises NotFoundError if it is a file that has expired since."""
        replayed = {REPLAYED: "true"}
        file = read_reference(stored.body)
        if file is not None:
            return await open_file(self._results, file, replayed)
        return Response(stored.body, stored.status_code, replayed, _MEDIA_TYPE)

    def sweep(self) -> None:
        """Remove the answers that have expired; raises DatabaseUnavailableError."""
        self._keys.sweep()

    async def _read(self, request: Request, organisation: str, key: str) -> tuple[_SameCalls, str]:
        """Return the calls that a request belongs to, which then have its fields, and its fingerprint."""
        fields = await read_fields(request, self._max_bytes)
        accept = wanted_file(request)  # the fingerprint of what is answered with JSON has none
        method = request.method if accept is None else f"{request.method} {accept}"
        printed = await anyio.to_thread.run_sync(fingerprint, method, request.scope["path"], fields)
        calls = self._calls.setdefault((organisation, key, printed), _SameCalls())
        calls.fields = calls.fields or fields
        return calls, printed

    async def _claim(
        self, request: Request, calls: _SameCalls, proposed: Claim, printed: str
    ) -> Claim | StoredAnswer:
        """Return the claim of a request that is to run, or the answer of one that has run."""
        calls.waiting += 1
        failures = calls.failures
        wait_s = _FIRST_WAIT_S
        try:
            async with asyncio.timeout(self._timeout_s), calls.lock:
                while (found := await self._try_claim(calls, failures, proposed, printed)) is None:
                    if await request.is_disconnected():
                        raise ClientDisconnect
                    await asyncio.sleep(wait_s)
                    wait_s = min(1.5 * wait_s, _LONGEST_WAIT_S)
                if isinstance(found, Claim):
                    self._running.add(found.request_id)
                    resume(request.scope, found.request_id, is_repeated=found.attempt > 1)
                    replace_fields(request, calls.fields or {})
                return found
        except TimeoutError:
            raise still_in_work(HEADER) from None
        finally:
            calls.leave()

    async def _try_claim(
        self, calls: _SameCalls, failures: int, proposed: Claim, printed: str
    ) -> Claim | StoredAnswer | None:
        """Return a claim or an answer; None while another call is in work."""
        if calls.failures > failures and calls.error is not None:
            raise calls.error
        if calls.answer is not None:
            return calls.answer
        known = await anyio.to_thread.run_sync(self._keys.claim, proposed, printed)
        if known is None:
            return proposed
        if known.fingerprint != printed:
            raise KeyReusedError(
                f"Another request was sent with this {HEADER}; send a new key with a new request.",
                HEADER,
            )
        if known.answer is None and await self._is_dead(calls, known):
            take_over = self._keys.take_over
            return await anyio.to_thread.run_sync(take_over, known.claim, self._owner.name)
        return known.answer

    async def _is_dead(self, calls: _SameCalls, known: KnownRequest) -> bool:
        """Whether nobody works on a request any more.

        After an outage of the database live processes have no lease for a moment, so a process counts
        as dead only after it had none for `grace_s` seconds.
        """
        owner = known.claim.owner
        if owner == self._owner.name:
            return known.claim.request_id not in self._running
        if known.is_lease_over:
            return True
        if await anyio.to_thread.run_sync(self._owner.is_alive, owner):
            calls.dead_since = None
            return False
        now = time.monotonic()
        if calls.dead_since is None:
            calls.dead_since = now
        return now - calls.dead_since >= self._owner.grace_s

    async def _run(self, request: Request, run: Run, claim: Claim, calls: _SameCalls) -> Response:
        """Run a request and store its answer; an error releases the key.

        A request that is cancelled keeps it: the process shuts down and may have accepted a job. The
        next call takes the claim over and looks for that job.
        """
        try:
            response = await run(request)
            calls.answer = await self._store(claim, response)
        except Exception as error:
            if not isinstance(error, ClientDisconnect):
                calls.fail(error)
            await self._release(claim)
            raise
        finally:
            self._running.discard(claim.request_id)
        return response

    async def _store(self, claim: Claim, response: Response) -> StoredAnswer | None:
        """Store and return an answer of 2xx; if that fails, the caller gets the answer nevertheless."""
        body: Any = getattr(response, "body", None)
        if isinstance(response, FileResponse):
            body, is_kept = response.file.reference(), True
        else:
            is_kept = response.headers.get("content-type", "").startswith(_MEDIA_TYPE)
        if not isinstance(body, bytes) or not is_kept or not 200 <= response.status_code < 300:
            await self._release(claim)
        elif len(body) > _MAX_ANSWER_BYTES:
            log.warning("an answer of %d bytes is too long for %s", len(body), HEADER)
            await self._release(claim)
        else:
            answer = StoredAnswer(response.status_code, body)
            try:
                if await anyio.to_thread.run_sync(self._complete, claim, answer):
                    return answer
            except OSError as error:
                log.error("an answer could not be stored for %s: %s", HEADER, error)
        return None

    def _complete(self, claim: Claim, answer: StoredAnswer) -> bool:
        """Store an answer and count its bytes; False if another process has taken the claim over."""
        is_stored = self._keys.complete(claim, answer)
        if is_stored:
            self._limits.count(claim.organisation, [len(answer.body)], self._ttl)
        return is_stored

    async def _release(self, claim: Claim) -> None:
        """Release a claim. If that fails, this process takes it over, others after the lease."""
        try:
            await anyio.to_thread.run_sync(self._keys.release, claim)
        except OSError as error:
            log.error("an %s could not be released: %s", HEADER, error)


def lease(settings: Settings) -> timedelta:
    """Return the longest time that a request can be in work: three timeouts, and its fetches."""
    return 3 * timedelta(seconds=settings.request_timeout_s) + _LEASE_RESERVE


def read_key(request: Request) -> str | None:
    """Return the key of a request; None if it has none. Raises BadRequestError for a malformed one."""
    values = request.headers.getlist(HEADER)
    if not values:
        return None
    key = values[0].strip()
    if len(values) > 1 or len(key) > MAX_KEY_LENGTH or not _KEY.fullmatch(key):
        raise BadRequestError(
            f"{HEADER} must be sent once, with 1 to {MAX_KEY_LENGTH} printable characters of ASCII.",
            HEADER,
        )
    return key


class IdempotentRoute(APIRoute):
    """A route whose POST requests may have a key; the application's state has `idempotency`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of a request."""
        run = super().get_route_handler()
        if "POST" not in (self.methods or ()):
            return run

        async def handle(request: Request) -> Response:
            idempotency: Idempotency = request.app.state.idempotency
            return await idempotency.answer(request, run)

        return handle
