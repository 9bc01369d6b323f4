"""POST /v1/objects/mask_generator, with a picture or for a visual: make a mask of each part."""

from pydantic import BaseModel, Field

from models.roles import Models
from pipelines.objects_mask_generator import PANOPTIC_ROLES, masks_zip
from server.http.uploads import LIMITED_IMAGE
from server.operation import EXAMPLE_LINK, Delivered, EditBody, Inputs, Operation, Preserve


class ObjectsMasks(BaseModel):
    """The link of the zip of masks."""

    objects_masks: str = Field(
        description="Address of the zip; it expires.", examples=[EXAMPLE_LINK.replace("png", "zip")]
    )


def perform(_: EditBody, inputs: Inputs, __: Models) -> list[bytes]:
    """Return the zip of the visual's masks."""
    return [masks_zip(inputs.labels(), inputs.visual_id)]


def respond(_: EditBody, delivered: Delivered) -> ObjectsMasks:
    """Return the answer with the zip's link."""
    return ObjectsMasks(objects_masks=str(delivered.links[0]))


OPERATION = Operation(
    path="/objects/mask_generator",
    summary="Get the masks of a picture",
    body=EditBody,
    pictures=(LIMITED_IMAGE,),
    registers=True,
    preserves=Preserve.PIXELS,
    needs=lambda models: PANOPTIC_ROLES,
    perform=perform,
    extension="zip",
    result_name=lambda visual_id: visual_id,
    response=ObjectsMasks,
    respond=respond,
)

OF_VISUAL = Operation(
    path="/{visual_id}/objects/mask_generator",
    summary="Get the masks of a visual",
    body=EditBody,
    preserves=Preserve.PIXELS,
    needs=lambda models: PANOPTIC_ROLES,
    perform=perform,
    extension="zip",
    result_name=lambda visual_id: visual_id,
    response=ObjectsMasks,
    respond=respond,
)
