"""POST /v1/{visual_id}/objects/remove: remove objects, selected by mask_id or by a drawn mask."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaging.masks import check_ratio
from imaging.picture import Picture
from models.roles import INPAINTING, Models, Role
from pipelines.common.resolution import fit_resolution
from pipelines.errors import NoSuchMaskError
from pipelines.objects_mask_generator import PANOPTIC_ROLES
from pipelines.objects_remove import objects_remove, union_of_drawn
from server.errors import (
    BadRequestError,
    CannotWorkError,
    FetchRefusedError,
    TooLargeError,
    map_errors,
)
from server.http.fields import FormList
from server.http.uploads import MASK, Encoded, Intake
from server.operation import ImageRes, Inputs, Operation, Preserve, VisualBody, image_res
from server.sent_texts import PictureText
from server.v1.resolutions import RESOLUTION_MEANING, Resolution

MAX_CHANGES = 255
"""The largest number of masks in a panoptic map."""
MAX_DRAWN = 16
"""The largest number of drawn masks in a request; together they may be as large as a body."""


class RemoveActions(BaseModel):
    """The actions on an object."""

    remove: bool = True


class RemoveChange(BaseModel):
    """One object, selected by a mask of mask_generator or by a mask in the request."""

    model_config = ConfigDict(frozen=True)

    mask_id: int | None = Field(None, ge=1, description="Id of a generated mask.")
    mask_url: Annotated[str | None, PictureText()] = Field(
        None, description="Address of a drawn mask; often a data: URL. White is removed."
    )
    mask_source: Literal["generated", "manual"] | None = None
    actions: RemoveActions = RemoveActions()

    @model_validator(mode="after")
    def _one_mask(self) -> "RemoveChange":
        if (self.mask_id is None) == (self.mask_url is None):
            raise ValueError("each change must have either a mask_id or a mask_url")
        return self


class ObjectsRemoveBody(VisualBody):
    """The fields of objects/remove; callers usually send all except `changes` in the query."""

    changes: Annotated[tuple[RemoveChange, ...], FormList] = Field(
        min_length=1,
        max_length=MAX_CHANGES,
        description="The objects to remove.",
        examples=[[{"mask_id": 1, "mask_source": "generated", "actions": {"remove": True}}]],
    )
    desired_resolution: Resolution = Field("original", description=RESOLUTION_MEANING)
    original_quality: bool = Field(
        False, description="Keep the picture's size and ignore desired_resolution."
    )
    enhance: bool = Field(
        False, description="Accepted and ignored: the quality is always the highest."
    )

    def removals(self) -> list[RemoveChange]:
        """Return the changes that ask for a removal."""
        return [change for change in self.changes if change.actions.remove]


async def gather(body: ObjectsRemoveBody, intake: Intake) -> Mapping[str, Encoded]:
    """Return the drawn masks; raises BadRequestError or TooLargeError if there are too many."""
    drawn = {
        f"changes.{index}.mask_url": change.mask_url
        for index, change in enumerate(body.changes)
        if change.actions.remove and change.mask_url is not None
    }
    if len(drawn) > MAX_DRAWN:
        raise BadRequestError(f"A request may have at most {MAX_DRAWN} drawn masks.", "changes")
    masks = {}
    for index, name in enumerate(drawn):
        rule = replace(MASK, url_fields=(name,))
        if (mask := await intake.picture(drawn, rule)) is not None:
            masks[f"mask {index}"] = mask
        if sum(len(mask.data) for mask in masks.values()) > intake.max_bytes:
            raise TooLargeError(
                f"The drawn masks are together larger than {intake.max_bytes // 2**20} MiB.",
                "changes",
            )
    return masks


def check(_: ObjectsRemoveBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse a mask with a different aspect ratio from the image's."""
    image = pictures["image"].probe
    for encoded in pictures.values():
        if encoded.is_mask:
            mask = encoded.probe
            with map_errors(parameter=encoded.sent_as):
                check_ratio((mask.width, mask.height), (image.width, image.height))


def roles(body: ObjectsRemoveBody, _: Inputs, __: Models) -> tuple[Role[Any], ...]:
    """Return the models that the removal needs; generated masks need those of the panoptic map."""
    generated = any(change.mask_id is not None for change in body.removals())
    return (*PANOPTIC_ROLES, INPAINTING) if generated else (INPAINTING,)


def perform(body: ObjectsRemoveBody, inputs: Inputs, models: Models) -> list[Picture]:
    """Return the picture without the objects, all removed in one fill."""
    # Before the panoptic map: a wrong mask is refused before that work.
    union = union_of_drawn(inputs.masks.values(), (inputs.image.width, inputs.image.height))
    drawn = [] if union is None else [union.view(np.uint8) * np.uint8(255)]
    ids = [change.mask_id for change in body.removals() if change.mask_id is not None]
    labels = inputs.labels() if ids else None
    result = objects_remove(inputs.image, models, labels, ids, drawn)
    return [result if body.original_quality else fit_resolution(result, body.desired_resolution)]


OPERATION = Operation(
    path="/{visual_id}/objects/remove",
    summary="Remove objects from a visual",
    body=ObjectsRemoveBody,
    in_query=("desired_resolution", "original_quality"),
    preserves=Preserve.PIXELS,
    gather=gather,
    check=check,
    needs=lambda models: (*PANOPTIC_ROLES, INPAINTING),
    roles=roles,
    perform=perform,
    response=ImageRes,
    respond=image_res,
    refusals={
        NoSuchMaskError: (CannotWorkError, "This visual has no such mask"),
    },
    further_codes=(FetchRefusedError.code,),
)
