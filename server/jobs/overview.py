"""What operators see of the jobs: the unfinished ones, and the last ones that failed with their errors.

The operation of a job and the error of one that failed are attributes of its workflow, so that nobody has to read
the fields that callers sent.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from dbos import DBOS, WorkflowStatus
from sqlalchemy.exc import SQLAlchemyError

from server.error_texts import for_operators
from server.jobs.outcome import Outcome
from server.jobs.stored_workflows import EDIT, REQUEST

log = logging.getLogger("retouch")

StateOfJob = Literal["running", "waiting", "elsewhere", "queued"]
MOST_UNFINISHED = 1000
"""Unfinished jobs that are read; there may be more."""
_MOST_FAILED = 25
_LOOKED_AT = 500
"""Jobs in a file that are looked at for failed ones."""
FAILED_WITHIN = timedelta(days=1)
"""Failed jobs are read if they were accepted within this time."""
_FAILED = ["ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
"""States of workflows that ended without an outcome."""
_NO_OUTCOME = "The server failed to do this job; the error is in its log."


@dataclass(frozen=True)
class UnfinishedJob:
    """A job that is not finished.

    operation: its key; None for one that an earlier version of Retouch accepted. server: which has it; None if it
    waits for any.
    """

    request_id: str
    organisation: str
    operation: str | None
    server: str | None
    accepted: datetime


@dataclass(frozen=True)
class FailedJob:
    """A job that failed. code, error: what its caller is told, without texts that a caller may have sent."""

    request_id: str
    organisation: str
    operation: str | None
    accepted: datetime
    ended: datetime | None
    code: int
    error: str


@dataclass(frozen=True)
class JobsOverview:
    """The jobs of all servers.

    unfinished: the oldest first, `MOST_UNFINISHED` at most. failed: the newest first.
    """

    unfinished: Sequence[UnfinishedJob] = ()
    failed: Sequence[FailedJob] = ()


def attributes_of(serialized: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes with which the workflow of a job is stored."""
    return {"operation": serialized["operation"]}


def note_failure(name: str, outcome: Outcome) -> None:
    """Note at a job's workflow that it failed, and why; nothing for one that did not.

    The note is for operators alone: a job whose failure cannot be noted ends like any other.
    """
    if outcome["status"] != "ERROR":
        return
    error = outcome["error"]
    noted = {"failed": True, "code": error["code"], "error": for_operators(error["message"])}
    try:
        DBOS.update_workflow_attributes(name, noted, merge=True)
    except (OSError, SQLAlchemyError) as reason:
        log.warning("the failure of a job is not in the list of /admin: %s", reason)


def read_overview(is_file: bool) -> JobsOverview:
    """Return the jobs of the database; DBOS is launched. It waits while the database does not answer.

    is_file: whether it is SQLite, where DBOS cannot search for attributes.
    """
    unfinished = DBOS.list_workflows(
        name=[EDIT, REQUEST],
        status=["PENDING", "ENQUEUED"],
        limit=MOST_UNFINISHED,
        load_input=False,
        load_output=False,
    )
    if is_file:
        last = _list_recent(_LOOKED_AT)
        failed = [one for one in last if (one.attributes or {}).get("failed")]
    else:
        failed = _list_recent(_MOST_FAILED, attributes={"failed": True})
    failed += _list_recent(_MOST_FAILED, status=_FAILED)
    failed.sort(key=lambda one: one.created_at or 0, reverse=True)
    return JobsOverview(
        [_unfinished(one) for one in unfinished],
        [_failed(one) for one in failed[:_MOST_FAILED]],
    )


def _list_recent(most: int, **condition: Any) -> list[WorkflowStatus]:
    """Return the jobs that were accepted last, the newest first."""
    return DBOS.list_workflows(
        name=[EDIT, REQUEST],
        start_time=(datetime.now(UTC) - FAILED_WITHIN).isoformat(),
        sort_desc=True,
        limit=most,
        load_input=False,
        load_output=False,
        **condition,
    )


def _unfinished(workflow: WorkflowStatus) -> UnfinishedJob:
    return UnfinishedJob(
        workflow.workflow_id,
        workflow.authenticated_user or "",
        (workflow.attributes or {}).get("operation"),
        workflow.executor_id if workflow.status == "PENDING" else None,
        _time(workflow.created_at or 0),
    )


def _failed(workflow: WorkflowStatus) -> FailedJob:
    attributes = workflow.attributes or {}
    return FailedJob(
        workflow.workflow_id,
        workflow.authenticated_user or "",
        attributes.get("operation"),
        _time(workflow.created_at or 0),
        _time(workflow.completed_at) if workflow.completed_at else None,
        attributes.get("code", 500),
        attributes.get("error", _NO_OUTCOME),
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
