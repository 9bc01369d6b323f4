"""The changes of a face that a caller's actions mean, looked up in the table of `face_table`."""

from collections.abc import Mapping
from dataclasses import replace

from models.backends.diffusion.face_table import TABLE, Action, Change, Years
from models.roles import Face

_YEARS_PER_UNIT = 4
_YOUNGEST, _OLDEST = 18, 90
"""Ages that a number leads to; a person beyond them keeps the own age."""
_UNKNOWN_AGE = 35
_DEGREES = ("slightly", "clearly", "strongly")
"""Adverbs for each third of a range."""


def changes_for(face: Face, actions: Mapping[str, str | float]) -> list[Change]:
    """Return the changes for actions. An action that changes nothing has none.

    actions: by name, each with a word or a number, in the ranges of `pipelines.people.actions`. The
    published ranges have no units. Here 0, the middle, changes nothing, and the ends are the
    strongest. If an action also has words, low numbers mean the weaker word. Raises ValueError for
    an unknown name or word.
    """
    changes = []
    for name, value in actions.items():
        if name not in TABLE:
            raise ValueError(f"no action {name!r}")
        change = _change(TABLE[name], face, value)
        if change is not None:
            changes.append(change)
    return changes


def _change(action: Action, face: Face, value: str | float) -> Change | None:
    meaning = _meaning(action, value)
    if meaning is None or isinstance(meaning, Change):
        return meaning
    if isinstance(meaning, Years):
        return _at(action, face, (meaning.age - _age(face)) / _YEARS_PER_UNIT)
    if action.kinds:
        return action.kinds[int(meaning)]
    return None if meaning == 0 else _at(action, face, meaning)


def _meaning(action: Action, value: str | float) -> Change | Years | float | None:
    if not isinstance(value, str):
        return value
    if value not in action.words:
        raise ValueError(f"{value!r} is not one of {', '.join(action.words)}")
    return action.words[value]


def _at(action: Action, face: Face, number: float) -> Change:
    """Return the change for a number, with its strength and its texts."""
    high = action.levels[-1].until
    level = next(level for level in action.levels if min(number, high) <= level.until)
    share = min(1.0, number / (high if number > 0 else action.low))
    strongest = level.change.strength
    filled = {
        "age": _aim(_age(face), number),
        "degree": _DEGREES[min(int(share * len(_DEGREES)), len(_DEGREES) - 1)],
    }
    return replace(
        level.change,
        prompt=level.change.prompt.format(**filled),
        instruction=level.change.instruction.format(**filled),
        strength=round(level.weakest + (strongest - level.weakest) * share, 3),
    )


def _age(face: Face) -> float:
    return _UNKNOWN_AGE if face.age is None else sum(face.age) / 2


def _aim(known: float, number: float) -> int:
    """Return an age after a number of steps from the known one; it never moves the other way."""
    low, high = min(_YOUNGEST, known), max(_OLDEST, known)
    return round(min(high, max(low, known + _YEARS_PER_UNIT * number)))
