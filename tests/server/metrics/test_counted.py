"""What happens far from a scrape is counted: outages, failed calls, batches, tries of webhooks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import OperationalError
from starlette.types import Scope

from models.roles import MATTING
from models.runtime.scheduler import Scheduler
from models.stages import observing
from server.http.audit import note_malformed
from server.metrics.requests import CountRequests, RequestMetrics
from server.metrics.stages import StageMetrics
from server.metrics.storage import services
from storage.breaker import Availability, Breaker
from storage.counts import SERVICE_ERRORS, Counts
from storage.database import wrap_database_errors
from storage.errors import (
    DatabaseUnavailableError,
    DiskFullError,
    StoreSilentError,
    StoreUnavailableError,
)
from storage.filesystem import LocalObjects
from storage.guarded_store import GuardedObjects
from tests.helpers.fake_models import FakeModels
from tests.helpers.metrics_page import values

Wait = Callable[[Callable[[], bool]], None]


def test_counts_begin_at_nothing() -> None:
    counts = Counts()
    assert counts.all() == {}
    for name in ("a", "b", "a"):
        counts.add(name)
    assert counts.all() == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (StoreSilentError("away"), 1),
        (StoreUnavailableError("denied"), 1),
        (DiskFullError("full"), 0),
    ],
)
def test_failed_calls_of_the_store_are_counted_but_not_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, counted: int
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(LocalObjects, "exists", fail)
    store = GuardedObjects(LocalObjects(tmp_path), Breaker("store", lambda: None, StoreSilentError))
    before = SERVICE_ERRORS.all().get("store", 0)
    with pytest.raises(type(error)):
        store.exists("a/b.png")
    assert SERVICE_ERRORS.all().get("store", 0) == before + counted


def test_failed_calls_of_the_database_are_counted() -> None:
    before = SERVICE_ERRORS.all().get("database", 0)
    with pytest.raises(DatabaseUnavailableError), wrap_database_errors():
        raise OperationalError("SELECT 1", {}, Exception("away"))
    assert SERVICE_ERRORS.all()["database"] == before + 1


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Breaker]:
    """The breaker of a database that does not answer."""

    def fail() -> None:
        raise OSError("away")

    breaker = Breaker("database", fail, DatabaseUnavailableError)
    breaker.start()
    yield breaker
    breaker.close()


def test_an_outage_is_counted_once_and_told(failing: Breaker, wait_until: Wait) -> None:
    wait_until(lambda: failing.reason is not None)
    failing.trip("again")
    found = {family.name: family for family in services(Availability([failing]))}
    assert values(found["retouch_service_up"]) == {("database",): 0}
    assert values(found["retouch_service_outages"]) == {("database",): 1}


def test_calls_that_are_made_together_are_one_batch() -> None:
    registry = CollectorRegistry()
    device = Scheduler("device", 1, FakeModels().use)
    with observing(StageMetrics(registry)):
        device.call(MATTING, np.zeros((4, 4, 3), np.uint8))
        assert device.close(10)
    sample = registry.get_sample_value
    assert sample("retouch_batch_size_count", {"role": "matting"}) == 1
    assert sample("retouch_batch_size_sum", {"role": "matting"}) == 1
    assert sample("retouch_stage_seconds_count", {"stage": "queue", "role": "matting"}) == 1


async def test_a_malformed_body_is_counted_with_the_code_that_its_connection_answers() -> None:
    async def app(scope: Scope, *_: object) -> None:
        scope["state"]["operation"] = "POST /v1/crop"
        note_malformed(
            scope, 400
        )  # as the connection does, which hides the answer from the application

    metrics = RequestMetrics()
    scope = {"type": "http", "method": "POST", "path": "/v1/crop", "headers": []}
    await CountRequests(app, metrics)(scope, None, None)
    families = {one.name: one for one in metrics.collect()}
    counted = values(families["retouch_requests"])
    assert counted == {("400", "POST /v1/crop"): 1}
