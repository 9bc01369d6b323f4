"""POST /v1/product/shadow: a shadow below a product."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from imaging.files.header import Probe
from imaging.picture import Picture
from imaging.shadows import ShadowShape, reach
from models.roles import MATTING, Models
from pipelines.errors import CanvasTooLargeError
from pipelines.product_shadow import ShadowStyle, product_shadow
from server.errors import TooLargeError
from server.geometry_fields import FormPair
from server.operation import Inputs, Operation, Preserve
from server.v1.product_fields import (
    PRODUCT_IMAGE,
    BackgroundColour,
    HexColour,
    ProductAlphaBody,
    colour_of,
    product_roles,
    refuse_invisible,
)

ShadowType = Literal["regular", "float"]
MAX_OFFSET, MAX_BLUR, MAX_ELLIPSE = 1000, 500, 5000
"""Largest offset, blur, and side of the ellipse of a floating shadow, in pixels."""
_BLUR = {"regular": 15, "float": 20}
_SYNONYMS = {"natural": "regular", "drop": "regular"}


def _type(value: Any) -> Any:
    """Return a type in lower case; programs also send the words that their own forms show."""
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    return _SYNONYMS.get(word, word)


Offset = Annotated[int, Field(ge=-MAX_OFFSET, le=MAX_OFFSET)]
Type = Annotated[
    ShadowType,
    BeforeValidator(_type),
    WithJsonSchema({"type": "string", "enum": ["regular", "float"]}),
]


def _other_type(value: Any) -> Any:
    """Return a type; programs have forms with words of their own, which the hosted API never reads."""
    word = _type(value)
    return "regular" if isinstance(word, str) and word not in _BLUR else word


OtherType = Annotated[
    ShadowType,
    BeforeValidator(_other_type),
    WithJsonSchema({"type": "string", "enum": ["regular", "float"]}),
]


class ProductShadowBody(ProductAlphaBody):
    """The fields of product/shadow."""

    type: Type = Field(
        "regular",
        description="regular: the product stands on the ground. float: it floats above an elliptic shadow.",
    )
    shadow_type: OtherType | None = Field(
        None, description="Another name of type, for a request without it."
    )
    background_color: BackgroundColour | None = Field(
        None,
        description="A colour such as #FFFFFF; transparent, as without it, gives a transparent background.",
        examples=["#FFFFFF"],
    )
    shadow_color: HexColour = Field("#000000", description="A colour such as #000000.")
    shadow_offset: Annotated[tuple[Offset, Offset], FormPair] = Field(
        (0, 15), description="Pixels to the right and down by which the shadow is drawn out."
    )
    shadow_intensity: int = Field(
        60, ge=0, le=100, description="Darkness of the shadow in percent; 0 draws none."
    )
    shadow_blur: int | None = Field(
        None,
        ge=0,
        le=MAX_BLUR,
        description="Softness of the shadow's edges in pixels; 15 if absent, 20 with type float.",
    )
    shadow_width: int | None = Field(
        None,
        ge=-MAX_ELLIPSE,
        le=MAX_ELLIPSE,
        description="Width of the shadow in pixels, with type float only. 0 or less, as without it: 80 % of the"
        " product.",
    )
    shadow_height: int = Field(
        70,
        ge=-MAX_ELLIPSE,
        le=MAX_ELLIPSE,
        description="Height of the shadow in pixels, with type float only; 0 or less draws none.",
    )

    @model_validator(mode="before")
    @classmethod
    def _take_the_other_name(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or "type" in fields:
            return fields
        other = fields.get("shadow_type")  # one that is no text is refused under its own name
        return {**fields, "type": _other_type(other)} if isinstance(other, str) else fields

    @property
    def style(self) -> ShadowStyle:
        """How the shadow looks."""
        blur = _BLUR[self.type] if self.shadow_blur is None else self.shadow_blur
        is_floating = self.type == "float"
        # Sliders of programs begin at -100.
        width, height = max(self.shadow_width or 0, 0), max(self.shadow_height, 0)
        shape = ShadowShape(self.shadow_offset, blur, is_floating, width or None, height)
        colour = colour_of(self.shadow_color) or (0, 0, 0)
        background = colour_of(self.background_color)
        return ShadowStyle(shape, colour, self.shadow_intensity / 100, background)


def perform(body: ProductShadowBody, inputs: Inputs, models: Models) -> list[Picture]:
    """Return the product above its shadow."""
    return [product_shadow(inputs.image, models, body.style, body.force_rmbg, body.preserve_alpha)]


def longest_side(body: ProductShadowBody, probe: Probe) -> int:
    """Return the longest side that the canvas can have, in pixels."""
    size = probe.width, probe.height
    return max(
        side + 2 * more for side, more in zip(size, reach(body.style.shape, size), strict=True)
    )


OPERATION = Operation(
    path="/product/shadow",
    summary="Add a shadow to a product",
    body=ProductShadowBody,
    pictures=(PRODUCT_IMAGE,),
    preserves=Preserve.ALPHA,
    prepare=refuse_invisible,
    needs=lambda models: (MATTING,),
    roles=product_roles,
    perform=perform,
    longest_side=longest_side,
    refusals={
        CanvasTooLargeError: (TooLargeError, "The image with its shadow is too large"),
    },
)
