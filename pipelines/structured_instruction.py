"""Structured instructions: a caller's words as JSON text, and the prompt that a model gets from it.

An edit always goes from the words to the structured instruction, and from that to the prompt. So the
structured instruction of a result, sent with the same pictures, mask and seed, makes the same result again.
"""

import json
from collections.abc import Sequence
from typing import Any

from imaging.picture import Picture
from models.roles import CAPTIONING, Models
from pipelines.common.opacity import opaque
from pipelines.common.prompts import refined
from pipelines.errors import BadInstructionError, NoDescriptionError

EDIT, DESCRIPTION = "edit_instruction", "short_description"
"""The members with the text of an edit, and with that of a picture that is generated; names of FIBO's JSON."""
_ABOUT_INPUT = "input_description"
"""The member with what is in the first picture. It is no part of the prompt: it describes what was there."""
_REFERENCE, _STYLE = "reference_description", "artistic_style"
"""The members with what is in the picture that inspires a new one, and with the style, a name of FIBO's JSON."""
_MAX_DEPTH = 16
"""Deepest nesting of a structured instruction."""


def structured_instruction(
    instruction: str, pictures: Sequence[Picture], models: Models, *, refine: bool = True
) -> str:
    """Return an instruction for pictures as JSON text, refined if the profile has a model for that.

    It is an object with `edit_instruction`, and with `input_description` if the profile has a captioning
    model. refine: False keeps the instruction as it is, such as one of `pipelines.instructions`. The same
    arguments give the same text.
    """
    about = _caption(pictures, models)
    wish = instruction if refine else ""
    text = refined(wish, models, about, "edit") or instruction
    return _dumps({EDIT: text} | ({_ABOUT_INPUT: about} if about else {}))


def structured_prompt(prompt: str, models: Models, pictures: Sequence[Picture] = ()) -> str:
    """Return what a new picture is to show, as JSON text, refined if the profile has a model for that.

    prompt: may be blank with a picture. pictures: at most one, which the new picture is inspired by: its
    caption alone counts, so that the text makes the result again without it. It needs a captioning model.
    Raises NoDescriptionError if there is no prompt and that model has no words for the picture.
    """
    about = _caption(pictures, models)
    text = prompt if prompt.strip() else about
    if not text.strip():
        raise NoDescriptionError
    beside = {_REFERENCE: about} if about.strip() and text != about else {}
    return _dumps({DESCRIPTION: refined(text, models, beside.get(_REFERENCE, "")) or text} | beside)


def with_change(structured: str, change: str) -> str:
    """Return a structured prompt with an instruction that changes it, after any that it has already.

    Raises BadInstructionError.
    """
    members = parse_structured(structured)
    earlier = members.get(EDIT)
    changes = [earlier, change] if isinstance(earlier, str) and earlier.strip() else [change]
    return _dumps(members | {EDIT: "; ".join(changes)})


def with_style(structured: str, style: str) -> str:
    """Return a structured prompt with another artistic style; raises BadInstructionError."""
    return _dumps(parse_structured(structured) | {_STYLE: style})


def parse_structured(structured: str) -> dict[str, Any]:
    """Return the object in a structured instruction.

    Raises BadInstructionError if it is no JSON object, says nothing or is nested deeper than 16 levels.
    """
    try:
        read = json.loads(structured)
        depth = _depth(read)
        # Escapes can hide halves of characters, and 1e999 is infinite: neither can be stored or sent back.
        text = json.dumps(read, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, RecursionError) as error:
        raise BadInstructionError("it is not JSON") from error
    if "\\u0000" in text:
        raise BadInstructionError("it holds characters that are not text")
    if not isinstance(read, dict):
        raise BadInstructionError("it is not a JSON object")
    if depth > _MAX_DEPTH:
        raise BadInstructionError(f"it is nested deeper than {_MAX_DEPTH} levels")
    if not _prompt(read):
        raise BadInstructionError("it is empty")
    return read


def prompt_of(structured: str) -> str:
    """Return the prompt for a model: the text of the edit or the description, then all else as JSON.

    The language models that encode prompts read JSON as well as sentences. Raises BadInstructionError.
    """
    return _prompt(parse_structured(structured))


def _prompt(members: dict[str, Any]) -> str:
    texts = [members[name] for name in (EDIT, DESCRIPTION) if isinstance(members.get(name), str)]
    rest = {
        name: value
        for name, value in members.items()
        if name != _ABOUT_INPUT and not (name in (EDIT, DESCRIPTION) and isinstance(value, str))
    }
    return "\n".join([text for text in texts if text.strip()] + ([_dumps(rest)] if rest else []))


def _depth(value: Any) -> int:
    """Return how deep lists and objects are nested; the recursion limit of `json` bounds it."""
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def _caption(pictures: Sequence[Picture], models: Models) -> str:
    """Return what is in the first picture; empty without a picture or a model for it."""
    if not pictures or not models.offers(CAPTIONING):
        return ""
    with models.use(CAPTIONING) as captioning:
        return captioning.caption(opaque(pictures[0]).rgb)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
