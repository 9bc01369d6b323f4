"""POST /v2/image/edit/product/integrate: put products into a scene, each at its coordinates."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from imaging.files.header import Probe
from imaging.picture import Picture
from models.roles import INSTRUCTION_EDITING, MATTING, Models, Role
from pipelines.common.subject import has_product_cut_out, subject_roles
from pipelines.errors import OutsideCanvasError
from pipelines.product_integrate import MAX_PRODUCTS, Box, product_integrate
from server.errors import BadRequestError
from server.http.fields import is_absent
from server.http.uploads import IMAGE, Encoded, Intake
from server.listed_pictures import check_pixels, gather_listed
from server.operation import Inputs, Operation, Preserve, Results
from server.v2.fields import SeedBody, SeedResult, in_v2, seed_result
from server.v2.words import ModeratedBody

_MAX_DISTANCE = 100_000
"""Largest coordinate and side of a box, in pixels; real pictures need less."""
_SCENE = in_v2(IMAGE, "scene")


class Coordinates(BaseModel):
    """Where a product goes, in pixels of the scene."""

    model_config = ConfigDict(frozen=True)

    x: int = Field(ge=-_MAX_DISTANCE, le=_MAX_DISTANCE, description="Left edge of the product.")
    y: int = Field(ge=-_MAX_DISTANCE, le=_MAX_DISTANCE, description="Top edge of the product.")
    width: int = Field(ge=1, le=_MAX_DISTANCE, description="Width of the product.")
    height: int = Field(ge=1, le=_MAX_DISTANCE, description="Height of the product.")


class Product(BaseModel):
    """A product and its place."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"required": ["image", "coordinates"]})

    # Stored beside the body, so a stored job has no second copy in it; `gather` refuses a product without one.
    image: str = Field(
        "",
        exclude=True,
        description="The product: an address, or a file in base64. If its own alpha cuts it out, that is"
        " used, otherwise it is cut out.",
    )
    coordinates: Coordinates = Field(
        description="The box of the product alone, without what is empty around it. It may reach over the"
        " edge of the scene, and is not larger than the scene.",
        examples=[{"x": 120, "y": 300, "width": 240, "height": 320}],
    )


class IntegrateBody(ModeratedBody, SeedBody):
    """The fields of product/integrate."""

    products: tuple[Product, ...] = Field(
        min_length=1,
        max_length=MAX_PRODUCTS,
        description="The products; later ones are in front of earlier ones.",
        examples=[
            [
                {
                    "image": "https://example.com/product.png",
                    "coordinates": {"x": 120, "y": 300, "width": 240, "height": 320},
                }
            ]
        ],
    )


async def gather(body: IntegrateBody, intake: Intake) -> Mapping[str, Encoded]:
    """Return the pictures of the products, after a check of each.

    Raises BadRequestError for a product without one, and TooLargeError if they are too large together.
    """
    sent = {f"products.{number}.image": one.image for number, one in enumerate(body.products)}
    for name, picture in sent.items():
        if is_absent(picture):
            raise BadRequestError(f"{name} is required.", name)
    found = await gather_listed(sent, "products", partial(in_v2, IMAGE), intake)
    return dict(zip(sent, found, strict=True))


def check(body: IntegrateBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse boxes that are larger than the scene or outside it, and too many pixels."""
    for number, product in enumerate(body.products):
        _check_box(product.coordinates, pictures["image"].probe, f"products.{number}.coordinates")
    check_pixels(pictures, "products")


def _check_box(box: Coordinates, scene: Probe, name: str) -> None:
    size = f"the scene has {scene.width} x {scene.height} pixels"
    if box.width > scene.width or box.height > scene.height:
        raise BadRequestError(f"{name}: the box is larger than the scene; {size}.", name)
    is_beside = box.x >= scene.width or box.x + box.width <= 0
    if is_beside or box.y >= scene.height or box.y + box.height <= 0:
        raise BadRequestError(f"{name}: the box is outside the scene; {size}.", name)


def prepare(body: IntegrateBody, inputs: Inputs, _: Models) -> IntegrateBody:
    """Refuse a scene and products of which nothing is visible."""
    for name, picture in inputs.pictures.items():
        if picture.alpha is not None and not picture.alpha.any():
            sent_as = "scene" if name == "image" else name
            raise BadRequestError(f"{sent_as} is completely transparent.", sent_as)
    return body


def roles(_: IntegrateBody, inputs: Inputs, __: Models) -> Collection[Role[Any]]:
    """Return the model of edits, and that which cuts out, if a product needs it."""
    products = (picture for name, picture in inputs.pictures.items() if name != "image")
    return (*{role for picture in products for role in _roles_of(picture)}, INSTRUCTION_EDITING)


def _roles_of(product: Picture) -> tuple[Role[Any], ...]:
    return subject_roles(product, is_cut_out=has_product_cut_out)


def perform(body: IntegrateBody, inputs: Inputs, models: Models) -> Results:
    """Return the scene with the products."""
    products = [
        (inputs.pictures[f"products.{number}.image"], Box(**product.coordinates.model_dump()))
        for number, product in enumerate(body.products)
    ]
    return Results([product_integrate(inputs.image, products, models, body.seed)])


OPERATION = Operation(
    path="/image/edit/product/integrate",
    summary="Put products into a scene",
    body=IntegrateBody,
    pictures=(_SCENE,),
    preserves=Preserve.PIXELS,
    gather=gather,
    check=check,
    prepare=prepare,
    needs=lambda models: (MATTING, INSTRUCTION_EDITING),
    roles=roles,
    perform=perform,
    refusals={OutsideCanvasError: (BadRequestError, "A product lies outside the scene")},
    response=SeedResult,
    respond=seed_result,
    version="v2",
)
