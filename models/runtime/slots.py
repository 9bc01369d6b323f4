"""The roles of a pool with their models: where each is, what they take together, and which would be evicted."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, runtime_checkable

from models.catalog.card import Card
from models.roles import Role
from models.runtime.device_policy import DevicePolicy
from models.runtime.eviction import choose, order
from models.runtime.held_memory import Base, evicted_mb, held_mb
from models.runtime.running_requests import Need


@runtime_checkable
class HasNetworks(Protocol):
    """A model whose weights may move between its device and main memory while no call runs."""

    def networks(self) -> Iterable[Any]:
        """Return the torch modules that hold its weights, also those that it shares with other models.

        After a move their tensors are the same objects at other addresses. A model that remembers
        addresses must return none: it is loaded from disk again instead. Those that
        `models.backends.torch.graphs` remembers are forgotten before a move.
        """
        ...


class Place(Enum):
    """Where the weights of a model are."""

    DISK = "disk"
    MAIN_MEMORY = "main memory"
    """Evicted: the weights come back to the device before a call."""
    DEVICE = "device"


@dataclass(eq=False)
class Slot:
    """The entry of one role.

    place: where its model is; while it moves out, where it will be. in_use: number of its current users.
    is_moving: whether a thread loads or moves it, so that others wait. is_arriving: whether it comes to its
    device then. last_use: the number of its last use; all uses of all models are numbered.
    processing: that of its model, once it was loaded (`models.processing`); it stays when the model goes.
    """

    card: Card
    model: Any = None
    place: Place = Place.DISK
    in_use: int = 0
    is_moving: bool = False
    is_arriving: bool = False
    last_use: int = 0
    processing: Callable[..., Any] | None = None

    def is_idle(self, place: Place) -> bool:
        """Whether its model is at a place, and nothing uses or moves it."""
        is_there = self.model is not None and self.place is place
        return is_there and not self.in_use and not self.is_moving

    def networks(self) -> list[Any]:
        """Return the torch modules of its model; none if it cannot move."""
        return list(self.model.networks()) if isinstance(self.model, HasNetworks) else []

    def drop(self) -> None:
        """Let the model go; it is on disk only."""
        self.model, self.place = None, Place.DISK


class Slots:
    """The slots of a pool. The caller holds the lock that guards them.

    need: returns how soon a role is needed. The other arguments are those of `models.runtime.residency`.
    """

    def __init__(
        self,
        by_role: Mapping[Role[Any], Slot],
        policy: DevicePolicy,
        base: Base,
        need: Callable[[Role[Any]], Need],
    ) -> None:
        self.by_role = by_role
        self._policy = policy
        self._base = base
        self._need = need

    def held_mb(self, also: Slot | None = None, without: Collection[Slot] = ()) -> int:
        """Return what models take of the memory that is limited, in MiB: those that are there, or come there."""
        return held_mb((slot.card for slot in self._held(also, without)), self._base)

    def evicted_mb(self) -> int:
        """Return what evicted models take of main memory, in MiB."""
        return self._evicted_mb(self._at(Place.MAIN_MEMORY), self._held())

    def has_room(self, slot: Slot) -> bool:
        """Whether a model can be loaded while no other one has to be dropped from memory."""
        budget, main = self._policy.memory_mb, self._policy.main_memory_mb
        if budget is None or not self._is_counted(slot):
            return True
        if not main:
            return self.held_mb(also=slot) <= budget
        # What does not fit the device goes to main memory, so that all must fit both together.
        cards = [one.card for one in {*self._held(slot), *self._at(Place.MAIN_MEMORY)}]
        alone = held_mb([slot.card], self._base)
        return alone <= budget and held_mb(cards, self._base) <= budget + main

    def on_device(self, besides: Slot) -> list[Slot]:
        """Return the slots whose models are on the device or come there, besides one."""
        return [
            slot
            for slot in self.by_role.values()
            if slot is not besides and (slot.place is Place.DEVICE or slot.is_arriving)
        ]

    def to_evict(self, budget: int | None) -> tuple[list[Slot], list[Slot]]:
        """Return the idle models that must leave so that the rest fits `budget` MiB.

        First those that move to main memory, then those that are dropped, there or on the device.
        """
        idle = [slot for slot in self.by_role.values() if slot.is_idle(Place.DEVICE)]
        out = choose(
            [slot for slot in idle if self._is_counted(slot)],
            self._order,
            lambda gone: budget is None or self.held_mb(without=gone) <= budget,
        )
        moving = [slot for slot in out if self._policy.main_memory_mb and slot.networks()]
        if not moving:
            return [], out
        there = self._at(Place.MAIN_MEMORY)
        staying = [slot for slot in self._held() if slot not in out]
        dropped = choose(
            [*moving, *(slot for slot in there if slot.is_idle(Place.MAIN_MEMORY))],
            self._order,
            lambda gone: (
                self._evicted_mb((one for one in [*moving, *there] if one not in gone), staying)
                <= self._policy.main_memory_mb
            ),
        )
        unmovable = [slot for slot in out if slot not in moving]
        return [slot for slot in moving if slot not in dropped], [*unmovable, *dropped]

    def _order(self, slot: Slot) -> tuple[int, int]:
        return order(self._need(slot.card.role), slot.last_use)

    def _is_counted(self, slot: Slot) -> bool:
        """Whether a model takes of the memory that is limited: a GPU has no part of models without torch."""
        return slot.card.torch or self._policy.is_in_main_memory

    def _at(self, place: Place) -> list[Slot]:
        return [slot for slot in self.by_role.values() if slot.place is place]

    def _held(self, also: Slot | None = None, without: Collection[Slot] = ()) -> list[Slot]:
        return [
            slot
            for slot in self.by_role.values()
            if (slot.place is Place.DEVICE or slot.is_arriving or slot is also)
            and slot not in without
            and self._is_counted(slot)
        ]

    def _evicted_mb(self, evicted: Iterable[Slot], held: Iterable[Slot]) -> int:
        cards = (slot.card for slot in evicted)
        return evicted_mb(cards, (slot.card for slot in held), self._base)
