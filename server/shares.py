"""Share a limited number of places out among the organisations that ask for them."""

from collections import Counter
from collections.abc import Callable


class Shares:
    """Counts the places that each organisation holds. Not for several threads at the same time.

    An organisation may take any place that is free, and one more while it holds less than its share: the
    limit divided by the number of organisations that hold places, itself included. So one alone may hold
    all, and one that comes always finds a place. Until the others give back what is above their share,
    all n together may hold more than the limit, at most limit * (1 + 1/2 + ... + 1/n).

    limit: number of places, at least 1. quota: returns the most for one organisation; 0 for none.
    """

    def __init__(self, limit: int, quota: Callable[[], int] = lambda: 0) -> None:
        self._limit = limit
        self._quota = quota
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return the number of organisations that hold places."""
        return len(self._held)

    def held(self, organisation: str) -> int:
        """Return the number of places that an organisation holds."""
        return self._held[organisation]

    def has_place(self, organisation: str) -> bool:
        """Whether an organisation may take a place."""
        held = self._held[organisation]
        if 0 < self._quota() <= held:
            return False
        holders = len(self._held) + (not held)
        return self._held.total() < self._limit or held < max(1, self._limit // holders)

    def take(self, organisation: str) -> None:
        """Take a place, whether or not there is one."""
        self._held[organisation] += 1

    def give_back(self, organisation: str) -> None:
        """Give back a place."""
        self._held[organisation] -= 1
        if self._held[organisation] <= 0:
            del self._held[organisation]
