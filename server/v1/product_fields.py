"""The fields and the picture that the product routes of v1 share."""

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from models.roles import Models, Role
from pipelines.common.colours import Colour
from pipelines.common.opacity import check_visible, visible_part
from pipelines.common.subject import has_product_cut_out, subject_roles
from server.http.uploads import LIMITED_IMAGE
from server.operation import EditBody, Inputs

MAX_SKU = 255
"""Longest stock keeping unit, in characters."""
TRANSPARENT = "transparent"
_HEX = re.compile(r"#(?:[0-9A-F]{3}){1,2}", re.ASCII)

PRODUCT_IMAGE = replace(LIMITED_IMAGE, file_fields=(*LIMITED_IMAGE.file_fields, "image_base64"))
"""The product: a photograph or a cut-out; programs also send its file as `image_base64`."""


def _hex_colour(value: str) -> str:
    """Return a colour as #RRGGBB in capitals; raises ValueError for another text than #RGB or #RRGGBB."""
    text = value.strip().upper()
    if not _HEX.fullmatch(text):
        raise ValueError("it must be a colour such as #FFFFFF")
    digits = text[1:]
    return text if len(digits) == 6 else "#" + "".join(digit * 2 for digit in digits)


def _background(value: str) -> str:
    """Return `transparent`, or a colour as #RRGGBB; raises ValueError for another text."""
    if value.strip().lower() == TRANSPARENT:
        return TRANSPARENT
    try:
        return _hex_colour(value)
    except ValueError as error:
        raise ValueError(f"{error}, or {TRANSPARENT}") from error


_MAX_COLOUR = 64
HexColour = Annotated[str, Field(max_length=_MAX_COLOUR), AfterValidator(_hex_colour)]
"""A colour as #RGB or #RRGGBB; #RRGGBB in capitals once validated."""
BackgroundColour = Annotated[str, Field(max_length=_MAX_COLOUR), AfterValidator(_background)]
"""A colour as `HexColour`, or `transparent`."""


def colour_of(value: str | None) -> Colour | None:
    """Return a validated colour as sRGB, 0..255 each; None for `transparent` or no colour."""
    if value is None or value == TRANSPARENT:
        return None
    red, green, blue = bytes.fromhex(value[1:])
    return red, green, blue


def _text_of_number(value: object) -> object:
    """Return a whole number as text: programs send a sku as either."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Sku = Annotated[
    str,
    StringConstraints(max_length=MAX_SKU),
    BeforeValidator(_text_of_number),
    WithJsonSchema({"type": "string", "maxLength": MAX_SKU}),
    Field(
        description="The product's stock keeping unit. It is accepted and changes nothing.",
        examples=["SKU-1234"],
    ),
]
"""A stock keeping unit, sent as text or as a whole number."""


class ProductBody(EditBody):
    """The fields of every product route of v1, besides its picture."""

    sku: Sku = ""
    force_rmbg: bool = Field(
        False,
        description="Ignore an alpha channel: detect the product in the colours alone, hidden ones included.",
    )


class ProductAlphaBody(ProductBody):
    """The fields of the product routes that may keep partial transparency of the product."""

    preserve_alpha: bool = Field(
        True,
        description="Keep what is partly transparent in the image, such as glass in a cut-out; false makes"
        " the product opaque but for its soft edge.",
    )


P = TypeVar("P", bound=ProductBody)


def product_roles(body: ProductBody, inputs: Inputs, _: Models) -> Collection[Role[Any]]:
    """Return the roles that a product needs: none if it is cut out already."""
    preserve = getattr(body, "preserve_alpha", True)
    part = visible_part(inputs.image, None if preserve else False)
    return subject_roles(part, body.force_rmbg, has_product_cut_out)


def refuse_invisible(body: P, inputs: Inputs, _: Models) -> P:
    """Return the body; raises NothingVisibleError for a wholly transparent image."""
    if not body.force_rmbg:  # it ignores alpha
        check_visible(inputs.image)
    return body
