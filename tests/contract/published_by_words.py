"""The routes of version 2 that edit pictures by words, and those that put products into pictures, as data."""

from dataclasses import replace
from typing import Any

from tests.contract.fields_v2 import (
    ASPECT_RATIO,
    IMAGE,
    IMAGE_URL,
    INPUT_MODERATION,
    IP_SIGNAL,
    NEGATIVE_PROMPT,
    OF_IMAGE,
    OUTPUT_MODERATION,
    PRESERVE_ALPHA,
    PROMPT_MODERATION,
    SEED,
    SYNC,
    WEBHOOK,
)
from tests.contract.route import TEXT, WHOLE, Field, Route

WORDS = {**IMAGE_URL, "seed": WHOLE, "structured_instruction": TEXT, "structured_prompt": TEXT}
WORDS_SHARED = (
    SEED,
    NEGATIVE_PROMPT,
    PROMPT_MODERATION,
    IP_SIGNAL,
    replace(INPUT_MODERATION, default=True),
    replace(OUTPUT_MODERATION, default=True),
    SYNC,
    WEBHOOK,
)
"""The fields that every route by words has. Only the webhook is published for most of them."""
LIGHTS = (
    "midday",
    "blue hour light",
    "low-angle sunlight",
    "sunrise light",
    "spotlight on subject, keep background settings",
    "overcast light",
    "soft overcast daylight lighting",
    "cloud-filtered lighting",
    "fog-diffused lighting",
    "moonlight lighting",
    "starlight lighting nighttime",
    "soft bokeh lighting",
    "harsh studio lighting keep background setting",
)
STYLES = (
    "render_3d",
    "cubism",
    "oil_painting",
    "anime",
    "cartoon",
    "coloring_book",
    "retro_ad",
    "pop_art_halftone",
    "vector_art",
    "story_board",
    "art_nouveau",
    "cross_etching",
    "wood_cut",
)
COLOURS = ("color_contemporary", "color_vivid", "black_and_white", "sepia_vintage")


def words(title: str, name: str, *own: Field, **example: Any) -> Route:
    """Return a route by words. own: its own fields. example: their values."""
    return Route(
        title,
        "POST",
        f"/image/edit/{name}",
        (IMAGE, *own, *WORDS_SHARED),
        WORDS,
        {**OF_IMAGE, **example},
        needs_prompt_model="color" not in example,
        version="v2",
    )


def text(name: str, *enum: str) -> Field:
    """Return a text that a route needs."""
    return Field(name, "string", enum=enum, required=True)


NAMED_EDITS = (
    words("Add Object by Text", "add_object_by_text", text("instruction"), instruction="a vase"),
    words("Replace Object", "replace_object_by_text", text("instruction"), instruction="a pear"),
    words("Erase Object by Text", "erase_by_text", text("object_name"), object_name="the lamp"),
    words(
        "Image Blending",
        "blend",
        Field("overlay", "string"),
        text("instruction"),
        instruction="Place the art on the shirt, keep the art exactly the same",
    ),
    words("Rewrite", "rewrite_text", text("new_text"), new_text="Fresh bread"),
    words(
        "Reseason Image",
        "reseason",
        text("season", "spring", "summer", "autumn", "winter"),
        season="winter",
    ),
    words(
        "Relight Image",
        "relight",
        text("light_type", *LIGHTS),
        Field("light_direction", "string", enum=("front", "side", "bottom", "top-down")),
        light_type="midday",
    ),
    words("Restyle Image", "restyle", text("style", *STYLES), style="oil_painting"),
    words(
        "Colorize",
        "colorize",
        text("color", *COLOURS),
        Field("style", "string"),
        PRESERVE_ALPHA,
        color="black_and_white",
    ),
    words("Sketch to Image", "sketch_to_colored_image", Field("prompt", "string")),
    words("Restore Old Images", "restore"),
)
_COORDINATES = {"x": 40, "y": 30, "width": 80, "height": 60}
PRODUCTS = (
    Route(
        "Embed products into a scene",
        "POST",
        "/image/edit/product/integrate",
        (
            Field("scene", "string", required=True),
            Field("products", "objects", required=True),
            Field("products[].image", "string"),
            Field("products[].coordinates", "object"),
            *(Field(f"products[].coordinates.{name}", "integer") for name in _COORDINATES),
            SEED,
            replace(INPUT_MODERATION, default=True),
            replace(OUTPUT_MODERATION, default=True),
            SYNC,
            WEBHOOK,
        ),
        {**IMAGE_URL, "seed": WHOLE},
        {"scene": "URL", "products": [{"image": "URL", "coordinates": _COORDINATES}]},
        needs_prompt_model=True,
        version="v2",
    ),
    *(
        Route(
            title,
            "POST",
            f"/image/edit/product/{name}",
            (
                Field("person_image", "string", required=True),
                Field(further, "strings", required=True),
                Field("instruction", "string"),
                ASPECT_RATIO,
                *WORDS_SHARED,
            ),
            WORDS,
            {"person_image": "URL", further: ["URL"]},
            needs_prompt_model=True,
            version="v2",
        )
        for title, name, further in (
            ("Holding", "holding", "product_images"),
            ("Virtual try-on", "virtual-tryon", "garment_images"),
        )
    ),
)
