"""GET /v1/{visual_id}/increase_resolution and blur_bg: edits of a visual that existing clients call."""

from dataclasses import replace

from server.operation import ImageRes, VisualBody, image_res
from server.v1 import background_blur, image_increase_resolution


class IncreaseResolutionBody(image_increase_resolution.ImageIncreaseResolutionBody, VisualBody):
    """The fields of increase_resolution of a visual."""


class BlurBgBody(background_blur.BackgroundBlurBody, VisualBody):
    """The fields of blur_bg."""


INCREASE_RESOLUTION = replace(
    image_increase_resolution.OPERATION,
    path="/{visual_id}/increase_resolution",
    summary="Increase the resolution of a visual",
    body=IncreaseResolutionBody,
    pictures=(),
    method="GET",
    response=ImageRes,
    respond=image_res,
)
BLUR_BG = replace(
    background_blur.OPERATION,
    path="/{visual_id}/blur_bg",
    summary="Blur the background of a visual",
    body=BlurBgBody,
    pictures=(),
    method="GET",
    response=ImageRes,
    respond=image_res,
)
