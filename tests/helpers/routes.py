"""Every route of an application, also those that are not in its OpenAPI document."""

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute, Route


def walk(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, Route]]:
    """Yield each route with its whole path; FastAPI keeps those of included routers in the routers."""
    for route in routes:
        if isinstance(route, Route):
            yield prefix + route.path, route
        else:
            included: Any = route
            router: APIRouter = included.original_router
            yield from walk(router.routes, prefix + included.include_context.prefix)


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """Return the method and the path pattern of every route."""
    return sorted(
        {(method, path) for path, route in walk(app.routes) for method in route.methods or ()}
    )


def endpoints_of(app: FastAPI) -> dict[str, Callable[..., Any]]:
    """Return the endpoint of every route, by its path pattern."""
    return {path: route.endpoint for path, route in walk(app.routes)}
