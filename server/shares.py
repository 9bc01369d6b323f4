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
    elsewhere: returns how many of its quota an organisation holds on other servers.
    """

    def __init__(
        self,
        limit: int,
        quota: Callable[[], int] = lambda: 0,
        elsewhere: Callable[[str], int] = lambda _: 0,
    ) -> None:
        self._limit = limit
        self._quota = quota
        self._elsewhere = elsewhere
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return the number of organisations that hold places."""
        return len(self._held)

    def held(self, organisation: str) -> int:
        """Return the number of places that an organisation holds."""
        return self._held[organisation]

    def has_place(self, organisation: str) -> bool:
        """Whether an organisation may take a place."""
        return self._has_place(organisation, self._elsewhere(organisation))

    def lacks_only_places_elsewhere(self, organisation: str, more: int = 0) -> bool:
        """Whether an organisation may take no place, and might if it held none on other servers.

        more: places that it would hold here besides.
        """
        return not self.has_place(organisation) and self._has_place(organisation, more)

    def _has_place(self, organisation: str, elsewhere: int) -> bool:
        held = self._held[organisation]
        if 0 < self._quota() <= held + elsewhere:
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
