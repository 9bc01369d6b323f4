"""Expand a picture beyond its borders onto a larger canvas."""

from typing import Any, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.compositing import over, paste
from imaging.inpaint.nearest import fill_from_nearest
from imaging.masks import automatic_radius, dilate
from imaging.picture import Alpha8, Mask, Picture, Rgb, Window
from imaging.resize import Size, resize_picture
from models.errors import NothingToCopyError
from models.roles import INPAINTING, MATTING, OUTPAINTING, SEGMENTATION, Models, Role
from pipelines.common.canvas import prepare_input
from pipelines.common.continuation import continued_outlines, is_good_continuation
from pipelines.common.filling import copies_texture, fill_hole, find_faces, head_mask
from pipelines.common.opacity import hidden_parts, opaque, visible_part
from pipelines.common.placement_geometry import Layout, placement
from pipelines.common.subject import FAINT, has_cut_out, subject_matte

P = TypeVar("P", bound=NDArray[Any])

# Of the longer side: a part that meets the border on such a length continues in the margin.
_WIDE_CONTACT = 0.07
# Of the visible part's shorter side: the depth of the band from which a cut subject is continued.
_SOURCE_DEPTH = 0.15
_FEATHER = 1.0  # pixels: the softness of a continued subject's edge
_FEATHER_REACH = 3  # pixels: how far that softness reaches


def expansion_roles(models: Models) -> tuple[Role[Any], ...]:
    """Return the roles that the margin needs; without an outpainting model it is inpainted."""
    if models.offers(OUTPAINTING):
        return (OUTPAINTING,)
    return MATTING, SEGMENTATION, INPAINTING


def image_expansion(
    picture: Picture,
    models: Models,
    canvas_size: tuple[int, int] = (1000, 1000),
    original_image_size: tuple[int, int] | None = None,
    original_image_location: tuple[int, int] | None = None,
    seed: int = 0,
    prompt: str = "",
    negative_prompt: str = "",
    preserve_alpha: bool | None = None,
) -> Picture:
    """Place `picture` on a canvas and generate the rest, the margin.

    canvas_size, original_image_size: width, height in pixels. original_image_location: x, y of the
    upper left corner on the canvas; it may be negative, and what lies outside is cropped. By default
    the picture keeps its size, is reduced only if the canvas is smaller, and is centred.

    The visible part of the (resized) picture does not change where it is opaque. A profile with an
    outpainting model generates the margin from `prompt`. Without one, the margin is filled from the
    visible part: what is not copied is in `fill_hole`. A subject that the border cuts continues along
    its outline where its fill passes `is_good_continuation`; elsewhere the margin is background.

    preserve_alpha: True keeps an alpha channel: pixels of the picture keep colour and alpha, and a new
    pixel has the alpha of the nearest one in its row or column, beyond a corner that of the corner. What
    is hidden is not continued. Otherwise the result is opaque: fully transparent pixels are generated like
    the margin, and partly transparent ones are laid over generated pixels; with False, only the edges of
    what is hidden (`common.opacity.solid`), and all else is opaque with its own colours. Without an
    outpainting model a cut-out is then laid over white, and the margin continues that. With None, a seam
    that a model generates next to hidden pixels may show their colours.

    The same seed gives the same picture. Without an outpainting model, four consecutive seeds give up to
    four variants. Raises OutsideCanvasError, and NothingToCopyError for a picture without an opaque pixel.
    """
    picture = _to_expand(picture, models, preserve_alpha)
    width, height = canvas_size
    size, (left, top), window = placement(
        (picture.width, picture.height),
        Layout(canvas_size, original_image_size, original_image_location),
    )
    part = _resized_part(picture, size, window, left, top, exact=preserve_alpha is True)
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[window] = part.rgb
    hole = np.ones((height, width), np.bool_)
    hole[window] = False if part.alpha is None else _regenerated(part.alpha, preserve_alpha)
    if not hole.any():
        filled = rgb
    elif models.offers(OUTPAINTING):
        if part.alpha is not None and preserve_alpha is not None:
            rgb[window] = _without_hidden_colours(part.rgb, part.alpha)
        filled = _generate(rgb, hole, window, models, prompt, negative_prompt, seed)
    else:
        filled = _fill(rgb, hole, part, window, models, seed)
    if part.alpha is None:
        return Picture(filled)
    if not preserve_alpha:
        filled[window] = over(part.rgb, part.alpha, filled[window])
        return Picture(filled)
    filled[window] = part.rgb
    return Picture(filled, _extended(part.alpha, window, hole.shape))


def _to_expand(picture: Picture, models: Models, preserve_alpha: bool | None) -> Picture:
    """Return what is expanded: the picture, its visible part, or a cut-out laid over white."""
    part = visible_part(picture, preserve_alpha)
    if preserve_alpha is not False or models.offers(OUTPAINTING) or part.alpha is None:
        return part
    # Around a cut-out only the subject itself could be copied.
    return opaque(part) if part.alpha.any() and has_cut_out(part) else part


def _resized_part(
    picture: Picture, size: Size, window: Window, left: int, top: int, exact: bool
) -> Picture:
    """Return `picture` at `size` (Lanczos), placed at left, top and cropped to `window`.

    exact: with exact colours where it is partly transparent.
    """
    part = np.s_[
        window[0].start - top : window[0].stop - top, window[1].start - left : window[1].stop - left
    ]
    return resize_picture(picture, size, part, in_bytes=not exact)


def _regenerated(alpha: Alpha8, preserve_alpha: bool | None) -> Mask:
    """Return which pixels of the picture are generated too, at least until its alpha is put back."""
    if preserve_alpha:  # the margin is not to continue what nobody sees
        return hidden_parts(alpha)
    generated: Mask = alpha < 255
    return generated


def _without_hidden_colours(rgb: Rgb, alpha: Alpha8) -> Rgb:
    """Return `rgb` with the colours of hidden pixels replaced by those of the nearest visible ones."""
    hidden = hidden_parts(alpha)
    return fill_from_nearest(rgb, ~hidden) if hidden.any() and not hidden.all() else rgb


def _extended(pixels: P, window: Window, shape: tuple[int, ...]) -> P:
    """Return the pixels of a window extended to a canvas: each new pixel equals the nearest one.

    That is the nearest of its row or column; beyond a corner it is the corner. shape: height and width.
    """
    rows, columns = window
    margins = (rows.start, shape[0] - rows.stop, columns.start, shape[1] - columns.stop)
    extended = cv2.copyMakeBorder(pixels, *margins, cv2.BORDER_REPLICATE)
    return cast(P, np.asarray(extended, np.uint8))


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
    return paste(_extended(rgb[window], window, hole.shape), hole, canvas, generated)
