"""The models of an engine, used as if they were here: each call of one goes through the engine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from models.roles import P, Role, SizeRule
from models.runtime.engine import Call, Engine


class RemoteModels:
    """Fulfils models.roles.Models over an engine; nothing is held between two calls."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def offers(self, role: Role[Any]) -> bool:
        """Whether the engine has a model for a role."""
        return self.engine.offers(role)

    @contextmanager
    def use(self, role: Role[P]) -> Iterator[P]:
        """Yield a proxy whose calls the engine makes; they raise as `models.errors` lists."""
        yield cast(P, _ModelProxy(self.engine, role))

    def warm_up(self) -> None:
        """Get every model ready; raises ModelUnavailableError."""
        self.engine.start()


class _ModelProxy:
    """A role's model elsewhere: its one method, and its sizes where it generates."""

    def __init__(self, engine: Engine, role: Role[Any]) -> None:
        self._engine = engine
        self._role = role

    @property
    def sizes(self) -> SizeRule:
        """The sizes that the model works at."""
        return self._engine.sizes(self._role)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name != self._role.method:
            raise AttributeError(f"{self._role} has no {name}")

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._engine.run(Call(self._role, args, kwargs))

        return call
