"""POST /v1/background/blur: blur the background behind a sharp subject."""

from pydantic import Field

from models.roles import MATTING
from pipelines.background_blur import background_blur
from pipelines.common.opacity import with_alpha
from pipelines.common.subject import subject_roles
from server.http.uploads import LIMITED_IMAGE
from server.operation import Operation, Preserve
from server.v1.alpha import AlphaBody


class BackgroundBlurBody(AlphaBody):
    """The fields of background/blur."""

    scale: int = Field(5, ge=1, le=5, description="How blurred the background is.")
    force_rmbg: bool = Field(
        False,
        description="Ignore an alpha channel: detect the foreground in the colours alone, hidden ones included.",
    )


OPERATION = Operation(
    path="/background/blur",
    summary="Blur the background",
    body=BackgroundBlurBody,
    pictures=(LIMITED_IMAGE,),
    preserves=Preserve.FORMAT,
    needs=lambda models: (MATTING,),
    roles=lambda body, inputs, models: subject_roles(inputs.image, body.force_rmbg),
    perform=lambda body, inputs, models: [
        with_alpha(
            background_blur(inputs.image, models, body.scale, body.force_rmbg),
            body.preserve_alpha,
        )
    ],
)
