"""Scopes: what a token may do, and which of them a route needs."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

from starlette.types import Scope as AsgiScope

F = TypeVar("F", bound=Callable[..., Any])
_NEEDED = "needed_scope"
"""The attribute of an endpoint that names its scope."""


class Scope(StrEnum):
    """What a token may do. A token may have several; none contains another."""

    EDIT = "edit"
    """Edit, register and remove pictures."""
    READ = "read"
    """Ask for the state of requests, what is known of a picture, and what the server can do."""
    ADMIN = "admin"
    """Look after the server: what all organisations have in work, and what was refused. It is also what a route
    without a mark needs."""


ALL_SCOPES = frozenset(Scope)
OWN_SCOPES = frozenset({Scope.EDIT, Scope.READ})
"""All that concerns a token's own organisation alone."""


def needs(scope: Scope) -> Callable[[F], F]:
    """Mark an endpoint with the scope that a token needs for it."""

    def mark(endpoint: F) -> F:
        setattr(endpoint, _NEEDED, scope)
        return endpoint

    return mark


def needed_scope(endpoint: Callable[..., Any]) -> Scope:
    """Return the scope that an endpoint needs: `admin` if it has no mark, so that nobody forgets it."""
    found: Scope = getattr(endpoint, _NEEDED, Scope.ADMIN)
    return found


def scope_of_request(scope: AsgiScope) -> Scope | None:
    """Return the scope that the route of a request needs; None before the request has a route."""
    endpoint = scope.get("endpoint")
    return None if endpoint is None else needed_scope(endpoint)
