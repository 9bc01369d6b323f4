"""The models of a scheduler, which run on its workers only."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

from models.roles import Models, P, Role
from models.runtime.calls import ObservedModel
from models.runtime.running_requests import needing
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

    def needing(self, roles: Iterable[Role[Any]]) -> AbstractContextManager[None]:
        """Return a context in which a request that needs some roles runs on this thread."""
        return needing(self._models, roles)

    def use(self, role: Role[P]) -> AbstractContextManager[P]:
        """Return the context of a role's model; raises NeedsWorkerError on a check thread.

        Each call of the model is a stage (`models.stages`).
        """
        if self._scheduler.is_check_thread():
            raise NeedsWorkerError
        return _observed(self._models.use(role), role)


@contextmanager
def _observed(context: AbstractContextManager[P], role: Role[P]) -> Iterator[P]:
    """Yield the model of a context, each call of which is a stage."""
    with context as model:
        yield cast(P, ObservedModel(model, role))
        del model  # the pool may evict it after its use
