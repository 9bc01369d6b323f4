"""A full disk: 503 with one line in the log, and nothing left behind, wherever something is written."""

import contextlib
import errno
import logging
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from storage import filesystem
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import b64, photo

Wait = Callable[[Callable[[], bool]], None]
WRITES = ("INSERT", "UPDATE", "CREATE", "DELETE")


class Disk:
    """A disk that can be full for files, for databases or for temporary files."""

    def __init__(self) -> None:
        self.full_for: set[str] = set()

    def check(self, kind: str) -> None:
        """Raise the system's error if the disk is full."""
        if kind in self.full_for:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """The disk of the server."""
    disk = Disk()
    fsync = os.fsync

    def write(descriptor: int) -> None:
        disk.check("files")
        fsync(descriptor)

    def execute(cursor: Any, statement: str, *_: Any) -> None:
        if "databases" in disk.full_for and statement.lstrip().upper().startswith(WRITES):
            raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("storage.filesystem.os.fsync", write)
    event.listen(Engine, "do_execute", execute)
    yield disk
    event.remove(Engine, "do_execute", execute)


class Collector(logging.Handler):
    """Collects log records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """Everything that is logged, also by DBOS, whose logger does not propagate."""
    collector = Collector()
    loggers = [logging.getLogger(name) for name in ("", "dbos")]
    for logger in loggers:
        logger.addHandler(collector)
    yield collector.records
    for logger in loggers:
        logger.removeHandler(collector)


def stored(folder: Path) -> set[str]:
    """Return the names of the files that requests have left."""
    kinds = ("results", "sources", "visuals")
    files = (file for kind in kinds for file in (folder / kind).rglob("*"))
    return {str(file) for file in files if file.is_file()}


def unfinished_jobs(database: Path) -> int:
    """Return how many jobs of a database have not ended."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        query = "select count(*) from workflow_status where status <> 'SUCCESS'"
        return int(connection.execute(query).fetchone()[0])


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("route", "sync", "full_for"),
    [
        ("background/remove", True, "files"),
        ("background/remove", False, "files"),
        ("background/remove", False, "databases"),
        ("register", True, "files"),
        ("register", True, "databases"),
        ("objects/mask_generator", True, "files"),
        ("objects/mask_generator", False, "databases"),
    ],
)
def test_a_full_disk_is_503_with_one_line_and_leaves_nothing(
    client: TestClient,
    settings: Settings,
    disk: Disk,
    records: list[logging.LogRecord],
    wait_until: Wait,
    route: str,
    sync: bool,
    full_for: str,
    first: bool,
) -> None:
    if not first:  # the database of the jobs exists already
        done = client.post("/v1/crop", json={"file": b64(photo(64, 64)), "sync": False})
        link = local(done.json()["result_url"])
        wait_until(lambda: client.get(link).status_code == 200)
        wait_until(lambda: not any("sources" in name for name in stored(settings.data_dir)))
        # DBOS writes the job's end after its work: a full disk would be an error of this job.
        wait_until(lambda: unfinished_jobs(settings.data_dir / "jobs.db") == 0)
    before = stored(settings.data_dir)
    records.clear()
    disk.full_for.add(full_for)
    answer = client.post(f"/v1/{route}", json={"file": b64(photo()), "sync": sync})
    refused(answer, 503)
    assert answer.headers["retry-after"]
    # The sweep at the start may meet the full disk too, and so may what DBOS does every second.
    loud = [
        record
        for record in records
        if record.levelno >= logging.WARNING
        and not any(word in record.getMessage() for word in ("sweep", "background job"))
    ]
    assert len(loud) == 1, [record.getMessage() for record in loud]
    assert "full" in loud[0].getMessage() or "No space left" in loud[0].getMessage()
    assert not any(record.exc_info for record in records)
    assert stored(settings.data_dir) == before
    disk.full_for.clear()
    assert client.post(f"/v1/{route}", json={"file": b64(photo())}).status_code == 200


def test_a_job_whose_result_finds_no_space_waits_for_it(
    client: TestClient, disk: Disk, records: list[logging.LogRecord], wait_until: Wait
) -> None:
    put = filesystem.LocalObjects.put

    def fill_after(self: filesystem.LocalObjects, key: str, *rest: Any) -> None:
        if key.endswith(".png") and key.startswith("a/"):  # the result, not the job's picture
            disk.full_for.add("files")
        put(self, key, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filesystem.LocalObjects, "put", fill_after)
        answer = client.post("/v1/background/remove", json={"file": b64(photo()), "sync": False})
        link = local(answer.json()["result_url"])
        wait_until(lambda: any("retried" in record.getMessage() for record in records))
        assert client.get(link).status_code == 404
    disk.full_for.clear()
    wait_until(lambda: client.get(link).status_code == 200)
    assert not any(record.exc_info for record in records)


def test_a_sweep_without_space_logs_one_line(
    settings: Settings, disk: Disk, records: list[logging.LogRecord], wait_until: Wait
) -> None:
    app = create_app(settings.model_copy(update={"sweep_interval_s": 0.05}), FakeModels())
    disk.full_for.add("databases")
    with TestClient(app):
        wait_until(lambda: any("sweep" in record.getMessage() for record in records))
    assert not any(record.exc_info for record in records)


def test_the_parts_of_a_body_are_never_on_the_disk(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rollover(_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rollover)
    files = {"file": ("x.png", photo(900, 900))}  # 2.4 MB
    assert client.post("/v1/background/remove", files=files).status_code == 200
