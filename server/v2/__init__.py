"""The v2 API, one file for each operation, and the lists of all its routes."""

from typing import Any

from server.operation import Operation
from server.v2 import (
    add_object_by_text,
    all_masks,
    blend,
    blur_background,
    colorize,
    crop_foreground,
    edit,
    enhance,
    erase,
    erase_by_text,
    erase_foreground,
    expand,
    gen_fill,
    generate,
    increase_resolution,
    product_cutout,
    relight,
    remove_background,
    replace_background,
    replace_object_by_text,
    reseason,
    restore,
    restyle,
    rewrite_text,
    sketch_to_colored_image,
    status,
    structured_instruction,
    structured_prompt,
)
from server.v2.envelope import responses

OPERATIONS: tuple[Operation[Any], ...] = (
    erase.OPERATION,
    gen_fill.OPERATION,
    remove_background.OPERATION,
    replace_background.OPERATION,
    erase_foreground.OPERATION,
    blur_background.OPERATION,
    expand.OPERATION,
    increase_resolution.OPERATION,
    crop_foreground.OPERATION,
    enhance.OPERATION,
    all_masks.OPERATION,
    product_cutout.OPERATION,
    edit.OPERATION,
    structured_instruction.OPERATION,
    generate.OPERATION,
    generate.LITE,
    structured_prompt.OPERATION,
    structured_prompt.LITE,
    add_object_by_text.OPERATION,
    replace_object_by_text.OPERATION,
    erase_by_text.OPERATION,
    blend.OPERATION,
    rewrite_text.OPERATION,
    reseason.OPERATION,
    relight.OPERATION,
    restyle.OPERATION,
    colorize.OPERATION,
    sketch_to_colored_image.OPERATION,
    restore.OPERATION,
)
ROUTERS = (status.router,)

__all__ = ["OPERATIONS", "ROUTERS", "responses"]
