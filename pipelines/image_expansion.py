"""Expand a picture beyond its borders onto a larger canvas."""

import cv2
import numpy as np

from imaging.compositing import over, paste
from imaging.masks import automatic_radius, dilate
from imaging.picture import Mask, Picture, Rgb, Window
from imaging.resize import resize_picture, scaled
from models.errors import NothingToCopyError
from models.roles import INPAINTING, OUTPAINTING, Models
from pipelines.common.canvas import prepare_input
from pipelines.common.continuation import continued_outlines, is_good_continuation
from pipelines.common.filling import copies_texture, fill_hole, find_faces, head_mask
from pipelines.common.subject import FAINT, subject_matte
from pipelines.errors import OutsideCanvasError

# Of the longer side: a part that meets the border on such a length continues in the margin.
_WIDE_CONTACT = 0.07
# Of the visible part's shorter side: the depth of the band from which a cut subject is continued.
_SOURCE_DEPTH = 0.15
_FEATHER = 1.0  # pixels: the softness of a continued subject's edge
_FEATHER_REACH = 3  # pixels: how far that softness reaches


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
    """Place `picture` on a canvas and generate the rest, the margin.

    canvas_size, original_image_size: width, height in pixels. original_image_location: x, y of the
    upper left corner on the canvas; it may be negative, and what lies outside is cropped. By default
    the picture keeps its size, is reduced only if the canvas is smaller, and is centred.

    The visible part of the (resized) picture does not change where it is opaque. A profile with an
    outpainting model generates the margin from `prompt`. Without one, the margin is filled from the
    visible part: what is not copied is in `fill_hole`. A subject that the border cuts continues along
    its outline where its fill passes `is_good_continuation`; elsewhere the margin is background.

    The result is opaque: fully transparent pixels are generated like the margin, and partly
    transparent ones are laid over generated pixels. The same seed gives the same picture. Without
    an outpainting model, four consecutive seeds give up to four variants. Raises
    OutsideCanvasError, and NothingToCopyError for a picture without an opaque pixel.
    """
    width, height = canvas_size
    size, (left, top), window = placement(
        (picture.width, picture.height), canvas_size, original_image_size, original_image_location
    )
    part = _resized_part(picture, size, window, left, top)
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[window] = part.rgb
    hole = np.ones((height, width), np.bool_)
    hole[window] = False if part.alpha is None else part.alpha < 255
    if not hole.any():
        return Picture(rgb)
    if models.offers(OUTPAINTING):
        filled = _generate(rgb, hole, window, models, prompt, negative_prompt, seed)
    else:
        filled = _fill(rgb, hole, part, window, models, seed)
    if part.alpha is not None:
        filled[window] = over(part.rgb, part.alpha, filled[window])
    return Picture(filled)


def placement(
    picture_size: tuple[int, int],
    canvas_size: tuple[int, int],
    original_image_size: tuple[int, int] | None,
    original_image_location: tuple[int, int] | None,
) -> tuple[tuple[int, int], tuple[int, int], Window]:
    """Return a picture's size and upper left corner (x, y) on the canvas, and its visible part.

    The visible part is rows and columns of the canvas. Sizes are width and height in pixels. Raises
    OutsideCanvasError if no part is visible.
    """
    width, height = canvas_size
    size = original_image_size or _fitted_size(picture_size, canvas_size)
    left, top = original_image_location or ((width - size[0]) // 2, (height - size[1]) // 2)
    window = (
        slice(max(top, 0), min(top + size[1], height)),
        slice(max(left, 0), min(left + size[0], width)),
    )
    if window[0].start >= window[0].stop or window[1].start >= window[1].stop:
        raise OutsideCanvasError(
            f"at {left},{top} a picture of {size[0]}x{size[1]} lies outside "
            f"the {width}x{height} canvas"
        )
    return size, (left, top), window


def _fitted_size(picture_size: tuple[int, int], canvas_size: tuple[int, int]) -> tuple[int, int]:
    """Return the picture's size, reduced to fit into the canvas if it is larger."""
    (width, height), (canvas_width, canvas_height) = picture_size, canvas_size
    ratio = min(1.0, canvas_width / width, canvas_height / height)
    return scaled(width, height, ratio)


def _resized_part(
    picture: Picture, size: tuple[int, int], window: Window, left: int, top: int
) -> Picture:
    """Return `picture` at `size` (Lanczos), placed at left, top and cropped to `window`."""
    part = np.s_[
        window[0].start - top : window[0].stop - top, window[1].start - left : window[1].stop - left
    ]
    return resize_picture(picture, size, part, in_bytes=True)


def _fill(rgb: Rgb, hole: Mask, part: Picture, window: Window, models: Models, seed: int) -> Rgb:
    """Return `rgb` with the margin filled: the background from the background, the subject from itself."""
    unwanted = np.zeros_like(hole)
    with models.use(INPAINTING) as inpainting:
        if not copies_texture(inpainting):  # a network continues what it sees
            return _fill_flipped(rgb, hole, unwanted, models, seed)
    subject = subject_matte(part, models) > FAINT
    unwanted[window] = dilate(subject, automatic_radius(part.height, part.width))
    filled = _fill_flipped(rgb, hole, unwanted, models, seed)
    if not subject.any():
        return filled
    heads = head_mask(find_faces(part.rgb, models), part.rgb.shape)
    cloth = np.zeros_like(hole)
    cloth[window] = subject & ~heads
    cloth &= ~hole
    for outline in continued_outlines(subject, heads, window, hole.shape):
        outline &= hole
        sources = cloth & dilate(outline, round(_SOURCE_DEPTH * min(part.height, part.width)))
        continued = _continue(rgb, outline, sources, models)
        if continued is not None and is_good_continuation(continued, sources, outline):
            mask = (outline | unwanted) * np.uint8(255)
            alpha = cv2.GaussianBlur(mask, (0, 0), _FEATHER).astype(np.uint8, copy=False)
            alpha[~hole | ~dilate(outline, _FEATHER_REACH)] = 0
            filled = over(continued, alpha, filled)
    return filled


def _continue(rgb: Rgb, outline: Mask, subject: Mask, models: Models) -> Rgb | None:
    """Return `rgb` with an outline filled from the subject alone, or None if it leaves no pixel to copy."""
    wider = dilate(outline, _FEATHER_REACH) & ~subject
    try:
        with models.use(INPAINTING) as inpainting:
            return inpainting.fill(rgb, wider, ~(subject | wider))
    except NothingToCopyError:
        return None


def _fill_flipped(rgb: Rgb, hole: Mask, unwanted: Mask, models: Models, seed: int) -> Rgb:
    """Return `rgb` with the hole filled; the seed selects one of four mirrored orientations."""
    flip = (slice(None, None, -1 if seed & 1 else 1), slice(None, None, -1 if seed & 2 else 1))
    filled = fill_hole(
        np.ascontiguousarray(rgb[flip]),
        np.ascontiguousarray(hole[flip]),
        models,
        unwanted=np.ascontiguousarray(unwanted[flip]),
        wide_contact=_WIDE_CONTACT,
    )
    return np.ascontiguousarray(filled[flip])


def _generate(
    rgb: Rgb,
    hole: Mask,
    window: Window,
    models: Models,
    prompt: str,
    negative_prompt: str,
    seed: int,
) -> Rgb:
    """Return `rgb` with the margin generated at the model's size; the seam is blended in the margin."""
    canvas = (slice(0, hole.shape[0]), slice(0, hole.shape[1]))
    with models.use(OUTPAINTING) as model:
        model_input = prepare_input(rgb, hole, model.sizes, canvas)
        generated = model.outpaint(model_input.rgb, model_input.hole, prompt, negative_prompt, seed)
    # The margin is still black, so the border's colours are extended into it to blend the seam.
    rows, columns = window
    height, width = hole.shape
    extended = cv2.copyMakeBorder(
        rgb[window],
        rows.start,
        height - rows.stop,
        columns.start,
        width - columns.stop,
        cv2.BORDER_REPLICATE,
    )
    return paste(extended.astype(np.uint8, copy=False), hole, canvas, generated)
