"""Jobs as they are kept: a form that is all JSON, and beside it, in the store, the pictures that it names."""

import logging
from collections.abc import Mapping
from typing import Any

from imaging.files.header import EXTENSIONS, probe
from server.http.uploads import Encoded
from server.jobs.executor import Job
from server.operation import Operation
from storage.errors import ObjectMissingError
from storage.object_store import ObjectStore, content_type_of

log = logging.getLogger("retouch")

VERSION = "1"
"""Of the form below. Processes take up jobs of their own version only: raise it with the form."""

SerializedJob = Mapping[str, Any]


class JobSerializer:
    """Turns jobs into forms and back; safe to share by threads.

    operations: by path. sources: where the pictures lie until the job is done.
    """

    def __init__(self, operations: Mapping[str, Operation[Any]], sources: ObjectStore) -> None:
        self._operations = operations
        self._sources = sources

    def dump(self, name: str, job: Job) -> SerializedJob:
        """Store a job's pictures and give its form; an OSError leaves nothing behind."""
        sources: dict[str, dict[str, Any]] = {}
        try:
            for picture, encoded in job.pictures.items():
                key = f"{name}/{picture}.{EXTENSIONS[encoded.probe.format]}"
                sources[picture] = {"key": key, "is_mask": encoded.is_mask}
                self._sources.put(key, encoded.data, content_type_of(key))
        except BaseException:
            self.forget({"sources": sources})
            raise
        return {
            "operation": job.operation.path,
            "organisation": job.organisation,
            "body": job.body.model_dump(mode="json"),
            "sources": sources,
            "keys": list(job.keys),
            "visual_id": job.visual_id,
            "sid": job.sid,
            "changed": list(job.changed),
        }

    def load(self, serialized: SerializedJob, *, pictures: bool = True) -> Job:
        """Return the job of a form; without its pictures where they are not asked for."""
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
        )

    def _pictures(self, serialized: SerializedJob) -> dict[str, Encoded]:
        pictures = {}
        for picture, source in serialized["sources"].items():
            data = self._sources.get(source["key"])
            pictures[picture] = Encoded(data, probe(data), source["is_mask"])
        return pictures

    def forget(self, serialized: SerializedJob) -> None:
        """Remove a job's pictures; what a store that is away keeps, the sweep removes."""
        self._remove([source["key"] for source in serialized["sources"].values()])

    def crash_count(self, name: str) -> int:
        """Tell how many processes have ended while they worked on a job."""
        try:
            return int(self._sources.get(_note(name)))
        except ObjectMissingError:
            return 0

    def write_crash_count(self, name: str, count: int) -> None:
        """Write down how many processes will have ended on a job, should this one end now."""
        self._sources.put(_note(name), b"%d" % count, "application/json")

    def forget_crash_count(self, name: str) -> None:
        """Remove the count; what a store that is away keeps, the sweep removes."""
        self._remove([_note(name)])

    def _remove(self, keys: list[str]) -> None:
        for key in keys:
            try:
                self._sources.delete(key)
            except OSError as error:
                log.warning("%s stays until the sweep: %s", key, error)


def _note(name: str) -> str:
    return f"{name}/deaths.json"
