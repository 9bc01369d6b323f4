"""Idempotency keys: one call works on a request, and its repeats get the stored answer."""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from storage.database import database_url
from storage.errors import DatabaseUnavailableError
from storage.idempotency import Claim, IdempotencyKeys, KnownRequest, StoredAnswer
from storage.records import Records
from tests.helpers.services import Postgres

HOUR = timedelta(hours=1)
PRINT = "f" * 64
ANSWER = StoredAnswer(202, b'{"request_id":"1"}')
CLAIM = Claim("a", "key 1", "1" * 32, "server-1")
OTHER = replace(CLAIM, request_id="2" * 32, owner="server-2")

Wait = Callable[[Callable[[], bool]], None]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """A new database of each kind."""
    if request.param == "sqlite":
        return database_url(f"sqlite:///{tmp_path}/records.db")
    return database_url(request.getfixturevalue("postgres").database())


@pytest.fixture
def records(url: URL) -> Iterator[Records]:
    """The records in a new database."""
    records = Records(url)
    yield records
    records.close()


@pytest.fixture
def keys(records: Records) -> IdempotencyKeys:
    """The keys in a new database; an answer is kept for a day."""
    return IdempotencyKeys(records.engine, timedelta(days=1), HOUR)


def test_the_second_call_finds_the_first(keys: IdempotencyKeys) -> None:
    assert keys.claim(CLAIM, PRINT) is None
    known = keys.claim(OTHER, "e" * 64)
    assert known == KnownRequest(PRINT, CLAIM, False, None)
    assert keys.find("a", "key 1") == known


def test_the_answer_is_found_unchanged_also_after_a_restart(
    keys: IdempotencyKeys, url: URL
) -> None:
    keys.claim(CLAIM, PRINT)
    assert keys.complete(CLAIM, ANSWER)
    again = Records(url)
    known = IdempotencyKeys(again.engine, HOUR, HOUR).claim(OTHER, PRINT)
    again.close()
    assert known is not None
    assert known.answer == ANSWER


def test_the_same_key_of_two_organisations_is_two_keys(keys: IdempotencyKeys) -> None:
    assert keys.claim(CLAIM, PRINT) is None
    assert keys.claim(replace(OTHER, organisation="b"), PRINT) is None
    keys.release(CLAIM)
    assert keys.find("a", "key 1") is None
    assert keys.find("b", "key 1") is not None


def test_a_released_claim_is_free_and_an_answered_one_is_not(keys: IdempotencyKeys) -> None:
    keys.claim(CLAIM, PRINT)
    keys.release(CLAIM)
    assert keys.claim(OTHER, "e" * 64) is None
    keys.complete(OTHER, ANSWER)
    keys.release(OTHER)
    known = keys.claim(CLAIM, PRINT)
    assert known is not None
    assert known.answer == ANSWER


def test_who_takes_over_keeps_the_request_id_and_the_dead_changes_nothing(
    keys: IdempotencyKeys,
) -> None:
    keys.claim(CLAIM, PRINT)
    taken = keys.take_over(CLAIM, "server-2")
    assert taken == replace(CLAIM, owner="server-2", attempt=2)
    assert keys.take_over(CLAIM, "server-3") is None
    keys.release(CLAIM)
    assert not keys.complete(CLAIM, StoredAnswer(200, b"late"))
    assert keys.complete(taken, ANSWER)
    assert keys.take_over(taken, "server-3") is None
    known = keys.find("a", "key 1")
    assert known is not None
    assert known.answer == ANSWER


def test_a_new_claim_is_not_that_of_an_earlier_request(keys: IdempotencyKeys) -> None:
    keys.claim(CLAIM, PRINT)
    keys.release(CLAIM)
    keys.claim(OTHER, PRINT)
    assert not keys.complete(CLAIM, ANSWER)
    keys.release(CLAIM)
    assert keys.find("a", "key 1") is not None


def test_of_many_calls_at_once_one_claims(records: Records, url: URL) -> None:
    more = Records(url)
    both = [IdempotencyKeys(r.engine, HOUR, HOUR) for r in (records, more)]
    start = threading.Barrier(16)

    def call(number: int) -> KnownRequest | None:
        start.wait()
        claim = replace(CLAIM, request_id=uuid.uuid4().hex)
        return both[number % 2].claim(claim, PRINT)

    with ThreadPoolExecutor(16) as callers:
        known = list(callers.map(call, range(16)))
    more.close()
    assert known.count(None) == 1
    assert len({one.claim.request_id for one in known if one is not None}) == 1


def test_a_request_in_work_outlives_its_lease_and_says_so(records: Records) -> None:
    keys = IdempotencyKeys(records.engine, HOUR, -timedelta(seconds=1))
    keys.claim(CLAIM, PRINT)
    known = keys.find("a", "key 1")
    assert known is not None
    assert known.is_lease_over


def test_an_expired_answer_is_free_and_swept(
    records: Records, keys: IdempotencyKeys, wait_until: Wait
) -> None:
    brief = IdempotencyKeys(records.engine, timedelta(milliseconds=50), timedelta())
    for key in ("key 1", "key 2"):
        brief.claim(replace(CLAIM, key=key), PRINT)
        assert brief.complete(replace(CLAIM, key=key), ANSWER)
    keys.claim(replace(CLAIM, key="key 3"), PRINT)
    wait_until(lambda: brief.find("a", "key 1") is None)
    assert keys.claim(OTHER, "e" * 64) is None
    wait_until(lambda: brief.find("a", "key 2") is None)
    assert keys.sweep() == 1
    assert keys.find("a", "key 3") is not None


@pytest.mark.slow
def test_a_database_that_is_down_is_reported() -> None:
    server = Postgres().start()
    records = Records(database_url(server.database()))
    keys = IdempotencyKeys(records.engine, HOUR, HOUR)
    keys.claim(CLAIM, PRINT)
    server.close()
    uses: list[Callable[[], object]] = [
        lambda: keys.claim(OTHER, PRINT),
        lambda: keys.find("a", "key 1"),
        lambda: keys.take_over(CLAIM, "server-2"),
        lambda: keys.complete(CLAIM, ANSWER),
        lambda: keys.release(CLAIM),
        keys.sweep,
    ]
    for use in uses:
        with pytest.raises(DatabaseUnavailableError):
            use()
    records.close()
