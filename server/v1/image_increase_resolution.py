"""POST /v1/image/increase_resolution: enlarge a picture two or four times."""

from collections.abc import Mapping

from pydantic import Field

from models.roles import SUPER_RESOLUTION
from pipelines.common.opacity import with_alpha
from pipelines.image_increase_resolution import image_increase_resolution
from server.errors import SideTooSmallError, TooLargeError
from server.http.uploads import PHOTO, Encoded
from server.operation import Operation, Preserve
from server.shared_fields import DesiredIncrease, check_enlarged
from server.v1.alpha import AlphaBody

MIN_SIDE = 216
"""Minimum width and height in pixels, from the published page."""


class ImageIncreaseResolutionBody(AlphaBody):
    """The fields of image/increase_resolution; they may also be in the query."""

    desired_increase: DesiredIncrease = Field(2, description="The resolution multiplier.")


def check(body: ImageIncreaseResolutionBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse a picture that is too small, or one with a result that would be too large."""
    probe, sent_as = pictures["image"].probe, pictures["image"].sent_as
    if min(probe.width, probe.height) < MIN_SIDE:
        raise SideTooSmallError(
            f"{sent_as} has {probe.width} x {probe.height} pixels;"
            f" each side must have at least {MIN_SIDE}.",
            sent_as,
        )
    check_enlarged(probe, body.desired_increase)


OPERATION = Operation(
    path="/image/increase_resolution",
    summary="Increase the resolution",
    body=ImageIncreaseResolutionBody,
    pictures=(PHOTO,),
    in_query=("desired_increase",),
    preserves=Preserve.FORMAT,
    needs=lambda models: (SUPER_RESOLUTION,),
    perform=lambda body, inputs, models: [
        with_alpha(
            image_increase_resolution(inputs.image, models, body.desired_increase),
            body.preserve_alpha,
        )
    ],
    check=check,
    longest_side=lambda body, probe: max(probe.width, probe.height) * body.desired_increase,
    further_codes=(SideTooSmallError.code, TooLargeError.code),
)
