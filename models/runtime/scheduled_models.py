"""The models of a scheduler, which run on its workers only."""

from contextlib import AbstractContextManager
from typing import Any

from models.roles import Models, P, Role
from models.runtime.scheduler import Scheduler
from models.runtime.task import NeedsWorkerError


class ScheduledModels:
    """Implements `models.roles.Models`: models run on a scheduler's workers, never on its check threads.

    So at most as many models run as there are workers, and a check that waits for a model does not
    block other checks.
    """

    def __init__(self, models: Models, scheduler: Scheduler) -> None:
        self._models = models
        self._scheduler = scheduler

    def offers(self, role: Role[Any]) -> bool:
        """Whether there is a model for a role."""
        return self._models.offers(role)

    def use(self, role: Role[P]) -> AbstractContextManager[P]:
        """Return the context of a role's model; raises NeedsWorkerError on a check thread."""
        if self._scheduler.is_check_thread():
            raise NeedsWorkerError
        return self._models.use(role)
