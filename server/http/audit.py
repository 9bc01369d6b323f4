"""The lines about requests: one for each, also for refused ones; health probes only when they change."""

import logging
import time
from logging.handlers import WatchedFileHandler
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.log_context import JOB_ID, REQUEST_ID, log_scope
from models.log_lines import ABOUT_REQUESTS, formatter
from server.http.health import PROBE_PATHS
from server.http.matched_route import matched_operation
from server.http.refusals import Refusals, noted_refusal
from server.http.request_id import correlation_id, header_of, known_job

log = logging.getLogger(ABOUT_REQUESTS)

LOG, OFF = "log", "off"
"""Values of the setting AUDIT_LOG. Any other is the path of a file."""
DISCONNECTED = 499
"""The code of a request whose caller hung up before its answer began, as nginx writes it."""
_CODE, _MALFORMED = "answered_code", "malformed"
"""In the state of a request: the code of its answer, once that has begun, and that of the connection's own."""
_PROBES = frozenset(f"GET {path}" for path in PROBE_PATHS)
_PROBE_CODES = frozenset({200, 503})
"""What health probes answer. They come every few seconds and would hide the requests of callers."""


_RESULTS = frozenset({"GET /results/{key:path}", "HEAD /results/{key:path}"})


def open_audit_log(where: str) -> str | None:
    """Send the lines to the file of the setting AUDIT_LOG, as JSON; return why that is impossible, or None.

    Another program may rename the file, as logrotate does: the next line then begins a new one.
    """
    if where in (LOG, OFF):
        return None
    try:
        handler = WatchedFileHandler(where, encoding="utf-8")
    except OSError as error:
        return f"RETOUCH_AUDIT_LOG {where}: {error.strerror}"
    handler.setFormatter(formatter("json"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    return None


class Audit:
    """ASGI middleware: logs who asked for what and what became of it on one line, and gives each answer its id.

    The line has no text of the caller but a well-formed X-Request-ID: a route by its pattern, a token by its
    name. A health probe that is answered as the one before has none. Only what counts and traces requests is
    outside of it, so it sees every answer, and every line that is logged meanwhile has the id too.

    refusals: are told of the requests that were refused. is_logged: whether there are lines.
    """

    def __init__(
        self, app: ASGIApp, refusals: Refusals | None = None, *, is_logged: bool = True
    ) -> None:
        self.app = app
        self._refusals = refusals
        self._is_logged = is_logged
        self._probed: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, and log the request when its answer is complete."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})  # copies of the scope share it
        line, identity = _Line(scope), header_of(scope)

        async def receive_and_count() -> Message:
            message = await receive()
            line.bytes_in += len(message.get("body", b""))
            return message

        async def send_and_count(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope["state"][_CODE] = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), identity]}
            line.bytes_out += len(message.get("body", b""))
            await send(message)

        with log_scope({REQUEST_ID: correlation_id(scope)}):
            try:
                await self.app(scope, receive_and_count, send_and_count)
            finally:
                self._write(line.fields(), scope)

    def _write(self, fields: dict[str, Any], scope: Scope) -> None:
        """Log a request, and note it if it was refused."""
        operation, code = fields["operation"], fields["code"]
        if self._is_logged and not self._is_repeated_probe(operation, code):
            write_line(fields)
        if self._refusals is not None and _is_refusal(operation, code):
            self._refusals.note(fields["organisation"], operation, code, noted_refusal(scope))

    def _is_repeated_probe(self, operation: str | None, code: int) -> bool:
        """Whether a request was a health probe with the same answer as the last one to its route."""
        if operation not in _PROBES or code not in _PROBE_CODES:
            return False
        before = self._probed.get(operation)
        self._probed[operation] = code
        return before == code


def _is_refusal(operation: str | None, code: int) -> bool:
    """Whether an answer is a refusal worth a look.

    Not the states of health probes, callers who hung up, and links that are followed before their results are
    there.
    """
    if code < 400 or code == DISCONNECTED or operation in _PROBES:
        return False
    return not (code == 404 and operation in _RESULTS)


class _Line:
    """What is known of one request."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._start = time.perf_counter()
        self.bytes_in = self.bytes_out = 0

    def fields(self) -> dict[str, Any]:
        """Return the fields of the line."""
        state = self._scope["state"]
        caller = state.get("caller")
        return {
            REQUEST_ID: correlation_id(self._scope),
            JOB_ID: known_job(self._scope),
            "organisation": caller and caller.organisation,
            "token": caller and caller.token,
            "operation": state.get("operation"),
            "code": ended_code(self._scope),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "ms": round((time.perf_counter() - self._start) * 1000, 1),
        }


def write_line(fields: dict[str, Any]) -> None:
    """Log a request."""
    log.info("%s %d", fields["operation"] or "no route", fields["code"], extra=fields)


def log_malformed(scope: Scope, code: int, bytes_out: int) -> None:
    """Log a request that was refused before it reached the application, because it is no valid HTTP.

    bytes_out: of the answer's body.
    """
    scope = {"state": {}, **scope}
    note_malformed(scope, code)
    line = _Line(scope)
    line.bytes_out = bytes_out
    write_line(line.fields())


def ended_code(scope: Scope) -> int:
    """Return the code with which a request has ended that went through `Audit`.

    If the application's answer has not begun it is the one that the connection gave to a malformed body, else
    `DISCONNECTED`.
    """
    state = scope["state"]
    return int(state.get(_CODE) or state.get(_MALFORMED, DISCONNECTED))


def note_malformed(scope: Scope, code: int) -> None:
    """Note the code of an answer that the connection gave to a request whose body turned out to be malformed."""
    scope["state"][_MALFORMED] = code


def note_operation(scope: Scope) -> None:
    """Note which route answered a request: its method and its pattern, such as `POST /v1/crop`.

    Call it with the scope that the router got. Nothing is noted if no route matched.
    """
    operation = matched_operation(scope)
    if operation is not None:
        scope["state"]["operation"] = operation
