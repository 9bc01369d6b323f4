"""POST /v2/image/segment/all_masks: a mask of everything in a picture."""

from pydantic import BaseModel, Field

from models.roles import Models
from pipelines.all_masks import all_masks
from pipelines.objects_mask_generator import PANOPTIC_ROLES
from server.operation import EXAMPLE_LINK, Delivered, Inputs, Operation, Preserve, Results
from server.v2.fields import V2_LIMITED_IMAGE, V2Body


class AllMasksBody(V2Body):
    """The fields of all_masks."""

    visual_output_content_moderation: bool = Field(
        False, description="Accepted, and needs a model for it; masks show nothing that is refused."
    )


class Mask(BaseModel):
    """One mask."""

    id: int = Field(description="From 1, the surest first.", examples=[1])
    area: int = Field(description="White pixels.", examples=[48211])
    confidence: float = Field(description="0 to 1; higher is surer.", examples=[0.97])
    image_url: str = Field(
        description="Address of the mask, a PNG file in the image's size, 255 and 0; it expires.",
        examples=[EXAMPLE_LINK],
    )


class AllMasksResult(BaseModel):
    """The result of all_masks."""

    masks: list[Mask] = Field(description="They overlap and nest.")


def perform(_: AllMasksBody, inputs: Inputs, models: Models) -> Results:
    """Return the files of the masks, and what the answer says about each."""
    masks = all_masks(inputs.image, models)
    about = [{"id": mask.id, "area": mask.area, "confidence": mask.confidence} for mask in masks]
    return Results([mask.png for mask in masks], {"masks": about})


def respond(_: AllMasksBody, delivered: Delivered) -> AllMasksResult:
    """Return each mask with its link."""
    about = delivered.details["masks"]
    return AllMasksResult(
        masks=[
            Mask(**mask, image_url=str(link))
            for mask, link in zip(about, delivered.links, strict=True)
        ]
    )


OPERATION = Operation(
    path="/image/segment/all_masks",
    summary="Get the masks of a picture",
    body=AllMasksBody,
    pictures=(V2_LIMITED_IMAGE,),
    preserves=Preserve.PIXELS,
    needs=lambda models: PANOPTIC_ROLES,
    perform=perform,
    extension="png",
    response=AllMasksResult,
    respond=respond,
    has_details=True,
    is_many=True,
    version="v2",
)
