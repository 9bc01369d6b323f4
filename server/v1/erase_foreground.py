"""POST /v1/erase_foreground: remove the subject and fill the area behind it."""

from models.roles import INPAINTING, MATTING, SEGMENTATION
from pipelines.erase_foreground import erase_foreground
from server.http.uploads import LIMITED_IMAGE
from server.operation import EditBody, Operation, Preserve

OPERATION = Operation(
    path="/erase_foreground",
    summary="Erase the foreground",
    body=EditBody,
    pictures=(LIMITED_IMAGE,),
    preserves=Preserve.PIXELS,
    needs=lambda models: (MATTING, SEGMENTATION, INPAINTING),
    perform=lambda body, inputs, models: [erase_foreground(inputs.image, models)],
)
