"""POST /v1/background/remove: cut out the subject."""

from models.roles import MATTING
from pipelines.background_remove import background_remove
from server.http.uploads import PHOTO
from server.operation import Operation, Preserve
from server.v1.alpha import AlphaBody

OPERATION = Operation(
    path="/background/remove",
    summary="Remove the background",
    body=AlphaBody,
    pictures=(PHOTO,),
    preserves=Preserve.ALPHA,
    needs=lambda models: (MATTING,),
    perform=lambda body, inputs, models: [
        background_remove(inputs.image, models, body.preserve_alpha)
    ],
)
