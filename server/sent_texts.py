"""The texts of pictures in a body: they are dropped once the pictures are read, so none is in memory twice."""

from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class PictureText:
    """Marks a field that holds a picture, as an address or a data: URL, and that a stored job has too.

    Fields that a stored job leaves out (`exclude`) need no mark. blank: a valid value that stands for the
    picture once it is read.
    """

    blank: str = "data:,"


def without_sent_texts(body: M) -> M:
    """Return a body whose pictures have been read without their texts, at all depths.

    A file in base64 is a third larger than the file itself, which the job has beside its body. Lists keep
    their lengths.
    """
    changed = {}
    for name, field in type(body).model_fields.items():
        value = getattr(body, name)
        blanked = _blanked(value, field)
        if blanked is not value:
            changed[name] = blanked
    return body.model_copy(update=changed) if changed else body


def _blanked(value: Any, field: FieldInfo) -> Any:
    if field.exclude:
        return _blank(value, "")
    for mark in field.metadata:
        if isinstance(mark, PictureText):
            return _blank(value, mark.blank)
    if isinstance(value, BaseModel):
        return without_sent_texts(value)
    if isinstance(value, tuple) and any(isinstance(item, BaseModel) for item in value):
        return tuple(
            without_sent_texts(item) if isinstance(item, BaseModel) else item for item in value
        )
    return value


def _blank(value: Any, blank: str) -> Any:
    """Return a text as `blank`, and a tuple of texts as so many of them; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(_blank(item, blank) for item in value)
    return blank if isinstance(value, str) else value
