"""Which route answers a request, by its pattern: for the log, in which callers shall not choose the text."""

from starlette.types import Scope

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Any other is not written: callers choose its text."""


def matched_operation(scope: Scope) -> str | None:
    """Return the method and the pattern of the route that matched, such as `POST /v1/crop`; None if none did.

    scope: the one that the router got.
    """
    route = scope.get("route")
    if route is None:
        return None
    path, pattern = scope["path"], route.path
    if not route.path_regex.match(path):  # the route of a router with a prefix, /v1 or /v2
        pattern = f"/{path.split('/')[1]}{pattern}"
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    return f"{method} {pattern}"
