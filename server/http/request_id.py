"""The two ids of a request: X-Request-ID, by which its caller knows it, and that of its job."""

import re
import uuid
from typing import Any

from starlette.types import Scope

HEADER = "X-Request-ID"
"""The header that a caller may send, and that every answer has."""
MAX_LENGTH = 64
"""Longest id that is taken from a caller, in characters."""
_FORM = re.compile(rb"[A-Za-z0-9._-]{1,%d}" % MAX_LENGTH)
_FIELD = HEADER.lower().encode()


def correlation_id(scope: Scope) -> str:
    """Return the id by which a caller knows a request: the X-Request-ID that it sent, or one that is made once.

    One that is not 1 to 64 letters, digits, dots, underscores and hyphens is ignored, and so are several.
    """
    state: dict[str, Any] = scope.setdefault("state", {})
    if "correlation_id" not in state:
        state["correlation_id"] = _sent(scope) or uuid.uuid4().hex
    return str(state["correlation_id"])


def header_of(scope: Scope) -> tuple[bytes, bytes]:
    """Return the header of the answer to a request."""
    return _FIELD, correlation_id(scope).encode()


def request_id(scope: Scope) -> str:
    """Return the id of a request's job, which version 2 answers with; it is made at the first call.

    It is 32 hexadecimal digits, and not the caller's choice, because callers could choose the same. If the caller
    sent no X-Request-ID, both ids are the same.
    """
    state: dict[str, Any] = scope.setdefault("state", {})
    if "request_id" not in state:
        state["request_id"] = uuid.uuid4().hex if _sent(scope) else correlation_id(scope)
    return str(state["request_id"])


def known_job(scope: Scope) -> str | None:
    """Return the id of a request's job if it has one."""
    found: str | None = scope.get("state", {}).get("request_id")
    return found


def resume(scope: Scope, known_id: str, *, is_repeated: bool) -> None:
    """Give a request the job of an earlier call of it. is_repeated: whether that call may have run."""
    state: dict[str, Any] = scope.setdefault("state", {})
    state |= {"request_id": known_id, "is_repeated": is_repeated}


def is_repeated(scope: Scope) -> bool:
    """Whether an earlier call of a request may have run, and may have left a job with its id."""
    return bool(scope.get("state", {}).get("is_repeated"))


def _sent(scope: Scope) -> str | None:
    """Return the id that a caller sent; None for one that is not taken."""
    values = [value for name, value in scope.get("headers", ()) if name == _FIELD]
    if len(values) == 1 and _FORM.fullmatch(values[0]):
        return str(values[0].decode())
    return None
