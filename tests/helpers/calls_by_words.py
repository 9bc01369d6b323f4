"""The requests of programs that edit and generate by words, and what they read in the answers.

Written down again from what they send. Facts from Bria's nodes for ComfyUI (ComfyUI-BRIA-API 2.1.19), ComfyUI's
own nodes for Bria, Bria's examples for assistants (bria-skill 1.3.4 and 1.3.6), a gateway and small programs.
Nulls and fields that a route does not know are there on purpose.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.helpers.requests_v2 import IMAGE_FIELD, MASK_FIELD

NODES = {"visual_input_content_moderation": False, "visual_output_content_moderation": False}
"""What ComfyUI's own nodes send on all of these routes."""
_ALL_OFF = {**NODES, "prompt_content_moderation": False}
_DATA_URL = f"data:image/jpeg;base64,{IMAGE_FIELD}"
_STRUCTURED = '{"short_description": "a red mug on a shelf", "style_medium": "photograph"}'
_NOTHING = {
    "mask": None,
    "structured_instruction": None,
    "negative_prompt": None,
    "guidance_scale": None,
    "model_version": None,
    "steps_num": None,
    "seed": None,
    "sync": None,
    "ip_signal": None,
    "prompt_content_moderation": None,
}
"""Fields without a value, as a program sends whose objects are serialized whole."""
_GENERATE = {
    "model_version": "FIBO",
    "aspect_ratio": "16:9",
    "steps_num": 50,
    "guidance_scale": 5,
    "seed": 123456,
}
EDITED = ("image_url", "structured_prompt")
MADE = ("image_url", "structured_prompt", "seed")


@dataclass(frozen=True)
class WordsCall:
    """One request. path: below /v2. reads: fields of the result that the program needs."""

    name: str
    path: str
    fields: Mapping[str, Any]
    reads: tuple[str, ...] = EDITED


def _named(name: str, route: str, **fields: Any) -> WordsCall:
    return WordsCall(name, f"image/edit/{route}", {"image": IMAGE_FIELD, **fields})


EDIT = (
    WordsCall(
        "FIBOEditNode",
        "image/edit",
        {
            "images": [IMAGE_FIELD],
            "instruction": "make it red",
            "steps_num": 30,
            "guidance_scale": 5,
            "seed": 123456,
        },
        MADE,
    ),
    WordsCall(
        "FIBOEditNode with a mask and what an earlier result told",
        "image/edit",
        {
            "images": [IMAGE_FIELD],
            "mask": MASK_FIELD,
            "instruction": "make it red",
            "structured_instruction": '{"edit_instruction": "make it red"}',
            "negative_prompt": "blurry",
            "steps_num": 30,
            "guidance_scale": 5,
            "seed": 123456,
        },
        MADE,
    ),
    WordsCall(
        "BriaImageEditNode",
        "image/edit",
        {
            **_ALL_OFF,
            "images": [IMAGE_FIELD],
            "instruction": "make it red",
            "structured_instruction": None,
            "mask": None,
            "negative_prompt": None,
            "guidance_scale": 3.0,
            "model_version": "FIBO",
            "steps_num": 50,
            "seed": 1,
        },
    ),
    WordsCall(
        "BriaImageEditNode between two numbers",
        "image/edit",
        {
            **_ALL_OFF,
            "images": [IMAGE_FIELD],
            "instruction": "make it red",
            "guidance_scale": 3.25,
            "steps_num": 20,
            "seed": 1,
        },
    ),
    WordsCall(
        "edit_image of the skill",
        "image/edit",
        {
            "images": [_DATA_URL],
            "instruction": "make it red",
            "mask": _DATA_URL.replace(IMAGE_FIELD, MASK_FIELD),
        },
    ),
    WordsCall(
        "the gateway",
        "image/edit",
        {"images": [_DATA_URL], "instruction": "make it red", **_NOTHING},
    ),
)
NAMED = (
    _named("BriaEraseByText", "erase_by_text", object_name="the lamp", **NODES),
    _named("BriaAddObject", "add_object_by_text", instruction="Place a vase on the table", **NODES),
    _named(
        "BriaReplaceObject", "replace_object_by_text", instruction="Replace it by a pear", **NODES
    ),
    _named(
        "BriaRelight", "relight", light_type="starlight nighttime", light_direction="side", **NODES
    ),
    _named("BriaRestorePhoto", "restore", **NODES),
    _named("BriaReseason", "reseason", season="winter", **NODES),
    _named("relight", "relight", light_type="spotlight on subject", light_direction="top-down"),
    _named("relight from the side", "relight", light_type="side lighting", light_direction="front"),
    _named("blend", "blend", overlay=IMAGE_FIELD, instruction="Place the art on the shirt"),
    _named("blend without an overlay", "blend", instruction="Place the art on the shirt"),
    _named("restyle", "restyle", style="oil_painting"),
    _named("sketch", "sketch_to_colored_image"),
    _named("sketch with a description", "sketch_to_colored_image", prompt="a house"),
    _named("colorize", "colorize", color="contemporary color"),
    _named("colorize of the gateway", "colorize", style="color_vivid", sync=None),
    _named("rewrite", "rewrite_text", new_text="FIBO Edit!"),
)
INSTRUCTIONS = (
    WordsCall(
        "FIBOEditStructuredInstructionNode",
        "structured_instruction/generate",
        {"instruction": "make it red", "images": [IMAGE_FIELD]},
        ("structured_instruction",),
    ),
)
GENERATE = (
    WordsCall("GenerateImageNodeV2", "image/generate", {"prompt": "a mug", **_GENERATE}, MADE),
    WordsCall(
        "GenerateImageNodeV2 with a picture",
        "image/generate",
        {"prompt": "a mug", "images": [IMAGE_FIELD], "negative_prompt": "blurry", **_GENERATE},
        MADE,
    ),
    WordsCall(
        "RefineImageNodeV2",
        "image/generate",
        {
            "prompt": "warmer",
            "structured_prompt": _STRUCTURED,
            "negative_prompt": None,
            **_GENERATE,
        },
        MADE,
    ),
    WordsCall(
        "generate of the skill",
        "image/generate",
        {"prompt": "a mug", "aspect_ratio": "16:9", "num_results": 1},
        MADE,
    ),
    WordsCall(
        "inspire of the skill",
        "image/generate",
        {"image_url": IMAGE_FIELD, "prompt": "the same in spring", "aspect_ratio": "1:1"},
        MADE,
    ),
    WordsCall(
        "a structured prompt as text without a seed",
        "image/generate",
        {"structured_prompt": _STRUCTURED, "aspect_ratio": "1:1", "variation_strength": 0},
        MADE,
    ),
    WordsCall(
        "a structured prompt as an object",
        "image/generate",
        {"structured_prompt": {"short_description": "a red mug on a shelf"}},
        MADE,
    ),
    WordsCall(
        "a size that nobody knows", "image/generate", {"prompt": "a mug", "size": "512x512"}, MADE
    ),
    WordsCall(
        "GenerateImageLiteNodeV2",
        "image/generate/lite",
        {"prompt": "a mug", **_GENERATE, "steps_num": 8},
        MADE,
    ),
)
PROMPTS = (
    WordsCall(
        "GenerateStructuredPromptNodeV2",
        "structured_prompt/generate",
        {"prompt": "a mug", "seed": 123456},
        ("structured_prompt", "seed"),
    ),
    WordsCall(
        "RefineImageNodeV2, first step",
        "structured_prompt/generate",
        {"prompt": "warmer", "structured_prompt": _STRUCTURED, **_GENERATE},
        ("structured_prompt", "seed"),
    ),
)
INTEGRATE = (
    WordsCall(
        "ProductIntegrateNode",
        "image/edit/product/integrate",
        {
            "scene": IMAGE_FIELD,
            "products": [
                {
                    "image": IMAGE_FIELD,
                    "coordinates": {"x": 10, "y": 20, "width": 90, "height": 90},
                }
            ],
            "seed": 123456,
        },
        ("image_url", "seed"),
    ),
)
CALLS = (*EDIT, *NAMED, *INSTRUCTIONS, *GENERATE, *PROMPTS, *INTEGRATE)
ONE_TONE = (
    _named("black and white", "colorize", color="black and white colors"),
    _named("sepia", "colorize", color="sepia vintage"),
    _named("bw", "colorize", color="black_and_white"),
)
"""What every profile can do: arithmetic."""


def check_result(call: WordsCall, result: Mapping[str, Any]) -> None:
    """Check that a result has what its program reads, of the types that typed programs expect."""
    for name in call.reads:
        assert isinstance(result[name], int if name == "seed" else str), name
    if "seed" in result and call.fields.get("seed") is not None:
        assert result["seed"] == call.fields["seed"]
