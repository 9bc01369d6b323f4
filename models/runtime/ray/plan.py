"""The resources that a profile needs on Ray: for each role the number of replicas, CPUs and GPUs.

Roles whose cards share weights are one group: each of its replicas has all of them, and the weights once. A
profile file may set the resources for each role; of a group the largest numbers count. The defaults come from the
cards:

    [replicas.matting]
    min = 1            # least number of replicas
    max = 8            # largest number of replicas, under load
    cpus = 1           # CPUs of one replica
    gpus = 0.25        # GPUs of one replica; a fraction shares a GPU with other replicas
    accelerator = "L4" # the type of GPU, by Ray's name
"""

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import Any

from models.catalog.card import Card, Profile
from models.catalog.profile import replicas_of
from models.errors import UnknownProfileError
from models.roles import Role
from models.runtime.held_memory import held_mb

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


def groups(profile: Profile) -> list[tuple[Role[Any], ...]]:
    """Return the roles of a profile, those together whose cards share weights."""
    found: dict[Hashable, list[Role[Any]]] = {}
    for role, card in profile.items():
        key: Hashable = (card.base, card.options) if card.shared_mb else role
        found.setdefault(key, []).append(role)
    return [tuple(roles) for roles in found.values()]


def group_name(roles: Iterable[Role[Any]]) -> str:
    """Return the name of the deployment of a group; that of a single role is the role's."""
    return "-".join(role.name for role in roles)


def calls_at_once(cards: Iterable[Card]) -> int:
    """Return how many calls a replica of a group gets at once.

    One batch runs and the next one waits on the replica, so that the replica never waits for the network.
    """
    return 2 * max(card.max_batch for card in cards)


def plan(name: str, profile: Profile, gpu_mb: int | None) -> Mapping[Role[Any], Replicas]:
    """Return the replicas of each role of a profile; roles of one group have the same ones.

    name: the profile's name, or the path of its file. gpu_mb: memory of one GPU of the cluster in
    MiB; None if the cluster has no GPUs, so that torch models run on CPUs. Raises
    UnknownProfileError.
    """
    tables = replicas_of(name)
    if unknown := tables.keys() - {role.name for role in profile}:
        raise UnknownProfileError(
            f"profile {name}: replicas of an unknown role: {', '.join(sorted(unknown))}"
        )
    planned = {}
    for roles in groups(profile):
        rows = [_checked(name, role, tables.get(role.name, {})) for role in roles]
        accelerators = {row["accelerator"] for row in rows if "accelerator" in row}
        if len(accelerators) > 1:
            raise UnknownProfileError(
                f"profile {name}: {group_name(roles)} share weights, and cannot have different"
                f" accelerators: {', '.join(sorted(accelerators))}"
            )
        table = {
            key: max(row[key] for row in rows if key in row) for key in dict.fromkeys(chain(*rows))
        }
        share = share_of_gpu([profile[role] for role in roles], gpu_mb)
        try:
            replicas = Replicas(**{"gpus": share, **table})
        except ValueError as error:
            raise UnknownProfileError(
                f"profile {name}: [replicas.{group_name(roles)}]: {error}"
            ) from error
        planned.update(dict.fromkeys(roles, replicas))
    return planned


Layout = Mapping[tuple[Role[Any], ...], Replicas]
"""The groups of a profile's roles, each of which is a deployment, with their replicas."""


def on_cluster(name: str, profile: Profile, gpu_mb: int | None) -> Layout:
    """Return the groups of a profile on a cluster. Arguments and errors are those of `plan`."""
    planned = plan(name, profile, gpu_mb)
    return {roles: planned[roles[0]] for roles in groups(profile)}


def on_machine(name: str, profile: Profile, gpus: int) -> Layout:
    """Return the groups of a profile on one machine, whose number of GPUs is `gpus`.

    All roles that need a GPU are one group, with a replica for each GPU: so each GPU has one process, whose
    models share its memory as those of a server without Ray do. Without GPUs no role waits for one. Raises
    UnknownProfileError.
    """
    # With 1 MiB, a role needs all of a GPU or none.
    planned = plan(name, profile, 1 if gpus else None)
    shared = tuple(role for role in profile if gpus and planned[role].gpus)
    layout = {
        roles: replace(planned[roles[0]], gpus=0.0, accelerator="")
        for roles in groups(profile)
        if roles[0] not in shared
    }
    if shared:
        # They share no processors with one another: a number of them could leave a GPU without a replica.
        layout[shared] = Replicas(gpus, gpus, 0.0, 1.0)
    return layout


def _checked(name: str, role: Role[Any], table: Mapping[str, Any]) -> Mapping[str, Any]:
    known = {field.name: field.type for field in fields(Replicas)}
    for key, value in table.items():
        kinds = {"accelerator": str, "min": int, "max": int}.get(key, (int, float))
        if key not in known or isinstance(value, bool) or not isinstance(value, kinds):
            raise UnknownProfileError(
                f"profile {name}: [replicas.{role}] cannot take {key} = {value!r}"
            )
    return table


def share_of_gpu(cards: Iterable[Card], gpu_mb: int | None) -> float:
    """Return the share of a GPU that the cards of one group need for their memory together.

    It is 0..1 in steps of 1/20, and 0 if they need none.
    """
    on_gpu = [card for card in cards if card.torch]
    if gpu_mb is None or not on_gpu:
        return 0.0
    needed = held_mb(on_gpu, lambda card: (card.base, card.options))
    return min(1.0, math.ceil(needed / gpu_mb * _PARTS) / _PARTS)
