"""What the trials of the parity table cannot see: where profile `lite` gives less than a field promises."""

from collections.abc import Mapping

_COPIED = "the area is filled with texture copied from the picture; nothing new is generated"
_PARTS = (
    "first each person, animal or thing of the subject, divided by what touches and by faces, then the whole"
    " subject, then the parts of a graph segmentation by colour; at most 255; parts of one thing do not nest"
)
_MODERATION = "the model of `lite` knows sexual content only"
_MATTING = "a small model, U²-Netp; the published RMBG 2.0 is in profile `bria`"
_STATUS = "never NSFW with `sync=false`, whose answer is sent before the result exists"
_RATED = "only actions that the profile can do; `lite` changes no people"
_LABELS = (
    "age range, gender and (profile `cpu`) expression, each if the model is sure; never glasses"
)
_OBJECT_LABELS = (
    "`person` for a mask with a face, then names of colours; profile `cpu` names other objects too"
)
_ENLARGED = "sharper edges and text; elsewhere interpolation; half a minute for 2 MP on two cores"
_ENHANCED = (
    "enlarged as `/image/increase_resolution` does it, then the texture that is there is made clearer;"
    " nothing new is generated"
)
_PROMPTS = "prompts are not moderated: no profile has a model for text; sent as true, the answer has a warning"
_FOUR_MEGAPIXELS = "4MP is generated as 1MP and enlarged"

_SKU = "accepted; changes nothing"

CONTENT_MODERATION = _MODERATION
"""The note of every field of `_MODERATED` that has no note of its own."""
_MODERATED = frozenset(
    {
        "content_moderation",
        "visual_input_content_moderation",
        "visual_output_content_moderation",
    }
)

NOTES: Mapping[str, Mapping[str, str]] = {
    "/eraser": {"": _COPIED},
    "/gen_fill": {"content_moderation": "a blocked input is refused with 422 first"},
    "/background/remove": {"": _MATTING},
    "/background/replace": {
        "": "plain colours are made, scenes are not",
        "num_results": "a colour gives copies of one picture, each with its own link and seed",
    },
    "/product/lifestyle_shot_by_text": {
        "": "shots on plain colours are made, scenes are not",
        "num_results": "a colour gives copies of one picture, each with its own link and seed",
        "sku": "accepted; nothing is stored by it",
        "placement_type": "automatic: ten positions for each result, also with `sync=true`",
    },
    "/erase_foreground": {"": _COPIED},
    "/image_expansion": {
        "": _COPIED,
        "answer.message": _STATUS,
        "answer.status": _STATUS,
        "answer.prompt": "as sent; empty without one, because `lite` describes no pictures",
    },
    "/image/increase_resolution": {"": _ENLARGED},
    "/enhance_image": {
        "": _ENHANCED,
        "steps_num": "changes nothing: no generative model",
        "seed": "returned; every seed gives the same picture",
    },
    "/product/cutout": {"": _MATTING, "sku": _SKU},
    "/product/packshot": {"": f"{_MATTING}; a small product is enlarged by a filter", "sku": _SKU},
    "/product/shadow": {
        "": "a photograph without a transparent background is cut out first",
        "sku": _SKU,
        "type": "`natural` and `drop`, which programs send, mean `regular`",
        "shadow_width": "with type `float`",
        "shadow_height": "with type `float`",
    },
    "/{visual_id}/image_to_psd": {
        "answer.image_res": "layers: the background, soft edges, at most 32 parts that look like objects,"
        " each person, animal or thing of the subject; an object that is not of the subject can be missing"
    },
    "/objects/mask_generator": {"answer.objects_masks": _PARTS},
    "/{visual_id}/person/info": {
        "answer.[].actions": _RATED,
        "answer.[].oracle": _RATED,
        "answer.[].labels": _LABELS,
    },
    "/register": {
        "is_private": "stored only",
        "org_image_key": "needs `RETOUCH_ORG_IMAGE_URL`; without it 506",
    },
    "/upload": {
        "is_private": "stored only",
        "org_image_key": "needs `RETOUCH_ORG_IMAGE_URL`; without it 506",
    },
    "/{visual_id}/info": {
        "answer.[].actions": _RATED,
        "answer.[].oracle": _RATED,
        "answer.[].labels": f"people: {_LABELS}; objects: {_OBJECT_LABELS}",
    },
    "/{visual_id}/objects/info": {"answer.[].labels": _OBJECT_LABELS},
    "/{visual_id}/objects/mask_generator": {"answer.objects_masks": _PARTS},
    "/{visual_id}/objects/remove": {
        "": _COPIED,
        "changes[].mask_id": "the masks of mask_generator",
        "enhance": "the quality is always the highest",
    },
    "/image/edit/erase": {
        "": _COPIED,
        "composite": "nothing outside the mask ever changes, as with `true`",
    },
    "/image/edit/gen_fill": {"prompt_content_moderation": _PROMPTS},
    "/image/edit/remove_background": {"": _MATTING},
    "/image/edit/replace_background": {
        "": "plain colours are made, scenes are not",
        "prompt_content_moderation": _PROMPTS,
    },
    "/image/edit/erase_foreground": {"": _COPIED},
    "/image/edit/expand": {
        "": _COPIED,
        "prompt_content_moderation": _PROMPTS,
        "answer.prompt": "as sent; empty without one, because `lite` describes no pictures",
    },
    "/image/edit/increase_resolution": {"": _ENLARGED},
    "/image/edit/enhance": {
        "": _ENHANCED,
        "seed": "returned; every seed gives the same picture",
    },
    "/image/edit/product/cutout": {"": _MATTING, "sku": _SKU},
    "/image/edit/colorize": {
        "": "black_and_white and sepia_vintage are made, the other colours are not",
        "seed": "returned; it changes only what a model makes",
        "negative_prompt": "it changes only what a model makes",
        "prompt_content_moderation": _PROMPTS,
        "answer.structured_instruction": "what a model would be told; none is asked here",
    },
    "/image/segment/all_masks": {
        "answer.masks": f"{_PARTS}; the confidence is how stable a matte is and how clear an edge is, not a"
        " network's own estimate"
    },
    "/image/edit": {"prompt_content_moderation": _PROMPTS},
    "/image/generate": {"prompt_content_moderation": _PROMPTS, "resolution": _FOUR_MEGAPIXELS},
    "/image/generate/lite": {"prompt_content_moderation": _PROMPTS, "resolution": _FOUR_MEGAPIXELS},
    "/structured_prompt/generate": {"prompt_content_moderation": _PROMPTS},
    "/structured_prompt/generate/lite": {"prompt_content_moderation": _PROMPTS},
    "/structured_instruction/generate": {
        "prompt_content_moderation": _PROMPTS,
        "mask": "checked; the text does not depend on it",
    },
}
"""By route, then by field: "" for the route, `answer.NAME` for a field of its answer."""


def note(path: str, field: str) -> str:
    """Return the note of a route's field, or an empty text."""
    default = CONTENT_MODERATION if field in _MODERATED else ""
    return NOTES.get(path, {}).get(field, default)
