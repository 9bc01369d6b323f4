"""POST /v2/image/edit/erase_foreground: remove the subject and fill the area behind it."""

from models.roles import INPAINTING, MATTING, SEGMENTATION
from pipelines.common.opacity import with_alpha
from pipelines.erase_foreground import erase_foreground
from server.operation import Operation, Preserve
from server.v2.fields import V2_LIMITED_IMAGE, ImageResult, V2AlphaBody, image_result

OPERATION = Operation(
    path="/image/edit/erase_foreground",
    summary="Erase the foreground",
    body=V2AlphaBody,
    pictures=(V2_LIMITED_IMAGE,),
    preserves=Preserve.PIXELS,
    needs=lambda models: (MATTING, SEGMENTATION, INPAINTING),
    perform=lambda body, inputs, models: [
        with_alpha(erase_foreground(inputs.image, models), body.preserve_alpha)
    ],
    response=ImageResult,
    respond=image_result,
    version="v2",
)
