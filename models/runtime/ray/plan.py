"""The resources that a profile needs on a cluster: for each role the number of replicas, CPUs and GPUs.

A profile file may set them for each role. The defaults come from the card:

    [replicas.matting]
    min = 1            # least number of replicas
    max = 8            # largest number of replicas, under load
    cpus = 1           # CPUs of one replica
    gpus = 0.25        # GPUs of one replica; a fraction shares a GPU with other replicas
    accelerator = "L4" # the type of GPU, by Ray's name
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
"""A GPU is divided into twentieths."""


@dataclass(frozen=True)
class Replicas:
    """The replicas of one role. min, max: their number, 1 to 1000. cpus, gpus: of each replica.

    accelerator: the type of GPU, by Ray's name; empty for any. Raises ValueError for values out of
    range.
    """

    min: int = 1
    max: int = 4
    cpus: float = 1.0
    gpus: float = 0.0
    accelerator: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.max <= 1000:
            raise ValueError("min and max must be 1 to 1000, and min at most max")
        if not (0 <= self.cpus <= 1024 and 0 <= self.gpus <= 64):
            raise ValueError("cpus must be 0 to 1024, gpus 0 to 64")
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError("gpus above 1 must be a whole number")


def plan(name: str, profile: Profile, gpu_mb: int | None) -> Mapping[Role[Any], Replicas]:
    """Return the replicas of each role of a profile.

    name: the profile's name, or the path of its file. gpu_mb: memory of one GPU of the cluster in
    MiB; None if the cluster has no GPUs, so that torch models run on CPUs. Raises
    UnknownProfileError.
    """
    tables = replicas_of(name)
    if unknown := tables.keys() - {role.name for role in profile}:
        raise UnknownProfileError(
            f"profile {name}: replicas of an unknown role: {', '.join(sorted(unknown))}"
        )
    return {
        role: _replicas(name, role, card, tables.get(role.name, {}), gpu_mb)
        for role, card in profile.items()
    }


def _replicas(
    name: str, role: Role[Any], card: Card, table: Mapping[str, Any], gpu_mb: int | None
) -> Replicas:
    known = {field.name: field.type for field in fields(Replicas)}
    for key, value in table.items():
        kinds = {"accelerator": str, "min": int, "max": int}.get(key, (int, float))
        if key not in known or isinstance(value, bool) or not isinstance(value, kinds):
            raise UnknownProfileError(
                f"profile {name}: [replicas.{role}] cannot take {key} = {value!r}"
            )
    try:
        return Replicas(**{"gpus": share_of_gpu(card, gpu_mb), **table})
    except ValueError as error:
        raise UnknownProfileError(f"profile {name}: [replicas.{role}]: {error}") from error


def share_of_gpu(card: Card, gpu_mb: int | None) -> float:
    """Return the share of a GPU that a card needs for its memory, 0..1 in steps of 1/20; 0 if it needs none."""
    if gpu_mb is None or not card.torch:
        return 0.0
    return min(1.0, math.ceil(card.memory_mb / gpu_mb * _PARTS) / _PARTS)
