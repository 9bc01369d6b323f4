"""POST /v1/{visual_id}/image_to_psd: split a visual into the layers of a PSD file."""

from typing import Any

from pydantic import BaseModel, Field

from models.roles import INPAINTING, Models, Role
from pipelines.common.subject import subject_roles
from pipelines.errors import CanvasTooLongError
from pipelines.image_to_psd import image_to_psd
from pipelines.objects_mask_generator import PANOPTIC_ROLES
from server.errors import TooLargeError
from server.operation import EXAMPLE_LINK, Delivered, Inputs, Operation, Preserve, VisualBody


class PsdRes(BaseModel):
    """The link of the PSD file."""

    image_res: str = Field(
        description="Address of the PSD file; it expires.",
        examples=[EXAMPLE_LINK.replace("png", "psd")],
    )


def roles(body: VisualBody, inputs: Inputs, _: Models) -> tuple[Role[Any], ...]:
    """Return the models that the layers need; a picture with transparent pixels is its own subject."""
    if subject_roles(inputs.image):
        return (*PANOPTIC_ROLES, INPAINTING)
    return PANOPTIC_ROLES if body.sid is None else ()


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
    needs=lambda models: (*PANOPTIC_ROLES, INPAINTING),
    roles=roles,
    perform=perform,
    extension="psd",
    response=PsdRes,
    respond=respond,
    refusals={
        CanvasTooLongError: (TooLargeError, "The image is too large for a PSD file"),
    },
)
