"""Fields and checks that routes of both versions have, besides those of `server.geometry_fields`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from imaging.files.header import Probe
from imaging.masks import check_ratio
from server.errors import TooLargeError, map_errors
from server.http.uploads import Encoded
from server.operation import MAX_RESULT_PIXELS

MaskType = Literal["manual", "automatic"]
ABOUT_MODE = (
    "fast: faster, with slightly lower quality, and without what must not be generated. The other two give"
    " the same result: there is one model for both."
)
"""Describes a field of `pipelines.background_replace.Mode`."""


def _two_or_four(value: int) -> int:
    if value not in (2, 4):
        raise ValueError("the possible values are 2 and 4")
    return value


DesiredIncrease = Annotated[
    int, AfterValidator(_two_or_four), Field(json_schema_extra={"enum": [2, 4]})
]


def check_mask(_: Any, pictures: Mapping[str, Encoded]) -> None:
    """Refuse a mask with a different aspect ratio from the image's."""
    mask, image = pictures["mask"].probe, pictures["image"].probe
    with map_errors(parameter=pictures["mask"].sent_as):
        check_ratio((mask.width, mask.height), (image.width, image.height))


def check_enlarged(image: Probe, desired_increase: int) -> None:
    """Refuse a picture whose enlarged result would exceed the largest size."""
    if image.width * image.height * desired_increase**2 > MAX_RESULT_PIXELS:
        raise TooLargeError(
            f"The result would have more than 8192 x 8192 pixels: {image.width} x {image.height}"
            f" enlarged {desired_increase} times.",
            "desired_increase",
        )


def check_padding(image: Probe, padding: int) -> None:
    """Refuse a padding with which the result could exceed the largest size."""
    width, height = image.width + 2 * padding, image.height + 2 * padding
    if padding and width * height > MAX_RESULT_PIXELS:
        raise TooLargeError(
            f"With this padding the result could have more than {MAX_RESULT_PIXELS} pixels.",
            "padding",
        )
