"""Limit the requests a minute of each organisation and route, and tell callers what is left."""

import base64
import functools
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from server.errors import RateLimitedError
from server.http.auth import Tokens
from server.http.idempotency import IdempotentRoute
from server.http.rate_counting import RateCounting
from server.http.readers import reads_as_anyone
from server.settings import Settings
from storage.rate_counters import WINDOW_S, Charge, Counters, Excess, Limits, MemoryCounters

FIELD, POLICY_FIELD = "RateLimit", "RateLimit-Policy"
"""The fields of draft-ietf-httpapi-ratelimit-headers-11."""
STATUS_ROUTE = "/v2/status/{request_id}"
QUEUE_ROUTE = "/queue/{queue_id}"
_POLLED = frozenset({STATUS_ROUTE, QUEUE_ROUTE})
"""The routes with a limit of their own: callers poll them."""
REFUSED_FACTOR = 10
"""Refused requests that are allowed for each accepted one."""
_ACCEPTED, _REFUSED = "requests", "refused-requests"
"""The names of the two policies."""

Run = Callable[[Request], Awaitable[Response]]


class Quotas:
    """How many requests a minute an organisation may send to a route."""

    def __init__(self, settings: Settings) -> None:
        self._of_any = settings.requests_per_minute
        self._of_status = settings.status_requests_per_minute
        self._overrides = settings.rate_limits

    def limits(self, organisation: str, route: str) -> Limits | None:
        """Return the limits of an organisation at a route; None if there is none.

        The more exact of the settings decides: of both, of the route, of the organisation.
        """
        overrides = self._overrides
        usual = self._of_status if route in _POLLED else overrides.get(organisation, self._of_any)
        accepted = overrides.get(organisation + route, overrides.get(route, usual))
        return Limits(accepted, REFUSED_FACTOR * accepted) if accepted else None

    @property
    def routes(self) -> list[str]:
        """The routes that the settings name."""
        return sorted({name[name.index("/") :] for name in self._overrides if "/" in name})


class RateLimits:
    """Answers a request, or refuses it with 429 if its organisation has sent too many to its route.

    Without tokens nothing is limited: every caller could be a new organisation. A request counts when it
    arrives. An answer with an error gives the place back, and counts among the refused requests, of which
    there may be ten times as many. A caller that hangs up gets no place back: its work may have been done.
    Use it in one event loop.

    shared: counts in a database that several servers use; None: in memory. clock: in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        tokens: Tokens,
        shared: Counters | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.quotas = Quotas(settings)
        self._tokens = tokens
        self._counting = RateCounting(MemoryCounters(clock), shared, clock)

    async def answer(self, request: Request, route: str, run: Run) -> Response:
        """Return the answer of `run`; raises RateLimitedError, InvalidTokenError.

        route: the template of its path.
        """
        if not self._tokens.required:
            return await run(request)
        organisation = self._tokens.organisation(request)
        limits = self.quotas.limits(organisation, route)
        if limits is None:
            return await run(request)
        counted = await self._counting.charge((organisation, route), limits)
        if isinstance(counted, Excess):
            raise _limited(counted, limits, route)
        try:
            response = await run(request)
        except ClientDisconnect:
            raise
        except Exception:
            await self._counting.refuse(counted)
            raise
        if response.status_code >= 400:
            await self._counting.refuse(counted)
        else:
            response.headers.update(_fields(counted.charge, limits, route))
        return response

    def sweep(self) -> None:
        """Remove the counters that count nothing any more; raises DatabaseUnavailableError."""
        self._counting.sweep()


def _fields(charge: Charge, limits: Limits, route: str) -> dict[str, str]:
    """Return the fields of an answer: what is left, and until when."""
    left = f'"{_ACCEPTED}";r={charge.remaining};t={charge.reset_s};{_partition_key(route)}'
    return {FIELD: left, POLICY_FIELD: _policies(limits, route)}


def _limited(excess: Excess, limits: Limits, route: str) -> RateLimitedError:
    """Return the error of a request that its window has no room for."""
    if excess.of_refused:
        policy, what = _REFUSED, f"{limits.refused} requests that were refused"
    else:
        policy, what = _ACCEPTED, f"{limits.accepted} requests"
    return RateLimitedError(
        f"Your organisation has sent {what} to this route within a minute, its limit; try again in"
        f" {excess.retry_s} s.",
        headers={
            "Retry-After": str(excess.retry_s),
            FIELD: f'"{policy}";r=0;t={excess.retry_s};{_partition_key(route)}',
            POLICY_FIELD: _policies(limits, route),
        },
    )


def _policies(limits: Limits, route: str) -> str:
    counted = ((_ACCEPTED, limits.accepted), (_REFUSED, limits.refused))
    key = _partition_key(route)
    return ", ".join(f'"{name}";q={quota};w={WINDOW_S};{key}' for name, quota in counted)


@functools.cache
def _partition_key(route: str) -> str:
    """Return the parameter that tells the quotas of routes apart: the path's template, as a byte sequence."""
    return f"pk=:{base64.b64encode(route.encode()).decode()}:"


def _template(request: Request, path_format: str) -> str:
    """Return the template of a request's path, which is longer than that of its route in a router."""
    path, end = request.scope["path"], path_format.format(**request.path_params)
    return path.removesuffix(end) + path_format if path.endswith(end) else path_format


class RateLimitedRoute(IdempotentRoute):
    """A route with a limit; the application's state has `rate_limits`.

    A repeated call with an `Idempotency-Key` counts like any other.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of a request."""
        run = super().get_route_handler()

        async def handle(request: Request) -> Response:
            rate_limits: RateLimits = request.app.state.rate_limits
            return await rate_limits.answer(request, _template(request, self.path_format), run)

        return handle


class RouteOfReaders(RateLimitedRoute):
    """A route with a limit for organisations, which `readers` answers without a token too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of a request."""
        limited, unlimited = super().get_route_handler(), IdempotentRoute.get_route_handler(self)

        async def handle(request: Request) -> Response:
            return await (unlimited if reads_as_anyone(request) else limited)(request)

        return handle
