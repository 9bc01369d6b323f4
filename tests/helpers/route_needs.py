"""What each editing route needs: fields besides its picture, and models."""

from typing import Any

from models.roles import (
    FACE_ANALYSIS,
    GENERATIVE_FILL,
    INPAINTING,
    INSTRUCTION_EDITING,
    MATTING,
    PROMPT_REFINEMENT,
    SCENE_GENERATION,
    SEGMENTATION,
    SUPER_RESOLUTION,
    Role,
)
from tests.helpers.requests import b64, mask, photo

SENT: dict[str, dict[str, Any]] = {
    "/background/replace": {"bg_prompt": "#ff0000"},
    "/eraser": {"mask_file": b64(mask())},
    "/gen_fill": {"mask_file": b64(mask()), "prompt": "a dog"},
    "/product/lifestyle_shot_by_text": {"scene_description": "#ff0000"},
    "/product/lifestyle_shot_by_image": {"ref_image_file": b64(photo(60, 40))},
    "/{visual_id}/objects/remove": {"changes": [{"mask_id": 1}]},
    "/v2/image/edit/replace_background": {"prompt": "#ff0000"},
    "/v2/image/edit/erase": {"mask": b64(mask())},
    "/v2/image/edit/gen_fill": {"mask": b64(mask()), "prompt": "a dog"},
    "/v2/image/edit": {"images": [b64(photo())], "instruction": "make it red"},
    "/v2/structured_instruction/generate": {
        "images": [b64(photo())],
        "instruction": "make it red",
    },
    "/v2/image/generate": {"prompt": "a dog"},
    "/v2/image/generate/lite": {"prompt": "a dog"},
    "/v2/structured_prompt/generate": {"prompt": "a dog"},
    "/v2/structured_prompt/generate/lite": {"prompt": "a dog"},
    "/{visual_id}/create": {"changes": [{"id": "0" * 8, "actions": {"age": "old"}}]},
}
"""What a route needs besides a picture or a visual."""

NEEDS: dict[str, set[Role[Any]]] = {
    "/background/remove": {MATTING},
    "/background/blur": {MATTING},
    "/background/replace": {MATTING},
    "/crop": {MATTING},
    "/product/cutout": {MATTING},
    "/product/packshot": {MATTING},
    "/product/shadow": {MATTING},
    "/product/lifestyle_shot_by_text": {MATTING},
    "/product/lifestyle_shot_by_image": {MATTING, SCENE_GENERATION},
    "/erase_foreground": {MATTING, SEGMENTATION, INPAINTING},
    "/eraser": {INPAINTING},
    "/gen_fill": {GENERATIVE_FILL},
    "/image/increase_resolution": {SUPER_RESOLUTION},
    "/enhance_image": {SUPER_RESOLUTION},
    "/image_expansion": {MATTING, SEGMENTATION, INPAINTING},
    "/objects/mask_generator": {MATTING, SEGMENTATION},
    "/{visual_id}/objects/mask_generator": {MATTING, SEGMENTATION},
    "/{visual_id}/objects/remove": {MATTING, SEGMENTATION, INPAINTING},
    "/{visual_id}/image_to_psd": {MATTING, SEGMENTATION, INPAINTING},
    "/{visual_id}/blur_bg": {MATTING},
    "/{visual_id}/increase_resolution": {SUPER_RESOLUTION},
    "/{visual_id}/create": {FACE_ANALYSIS},
    "/v2/image/edit/remove_background": {MATTING},
    "/v2/image/edit/blur_background": {MATTING},
    "/v2/image/edit/replace_background": {MATTING},
    "/v2/image/edit/crop_foreground": {MATTING},
    "/v2/image/edit/product/cutout": {MATTING},
    "/v2/image/edit/erase_foreground": {MATTING, SEGMENTATION, INPAINTING},
    "/v2/image/edit/erase": {INPAINTING},
    "/v2/image/edit/gen_fill": {GENERATIVE_FILL},
    "/v2/image/edit/increase_resolution": {SUPER_RESOLUTION},
    "/v2/image/edit/enhance": {SUPER_RESOLUTION},
    "/v2/image/segment/all_masks": {MATTING, SEGMENTATION},
    "/v2/image/edit": {INSTRUCTION_EDITING},
    "/v2/structured_instruction/generate": {PROMPT_REFINEMENT},
    "/v2/image/generate": {INSTRUCTION_EDITING},
    "/v2/image/generate/lite": {INSTRUCTION_EDITING},
    "/v2/structured_prompt/generate": {PROMPT_REFINEMENT},
    "/v2/structured_prompt/generate/lite": {PROMPT_REFINEMENT},
    "/v2/image/edit/expand": {MATTING, SEGMENTATION, INPAINTING},
}
"""By an operation's key: the roles without which a profile such as `lite` cannot answer the request above."""
