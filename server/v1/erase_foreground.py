"""POST /v1/erase_foreground: remove the subject and fill the area behind it."""

from models.roles import INPAINTING, MATTING, SEGMENTATION
from pipelines.common.opacity import with_alpha
from pipelines.erase_foreground import erase_foreground
from server.http.uploads import LIMITED_IMAGE
from server.operation import Operation, Preserve
from server.v1.alpha import AlphaBody

OPERATION = Operation(
    path="/erase_foreground",
    summary="Erase the foreground",
    body=AlphaBody,
    pictures=(LIMITED_IMAGE,),
    preserves=Preserve.PIXELS,
    needs=lambda models: (MATTING, SEGMENTATION, INPAINTING),
    perform=lambda body, inputs, models: [
        with_alpha(erase_foreground(inputs.image, models), body.preserve_alpha)
    ],
)
