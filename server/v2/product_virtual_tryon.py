"""POST /v2/image/edit/product/virtual-tryon: a person wears other clothes."""

from pydantic import ConfigDict, Field

from server.v2.people_with_pictures import Further, PersonBody, person_with_pictures


class VirtualTryonBody(PersonBody):
    """The fields of product/virtual-tryon."""

    model_config = ConfigDict(json_schema_extra={"required": ["garment_images"]})

    garment_images: Further = Field(
        (),
        description="What the person wears: one to three pictures, addresses or files in base64.",
        examples=[["https://example.com/garment.png"]],
    )


OPERATION = person_with_pictures(
    "virtual-tryon",
    "Dress a person",
    VirtualTryonBody,
    "garment_images",
    lambda body: body.garment_images,
)
