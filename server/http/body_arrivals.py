"""The request bodies that arrive at the moment: how many, how many bytes, and whose."""

from collections import Counter

from server.errors import busy_error

SHARE_OF_FREE = 8
"""How many times as much as is free then an organisation may hold."""
_RETRY_AFTER_S = 5


class BodyArrivals:
    """Limits the bodies that arrive at once, in total and for each organisation.

    max_bodies, max_bytes: in total. An organisation may hold eight times as much as is free then, so one
    alone gets eight ninths (the dynamic threshold of Choudhury and Hahne, "Dynamic queue length thresholds
    for shared-memory packet switches", 1998). The only body of an organisation always has a place, up to
    twice the total. Use it in one event loop.
    """

    def __init__(self, max_bodies: int, max_bytes: int) -> None:
        self._max_bodies = max_bodies
        self._max_bytes = max_bytes
        self._bodies: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def begin(self, organisation: str, declared: int) -> "Arrival":
        """Return a place for a body; raises BusyError if the organisation has its share.

        declared: the length of the body in bytes, if the caller has sent it; otherwise 0.
        """
        is_only = not self._bodies[organisation]
        if not _fits(self._bodies, organisation, 1, self._max_bodies, is_only=is_only):
            raise busy_error("Too many bodies of this organisation arrive at once", _RETRY_AFTER_S)
        arrival = Arrival(self, organisation)
        self._bodies[organisation] += 1
        try:
            arrival.grow(declared)
        except BaseException:
            arrival.end()
            raise
        return arrival

    def _hold(self, organisation: str, size: int) -> None:
        is_only = self._bodies[organisation] == 1
        if not _fits(self._bytes, organisation, size, self._max_bytes, is_only=is_only):
            raise busy_error("Too many bytes of this organisation arrive at once", _RETRY_AFTER_S)
        self._bytes[organisation] += size

    def _release(self, organisation: str, size: int) -> None:
        self._bytes[organisation] -= size
        self._bodies[organisation] -= 1
        if not self._bodies[organisation]:
            del self._bodies[organisation], self._bytes[organisation]


class Arrival:
    """The place of one body while it arrives."""

    def __init__(self, arrivals: BodyArrivals, organisation: str) -> None:
        self._arrivals: BodyArrivals | None = arrivals
        self._organisation = organisation
        self._size = 0

    def grow(self, size: int) -> None:
        """Count a body as `size` bytes if it had fewer; raises BusyError if there is no room for them."""
        if self._arrivals is not None and size > self._size:
            self._arrivals._hold(self._organisation, size - self._size)
            self._size = size

    def end(self) -> None:
        """Give the place back; it may have been given back before."""
        if self._arrivals is not None:
            self._arrivals._release(self._organisation, self._size)
            self._arrivals = None


def _fits(held: Counter[str], organisation: str, more: int, limit: int, *, is_only: bool) -> bool:
    """Whether an organisation may hold more; is_only: for its only body."""
    if is_only:
        return held.total() + more <= 2 * limit
    return held[organisation] + more <= SHARE_OF_FREE * (limit - held.total() - more)
