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
from pipelines.errors import BadInstructionError

EDIT, DESCRIPTION = "edit_instruction", "short_description"
"""The members with the text of an edit, and with that of a picture that is generated; names of FIBO's JSON."""
_ABOUT_INPUT = "input_description"
"""The member with what is in the first picture. It is no part of the prompt: it describes what was there."""
_MAX_DEPTH = 16
"""Deepest nesting of a structured instruction."""


def structured_instruction(instruction: str, pictures: Sequence[Picture], models: Models) -> str:
    """Return an instruction for pictures as JSON text, refined if the profile has a model for that.

    It is an object with `edit_instruction`, and with `input_description` if the profile has a captioning
    model. The same arguments give the same text.
    """
    about = _caption(pictures, models)
    text = refined(instruction, models, about, "edit") or instruction
    return _dumps({EDIT: text} | ({_ABOUT_INPUT: about} if about else {}))


def structured_prompt(prompt: str, models: Models) -> str:
    """Return a prompt for a new picture as JSON text, refined if the profile has a model for that."""
    return _dumps({DESCRIPTION: refined(prompt, models) or prompt})


def with_change(structured: str, change: str) -> str:
    """Return a structured prompt with an instruction that changes it; raises BadInstructionError."""
    return _dumps(parse_structured(structured) | {EDIT: change})


def parse_structured(structured: str) -> dict[str, Any]:
    """Return the object in a structured instruction.

    Raises BadInstructionError if it is no JSON object, says nothing or is nested deeper than 16 levels.
    """
    try:
        read = json.loads(structured)
    except (ValueError, RecursionError) as error:
        raise BadInstructionError("it is not JSON") from error
    if not isinstance(read, dict):
        raise BadInstructionError("it is not a JSON object")
    if _depth(read) > _MAX_DEPTH:
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
