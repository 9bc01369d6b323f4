"""POST /v2/image/edit/remove_background: cut out the subject."""

from models.roles import MATTING
from pipelines.background_remove import background_remove
from server.operation import Operation, Preserve
from server.v2.fields import V2_IMAGE, ImageResult, V2AlphaBody, image_result, refuse_invisible

OPERATION = Operation(
    path="/image/edit/remove_background",
    summary="Remove the background",
    body=V2AlphaBody,
    pictures=(V2_IMAGE,),
    preserves=Preserve.ALPHA,
    needs=lambda models: (MATTING,),
    perform=lambda body, inputs, models: [
        background_remove(inputs.image, models, body.preserve_alpha)
    ],
    prepare=refuse_invisible,
    response=ImageResult,
    respond=image_result,
    version="v2",
)
