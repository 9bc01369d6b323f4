"""POST /v1/eraser: remove what a mask marks and fill the hole."""

from pydantic import Field

from models.roles import INPAINTING
from pipelines.common.opacity import with_alpha
from pipelines.eraser import eraser
from server.http.uploads import IMAGE, MASK
from server.operation import Operation, Preserve
from server.shared_fields import MaskType, check_mask
from server.v1.alpha import AlphaBody


class EraserBody(AlphaBody):
    """The fields of eraser."""

    mask_type: MaskType = Field(
        "manual", description="Whether a person or an algorithm made the mask."
    )


OPERATION = Operation(
    path="/eraser",
    summary="Erase what a mask marks",
    body=EraserBody,
    pictures=(IMAGE, MASK),
    preserves=Preserve.PIXELS,
    # Segmentation and faces are used where the profile has them; without, more may be copied.
    needs=lambda models: (INPAINTING,),
    perform=lambda body, inputs, models: [
        with_alpha(
            eraser(inputs.image, inputs.masks["mask"], models, body.mask_type),
            body.preserve_alpha,
        )
    ],
    check=check_mask,
)
