"""POST /v1/crop: cut out the subject and crop the picture to it."""

from collections.abc import Mapping

from pydantic import Field

from models.roles import MATTING
from pipelines.common.opacity import visible_part
from pipelines.common.subject import subject_roles
from pipelines.crop import crop
from pipelines.errors import CropTooLargeError
from server.errors import TooLargeError
from server.http.uploads import LIMITED_IMAGE, Encoded
from server.operation import Operation, Preserve
from server.shared_fields import check_padding
from server.v1.alpha import AlphaBody


class CropBody(AlphaBody):
    """The fields of crop."""

    padding: int = Field(0, ge=0, description="Pixels of padding on all four sides.")
    force_rmbg: bool = Field(
        False,
        description="Ignore an alpha channel: detect the foreground in the colours alone, hidden ones included.",
    )


def check(body: CropBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse a padding with which the result could exceed the largest size."""
    check_padding(pictures["image"].probe, body.padding)


OPERATION = Operation(
    path="/crop",
    summary="Crop out the foreground",
    body=CropBody,
    pictures=(LIMITED_IMAGE,),
    preserves=Preserve.ALPHA,
    needs=lambda models: (MATTING,),
    roles=lambda body, inputs, models: subject_roles(
        visible_part(inputs.image, body.preserve_alpha), body.force_rmbg
    ),
    perform=lambda body, inputs, models: [
        crop(inputs.image, models, body.padding, body.force_rmbg, body.preserve_alpha)
    ],
    check=check,
    longest_side=lambda body, probe: max(probe.width, probe.height) + 2 * body.padding,
    refusals={
        CropTooLargeError: (TooLargeError, "With this padding the result is too large"),
    },
)
