"""The jobs as DBOS stores them: look them up, count them, and remove the finished ones.

DBOS is launched. Each function waits while the database does not answer, for as long as that takes.
"""

from datetime import datetime

from dbos import DBOS

from server.jobs.outcome import IN_PROGRESS, Outcome, failed
from server.jobs.serialization import SerializedJob

EDIT, REQUEST = "edit", "request"
"""Kinds of jobs, by which the database names them: a request has an outcome that callers ask for."""
_FINISHED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_UNFINISHED = ["PENDING", "ENQUEUED"]
_BATCH = 1000
"""Workflows removed by one statement."""


def find_workflow(organisation: str, name: str) -> Outcome | None:
    """Return the outcome of an organisation's request, or IN_PROGRESS; None if it is unknown."""
    found = DBOS.list_workflows(
        workflow_ids=[name], user=organisation, name=REQUEST, load_input=False
    )
    if not found:
        return None
    if found[0].status == "SUCCESS" and found[0].output is not None:
        return dict(found[0].output)
    if found[0].status in _FINISHED:
        return failed(500, "The server failed to do this job; the error is in its log.")
    return IN_PROGRESS


def count_unfinished(organisation: str, most: int) -> int:
    """Return how many jobs of an organisation are not finished; counts up to `most`."""
    found = DBOS.list_workflows(
        user=organisation,
        name=[EDIT, REQUEST],
        status=_UNFINISHED,
        limit=most,
        load_input=False,
        load_output=False,
    )
    return len(found)


def load_workflow(organisation: str, name: str) -> SerializedJob | None:
    """Return an organisation's job in its JSON form; None if there is no such job."""
    found = DBOS.list_workflows(workflow_ids=[name], user=organisation, load_output=False)
    if not found or found[0].input is None:
        return None
    (serialized,) = found[0].input["args"]
    return dict(serialized)


def remove_batch(kind: str, older_than: datetime) -> int:
    """Remove at most a thousand jobs of a kind that finished before a time; return how many."""
    finished = DBOS.list_workflows(
        name=kind,
        status=_FINISHED,
        completed_before=older_than.isoformat(),
        limit=_BATCH,
        load_input=False,
        load_output=False,
    )
    if finished:
        DBOS.delete_workflows([workflow.workflow_id for workflow in finished])
    return len(finished)
