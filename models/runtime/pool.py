"""The pool: it loads each role's model once, counts its users, and evicts unused models to bound memory."""

import logging
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from models.catalog.card import Card, Profile
from models.catalog.profile import load_profile
from models.deadline import Deadline, checkpoint, current, deadline_scope
from models.device import DeviceConfig
from models.errors import (
    ModelUnavailableError,
    RoleNotInProfileError,
    WeightsUnavailableError,
    WorkCancelledError,
)
from models.roles import ROLES, P, Role
from models.runtime.device_policy import DevicePolicy
from models.runtime.first_calls import make_first_calls
from models.runtime.model_loading import load_model
from models.runtime.oom_retry import RetryOnOutOfMemory
from models.runtime.residency import Residency
from models.runtime.running_requests import RunningRequests
from models.runtime.slots import Place, Slot
from models.start_progress import StartProgress
from models.weights.at_start import fetch_for_start
from models.weights.cache import WeightsCache

log = logging.getLogger("retouch.models")


@dataclass(frozen=True)
class RoleStats:
    """The state of a role's model.

    model: its card's name. loaded: whether it is ready to be called. in_use: number of its current users.
    evicted: whether its weights wait in main memory.
    """

    model: str
    loaded: bool
    in_use: int
    evicted: bool = False


class Pool:
    """The models of one profile. Implements `models.roles.Models`. Threads may share it.

    A role's model is loaded at its first use, from weights on disk. Serving downloads nothing. With
    a memory budget, models are evicted before another is loaded, but never a model in use
    (`models.runtime.residency`). If the models in use alone exceed the budget, the pool exceeds it until
    one is released: to wait for that could be a deadlock.
    """

    def __init__(
        self,
        profile: Profile,
        cache: WeightsCache | Path,
        threads: int = 1,
        policy: DevicePolicy | None = None,
    ) -> None:
        """Make a pool without loading anything. policy: where models run; by default on the CPU."""
        self._cache = cache if isinstance(cache, WeightsCache) else WeightsCache(cache)
        self._policy = policy or DevicePolicy(threads=threads)
        self._slots: dict[Role[Any], Slot] = {role: Slot(card) for role, card in profile.items()}
        self.requests = RunningRequests()
        """The requests that run, which say what they need."""
        self._residency = Residency(
            self._slots, self._policy, self._base, self._load, self.requests.need
        )
        self._download_failures: dict[str, str] = {}
        self._progress = StartProgress()

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
        main_memory_mb: int | None = None,
        cuda_graphs: bool = False,
        preload: bool = True,
        roles: Collection[Role[Any]] = ROLES,
        progress: StartProgress | None = None,
    ) -> "Pool":
        """Return the pool of a profile. Download its missing weights into `weights_dir`; load nothing yet.

        name: a profile's name, or the path of its file. threads: CPU threads for one call of a model.
        models_dir: local copies of weights, used before all others. roles: the roles of the profile that are
        needed. progress: is told what is fetched and loaded. The other arguments are those of
        `models.runtime.device_policy.DevicePolicy`. If the profile has torch models, one card without weights
        does not stop the others. A model of the user's own (`Card.own`) is loaded and run once. Raises
        UnknownProfileError, WeightsUnavailableError and UnknownDeviceError.
        """
        profile = {role: card for role, card in load_profile(name).items() if role in roles}
        cache = WeightsCache(weights_dir, models_dir)
        torch = any(card.torch for card in profile.values())
        policy = DevicePolicy.choose(
            torch,
            threads,
            device,
            dtype,
            offload,
            memory_mb,
            preload,
            needs_gpu=any(card.needs_gpu for card in profile.values()),
            main_memory_mb=main_memory_mb,
            graphs=cuda_graphs,
        )
        progress = progress or StartProgress()
        failures = fetch_for_start(name, profile, cache, progress)
        pool = cls(profile, cache, policy=policy)
        if torch:
            pool._log_devices()
        pool._download_failures = failures
        pool._progress = progress
        for card, text in failures.items():
            log.error("%s: %s", card, text)
        pool._check_own_models()
        return pool

    def _log_devices(self) -> None:
        """Log the device, the budget, and each card with its device, dtype and memory."""
        log.info("device: %s", self._policy.description)
        if self.idle_gpus:
            log.warning(
                "%d more GPUs are idle: with RETOUCH_ENGINE=ray a server uses all of its machine",
                self.idle_gpus,
            )
        log.info("models may hold %s MiB together", self._policy.memory_mb)
        if self._policy.graphs:
            log.info("networks that are small for the GPU run as CUDA graphs")
        if self._policy.main_memory_mb:
            log.info("evicted ones may hold %s MiB of main memory", self._policy.main_memory_mb)
        for role, slot in self._slots.items():
            config = self._device_config(slot.card)
            log.info(
                "%s: %s on %s in %s, %d MiB",
                role,
                slot.card.name,
                config.device,
                config.dtype,
                slot.card.memory_mb,
            )

    @property
    def profile(self) -> Profile:
        """The card of each role."""
        return {role: slot.card for role, slot in self._slots.items()}

    def device_config(self, role: Role[Any]) -> DeviceConfig:
        """Return where a role's model runs, and in which dtype."""
        return self._device_config(self._slots[role].card)

    @property
    def device_description(self) -> str | None:
        """What torch models run on, for people; None if the profile has none."""
        return self._policy.description if self._policy.torch else None

    @property
    def idle_gpus(self) -> int:
        """Number of further GPUs that this process sees, and does not use."""
        return self._policy.idle_gpus

    def retry(self, role: Role[Any]) -> RetryOnOutOfMemory | None:
        """Return the retry for a role's calls that run out of memory; None if they are not retried."""
        card = self._slots[role].card
        if not card.torch or role.retry is None:
            return None
        return RetryOnOutOfMemory(role, card.name, self._residency.make_room)

    def processing(self, role: Role[Any]) -> Callable[..., Any] | None:
        """Return the part of a role's calls that needs no device (`models.processing`).

        None if the model has no such part, and until it is loaded for the first time.
        """
        return self._slots[role].processing

    def offers(self, role: Role[Any]) -> bool:
        """Whether the profile has a model for a role."""
        return role in self._slots

    def warm_up(
        self, run: Callable[[Role[Any], Callable[[], None]], None] = lambda role, work: work()
    ) -> None:
        """Load the profile's models and make their first calls, unless `preload` is off.

        The calls are those of `models.runtime.first_calls`. run: runs the work for a role, by default on this
        thread. With a memory budget, only as many models as fit are loaded; those that fit main memory beside
        it are evicted there. A failure does not stop the others: ModelUnavailableError with all failures is
        raised at the end. Raises WorkCancelledError if the deadline of the context is cancelled.
        """
        if not self._policy.preload:
            return
        failures: list[Exception] = []
        for number, (role, slot) in enumerate(self._slots.items()):
            checkpoint()
            self._progress.load(slot.card.name, number, len(self._slots))
            if not self._residency.has_room(slot):
                log.info("%s is loaded at its first use: the memory budget is full", role)
                continue
            try:
                run(role, partial(self._warm_up, role, current()))
            except WorkCancelledError:
                raise
            except Exception as error:
                error.add_note(f"while warming up {role}")
                failures.append(error)
        if failures:
            text = "; ".join(str(error) or type(error).__name__ for error in failures)
            raise ModelUnavailableError(text) from ExceptionGroup("warm-up", failures)

    def _check_own_models(self) -> None:
        """Load and run each model that the user's profile describes; raises WeightsUnavailableError.

        Nobody has run these files here before: a mistake in the profile should stop the start, not
        the first request.
        """
        for role, slot in self._slots.items():
            if not slot.card.own:
                continue
            try:
                self._warm_up(role, current())
            except ModelUnavailableError as error:
                raise WeightsUnavailableError(str(error)) from error
            except Exception as error:
                # A network that fails on a picture raises the errors of its runtime.
                raise WeightsUnavailableError(f"{role} ({slot.card.name}): {error}") from error

    def _warm_up(self, role: Role[Any], deadline: Deadline) -> None:
        card = self._slots[role].card
        with deadline_scope(deadline), self.use(role) as model:
            make_first_calls(role, model, card.name, self._device_config(card))
            del model

    def stats(self) -> dict[Role[Any], RoleStats]:
        """Return which models are loaded and in use, by role."""
        return {
            role: RoleStats(
                self._slots[role].card.name,
                place is Place.DEVICE,
                in_use,
                evicted=place is Place.MAIN_MEMORY,
            )
            for role, (place, in_use) in self._residency.states().items()
        }

    @property
    def held_mb(self) -> int:
        """Memory of the loaded models in MiB, from their cards; see `models.runtime.held_memory`."""
        return self._residency.held_mb()

    @property
    def budget_mb(self) -> int | None:
        """Memory that loaded models may take together, in MiB; None without a limit."""
        return self._policy.memory_mb

    @property
    def evicted_mb(self) -> int:
        """Main memory of the models that were evicted from the device, in MiB, from their cards."""
        return self._residency.evicted_mb()

    @property
    def evicted_budget_mb(self) -> int:
        """Main memory that evicted models may take together, in MiB; 0: they are dropped."""
        return self._policy.main_memory_mb

    @contextmanager
    def use(self, role: Role[P]) -> Iterator[P]:
        """Yield the model of a role, and keep it loaded until the end.

        Raises ModelUnavailableError; RoleNotInProfileError if the profile has none.
        """
        slot = self._slots.get(role)
        if slot is None:
            raise RoleNotInProfileError(role.name)
        model = self._residency.acquire(slot)
        try:
            yield model
        finally:
            # This frame lives as long as the caller's context manager. Without `del` it would hold
            # the model.
            del model
            self._residency.release(slot)

    def _base(self, card: Card) -> Hashable:
        # Cards with other options, such as a fused LoRA, have the same files but not the same weights in memory.
        return self._cache.path(card.base), card.options

    def _device_config(self, card: Card) -> DeviceConfig:
        return self._policy.device_config(card.torch, card.dtype)

    def _load(self, card: Card) -> Any:
        if text := self._download_failures.get(card.name):
            raise ModelUnavailableError(f"{card.role} ({card.name}): {text}")
        config = self._device_config(card)
        return load_model(card, self._cache, config, self._residency.make_room)
