"""The last refused requests of this server, in memory: whose, of which route, with which code, and why."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from starlette.types import Scope

from server.error_texts import for_operators
from storage.counts import Counts

_LIMIT = 100
_TEXT = "refusal"
"""The name of an error's text in the state of a request."""
_NO_ROUTE = "There is no such route."
"""Instead of the path of a request without a route, which is the caller's text."""
REFUSED = Counts()
"""How many requests of this process were refused, by reason (`server.errors.ApiError.reason`)."""


@dataclass(frozen=True)
class Refused:
    """Equal refusals.

    organisation: None if the token is unknown. operation: the method and the pattern of the route; None if there
    is no such route. count: how many there were. time: of the last one.
    """

    organisation: str | None
    operation: str | None
    code: int
    text: str
    count: int
    time: datetime


_Key = tuple[str | None, str | None, int, str]


class Refusals:
    """Remembers the last refusals; equal ones as one with a count. Use it in one event loop.

    When there are `limit`, the oldest one of the organisation that has most of them goes: so no organisation, and
    no stranger without a token, pushes those of another out.
    """

    def __init__(
        self, limit: int = _LIMIT, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._known: OrderedDict[_Key, Refused] = OrderedDict()

    def note(self, organisation: str | None, operation: str | None, code: int, text: str) -> None:
        """Remember a refusal. text: of the error; what may be the caller's in it is left out."""
        shown = for_operators(text) if operation is not None or code != 404 else _NO_ROUTE
        key = (organisation, operation, code, shown)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= self._limit:
                self._make_room()
            found = Refused(*key, 0, self._clock())
        self._known[key] = replace(found, count=found.count + 1, time=self._clock())
        self._known.move_to_end(key)

    def latest(self) -> list[Refused]:
        """Return what is remembered, the newest first."""
        return list(reversed(self._known.values()))

    def _make_room(self) -> None:
        counts = Counter(key[0] for key in self._known)
        most = max(counts.values())
        del self._known[next(key for key in self._known if counts[key[0]] == most)]


def note_refusal(scope: Scope, text: str, reason: str) -> None:
    """Note the text of the error with which a request is answered, and count its reason."""
    REFUSED.add(reason)
    state: dict[str, Any] = scope.setdefault("state", {})
    state[_TEXT] = text


def noted_refusal(scope: Scope) -> str:
    """Return the text that `note_refusal` got; empty without one."""
    return str(scope.get("state", {}).get(_TEXT, ""))
