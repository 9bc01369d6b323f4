"""What every editing route is made of: its fields, its pictures, its work and its answer."""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from imaging.files.header import Probe
from imaging.picture import Labels, Picture
from models.roles import Models
from server.errors import Refusals
from server.http.uploads import Encoded, Intake, PictureRule


class EditBody(BaseModel):
    """The fields that every editing route takes, its pictures aside."""

    model_config = ConfigDict(frozen=True)

    sync: bool = Field(
        True, description="Wait for the result; false answers with the link at once."
    )
    content_moderation: bool = Field(
        False, description="Refuse inappropriate input and output with 422."
    )


class ResultUrl(BaseModel):
    """The answer of every route that gives one picture."""

    result_url: str = Field(description="Address of the result; it expires.")


B = TypeVar("B", bound=EditBody)
Seed = int

MAX_RESULT_PIXELS = 8192 * 8192
"""Largest result of any route, in pixels; the published page's bound of increase_resolution."""


MIN_SEED, MAX_SEED = -(2**63), 2**63 - 8
"""Seeds are 64-bit integers; the results of one request take up to four in a row."""


def seeds_of(seed: Seed, count: int) -> Sequence[Seed]:
    """Return the seed of each result: the request's own, then the next ones."""
    return range(seed, seed + count)


def random_seed() -> Seed:
    """Draw a seed for a caller who sent none; within 31 bits, so that every client reads it back."""
    return secrets.randbelow(2**31)


class Preserve(Enum):
    """What a result must not lose, which decides its format."""

    PIXELS = "pixels"
    """Pixels promised identical: a lossless format."""
    ALPHA = "alpha"
    """An alpha channel that the work makes: a lossless format that has one."""
    FORMAT = "format"
    """The input's format serves."""


class VisualBody(EditBody):
    """The fields that every editing route of a visual takes."""

    sid: str | None = Field(
        None, max_length=64, description="A result of this visual to start from."
    )


class ImageRes(BaseModel):
    """The answer of the routes that edit a visual."""

    image_res: str = Field(description="Address of the result; it expires.")
    sid: str = Field(description="With this name, further edits start from the result.")


@dataclass(frozen=True)
class Delivered:
    """Where the results of a request are.

    links: None where moderation blocked the result. keys: their names in the store. sid: of a result
    of a visual.
    """

    links: Sequence[str | None]
    keys: Sequence[str]
    sid: str = ""


def result_url(_: Any, delivered: Delivered) -> BaseModel:
    """Answer with the one link."""
    return ResultUrl(result_url=str(delivered.links[0]))


def image_res(_: Any, delivered: Delivered) -> BaseModel:
    """Answer with the one link and the name of the result."""
    return ImageRes(image_res=str(delivered.links[0]), sid=delivered.sid)


async def gather_none(_: Any, __: Intake) -> Mapping[str, Encoded]:
    """Bring in nothing."""
    return {}


def no_labels() -> Labels:
    """Stand for the map of an operation that has no visual."""
    raise LookupError("this operation has no visual")


def no_original() -> Picture:
    """Stand for the own picture of an operation that has no visual."""
    raise LookupError("this operation has no visual")


@dataclass(frozen=True)
class Inputs:
    """What an operation works on, decoded.

    pictures and masks (height x width, uint8) by the name of their rule. Of operations on a visual
    alone: visual_id; labels, which gives the panoptic map of the visual's own picture; original, which
    gives that picture; changed, the ids of the people whom earlier edits, on the way to `sid`, changed.
    """

    pictures: Mapping[str, Picture]
    masks: Mapping[str, NDArray[np.uint8]]
    visual_id: str = ""
    labels: Callable[[], Labels] = no_labels
    original: Callable[[], Picture] = no_original
    changed: frozenset[str] = frozenset()

    @property
    def image(self) -> Picture:
        """The picture that is edited."""
        return self.pictures["image"]


@dataclass(frozen=True)
class Operation(Generic[B]):
    """One editing route.

    path: below /v1; with {visual_id} in it, the image is that of a visual, or of its result `sid`.
    body: its fields and their bounds. pictures: which pictures it takes. registers: whether its image
    becomes a visual by itself. method: of HTTP. in_query: the fields that callers put into the query,
    as the OpenAPI document tells; every field is taken from query and body alike.
    gather: brings in pictures that the rules cannot name. check: refuses what only fields and picture
    headers together show. prepare: refuses what only decoding shows, and gives the body with what only
    the picture can tell filled in. All three run before any work.
    perform: the pipeline. refusals: what errors that this operation alone raises become, in all of the
    above and in jobs. further_codes: codes that the OpenAPI document names beyond those that follow from
    the fields and pictures. count: how many results it gives. changes: ids of the people it changes.
    longest_side: of its results, in pixels, which not every format can hold. extension: of results that
    are no pictures. result_name: from the visual_id, what the file of a result is called; empty for a
    name that nobody can guess. response: the type of the answer. respond: makes the answer out of the
    body and where the results are.
    """

    path: str
    summary: str
    body: type[B]
    keeps: Preserve
    perform: Callable[[B, Inputs, Models], Sequence[Picture | bytes]]
    pictures: tuple[PictureRule, ...] = ()
    registers: bool = False
    method: str = "POST"
    in_query: tuple[str, ...] = ()
    gather: Callable[[B, Intake], Awaitable[Mapping[str, Encoded]]] = gather_none
    check: Callable[[B, Mapping[str, Encoded]], None] = lambda body, pictures: None
    prepare: Callable[[B, Inputs, Models], B] = lambda body, inputs, models: body
    count: Callable[[B], int] = lambda body: 1
    longest_side: Callable[[B, Probe], int] = lambda body, probe: max(probe.width, probe.height)
    changes: Callable[[B], Sequence[str]] = lambda body: ()
    extension: str | None = None
    result_name: Callable[[str], str] = lambda visual_id: ""
    refusals: Refusals = field(default_factory=dict)
    further_codes: tuple[int, ...] = ()
    response: type[BaseModel] = ResultUrl
    respond: Callable[[B, Delivered], BaseModel] = result_url

    @property
    def name(self) -> str:
        """The operation's one name in every layer: `background_remove` for /background/remove."""
        return operation_name(self.path)

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
    """One route that tells something of a visual.

    answer: gives what is sent as JSON. response: its type, for the OpenAPI document.
    """

    path: str
    summary: str
    answer: Callable[[Inputs, Models], Any]
    response: Any

    @property
    def name(self) -> str:
        """The query's one name in every layer."""
        return operation_name(self.path)


def operation_name(path: str) -> str:
    """Name a route: `objects_remove` for /{visual_id}/objects/remove."""
    return path.replace("{visual_id}", "").strip("/").replace("/", "_")
