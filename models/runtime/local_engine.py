"""The models of a pool, run in this process."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from imaging.resize import SizeRule
from models.deadline import checkpoint, current
from models.roles import P, Role
from models.runtime.calls import ModelProxy
from models.runtime.pool import Pool
from models.runtime.scheduler import Scheduler

_LOOK_S = 0.1
"""How often whoever waits for a model's sizes looks whether its caller has left."""


class LocalEngine:
    """Fulfils models.roles.Models over a pool.

    A model that is safe to call from several threads runs on the thread that calls it: there is nothing to
    wait for. A model that works on one call at a time, as all on a GPU do, runs on the one thread of its
    device's scheduler, where the calls that wait meanwhile are made together.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._devices: dict[Role[Any], Scheduler] = {}
        self._schedulers: dict[str, Scheduler] = {}
        self._sizes: dict[Role[Any], SizeRule] = {}
        batches = {role: card.max_batch for role, card in pool.profile.items()}
        for role, card in pool.profile.items():
            if card.one_call_at_a_time:
                device = pool.device(role)
                if device not in self._schedulers:
                    self._schedulers[device] = Scheduler(device, 1, pool.use, batches, pool.retry)
                self._devices[role] = self._schedulers[device]

    def offers(self, role: Role[Any]) -> bool:
        """Whether the profile has a model for a role."""
        return self._pool.offers(role)

    @contextmanager
    def use(self, role: Role[P]) -> Iterator[P]:
        """Yield the model of a role; raises ModelUnavailableError, here or from the call."""
        scheduler = self._devices.get(role)
        if scheduler is not None:
            yield cast(P, ModelProxy(role, scheduler.call, self._sizes_of))
            return
        checkpoint()
        with self._pool.use(role) as model:
            yield model
            del model

    def warm_up(self) -> None:
        """Load the models and run each once, on their devices; raises ModelUnavailableError."""
        self._pool.warm_up(self._run_on_device)

    def close(self, timeout_s: float) -> bool:
        """Accept no call any more; False where one is at work for longer than `timeout_s`."""
        until = time.monotonic() + timeout_s
        for scheduler in self._schedulers.values():
            scheduler.stop_accepting()
        ended = [
            scheduler.close(max(0.0, until - time.monotonic()))
            for scheduler in self._schedulers.values()
        ]
        return all(ended)

    def _run_on_device(self, role: Role[Any], work: Callable[[], None]) -> None:
        scheduler = self._devices.get(role)
        if scheduler is None:
            work()
        else:
            scheduler.submit(work).result()

    def _sizes_of(self, role: Role[Any]) -> SizeRule:
        """Return the sizes that a role's model works at; loads it where they are not known yet."""
        if role not in self._sizes:
            deadline = current()
            reading = self._devices[role].submit(partial(self._read_sizes, role))
            while not wait([reading], _LOOK_S).done:
                deadline.check()
            reading.result()
        return self._sizes[role]

    def _read_sizes(self, role: Role[Any]) -> None:
        with self._pool.use(role) as model:
            self._sizes[role] = model.sizes
