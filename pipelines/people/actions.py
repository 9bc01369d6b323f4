"""The nine actions that change a person: their words, their ranges and the validation of values."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from models.roles import Face
from pipelines.errors import BadActionError


@dataclass(frozen=True)
class Action:
    """One kind of change.

    words: the values it accepts by name. low, high: the range of numbers it accepts, both inclusive.
    whole: only whole numbers are accepted.
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
"""Names, spelling, order and words are those of the published sample of person/info; the ranges are
those of the published /create."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_MAX_NUMBER_LENGTH = 32


def actions_for(face: Face) -> dict[str, list[str]]:
    """Return the actions offered to a person by a profile that can change people, each with its words.

    Every face is offered every action, because the published sample offers a beard to women too.
    The oracle says how well each is likely to work.
    """
    return {name: list(action.words) for name, action in ACTIONS.items()}


def check_action(name: str, value: object, offered: Mapping[str, list[str]]) -> str | int | float:
    """Return an action's value as a word, as an int if it must be a whole number, else as a float.

    offered: the person's own actions, as `actions_for` returns them. A number may be a string.
    Raises BadActionError if the person does not offer the action or the word, if a number is out of
    range, not finite or not whole, and if the value is neither a word nor a number.
    """
    if name not in ACTIONS or name not in offered:
        raise BadActionError(f"The action '{_shorten(name)}' is not offered by this person.")
    words = offered[name]
    if isinstance(value, str):
        word = value.strip()
        if word in words:
            return word
        if len(word) <= _MAX_NUMBER_LENGTH and _NUMBER.fullmatch(word):
            return _number(name, float(word))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return _number(name, value)
    raise BadActionError(f"{name}: {_shown(value)} is not offered; {_accepted_values(name, words)}")


def _number(name: str, value: int | float) -> int | float:
    """Return a number after the check against its action's range; raises BadActionError."""
    action = ACTIONS[name]
    # The check comes before the conversion: NaN fails every comparison, and a whole number in JSON
    # may be too large for a float.
    if not action.low <= value <= action.high:
        raise BadActionError(f"{name}: the number must lie between {action.low} and {action.high}.")
    if not action.whole:
        return float(value)
    if value != int(value):
        raise BadActionError(f"{name}: only whole numbers are accepted.")
    return int(value)


def _accepted_values(name: str, words: list[str]) -> str:
    """Return the part of an error message that says which values an action accepts."""
    action = ACTIONS[name]
    kind = "a whole number" if action.whole else "a number"
    return f"give one of {', '.join(words)}, or {kind} between {action.low} and {action.high}."


def _shown(value: object) -> str:
    """Say which value was sent: a word, or the name that JSON has for it."""
    if isinstance(value, str):
        return f"'{_shorten(value)}'"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return "a list" if isinstance(value, list | tuple) else "an object"


def _shorten(text: str) -> str:
    """Return a text cut to 40 characters."""
    return text if len(text) <= 40 else f"{text[:40]}..."
