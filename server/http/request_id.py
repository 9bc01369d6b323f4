"""The id of a request: of its job, and of its answer in v2."""

import uuid
from typing import Any

from starlette.types import Scope


def request_id(scope: Scope) -> str:
    """Return the id of a request, 32 hexadecimal digits; it is made at the first call."""
    state: dict[str, Any] = scope.setdefault("state", {})
    return str(state.setdefault("request_id", uuid.uuid4().hex))


def resume(scope: Scope, known_id: str, *, is_repeated: bool) -> None:
    """Give a request the id of an earlier call of it. is_repeated: whether that call may have run."""
    state: dict[str, Any] = scope.setdefault("state", {})
    state |= {"request_id": known_id, "is_repeated": is_repeated}


def is_repeated(scope: Scope) -> bool:
    """Whether an earlier call of a request may have run, and may have left a job with its id."""
    return bool(scope.get("state", {}).get("is_repeated"))
