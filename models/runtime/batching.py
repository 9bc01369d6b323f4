"""How several calls of one model are made at once, on whichever engine.

A model that gains by it says so in its card (`max_batch`) and has, beside its role's method,

    batch_key(*args, **kwargs) -> object  calls of equal keys may go together
    predict_batch(calls) -> results       for the (args, kwargs) of each, in order

and gives each call what it would have given it alone, but for rounding.
"""

import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from models.deadline import SharedDeadline, deadline_scope
from models.runtime.engine import Call
from models.runtime.oom_retry import is_out_of_memory

log = logging.getLogger("retouch.engine")


@dataclass(frozen=True)
class Outcome:
    """What became of a call: its result, or the error that it raised."""

    result: Any = None
    error: BaseException | None = None

    def get(self) -> Any:
        """Give the result or raise the error."""
        if self.error is not None:
            raise self.error
        return self.result


def batch_key(model: Any, call: Call) -> Hashable:
    """Tell which calls may go together with this one."""
    key: Hashable = model.batch_key(*call.args, **call.kwargs)
    return key


def perform(model: Any, calls: Sequence[Call]) -> list[Outcome]:
    """Make calls whose keys are equal: at once where there are several, else one by one.

    An error of several at once is nobody's: each is made once more alone, so that what one caller sent
    never fails another's call.
    """
    if len(calls) > 1:
        try:
            with deadline_scope(SharedDeadline([call.deadline for call in calls])):
                results = model.predict_batch([(call.args, call.kwargs) for call in calls])
        except Exception as error:
            level = logging.WARNING if is_out_of_memory(error) else logging.ERROR
            log.log(level, "%d calls at once failed (%s); one by one now", len(calls), error)
        else:
            return [Outcome(result) for result in results]
    return [_alone(model, call) for call in calls]


def _alone(model: Any, call: Call) -> Outcome:
    try:
        with deadline_scope(call.deadline) as deadline:
            deadline.check()
            return Outcome(getattr(model, call.method)(*call.args, **call.kwargs))
    except Exception as error:  # handed to whoever made the call
        return Outcome(error=error)
