"""Calls of a device's models: what needs no device runs on the caller's thread, before and after the queue."""

from collections.abc import Callable
from functools import partial
from typing import Any

from models.errors import ModelOutOfMemoryError
from models.roles import Role
from models.runtime.oom_retry import is_out_of_memory
from models.runtime.scheduler import Scheduler

GetProcessing = Callable[[Role[Any]], Callable[..., Any] | None]
"""Returns the processing of a role's model (`models.processing`); None if there is none, or if it is not known
yet, because the model was never loaded."""


class DeviceCalls:
    """Makes calls of models on the scheduler of their device. Threads may share it.

    Of a model that names its processing, only runs of its network wait for the device. All else of the
    call runs on the caller's thread, while the device works for others (decision 38). The first call of a
    model that was not loaded before is made whole, on the device's thread; its result is the same.
    """

    def __init__(self, scheduler: Scheduler, processing: GetProcessing) -> None:
        self._scheduler = scheduler
        self._processing = processing

    def call(self, role: Role[Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a model and wait for its result; raises what `Scheduler.call` raises."""
        processing = self._processing(role)
        if processing is None:
            return self._scheduler.call(role, *args, **kwargs)
        try:
            return processing(partial(self._scheduler.infer, role), *args, **kwargs)
        except Exception as error:
            if not self._is_retried(role, error):
                raise
        # Outside the handler: the error's traceback would keep what the first attempt has made.
        return self._scheduler.call_with_less(role, *args, **kwargs)

    def _is_retried(self, role: Role[Any], error: Exception) -> bool:
        is_last = isinstance(error, ModelOutOfMemoryError)  # the model could not even be loaded
        return is_out_of_memory(error) and not is_last and self._scheduler.retries(role)
