"""The calls that the runtime itself makes of a role's model: warm-ups, and retries with less memory.

`models.roles` names these functions in the rows of its roles. They are apart from it because they
need NumPy and OpenCV, and the roles are read before anything is installed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from imaging.half_size import enlarge_like, half_size, in_two_halves, shrink_to
from imaging.picture import Alpha, Labels, Mask, Matte, Rgb
from imaging.resize import Size, SizeRule, resize_labels
from models.roles import (
    Captioning,
    DetectedObject,
    Face,
    FaceAnalysis,
    FaceEditing,
    GenerativeFill,
    Inpainting,
    InstructionEditing,
    Matting,
    Moderation,
    ObjectDetection,
    Outpainting,
    PromptRefinement,
    SceneGeneration,
    Segmentation,
    SuperResolution,
)
from models.runtime.oom_retry import is_out_of_memory

_GREY = np.full((64, 64, 3), 128, np.uint8)
_PROMPT = "a wooden table by a window"
_HOLE = np.pad(np.ones((8, 8), np.bool_), 28)


def warm_matting(model: Matting) -> None:
    """Call a model once on a tiny picture."""
    model.matte(_GREY)


def warm_inpainting(model: Inpainting) -> None:
    """Call a model once on a tiny picture."""
    model.fill(_GREY, _HOLE)


def warm_segmentation(model: Segmentation) -> None:
    """Call a model once on a tiny picture."""
    model.segment(_GREY)


def warm_super_resolution(model: SuperResolution) -> None:
    """Call a model once for each factor, which can be a network of its own, on a tiny picture."""
    for factor in (2, 4):
        model.upscale(_GREY, factor)


def warm_face_analysis(model: FaceAnalysis) -> None:
    """Call a model once on a tiny picture."""
    model.analyse(_GREY)


def warm_moderation(model: Moderation) -> None:
    """Call a model once on a tiny picture."""
    model.score(_GREY)


def warm_captioning(model: Captioning) -> None:
    """Call a model once on a tiny picture."""
    model.caption(_GREY)


def warm_object_detection(model: ObjectDetection) -> None:
    """Call a model once on a tiny picture."""
    model.detect(_GREY)


def warm_prompt_refinement(model: PromptRefinement) -> None:
    """Refine one short prompt."""
    model.refine(_PROMPT)


def first_fill(model: GenerativeFill, size: Size) -> None:
    """Fill the middle of a grey picture."""
    model.fill_by_prompt(_grey(size), _middle(size), _PROMPT, "", [0])


def first_scene(model: SceneGeneration, size: Size) -> None:
    """Generate what is behind the middle of a grey picture."""
    model.scenes(_grey(size), _middle(size).astype(np.float32), _PROMPT, "", [0])


def first_outpainting(model: Outpainting, size: Size) -> None:
    """Generate what is around the middle of a grey picture."""
    model.outpaint(_grey(size), ~_middle(size), _PROMPT, "", 0)


def first_face(model: FaceEditing, size: Size) -> None:
    """Change the expression of a face in the middle of a grey picture."""
    width, height = size
    face = Face(
        (width / 4, height / 4, width / 2, height / 2), np.zeros((0, 2), np.float32), 1.0, 0.0, 0.0
    )
    model.edit_face(_grey(size), face, {"expression": "happy"}, 0)


def first_edit(model: InstructionEditing, size: Size) -> None:
    """Change a grey picture by a text."""
    model.edit([_grey(size)], _PROMPT, "", [0], size)


def _grey(size: Size) -> Rgb:
    """Return a grey picture. size: width and height."""
    return np.full((size[1], size[0], 3), 128, np.uint8)


def _middle(size: Size) -> Mask:
    """Return True in the middle of a picture, half its width and height."""
    width, height = size
    mask = np.zeros((height, width), np.bool_)
    mask[height // 4 : -(height // 4), width // 4 : -(width // 4)] = True
    return mask


def retry_matte(matte: Any, _: SizeRule | None, rgb: Rgb) -> Matte:
    """Return the matte of a picture, made at half its size."""
    small = matte(shrink_to(rgb, half_size(rgb)))
    enlarged: Matte = enlarge_like(small, rgb, cv2.INTER_LINEAR)
    return enlarged


def retry_fill(
    fill: Any, _: SizeRule | None, rgb: Rgb, hole: Mask, avoid: Mask | None = None
) -> Rgb:
    """Return the filled picture, the fill made at half its size."""
    size = half_size(rgb)
    small_avoid = None if avoid is None else shrink_to(avoid, size)
    small = fill(shrink_to(rgb, size), shrink_to(hole, size), small_avoid)
    return np.where(hole[..., None], enlarge_like(small, rgb), rgb)


def retry_segment(segment: Any, _: SizeRule | None, rgb: Rgb) -> Labels:
    """Return the parts of a picture, found at half its size."""
    small = segment(shrink_to(rgb, half_size(rgb)))
    return resize_labels(small, (rgb.shape[1], rgb.shape[0]))


def retry_at_half_size(describe: Any, _: SizeRule | None, rgb: Rgb) -> Any:
    """Return what a model says about a picture, from half its size."""
    return describe(shrink_to(rgb, half_size(rgb)))


def retry_detect(detect: Any, _: SizeRule | None, rgb: Rgb) -> list[DetectedObject]:
    """Return the objects of a picture, found at half its size."""
    width, height = half_size(rgb)
    x, y = rgb.shape[1] / width, rgb.shape[0] / height
    return [
        replace(found, box=(left * x, top * y, right * x, bottom * y))
        for found in detect(shrink_to(rgb, (width, height)))
        for left, top, right, bottom in [found.box]
    ]


def retry_upscale(upscale: Any, _: SizeRule | None, rgb: Rgb, factor: int) -> Rgb:
    """Return the enlarged picture, made in two halves."""
    return in_two_halves(upscale, rgb, factor)


def retry_generate(
    generate: Any,
    sizes: SizeRule,
    rgb: Rgb,
    mask: Mask | Alpha,
    prompt: str,
    negative_prompt: str,
    seeds: Sequence[int],
    **options: Any,
) -> list[Rgb]:
    """Generate in half a batch, two seeds; if memory runs out again seed by seed; then at half the size.

    With only one seed, generate at half the size.
    """

    def made(some: Sequence[int]) -> list[Rgb]:
        pictures: list[Rgb] = generate(rgb, mask, prompt, negative_prompt, some, **options)
        return pictures

    if (pictures := _in_smaller_batches(made, seeds)) is not None:
        return pictures
    size = half_size(rgb, sizes.multiple, sizes.least)
    small = [shrink_to(rgb, size), shrink_to(mask, size), prompt, negative_prompt]
    return [
        enlarge_like(picture, rgb)
        for seed in seeds
        for picture in generate(*small, [seed], **options)
    ]


def _in_smaller_batches(
    make: Callable[[Sequence[int]], list[Rgb]], seeds: Sequence[int]
) -> list[Rgb] | None:
    """Return a picture for each seed, made in twos or one by one; None if there is no memory for one either."""
    # The next attempt begins outside the handler, whose error would keep the tensors of this one alive.
    for size in (2, 1):
        if size < len(seeds):
            try:
                return [
                    picture
                    for first in range(0, len(seeds), size)
                    for picture in make(seeds[first : first + size])
                ]
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
    return None


def retry_outpaint(
    outpaint: Any,
    sizes: SizeRule,
    canvas: Rgb,
    hole: Mask,
    prompt: str,
    negative_prompt: str,
    seed: int,
) -> Rgb:
    """Return the continued canvas, generated at half its size."""
    size = half_size(canvas, sizes.multiple, sizes.least)
    small = outpaint(shrink_to(canvas, size), shrink_to(hole, size), prompt, negative_prompt, seed)
    enlarged: Rgb = enlarge_like(small, canvas)
    return enlarged


def retry_edit_face(
    edit_face: Any,
    sizes: SizeRule,
    rgb: Rgb,
    face: Face,
    actions: Mapping[str, str | float],
    seed: int,
) -> tuple[Rgb, Alpha]:
    """Return the changed picture and its alpha, made at half its size."""
    size = half_size(rgb, sizes.multiple, sizes.least)
    x, y = size[0] / rgb.shape[1], size[1] / rgb.shape[0]
    left, top, width, height = face.rect
    smaller = replace(
        face,
        rect=(left * x, top * y, width * x, height * y),
        landmarks=face.landmarks * np.array([x, y], np.float32),
    )
    picture, alpha = edit_face(shrink_to(rgb, size), smaller, actions, seed)
    return enlarge_like(picture, rgb), enlarge_like(alpha, rgb, cv2.INTER_LINEAR)


def retry_edit(
    edit: Any,
    sizes: SizeRule,
    pictures: Sequence[Rgb],
    prompt: str,
    negative_prompt: str,
    seeds: Sequence[int],
    size: tuple[int, int],
    *,
    hole: Mask | None = None,
    **options: Any,
) -> list[Rgb]:
    """Return the pictures that a text asks for, made in smaller batches, or else at half their size.

    At half the size they are made one by one, from pictures of half their size.
    """

    def made(some: Sequence[int]) -> list[Rgb]:
        results: list[Rgb] = edit(
            pictures, prompt, negative_prompt, some, size, hole=hole, **options
        )
        return results

    if (results := _in_smaller_batches(made, seeds)) is not None:
        return results
    canvas = np.broadcast_to(np.uint8(0), (size[1], size[0], 3))
    small = half_size(canvas, sizes.multiple, sizes.least)
    # With a hole, the first picture has the size of the result.
    smaller = [shrink_to(rgb, half_size(rgb) if hole is None else small) for rgb in pictures[:1]]
    smaller += [shrink_to(rgb, half_size(rgb)) for rgb in pictures[1:]]
    small_hole = None if hole is None else shrink_to(hole, small)
    return [
        enlarge_like(one, canvas)
        for seed in seeds
        for one in edit(smaller, prompt, negative_prompt, [seed], small, hole=small_hole, **options)
    ]
