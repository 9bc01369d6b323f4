"""POST /v2/image/edit/erase: remove what a mask marks and fill the hole."""

from pydantic import Field

from imaging.picture import Picture
from models.roles import INPAINTING, Models
from pipelines.common.opacity import with_alpha
from pipelines.eraser import eraser
from server.operation import Inputs, Operation, Preserve
from server.shared_fields import MaskType, check_mask
from server.v2.fields import V2_IMAGE, V2_MASK, ImageResult, V2AlphaBody, image_result


class EraseBody(V2AlphaBody):
    """The fields of erase."""

    mask_type: MaskType = Field(
        "manual",
        description="Whether a person or an algorithm made the mask; an automatic one is grown a little.",
    )
    composite: bool = Field(
        False,
        description="Change nothing outside the mask: an automatic mask is not grown either. No pixel"
        " outside a manual one ever changes.",
    )


def perform(body: EraseBody, inputs: Inputs, models: Models) -> list[Picture]:
    """Return the picture without what the mask marks."""
    kind = "manual" if body.composite else body.mask_type
    erased = eraser(inputs.image, inputs.masks["mask"], models, kind)
    return [with_alpha(erased, body.preserve_alpha)]


OPERATION = Operation(
    path="/image/edit/erase",
    summary="Erase what a mask marks",
    body=EraseBody,
    pictures=(V2_IMAGE, V2_MASK),
    preserves=Preserve.PIXELS,
    needs=lambda models: (INPAINTING,),
    perform=perform,
    check=check_mask,
    response=ImageResult,
    respond=image_result,
    version="v2",
)
