"""The meaning of each action on a person for a diffusion model: prompt, regions of the face, and strength."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from models.backends.diffusion.face_regions import Region
from models.roles import Face


@dataclass(frozen=True)
class Change:
    """One change of a face.

    prompt: describes the result. avoid: describes what must not be visible. regions: where the
    change is. strength: 0..1, how much the model may change. Above about 0.6 the face is no longer
    the same person's.
    """

    prompt: str
    regions: tuple[Region, ...]
    strength: float
    avoid: str = ""


def changes_for(face: Face, actions: Mapping[str, str | float]) -> list[Change]:
    """Return the changes for actions. An action that changes nothing has none.

    actions: by name, each with a word or a number, in the ranges of `pipelines.people.actions`. The
    published ranges have no units. Here 0, the middle, changes nothing, and the ends are the
    strongest. If an action also has words, low numbers mean the weaker word. Raises ValueError for
    an unknown name or word.
    """
    changes = []
    for name, value in actions.items():
        make = _ACTIONS.get(name)
        if make is None:
            raise ValueError(f"no action {name!r}")
        change = make(face, value)
        if change is not None:
            changes.append(change)
    return changes


def _word(table: Mapping[str, Change | None], value: str) -> Change | None:
    if value not in table:
        raise ValueError(f"{value!r} is not one of {', '.join(table)}")
    return table[value]


def _between(low: float, high: float, share: float) -> float:
    """Return the strength between `low` and `high` for a share of an action's range.

    Its sign is ignored.
    """
    return round(low + (high - low) * min(1.0, abs(share)), 3)


_AGES = {"mid-20": 25, "mid-40": 45, "mid-60": 65}
_YEARS_PER_UNIT = 4
_UNKNOWN_AGE = 35


def _age(face: Face, value: str | float) -> Change | None:
    known = _UNKNOWN_AGE if face.age is None else sum(face.age) / 2
    if isinstance(value, str):
        if value not in _AGES:
            raise ValueError(f"{value!r} is not one of {', '.join(_AGES)}")
        aim, share = _AGES[value], abs(_AGES[value] - known) / 40
    elif value == 0:
        return None
    else:
        aim, share = round(min(90, max(18, known + _YEARS_PER_UNIT * value))), abs(value) / 10
    older = aim > known
    signs = "wrinkles, age lines, greying hair" if older else "smooth youthful skin"
    against = "smooth youthful skin" if older else "wrinkles, age lines"
    text = f"{aim} years old, {signs}"
    return Change(text, ("face",), _between(0.35, 0.6, share), against)


_BEARDS: Mapping[str, Change | None] = {
    "shaved": Change("clean-shaven, no facial hair", ("lower",), 0.85, "beard, moustache, stubble"),
    "medium": Change("a short trimmed beard", ("lower",), 0.8, "clean-shaven"),
    "full": Change("a long full beard and moustache", ("lower",), 0.9, "clean-shaven"),
}


def _beard(face: Face, value: str | float) -> Change | None:
    if isinstance(value, str):
        return _word(_BEARDS, value)
    if value == 0:
        return None
    if value < 0:
        text = "clean-shaven, no facial hair" if value <= -1 else "very short stubble"
        return Change(text, ("lower",), _between(0.5, 0.85, value / 2), "beard, moustache")
    text = "a long full beard and moustache" if value > 1 else "a short trimmed beard"
    return Change(text, ("lower",), _between(0.5, 0.9, value / 2), "clean-shaven")


_COUNTRIES = {
    "africa": "African",
    "korea": "Korean",
    "india": "Indian",
    "japan": "Japanese",
    "sweden": "Swedish",
    "germany": "German",
    "russia": "Russian",
    "mexico": "Mexican",
    "brazil": "Brazilian",
    "england": "English",
    "spain": "Spanish",
    "france": "French",
}


def _diversity(face: Face, value: str | float) -> Change | None:
    if isinstance(value, str):
        if value == "original":
            return None
        if value == "unsplash":
            return Change("natural look of a candid stock photograph", ("face",), 0.45)
        if value not in _COUNTRIES:
            raise ValueError(f"{value!r} is not one of {', '.join(_COUNTRIES)}")
        return Change(f"of {_COUNTRIES[value]} ethnicity", ("face",), 0.6)
    # A number names no country: it is the distance from the original look.
    if value == 0:
        return None
    return Change("of mixed ethnic heritage", ("face",), _between(0.3, 0.6, value))


_EXPRESSIONS = {
    "happy": "a happy joyful expression, laughing",
    "surprised": "a surprised expression, raised eyebrows, open mouth",
    "dreaming": "a dreamy expression, eyes half closed",
    "angry": "an angry expression, frowning",
    "fear": "a frightened expression, wide eyes",
    "contempt": "a contemptuous expression, one corner of the mouth raised",
    "disgusted": "a disgusted expression, wrinkled nose",
    "sad": "a sad expression, corners of the mouth down",
    "smile": "a gentle smile, mouth closed",
}
_EXPRESSIVE = 0.55


def _expression(face: Face, value: str | float) -> Change | None:
    if isinstance(value, str):
        if value not in _EXPRESSIONS:
            raise ValueError(f"{value!r} is not one of {', '.join(_EXPRESSIONS)}")
        return Change(_EXPRESSIONS[value], ("face",), _EXPRESSIVE, "neutral expression")
    # A number names no expression: it is the width of the smile.
    if value == 0:
        return None
    text = (
        "a slight smile" if value < 0.5 else "a smile" if value <= 1 else "a broad laughing smile"
    )
    return Change(text, ("face",), _between(0.35, _EXPRESSIVE, value / 1.5), "neutral expression")


def _gender(face: Face, value: str | float) -> Change | None:
    if isinstance(value, str):
        shares = {"femininity": -1.0, "masculinity": 1.0}
        if value not in shares:
            raise ValueError(f"{value!r} is not one of {', '.join(shares)}")
        share = shares[value]
    else:
        share = value / 10
    if share == 0:
        return None
    text, against = "feminine facial features", "masculine facial features"
    if share > 0:
        text, against = against, text
    return Change(text, ("face",), _between(0.35, 0.6, share), against)


_GLASSES: Sequence[Change] = (
    Change("no glasses, bare eyes", ("eyes",), 0.85, "glasses, spectacles, frames"),
    Change("rimless glasses", ("eyes",), 0.85),
    Change("glasses with a thin metal frame", ("eyes",), 0.85),
    Change("glasses with a thin round frame", ("eyes",), 0.85),
    Change("glasses with a thick black frame", ("eyes",), 0.9),
    Change("glasses with a thick tortoiseshell frame", ("eyes",), 0.9),
    Change("large glasses with a heavy dark frame", ("eyes",), 0.9),
)
_GLASSES_WORDS: Mapping[str, Change | None] = {
    "none": _GLASSES[0],
    "light": _GLASSES[2],
    "heavy": _GLASSES[4],
}


def _glasses(face: Face, value: str | float) -> Change | None:
    return _word(_GLASSES_WORDS, value) if isinstance(value, str) else _GLASSES[int(value)]


def _hair_line(face: Face, value: str | float) -> Change | None:
    if isinstance(value, str):
        shares = {"high": 1.0, "low": -1.0}
        if value not in shares:
            raise ValueError(f"{value!r} is not one of {', '.join(shares)}")
        share = shares[value]
    else:
        share = value / 20
    if share == 0:
        return None
    text = "a low hairline, small forehead, full hair"
    if share > 0:
        text = "a high receding hairline, large forehead"
    return Change(text, ("hair_line",), _between(0.5, 0.85, share))


_HAIR_COLOURS = ("black", "brown", "red", "blond", "gray")


def _hair_colour(face: Face, value: str | float) -> Change | None:
    colour = value if isinstance(value, str) else _HAIR_COLOURS[int(value)]
    if colour not in _HAIR_COLOURS:
        raise ValueError(f"{colour!r} is not one of {', '.join(_HAIR_COLOURS)}")
    others = ", ".join(f"{other} hair" for other in _HAIR_COLOURS if other != colour)
    return Change(f"{colour} hair", ("hair",), 0.75, others)


_MAKEUP: Mapping[str, Change | None] = {
    "light": Change("light natural makeup", ("skin",), 0.35),
    "heavy": Change("heavy glamorous makeup, lipstick, eye shadow", ("skin",), 0.5),
    "none": Change("no makeup, bare natural skin", ("skin",), 0.4, "makeup, lipstick, eye shadow"),
}


def _makeup(face: Face, value: str | float) -> Change | None:
    if isinstance(value, str):
        return _word(_MAKEUP, value)
    if value == 0:
        return None
    like = _MAKEUP["none" if value < 0 else "light" if value <= 5 else "heavy"]
    assert like is not None  # noqa: S101 - the table above has no empty entry
    return Change(like.prompt, like.regions, _between(0.3, 0.5, value / 10), like.avoid)


_ACTIONS: Mapping[str, Callable[[Face, str | float], Change | None]] = {
    "age": _age,
    "Beard": _beard,
    "diversity": _diversity,
    "expression": _expression,
    "gender": _gender,
    "glasses": _glasses,
    "hair_line": _hair_line,
    "haircolor": _hair_colour,
    "makeup": _makeup,
}
