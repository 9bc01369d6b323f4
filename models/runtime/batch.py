"""Runs of a network for several calls together: which may share a batch, and how one is made."""

import logging
from collections.abc import Callable
from typing import Any

from models.deadline import SharedDeadline, deadline_scope
from models.log_context import REQUEST_ID
from models.roles import Role
from models.runtime.calls import Call, Inference
from models.runtime.oom_retry import is_out_of_memory
from models.runtime.task import Task

log = logging.getLogger("retouch.scheduler")


def has_key(model: Any, work: Callable[[], Any] | Call, role: Role[Any], key: object) -> bool:
    """Whether `work` is a run of this role's network on an input with this batch key."""
    if not isinstance(work, Inference) or work.role != role:
        return False
    try:
        return bool(model.batch_key(*work.args) == key)
    except Exception as error:
        # The input is wrong. Its own caller gets the error when the network runs on it alone.
        log.info("an input of %s has no batch key: %s", role, error)
        return False


def run_batch(model: Any, tasks: list[Task]) -> bool:
    """Run a network on inputs with equal keys in one batch.

    False if that fails: then it must run on each alone. The error of a batch is not given to any
    call: the input of one caller must not fail another's call.
    """
    calls = [task.work for task in tasks if isinstance(task.work, Inference)]
    try:
        with deadline_scope(SharedDeadline([call.deadline for call in calls])):
            results = model.infer([call.args[0] for call in calls])
        if len(results) != len(calls):
            raise ValueError(f"{len(results)} results for {len(calls)} calls")
    except BaseException as error:
        level = logging.WARNING if is_out_of_memory(error) else logging.ERROR
        log.log(
            level,
            "a batch of %d calls failed (%s): retry one by one",
            len(calls),
            error,
            extra={"request_ids": [task.log_context.get(REQUEST_ID) for task in tasks]},
        )
        return False
    for task, result in zip(tasks, results, strict=True):
        task.future.set_result(result)
    return True
