"""The trials of version 2's fields: for each field a pair of requests that shows its effect."""

from collections.abc import Mapping
from typing import Any

from tests.contract.route import Field, Route
from tests.contract.trial_inputs import Trial, address, picture


def base_v2(route: Route, request_id: str) -> dict[str, Any]:
    """Return a request of a route in which every field has an effect.

    request_id: of a finished request.
    """
    names = {field.name for field in route.fields}
    whole = {
        "request_id": request_id,
        "image": picture("noise"),
        "mask": picture("mask"),
        "prompt": "red",
        "sync": True,
        "seed": 4,
        "canvas_size": [400, 300],
        "instruction": "make it red",
    }
    if "instruction" in names:
        whole["images"] = picture("noise")
    return {name: value for name, value in whole.items() if name in names}


def trials_v2(
    route: Route, field: Field, base: Mapping[str, Any], other_request: str
) -> list[Trial]:
    """Return the trials of a field. other_request: the id of another finished request."""
    without = {name: value for name, value in base.items() if name != field.path}
    red = {**base, "image": picture("red")}
    lite = route.path.endswith("/lite")
    special = {
        "steps_num": [Trial(base, 20 if lite else 40)],
        "request_id": [Trial(base, other_request)],
        "image": [Trial(base, picture("other"), "base64"), Trial(base, address("other"), "data:")],
        "mask": [Trial(base, picture("half mask"))],
        "preserve_alpha": [Trial({**base, "image": picture("half seen")}, False)],
        "visual_input_content_moderation": [Trial(red, True)],
        "visual_output_content_moderation": [Trial(red, True)],
        "prompt": _prompts(route, without),
        "ref_images": [
            Trial(_without_prompt(base), picture("other")),
            Trial(_without_prompt(base), [picture("other")], "a list"),
        ],
        "force_background_detection": [Trial({**base, "image": picture("half clear")}, True)],
        "visual_input_content_moderation_threshold": [
            Trial({**red, "visual_input_content_moderation": True}, 100)
        ],
        "visual_output_content_moderation_threshold": [
            Trial({**red, "visual_output_content_moderation": True}, 100)
        ],
        "sync": [Trial(base, False)],
        "seed": [Trial(base, 5)],
    }
    return special.get(field.path) or [Trial(without, _VALUES[field.path])]


def _prompts(route: Route, without: Mapping[str, Any]) -> list[Trial]:
    if route.path.endswith("/replace_background"):
        return [
            Trial(without, "a plain blue background", "a colour"),
            Trial(without, "in a living room", "a scene"),
        ]
    return [Trial(without, "a wall")]


def _without_prompt(base: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in base.items() if name != "prompt"}


_VALUES = {
    "mask_type": "automatic",
    "prompt_content_moderation": False,
    "negative_prompt": "people",
    "composite": True,
    "ip_signal": True,
    "mode": "fast",
    "refine_prompt": False,
    "enhance_ref_images": False,
    "original_quality": True,
    "scale": 1,
    "aspect_ratio": "16:9",
    "canvas_size": [500, 300],
    "original_image_size": [200, 150],
    "original_image_location": [10, 20],
    "desired_increase": 4,
    "padding": 9,
    "images": picture("other"),
    "image_url": address("other"),
    "instruction": "make it blue",
    "structured_prompt": '{"short_description": "a wall"}',
    "model_version": "FIBO-9",
    "resolution": "4MP",
    "guidance_scale": 3.5,
    "style": "woodcut",
    "sku": "SKU-1",
    "output_type": "jpeg",
}
