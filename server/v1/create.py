"""POST /v1/{visual_id}/create: change people of a visual."""

import zlib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from imaging.picture import Picture
from models.roles import FACE_ANALYSIS, FACE_EDITING, Models, require
from pipelines.common.resolution import fit_resolution
from pipelines.create import Change, create, scale_face
from pipelines.errors import BadActionError
from pipelines.people.actions import ACTIONS, Action, actions_for, check_action
from pipelines.person_info import Person, people
from server.errors import BadRequestError, CannotWorkError
from server.http.fields import FormList
from server.operation import ImageRes, Inputs, Operation, Preserve, VisualBody, image_res
from server.v1.resolutions import RESOLUTION_MEANING, Resolution

_MAX_CHANGES = 64


def _value_schema(action: Action) -> dict[str, Any]:
    """Return the JSON schema of the words and the numbers that an action accepts."""
    kind = "integer" if action.whole else "number"
    return {
        "anyOf": [
            {"type": "string", "enum": list(action.words)},
            {"type": kind, "minimum": action.low, "maximum": action.high},
        ]
    }


class PersonChange(BaseModel):
    """The changes to one person."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(max_length=64, description="Id of a person, from person/info.")
    actions: dict[str, Any] = Field(
        min_length=1,
        max_length=32,
        description="The value of each action: a word that the person offers, or a number.",
        json_schema_extra={"properties": {name: _value_schema(ACTIONS[name]) for name in ACTIONS}},
    )


class CreateBody(VisualBody):
    """The fields of create."""

    changes: Annotated[tuple[PersonChange, ...], FormList] = Field(
        min_length=1,
        max_length=_MAX_CHANGES,
        description="The people to change.",
        examples=[[{"id": "0123456789abcdef-1", "actions": {"expression": "happy"}}]],
    )
    desired_resolution: Resolution = Field("original", description=RESOLUTION_MEANING)


def prepare(body: CreateBody, inputs: Inputs, models: Models) -> CreateBody:
    """Refuse unknown people, a second change of a person, and actions that a person does not offer.

    A second change is one in this request, or one after an earlier edit that led to `sid`. Raises
    CannotWorkError, BadRequestError, BadActionError, and RoleNotInProfileError.
    """
    people_by_id = {person.id: person for person in _people(inputs, models)}
    seen = set(inputs.changed)
    for change in body.changes:
        if change.id in seen:
            raise BadRequestError(
                f"The person {change.id} has already been changed; send all changes of a person at once.",
                "changes",
            )
        seen.add(change.id)
        if change.id not in people_by_id:
            raise CannotWorkError(f"There is no person {change.id} in this visual.", "changes")
        for name, value in change.actions.items():
            # Without a model no action is offered, but wrong fields are named first, as everywhere.
            check_action(name, value, actions_for(people_by_id[change.id].face))
    require(models, FACE_EDITING)
    return body


def perform(body: CreateBody, inputs: Inputs, models: Models) -> list[Picture]:
    """Return the picture with all changes; people are found in the visual's original picture."""
    people_by_id = {person.id: person for person in _people(inputs, models)}
    factor = inputs.image.width / inputs.original().width
    changes = [
        Change(
            scale_face(people_by_id[change.id].face, factor),
            {
                name: check_action(name, value, people_by_id[change.id].actions)
                for name, value in change.actions.items()
            },
        )
        for change in body.changes
    ]
    # The API has no seed here; this one gives the same result for the same request.
    seed = zlib.crc32(inputs.visual_id.encode())
    result = create(inputs.image, models, changes, seed)
    return [fit_resolution(result, body.desired_resolution)]


def _people(inputs: Inputs, models: Models) -> list[Person]:
    return people(inputs.original().rgb, models, inputs.visual_id)


OPERATION = Operation(
    path="/{visual_id}/create",
    summary="Change people of a visual",
    body=CreateBody,
    preserves=Preserve.PIXELS,
    # Without a model for changes, wrong fields are named first, as everywhere.
    needs=lambda models: (FACE_ANALYSIS, FACE_EDITING),
    roles=lambda body, inputs, models: (FACE_ANALYSIS,),
    prepare=prepare,
    perform=perform,
    changes=lambda body: [change.id for change in body.changes],
    response=ImageRes,
    respond=image_res,
    refusals={
        BadActionError: (BadRequestError, "This change cannot be made"),
    },
)
