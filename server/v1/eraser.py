"""POST /v1/eraser: what a mask marks is taken away and the hole filled."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from imaging.masks import check_ratio
from pipelines.eraser import eraser
from server.http.uploads import IMAGE, MASK, Encoded
from server.operation import EditBody, Operation, Preserve


class EraserBody(EditBody):
    """The fields of eraser."""

    mask_type: Literal["manual", "automatic"] = Field(
        "manual", description="Whether a person drew the mask, or an algorithm made it."
    )


def check(_: EditBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse a mask of another aspect ratio than the image's."""
    mask, image = pictures["mask"].probe, pictures["image"].probe
    check_ratio((mask.width, mask.height), (image.width, image.height))


OPERATION = Operation(
    path="/eraser",
    summary="Erase what a mask marks",
    body=EraserBody,
    pictures=(IMAGE, MASK),
    keeps=Preserve.PIXELS,
    perform=lambda body, inputs, models: [
        eraser(inputs.image, inputs.masks["mask"], models, body.mask_type)
    ],
    check=check,
)
