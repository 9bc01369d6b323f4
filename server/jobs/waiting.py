"""What a caller who waits may not use: models that take minutes serve only requests with sync=false."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from models.catalog.card import Profile
from models.errors import RoleNotInProfileError
from models.roles import Models, P, Role
from server.errors import NotInProfileError


def slow_roles(profile: Profile) -> dict[str, float]:
    """Return the expected seconds of one result for each role whose model is too slow to wait for."""
    return {role.name: card.seconds or 0 for role, card in profile.items() if card.asynchronous}


def too_slow(role: str, seconds: float) -> NotInProfileError:
    """Return the error of a request with sync=true that needs such a model; role: its name."""
    return NotInProfileError(
        f"This server's model for {role.replace('_', ' ')} takes about {seconds:.0f} seconds for each"
        " result: send sync=false, and poll the links.",
        "sync",
    )


class QuickModels:
    """Implements `models.roles.Models` without the slow models: work that has a substitute uses that."""

    def __init__(self, models: Models, slow: Mapping[str, float]) -> None:
        self._models = models
        self._slow = slow

    def offers(self, role: Role[Any]) -> bool:
        """Whether there is a model for a role that is quick enough."""
        return role.name not in self._slow and self._models.offers(role)

    def use(self, role: Role[P]) -> AbstractContextManager[P]:
        """Return the context of a role's model; raises RoleNotInProfileError for a slow one."""
        if role.name in self._slow:
            raise RoleNotInProfileError(role.name)
        return self._models.use(role)
