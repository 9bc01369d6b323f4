"""One replica of one role: a model in a process of its own, without any engine's imports."""

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.deadline import Deadline
from models.roles import Role, SizeRule
from models.runtime.batching import Outcome, batch_key, perform
from models.runtime.engine import Call
from models.runtime.pool import Pool


@dataclass(frozen=True)
class ModelSource:
    """Where a replica's model comes from, and how it runs: as in Pool.for_profile."""

    profile: str
    weights_dir: str
    models_dir: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    offload: bool = False


class RoleModel:
    """Loads the model of one role and makes its calls, one batch after the other.

    threads: of the processor, for one call.
    """

    def __init__(self, source: ModelSource, role: Role[Any], threads: int) -> None:
        """Load the model and run it once; raises ModelUnavailableError."""
        logging.basicConfig(level=logging.INFO)
        self._pool = Pool.for_profile(
            source.profile,
            Path(source.weights_dir),
            threads,
            models_dir=Path(source.models_dir) if source.models_dir else None,
            device=source.device,
            dtype=source.dtype,
            offload=source.offload,
            roles=(role,),
        )
        self._role = role
        self._pool.warm_up()
        self._thread = ThreadPoolExecutor(1, role.name)

    def sizes(self) -> SizeRule | None:
        """Give the sizes that the model works at; None where it works at any."""
        with self._pool.use(self._role) as model:
            sizes: SizeRule | None = getattr(model, "sizes", None)
            return sizes

    async def make(self, calls: Sequence[Call]) -> list[Outcome]:
        """Make calls that came together; those that are not alike one after the other."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._make, calls)

    def _make(self, calls: Sequence[Call]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        with self._pool.use(self._role) as model:
            alike: dict[Any, list[int]] = {}
            for at, call in enumerate(calls):
                key = batch_key(model, call) if len(calls) > 1 else None
                alike.setdefault(key, []).append(at)
            for places in alike.values():
                made = perform(model, [calls[at] for at in places])
                outcomes.update(zip(places, made, strict=True))
        return [outcomes[at] for at in range(len(calls))]


def deadline_of(seconds: float | None, sent: float) -> Deadline:
    """Give the deadline of a call that had `seconds` left when it was sent, at `sent` seconds since 1970.

    Clocks of two machines differ: a call never gets more time than it had, nor loses all of it at once.
    """
    if seconds is None:
        return Deadline()
    under_way = min(max(0.0, time.time() - sent), 1.0)
    return Deadline(max(0.0, seconds - under_way))
