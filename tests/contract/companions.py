"""The routes that clients of the published operations also call: their fields and answers as data.

The published page names most of them; the rest is from programs that call the API.
"""

from dataclasses import replace

from tests.contract.fields_v2 import ASPECT_RATIO, RATIOS, WEBHOOK
from tests.contract.published import (
    FORCE,
    IMAGE,
    MASK,
    MODERATION,
    PERSON,
    RESOLUTIONS,
    RESULT_URL,
    ROUTES,
    SEED,
    VISUAL,
)
from tests.contract.route import LINK, TEXT, WHOLE, Field, Route

SID = Field("sid", "string", place="query")
_PRODUCT = (*IMAGE, Field("sku", "string"), FORCE, MODERATION)
REGISTERED = {"code": WHOLE, "description": TEXT, "visual_id": TEXT}
REGISTER = (*IMAGE, Field("is_private", "boolean"), Field("org_image_key", "string"))
EDITED = {"image_res": LINK, "sid": TEXT}

_VERSION = Field("model_version", "string", place="path")
_SCALE = {"low": 0, "high": 1}
_METHOD = tuple(f"controlnet_{name}" for name in ("canny", "depth", "recoloring", "color_grid"))


def _text_to_image(name: str, low: int, high: int) -> Route:
    """Return a route that generates pictures. low, high: the bounds of its steps."""
    guidance = [
        Field(f"guidance_method_{number}{end}", kind, enum=words, **bounds)
        for number in (1, 2)
        for end, kind, words, bounds in (
            ("", "string", _METHOD, {}),
            ("_scale", "number", (), _SCALE),
            ("_image_file", "string", (), {}),
        )
    ]
    fields = (
        _VERSION,
        Field("prompt", "string", required=True),
        Field("negative_prompt", "string"),
        Field("num_results", "integer", low=1, high=4),
        Field("aspect_ratio", "string", enum=RATIOS),
        Field("sync", "boolean"),
        SEED,
        Field("steps_num", "integer", low=low, high=high),
        Field("text_guidance_scale", "number", low=1, high=10),
        Field("medium", "string", enum=("photography", "art")),
        Field("prompt_enhancement", "boolean"),
        Field("enhance_image", "boolean"),
        Field("ip_signal", "boolean"),
        MODERATION,
        *guidance,
        Field("image_prompt_mode", "string", enum=("regular", "style_only")),
        Field("image_prompt_scale", "number", **_SCALE),
        Field("image_prompt_file", "string"),
        Field("image_prompt_urls", "string"),
        WEBHOOK,
    )
    answer = {"result": [{"urls": [LINK], "seed": WHOLE, "uuid": TEXT}]}
    path = f"/text-to-image/{name}/{{model_version}}"
    return Route(f"Text to image ({name})", "POST", path, fields, answer, {})


GENERATED = (
    _text_to_image("base", 20, 50),
    _text_to_image("fast", 4, 10),
    _text_to_image("hd", 20, 50),
    Route(
        "Prompt enhancer",
        "POST",
        "/prompt_enhancer",
        (Field("prompt", "string", required=True), Field("sync", "boolean"), WEBHOOK),
        {"prompt variations": TEXT},
        {},
    ),
)
"""Routes that make pictures or prompts from text; storefront programs call them beside the others."""

COMPANIONS = (
    Route("Register", "POST", "/register", REGISTER, REGISTERED, {}),
    Route("Upload", "POST", "/upload", REGISTER, REGISTERED, {}),
    Route("Remove", "POST", "/{visual_id}/remove_image", (VISUAL,), REGISTERED, {}, None),
    Route("Info", "GET", "/{visual_id}/info", (VISUAL,), [PERSON], {}, None),
    Route("Objects", "GET", "/{visual_id}/objects/info", (VISUAL,), [PERSON], {}, None),
    Route("Background", "GET", "/{visual_id}/background/info", (VISUAL,), [PERSON], {}, None),
    Route(
        "Masks of a visual",
        "POST",
        "/{visual_id}/objects/mask_generator",
        (VISUAL, MODERATION),
        {"objects_masks": LINK},
        {},
    ),
    Route(
        "Remove objects",
        "POST",
        "/{visual_id}/objects/remove",
        (
            VISUAL,
            Field("desired_resolution", "string", enum=RESOLUTIONS, place="query"),
            Field("original_quality", "boolean", place="query"),
            Field("sid", "string"),
            Field("enhance", "boolean"),
            Field("changes", "objects"),
            Field("changes[].mask_id", "integer"),
            Field("changes[].mask_url", "string"),
            Field("changes[].mask_source", "string", enum=("generated", "manual")),
            Field("changes[].actions", "object"),
            Field("changes[].actions.remove", "boolean"),
        ),
        EDITED,
        {},
    ),
    Route(
        "Enlarge a visual",
        "GET",
        "/{visual_id}/increase_resolution",
        (VISUAL, Field("desired_increase", "integer", enum=("2", "4"), place="query"), SID),
        EDITED,
        {},
        None,
    ),
    Route(
        "Blur a visual",
        "GET",
        "/{visual_id}/blur_bg",
        (
            VISUAL,
            Field("scale", "integer", place="query"),
            Field(FORCE.path, "boolean", place="query"),
            SID,
        ),
        EDITED,
        {},
        None,
    ),
    Route(
        "Enhance",
        "POST",
        "/enhance_image",
        (
            *IMAGE,
            Field("resolution", "string", enum=("1MP", "2MP", "4MP")),
            Field("steps_num", "integer", low=10, high=50),
            SEED,
            Field("preserve_alpha", "boolean"),
            MODERATION,
        ),
        {"result_url": LINK, "seed": WHOLE},
        {},
    ),
    Route(
        "Product cutout",
        "POST",
        "/product/cutout",
        (*_PRODUCT, Field("preserve_alpha", "boolean")),
        RESULT_URL,
        {},
    ),
    Route(
        "Packshot",
        "POST",
        "/product/packshot",
        (*_PRODUCT, Field("background_color", "string")),
        RESULT_URL,
        {},
    ),
    Route(
        "Product shadow",
        "POST",
        "/product/shadow",
        (
            *_PRODUCT,
            Field("type", "string", enum=("regular", "float")),
            Field("background_color", "string"),
            Field("shadow_color", "string"),
            Field("shadow_offset", "integers"),
            Field("shadow_intensity", "integer", low=0, high=100),
            Field("shadow_blur", "integer"),
            Field("shadow_width", "integer"),
            Field("shadow_height", "integer"),
            Field("preserve_alpha", "boolean"),
        ),
        RESULT_URL,
        {},
    ),
    Route("Caption", "GET", "/{visual_id}/caption", (VISUAL,), {"caption": TEXT}, {}, None),
    *GENERATED,
)
"""No default is stated here: the parity table has ours in brackets."""

_ALPHA = Field("preserve_alpha", "boolean")
_OF_GET = (replace(_ALPHA, place="query"), replace(WEBHOOK, place="query"))
_LATER = {
    "/eraser": (_ALPHA, WEBHOOK),
    "/gen_fill": (_ALPHA, WEBHOOK),
    "/background/remove": (_ALPHA, WEBHOOK),
    "/background/replace": (Field("prompt", "string"), WEBHOOK),
    "/product/lifestyle_shot_by_text": (
        Field("fast", "boolean"),
        Field("prompt", "string"),
        WEBHOOK,
    ),
    "/product/lifestyle_shot_by_image": (
        Field("mode", "string", enum=("base", "high_control", "fast")),
        Field("exclude_elements", "string"),
        Field("ref_image_url", "string"),
        Field("fast", "boolean"),
        WEBHOOK,
    ),
    "/erase_foreground": (*MASK, _ALPHA, WEBHOOK),
    "/background/blur": (_ALPHA, WEBHOOK),
    "/image_expansion": (ASPECT_RATIO, _ALPHA, WEBHOOK),
    "/image/increase_resolution": (_ALPHA, WEBHOOK),
    "/crop": (_ALPHA, WEBHOOK),
    "/objects/mask_generator": (WEBHOOK,),
    "/enhance_image": (WEBHOOK,),
    "/product/cutout": (WEBHOOK,),
    "/product/packshot": (WEBHOOK,),
    "/product/shadow": (Field("shadow_type", "string", enum=("regular", "float")), WEBHOOK),
    "/{visual_id}/image_to_psd": (WEBHOOK,),
    "/{visual_id}/create": (WEBHOOK,),
    "/{visual_id}/objects/mask_generator": (WEBHOOK,),
    "/{visual_id}/objects/remove": (WEBHOOK,),
    "/{visual_id}/increase_resolution": _OF_GET,
    "/{visual_id}/blur_bg": _OF_GET,
}
"""By path: fields of v1 that the published page does not list; programs send them, or they are this server's."""
LATER = tuple(
    (replace(route, fields=(*route.fields, *_LATER[route.path])), _LATER[route.path])
    for route in (*ROUTES, *COMPANIONS)
    if route.path in _LATER
)
"""Routes with such fields among their own, and these fields alone."""
