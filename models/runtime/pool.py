"""Loads each role's model once, keeps it warm and lends it, counted, to whoever needs it."""

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from models.catalog.card import Card, Profile, check_pin
from models.catalog.profile import load_profile
from models.device import DeviceConfig
from models.errors import (
    ModelOutOfMemoryError,
    ModelUnavailableError,
    UnpinnedCodeError,
    WeightsUnavailableError,
)
from models.roles import ROLES, P, Role
from models.runtime.device_policy import DevicePolicy
from models.runtime.oom_retry import RetryOnOutOfMemory, is_out_of_memory
from models.weights import download
from models.weights.cache import WeightsCache

log = logging.getLogger("retouch.models")


@dataclass(frozen=True)
class RoleStats:
    """What the pool holds for a role: its card's name, whether loaded, and to how many lent."""

    model: str
    loaded: bool
    lent: int


@dataclass
class _Slot:
    """One role's place; guarded by the pool's lock."""

    card: Card
    model: Any = None
    lent: int = 0
    loading: bool = False
    used: int = 0
    """When it was last lent, counted in lendings."""


class Pool:
    """The models of one profile; fulfils models.roles.Models and is safe to share by threads.

    Weights are looked for when a role is first lent, never fetched then: serving needs no network.
    Under a budget the models lent longest ago are dropped before another is loaded, never one that
    is lent: where those alone take more than the budget, the pool goes beyond it until one comes
    back, as waiting for it could wait for ever.
    """

    def __init__(
        self,
        profile: Profile,
        cache: WeightsCache | Path,
        threads: int = 1,
        policy: DevicePolicy | None = None,
    ) -> None:
        """Make a pool; nothing is loaded yet. policy: where models run, the processor by default."""
        self._cache = cache if isinstance(cache, WeightsCache) else WeightsCache(cache)
        self._policy = policy or DevicePolicy(threads=threads)
        self._slots: dict[Role[Any], _Slot] = {role: _Slot(card) for role, card in profile.items()}
        self._changed = threading.Condition()
        self._lendings = 0
        self._unfetched: dict[str, str] = {}

    @classmethod
    def for_profile(
        cls,
        name: str,
        weights_dir: Path,
        threads: int = 1,
        *,
        models_dir: Path | None = None,
        device: str = "auto",
        dtype: str = "auto",
        offload: bool = False,
        memory_mb: int | None = None,
        preload: bool = True,
        roles: Collection[Role[Any]] = ROLES,
    ) -> "Pool":
        """Make the pool of a profile, its missing weights fetched into `weights_dir`.

        name: of a profile, or the path of one. threads: processor threads that one call of a model
        may use. models_dir: local copies of weights, which go first. roles: those of the profile that
        are wanted. The others as in `models.runtime.device_policy.DevicePolicy`. Where the profile has torch
        models, a card whose weights are unavailable leaves the others working. Raises UnknownProfileError,
        WeightsUnavailableError and UnknownDeviceError. Nothing is loaded yet.
        """
        profile = {role: card for role, card in load_profile(name).items() if role in roles}
        cache = WeightsCache(weights_dir, models_dir)
        torch = any(card.torch for card in profile.values())
        policy = DevicePolicy.choose(torch, threads, device, dtype, offload, memory_mb, preload)
        failures = download.fetch_profile(profile, cache)
        if failures and (not torch or len(failures) == len(profile)):
            raise WeightsUnavailableError("\n".join(failures.values()))
        pool = cls(profile, cache, policy=policy)
        pool._unfetched = failures
        for card, text in failures.items():
            log.error("%s: %s", card, text)
        return pool

    @property
    def profile(self) -> Profile:
        """The card of each role."""
        return {role: slot.card for role, slot in self._slots.items()}

    def device(self, role: Role[Any]) -> str:
        """Return the device that a role's model runs on, as torch names it."""
        return self._device_config(self._slots[role].card).device

    def retry(self, role: Role[Any]) -> RetryOnOutOfMemory | None:
        """Return how a role's calls are made once more when memory runs out; None where they are not."""
        card = self._slots[role].card
        if not card.torch or role.retry is None:
            return None
        return RetryOnOutOfMemory(role, card.name, self._make_room)

    def offers(self, role: Role[Any]) -> bool:
        """Whether the profile has a model for a role."""
        return role in self._slots

    def warm_up(
        self, run: Callable[[Role[Any], Callable[[], None]], None] = lambda role, work: work()
    ) -> None:
        """Load the profile's models and run each once on a tiny picture, unless `preload` is off.

        run: where the work for a role is done, on this thread by default. Under a budget only as many models
        as fit. One failure leaves the others loaded; raises ModelUnavailableError with all of them in the
        end.
        """
        if not self._policy.preload:
            return
        failures: list[Exception] = []
        for role, slot in self._slots.items():
            if not self._fits(slot):
                log.info("%s is loaded when it is needed: the memory budget is full", role)
                continue
            try:
                run(role, partial(self._warm_up, role))
            except Exception as error:
                error.add_note(f"while warming up {role}")
                failures.append(error)
        if failures:
            text = "; ".join(str(error) or type(error).__name__ for error in failures)
            raise ModelUnavailableError(text) from ExceptionGroup("warm-up", failures)

    def _warm_up(self, role: Role[Any]) -> None:
        with self.use(role) as model:
            if role.warm_up is not None:
                role.warm_up(model)

    def stats(self) -> dict[Role[Any], RoleStats]:
        """Tell what is loaded and lent, by role."""
        return {
            role: RoleStats(slot.card.name, slot.model is not None, slot.lent)
            for role, slot in self._slots.items()
        }

    @property
    def held_mb(self) -> int:
        """What the loaded models hold by their cards, in MiB; what several share counts once."""
        with self._changed:
            return self._held_mb()

    @contextmanager
    def use(self, role: Role[P]) -> Iterator[P]:
        """Lend the model of a role; raises ModelUnavailableError."""
        slot = self._slots.get(role)
        if slot is None:
            raise ModelUnavailableError(f"this profile has no model for {role}")
        model = self._borrow(slot)
        try:
            yield model
        finally:
            # Not held beyond the lending: this frame lives as long as the caller's `with` is kept.
            del model
            self._give_back(slot)

    def _borrow(self, slot: _Slot) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: not slot.loading)
            if slot.model is not None:
                return self._counted(slot)
            slot.loading = True
            dropped = self._drop_idle(self._policy.memory_mb)
        try:
            if dropped:
                self._policy.release()
            model = self._load(slot.card)
        except BaseException:
            with self._changed:
                slot.loading = False
                self._changed.notify_all()
            raise
        with self._changed:
            slot.model, slot.loading = model, False
            self._changed.notify_all()
            return self._counted(slot)

    def _counted(self, slot: _Slot) -> Any:
        self._lendings += 1
        slot.used = self._lendings
        slot.lent += 1
        return slot.model

    def _give_back(self, slot: _Slot) -> None:
        with self._changed:
            slot.lent -= 1
            dropped = self._drop_idle(self._policy.memory_mb)
        if dropped:
            self._policy.release()

    def _fits(self, slot: _Slot) -> bool:
        """Whether a model can be held beside those that are."""
        with self._changed:
            budget = self._policy.memory_mb
            return budget is None or self._held_mb(also=slot) <= budget

    def _held_mb(self, also: _Slot | None = None) -> int:
        total, shared = 0, set()
        for slot in self._slots.values():
            if slot.model is None and not slot.loading and slot is not also:
                continue
            total += slot.card.memory_mb
            if slot.card.shared_mb:
                core = self._cache.path(slot.card.parts[0])
                total -= slot.card.shared_mb if core in shared else 0
                shared.add(core)
        return total

    def _drop_idle(self, budget: int | None) -> bool:
        """Drop unlent models, the one lent longest ago first, until the rest fits a budget in MiB."""
        if budget is None:
            return False
        idle = [slot for slot in self._slots.values() if slot.model is not None and not slot.lent]
        idle.sort(key=lambda slot: slot.used)
        dropped = False
        while idle and self._held_mb() > budget:
            slot = idle.pop(0)
            log.info("%s is dropped to make room", slot.card.name)
            slot.model, dropped = None, True
        return dropped

    def _make_room(self) -> None:
        """Drop every model that is not lent, and give back what was cached."""
        with self._changed:
            self._drop_idle(0)
        self._policy.release()

    def _load(self, card: Card) -> Any:
        name = f"{card.role} ({card.name})"
        if text := self._unfetched.get(card.name):
            raise ModelUnavailableError(f"{name}: {text}")
        try:
            check_pin(card)
        except UnpinnedCodeError as error:
            raise ModelUnavailableError(str(error)) from error
        for part in card.parts:
            if wrong := self._cache.problem(part):
                raise ModelUnavailableError(f"{name}: {self._cache.path(part)}: {wrong}")
        try:
            return self._build(card)
        except MemoryError:
            raise
        except Exception as error:
            # Backends fail in ways of their own; each is the same to whoever asked for the role.
            where = ", ".join(map(str, self._cache.paths(card))) or "no files"
            raise ModelUnavailableError(f"{name} from {where}: {error}") from error

    def _device_config(self, card: Card) -> DeviceConfig:
        return self._policy.device_config(card.torch, card.dtype)

    def _build(self, card: Card) -> Any:
        """Build a card's model; when memory runs out, once more with every idle model dropped."""
        paths, device_config = self._cache.paths(card), self._device_config(card)
        try:
            return card.load(paths, device_config)
        except Exception as error:
            if not card.torch or not is_out_of_memory(error):
                raise
        # Outside the handler: the error's traceback would keep the first try's tensors alive.
        self._make_room()
        try:
            return card.load(paths, device_config)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        raise ModelOutOfMemoryError(
            f"{card.name} does not fit into the memory of {device_config.device}"
        )
