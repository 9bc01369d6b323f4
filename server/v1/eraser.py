"""POST /v1/eraser: remove what a mask marks and fill the hole."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from imaging.masks import check_ratio
from models.roles import INPAINTING
from pipelines.common.opacity import with_alpha
from pipelines.eraser import eraser
from server.errors import map_errors
from server.http.uploads import IMAGE, MASK, Encoded
from server.operation import EditBody, Operation, Preserve
from server.v1.alpha import AlphaBody


class EraserBody(AlphaBody):
    """The fields of eraser."""

    mask_type: Literal["manual", "automatic"] = Field(
        "manual", description="Whether a person or an algorithm made the mask."
    )


def check(_: EditBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse a mask with a different aspect ratio from the image's."""
    mask, image = pictures["mask"].probe, pictures["image"].probe
    with map_errors(parameter=pictures["mask"].sent_as):
        check_ratio((mask.width, mask.height), (image.width, image.height))


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
    check=check,
)
