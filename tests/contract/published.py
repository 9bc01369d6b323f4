"""The published operations as data: routes, fields, types, defaults, bounds, examples and answers."""

from tests.contract.route import LINK, SEEDS, TEXT, WHOLE, Field, Route

MODERATION = Field("content_moderation", "boolean", default=False)
IMAGE = (Field("image_url", "string"), Field("file", "string"))
MASK = (
    Field("mask_url", "string"),
    Field("mask_file", "string"),
    Field("mask_type", "string", default="manual", enum=("manual", "automatic")),
)
FORCE = Field("force_rmbg", "boolean", default=False)
SYNC = Field("sync", "boolean", default=False)
SEED = Field("seed", "integer")
VISUAL = Field("visual_id", "string", place="path")
RESULT_URL = {"result_url": LINK}
BY_URL = {"image_url": "URL"}
WITH_MASK = {"image_url": "URL", "mask_url": "URL"}
PHOTOGRAPH = {
    "image_url": "https://i.natgeofe.com/n/548467d8-c5f1-4551-9f58-6817a8d2c45e/"
    "NationalGeographic_2572187_square.jpg"
}


def action(name: str, words: str, low: float, high: float, whole: bool = False) -> Field:
    """Return the field of one action of /create: words, or a number within bounds."""
    return Field(
        f"changes[].actions.{name}",
        "word or number",
        enum=tuple(words.split()),
        low=low,
        high=high,
        whole=whole,
    )


PERSON_ACTIONS = (
    action("age", "mid-20 mid-40 mid-60", -10, 10),
    action(
        "diversity",
        "africa korea india japan sweden germany russia mexico brazil england",
        0,
        1,
    ),
    action("expression", "happy surprised dreaming angry fear contempt disgusted sad", 0, 1.5),
    action("glasses", "light heavy none", 0, 6, whole=True),
    action("haircolor", "black brown red blond gray", 0, 4, whole=True),
    action("gender", "femininity masculinity", -10, 10),
    action("makeup", "light heavy none", -10, 10),
    action("hair_line", "high low", -20, 20),
    action("Beard", "shaved medium full", -2, 2),
)
RESOLUTIONS = (
    "original",
    "nhd",
    "svga",
    "xga",
    "had",
    "wuxga",
    "uwfhd",
    "wqxga",
    "uwqhd",
    "uhd",
)
PERSON = {
    "actions": {},
    "id": TEXT,
    "labels": [TEXT],
    "oracle": {},
    "rect": {"h": float, "w": float, "x": float, "y": float},
    "type": TEXT,
}
SHOT = (
    Field("sku", "string"),
    SYNC,
    *IMAGE,
    Field("num_results", "integer", default=4, low=1, high=8),
    Field(
        "placement_type",
        "string",
        default="original",
        enum=(
            "original",
            "automatic",
            "manual_placement",
            "manual_padding",
            "custom_coordinates",
            "automatic_aspect_ratio",
        ),
    ),
    Field("original_quality", "boolean", default=False),
    Field(
        "aspect_ratio",
        "string",
        enum=("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9"),
    ),
    Field("shot_size", "integers", default=(1000, 1000)),
    Field("foreground_image_size", "integers"),
    Field("foreground_image_location", "integers"),
    Field(
        "manual_placement_selection",
        "strings",
        default=("upper_left",),
        enum=(
            "upper_left",
            "upper_right",
            "bottom_left",
            "bottom_right",
            "right_center",
            "left_center",
            "upper_center",
            "bottom_center",
            "center_vertical",
            "center_horizontal",
        ),
    ),
    Field("padding_values", "integers", default=(0, 0, 0, 0)),
    FORCE,
    MODERATION,
    SEED,
)
"""The fields that both lifestyle shots have. The page has no bounds of num_results: eight are what storefronts
offer. It names the seed in the answer: "by using the seed as part of the request"."""

ROUTES = (
    Route("Eraser", "POST", "/eraser", (*IMAGE, *MASK, MODERATION), RESULT_URL, WITH_MASK),
    Route(
        "Generative Fill",
        "POST",
        "/gen_fill",
        (
            *IMAGE,
            *MASK,
            Field("prompt", "string"),
            Field("negative_prompt", "string"),
            Field("num_results", "integer", default=4, low=1, high=4),
            SYNC,
            SEED,
            MODERATION,
        ),
        {"urls": [LINK], "seed": [SEEDS]},
        {
            **WITH_MASK,
            "file": "string",
            "mask_file": "string",
            "mask_type": "manual",
            "prompt": "string",
            "negative_prompt": "string",
            "num_results": 4,
            "sync": False,
            "seed": 0,
            "content_moderation": False,
        },
        needs_prompt_model=True,
    ),
    Route(
        "Remove Background",
        "POST",
        "/background/remove",
        (*reversed(IMAGE), MODERATION),
        RESULT_URL,
        PHOTOGRAPH,
        "multipart",
    ),
    Route(
        "Generate Background",
        "POST",
        "/background/replace",
        (
            SYNC,
            Field("fast", "boolean", default=True),
            *IMAGE,
            Field("ref_image_url", "string"),
            Field("ref_image_file", "string"),
            Field("bg_prompt", "string"),
            Field("refine_prompt", "boolean", default=True),
            Field("enhance_ref_image", "boolean", default=True),
            Field("original_quality", "boolean", default=False),
            Field("num_results", "integer", default=4),
            FORCE,
            MODERATION,
            Field("negative_prompt", "string"),
            SEED,
        ),
        {"result": [(LINK, TEXT, TEXT)]},
        {
            "bg_prompt": "in a living room interior, on a kitchen counter",
            "num_results": 2,
            "sync": True,
            "image_url": "URL",
        },
        needs_prompt_model=True,
    ),
    Route(
        "Lifestyle Product Shot by Text",
        "POST",
        "/product/lifestyle_shot_by_text",
        (
            *SHOT,
            Field("mode", "string", default="fast", enum=("base", "high_control", "fast")),
            Field("scene_description", "string", required=True),
            Field("optimize_description", "boolean", default=True),
            Field("exclude_elements", "string"),
        ),
        {"result": [(LINK, TEXT, TEXT)]},
        {
            "image_url": "URL",
            "mode": "high_control",
            "scene_description": "In a living room interior, on a kitchen counter",
            "placement_type": "original",
            "num_results": 2,
            "original_quality": True,
            "optimize_description": True,
            "sync": True,
        },
        needs_prompt_model=True,
    ),
    Route(
        "Lifestyle Product Shot by Image",
        "POST",
        "/product/lifestyle_shot_by_image",
        (
            *SHOT,
            Field("ref_image_urls", "strings"),
            Field("ref_image_file", "string"),
            Field("enhance_ref_image", "boolean", default=True),
            Field("ref_image_influence", "word or number", default=1, low=0, high=1),
        ),
        {"result": [(LINK, TEXT, TEXT)]},
        {
            "image_url": "URL",
            "ref_image_urls": "URL",
            "placement_type": "manual_placement",
            "shot_size": [900, 550],
            "manual_placement_selection": ["upper_center", "bottom_center"],
            "num_results": 2,
            "sync": True,
        },
        needs_prompt_model=True,
    ),
    Route(
        "Erase Foreground", "POST", "/erase_foreground", (*IMAGE, MODERATION), RESULT_URL, BY_URL
    ),
    Route(
        "Blur Background",
        "POST",
        "/background/blur",
        (*IMAGE, Field("scale", "integer", default=5, low=1, high=5), FORCE, MODERATION),
        RESULT_URL,
        BY_URL,
    ),
    Route(
        "Expand Image",
        "POST",
        "/image_expansion",
        (
            *IMAGE,
            Field("canvas_size", "integers", default=(1000, 1000)),
            Field("original_image_size", "integers"),
            Field("original_image_location", "integers"),
            Field("prompt", "string"),
            SEED,
            Field("negative_prompt", "string"),
            MODERATION,
        ),
        {
            "code": WHOLE,
            "description": TEXT,
            "message": TEXT,
            "prompt": TEXT,
            "result_url": LINK,
            "seed": WHOLE,
            "status": TEXT,
        },
        {
            **BY_URL,
            "canvas_size": [1200, 674],
            "original_image_size": [610, 855],
            "original_image_location": [301, -66],
        },
    ),
    Route(
        "Increase Resolution",
        "POST",
        "/image/increase_resolution",
        (
            Field("desired_increase", "integer", enum=("2", "4"), place="query"),
            *reversed(IMAGE),
            MODERATION,
        ),
        RESULT_URL,
        {**PHOTOGRAPH, "desired_increase": 2},
        "multipart",
    ),
    Route(
        "Delayer Image",
        "POST",
        "/{visual_id}/image_to_psd",
        (VISUAL, Field("sid", "string", place="query")),
        {"image_res": LINK},
        {},
        None,
    ),
    Route(
        "Crop out foreground",
        "POST",
        "/crop",
        (*IMAGE, Field("padding", "integer", default=0), FORCE, MODERATION),
        RESULT_URL,
        BY_URL,
    ),
    Route(
        "Get Masks",
        "POST",
        "/objects/mask_generator",
        (*IMAGE, MODERATION),
        {"objects_masks": LINK},
        BY_URL,
    ),
    Route("Get Presenter info", "GET", "/{visual_id}/person/info", (VISUAL,), [PERSON], {}, None),
    Route(
        "Modify Presenter",
        "POST",
        "/{visual_id}/create",
        (
            VISUAL,
            Field("sid", "string"),
            Field("desired_resolution", "string", enum=RESOLUTIONS),
            Field("changes", "objects"),
            Field("changes[].id", "string"),
            Field("changes[].actions", "object"),
            *PERSON_ACTIONS,
        ),
        {"image_res": LINK, "sid": TEXT},
        {
            "changes": [
                {
                    "id": "PERSON",
                    "actions": {"age": "mid-60", "diversity": "france", "expression": "happy"},
                }
            ]
        },
        needs_prompt_model=True,
    ),
)
"""In the order of the published page. The example of image_to_psd has no `sid`: its description asks for
a picture that has not been edited."""
