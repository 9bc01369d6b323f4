"""The v2 API, one file for each operation, and the lists of all its routes."""

from typing import Any

from server.operation import Operation
from server.v2 import (
    all_masks,
    blur_background,
    crop_foreground,
    edit,
    enhance,
    erase,
    erase_foreground,
    expand,
    gen_fill,
    generate,
    increase_resolution,
    product_cutout,
    remove_background,
    replace_background,
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
)
ROUTERS = (status.router,)

__all__ = ["OPERATIONS", "ROUTERS", "responses"]
