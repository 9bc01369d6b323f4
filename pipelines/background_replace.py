"""Background replacement: put the subject on a plain colour or into a generated scene."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imaging.compositing import cut_out, flatten, over
from imaging.picture import Alpha8, Picture, Rgb
from imaging.resize import resize, working_size
from models.errors import ReferenceUnsupportedError
from models.roles import CAPTIONING, SCENE_GENERATION, Models, require
from pipelines.common.prompts import Generated, refined
from pipelines.common.resolution import one_megapixel
from pipelines.common.subject import required, subject_alpha, without_alpha


def background_colour(
    picture: Picture,
    models: Models,
    colour: tuple[int, int, int],
    original_quality: bool = False,
    force_rmbg: bool = False,
) -> Picture:
    """Return the subject of `picture` on a plain background, opaque.

    colour: sRGB, 0..255 each. original_quality: keep the picture's size; otherwise the result has
    about one megapixel and the same aspect ratio. force_rmbg: ignore an alpha channel, and find the
    subject by matting the colours alone, also those that it hides.

    Raises NoForegroundError if the picture has no subject.
    """
    picture = _prepared(picture, original_quality, force_rmbg)
    alpha = required(subject_alpha(picture, models))
    subject = cut_out(picture, alpha)
    return Picture(flatten(subject.rgb, alpha, colour))


@dataclass(frozen=True)
class Scene:
    """What to generate behind the subject: either a prompt or a reference picture describes it.

    reference: one picture; no model here reads several. fast: fewer steps and no negative prompt. The API's
    newer modes are `base` and `high_control`, which both are fast=False, because there is one model for them,
    and `fast`. refine: extend the prompt with a language model, if the
    profile has one. enhance: crop the reference picture to the shape of the result and stretch its
    contrast.
    """

    prompt: str = ""
    negative_prompt: str = ""
    reference: Picture | None = None
    fast: bool = True
    refine: bool = True
    enhance: bool = True


def background_scene(
    picture: Picture,
    models: Models,
    scene: Scene,
    seeds: Sequence[int],
    original_quality: bool = False,
    force_rmbg: bool = False,
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
    alpha = required(subject_alpha(picture, models))
    foreground = cut_out(picture, alpha).rgb
    size = (picture.width, picture.height)
    reference = _reference_rgb(scene, size)
    refined_prompt = refined(scene.prompt, models) if scene.refine else None
    prompt = refined_prompt or scene.prompt
    try:
        scenes = _generate_scenes(foreground, alpha, models, scene, prompt, reference, seeds)
    except ReferenceUnsupportedError:
        # A model that only accepts prompts gets a caption of the reference picture instead.
        if reference is None:
            raise
        require(models, CAPTIONING)
        with models.use(CAPTIONING) as captioning:
            prompt = captioning.caption(reference)
        scenes = _generate_scenes(foreground, alpha, models, scene, prompt, None, seeds)
    pictures = [Picture(over(foreground, alpha, resize(rgb, size))) for rgb in scenes]
    return Generated(pictures, prompt, refined_prompt)


def _prepared(picture: Picture, original_quality: bool, force_rmbg: bool) -> Picture:
    """Return the picture at the size of the result, without alpha if that is to be ignored."""
    if force_rmbg:
        picture = without_alpha(picture)
    return picture if original_quality else one_megapixel(picture)


def _generate_scenes(
    foreground: Rgb,
    alpha: Alpha8,
    models: Models,
    scene: Scene,
    prompt: str,
    reference: Rgb | None,
    seeds: Sequence[int],
) -> list[Rgb]:
    """Return one generated scene for each seed, at the model's size."""
    with models.use(SCENE_GENERATION) as model:
        model_size = working_size(foreground.shape[1], foreground.shape[0], model.sizes)
        return model.scenes(
            resize(foreground, model_size),
            resize(alpha, model_size).astype(np.float32) / np.float32(255),
            prompt,
            "" if scene.fast else scene.negative_prompt,
            seeds,
            fast=scene.fast,
            reference=reference,
        )


def _reference_rgb(scene: Scene, size: tuple[int, int]) -> Rgb | None:
    """Return the reference picture, opaque; with `enhance`, cropped to the ratio of `size`, levels stretched.

    size: width and height of the result.
    """
    if scene.reference is None:
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
