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
        "instruction": "a vase",
        "object_name": "the lamp",
        "new_text": "Fresh bread",
        "season": "winter",
        "light_type": "midday",
        "style": "anime",
        "color": "black_and_white",
        "scene": picture("noise"),
        "products": [{"image": picture("half clear"), "coordinates": _BOX}],
        "person_image": picture("noise"),
        "product_images": [picture("other")],
        "garment_images": [picture("other")],
    }
    if "instruction" in names:
        whole["images"] = picture("noise")
    if "color" in names:
        whole.pop("style")  # another name of it
    return {name: value for name, value in whole.items() if name in names}


def trials_v2(
    route: Route, field: Field, base: Mapping[str, Any], other_request: str
) -> list[Trial]:
    """Return the trials of a field. other_request: the id of another finished request."""
    without = {name: value for name, value in base.items() if name != field.path}
    red_field = next((name for name in _PICTURES if name in base), "image")
    red = {**base, red_field: picture("red")}
    if field.path.startswith("products[]"):
        return [Trial(base, [_changed_product(field.path)])]
    lite = route.path.endswith("/lite")
    special = {
        "steps_num": [Trial(base, 20 if lite else 40)],
        "request_id": [Trial(base, other_request)],
        "image": [Trial(base, picture("other"), "base64"), Trial(base, address("other"), "data:")],
        "mask": [Trial(base, picture("half mask"))],
        "preserve_alpha": [Trial({**base, "image": picture("half seen")}, False)],
        "visual_input_content_moderation": [Trial(red, field.default is False)],
        "visual_output_content_moderation": [
            Trial({**red, "visual_input_content_moderation": False}, field.default is False)
        ],
        "prompt": _prompts(route, without),
        "ref_images": [
            Trial(_without_prompt(base), picture("other")),
            Trial(_without_prompt(base), [picture("other")], "a list"),
        ],
        "force_background_detection": [Trial({**base, "image": picture("half clear")}, True)],
        "visual_input_content_moderation_threshold": [
            Trial({**base, "visual_input_content_moderation": True}, 0)
        ],
        "visual_output_content_moderation_threshold": [
            Trial({**red, "visual_output_content_moderation": True}, 100)
        ],
        "scene": [Trial(base, picture("other"))],
        "person_image": [Trial(base, picture("other"))],
        "color": [
            Trial(base, "sepia_vintage", "arithmetic"),
            Trial(base, "color_vivid", "by words"),
        ],
        "sync": [Trial(base, False)],
        "seed": [Trial(base, 5)],
    }
    if field.path == "style" and "color" in base:
        bare = {name: value for name, value in base.items() if name != "color"}
        return [Trial({**bare, "style": "bw"}, "sepia vintage")]
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


def _changed_product(path: str) -> dict[str, Any]:
    """Return the product of the base request with one member changed."""
    name = path.rpartition(".")[2]
    if name == "image":
        return {"image": picture("speck"), "coordinates": _BOX}
    box = {**_BOX, name: 90} if name in _BOX else dict.fromkeys(_BOX, 50)
    return {"image": picture("half clear"), "coordinates": box}


_BOX = {"x": 40, "y": 30, "width": 80, "height": 60}
_PICTURES = ("scene", "person_image", "image")
_VALUES = {
    "overlay": picture("other"),
    "instruction": "a pear",
    "object_name": "the table",
    "new_text": "Stale bread",
    "season": "spring",
    "light_type": "moonlight lighting",
    "light_direction": "bottom",
    "style": "cubism",
    "products": [{"image": picture("speck"), "coordinates": _BOX}],
    "product_images": [picture("noise")],
    "garment_images": [picture("noise")],
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
    "structured_instruction": '{"edit_instruction": "make it blue"}',
    "structured_prompt": '{"short_description": "a wall"}',
    "model_version": "FIBO-9",
    "resolution": "4MP",
    "guidance_scale": 3.5,
    "sku": "SKU-1",
    "output_type": "jpeg",
}
