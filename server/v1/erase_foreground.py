"""POST /v1/erase_foreground: remove the subject, or what a mask marks, and fill the area behind it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from imaging.picture import Picture
from models.roles import INPAINTING, MATTING, SEGMENTATION, Models, Role
from pipelines.common.opacity import with_alpha
from pipelines.erase_foreground import erase_foreground
from pipelines.eraser import eraser
from server.http.uploads import LIMITED_IMAGE, MASK, Encoded
from server.operation import EditBody, Inputs, Operation, Preserve
from server.shared_fields import check_mask
from server.v1.eraser import EraserBody

OPTIONAL_MASK = replace(MASK, required=False)
"""The rule of a mask that a request may leave out."""
ROLES: tuple[Role[Any], ...] = (MATTING, SEGMENTATION, INPAINTING)
"""The roles that the removal of the subject needs; with a mask it needs only the last one."""


class EraseForegroundBody(EraserBody):
    """The fields of erase_foreground; mask_type is used with a mask only."""


def check(body: EditBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse a mask with a different aspect ratio from the image's."""
    if "mask" in pictures:
        check_mask(body, pictures)


def perform(body: EraseForegroundBody, inputs: Inputs, models: Models) -> list[Picture]:
    """Return the picture without what the mask marks, or without its subject if there is no mask."""
    mask = inputs.masks.get("mask")
    if mask is None:
        erased = erase_foreground(inputs.image, models)
    else:
        erased = eraser(inputs.image, mask, models, body.mask_type)
    return [with_alpha(erased, body.preserve_alpha)]


OPERATION = Operation(
    path="/erase_foreground",
    summary="Erase the foreground",
    body=EraseForegroundBody,
    pictures=(LIMITED_IMAGE, OPTIONAL_MASK),
    preserves=Preserve.PIXELS,
    needs=lambda models: ROLES,
    roles=lambda body, inputs, models: (INPAINTING,) if "mask" in inputs.masks else ROLES,
    check=check,
    perform=perform,
)
