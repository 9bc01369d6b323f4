"""The engine in this process: the pool's models, called on the threads that need them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from models.errors import ModelUnavailableError
from models.roles import Role, SizeRule
from models.runtime.engine import Call, RoleLoad
from models.runtime.lane import BatchQueue
from models.runtime.pool import Pool


class LocalEngine:
    """Fulfils models.runtime.engine.Engine over a pool.

    concurrency: calls, or batches of them, that one role works on at once; a GPU's roles work on one,
    so that what waits meanwhile goes together. queue: calls that may wait for a role.
    """

    def __init__(self, pool: Pool, concurrency: int, queue: int) -> None:
        self._pool = pool
        self._lanes = {
            role: BatchQueue(
                role.name,
                partial(pool.use, role),
                1 if pool.runs_on_gpu(role) else concurrency,
                queue,
                card.max_batch,
            )
            for role, card in pool.profile.items()
        }

    def start(self) -> None:
        """Load the models and run each once; raises ModelUnavailableError."""
        self._pool.warm_up()

    def offers(self, role: Role[Any]) -> bool:
        """Tell whether the profile has a model for a role."""
        return self._pool.offers(role)

    def sizes(self, role: Role[Any]) -> SizeRule:
        """Give the sizes that a role's model works at; raises ModelUnavailableError."""
        with self._pool.use(role) as model:
            sizes: SizeRule = model.sizes
            return sizes

    def run(self, call: Call) -> Any:
        """Make a call on this thread, once there is a place for it."""
        lane = self._lanes.get(call.role)
        if lane is None:
            raise ModelUnavailableError(f"this profile has no model for {call.role}")
        return lane.run(call)

    def load(self) -> Mapping[Role[Any], RoleLoad]:
        """Tell how busy each role is."""
        return {role: lane.load() for role, lane in self._lanes.items()}

    def close(self) -> None:
        """Hold nothing that needs closing."""
