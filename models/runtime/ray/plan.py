"""What a profile asks of a cluster: for each role how many replicas, on which processors and GPUs.

A profile file may say so, role by role; what it leaves out follows from the card:

    [replicas.matting]
    min = 1            # replicas that are always there
    max = 8            # and at most, as the load asks
    cpus = 1           # processors of one replica
    gpus = 0.25        # GPUs of one replica; a part of one shares it with other replicas
    accelerator = "L4" # the kind of GPU, as Ray names it
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from models.catalog.card import Card, Profile
from models.catalog.profile import replicas_of
from models.errors import UnknownProfileError
from models.roles import Role

_PARTS = 20
"""A GPU is dealt out in twentieths."""


@dataclass(frozen=True)
class Replicas:
    """The replicas of one role; min, max: how many; cpus, gpus: of each."""

    min: int = 1
    max: int = 4
    cpus: float = 1.0
    gpus: float = 0.0
    accelerator: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.max <= 1000:
            raise ValueError("min and max are 1 to 1000, min the smaller")
        if not (0 <= self.cpus <= 1024 and 0 <= self.gpus <= 64):
            raise ValueError("cpus are 0 to 1024, gpus 0 to 64")
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError("more than one GPU is given in whole ones")


def plan(name: str, profile: Profile, gpu_mb: int | None) -> Mapping[Role[Any], Replicas]:
    """Return the replicas of each role of a profile.

    name: of the profile, or the path of its file. gpu_mb: memory of one GPU of the cluster in MiB; None
    where there is none, so that torch models run on processors. Raises UnknownProfileError.
    """
    asked = replicas_of(name)
    if unknown := asked.keys() - {role.name for role in profile}:
        raise UnknownProfileError(
            f"profile {name}: replicas of no role: {', '.join(sorted(unknown))}"
        )
    return {
        role: _of_role(name, role, card, asked.get(role.name, {}), gpu_mb)
        for role, card in profile.items()
    }


def _of_role(
    name: str, role: Role[Any], card: Card, asked: Mapping[str, Any], gpu_mb: int | None
) -> Replicas:
    known = {field.name: field.type for field in fields(Replicas)}
    for key, value in asked.items():
        kinds = {"accelerator": str, "min": int, "max": int}.get(key, (int, float))
        if key not in known or isinstance(value, bool) or not isinstance(value, kinds):
            raise UnknownProfileError(
                f"profile {name}: [replicas.{role}] cannot take {key} = {value!r}"
            )
    try:
        return Replicas(**{"gpus": share_of_gpu(card, gpu_mb), **asked})
    except ValueError as error:
        raise UnknownProfileError(f"profile {name}: [replicas.{role}]: {error}") from error


def share_of_gpu(card: Card, gpu_mb: int | None) -> float:
    """Return the part of a GPU that a card needs by its memory, in twentieths; 0 for what needs none."""
    if gpu_mb is None or not card.torch:
        return 0.0
    return min(1.0, math.ceil(card.memory_mb / gpu_mb * _PARTS) / _PARTS)
