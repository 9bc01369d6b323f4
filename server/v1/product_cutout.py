"""POST /v1/product/cutout: cut out a product and crop the picture to it."""

from models.roles import MATTING
from pipelines.product_cutout import product_cutout
from server.operation import Operation, Preserve
from server.v1.product_fields import (
    PRODUCT_IMAGE,
    ProductAlphaBody,
    product_roles,
    refuse_invisible,
)

OPERATION = Operation(
    path="/product/cutout",
    summary="Cut out a product",
    body=ProductAlphaBody,
    pictures=(PRODUCT_IMAGE,),
    preserves=Preserve.ALPHA,
    prepare=refuse_invisible,
    needs=lambda models: (MATTING,),
    roles=product_roles,
    perform=lambda body, inputs, models: [
        product_cutout(inputs.image, models, body.force_rmbg, body.preserve_alpha)
    ],
)
