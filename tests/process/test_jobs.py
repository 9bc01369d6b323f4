"""Durable jobs: they are removed with their results, and a job that crashes processes fails."""

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from imaging.files.header import probe
from models.roles import Role
from models.runtime.scheduler import Scheduler
from server.durations import Durations
from server.http.results import Delivery
from server.http.uploads import Encoded
from server.jobs.durable import DurableJobs
from server.jobs.executor import JobExecutor
from server.jobs.job import Job
from server.jobs.queue import JobQueue
from server.jobs.runner import JobRunner
from server.jobs.serialization import JobSerializer
from server.operation import EditBody
from server.v1 import OPERATIONS
from server.v1.background_remove import OPERATION
from server.visuals import Visuals
from server.webhooks.body import read_body
from server.webhooks.delivery import WebhookDelivery
from server.webhooks.sender import WebhookSender
from storage.database import database_url
from storage.errors import DatabaseUnavailableError
from storage.filesystem import LocalObjects
from storage.links import LinkSigner
from storage.records import Records
from tests.helpers.fake_models import FakeModels
from tests.helpers.server_process import sample
from tests.helpers.storage_limits import unlimited

Wait = Callable[[Callable[[], bool]], None]
KEY = "a/result.png"


class JobSetup:
    """The parts that durable jobs need, in one folder, with the models of a test."""

    def __init__(self, folder: Path, models: FakeModels) -> None:
        self.folder = folder
        self.sources = LocalObjects(folder / "sources")
        self.results = LocalObjects(folder / "results")
        self.records = Records(database_url(f"sqlite:///{folder}/records.db"))
        limits = unlimited(self.records.engine)
        visuals = Visuals(self.records, LocalObjects(folder / "visuals"), self.results, limits)
        self.scheduler = Scheduler("test", 1)
        serializer = JobSerializer(
            {operation.path: operation for operation in OPERATIONS}, self.sources, limits
        )
        executor = JobExecutor(models, self.results, visuals, 0.8, "lite", Durations(), {}, limits)
        delivery = Delivery(self.results, LinkSigner(bytes(32)), "http://retouch.example", 3600)
        runner = JobRunner(serializer, self.results, executor, self.scheduler, delivery, 60, limits)
        queue = JobQueue(folder / "jobs.db")
        webhooks = WebhookDelivery(WebhookSender(), read_body(queue.find))
        self.jobs = DurableJobs(queue, serializer, runner, webhooks, limit=300)
        self.jobs.start()

    def submit(self, key: str = KEY) -> None:
        """Submit a job that removes a background."""
        data = sample()
        pictures = {"image": Encoded(data, probe(data))}
        body, name = EditBody(sync=False), uuid.uuid4().hex
        self.jobs.submit(Job(OPERATION, "a", body, pictures, [key], request_id=name))

    def close(self) -> None:
        """Finish the running jobs and close the queue."""
        self.jobs.stop(20)
        self.scheduler.stop_accepting()
        self.records.close()

    def job_count(self) -> int:
        """Return the number of jobs in the database."""
        engine = create_engine(f"sqlite:///{self.folder}/jobs.db")
        with engine.connect() as connection:
            count = connection.execute(text("select count(*) from workflow_status")).scalar_one()
        engine.dispose()
        return int(count)


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[JobSetup]:
    """A setup with fake models."""
    setup = JobSetup(tmp_path, FakeModels())
    yield setup
    setup.close()


def test_a_job_is_deleted_when_its_result_expires(setup: JobSetup, wait_until: Wait) -> None:
    setup.submit()
    wait_until(lambda: setup.results.exists(KEY))
    wait_until(lambda: not list(setup.sources.path("x").parent.rglob("*.jpeg")))
    earlier = datetime.now(UTC) - timedelta(hours=1)
    setup.jobs.sweep(earlier, earlier)
    assert setup.job_count() == 1

    def gone() -> bool:
        later = datetime.now(UTC) + timedelta(hours=1)
        setup.jobs.sweep(later, later)
        return setup.job_count() == 0

    wait_until(gone)


def test_a_job_is_stored_while_the_database_is_read(setup: JobSetup, wait_until: Wait) -> None:
    setup.submit("a/first.png")
    wait_until(lambda: setup.results.exists("a/first.png"))
    engine = create_engine(f"sqlite:///{setup.folder}/jobs.db")
    with engine.connect() as reader:
        reader.exec_driver_sql("BEGIN")
        assert reader.execute(text("select count(*) from workflow_status")).scalar_one() == 1
        setup.submit()
        wait_until(lambda: setup.results.exists(KEY))
    engine.dispose()


class CountingModels(FakeModels):
    """Models that count their uses, and wait until the test lets them run."""

    def __init__(self) -> None:
        super().__init__()
        self.use_count = 0
        self.unblocked = threading.Event()

    def before(self, role: Role[Any]) -> None:
        """Count the use, and wait until the test lets it run."""
        self.use_count += 1
        assert self.unblocked.wait(10)


@pytest.mark.parametrize(("deaths", "is_done"), [(4, True), (5, False)])
def test_a_job_that_crashed_many_processes_is_given_up(
    tmp_path: Path, wait_until: Wait, deaths: int, is_done: bool
) -> None:
    models = CountingModels()
    first = JobSetup(tmp_path, models)
    first.submit("a/other.png")
    first.submit()
    wait_until(
        lambda: models.use_count == 1
    )  # the only thread runs the other job, so this one waits
    started = {note.parent for note in (tmp_path / "sources").rglob("deaths.json")}
    (ours,) = set((tmp_path / "sources").iterdir()) - started
    threading.Timer(0.2, models.unblocked.set).start()
    first.close()
    assert not first.results.exists(KEY)
    (ours / "deaths.json").write_bytes(b"%d" % deaths)
    second = JobSetup(tmp_path, FakeModels())
    wait_until(lambda: second.results.is_settled(KEY))
    second.close()
    assert second.results.exists(KEY) is is_done
    if not is_done:
        refusal = second.results.refusal(KEY)
        assert refusal is not None
        assert "each time" in refusal.text
    assert not [file for file in (tmp_path / "sources").rglob("*") if file.is_file()]


def test_a_job_that_cannot_be_recorded_leaves_no_files_and_the_next_is_done(
    setup: JobSetup, wait_until: Wait
) -> None:
    in_the_way = setup.folder / "jobs.db"
    in_the_way.mkdir()
    with pytest.raises(DatabaseUnavailableError, match="unable to open database file"):
        setup.submit()
    assert not [file for file in (setup.folder / "sources").rglob("*") if file.is_file()]
    in_the_way.rmdir()
    setup.submit()
    wait_until(lambda: setup.results.exists(KEY))
