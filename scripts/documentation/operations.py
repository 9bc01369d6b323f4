"""The pages of the operations: which routes each one has, what they do, and the example on it.

Routes of both versions that do the same thing share a page.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PHOTOS = "docs/photos"


@dataclass(frozen=True)
class Photo:
    """A photograph of docs/photos as the value of a field."""

    name: str

    @property
    def path(self) -> str:
        """Its path in the checkout."""
        return f"{PHOTOS}/{self.name}"


@dataclass(frozen=True)
class Example:
    """A request that the languages show.

    route: method and path; {name} in it is a value of the answer to `first`. fields: of the body, or of the query
    of a GET. accept: the type of the answer, if it is to be the file itself. first: a request whose answer has
    what the path needs.
    """

    route: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    accept: str | None = "image/png"
    first: "Example | None" = None

    @property
    def method(self) -> str:
        """The method of HTTP."""
        return self.route.split()[0]

    @property
    def path(self) -> str:
        """The path below the server."""
        return self.route.split()[1]

    @property
    def file(self) -> str | None:
        """The name of the file that the answer is saved as; None if it is JSON."""
        endings = {"application/zip": "zip", "image/vnd.adobe.photoshop": "psd", "image/png": "png"}
        return None if self.accept is None else f"result.{endings[self.accept]}"


@dataclass(frozen=True)
class OperationPage:
    """A page. about: what the operation does, in one or two sentences. example: None where a link says more."""

    slug: str
    title: str
    about: str
    routes: tuple[str, ...]
    example: Example | None


ASTRONAUT, COFFEE, CAT = Photo("astronaut.jpg"), Photo("coffee.jpg"), Photo("chelsea.jpg")
MASK = Photo("astronaut-mask.png")
REGISTERED = Example("POST /v1/register", {"file": COFFEE}, None)
ACCEPTED = Example("POST /v2/image/edit/crop_foreground", {"image": COFFEE}, None)


def edit(route: str, image: Photo | None = ASTRONAUT, **fields: Any) -> Example:
    """Return an example of version 2, whose picture is the field image."""
    pictures = {} if image is None else {"image": image}
    return Example(f"POST /v2/image/{route}", {**pictures, **fields})


def json_answer(route: str, **fields: Any) -> Example:
    """Return an example whose answer is JSON."""
    return Example(route, fields, None)


def of_visual(route: str, accept: str | None = None, **fields: Any) -> Example:
    """Return an example for a registered picture."""
    method, path = route.split()
    return Example(f"{method} /v1/{{visual_id}}/{path}", fields, accept, REGISTERED)


BACKGROUNDS = (
    OperationPage(
        "remove-background",
        "Remove the background",
        "Cuts out the subject. The result has an alpha channel: what was background is transparent.",
        ("POST /v2/image/edit/remove_background", "POST /v1/background/remove"),
        edit("edit/remove_background"),
    ),
    OperationPage(
        "replace-background",
        "Replace the background",
        "Puts the subject on a plain colour, or into a scene that words or a reference picture describe.",
        ("POST /v2/image/edit/replace_background", "POST /v1/background/replace"),
        edit("edit/replace_background", prompt="#c8d8e8"),
    ),
    OperationPage(
        "blur-background",
        "Blur the background",
        "Blurs what is behind the subject. The subject stays sharp.",
        (
            "POST /v2/image/edit/blur_background",
            "POST /v1/background/blur",
            "GET /v1/{visual_id}/blur_bg",
        ),
        edit("edit/blur_background"),
    ),
    OperationPage(
        "crop-foreground",
        "Crop out the foreground",
        "Cuts out the subject and crops the picture to it.",
        ("POST /v2/image/edit/crop_foreground", "POST /v1/crop"),
        edit("edit/crop_foreground", COFFEE),
    ),
    OperationPage(
        "erase-foreground",
        "Erase the foreground",
        "Removes the subject and fills the area behind it.",
        ("POST /v2/image/edit/erase_foreground", "POST /v1/erase_foreground"),
        edit("edit/erase_foreground", COFFEE),
    ),
)

PARTS = (
    OperationPage(
        "erase",
        "Erase what a mask marks",
        "Removes what the mask marks and fills the hole. Nothing outside a manual mask changes.",
        ("POST /v2/image/edit/erase", "POST /v1/eraser"),
        edit("edit/erase", mask=MASK),
    ),
    OperationPage(
        "generative-fill",
        "Fill a mask with something new",
        "Generates what the prompt says in the area that the mask marks.",
        ("POST /v2/image/edit/gen_fill", "POST /v1/gen_fill"),
        edit("edit/gen_fill", mask=MASK, prompt="a round window"),
    ),
    OperationPage(
        "expand",
        "Expand the image",
        "Places the picture on a larger canvas and continues it beyond its borders.",
        ("POST /v2/image/edit/expand", "POST /v1/image_expansion"),
        edit("edit/expand", COFFEE, canvas_size=[1000, 700], seed=1),
    ),
    OperationPage(
        "increase-resolution",
        "Increase the resolution",
        "Enlarges the picture two or four times.",
        (
            "POST /v2/image/edit/increase_resolution",
            "POST /v1/image/increase_resolution",
            "GET /v1/{visual_id}/increase_resolution",
        ),
        edit("edit/increase_resolution", CAT, desired_increase=2),
    ),
    OperationPage(
        "enhance",
        "Enhance the image",
        "Doubles the size of the picture and makes its detail clearer.",
        ("POST /v2/image/edit/enhance", "POST /v1/enhance_image"),
        Example("POST /v1/enhance_image", {"file": CAT}),
    ),
    OperationPage(
        "masks",
        "Get the masks of a picture",
        "Makes a mask of each part of the picture: people, animals, things and areas.",
        (
            "POST /v2/image/segment/all_masks",
            "POST /v1/objects/mask_generator",
            "POST /v1/{visual_id}/objects/mask_generator",
        ),
        Example("POST /v1/objects/mask_generator", {"file": COFFEE}, "application/zip"),
    ),
)

PRODUCTS = (
    OperationPage(
        "product-cutout",
        "Cut out a product",
        "Cuts out a product and crops the picture to it.",
        ("POST /v2/image/edit/product/cutout", "POST /v1/product/cutout"),
        edit("edit/product/cutout", COFFEE),
    ),
    OperationPage(
        "product-packshot",
        "Make a packshot of a product",
        "Puts the product in the middle of 2000 x 2000 pixels, on a colour or on nothing.",
        ("POST /v1/product/packshot",),
        Example("POST /v1/product/packshot", {"file": COFFEE, "background_color": "#dfe8f0"}),
    ),
    OperationPage(
        "product-shadow",
        "Add a shadow to a product",
        "Puts a shadow below a product. The canvas grows where the shadow would be cut.",
        ("POST /v1/product/shadow",),
        Example("POST /v1/product/shadow", {"file": COFFEE, "background_color": "#f2efe9"}),
    ),
    OperationPage(
        "lifestyle-shot-by-text",
        "Put a product into a scene that a text describes",
        "Puts a product on a plain colour, or into a scene that a text describes.",
        ("POST /v1/product/lifestyle_shot_by_text",),
        Example(
            "POST /v1/product/lifestyle_shot_by_text",
            {"file": COFFEE, "scene_description": "#c8d8e8", "sync": True, "num_results": 1},
        ),
    ),
    OperationPage(
        "lifestyle-shot-by-image",
        "Put a product into a scene like that of a picture",
        "Puts a product into a scene like that of a reference picture.",
        ("POST /v1/product/lifestyle_shot_by_image",),
        Example(
            "POST /v1/product/lifestyle_shot_by_image",
            {"file": COFFEE, "ref_image_file": CAT, "sync": True, "num_results": 1},
        ),
    ),
    OperationPage(
        "product-integrate",
        "Put products into a scene",
        "Puts up to eight products into a scene, each at its coordinates.",
        ("POST /v2/image/edit/product/integrate",),
        edit(
            "edit/product/integrate",
            None,
            scene=ASTRONAUT,
            products=[
                {
                    "image": COFFEE,
                    "coordinates": {"x": 20, "y": 360, "width": 160, "height": 120},
                }
            ],
        ),
    ),
    OperationPage(
        "product-holding",
        "Put products into a person's hands",
        "Makes a picture of a person who holds the products.",
        ("POST /v2/image/edit/product/holding",),
        edit("edit/product/holding", None, person_image=ASTRONAUT, product_images=[COFFEE]),
    ),
    OperationPage(
        "virtual-tryon",
        "Dress a person",
        "Makes a picture of a person who wears the garments.",
        ("POST /v2/image/edit/product/virtual-tryon",),
        edit("edit/product/virtual-tryon", None, person_image=ASTRONAUT, garment_images=[CAT]),
    ),
)
