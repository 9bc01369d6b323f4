"""POST /v2/image/edit/product/cutout: cut out a product and crop the picture to it."""

from typing import Annotated

from pydantic import Field

from imaging.picture import Picture
from models.roles import MATTING, Models
from pipelines.common.opacity import opaque, visible_part
from pipelines.common.subject import has_product_cut_out, subject_roles
from pipelines.product_cutout import product_cutout
from server.operation import Inputs, Operation, Preserve
from server.v1.product_fields import Sku
from server.v2.fields import (
    V2_LIMITED_IMAGE,
    ImageResult,
    V2AlphaBody,
    image_result,
    refuse_invisible,
)
from server.v2.words import OutputType

Percent = Annotated[float, Field(ge=0, le=100)]
_OWN = 80.0
"""The published default; here it stands for the server's own threshold, whose default is the same."""
_THRESHOLD = (
    "Score of the moderation model, in percent, from which {}. 80, as without it, stands for the server's"
    " own threshold, RETOUCH_MODERATION_THRESHOLD."
)


class ProductCutoutBody(V2AlphaBody):
    """The fields of product/cutout."""

    sku: Sku = ""
    force_background_detection: bool = Field(
        False,
        description="Ignore an alpha channel: detect the product in the colours alone, hidden ones included.",
    )
    output_type: OutputType = Field(
        "png", description="The format of the result; in a jpeg the product is on white."
    )
    visual_input_content_moderation_threshold: Percent = Field(
        _OWN, description=_THRESHOLD.format("the image is refused")
    )
    visual_output_content_moderation_threshold: Percent = Field(
        _OWN, description=_THRESHOLD.format("the result is withheld")
    )

    @property
    def input_threshold(self) -> float | None:
        """The score, 0..1, from which a picture is refused; None: that of the server's settings."""
        return _share(self.visual_input_content_moderation_threshold)

    @property
    def output_threshold(self) -> float | None:
        """The score, 0..1, from which a result is withheld; None: that of the server's settings."""
        return _share(self.visual_output_content_moderation_threshold)


def _share(percent: float) -> float | None:
    """Return a threshold as a share; None for the default, with which the server's own holds."""
    return None if percent == _OWN else percent / 100


def perform(body: ProductCutoutBody, inputs: Inputs, models: Models) -> list[Picture]:
    """Return the product alone; on white for a jpeg."""
    cut = product_cutout(inputs.image, models, body.force_background_detection, body.preserve_alpha)
    return [opaque(cut) if body.output_type == "jpeg" else cut]


OPERATION = Operation(
    path="/image/edit/product/cutout",
    summary="Cut out a product",
    body=ProductCutoutBody,
    pictures=(V2_LIMITED_IMAGE,),
    preserves=Preserve.ALPHA,
    needs=lambda models: (MATTING,),
    roles=lambda body, inputs, models: subject_roles(
        visible_part(inputs.image, body.preserve_alpha),
        body.force_background_detection,
        has_product_cut_out,
    ),
    perform=perform,
    prepare=refuse_invisible,
    extension_of=lambda body: body.output_type,
    response=ImageResult,
    respond=image_result,
    version="v2",
)
