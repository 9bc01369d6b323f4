"""POST /v2/image/edit/blur_background: blur the background behind a sharp subject."""

from pydantic import Field

from models.roles import MATTING
from pipelines.background_blur import background_blur
from pipelines.common.opacity import with_alpha
from pipelines.common.subject import subject_roles
from server.operation import Operation, Preserve
from server.v2.fields import V2_LIMITED_IMAGE, ImageResult, V2AlphaBody, image_result


class BlurBackgroundBody(V2AlphaBody):
    """The fields of blur_background."""

    scale: int = Field(5, ge=1, le=5, description="How blurred the background is.")


OPERATION = Operation(
    path="/image/edit/blur_background",
    summary="Blur the background",
    body=BlurBackgroundBody,
    pictures=(V2_LIMITED_IMAGE,),
    preserves=Preserve.FORMAT,
    needs=lambda models: (MATTING,),
    roles=lambda body, inputs, models: subject_roles(inputs.image, False),
    perform=lambda body, inputs, models: [
        with_alpha(background_blur(inputs.image, models, body.scale), body.preserve_alpha)
    ],
    response=ImageResult,
    respond=image_result,
    version="v2",
)
