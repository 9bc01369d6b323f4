"""The v1 API, one file for each operation, and the lists of all its routes."""

from typing import Any

from server.operation import Operation, VisualQuery
from server.v1 import (
    background_blur,
    background_remove,
    background_replace,
    caption,
    create,
    crop,
    enhance_image,
    erase_foreground,
    eraser,
    gen_fill,
    image_expansion,
    image_increase_resolution,
    image_to_psd,
    info,
    objects_mask_generator,
    objects_remove,
    product_cutout,
    product_lifestyle_shot_by_image,
    product_lifestyle_shot_by_text,
    product_packshot,
    product_shadow,
    prompt_enhancer,
    register,
    remove_image,
    text_to_image,
    visual_edits,
)

OPERATIONS: tuple[Operation[Any], ...] = (
    eraser.OPERATION,
    gen_fill.OPERATION,
    background_remove.OPERATION,
    background_replace.OPERATION,
    erase_foreground.OPERATION,
    background_blur.OPERATION,
    image_expansion.OPERATION,
    image_increase_resolution.OPERATION,
    enhance_image.OPERATION,
    image_to_psd.OPERATION,
    crop.OPERATION,
    product_lifestyle_shot_by_text.OPERATION,
    product_lifestyle_shot_by_image.OPERATION,
    objects_mask_generator.OPERATION,
    objects_mask_generator.OF_VISUAL,
    objects_remove.OPERATION,
    create.OPERATION,
    product_cutout.OPERATION,
    product_packshot.OPERATION,
    product_shadow.OPERATION,
    visual_edits.INCREASE_RESOLUTION,
    visual_edits.BLUR_BG,
    text_to_image.BASE,
    text_to_image.FAST,
    text_to_image.HD,
    prompt_enhancer.OPERATION,
)
VISUAL_QUERIES: tuple[VisualQuery, ...] = (*info.VISUAL_QUERIES, caption.QUERY)
ROUTERS = (register.router, remove_image.router)
