"""POST /v2/image/edit/product/holding: a person holds products."""

from pydantic import ConfigDict, Field

from server.v2.people_with_pictures import Further, PersonBody, person_with_pictures


class HoldingBody(PersonBody):
    """The fields of product/holding."""

    model_config = ConfigDict(json_schema_extra={"required": ["product_images"]})

    product_images: Further = Field(
        (),
        description="What the person holds: one to three pictures, addresses or files in base64.",
        examples=[["https://example.com/product.png"]],
    )


OPERATION = person_with_pictures(
    "holding",
    "Put products into a person's hands",
    HoldingBody,
    "product_images",
    lambda body: body.product_images,
)
