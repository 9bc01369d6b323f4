"""The session pool: one call at a time per session, no more sessions than the limit, none lost."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from models.backends.onnx.sessions import Sessions


def numbered() -> Any:
    """Return a function that makes numbered sessions."""
    numbers = count()
    return lambda: next(numbers)


def test_concurrent_calls_have_separate_sessions_up_to_the_limit() -> None:
    sessions = Sessions(numbered(), limit=2)
    lock, together = threading.Lock(), threading.Barrier(2)
    in_use: list[Any] = []
    most = 0

    def call(_: int) -> Any:
        nonlocal most
        with sessions.use() as session:
            with lock:
                assert session not in in_use
                in_use.append(session)
                most = max(most, len(in_use))
            together.wait(10)
            with lock:
                in_use.remove(session)
            return session

    with ThreadPoolExecutor(8) as callers:
        assert set(callers.map(call, range(40))) == {0, 1}
    assert most == 2


def test_calls_one_after_another_use_one_session() -> None:
    sessions = Sessions(numbered(), limit=4)
    for _ in range(5):
        with sessions.use() as session:
            assert session == 0


def test_a_failed_call_releases_its_session() -> None:
    sessions = Sessions(numbered(), limit=1)

    def fail() -> None:
        with sessions.use() as session:
            assert session == 0
            raise ValueError("bad")

    for _ in range(3):
        with pytest.raises(ValueError, match="bad"):
            fail()


def test_a_failure_to_make_a_session_does_not_lower_the_limit() -> None:
    made = count()

    def make() -> Any:
        if next(made) == 1:
            raise ValueError("no memory")
        return object()

    sessions = Sessions(make, limit=2)
    with sessions.use():
        with pytest.raises(ValueError, match="no memory"), sessions.use():
            pass
        with sessions.use():
            pass
