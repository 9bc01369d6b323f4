"""Share the processor time that requests take outside the workers out among organisations."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from server.errors import BusyError, busy_error

_OF_EACH, _MOST = 0.125, 0.5
"""Seconds of a processor in a second that all organisations get together while several ask: for each
processor, and the most, because the workers need the interpreter lock too. With two processors, polls of one made
an edit of another take 3.8 times as long at 0.5 in all, 2.5 times at 0.2."""
_BURST_S = 0.1
"""An organisation may be so far ahead of its share before its next request waits."""
_MAX_AHEAD_S = 0.5
"""More is forgotten: what an organisation took while it was alone must not shut it out."""
_ACTIVE_S = 2.0
"""For so long after its last request an organisation counts as one that asks."""
_USAGE_S = 1.0
"""Time constant of the measured usage."""
_CHECK_S = 0.1
"""A request that waits looks so often whether the others still ask."""
_PATIENCE_S = 60.0
"""Longest wait; then 429."""
_MAX_WAITING = 128
"""The most requests of an organisation that wait at once; each has a connection. Then 429."""
_FIRST_S, _LEAST_S = 0.01, 0.001
"""What a request is expected to take before any of its organisation was measured, and at least."""
_SMOOTHING = 0.2

NOBODY = ""
"""The account of all callers without a valid token. No organisation waits for them."""


class _Account:
    """What one organisation has taken.

    ahead: seconds beyond its share. usage: seconds in a second, lately. expected: of its next request.
    """

    def __init__(self, now: float) -> None:
        self.ahead = self.usage = 0.0
        self.expected = _FIRST_S
        self.at = self.seen = now
        self.requests = self.waiting = 0
        self.line = asyncio.Lock()


class ProcessorShares:
    """Counts the processor time of each organisation, and lets its requests wait when that is above its share.

    Only requests, not seconds, are limited elsewhere, and refused requests are cheap for their caller: a
    body of 20,000 parts, half a million keys, a thousand polls in one packet. All organisations together
    get `_OF_EACH` of each processor, of which one may take what the others leave, or an equal part if that is
    more. Nobody waits while no other organisation asks. Use it in one event loop.

    processors: of the machine. clock: in seconds.
    """

    def __init__(self, processors: int = 2, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._total = min(_MOST, _OF_EACH * processors)
        self._accounts: dict[str, _Account] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()
        """Accounts without a request, the one that was seen first at the front."""
        self._usage = 0.0
        self._used_at = clock()

    def begin(self, organisation: str) -> None:
        """Note that an organisation has a request more."""
        now = self._clock()
        self._forget(now)
        account = self._accounts.setdefault(organisation, _Account(now))
        account.requests += 1
        self._idle.pop(organisation, None)

    def end(self, organisation: str) -> None:
        """Note that a request has ended."""
        account = self._accounts[organisation]
        account.requests -= 1
        account.seen = self._clock()
        if not account.requests:
            self._idle[organisation] = None

    def charge(self, organisation: str, seconds: float, ahead: float | None = None) -> None:
        """Count seconds that a request took. ahead: those that were not reserved; by default all of them."""
        now = self._clock()
        account = self._accounts[organisation]
        self._settle(account, now)
        account.usage += seconds / _USAGE_S
        if organisation != NOBODY:
            self._usage += seconds / _USAGE_S
        account.ahead += seconds if ahead is None else ahead

    async def turn(self, organisation: str) -> float:
        """Wait until an organisation may go on; return the seconds that are reserved for its request.

        Its requests go on in their order. Raises BusyError if that takes longer than 60 s, or too many wait.
        """
        account = self._accounts[organisation]
        if account.line.locked() or self.wait_s(organisation) > 0:
            if account.waiting >= _MAX_WAITING:
                raise _above_share()
            account.waiting += 1
            try:
                async with asyncio.timeout(_PATIENCE_S), account.line:
                    await self._pause(organisation)
            except TimeoutError:
                raise _above_share() from None
            finally:
                account.waiting -= 1
        reserved = max(account.expected, _LEAST_S)
        account.ahead += reserved
        return reserved

    async def follow(self, organisation: str) -> None:
        """Wait as long as the next request of an organisation would, without a place in its line.

        Raises BusyError if that takes longer than 60 s.
        """
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._pause(organisation)
        except TimeoutError:
            raise _above_share() from None

    async def _pause(self, organisation: str) -> None:
        # Others may stop asking in the meantime.
        while (seconds := self.wait_s(organisation)) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(seconds, _CHECK_S))

    def asks(self, organisation: str) -> bool:
        """Whether an organisation has an account, because it has asked lately."""
        return organisation in self._accounts

    def wait_s(self, organisation: str) -> float:
        """Return the seconds until an organisation may go on; 0 if no other one asks."""
        now = self._clock()
        self._forget(now)
        if organisation not in self._accounts:
            return 0.0
        others = len(self._accounts) - 1
        if organisation != NOBODY:
            others -= NOBODY in self._accounts
        if not others:
            return 0.0
        account = self._accounts[organisation]
        self._settle(account, now)
        return max(0.0, account.ahead - _BURST_S) / self._rate(account)

    def record(self, organisation: str, seconds: float) -> None:
        """Note what a request took in all; the next one is expected to take about the same."""
        account = self._accounts[organisation]
        account.expected += _SMOOTHING * (seconds - account.expected)

    def _rate(self, account: _Account) -> float:
        """Return the seconds in a second that an organisation may take."""
        nobody = self._accounts.get(NOBODY)
        is_nobody = account is nobody
        others = self._usage - (0.0 if is_nobody else account.usage)
        sharers = len(self._accounts) - (nobody is not None and not is_nobody)
        return max(self._total - others, self._total / sharers)

    def _settle(self, account: _Account, now: float) -> None:
        """Bring an account and the sum up to date."""
        self._usage *= math.exp((self._used_at - now) / _USAGE_S)
        self._used_at = now
        seconds = now - account.at
        account.at = now
        account.usage *= math.exp(-seconds / _USAGE_S)
        account.ahead = min(max(0.0, account.ahead - seconds * self._rate(account)), _MAX_AHEAD_S)

    def _forget(self, now: float) -> None:
        """Drop the accounts of organisations that ask no more."""
        while self._idle:
            organisation = next(iter(self._idle))
            if now - self._accounts[organisation].seen < _ACTIVE_S:
                break
            del self._idle[organisation], self._accounts[organisation]


def _above_share() -> BusyError:
    text = "The requests of this organisation take more of the processor than its share"
    return busy_error(text, 1)
