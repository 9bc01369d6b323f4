"""What each action on a person means, as one table: the texts for both kinds of models, the regions, the strength.

Actions, words and ranges are those of `pipelines.people.actions`; a test compares both. Descriptions are for
models that inpaint, instructions for models that edit by words. None of the texts and strengths was tried
with full weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from models.backends.diffusion.face_regions import Region


@dataclass(frozen=True)
class Change:
    """One change of a face.

    prompt: describes the result. instruction: says what to do; it continues "Edit the person:".
    regions: where the change is. strength: 0..1, how much a model that inpaints may change. Above
    about 0.6 the face is no longer the same person's. avoid: describes what must not be visible.

    In the texts of a `Level`, {age} stands for the wanted age in years and {degree} for an adverb.
    """

    prompt: str
    instruction: str
    regions: tuple[Region, ...]
    strength: float
    avoid: str = ""


@dataclass(frozen=True)
class Level:
    """The meaning of a part of an action's numbers: from the previous level's end to `until`, included.

    change: with the strength at the end of the range. weakest: the strength next to 0.
    """

    until: float
    change: Change
    weakest: float


@dataclass(frozen=True)
class Years:
    """The meaning of a word that names an age."""

    age: int


@dataclass(frozen=True)
class Action:
    """One row: the meaning of an action's words and numbers.

    words: each is a change of its own, an age, or the same as a number; None changes nothing. kinds:
    of an action with whole numbers, the change of each from 0 on. Otherwise `low` is the lowest
    number, `levels` in rising order reach to the highest, and 0 changes nothing.
    """

    words: Mapping[str, Change | Years | float | None]
    kinds: tuple[Change, ...] = ()
    low: float = 0.0
    levels: tuple[Level, ...] = ()


_SMOOTH, _WRINKLED = "smooth youthful skin", "wrinkles, age lines"
_AGE = Action(
    words={"mid-20": Years(25), "mid-40": Years(45), "mid-60": Years(65)},
    low=-10,
    levels=(
        Level(
            0,
            Change(
                f"{{age}} years old, {_SMOOTH}",
                f"make the person {{age}} years old, with {_SMOOTH}",
                ("face",),
                0.6,
                _WRINKLED,
            ),
            0.35,
        ),
        Level(
            10,
            Change(
                f"{{age}} years old, {_WRINKLED}, greying hair",
                f"make the person {{age}} years old, with {_WRINKLED} and greying hair",
                ("face",),
                0.6,
                _SMOOTH,
            ),
            0.35,
        ),
    ),
)


def _beard(prompt: str, instruction: str, strength: float, avoid: str = "clean-shaven") -> Change:
    return Change(prompt, instruction, ("lower",), strength, avoid)


_CLEAN = ("clean-shaven, no facial hair", "remove all facial hair, for a clean-shaven face")
_TRIMMED = ("a short trimmed beard", "give the person a short trimmed beard")
_FULL = ("a long full beard and moustache", "give the person a long full beard and moustache")
_STUBBLE = ("very short stubble", "shorten the facial hair to very short stubble")
_BEARD = Action(
    words={
        "shaved": _beard(*_CLEAN, 0.85, "beard, moustache, stubble"),
        "medium": _beard(*_TRIMMED, 0.8),
        "full": _beard(*_FULL, 0.9),
    },
    low=-2,
    levels=(
        Level(-1, _beard(*_CLEAN, 0.85, "beard, moustache"), 0.5),
        Level(0, _beard(*_STUBBLE, 0.85, "beard, moustache"), 0.5),
        Level(1, _beard(*_TRIMMED, 0.9), 0.5),
        Level(2, _beard(*_FULL, 0.9), 0.5),
    ),
)

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
_LIKE = "change the facial features to those of a person of"
_DIVERSITY = Action(
    words={
        "original": None,
        "unsplash": Change(
            "natural look of a candid stock photograph",
            "give the face the natural look of a candid stock photograph",
            ("face",),
            0.45,
        ),
    }
    | {
        country: Change(
            f"of {people} ethnicity", f"{_LIKE} {people} ethnicity", ("face",), strength=0.6
        )
        for country, people in _COUNTRIES.items()
    },
    # A number names no country: it is the distance from the original look.
    levels=(
        Level(
            1,
            Change(
                "of mixed ethnic heritage",
                "change the facial features {degree}, towards a person of mixed ethnic heritage",
                ("face",),
                0.6,
            ),
            0.3,
        ),
    ),
)


def _expression(description: str) -> Change:
    instruction = f"change the facial expression to {description}"
    return Change(description, instruction, ("face",), 0.55, "neutral expression")


_EXPRESSION = Action(
    words={
        "happy": _expression("a happy joyful expression, laughing"),
        "surprised": _expression("a surprised expression, raised eyebrows, open mouth"),
        "dreaming": _expression("a dreamy expression, eyes half closed"),
        "angry": _expression("an angry expression, frowning"),
        "fear": _expression("a frightened expression, wide eyes"),
        "contempt": _expression("a contemptuous expression, one corner of the mouth raised"),
        "disgusted": _expression("a disgusted expression, wrinkled nose"),
        "sad": _expression("a sad expression, corners of the mouth down"),
        "smile": _expression("a gentle smile, mouth closed"),
    },
    # A number names no expression: it is the width of the smile.
    levels=(
        Level(0.5, _expression("a slight smile"), 0.35),
        Level(1, _expression("a smile"), 0.35),
        Level(1.5, _expression("a broad laughing smile"), 0.35),
    ),
)


def _gender(kind: str, other: str) -> Change:
    instruction = f"make the facial features {{degree}} more {kind}"
    return Change(
        f"{kind} facial features", instruction, ("face",), 0.6, f"{other} facial features"
    )


_GENDER = Action(
    words={"femininity": -10, "masculinity": 10},
    low=-10,
    levels=(
        Level(0, _gender("feminine", "masculine"), 0.35),
        Level(10, _gender("masculine", "feminine"), 0.35),
    ),
)


def _glasses(description: str, strength: float) -> Change:
    return Change(description, f"put {description} on the person", ("eyes",), strength)


_GLASSES = Action(
    words={"light": 2, "none": 0, "heavy": 4},
    kinds=(
        Change(
            "no glasses, bare eyes",
            "take off any glasses, so that the eyes are bare",
            ("eyes",),
            0.85,
            "glasses, spectacles, frames",
        ),
        _glasses("rimless glasses", 0.85),
        _glasses("glasses with a thin metal frame", 0.85),
        _glasses("glasses with a thin round frame", 0.85),
        _glasses("glasses with a thick black frame", 0.9),
        _glasses("glasses with a thick tortoiseshell frame", 0.9),
        _glasses("large glasses with a heavy dark frame", 0.9),
    ),
)


def _hair_line(description: str, direction: str) -> Change:
    instruction = f"move the hairline {{degree}} {direction}: {description}"
    return Change(description, instruction, ("hair_line",), 0.85)


_HAIR_LINE = Action(
    words={"high": 20, "low": -20},
    low=-20,
    levels=(
        Level(0, _hair_line("a low hairline, small forehead, full hair", "forward"), 0.5),
        Level(20, _hair_line("a high receding hairline, large forehead", "back"), 0.5),
    ),
)

_COLOURS = ("black", "brown", "red", "blond", "gray")


def _hair_colour(colour: str) -> Change:
    others = ", ".join(f"{other} hair" for other in _COLOURS if other != colour)
    instruction = f"change the colour of the hair to {colour}"
    return Change(f"{colour} hair", instruction, ("hair",), 0.75, others)


_HAIR_COLOUR = Action(
    words={colour: number for number, colour in enumerate(_COLOURS)},
    kinds=tuple(map(_hair_colour, _COLOURS)),
)


def _makeup(prompt: str, instruction: str, strength: float, avoid: str = "") -> Change:
    return Change(prompt, instruction, ("skin",), strength, avoid)


_BARE, _PAINT = "no makeup, bare natural skin", "makeup, lipstick, eye shadow"
_LIGHT = ("light natural makeup", "apply light natural makeup")
_HEAVY = (
    "heavy glamorous makeup, lipstick, eye shadow",
    "apply heavy glamorous makeup, with lipstick and eye shadow",
)
_MAKEUP = Action(
    words={
        "light": _makeup(*_LIGHT, 0.35),
        "heavy": _makeup(*_HEAVY, 0.5),
        "none": _makeup(_BARE, "remove all makeup, for bare natural skin", 0.4, _PAINT),
    },
    low=-10,
    levels=(
        Level(0, _makeup(_BARE, "reduce the makeup {degree}", 0.5, _PAINT), 0.3),
        Level(5, _makeup(*_LIGHT, 0.5), 0.3),
        Level(10, _makeup(*_HEAVY, 0.5), 0.3),
    ),
)

TABLE: Mapping[str, Action] = {
    "age": _AGE,
    "Beard": _BEARD,
    "diversity": _DIVERSITY,
    "expression": _EXPRESSION,
    "gender": _GENDER,
    "glasses": _GLASSES,
    "hair_line": _HAIR_LINE,
    "haircolor": _HAIR_COLOUR,
    "makeup": _MAKEUP,
}
