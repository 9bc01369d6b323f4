"""The local engine: the models of a pool, run in this process."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import wait
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, cast

from imaging.resize import SizeRule
from models.deadline import checkpoint, current
from models.roles import P, Role
from models.runtime.answer_cache import AnswerCache
from models.runtime.calls import ModelProxy
from models.runtime.device_calls import DeviceCalls
from models.runtime.model_states import ModelState, ModelStates
from models.runtime.pool import Pool
from models.runtime.scheduler import Scheduler

_POLL_S = 0.1
"""Seconds between two checks of the deadline while waiting for a model's sizes."""


class LocalEngine:
    """Implements `models.roles.Models` with a pool.

    A model that several threads may call runs on the thread that calls it. A model that takes one
    call at a time, as all models on a GPU do, runs on the one thread of its device's scheduler, at least
    the part of its calls that needs the device (`models.runtime.device_calls`). What waits there runs in
    batches.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._devices: dict[Role[Any], Scheduler] = {}
        self._calls: dict[Role[Any], DeviceCalls] = {}
        self._schedulers: dict[str, Scheduler] = {}
        self._sizes: dict[Role[Any], SizeRule] = {}
        self._answers = AnswerCache()
        batches = {role: card.max_batch for role, card in pool.profile.items()}
        for role, card in pool.profile.items():
            if card.one_call_at_a_time:
                device = pool.device_config(role).device
                if device not in self._schedulers:
                    self._schedulers[device] = Scheduler(device, 1, pool.use, batches, pool.retry)
                self._devices[role] = self._schedulers[device]
                self._calls[role] = DeviceCalls(self._schedulers[device], pool.processing)

    def offers(self, role: Role[Any]) -> bool:
        """Whether the profile has a model for a role."""
        return self._pool.offers(role)

    def needing(self, roles: Iterable[Role[Any]]) -> AbstractContextManager[None]:
        """Return a context in which a request that needs some roles runs on this thread."""
        return self._pool.requests.needing(roles)

    @contextmanager
    def use(self, role: Role[P]) -> Iterator[P]:
        """Yield the model of a role. This or the first call raises ModelUnavailableError."""
        calls = self._calls.get(role)
        with self._pool.requests.using(role):
            if calls is not None:
                call: Callable[..., Any] = calls.call
                if role.keeps_answers:
                    # Before the scheduler and the pool: a known answer waits for no device and loads no model.
                    call = partial(self._answers.call, call, self._pool.profile[role].name)
                yield cast(P, ModelProxy(role, call, self._sizes_of))
                return
            checkpoint()
            with self._pool.use(role) as model:
                yield model
                del model

    def warm_up(self) -> None:
        """Load the models and run each once on its device; raises ModelUnavailableError."""
        self._pool.warm_up(self._run_on_device)

    def close(self, timeout_s: float) -> bool:
        """Accept no more calls, and wait for the running ones.

        False if that takes more than `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        for scheduler in self._schedulers.values():
            scheduler.stop_accepting()
        closed = [
            scheduler.close(max(0.0, deadline - time.monotonic()))
            for scheduler in self._schedulers.values()
        ]
        return all(closed)

    def model_states(self) -> ModelStates:
        """Return which models of the profile are in memory, and what their cards say that they take."""
        stats = self._pool.stats()
        waiting = [scheduler.waiting_by_kind() for scheduler in self._schedulers.values()]
        states = [
            ModelState(
                role.name,
                card.name,
                card.memory_mb,
                self._pool.device_config(role).device,
                self._pool.device_config(role).dtype,
                is_loaded=stats[role].loaded,
                is_evicted=stats[role].evicted,
                users=stats[role].in_use,
                waiting=sum(one[role.name] for one in waiting) if role in self._devices else None,
            )
            for role, card in self._pool.profile.items()
        ]
        return ModelStates(
            states,
            self._pool.held_mb,
            self._pool.budget_mb,
            self._pool.device_description,
            self._pool.evicted_mb,
            self._pool.evicted_budget_mb,
            self._pool.idle_gpus,
        )

    def _run_on_device(self, role: Role[Any], work: Callable[[], None]) -> None:
        scheduler = self._devices.get(role)
        if scheduler is None:
            work()
        else:
            scheduler.submit(work).result()

    def _sizes_of(self, role: Role[Any]) -> SizeRule:
        """Return the sizes that a role's model works at.

        Load the model if they are not known yet.
        """
        if role not in self._sizes:
            deadline = current()
            future = self._devices[role].submit(partial(self._read_sizes, role))
            while not wait([future], _POLL_S).done:
                deadline.check()
            future.result()
        return self._sizes[role]

    def _read_sizes(self, role: Role[Any]) -> None:
        with self._pool.use(role) as model:
            self._sizes[role] = model.sizes
