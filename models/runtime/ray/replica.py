"""One replica: the models of a group of roles in their own process. This module does not import Ray."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from imaging.resize import SizeRule
from models.deadline import Deadline, deadline_scope
from models.log_lines import LogFormat, LogLevel
from models.roles import Role
from models.runtime.calls import Call
from models.runtime.device_calls import DeviceCalls
from models.runtime.pool import Pool
from models.runtime.ray.plan import calls_at_once
from models.runtime.scheduler import Scheduler


@dataclass(frozen=True)
class ModelSource:
    """Where a replica's model comes from, how it runs, and how the replica logs.

    The fields are arguments of `Pool.for_profile` and of `models.log_lines.configure_logs`. By default nothing
    is evicted to main memory: other replicas on the machine have models too.
    """

    profile: str
    weights_dir: str
    models_dir: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    offload: bool = False
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"
    memory_mb: int | None = None
    main_memory_mb: int = 0


class GroupModels:
    """The models of some roles, which may share weights, with a scheduler for what needs the device.

    Each call has a thread for its work on the processor (`models.runtime.device_calls`). The constructor
    loads the models and runs each once. threads: CPU threads for one call. Raises ModelUnavailableError.
    """

    def __init__(self, source: ModelSource, roles: Sequence[Role[Any]], threads: int) -> None:
        self._pool = Pool.for_profile(
            source.profile,
            Path(source.weights_dir),
            threads,
            models_dir=Path(source.models_dir) if source.models_dir else None,
            device=source.device,
            dtype=source.dtype,
            offload=source.offload,
            roles=roles,
            memory_mb=source.memory_mb,
            main_memory_mb=source.main_memory_mb,
        )
        batches = {role: card.max_batch for role, card in self._pool.profile.items()}
        self._scheduler = Scheduler(roles[0].name, 1, self._pool.use, batches, self._pool.retry)
        self._calls = DeviceCalls(self._scheduler, self._pool.processing)
        self._callers = ThreadPoolExecutor(calls_at_once(self._pool.profile.values()), "call")
        self._scheduler.submit(self._pool.warm_up).result()
        # Read only once: a server that attaches must not wait for a running call.
        self._sizes = {
            role: self._scheduler.submit(partial(self._read_sizes, role)).result() for role in roles
        }

    def sizes(self, role: Role[Any]) -> SizeRule | None:
        """Return the sizes that a role's model works at, without waiting; None if it works at any size."""
        return self._sizes[role]

    def submit(self, call: Call) -> "Future[Any]":
        """Make a call on a thread of its own, and return its future."""
        return self._callers.submit(copy_context().run, self._make, call)

    def _make(self, call: Call) -> Any:
        with deadline_scope(call.deadline):
            return self._calls.call(call.role, *call.args, **call.kwargs)

    def _read_sizes(self, role: Role[Any]) -> SizeRule | None:
        with self._pool.use(role) as model:
            sizes: SizeRule | None = getattr(model, "sizes", None)
            return sizes


def deadline_of(seconds: float | None, sent: float) -> Deadline:
    """Return the deadline of a call that had `seconds` left when it was sent, at `sent` seconds since 1970.

    The clocks of two machines may differ, so the time in transit counts as 0 to 1 second.
    """
    if seconds is None:
        return Deadline()
    in_transit = min(max(0.0, time.time() - sent), 1.0)
    return Deadline(max(0.0, seconds - in_transit))
