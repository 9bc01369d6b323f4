"""Expand a picture beyond its borders onto a larger canvas."""

import cv2
import numpy as np

from imaging.compositing import over, paste
from imaging.masks import automatic_radius, dilate
from imaging.picture import Mask, Picture, Rgb, Window
from imaging.resize import resize_picture, scaled
from models.errors import NothingToCopyError
from models.roles import INPAINTING, OUTPAINTING, Models
from pipelines.common.canvas import cut
from pipelines.common.subject import subject_alpha
from pipelines.common.texture_sources import lone_objects
from pipelines.errors import OutsideCanvasError

_FAINT = 12  # 5 % opacity
_CONTINUED = 0.12  # of the kept part: how deep a subject cut by its border may be continued
_BROAD = 0.07  # of the longer side: what the border cuts on such a front goes on beyond it


def image_expansion(
    picture: Picture,
    models: Models,
    canvas_size: tuple[int, int] = (1000, 1000),
    original_image_size: tuple[int, int] | None = None,
    original_image_location: tuple[int, int] | None = None,
    seed: int = 0,
    prompt: str = "",
    negative_prompt: str = "",
) -> Picture:
    """Place `picture` on a canvas and generate the rest.

    canvas_size, original_image_size: width, height in pixels. original_image_location: x, y of the
    upper left corner on the canvas; it may be negative, what lies outside is cropped. By default
    the picture keeps its size, reduced to fit into the canvas if it is larger, and is centred.

    The kept part is the (resized) picture bit for bit; no part of the subject is copied into the
    margin, save where the border cuts the subject and it has to continue; other objects that end
    within the kept part are not repeated either. A profile with a model for outpainting generates the
    margin after `prompt`; without one the margin is made of what is there. The result is opaque:
    transparent parts of the picture are generated like the margin, and partly transparent ones lie
    over what is generated there. The same seed gives the same picture; four seeds in a row give
    up to four variants. Raises OutsideCanvasError, and NothingToCopyError for a picture without one opaque
    pixel.
    """
    width, height = canvas_size
    size, (left, top), kept = place(
        (picture.width, picture.height), canvas_size, original_image_size, original_image_location
    )
    part = _resized_part(picture, size, kept, left, top)
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[kept] = part.rgb
    hole = np.ones((height, width), np.bool_)
    hole[kept] = False if part.alpha is None else part.alpha < 255
    if not hole.any():
        return Picture(rgb)
    if models.offers(OUTPAINTING):
        filled = _generate(rgb, hole, kept, models, prompt, negative_prompt, seed)
    else:
        avoid = np.zeros((height, width), np.bool_)
        avoid[kept] = _not_to_repeat(part, hole[kept], models, _open_sides(kept, width, height))
        filled = _fill(rgb, hole, avoid, models, seed)
    if part.alpha is not None:
        filled[kept] = over(part.rgb, part.alpha, filled[kept])
    return Picture(filled)


def place(
    picture_size: tuple[int, int],
    canvas_size: tuple[int, int],
    original_image_size: tuple[int, int] | None,
    original_image_location: tuple[int, int] | None,
) -> tuple[tuple[int, int], tuple[int, int], Window]:
    """Return a picture's size and upper left corner on the canvas, and what the canvas keeps of it.

    Sizes are width and height. Raises OutsideCanvasError when nothing is kept.
    """
    width, height = canvas_size
    size = original_image_size or _fitting(picture_size, canvas_size)
    left, top = original_image_location or ((width - size[0]) // 2, (height - size[1]) // 2)
    kept = (
        slice(max(top, 0), min(top + size[1], height)),
        slice(max(left, 0), min(left + size[0], width)),
    )
    if kept[0].start >= kept[0].stop or kept[1].start >= kept[1].stop:
        raise OutsideCanvasError(
            f"at {left},{top} a picture of {size[0]}x{size[1]} lies outside "
            f"the {width}x{height} canvas"
        )
    return size, (left, top), kept


def _fitting(picture_size: tuple[int, int], canvas_size: tuple[int, int]) -> tuple[int, int]:
    """Return the picture's size, reduced to fit into the canvas if need be."""
    (width, height), (canvas_width, canvas_height) = picture_size, canvas_size
    ratio = min(1.0, canvas_width / width, canvas_height / height)
    return scaled(width, height, ratio)


def _resized_part(
    picture: Picture, size: tuple[int, int], kept: Window, left: int, top: int
) -> Picture:
    """Resize `picture` to `size` (Lanczos), put its corner at left, top and crop it to `kept`."""
    part = np.s_[
        kept[0].start - top : kept[0].stop - top, kept[1].start - left : kept[1].stop - left
    ]
    return resize_picture(picture, size, part, in_bytes=True)


def _open_sides(kept: Window, width: int, height: int) -> tuple[bool, bool, bool, bool]:
    """Return at which of top, bottom, left, right the kept part adjoins the margin."""
    rows, columns = kept
    return rows.start > 0, rows.stop < height, columns.start > 0, columns.stop < width


def _not_to_repeat(
    part: Picture, hole: Mask, models: Models, sides: tuple[bool, bool, bool, bool]
) -> Mask:
    """Return the subject and what else ends within the kept part; `hole` is its transparent part."""
    subject = _not_to_clone(part, models, sides)
    top, bottom, left, right = map(int, sides)
    # One pixel of the margin, for what reaches it to be told.
    framed = cv2.copyMakeBorder(part.rgb, top, bottom, left, right, cv2.BORDER_REPLICATE)
    margin = np.pad(hole, ((top, bottom), (left, right)), constant_values=True)
    avoid = np.pad(subject, ((top, bottom), (left, right)))
    lone = lone_objects(framed.astype(np.uint8, copy=False), margin, avoid, models, _BROAD)
    return subject | lone[top : top + part.height, left : left + part.width]


def _not_to_clone(part: Picture, models: Models, sides: tuple[bool, bool, bool, bool]) -> Mask:
    """Return the subject, less a band along the open sides that cut it: there it may continue."""
    subject = subject_alpha(part, models, force_rmbg=True) > _FAINT
    avoid = dilate(subject, automatic_radius(part.height, part.width))
    band = max(1, round(_CONTINUED * min(part.height, part.width)))
    top, bottom, left, right = sides
    if top and subject[0].any():
        avoid[:band] = False
    if bottom and subject[-1].any():
        avoid[-band:] = False
    if left and subject[:, 0].any():
        avoid[:, :band] = False
    if right and subject[:, -1].any():
        avoid[:, -band:] = False
    return avoid


def _fill(rgb: Rgb, hole: Mask, avoid: Mask, models: Models, seed: int) -> Rgb:
    """Fill the hole; the seed chooses in which of four orientations the model sees the canvas."""
    flip = (slice(None, None, -1 if seed & 1 else 1), slice(None, None, -1 if seed & 2 else 1))
    seen, seen_hole = np.ascontiguousarray(rgb[flip]), np.ascontiguousarray(hole[flip])
    with models.use(INPAINTING) as inpainting:
        try:
            filled = inpainting.fill(seen, seen_hole, np.ascontiguousarray(avoid[flip]))
        except NothingToCopyError:  # a subject that leaves no background can only be continued
            filled = inpainting.fill(seen, seen_hole)
    return np.ascontiguousarray(filled[flip])


def _generate(
    rgb: Rgb,
    hole: Mask,
    kept: Window,
    models: Models,
    prompt: str,
    negative_prompt: str,
    seed: int,
) -> Rgb:
    """Have the margin generated at the model's size; the seam is blended within the margin."""
    canvas = (slice(0, hole.shape[0]), slice(0, hole.shape[1]))
    with models.use(OUTPAINTING) as model:
        work = cut(rgb, hole, model.sizes, canvas)
        made = model.outpaint(work.rgb, work.hole, prompt, negative_prompt, seed)
    # The margin holds nothing yet: the seam is blended from the border's colours, drawn out.
    rows, columns = kept
    height, width = hole.shape
    drawn = cv2.copyMakeBorder(
        rgb[kept],
        rows.start,
        height - rows.stop,
        columns.start,
        width - columns.stop,
        cv2.BORDER_REPLICATE,
    )
    return paste(drawn.astype(np.uint8, copy=False), hole, canvas, made)
