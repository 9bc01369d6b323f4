"""POST /v1/{visual_id}/create: people of a visual changed."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from models.base import Models
from pipelines.person_actions import check_action
from pipelines.person_info import people
from pipelines.picture import Picture
from server.errors import BadRequest, CannotWork
from server.operation import ImageRes, Keeps, Material, Operation, VisualBody, image_res
from server.v1.resolutions import Resolution

_MAX_CHANGES = 64


class PersonChange(BaseModel):
    """What is to change about one person."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(max_length=64, description="Of a person, from person/info.")
    actions: dict[str, Any] = Field(
        min_length=1, max_length=32, description="Each a word or number that the person offers."
    )


class CreateBody(VisualBody):
    """The fields of create."""

    changes: tuple[PersonChange, ...] = Field(min_length=1, max_length=_MAX_CHANGES)
    desired_resolution: Resolution = "original"


def prepare(body: CreateBody, given: Material, models: Models) -> None:
    """Refuse unknown people, one named twice, changes that a person does not offer; then everything.

    No model of today's profiles changes people. Raises CannotWork, BadRequest and BadAction.
    """
    known = {person.id: person for person in people(given.image.rgb, models, given.visual_id)}
    seen = set()
    for change in body.changes:
        if change.id in seen:
            raise BadRequest(f"The person {change.id} is named twice.", "changes")
        seen.add(change.id)
        if change.id not in known:
            raise CannotWork(f"There is no person {change.id} in this visual.", "changes")
        for name, value in change.actions.items():
            check_action(name, value, known[change.id].actions)
    raise CannotWork(
        "This server's profile has no model that changes people; the profiles open and bria have."
    )


def perform(_: CreateBody, __: Material, ___: Models) -> list[Picture]:
    """Have nothing to do: `prepare` refuses."""
    return []


OPERATION = Operation(
    path="/{visual_id}/create",
    summary="Change people of a visual",
    body=CreateBody,
    keeps=Keeps.PIXELS,
    prepare=prepare,
    perform=perform,
    response=ImageRes,
    respond=image_res,
)
