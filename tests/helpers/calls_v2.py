"""The requests of programs that call version 2, and how they read the answers.

Written down again from what they send.

Facts from Bria's MCP server (bria-mcp 2.6.0), its nodes for ComfyUI (ComfyUI-BRIA-API 2.1.19), ComfyUI's own
nodes for Bria, and Bria's examples for assistants (bria-skill 1.3.4). Fields that a route does not know are
there on purpose, and so are empty texts, nulls and empty lists.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx2 as httpx

from tests.helpers.requests_v2 import IMAGE_FIELD, MASK_FIELD, SIDE
from tests.helpers.server_process import Server

Size = tuple[int, int]
Caller = Literal["at once", "later"]
"""Whether a caller waits for the answer (sync=true) or follows `status_url`."""
_SAME: Size = (SIDE, SIDE)
_WIDE: Size = (round(SIDE * 16 / 9), SIDE)
_TIMEOUT_S = 300

NODES = {"visual_input_content_moderation": False, "visual_output_content_moderation": False}
"""What ComfyUI's nodes send on nearly all routes."""
EXPAND_NODE = {
    **NODES,
    "prompt": "",
    "negative_prompt": " ",
    "seed": 681794,
    "prompt_content_moderation": False,
    "preserve_alpha": True,
}
REPLACE_NODE = {
    "mode": "base",
    "refine_prompt": True,
    "original_quality": False,
    "negative_prompt": None,
    "seed": 681794,
    "prompt_content_moderation": False,
    "visual_output_content_moderation": False,
    "enhance_ref_images": True,
    "force_background_detection": False,
}
MCP_EXPAND = {
    "prompt": "",
    "negative_prompt": "",
    "preserve_alpha": False,
    "content_moderation": False,
}


@dataclass(frozen=True)
class Call:
    """One request as a program sends it. route: below /v2/image/edit. size: of the result, if it is known."""

    name: str
    route: str
    fields: Mapping[str, Any]
    caller: Caller = "later"
    size: Size | None = _SAME


MCP = (
    Call("remove_background", "remove_background", {}, "at once"),
    Call("blur_background", "blur_background", {"scale": 5}, "at once"),
    Call("crop_out_foreground", "crop_foreground", {}, "at once", None),
    Call("crop with padding", "crop_foreground", {"padding": 12}, "at once", None),
    Call(
        "increase_resolution",
        "increase_resolution",
        {"desired_increase": 2},
        "at once",
        (SIDE * 2, SIDE * 2),
    ),
    Call("expand_image", "expand", {**MCP_EXPAND, "aspect_ratio": "16:9"}, "at once", _WIDE),
    Call(
        "expand_image by a number in a text",
        "expand",
        {**MCP_EXPAND, "aspect_ratio": "1.5"},
        "at once",
        (SIDE * 3 // 2, SIDE),
    ),
    Call("expand_image without a ratio", "expand", MCP_EXPAND, "at once", (1000, 1000)),
    Call(
        "generate_background",
        "replace_background",
        {"mode": "high_control", "fast": "false", "prompt": "#1e90ff"},
        "at once",
        None,
    ),
    Call("erase_foreground", "erase_foreground", {}, "at once"),
    Call("erase_from_image", "erase", {"mask": MASK_FIELD, "composite": False}),
    Call("erase_from_image, exactly", "erase", {"mask": MASK_FIELD, "composite": True}),
    Call(
        "enhance_image",
        "enhance",
        {"preserve_alpha": True, "content_moderation": False},
        size=(SIDE * 2, SIDE * 2),
    ),
)
NODES_OF_BRIA = (
    Call("RmbgNode", "remove_background", {**NODES, "preserve_alpha": True}),
    Call("EraserNode", "erase", {**NODES, "mask": MASK_FIELD}),
    Call("RemoveForegroundNode", "erase_foreground", {**NODES, "preserve_alpha": True}),
    Call("ImageExpansionNode", "expand", {**EXPAND_NODE, "aspect_ratio": "16:9"}, size=_WIDE),
    Call(
        "ImageExpansionNode on a canvas",
        "expand",
        {
            **EXPAND_NODE,
            "original_image_size": [200, 200],
            "original_image_location": [100, 50],
            "canvas_size": [400, 300],
        },
        size=(400, 300),
    ),
    Call(
        "ImageExpansionNode without sizes",
        "expand",
        {
            **EXPAND_NODE,
            "original_image_size": [],
            "original_image_location": [],
            "canvas_size": [1000, 1000],
        },
        size=(1000, 1000),
    ),
    Call(
        "ReplaceBgNode",
        "replace_background",
        {**REPLACE_NODE, "prompt": "#1e90ff", "ref_images": []},
        size=None,
    ),
    Call(
        "ImageEnhanceNode",
        "enhance",
        {**NODES, "seed": 681794, "steps_num": 20, "resolution": "1MP", "preserve_alpha": True},
        size=(SIDE * 2, SIDE * 2),
    ),
)
NODES_OF_COMFYUI = (
    Call("BriaRemoveImageBackground", "remove_background", {**NODES, "sync": False, "seed": 0}),
    Call("BriaEraser", "erase", {**NODES, "mask": MASK_FIELD, "mask_type": "automatic"}),
    Call(
        "BriaExpandImage by a number",
        "expand",
        {**NODES, "aspect_ratio": 21 / 9, "seed": 42, "prompt_content_moderation": False},
        size=(round(SIDE * 21 / 9), SIDE),
    ),
    Call(
        "BriaExpandImage that crops",
        "expand",
        {
            **NODES,
            "canvas_size": [300, 200],
            "original_image_size": [256, 256],
            "original_image_location": [-20, -30],
            "seed": 42,
            "prompt_content_moderation": False,
        },
        size=(300, 200),
    ),
    Call(
        "BriaIncreaseResolution",
        "increase_resolution",
        {**NODES, "desired_increase": 2},
        size=(SIDE * 2, SIDE * 2),
    ),
)
SKILL = (
    Call("increase_resolution by scale", "increase_resolution", {"scale": 2}, size=(512, 512)),
    Call("crop_foreground", "crop_foreground", {}, size=None),
    Call("expand_image", "expand", {"aspect_ratio": "16:9", "prompt": "a beach"}, size=_WIDE),
)
GENERATIVE = (
    Call(
        "GenFillNode",
        "gen_fill",
        {
            **NODES,
            "mask": MASK_FIELD,
            "prompt": "a red hat",
            "negative_prompt": "blurry",
            "seed": 123456,
            "prompt_content_moderation": True,
            "version": 2,
        },
    ),
    Call(
        "ReplaceBgNode with a picture",
        "replace_background",
        {**REPLACE_NODE, "prompt": "", "ref_images": [IMAGE_FIELD]},
    ),
    Call(
        "generate_background with pictures",
        "replace_background",
        {"mode": "high_control", "fast": "true", "ref_images": [IMAGE_FIELD]},
    ),
)
LITE = (*MCP, *NODES_OF_BRIA, *NODES_OF_COMFYUI, *SKILL)


def send(running: Server, call: Call) -> httpx.Response:
    """Send a request as its program does."""
    body = {"image": IMAGE_FIELD, **call.fields}
    if call.caller == "at once":
        body["sync"] = True
    return running.http.post(f"/v2/image/edit/{call.route}", json=body)


def followed(answer: httpx.Response) -> dict[str, Any]:
    """Return the final state at `status_url`, which is called exactly as it was given."""
    assert answer.status_code == 202, answer.text
    accepted = answer.json()
    assert isinstance(accepted["request_id"], str)
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        state = httpx.get(accepted["status_url"], headers={"api_token": "secret-a"})
        assert state.status_code == 200, state.text
        told: dict[str, Any] = state.json()
        if told["status"].upper() in ("COMPLETED", "ERROR"):
            return told
        assert told["status"] == "IN_PROGRESS"
        assert told.get("result") is None
        time.sleep(0.1)
    raise AssertionError("the request was never finished")


def result_of(running: Server, call: Call) -> dict[str, Any]:
    """Send a request and return its result, read as its program reads it."""
    answer = send(running, call)
    if call.caller == "at once":
        assert answer.status_code == 200, answer.text
        told = answer.json()
    else:
        told = followed(answer)
        assert told["status"] == "COMPLETED", told
    result: dict[str, Any] = told["result"]
    return result
