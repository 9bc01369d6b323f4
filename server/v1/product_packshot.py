"""POST /v1/product/packshot: a product in the middle of 2000 x 2000 pixels."""

from pydantic import Field

from models.roles import MATTING
from pipelines.product_packshot import SIDE, product_packshot
from server.operation import Operation, Preserve
from server.v1.product_fields import (
    PRODUCT_IMAGE,
    BackgroundColour,
    ProductBody,
    colour_of,
    product_roles,
    refuse_invisible,
)


class ProductPackshotBody(ProductBody):
    """The fields of product/packshot."""

    background_color: BackgroundColour = Field(
        "#FFFFFF",
        description="A colour such as #FFFFFF, or transparent.",
        examples=["#F5F5F5"],
    )


OPERATION = Operation(
    path="/product/packshot",
    summary="Make a packshot of a product",
    body=ProductPackshotBody,
    pictures=(PRODUCT_IMAGE,),
    preserves=Preserve.ALPHA,
    prepare=refuse_invisible,
    needs=lambda models: (MATTING,),
    roles=product_roles,
    perform=lambda body, inputs, models: [
        product_packshot(inputs.image, models, colour_of(body.background_color), body.force_rmbg)
    ],
    longest_side=lambda body, probe: SIDE,
)
