"""What a trial of a field shows: the parts of an answer that can be compared, and the word for the effect."""

import re
from dataclasses import dataclass

DONE = "done"
REFUSED = "506 in `lite`"
ECHOED = "returned, no effect in `lite`"
IDLE = "checked, no effect in `lite`"
EMPTY = "empty in `lite`"
MISSING = "missing"
LINKS = re.compile(r'https?://[^"]+')
_RANDOM = re.compile(r'[0-9a-f]{8}-[0-9a-f-]{27}|"request_id":"[0-9a-f]{32}"')


@dataclass(frozen=True)
class Outcome:
    """The parts of an answer that are the same each time.

    text: without links and random ids. results: digests of the results at its links; the text if it has no
    links.
    """

    status: int
    text: str
    results: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """The result of a trial. about: of the trial. word: the effect, DONE or one of the other constants."""

    about: str
    word: str
    status: int


def constant(text: str) -> str:
    """Return the part of an answer's text that is the same each time."""
    return LINKS.sub("", _RANDOM.sub("", text))


def word_for(before: Outcome, after: Outcome) -> str:
    if 506 in (before.status, after.status):
        return REFUSED
    if (before.status, before.results) != (after.status, after.results):
        return DONE
    return IDLE if before.text == after.text else ECHOED
