"""How a published route and its fields are written down as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Place = Literal["body", "query", "path"]
Type = Literal[
    "string",
    "strings",
    "integer",
    "number",
    "boolean",
    "integers",
    "objects",
    "object",
    "word or number",
    "json",
    "decimal",
]
"""`strings`: one text or a list of them. `json`: a text that is a JSON object, or the object itself.
`decimal`: a number that need not be whole."""
Body = Literal["json", "multipart"]
Version = Literal["v1", "v2"]
LINK, TEXT, WHOLE, SEEDS = "a link", "a text", "a whole number", "a whole number or null"
TEXT_OR_NULL = "a text or null"
"""Kinds of values in a published answer; the whole numbers are seeds, ids and areas."""


@dataclass(frozen=True)
class Field:
    """One published field.

    path: its name; dots lead into objects, [] into lists. default: None if none is published.
    enum: the allowed words. low, high: the bounds. whole: whether decimals of a number are refused. place:
    the part of the request that contains it. required: whether a request without it is refused.
    """

    path: str
    type: Type
    default: object = None
    enum: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    whole: bool = False
    place: Place = "body"
    required: bool = False

    @property
    def name(self) -> str:
        """The name of the top-level field."""
        return self.path.partition("[")[0].partition(".")[0]


@dataclass(frozen=True)
class Route:
    """One published route.

    body: the content type of its example, None without a body. example: its fields; `URL` means the
    URL of a picture. answer: the documented keys and the kind of each value; a list of one kind means any
    number of them. In v2 these are the keys of `result`. needs_prompt_model: whether its example needs a
    generative model. version: of the API. synchronous: whether it has an answer with sync=true.
    """

    title: str
    method: Literal["GET", "POST"]
    path: str
    fields: tuple[Field, ...]
    answer: Any
    example: Mapping[str, Any]
    body: Body | None = "json"
    needs_prompt_model: bool = False
    version: Version = "v1"
    synchronous: bool = True

    @property
    def url(self) -> str:
        """The path of the route, with the version."""
        return f"/{self.version}{self.path}"

    @property
    def takes_picture(self) -> bool:
        """Whether the request contains a picture."""
        return any(
            field.path in ("file", "image", "scene", "person_image") for field in self.fields
        )
