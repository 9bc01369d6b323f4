"""The id of a request: of its job, and of its answer in v2."""

import uuid

from starlette.types import Scope


def request_id(scope: Scope) -> str:
    """Return the id of a request, 32 hexadecimal digits; it is made at the first call."""
    state: dict[str, str] = scope.setdefault("state", {})
    return state.setdefault("request_id", uuid.uuid4().hex)
