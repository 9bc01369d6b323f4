"""The published operations of version 2 as data; `NOT_SERVED` lists those that this server leaves out.

`composite`, `mask_type` of gen_fill, `ip_signal`, the input moderation of replace_background and the moderation
of all_masks are fields that programs send or other routes of the API document.
"""

from collections.abc import Mapping
from typing import Any

from tests.contract.fields_v2 import (
    ASPECT_RATIO,
    COMMON,
    FORCE,
    IMAGE,
    IMAGE_URL,
    INPUT_MODERATION,
    IP_SIGNAL,
    MASK,
    MASK_TYPE,
    NEGATIVE_PROMPT,
    OF_IMAGE,
    OF_MASK,
    OUTPUT_MODERATION,
    PRESERVE_ALPHA,
    PROMPT_MODERATION,
    REFINE_PROMPT,
    SEED,
    SYNC,
    WEBHOOK,
)
from tests.contract.published_by_words import NAMED_EDITS, PRODUCTS
from tests.contract.published_generation import ROUTES_GENERATION
from tests.contract.route import LINK, TEXT, TEXT_OR_NULL, WHOLE, Field, Route


def edit(
    title: str,
    name: str,
    *further: Field,
    answer: Mapping[str, Any] = IMAGE_URL,
    example: Mapping[str, Any] = OF_IMAGE,
    needs_prompt_model: bool = False,
    synchronous: bool = True,
) -> Route:
    """Return a route of /v2/image/edit, with the fields that all of them have and `further` ones."""
    return Route(
        title,
        "POST",
        f"/image/edit/{name}",
        (*COMMON, *further),
        answer,
        example,
        needs_prompt_model=needs_prompt_model,
        version="v2",
        synchronous=synchronous,
    )


ROUTES_V2 = (
    edit(
        "Erase",
        "erase",
        MASK,
        MASK_TYPE,
        PRESERVE_ALPHA,
        Field("composite", "boolean", default=False),
        example=OF_MASK,
    ),
    edit(
        "Generative Fill",
        "gen_fill",
        MASK,
        MASK_TYPE,
        Field("prompt", "string", required=True),
        REFINE_PROMPT,
        NEGATIVE_PROMPT,
        PRESERVE_ALPHA,
        SEED,
        PROMPT_MODERATION,
        IP_SIGNAL,
        answer={**IMAGE_URL, "seed": WHOLE, "prompt": TEXT, "refined_prompt": TEXT_OR_NULL},
        example={**OF_MASK, "prompt": "a boat"},
        needs_prompt_model=True,
    ),
    edit("Remove Background", "remove_background", PRESERVE_ALPHA),
    Route(
        "Replace Background",
        "POST",
        "/image/edit/replace_background",
        (
            IMAGE,
            Field("mode", "string", default="high_control", enum=("base", "high_control", "fast")),
            Field("prompt", "string"),
            Field("ref_images", "strings"),
            Field("enhance_ref_images", "boolean", default=True),
            REFINE_PROMPT,
            NEGATIVE_PROMPT,
            Field("original_quality", "boolean", default=False),
            FORCE,
            SEED,
            SYNC,
            WEBHOOK,
            PROMPT_MODERATION,
            INPUT_MODERATION,
            OUTPUT_MODERATION,
            IP_SIGNAL,
        ),
        {**IMAGE_URL, "seed": WHOLE, "refined_prompt": TEXT_OR_NULL},
        {**OF_IMAGE, "prompt": "in a living room interior, on a kitchen counter"},
        needs_prompt_model=True,
        version="v2",
    ),
    edit("Erase Foreground", "erase_foreground", PRESERVE_ALPHA),
    edit(
        "Blur Background",
        "blur_background",
        Field("scale", "integer", default=5, low=1, high=5),
        PRESERVE_ALPHA,
    ),
    edit(
        "Expand Image",
        "expand",
        ASPECT_RATIO,
        Field("canvas_size", "integers", default=(1000, 1000)),
        Field("original_image_size", "integers"),
        Field("original_image_location", "integers"),
        Field("prompt", "string"),
        NEGATIVE_PROMPT,
        SEED,
        PRESERVE_ALPHA,
        PROMPT_MODERATION,
        IP_SIGNAL,
        answer={**IMAGE_URL, "seed": WHOLE, "prompt": TEXT},
        example={**OF_IMAGE, "aspect_ratio": "16:9"},
    ),
    edit(
        "Increase Resolution",
        "increase_resolution",
        Field("desired_increase", "integer", default=2, enum=("2", "4")),
        PRESERVE_ALPHA,
        example={**OF_IMAGE, "desired_increase": 2},
    ),
    edit(
        "Crop Foreground",
        "crop_foreground",
        Field("padding", "integer", default=0),
        FORCE,
        PRESERVE_ALPHA,
    ),
    edit(
        "Enhance",
        "enhance",
        SEED,
        PRESERVE_ALPHA,
        answer={**IMAGE_URL, "seed": WHOLE},
        synchronous=False,
    ),
    edit(
        "Product Cutout",
        "product/cutout",
        Field("sku", "string"),
        FORCE,
        PRESERVE_ALPHA,
        Field("output_type", "string", default="png", enum=("png", "jpeg")),
        Field("visual_input_content_moderation_threshold", "number", default=80),
        Field("visual_output_content_moderation_threshold", "number", default=80),
    ),
    *NAMED_EDITS,
    *PRODUCTS,
    Route(
        "All Masks",
        "POST",
        "/image/segment/all_masks",
        COMMON,
        {"masks": [{"id": WHOLE, "area": WHOLE, "confidence": float, "image_url": LINK}]},
        OF_IMAGE,
        version="v2",
    ),
    *ROUTES_GENERATION,
)

STATUS = Route(
    "Status",
    "GET",
    "/status/{request_id}",
    (Field("request_id", "string", place="path"),),
    {"status": TEXT, "request_id": TEXT, "result": IMAGE_URL},
    {},
    None,
    version="v2",
)

_EDIT = "/image/edit"
NOT_SERVED: Mapping[str, tuple[str, ...]] = {
    "Guided background removal": (f"{_EDIT}/remove_background/guided",),
    "Generation": ("/structured_prompt/generate_from_diff",),
    "Ads": ("/ads/delayer", "/ads/resize"),
    "Video": (
        *(
            f"/video/edit/{name}"
            for name in (
                "erase",
                "remove_background",
                "replace_background",
                "green_screen",
                "increase_resolution",
            )
        ),
        "/video/segment/mask_by_prompt",
        "/video/segment/mask_by_key_points",
        "/video/generate/foreground_mask",
        "/video/generate/tailored/image-to-video",
        "/video/upload",
    ),
    "Attribution": ("/image/attribution/by_image",),
}
"""By subject: the paths below /v2, all with POST. Of the login (`/v2/auth/...`) no path is published."""
