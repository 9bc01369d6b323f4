"""In which profiles each route works, from the tables of the server."""

import re
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from models.catalog.profile import load_profile
from models.errors import RoleNotInProfileError
from models.roles import P, Role
from scripts.documentation.operations import Example
from server import v1
from server.operation import Operation
from server.operations import OPERATIONS

PROFILES = ("lite", "cpu", "sdxl", "open", "studio", "bria")
"""The profiles that a user chooses from."""

_ROUTES = [
    *(f"{one.method} {one.url}" for one in OPERATIONS),
    *(f"GET /v1{one.path}" for one in v1.VISUAL_QUERIES),
]


class ProfileModels:
    """Implements `models.roles.Models` for questions alone: it knows what a profile offers and loads nothing."""

    def __init__(self, profile: str) -> None:
        self._cards = load_profile(profile)

    def offers(self, role: Role[Any]) -> bool:
        """Whether the profile has a model for a role."""
        return role in self._cards

    def use(self, role: Role[P]) -> AbstractContextManager[P]:
        """Raise RoleNotInProfileError: nothing is loaded here."""
        raise RoleNotInProfileError(role.name)


def operation_of(route: str) -> Operation[Any] | None:
    """Return the editing operation of a route, such as `POST /v1/crop`; None if it is another route."""
    return next((one for one in OPERATIONS if f"{one.method} {one.url}" == route), None)


_MODELS = {profile: ProfileModels(profile) for profile in PROFILES}


@cache
def profiles_of(route: str) -> tuple[str, ...]:
    """Return the profiles in which a route works for an ordinary request."""
    operation = operation_of(route)
    query = next((one for one in v1.VISUAL_QUERIES if f"GET /v1{one.path}" == route), None)
    found = []
    for profile, models in _MODELS.items():
        needs = operation.needs(models) if operation else query.needs if query else ()
        if all(map(models.offers, needs)):
            found.append(profile)
    return tuple(found)


def works_in_lite(example: Example) -> bool:
    """Whether a server with profile `lite` answers an example with a success."""
    fitting = (
        route
        for route in _ROUTES
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), example.route)
    )
    return all("lite" in profiles_of(route) for route in fitting)


def limits_of(route: str, profile: str) -> list[str]:
    """Return what a route cannot do in a profile, although it works there."""
    operation, models = operation_of(route), _MODELS[profile]
    if operation is None or profile not in profiles_of(route):
        return []
    return [text for role, text in operation.without.items() if not models.offers(role)]
