"""Serialize jobs: a JSON form for the queue, and their pictures in the store of sources."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from imaging.files.header import EXTENSIONS, probe
from models.log_context import JOB_ID, REQUEST_ID, TRACEPARENT, LogContext, log_context
from server.http.uploads import Encoded
from server.jobs.job import Job
from server.operation import Operation
from server.storage_limits import StorageLimits
from storage.errors import ObjectMissingError
from storage.object_store import ObjectStore, content_type_of

log = logging.getLogger("retouch")

VERSION = "1"
"""Version of the JSON form; a process only runs jobs of its own version. Raise it with each change that
other processes cannot read."""

MAX_JOB_AGE = timedelta(days=7)
"""How long the pictures of an accepted job are kept, even while no server runs."""
SerializedJob = Mapping[str, Any]


def log_context_of(name: str, serialized: SerializedJob) -> LogContext:
    """Return what the lines about a job have: its name, the id by which its caller knows it, and its trace."""
    # Jobs of release 0.2 and earlier have no id but their name.
    fields = {REQUEST_ID: serialized.get("correlation_id") or name, JOB_ID: name}
    traceparent = serialized.get(TRACEPARENT)
    return fields if traceparent is None else {**fields, TRACEPARENT: traceparent}


class JobSerializer:
    """Converts jobs to their JSON form and back. Threads may share it.

    operations: by key. sources: the store of the pictures until the job is finished. limits: counts them.
    """

    def __init__(
        self,
        operations: Mapping[str, Operation[Any]],
        sources: ObjectStore,
        limits: StorageLimits,
    ) -> None:
        self._operations = operations
        self._sources = sources
        self._limits = limits

    def dump(self, name: str, job: Job) -> SerializedJob:
        """Store a job's pictures and return its JSON form.

        Raises OSError if the store is unavailable; then no picture remains.
        """
        sources: dict[str, dict[str, Any]] = {}
        try:
            for number, (picture, encoded) in enumerate(job.pictures.items()):
                # By number: a picture's name, such as "mask 0", need not be valid in a key.
                key = f"{name}/{number}.{EXTENSIONS[encoded.probe.format]}"
                sources[picture] = {
                    "key": key,
                    "is_mask": encoded.is_mask,
                    "sent_as": encoded.sent_as,
                }
                self._sources.put(key, encoded.data, content_type_of(key))
        except BaseException:
            self.delete_pictures({"sources": sources})
            raise
        return {
            "operation": job.operation.key,
            "organisation": job.organisation,
            "body": job.body.model_dump(mode="json"),
            "sources": sources,
            "keys": list(job.keys),
            "visual_id": job.visual_id,
            "sid": job.sid,
            "changed": list(job.changed),
            "correlation_id": job.correlation_id,
            TRACEPARENT: log_context().get(TRACEPARENT),
            "base_url": job.base_url,
            "links": list(job.links),
            "webhook": job.webhook,
            "seconds": job.cost.seconds,
            "memory": job.cost.memory,
            "has_status": job.operation.version == "v2" or job.body.webhook_url is not None,
            "counted": self._count(job),
        }

    def _count(self, job: Job) -> dict[str, Any]:
        """Count a job's pictures as stored; return what `delete_pictures` needs to count them no longer."""
        sizes = [len(encoded.data) for encoded in job.pictures.values()]
        return {
            "sizes": sizes,
            "until": self._limits.count(job.organisation, sizes, MAX_JOB_AGE).isoformat(),
        }

    def load(self, serialized: SerializedJob, *, pictures: bool = True) -> Job:
        """Return the job of a JSON form; with `pictures` False without its pictures.

        Raises ObjectMissingError if a picture is not in the store, OSError if that is unavailable.
        """
        operation = self._operations[serialized["operation"]]
        return Job(
            operation,
            serialized["organisation"],
            operation.body.model_validate(serialized["body"]),
            self._pictures(serialized) if pictures else {},
            serialized["keys"],
            serialized["visual_id"],
            serialized["sid"],
            tuple(serialized["changed"]),
            base_url=serialized.get("base_url", ""),  # jobs of release 0.2 and earlier have none
            links=tuple(serialized.get("links", ())),
        )

    def _pictures(self, serialized: SerializedJob) -> dict[str, Encoded]:
        pictures = {}
        for picture, source in serialized["sources"].items():
            data = self._sources.get(source["key"])
            sent_as = source.get("sent_as", picture)  # jobs of release 0.2 and earlier have none
            pictures[picture] = Encoded(data, probe(data), source["is_mask"], sent_as)
        return pictures

    def delete_pictures(self, serialized: SerializedJob) -> None:
        """Delete a job's pictures; if the store is unavailable, the sweep deletes them later."""
        keys = [source["key"] for source in serialized["sources"].values()]
        counted = serialized.get("counted")  # not in what a failed `dump` removes
        # A job that runs again has removed them before.
        if counted and keys and self._is_there(keys[0]):
            until = datetime.fromisoformat(counted["until"])
            self._limits.uncount(serialized["organisation"], counted["sizes"], until)
        self._remove(keys)

    def _is_there(self, key: str) -> bool:
        try:
            return self._limits.counts and self._sources.exists(key)
        except OSError as error:
            log.warning("%s counts as stored until it expires: %s", key, error)
            return False

    def crash_count(self, name: str) -> int:
        """Return how many processes have crashed while they worked on a job."""
        try:
            return int(self._sources.get(_crash_count_key(name)))
        except ObjectMissingError:
            return 0

    def write_crash_count(self, name: str, count: int) -> None:
        """Store the number of crashes of a job that is correct if this process crashes now."""
        self._sources.put(_crash_count_key(name), b"%d" % count, "application/json")

    def delete_crash_count(self, name: str) -> None:
        """Delete the crash count; if the store is unavailable, the sweep deletes it later."""
        self._remove([_crash_count_key(name)])

    def _remove(self, keys: list[str]) -> None:
        for key in keys:
            try:
                self._sources.delete(key)
            except OSError as error:
                log.warning("%s stays until the sweep: %s", key, error)


def _crash_count_key(name: str) -> str:
    return f"{name}/deaths.json"
