"""Fields that hold one picture or a list of them: how they are read, bounded and described."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import WithJsonSchema

from server.errors import TooLargeError
from server.http.fields import is_absent
from server.http.uploads import Encoded, Intake, PictureRule

MAX_PIXELS = 100_000_000
"""Pixels of all pictures together that one request works with, besides its image."""


def parsed_list(value: Any) -> Any:
    """Return a list that a form sends as JSON text; any other value as it is."""
    if not (isinstance(value, str) and value.lstrip().startswith("[")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def listed(value: Any) -> Any:
    """Return one picture as a list of one, and a list without its blank items."""
    values = value if isinstance(value, list | tuple) else [value]
    return [item for item in values if not is_absent(item)]


def one_or_many(most: int) -> WithJsonSchema:
    """Return the schema of a field that is one picture or a list of up to `most`."""
    many = {"type": "array", "items": {"type": "string"}, "maxItems": most}
    return WithJsonSchema({"anyOf": [{"type": "string"}, many]})


def numbered(field: str, values: Sequence[str]) -> dict[str, str]:
    """Return each value by the name that errors call it: `images` alone, or `images.0` in a list."""
    if len(values) == 1:
        return {field: values[0]}
    return {f"{field}.{index}": value for index, value in enumerate(values)}


async def gather_listed(
    sent: Mapping[str, str], field: str, rule: Callable[[str], PictureRule], intake: Intake
) -> list[Encoded]:
    """Return the pictures of a field that is a list, in their order, after a check of each.

    sent: addresses or texts in base64, by the name that errors call each. rule: returns that of a picture
    with such a name. Raises TooLargeError if the files are together larger than a body may be.
    """
    pictures: list[Encoded] = []
    size = 0
    for name, value in sent.items():
        picture = await intake.picture({name: value}, rule(name))
        if picture is None:
            continue
        size += len(picture.data)
        if size > intake.max_bytes:
            limit = intake.max_bytes // 2**20
            raise TooLargeError(f"{field} are together larger than {limit} MiB.", field)
        pictures.append(picture)
    return pictures


def check_pixels(pictures: Mapping[str, Encoded], field: str) -> None:
    """Refuse pictures, besides the image, that have together more than MAX_PIXELS."""
    probes = [picture.probe for name, picture in pictures.items() if name != "image"]
    if sum(probe.width * probe.height for probe in probes) > MAX_PIXELS:
        raise TooLargeError(f"{field} have together more than {MAX_PIXELS} pixels.", field)
