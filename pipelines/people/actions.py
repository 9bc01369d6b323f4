"""What can be changed about a person: nine actions, their words and ranges, and their checks."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from models.roles import Face
from pipelines.errors import BadActionError


@dataclass(frozen=True)
class Action:
    """One kind of change.

    words: the values it offers by name. low, high: the numbers it takes, both included. whole: only
    whole numbers.
    """

    words: tuple[str, ...]
    low: float
    high: float
    whole: bool = False


ACTIONS: Mapping[str, Action] = {
    "age": Action(("mid-20", "mid-40", "mid-60"), -10, 10),
    "Beard": Action(("shaved", "medium", "full"), -2, 2),
    "diversity": Action(
        (
            "original",
            "africa",
            "korea",
            "india",
            "japan",
            "sweden",
            "germany",
            "russia",
            "mexico",
            "brazil",
            "england",
            "spain",
            "france",
            "unsplash",
        ),
        0,
        1,
    ),
    "expression": Action(
        (
            "happy",
            "surprised",
            "dreaming",
            "angry",
            "fear",
            "contempt",
            "disgusted",
            "sad",
            "smile",
        ),
        0,
        1.5,
    ),
    "gender": Action(("femininity", "masculinity"), -10, 10),
    "glasses": Action(("light", "none", "heavy"), 0, 6, whole=True),
    "hair_line": Action(("high", "low"), -20, 20),
    "haircolor": Action(("black", "brown", "red", "blond", "gray"), 0, 4, whole=True),
    "makeup": Action(("light", "heavy", "none"), -10, 10),
}
"""Names, spelling, order and words as the published sample of person/info has them, ranges as the
published /create has them."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_LONGEST_NUMBER = 32


def actions_for(face: Face) -> dict[str, list[str]]:
    """Return the actions offered to a person, each with its words.

    Every face is offered every action, as the published sample offers a beard to women: how well
    each would do is for the oracle to say.
    """
    return {name: list(action.words) for name, action in ACTIONS.items()}


def check_action(name: str, value: object, offered: Mapping[str, list[str]]) -> str | int | float:
    """Return an action's value as a word, an int where only whole numbers are taken, else a float.

    offered: the person's own actions, as `actions_for` gives them. Numbers also come as strings.
    Raises BadActionError where the person does not offer the action or the word, where a number is out
    of range, not finite or not whole, and where the value is neither a word nor a number.
    """
    if name not in ACTIONS or name not in offered:
        raise BadActionError(f"The action '{_short(name)}' is not offered by this person.")
    words = offered[name]
    if isinstance(value, str):
        word = value.strip()
        if word in words:
            return word
        if len(word) <= _LONGEST_NUMBER and _NUMBER.fullmatch(word):
            return _number(name, float(word))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return _number(name, value)
    raise BadActionError(f"{name}: {_shown(value)} is not offered; {_takes(name, words)}")


def _number(name: str, value: int | float) -> int | float:
    """Check a number against its action's bounds; raises BadActionError."""
    action = ACTIONS[name]
    # Compared before it is converted: NaN fails every comparison, and a whole number out of JSON
    # may be longer than a float can hold.
    if not action.low <= value <= action.high:
        raise BadActionError(f"{name}: the number must lie between {action.low} and {action.high}.")
    if not action.whole:
        return float(value)
    if value != int(value):
        raise BadActionError(f"{name}: only whole numbers are accepted.")
    return int(value)


def _takes(name: str, words: list[str]) -> str:
    """Say what an action takes."""
    action = ACTIONS[name]
    kind = "a whole number" if action.whole else "a number"
    return f"give one of {', '.join(words)}, or {kind} between {action.low} and {action.high}."


def _shown(value: object) -> str:
    """Return what value was sent: a word, or what JSON calls it."""
    if isinstance(value, str):
        return f"'{_short(value)}'"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return "a list" if isinstance(value, list | tuple) else "an object"


def _short(text: str) -> str:
    """Cut a text to 40 characters."""
    return text if len(text) <= 40 else f"{text[:40]}..."
