"""POST /v2/image/edit/crop_foreground: cut out the subject and crop the picture to it."""

from pydantic import Field

from models.roles import MATTING
from pipelines.common.opacity import visible_part
from pipelines.common.subject import subject_roles
from pipelines.crop import crop
from pipelines.errors import CropTooLargeError
from server.errors import TooLargeError
from server.operation import Operation, Preserve
from server.shared_fields import check_padding
from server.v2.fields import (
    V2_LIMITED_IMAGE,
    ImageResult,
    V2AlphaBody,
    image_result,
    refuse_invisible,
)


class CropForegroundBody(V2AlphaBody):
    """The fields of crop_foreground."""

    padding: int = Field(0, ge=0, description="Pixels of padding on all four sides.")
    force_background_detection: bool = Field(
        False,
        description="Ignore an alpha channel: detect the foreground in the colours alone, hidden ones included.",
    )


OPERATION = Operation(
    path="/image/edit/crop_foreground",
    summary="Crop out the foreground",
    body=CropForegroundBody,
    pictures=(V2_LIMITED_IMAGE,),
    preserves=Preserve.ALPHA,
    needs=lambda models: (MATTING,),
    roles=lambda body, inputs, models: subject_roles(
        visible_part(inputs.image, body.preserve_alpha), body.force_background_detection
    ),
    perform=lambda body, inputs, models: [
        crop(
            inputs.image,
            models,
            body.padding,
            body.force_background_detection,
            body.preserve_alpha,
        )
    ],
    check=lambda body, pictures: check_padding(pictures["image"].probe, body.padding),
    prepare=refuse_invisible,
    longest_side=lambda body, probe: max(probe.width, probe.height) + 2 * body.padding,
    refusals={CropTooLargeError: (TooLargeError, "With this padding the result is too large")},
    response=ImageResult,
    respond=image_result,
    version="v2",
)
