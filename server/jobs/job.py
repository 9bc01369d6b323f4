"""A job, its outcome, and the keys of its results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.cost import Cost
from server.http.uploads import Encoded
from server.operation import Operation, RequestBody
from server.webhooks.webhook import Webhook

_UNKNOWN_COST = Cost(0.0, 0)


@dataclass(frozen=True)
class Job:
    """The work of one accepted request: validated fields, encoded pictures, and the keys of the results.

    keys: one for each result in the store; the extension is the format. visual_id: of a job on a
    visual. sid: the session id with which the result can be edited further. changed: ids of the people
    that earlier edits changed. request_id: of the request, 32 hexadecimal digits; also the job's name
    in the queue. correlation_id: by which its caller knows it (`server.http.request_id`). base_url: the
    start of its results' links. links: those that the caller has already.
    cost: that is expected of it. file_extension: of the file that the waiting caller gets instead of JSON; None
    for JSON.
    """

    operation: Operation[Any]
    organisation: str
    body: RequestBody
    pictures: Mapping[str, Encoded]
    keys: Sequence[str]
    visual_id: str = ""
    sid: str = ""
    changed: tuple[str, ...] = ()
    request_id: str = ""
    correlation_id: str = ""
    base_url: str = ""
    links: tuple[str, ...] = ()
    webhook: Webhook | None = None
    cost: Cost = _UNKNOWN_COST
    file_extension: str | None = None


@dataclass(frozen=True)
class JobOutcome:
    """The outcome of a job.

    body: with the missing values filled in. blocked: which results moderation blocked. unsafe: which
    results are unsafe; False for those that were not scored. keys: of the results in the store.
    details: as in `Results`.
    """

    body: RequestBody
    blocked: Sequence[bool]
    unsafe: Sequence[bool]
    keys: Sequence[str]
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FinishedWork:
    """The work of a job whose results are not stored yet.

    job: with the missing values filled in, and the keys of all results. files: the results, in the order
    of the keys; empty where moderation blocked one. outcome: what the job has become once they are stored.
    """

    job: Job
    files: Sequence[bytes]
    outcome: JobOutcome


def result_keys(job: Job, count: int) -> Sequence[str]:
    """Return the key of each result. Where only the work shows how many there are, they lie in a folder."""
    if not job.operation.is_many:
        return job.keys
    folder, _, extension = job.keys[0].rpartition(".")
    return [f"{folder}/{number}.{extension}" for number in range(1, count + 1)]
