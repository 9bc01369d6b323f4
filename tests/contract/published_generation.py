"""The published operations of version 2 that generate or edit pictures by words, or make only the text, as data.

Of generation, `guidance_scale`, `style`, `image_url`, further ratios, and `resolution` and `steps_num` of the lite
route are fields that programs send.
"""

from tests.contract.route import LINK, TEXT, WHOLE, Field, Route

IMAGES = Field("images", "strings")
SEED = Field("seed", "integer")
SYNC = Field("sync", "boolean", default=False)
WEBHOOK = Field("webhook_url", "string")
IP_SIGNAL = Field("ip_signal", "boolean", default=False)
PROMPT_MODERATION = Field("prompt_content_moderation", "boolean", default=True)
INPUT_MODERATION = Field("visual_input_content_moderation", "boolean", default=True)
OUTPUT_MODERATION = Field("visual_output_content_moderation", "boolean", default=True)
SOURCES = (
    Field("prompt", "string"),
    IMAGES,
    Field("image_url", "strings"),
    Field("structured_prompt", "json"),
    Field("model_version", "string"),
    SEED,
    SYNC,
    WEBHOOK,
    IP_SIGNAL,
    PROMPT_MODERATION,
    INPUT_MODERATION,
)
OUTPUT_TYPE = Field("output_type", "string", default="png", enum=("png", "jpeg"))
RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9")
STRUCTURED = {"structured_prompt": TEXT, "seed": WHOLE}


def _generate(title: str, path: str, steps: Field) -> Route:
    return Route(
        title,
        "POST",
        path,
        (
            *SOURCES,
            Field("resolution", "string", default="1MP", enum=("1MP", "4MP")),
            Field("aspect_ratio", "string", default="1:1"),
            Field("negative_prompt", "string"),
            steps,
            Field("guidance_scale", "decimal", low=3, high=5),
            Field("style", "string"),
            OUTPUT_TYPE,
            OUTPUT_MODERATION,
        ),
        {"image_url": LINK, **STRUCTURED},
        {"prompt": "a boat"},
        needs_prompt_model=True,
        version="v2",
    )


def _structured_prompt(title: str, path: str) -> Route:
    return Route(
        title,
        "POST",
        path,
        SOURCES,
        STRUCTURED,
        {"prompt": "a boat"},
        needs_prompt_model=True,
        version="v2",
    )


ROUTES_GENERATION = (
    Route(
        "Edit Image",
        "POST",
        "/image/edit",
        (
            Field("images", "strings", required=True),
            Field("instruction", "string"),
            Field("structured_instruction", "json"),
            Field("mask", "string"),
            Field("negative_prompt", "string"),
            Field("guidance_scale", "decimal", default=5, low=3, high=5),
            Field("steps_num", "integer", default=30, low=20, high=50),
            Field("model_version", "string"),
            SEED,
            Field("aspect_ratio", "word or number", enum=RATIOS, low=0.5, high=3.0),
            OUTPUT_TYPE,
            IP_SIGNAL,
            SYNC,
            WEBHOOK,
            PROMPT_MODERATION,
            INPUT_MODERATION,
            OUTPUT_MODERATION,
        ),
        {"image_url": LINK, "structured_instruction": TEXT, **STRUCTURED},
        {"images": ["URL"], "instruction": "make the sky red"},
        needs_prompt_model=True,
        version="v2",
    ),
    _generate(
        "Generate Image",
        "/image/generate",
        Field("steps_num", "integer", default=50, low=35, high=50),
    ),
    _generate(
        "Generate Image (lite)",
        "/image/generate/lite",
        Field("steps_num", "integer", low=8, high=30),
    ),
    _structured_prompt("Generate Structured Prompt", "/structured_prompt/generate"),
    _structured_prompt("Generate Structured Prompt (lite)", "/structured_prompt/generate/lite"),
    Route(
        "Generate Structured Instruction",
        "POST",
        "/structured_instruction/generate",
        (
            Field("images", "strings", required=True),
            Field("instruction", "string", required=True),
            Field("mask", "string"),
            SEED,
            SYNC,
            WEBHOOK,
            IP_SIGNAL,
            PROMPT_MODERATION,
            INPUT_MODERATION,
        ),
        {"structured_instruction": TEXT, "seed": WHOLE},
        {"images": ["URL"], "instruction": "make the sky red"},
        needs_prompt_model=True,
        version="v2",
    ),
)
