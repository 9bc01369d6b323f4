"""A PostgreSQL that hangs (SIGSTOP): every call ends, later ones are refused, and all go on afterwards."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from storage.breaker import Breaker
from storage.database import (
    database_breaker,
    database_url,
    open_engine,
    open_queue_engine,
    wrap_database_errors,
)
from storage.errors import DatabaseUnavailableError
from storage.idempotency import Claim, IdempotencyKeys, StoredAnswer
from storage.limited_connection import LimitedConnection, patience
from storage.records import EditSession, Records, Visual
from storage.server_lease import ServerLease
from tests.helpers.services import Postgres

Wait = Callable[[Callable[[], bool]], None]
VISUAL = Visual("a", "8487fb411f3c6716", "a/8487fb411f3c6716/source.jpeg", 640, 480)
CLAIM = Claim("a", "key", 32 * "0", "owner")


@pytest.fixture
def url(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> URL:
    """A new database, whose calls have a limit of half a second."""
    monkeypatch.setattr(LimitedConnection, "limit_s", 0.5)
    return database_url(postgres.database())


@pytest.fixture
def breaker(url: URL, monkeypatch: pytest.MonkeyPatch) -> Iterator[Breaker]:
    """The breaker of the database; it is not started."""
    monkeypatch.setattr("storage.breaker._INTERVAL_S", 0.1)
    monkeypatch.setattr("storage.breaker._RETRY_S", 0.1)
    monkeypatch.setattr("storage.database.PROBE_LIMIT_S", 1.0)
    breaker = database_breaker(url)
    yield breaker
    breaker.close()


@contextmanager
def frozen(postgres: Postgres) -> Iterator[None]:
    """Stop the database while the context lasts."""
    postgres.freeze()
    try:
        yield
    finally:
        postgres.thaw()


def every_call(
    records: Records, lease: ServerLease, keys: IdempotencyKeys
) -> dict[str, Callable[[], object]]:
    return {
        "add_visual": lambda: records.add_visual(VISUAL),
        "visual": lambda: records.visual("a", "b"),
        "remove_visual": lambda: records.remove_visual("a", "b"),
        "results": lambda: records.results("a", "b"),
        "add_results": lambda: records.add_results("a", "b", ["k"]),
        "has_result": lambda: records.has_result("a", "k"),
        "remove_results": lambda: records.remove_results("a", ["k"]),
        "add_session": lambda: records.add_session("a", EditSession("s", "b", "k")),
        "remove_session": lambda: records.remove_session("a", "s"),
        "session": lambda: records.session("a", "b", "s"),
        "claim": lambda: keys.claim(CLAIM, "f"),
        "find": lambda: keys.find("a", "key"),
        "take_over": lambda: keys.take_over(CLAIM, "other"),
        "complete": lambda: keys.complete(CLAIM, StoredAnswer(200, b"")),
        "release": lambda: keys.release(CLAIM),
        "sweep": keys.sweep,
        "check": lease.check,
        "others": lease.others,
        "is_alive": lambda: lease.is_alive("other"),
        "remove": lambda: lease.remove("other"),
        "renew": lease.renew,
    }


def answers(call: Callable[[], object]) -> bool:
    """Whether a call of the database succeeds; on a busy machine one may still come too late."""
    try:
        call()
    except DatabaseUnavailableError:
        return False
    return True


def test_every_call_of_a_database_that_hangs_ends(
    url: URL, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    monkeypatch.setattr("storage.database._CONNECT_TIMEOUT_S", 2)
    records, lease = Records(url), ServerLease(url)
    calls = every_call(records, lease, IdempotencyKeys(records.engine, timedelta(1), timedelta(1)))
    ended = dict.fromkeys(calls, "hangs")

    def run(name: str) -> None:
        try:
            calls[name]()
        except DatabaseUnavailableError:
            ended[name] = "unavailable"

    with frozen(postgres):
        threads = [threading.Thread(target=run, args=[name], daemon=True) for name in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert set(ended.values()) == {"unavailable"}, ended
    for call in calls.values():
        wait_until(partial(answers, call))
    records.close()
    lease.close()


def test_a_transaction_that_hangs_is_rolled_back(url: URL, postgres: Postgres) -> None:
    records = Records(url)

    def hang_halfway() -> None:
        with wrap_database_errors(), records.engine.begin() as connection:
            connection.execute(text("CREATE TABLE halfway (id int)"))
            with frozen(postgres):
                connection.execute(text("SELECT 1"))

    with pytest.raises(DatabaseUnavailableError):
        hang_halfway()
    with records.engine.connect() as connection:
        assert connection.scalar(text("SELECT to_regclass('halfway')")) is None
    records.close()


def test_an_open_breaker_refuses_before_anything_is_sent(
    url: URL,
    breaker: Breaker,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Wait,
) -> None:
    records, lease = Records(url, breaker), ServerLease(url, breaker)
    other = ServerLease(url)
    assert lease.renew()
    breaker.start()
    monkeypatch.setattr(LimitedConnection, "limit_s", 600)
    with frozen(postgres):
        wait_until(lambda: breaker.reason is not None)
        renewing = threading.Thread(target=lease.renew, daemon=True)
        renewing.start()
        for call in (lambda: records.visual("a", "b"), lease.check, lease.others):
            with pytest.raises(DatabaseUnavailableError):  # it would wait for ten minutes
                call()
    wait_until(lambda: answers(lambda: records.visual("a", "b")))
    renewing.join(60)
    assert other.is_alive(lease.name)  # its lock was never given up
    records.close()
    lease.close()
    other.close()


@pytest.mark.parametrize("isolation_level", ["AUTOCOMMIT", "READ COMMITTED"])
def test_an_outage_within_a_connection_is_one_of_the_database(
    url: URL, breaker: Breaker, isolation_level: str
) -> None:
    engine = open_engine(url, breaker).execution_options(isolation_level=isolation_level)

    def use_twice() -> None:
        with wrap_database_errors(), engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            breaker._open("no answer")
        with wrap_database_errors(), engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    with pytest.raises(DatabaseUnavailableError):
        use_twice()
    breaker._closed_again()
    with wrap_database_errors(), engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()


def test_the_lock_of_a_server_is_acquired_again_after_an_outage(
    url: URL, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    monkeypatch.setattr("storage.server_lease._GRACE_PERIOD_S", 600)
    Records(url).close()
    here, other = ServerLease(url), ServerLease(url)
    with frozen(postgres), pytest.raises(DatabaseUnavailableError):
        here.renew()
    wait_until(lambda: answers(here.renew))
    assert not here.renew()  # nobody counts as dead for a while
    wait_until(lambda: answers(here.renew) and other.is_alive(here.name))
    here.close()
    other.close()


def test_calls_of_the_queue_wait_for_the_database(
    url: URL, breaker: Breaker, postgres: Postgres, wait_until: Wait
) -> None:
    engine = open_queue_engine(url, breaker, 2)
    breaker.start()

    def ask() -> int:
        with engine.connect() as connection:
            return int(connection.scalar(text("SELECT 1")) or 0)

    assert ask() == 1
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(ask()), daemon=True)
    with frozen(postgres):
        wait_until(lambda: breaker.reason is not None)
        waiting.start()
        waiting.join(1.0)
        assert waiting.is_alive()
    waiting.join(60)
    assert answers == [1]
    engine.dispose()


def test_calls_that_have_begun_are_given_up_while_the_server_shuts_down(
    url: URL,
    breaker: Breaker,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Wait,
) -> None:
    monkeypatch.setattr(LimitedConnection, "limit_s", 600)
    records = Records(url, breaker)
    records.visual("a", "b")  # the connection is there
    with frozen(postgres), ThreadPoolExecutor(1) as thread:
        call = thread.submit(records.visual, "a", "b")
        wait_until(lambda: records.engine.pool.checkedout() == 1)  # type: ignore[attr-defined]
        breaker.hurry()
        assert breaker.reason is None
        breaker.start()
        with pytest.raises(DatabaseUnavailableError):
            call.result(60)
    records.close()


def test_only_migrations_may_take_longer_than_the_limit(url: URL) -> None:
    engine = open_engine(url)
    with engine.connect() as connection, patience(connection):
        connection.execute(text("SELECT pg_sleep(1.5)"))
    with (
        pytest.raises(DatabaseUnavailableError),
        wrap_database_errors(),
        engine.connect() as connection,
    ):
        connection.execute(text("SELECT pg_sleep(20)"))
    engine.dispose()


def test_a_connection_that_listens_is_not_closed(url: URL) -> None:
    engine = open_engine(url)
    with engine.connect() as connection:
        limited = connection.connection.driver_connection
        assert isinstance(limited, LimitedConnection)
        limited.set_autocommit(True)
        limited.execute("LISTEN news")
        assert not list(limited.notifies(timeout=1.0))
        limited.execute("NOTIFY news")
        assert len(list(limited.notifies(timeout=60, stop_after=1))) == 1
    engine.dispose()
