"""Which models an engine has in memory, for those who look after a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class ModelState:
    """The model of one role.

    model: the name of its card. memory_mb: what it takes once it is loaded, in MiB, by its card. device: by
    torch's name, or "cluster". dtype: of its weights there, as torch names it; None if that is not known in this
    process. is_loaded, users: whether it is ready to be called, and how many calls use it now; None if that is not
    known in this process. is_evicted: whether its weights wait in main memory instead. waiting: calls that
    wait for it, if it takes one at a time, else None.
    """

    role: str
    model: str
    memory_mb: int
    device: str
    dtype: str | None = None
    is_loaded: bool | None = None
    is_evicted: bool | None = None
    users: int | None = None
    waiting: int | None = None


@dataclass(frozen=True)
class ModelStates:
    """The models of a profile.

    held_mb: what those that are loaded take, in MiB, shared weights once; None if that is not known here.
    budget_mb: what loaded models may take together, in MiB; None without a limit. device: what torch
    models run on, for people, with the GPU's memory and driver; None without torch models, or if that
    is not known here. evicted_mb: main memory of the models that were evicted from the device, in MiB;
    evicted_budget_mb: what they may take there together. Both None if that is not known here. idle_gpus:
    number of further GPUs that this process sees, and does not use.
    """

    models: Sequence[ModelState]
    held_mb: int | None = None
    budget_mb: int | None = None
    device: str | None = None
    evicted_mb: int | None = None
    evicted_budget_mb: int | None = None
    idle_gpus: int = 0


@runtime_checkable
class ReportsModels(Protocol):
    """An engine that knows its models."""

    def model_states(self) -> ModelStates:
        """Return which models are in memory."""
        ...
