"""The models of an engine, lent as if they were here: each call of one goes through the engine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from models.catalog.card import Role
from models.roles import SizeRule
from models.runtime.engine import METHODS, Call, Engine
from models.runtime.lending import Lending


class RemoteModels(Lending):
    """Fulfils models.roles.Models over an engine; nothing is held between two calls of a loan."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def offers(self, role: str) -> bool:
        """Tell whether the engine has a model for a role."""
        return self.engine.offers(role)

    @contextmanager
    def lend(self, role: Role) -> Iterator[Any]:
        """Lend a stand-in whose calls the engine makes; they raise as `models.runtime.engine` tells."""
        yield _ModelProxy(self.engine, role)

    def warm_up(self) -> None:
        """Get every model ready; raises ModelUnavailableError."""
        self.engine.start()


class _ModelProxy:
    """A role's model elsewhere: its one method, and its sizes where it generates."""

    def __init__(self, engine: Engine, role: Role) -> None:
        self._engine = engine
        self._role = role

    @property
    def sizes(self) -> SizeRule:
        """The sizes that the model works at."""
        return self._engine.sizes(self._role)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name != METHODS[self._role]:
            raise AttributeError(f"{self._role} has no {name}")

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._engine.run(Call(self._role, args, kwargs))

        return call
