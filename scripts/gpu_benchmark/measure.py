"""Measures rows: the time of each call, its peak of memory, and its distance from the floor."""

import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from scripts.gpu_benchmark.page import Page
from scripts.gpu_benchmark.rates import Need, Rates, wait
from scripts.gpu_benchmark.targets import Target
from scripts.gpu_benchmark.time_limit import OutOfTimeError, limited

_TABLE = (
    "| what | median, ms | from, to (calls) | a picture, ms | working memory, MiB | in all | floor, ms"
    " | of the floor |\n"
    "|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Way:
    """One row: some work and how it is told.

    work: gets what `given` makes, outside the time, of the number of the call. pictures: in one call.
    need: for the floor; None leaves it out.
    """

    name: str
    work: Callable[[Any], object]
    given: Callable[[int], Any] = int
    pictures: int = 1
    need: Need | None = None


@dataclass
class _Spent:
    """What was measured of one way. working, whole: peaks in MiB, above the weights and with them."""

    times: list[float] = field(default_factory=list)
    working: int = 0
    whole: int = 0
    problem: str = ""


class Run:
    """Measures rows until the time is over. failed: whether a row or a part failed; rounds: calls of each row."""

    def __init__(
        self, page: Page, device: str, seconds: float, rounds: int, row_seconds: float
    ) -> None:
        """Start the time; rounds: calls of each row, row_seconds: the longest that a row may take."""
        self.page = page
        self.failed = False
        self.rates: Rates | None = None
        self._device = device
        self._gpu = device != "cpu"
        self._end = time.monotonic() + seconds
        self.rounds = rounds
        self._row_seconds = row_seconds

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._end - time.monotonic()

    def row(
        self,
        section: str,
        name: str,
        work: Callable[[Any], object],
        given: Callable[[int], Any] = int,
        pictures: int = 1,
        need: Need | None = None,
    ) -> float:
        """Measure one row. Return its median in ms; NaN if it failed or there was no time."""
        return self.turns(section, [Way(name, work, given, pictures, need)])[0]

    def turns(self, section: str, ways: Sequence[Way]) -> list[float]:
        """Measure some ways in turns, so that other load of the machine affects all of them.

        Return the median of each in ms; NaN of one that failed or had no time. The first call of each
        does not count.
        """
        found = [_Spent() for _ in ways]
        first = [self._first(way, spent) for way, spent in zip(ways, found, strict=True)]
        pace = sum(first)
        end = min(self._end, time.monotonic() + self._row_seconds)
        for number in range(self.rounds):
            if number and time.monotonic() + pace / 1000 > end:
                break
            for way, spent in zip(ways, found, strict=True):
                if not spent.problem:
                    self._call(way, spent, number)
        for way, spent in zip(ways, found, strict=True):
            self.page.add(section, _TABLE, self._line(way, spent))
        return [statistics.median(spent.times) if spent.times else float("nan") for spent in found]

    def skip(self, section: str, name: str, why: str) -> None:
        """Add a row that was not measured."""
        self.page.add(section, _TABLE, f"| {name} | skipped: {why} | | | | | | |")

    def fail(self, section: str, name: str, error: Exception) -> None:
        """Add a row that names an error."""
        traceback.print_exc()
        self.failed = True
        self.page.add(section, _TABLE, f"| {name} | failed: {problem(error)} | | | | | | |")

    def reach(self, target: Target, value: float) -> None:
        """Note what was measured for a target; NaN for nothing."""
        if value == value:
            self.page.reach(target, value)

    def _first(self, way: Way, spent: _Spent) -> float:
        """Make the call that does not count; note its peak of memory. Return its time in ms."""
        if self.left <= 0:
            spent.problem = "not measured: no time left"
            return 0.0
        held = 0
        if self._gpu:
            wait(self._device)
            torch.cuda.reset_peak_memory_stats()
            held = torch.cuda.memory_allocated()
        self._call(way, spent, -1)
        if self._gpu:
            peak = torch.cuda.max_memory_allocated()
            spent.working, spent.whole = (peak - held) >> 20, peak >> 20
        return spent.times.pop() if spent.times else 0.0

    def _call(self, way: Way, spent: _Spent, number: int) -> None:
        try:
            with limited(min(self._row_seconds, max(1.0, self.left))):
                given = way.given(number)
                wait(self._device)
                start = time.perf_counter()
                way.work(given)
                wait(self._device)
                spent.times.append((time.perf_counter() - start) * 1000)
        except Exception as error:  # the other rows are still worth their time
            traceback.print_exc()
            spent.problem = f"failed: {problem(error)}"
            self.failed = True

    def _line(self, way: Way, spent: _Spent) -> str:
        if not spent.times:
            return f"| {way.name} | {spent.problem} | | | | | | |"
        median = statistics.median(spent.times)
        cells = [
            way.name,
            f"{median:.1f}",
            f"{min(spent.times):.1f} to {max(spent.times):.1f} ({len(spent.times)})",
            f"{median / way.pictures:.1f}" if way.pictures > 1 else "",
            f"{spent.working:,}" if self._gpu else "",
            f"{spent.whole:,}" if self._gpu else "",
        ]
        if way.need is None or self.rates is None:
            return f"| {' | '.join([*cells, '', spent.problem])} |"
        floor = self.rates.floor_ms(way.need)
        return (
            f"| {' | '.join([*cells, f'{floor:.2f}', f'{median / floor:.2f} {spent.problem}'])} |"
        )


def problem(error: Exception) -> str:
    """Return an error in one line of a table."""
    if isinstance(error, OutOfTimeError):
        return "its time is over"
    text = (str(error).strip() or "no text").splitlines()[0][:200].replace("|", "/")
    return f"{type(error).__name__}: {text}"
