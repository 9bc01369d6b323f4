"""The parts of every editing route: its fields, its pictures, its work and its answer."""

import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from imaging.files.header import Probe
from imaging.picture import Labels, Picture
from models.roles import Models, Role
from server.errors import Refusals
from server.http.uploads import Encoded, Intake, PictureRule

MAX_WEBHOOK_URL = 2048
"""Longest address of a webhook, in characters."""
_IN_BRACES = re.compile(r"\{(\w+)\}")
"""A parameter in a path."""
Version = Literal["v1", "v2"]
"""A version of the API: the start of its paths."""


class RequestBody(BaseModel):
    """The fields that every editing route of both versions takes, besides its pictures."""

    model_config = ConfigDict(frozen=True)

    sync: bool = Field(
        True, description="Wait for the result; false answers with the link at once."
    )
    webhook_url: str | None = Field(
        None,
        max_length=MAX_WEBHOOK_URL,
        description="With sync=false: an address that is called with the result, or with the error.",
    )

    @property
    def warning(self) -> str | None:
        """What v2 tells the caller about a field that this server cannot follow; None for nothing."""
        return None

    @property
    def moderates_input(self) -> bool:
        """Whether a picture that the moderation model scores too high is refused."""
        return False

    @property
    def moderates_output(self) -> bool:
        """Whether a result that the moderation model scores too high is withheld."""
        return False

    @property
    def input_threshold(self) -> float | None:
        """The score, 0..1, from which a picture is refused; None: that of the server's settings."""
        return None

    @property
    def output_threshold(self) -> float | None:
        """The score, 0..1, from which a result is withheld; None: that of the server's settings."""
        return None


class EditBody(RequestBody):
    """The fields that every editing route of v1 takes, besides its pictures."""

    content_moderation: bool = Field(
        False, description="Refuse inappropriate input and output with 422."
    )

    @property
    def moderates_input(self) -> bool:
        """Whether a picture that the moderation model scores too high is refused."""
        return self.content_moderation

    @property
    def moderates_output(self) -> bool:
        """Whether a result that the moderation model scores too high is withheld."""
        return self.content_moderation


EXAMPLE_LINK = "http://127.0.0.1:8000/results/me/7d0c.png?expires=1795700000&signature=3k9f"
"""The form of a link, for the OpenAPI document."""


class ResultUrl(BaseModel):
    """The answer of every route with one picture as its result."""

    result_url: str = Field(
        description="Address of the result; it expires.",
        examples=[EXAMPLE_LINK],
    )


B = TypeVar("B", bound=RequestBody)
Seed = int

MAX_RESULT_PIXELS = 8192 * 8192
"""Largest result of any route, in pixels. The published page has this limit for increase_resolution."""


MIN_SEED, MAX_SEED = -(2**63), 2**63 - 8
"""Seeds are 64-bit integers. One request uses up to eight consecutive ones."""


def seeds_of(seed: Seed, count: int) -> Sequence[Seed]:
    """Return the seed of each result: first the request's seed, then the following numbers."""
    return range(seed, seed + count)


def random_seed() -> Seed:
    """Return a random seed for a request without one. It has 31 bits, so that every client can read it."""
    return secrets.randbelow(2**31)


class Preserve(Enum):
    """What the format of a result must preserve."""

    PIXELS = "pixels"
    """Some pixels stay identical to the input: a lossless format."""
    ALPHA = "alpha"
    """The result has an alpha channel: a lossless format with alpha."""
    FORMAT = "format"
    """The format of the input."""


class VisualBody(EditBody):
    """The fields that every editing route of a visual takes."""

    sid: str | None = Field(
        None, max_length=255, description="A result of this visual to start from."
    )


class ImageRes(BaseModel):
    """The answer of the routes that edit a visual."""

    image_res: str = Field(
        description="Address of the result; it expires.", examples=[EXAMPLE_LINK]
    )
    sid: str = Field(
        description="With this name, further edits start from the result.",
        examples=["0b1f6c1e-4c0e-4b57-9d55-0d6b2a6d6f3a.JPEG"],
    )


@dataclass(frozen=True)
class Delivered:
    """Where the results of a request are.

    links: of each result; None if moderation blocked it. keys: their names in the store. sid: the
    session id of an edited visual. unsafe: whether the moderation model scores each result at the
    threshold or above; False if the results are not scored or do not exist yet. details: those of
    `Results`; empty if the results do not exist yet.
    """

    links: Sequence[str | None]
    keys: Sequence[str]
    sid: str = ""
    unsafe: Sequence[bool] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """The results of an operation's work.

    files: pictures, or files of the operation's `extension`. details: what else the work found out for
    the answer, such as the prompt that was used; JSON values.
    """

    files: Sequence[Picture | bytes]
    details: Mapping[str, Any] = field(default_factory=dict)


def result_url(_: Any, delivered: Delivered) -> BaseModel:
    """Return an answer with the only link."""
    return ResultUrl(result_url=str(delivered.links[0]))


def image_res(_: Any, delivered: Delivered) -> BaseModel:
    """Return an answer with the only link and the sid."""
    return ImageRes(image_res=str(delivered.links[0]), sid=delivered.sid)


async def gather_none(_: Any, __: Intake) -> Mapping[str, Encoded]:
    """Return no additional pictures."""
    return {}


def no_labels() -> Labels:
    """Raise LookupError: without a visual there is no map."""
    raise LookupError("this operation has no visual")


def no_original() -> Picture:
    """Raise LookupError: without a visual there is no original picture."""
    raise LookupError("this operation has no visual")


@dataclass(frozen=True)
class Inputs:
    """The decoded input of an operation.

    pictures, masks (height x width, uint8): by the name of their rule. Only operations on a visual have
    the rest. visual_id: of the visual. labels: returns the panoptic map of the visual's own picture.
    original: returns that picture. changed: ids of the people that the earlier edits of `sid` changed.
    """

    pictures: Mapping[str, Picture]
    masks: Mapping[str, NDArray[np.uint8]]
    visual_id: str = ""
    labels: Callable[[], Labels] = no_labels
    original: Callable[[], Picture] = no_original
    changed: frozenset[str] = frozenset()

    @property
    def image(self) -> Picture:
        """The picture to edit."""
        return self.pictures["image"]


@dataclass(frozen=True)
class Operation(Generic[B]):
    """One editing route.

    path: below the version. With {visual_id} in it, the image is that of a visual, or its result `sid`;
    any other name in braces is a field of the body.
    summary: for the OpenAPI document. body: its fields and their bounds. preserves: what the format of
    the results must preserve. pictures: rules for the pictures that it takes. registers: whether its
    image also becomes a visual. method: of HTTP. in_query: fields that the OpenAPI document lists as
    query parameters; the server accepts every field in query and body.

    gather: returns pictures that the rules do not cover, by name. check: raises ApiError for problems
    that fields and picture headers show together. prepare: raises ApiError for problems that only the
    decoded pictures show; returns the body, with the values filled in that depend on the pictures. All
    three run before any work. needs: returns the roles that `perform` needs for an ordinary request;
    without one of them it is refused before any work. roles: returns those for these fields and
    pictures, where they differ; None: they never do. without: by role, what a profile that lacks it
    cannot do here, although the route works.

    perform: the pipeline. refusals: maps the errors that only this operation raises, in all of the
    functions above and in jobs. further_codes: codes for the OpenAPI document that do not follow from
    the fields and pictures. count: returns the number of results. changes: returns the ids of the
    people that it changes. scores_results: whether its answer says which results are unsafe; without
    content_moderation the results of sync=true are then scored too, if the profile has a model.
    longest_side: returns the longest side of its results in pixels; some formats are too small for it.
    extension: of results that are not pictures. extension_of: returns that of the pictures which the
    fields ask for; None if they ask for none. result_name: returns the file name of a result from
    the visual_id; empty means a random name. is_many: whether only the work shows how many results
    there are; `count` is then 1. response: the type of the answer; in v2 that of its `result`. respond:
    makes the answer from the body and the links. has_details: whether it tells more than its body and
    its results show (`Results.details`). version: of the API. is_always_asynchronous: whether sync=true is
    answered like sync=false; only in v2.
    """

    path: str
    summary: str
    body: type[B]
    preserves: Preserve
    perform: Callable[[B, Inputs, Models], Sequence[Picture | bytes] | Results]
    pictures: tuple[PictureRule, ...] = ()
    registers: bool = False
    method: str = "POST"
    in_query: tuple[str, ...] = ()
    gather: Callable[[B, Intake], Awaitable[Mapping[str, Encoded]]] = gather_none
    check: Callable[[B, Mapping[str, Encoded]], None] = lambda body, pictures: None
    prepare: Callable[[B, Inputs, Models], B] = lambda body, inputs, models: body
    needs: Callable[[Models], Collection[Role[Any]]] = lambda models: ()
    roles: Callable[[B, Inputs, Models], Collection[Role[Any]]] | None = None
    without: Mapping[Role[Any], str] = field(default_factory=dict)
    count: Callable[[B], int] = lambda body: 1
    longest_side: Callable[[B, Probe], int] = lambda body, probe: max(probe.width, probe.height)
    changes: Callable[[B], Sequence[str]] = lambda body: ()
    scores_results: bool = False
    extension: str | None = None
    extension_of: Callable[[B], str | None] = lambda body: None
    result_name: Callable[[str], str] = lambda visual_id: ""
    refusals: Refusals = field(default_factory=dict)
    further_codes: tuple[int, ...] = ()
    response: type[BaseModel] = ResultUrl
    respond: Callable[[B, Delivered], BaseModel] = result_url
    has_details: bool = False
    is_many: bool = False
    version: Version = "v1"
    is_always_asynchronous: bool = False

    @property
    def name(self) -> str:
        """The name of the operation in every layer: `background_remove` for /background/remove."""
        return operation_name(self.path)

    @property
    def url(self) -> str:
        """The path of the route."""
        return f"/{self.version}{self.path}"

    @property
    def key(self) -> str:
        """The name of the operation in a stored job."""
        return self.path if self.version == "v1" else self.url

    def required_roles(self, body: B, inputs: Inputs, models: Models) -> Collection[Role[Any]]:
        """Return the roles that a request needs."""
        return self.needs(models) if self.roles is None else self.roles(body, inputs, models)

    @property
    def file_extensions(self) -> Sequence[str]:
        """The kinds of files that it can answer with instead of JSON; none if no one file is its result."""
        if self.is_many or self.extension == "json":
            return ()
        if self.extension is not None:
            return (self.extension,)
        if "output_type" in self.body.model_fields:
            return get_args(self.body.model_fields["output_type"].annotation)
        # A result with transparency is never JPEG.
        return ("png", "webp") if self.preserves is Preserve.ALPHA else ("png", "webp", "jpeg")

    @property
    def in_path(self) -> tuple[str, ...]:
        """The fields of the body that the path holds."""
        return tuple(
            name for name in _IN_BRACES.findall(self.path) if name in self.body.model_fields
        )

    @property
    def of_visual(self) -> bool:
        """Whether it edits a registered picture."""
        return "{visual_id}" in self.path

    @property
    def makes_sid(self) -> bool:
        """Whether further edits can start from its result."""
        return self.of_visual and self.extension is None


@dataclass(frozen=True)
class VisualQuery:
    """One route that returns information about a visual.

    answer: returns what is sent as JSON. response: its type, for the OpenAPI document. needs: the roles
    that it needs for an ordinary picture. without: as in `Operation`.
    """

    path: str
    summary: str
    answer: Callable[[Inputs, Models], Any]
    response: Any
    needs: Collection[Role[Any]] = ()
    without: Mapping[Role[Any], str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the query in every layer."""
        return operation_name(self.path)


def operation_name(path: str) -> str:
    """Return the name of a route: `objects_remove` for /{visual_id}/objects/remove."""
    return _IN_BRACES.sub("", path).strip("/").replace("/", "_").replace("-", "_")
