"""The seam between who needs a model and where it runs: a call, and an engine that makes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from models.deadline import Deadline, current
from models.roles import Role, SizeRule


@dataclass(frozen=True)
class Call:
    """One call of a role's method, with the arguments that models.roles gives it.

    deadline: how long the caller waits; by default the deadline of the context that makes the call.
    """

    role: Role[Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    deadline: Deadline = field(default_factory=current)

    @property
    def method(self) -> str:
        """The method of the role."""
        return self.role.method


@dataclass(frozen=True)
class RoleLoad:
    """How busy a role is: calls at work, calls waiting, and the mean seconds that one takes."""

    running: int
    waiting: int
    mean_s: float


class Engine(Protocol):
    """Runs the calls of models; safe to share by threads. The same call gives the same result, bit
    for bit, on every engine that runs it on the same kind of device."""

    def start(self) -> None:
        """Get every role ready; returns once calls can be made. Raises ModelUnavailableError."""
        ...

    def offers(self, role: Role[Any]) -> bool:
        """Whether there is a model for a role."""
        ...

    def sizes(self, role: Role[Any]) -> SizeRule:
        """Give the sizes that a generating role's model works at."""
        ...

    def run(self, call: Call) -> Any:
        """Make a call and wait for its result on this thread; raises what the module tells."""
        ...

    def load(self) -> Mapping[Role[Any], RoleLoad]:
        """Tell how busy each role is that has been called."""
        ...

    def close(self) -> None:
        """Let go of what is held; calls at work end as they may."""
        ...
