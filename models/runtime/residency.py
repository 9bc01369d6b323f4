"""Brings models to their device when they are used, and evicts others to main memory or to disk."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from models.catalog.card import Card
from models.processing import HasProcessing
from models.roles import Role
from models.runtime.device_policy import DevicePolicy
from models.runtime.held_memory import Base
from models.runtime.running_requests import Need
from models.runtime.slots import Place, Slot, Slots

log = logging.getLogger("retouch.models")


class Residency:
    """Where each model of a pool is, and what moves when (decision 31). Threads may share it.

    base: as in `models.runtime.held_memory`. load: loads the model of a card. need: returns how soon the
    running requests need a role.

    Two locks: `_changed` guards the slots and is held for moments; `_moves` lets one thread at a time choose
    and move, so that weights which several models share do not move to and fro. A model moves only
    while nothing uses it. Loading from disk holds neither lock.
    """

    def __init__(
        self,
        slots: Mapping[Role[Any], Slot],
        policy: DevicePolicy,
        base: Base,
        load: Callable[[Card], Any],
        need: Callable[[Role[Any]], Need],
    ) -> None:
        self._slots = Slots(slots, policy, base, need)
        self._policy = policy
        self._load = load
        self._changed = threading.Condition()
        self._moves = threading.Lock()
        self._uses = 0

    def acquire(self, slot: Slot) -> Any:
        """Return the model of a slot, on its device, and count a use of it; raises what loading raises."""
        with self._changed:
            self._changed.wait_for(lambda: not slot.is_moving)
            if slot.place is Place.DEVICE:
                return self._count_use(slot)
            slot.is_moving = slot.is_arriving = True
        try:
            self._bring(slot)
        except BaseException:
            with self._changed:
                slot.drop()
                self._settle(slot)
            raise
        with self._changed:
            self._settle(slot)
            return self._count_use(slot)

    def release(self, slot: Slot) -> None:
        """Count the end of a use, and evict what is above the budget."""
        budget = self._policy.memory_mb
        with self._changed:
            slot.in_use -= 1
            fits = budget is None or self._slots.held_mb() <= budget
        if not fits:
            with self._moves:
                self._evict(budget)

    def make_room(self, of_device: bool = True) -> None:
        """Evict every model that is not in use, drop all CUDA graphs, and release cached memory.

        of_device: whether the device needs the room; else evicted models leave main memory too.
        """
        with self._moves:
            self._evict(0)
            if not of_device:
                with self._changed:
                    for slot in self._slots.by_role.values():
                        if slot.is_idle(Place.MAIN_MEMORY):
                            slot.drop()
        self._policy.drop_graphs()
        self._policy.release(pinned=not of_device)

    def has_room(self, slot: Slot) -> bool:
        """Whether a model can be loaded while no other one has to be dropped from memory."""
        with self._changed:
            return self._slots.has_room(slot)

    def held_mb(self) -> int:
        """Return what models take of the memory that is limited, in MiB, by their cards."""
        with self._changed:
            return self._slots.held_mb()

    def evicted_mb(self) -> int:
        """Return what evicted models take of main memory, in MiB, by their cards."""
        with self._changed:
            return self._slots.evicted_mb()

    def states(self) -> dict[Role[Any], tuple[Place, int]]:
        """Return the place of each role's model and the number of its users."""
        with self._changed:
            return {role: (one.place, one.in_use) for role, one in self._slots.by_role.items()}

    def _count_use(self, slot: Slot) -> Any:
        self._uses += 1
        slot.last_use = self._uses
        slot.in_use += 1
        return slot.model

    def _settle(self, slot: Slot) -> None:
        """End a move: whoever waits for the model goes on."""
        slot.is_moving = slot.is_arriving = False
        self._changed.notify_all()

    def _bring(self, slot: Slot) -> None:
        """Load a model, or move it back to its device, after room was made for it."""
        with self._moves:
            self._evict(self._policy.memory_mb)
            if slot.model is not None and self._came_back(slot):
                return
        model = self._load(slot.card)
        with self._moves:
            with self._changed:
                slot.model = model
                slot.processing = model.processing if isinstance(model, HasProcessing) else None
            # It may share weights with a model that was evicted; those are in main memory.
            self._move_in(slot)

    def _came_back(self, slot: Slot) -> bool:
        """Move an evicted model to its device. False if that fails: then it must be loaded from disk."""
        try:
            self._move_in(slot)
        except RuntimeError as error:
            log.warning("%s did not come back from main memory: %s", slot.card.name, error)
            with self._changed:
                slot.drop()
        return slot.model is not None

    def _move_in(self, slot: Slot) -> None:
        networks = slot.networks()
        if networks and self._policy.main_memory_mb:
            self._policy.to_device(networks, self._networks_besides(slot))
        with self._changed:
            slot.place = Place.DEVICE

    def _evict(self, budget: int | None) -> None:
        """Evict idle models until the rest fits `budget` MiB, what arrives included. `_moves` is held."""
        with self._changed:
            moving, dropped = self._slots.to_evict(budget)
            for slot in moving:
                slot.place, slot.is_moving = Place.MAIN_MEMORY, True
            for slot in dropped:
                log.info("%s is dropped to free memory", slot.card.name)
                slot.drop()
        for slot in moving:
            self._move_out(slot)
        if any(slot.place is Place.DISK for slot in (*moving, *dropped)):
            self._policy.release()
        elif moving:
            self._policy.release_cached()

    def _move_out(self, slot: Slot) -> None:
        """Move a chosen model to main memory; drop it if that fails."""
        log.info("%s is evicted to main memory", slot.card.name)
        moved = False
        try:
            self._policy.to_main_memory(slot.networks(), self._networks_besides(slot))
            moved = True
        except RuntimeError as error:
            log.warning("%s could not be moved to main memory: %s", slot.card.name, error)
        finally:
            with self._changed:
                if not moved:
                    slot.drop()
                self._settle(slot)

    def _networks_besides(self, slot: Slot) -> list[Any]:
        """Return the torch modules of all other models that are on the device or come there."""
        with self._changed:
            return [net for one in self._slots.on_device(slot) for net in one.networks()]
