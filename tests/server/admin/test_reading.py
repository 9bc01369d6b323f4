"""Figures that are read on a thread: once for all who ask, and never waited for if the reading hangs."""

import asyncio
import threading

from server.admin.reading import Reading
from storage.errors import DatabaseUnavailableError
from tests.helpers.clock import Clock


class Source:
    """Figures that can fail or hang."""

    def __init__(self) -> None:
        self.count = 0
        self.error: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()

    def read(self) -> int:
        """Return how often they were read."""
        assert self.answers.wait(60)
        self.count += 1
        if self.error is not None:
            raise self.error
        return self.count


async def test_however_many_ask_it_is_read_once_while_it_is_fresh() -> None:
    source, clock = Source(), Clock()
    reading = Reading(source.read, 2.0, "away", clock=clock)
    found = await asyncio.gather(*(reading.latest() for _ in range(20)))
    assert {one.value for one in found} == {1}
    clock.now += 1.9
    latest = await reading.latest()
    assert (latest.value, latest.error) == (1, None)
    assert latest.age_s is not None
    assert abs(latest.age_s - 1.9) < 1e-6
    clock.now += 0.2
    assert (await reading.latest()).value == 2


async def test_after_a_failure_the_last_figures_and_their_age_are_told() -> None:
    source, clock = Source(), Clock()
    reading = Reading(source.read, 2.0, "away", clock=clock)
    source.error = DatabaseUnavailableError("no route to host")
    found = await reading.latest()
    assert (found.value, found.age_s, found.error) == (None, None, "away")
    source.error = None
    clock.now += 2
    assert (await reading.latest()).error is None
    read_at = clock.now
    for error, text in (
        (OSError(), "away"),
        (RuntimeError(), "The server failed to read this; the error is in its log."),
    ):
        source.error = error
        clock.now += 3
        found = await reading.latest()
        assert (found.value, found.age_s, found.error) == (2, clock.now - read_at, text)


async def test_a_reading_that_hangs_is_not_waited_for_and_not_begun_again() -> None:
    source, clock = Source(), Clock()
    reading = Reading(source.read, 2.0, "away", wait_s=0.01, clock=clock)
    source.answers.clear()
    for _ in range(5):
        found = await reading.latest()
        assert (found.value, found.error) == (None, "away")
        clock.now += 10
    source.answers.set()
    task = reading._task
    assert task is not None
    await task
    found = await reading.latest()
    assert (found.value, found.error, source.count) == (1, None, 1)
