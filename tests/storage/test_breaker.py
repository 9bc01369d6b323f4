"""Breakers: they open when a service fails or hangs, and close when it answers again."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.breaker import Availability, Breaker
from storage.errors import DatabaseUnavailableError, StoreSilentError
from storage.filesystem import LocalObjects
from storage.guarded_store import GuardedObjects

Wait = Callable[[Callable[[], bool]], None]


class Service:
    """A service that answers, fails or hangs."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()
        self.probes = 0

    def probe(self) -> None:
        """Answer, raise or wait."""
        self.probes += 1
        self.answers.wait(60)
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def breaker(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Breaker]:
    """The breaker of the service, which is probed quickly."""
    monkeypatch.setattr("storage.breaker._INTERVAL_S", 0.02)
    monkeypatch.setattr("storage.breaker._RETRY_S", 0.02)
    breaker = Breaker("database", service.probe, DatabaseUnavailableError)
    breaker.start()
    yield breaker
    service.answers.set()
    breaker.close()


def test_a_breaker_opens_without_a_call_and_closes_again(
    breaker: Breaker, service: Service, wait_until: Wait
) -> None:
    breaker.check()
    service.fault = OSError("connection refused\nand details")
    wait_until(lambda: breaker.reason is not None)
    assert breaker.reason == "connection refused"
    with pytest.raises(DatabaseUnavailableError, match="connection refused"):
        breaker.check()
    service.fault = None
    wait_until(lambda: breaker.reason is None)
    breaker.check()


def test_a_probe_that_hangs_opens_the_breaker(
    breaker: Breaker, service: Service, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    monkeypatch.setattr("storage.breaker.PROBE_LIMIT_S", 0.05)
    service.answers.clear()
    wait_until(lambda: breaker.reason == "the database does not answer")
    service.answers.set()
    wait_until(lambda: breaker.reason is None)


def test_a_call_without_an_answer_opens_the_breaker_at_once(
    breaker: Breaker, service: Service, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    monkeypatch.setattr("storage.breaker._INTERVAL_S", 600)
    wait_until(lambda: service.probes > 0)
    service.answers.clear()
    breaker.trip("no answer for 15 s")
    assert breaker.reason == "no answer for 15 s"
    service.answers.set()
    wait_until(lambda: breaker.reason is None)  # the probe did not wait for its interval


def test_a_breaker_that_is_not_probed_stays_closed() -> None:
    breaker = Breaker("store", lambda: None, StoreSilentError)
    breaker.trip("nobody would close it again")
    breaker.check()


def test_waiting_ends_when_the_service_answers_or_the_process_does(
    breaker: Breaker, service: Service, wait_until: Wait
) -> None:
    service.fault = OSError("away")
    wait_until(lambda: breaker.reason is not None)
    waited: list[bool] = []
    waiting = threading.Thread(target=lambda: waited.append(breaker.wait()))
    waiting.start()
    service.fault = None
    waiting.join(60)
    assert waited == [True]
    service.fault = OSError("away")
    wait_until(lambda: breaker.reason is not None)
    breaker.close()
    assert not breaker.wait()


def test_the_availability_names_what_does_not_answer(
    breaker: Breaker, service: Service, wait_until: Wait
) -> None:
    availability = Availability([breaker, Breaker("store", lambda: None, StoreSilentError)])
    assert not availability.reasons
    service.fault = OSError("away")
    wait_until(lambda: breaker.reason is not None)
    assert availability.reasons == {"database": "away"}
    availability.check("store")
    with pytest.raises(DatabaseUnavailableError):
        availability.check("database")


class SilentObjects(LocalObjects):
    """A store that answers nothing, and counts the calls that reach it."""

    calls = 0

    def get(self, key: str) -> bytes:
        """Fail as a store does that does not answer."""
        self.calls += 1
        raise StoreSilentError("no answer for 5 s")


def test_after_one_call_without_an_answer_the_store_is_not_asked_again(
    breaker: Breaker,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Wait,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("storage.breaker._INTERVAL_S", 600)
    wait_until(lambda: service.probes > 0)
    service.answers.clear()
    silent = SilentObjects(tmp_path)
    store = GuardedObjects(silent, breaker)
    with pytest.raises(StoreSilentError):
        store.get("a/b.png")
    for _ in range(3):
        with pytest.raises(DatabaseUnavailableError):  # the error of this test's breaker
            store.get("a/b.png")
    assert silent.calls == 1
