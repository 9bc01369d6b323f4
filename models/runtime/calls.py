"""A model call as data, and the proxy that makes calls of a model on another thread or in another process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from imaging.resize import SizeRule
from models.deadline import Deadline, current
from models.roles import Role
from models.stages import Stage, stage


@dataclass(frozen=True)
class Call:
    """One call of a role's method. The arguments are those of the protocol in `models.roles`.

    deadline: how long the caller waits; by default the deadline of the current context.
    """

    role: Role[Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    deadline: Deadline = field(default_factory=current)


class Inference(Call):
    """One run of the network of a role's model on one input, `args[0]`: a part of a call (`models.processing`)."""


class ModelProxy:
    """A proxy for a role's model.

    It has the role's one method, and `sizes` if the model is generative. call: makes a call as
    `call(role, *args, **kwargs)` and returns its result. sizes: returns the sizes that the model of
    a role works at. copies_texture: as in `models.roles.Inpainting`.
    """

    def __init__(
        self,
        role: Role[Any],
        call: Callable[..., Any],
        sizes: Callable[[Role[Any]], SizeRule],
        copies_texture: bool = False,
    ) -> None:
        self.copies_texture = copies_texture
        self._role = role
        self._call = call
        self._sizes = sizes

    @property
    def sizes(self) -> SizeRule:
        """The sizes that the model works at."""
        return self._sizes(self._role)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name != self._role.method:
            raise AttributeError(f"{self._role} has no {name}")
        return partial(self._call, self._role)


class ObservedModel:
    """A role's model, each call of whose method is a stage; all else of it is as it is."""

    def __init__(self, model: Any, role: Role[Any]) -> None:
        self._model = model
        self._role = role

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._model, name)
        return stage(Stage.MODEL, self._role.name)(found) if name == self._role.method else found
