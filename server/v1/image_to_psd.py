"""POST /v1/{visual_id}/image_to_psd: split a visual into the layers of a PSD file."""

from pydantic import BaseModel, Field

from models.roles import Models
from pipelines.errors import CanvasTooLongError
from pipelines.image_to_psd import image_to_psd
from server.errors import TooLargeError
from server.operation import Delivered, Inputs, Operation, Preserve, VisualBody


class PsdRes(BaseModel):
    """The link of the PSD file."""

    image_res: str = Field(description="Address of the PSD file; it expires.")


def perform(body: VisualBody, inputs: Inputs, models: Models) -> list[bytes]:
    """Return the PSD file; the visual's panoptic map is only used for its original picture."""
    labels = inputs.labels() if body.sid is None else None
    return [image_to_psd(inputs.image, models, labels)]


def respond(_: VisualBody, delivered: Delivered) -> PsdRes:
    """Return the answer with the file's link."""
    return PsdRes(image_res=str(delivered.links[0]))


OPERATION = Operation(
    path="/{visual_id}/image_to_psd",
    summary="Split a visual into layers",
    body=VisualBody,
    in_query=("sid",),
    preserves=Preserve.PIXELS,
    perform=perform,
    extension="psd",
    response=PsdRes,
    respond=respond,
    refusals={
        CanvasTooLongError: (TooLargeError, "The image is too large for a PSD file"),
    },
)
