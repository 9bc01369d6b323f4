"""GET /v1/{visual_id}/info and its parts: describe the people, objects and background of a visual."""

from typing import Literal

from pydantic import BaseModel, Field

from models.roles import FACE_ANALYSIS, FACE_EDITING, MATTING
from pipelines.common.subject import subject_share
from pipelines.objects_mask_generator import PANOPTIC_ROLES
from pipelines.person_info import people
from pipelines.visual_info import background, info, objects
from server.operation import VisualQuery


class Rect(BaseModel):
    """A box in pixels; x and y are its upper left corner."""

    x: float
    y: float
    w: float
    h: float


class Entry(BaseModel):
    """A person, an object or the background of a visual."""

    actions: dict[str, list[str | int | bool]] = Field(
        description="The actions that this server's profile can do, and their values."
    )
    id: str
    labels: list[str] = Field(description="What is known about it.")
    oracle: dict[str, dict[str, str]] = Field(
        description="How likely each of these actions is to give a good result, high or low."
    )
    rect: Rect = Field(description="Its box; for a person, the box of the face.")
    type: Literal["person", "object", "background"]


_WITHOUT_FACE_EDITING = {FACE_EDITING: "people offer no actions"}

VISUAL_QUERIES = (
    VisualQuery(
        path="/{visual_id}/info",
        summary="Describe all parts of a visual",
        answer=lambda inputs, models: info(inputs.image, models, inputs.visual_id, inputs.labels()),
        response=list[Entry],
        needs=(FACE_ANALYSIS, *PANOPTIC_ROLES),
        without=_WITHOUT_FACE_EDITING,
    ),
    VisualQuery(
        path="/{visual_id}/person/info",
        summary="The people of a visual",
        answer=lambda inputs, models: [
            person.as_json() for person in people(inputs.image.rgb, models, inputs.visual_id)
        ],
        response=list[Entry],
        needs=(FACE_ANALYSIS,),
        without=_WITHOUT_FACE_EDITING,
    ),
    VisualQuery(
        path="/{visual_id}/objects/info",
        summary="The objects of a visual",
        answer=lambda inputs, models: objects(inputs.image.rgb, inputs.labels(), models),
        response=list[Entry],
        needs=PANOPTIC_ROLES,
    ),
    VisualQuery(
        path="/{visual_id}/background/info",
        summary="The background of a visual",
        answer=lambda inputs, models: background(
            inputs.image.rgb, subject_share(inputs.image, models)
        ),
        response=list[Entry],
        needs=(MATTING,),
    ),
)
