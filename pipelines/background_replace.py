"""Background replacement: put the subject on a plain colour or into a generated scene."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from imaging.compositing import cut_out, flatten, over
from imaging.picture import Picture, Rgb
from imaging.resize import resize, working_size
from models.errors import ReferenceUnsupportedError
from models.roles import CAPTIONING, SCENE_GENERATION, Models, require
from pipelines.common.prompts import Generated, refined
from pipelines.common.resolution import one_megapixel
from pipelines.common.subject import has_cut_out, required, subject_alpha, without_alpha


def background_colour(
    picture: Picture,
    models: Models,
    colour: tuple[int, int, int],
    original_quality: bool = False,
    force_rmbg: bool = False,
    is_cut_out: Callable[[Picture], bool] = has_cut_out,
) -> Picture:
    """Return the subject of `picture` on a plain background, opaque.

    colour: sRGB, 0..255 each. original_quality: keep the picture's size; otherwise the result has
    about one megapixel and the same aspect ratio. force_rmbg: ignore an alpha channel, and find the
    subject by matting the colours alone, also those that it hides. is_cut_out: whether the picture's own
    alpha is used (`common.subject`).

    Raises NoForegroundError if the picture has no subject.
    """
    picture = _prepared(picture, original_quality, force_rmbg)
    alpha = required(subject_alpha(picture, models, is_cut_out))
    subject = cut_out(picture, alpha)
    return Picture(flatten(subject.rgb, alpha, colour))


Mode = Literal["base", "high_control", "fast"]
"""How much work a scene is given, as the API names it."""


def mode_is_fast(mode: Mode) -> bool:
    """Whether a mode is `Scene.fast`. `base` and `high_control` are the same: one model serves both."""
    return mode == "fast"


@dataclass(frozen=True)
class Scene:
    """What to generate behind the subject: either a prompt or a reference picture describes it.

    reference: one picture; no model here reads several. fast: fewer steps and no negative prompt
    (`mode_is_fast`). refine: extend the prompt with a language model, if the profile has one. enhance:
    crop the reference picture to the shape of the result and stretch its contrast. influence: the weight
    of the reference picture, 0..1. A model that reads a caption in its place knows only 0 and more.
    """

    prompt: str = ""
    negative_prompt: str = ""
    reference: Picture | None = None
    fast: bool = True
    refine: bool = True
    enhance: bool = True
    influence: float = 1.0


def background_scene(
    picture: Picture,
    models: Models,
    scene: Scene,
    seeds: Sequence[int],
    original_quality: bool = False,
    force_rmbg: bool = False,
    is_cut_out: Callable[[Picture], bool] = has_cut_out,
) -> Generated:
    """Return the subject of `picture` in one generated scene for each seed, opaque, and the prompt used.

    The scene is generated at the model's size and resized to the picture's. Where the subject's
    alpha is 255, the pixels are the picture's, bit for bit. If a caption stands for the reference picture,
    it is the prompt. original_quality and force_rmbg: as in
    `background_colour`. Raises NoForegroundError if the picture has
    no subject, RoleNotInProfileError if the scene has a reference picture and the
    profile has a model neither for it nor for captions.
    """
    picture = _prepared(picture, original_quality, force_rmbg)
    alpha = required(subject_alpha(picture, models, is_cut_out))
    subject = cut_out(picture, alpha)
    refined_prompt = refined(scene.prompt, models) if scene.refine else None
    given = replace(scene, prompt=refined_prompt or scene.prompt)
    scenes, prompt = scenes_behind(subject, models, given, seeds)
    return Generated([in_scene(subject, rgb) for rgb in scenes], prompt, refined_prompt)


def scenes_behind(
    subject: Picture, models: Models, scene: Scene, seeds: Sequence[int]
) -> tuple[list[Rgb], str]:
    """Return one scene for each seed, at the model's size, and the prompt that the model was given.

    subject: a cut-out at its place in the result. scene: its prompt is not refined here. Raises
    RoleNotInProfileError as `background_scene` does.
    """
    reference = _reference_rgb(scene, (subject.width, subject.height))
    try:
        return _generate_scenes(
            subject, models, scene, scene.prompt, reference, seeds
        ), scene.prompt
    except ReferenceUnsupportedError:
        # A model that only accepts prompts gets a caption of the reference picture instead.
        if reference is None:
            raise
        require(models, CAPTIONING)
        with models.use(CAPTIONING) as captioning:
            prompt = captioning.caption(reference)
        return _generate_scenes(subject, models, scene, prompt, None, seeds), prompt


def in_scene(subject: Picture, scene: Rgb) -> Picture:
    """Return a cut-out, which has an alpha, in a scene of any size; opaque, at the size of the cut-out."""
    if subject.alpha is None:
        raise ValueError("the subject is not cut out")
    return Picture(over(subject.rgb, subject.alpha, resize(scene, (subject.width, subject.height))))


def _prepared(picture: Picture, original_quality: bool, force_rmbg: bool) -> Picture:
    """Return the picture at the size of the result, without alpha if that is to be ignored."""
    if force_rmbg:
        picture = without_alpha(picture)
    return picture if original_quality else one_megapixel(picture)


def _generate_scenes(
    subject: Picture,
    models: Models,
    scene: Scene,
    prompt: str,
    reference: Rgb | None,
    seeds: Sequence[int],
) -> list[Rgb]:
    """Return one generated scene for each seed, at the model's size."""
    if subject.alpha is None:
        raise ValueError("the subject is not cut out")
    with models.use(SCENE_GENERATION) as model:
        model_size = working_size(subject.width, subject.height, model.sizes)
        return model.scenes(
            resize(subject.rgb, model_size),
            resize(subject.alpha, model_size).astype(np.float32) / np.float32(255),
            prompt,
            "" if scene.fast else scene.negative_prompt,
            seeds,
            fast=scene.fast,
            reference=reference,
            influence=scene.influence,
        )


def _reference_rgb(scene: Scene, size: tuple[int, int]) -> Rgb | None:
    """Return the reference picture, opaque; with `enhance`, cropped to the ratio of `size`, levels stretched.

    size: width and height of the result.
    """
    if scene.reference is None or scene.influence == 0:
        return None
    rgb = scene.reference.rgb
    if scene.reference.alpha is not None:
        rgb = flatten(rgb, scene.reference.alpha, 255)
    if not scene.enhance:
        return rgb
    height, width = rgb.shape[:2]
    ratio = size[0] / size[1]
    crop_width = min(width, round(height * ratio)) or 1
    crop_height = min(height, round(width / ratio)) or 1
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return _stretch_levels(rgb[top : top + crop_height, left : left + crop_width])


def _stretch_levels(rgb: Rgb) -> Rgb:
    """Stretch the levels so that the darkest 1 % become black and the lightest 1 % white.

    The gain is the same for all channels, so that the light keeps its colour, and at most 2.
    """
    low, high = np.percentile(rgb, (1, 99))
    gain = min(2.0, 255 / max(1.0, high - low))
    levels = np.clip((np.arange(256) - low) * gain, 0, 255).round().astype(np.uint8)
    stretched: Rgb = levels[rgb]
    return stretched
