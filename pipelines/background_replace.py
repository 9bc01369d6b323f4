"""Background replacement: the subject on a plain colour, or in a scene made for it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imaging.compositing import cut_out, flatten, over
from imaging.picture import Alpha8, Picture, Rgb
from imaging.resize import resize, working_size
from models.errors import ReferenceUnsupportedError
from models.roles import CAPTIONING, PROMPT_REFINEMENT, SCENE_GENERATION, Models
from pipelines.common.resolution import one_megapixel
from pipelines.common.subject import subject_alpha


def background_colour(
    picture: Picture,
    models: Models,
    colour: tuple[int, int, int],
    original_quality: bool = False,
    force_rmbg: bool = False,
) -> Picture:
    """Return the subject of `picture` on a plain background, opaque.

    colour: sRGB, 0..255 each. original_quality: the result has the picture's size; otherwise about
    one megapixel, the aspect ratio kept. A picture that brings its own alpha has its subject told
    by it; `force_rmbg` has it found anew.
    """
    if not original_quality:
        picture = one_megapixel(picture)
    alpha = subject_alpha(picture, models, force_rmbg)
    subject = cut_out(picture, alpha)
    return Picture(flatten(subject.rgb, alpha, colour))


@dataclass(frozen=True)
class Scene:
    """What a scene is to be like: either a prompt, or a reference picture.

    fast: fewer steps, and no negative prompt. refine: have the prompt made fuller, where the profile
    has a model for it. enhance: have the reference picture adjusted.
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
) -> list[Picture]:
    """Return the subject of `picture` in one scene for each seed, opaque.

    The scene is generated at the model's own size and brought to the picture's; the subject is the
    picture's own, bit for bit where its alpha is full. Sizes and alpha as in `background_colour`.
    """
    if not original_quality:
        picture = one_megapixel(picture)
    alpha = subject_alpha(picture, models, force_rmbg)
    front = cut_out(picture, alpha).rgb
    size = (picture.width, picture.height)
    reference = _reference(scene, size)
    prompt = _prompt(scene, models)
    try:
        made = _made(front, alpha, models, scene, prompt, reference, seeds)
    except ReferenceUnsupportedError:
        # A model that reads prompts alone gets the reference picture in words.
        if reference is None or not models.offers(CAPTIONING):
            raise
        with models.use(CAPTIONING) as captioning:
            prompt = captioning.caption(reference)
        made = _made(front, alpha, models, scene, prompt, None, seeds)
    return [Picture(over(front, alpha, resize(one, size))) for one in made]


def _made(
    front: Rgb,
    alpha: Alpha8,
    models: Models,
    scene: Scene,
    prompt: str,
    reference: Rgb | None,
    seeds: Sequence[int],
) -> list[Rgb]:
    """Have the scenes generated at the model's own size."""
    with models.use(SCENE_GENERATION) as model:
        work = working_size(front.shape[1], front.shape[0], model.sizes)
        return model.scenes(
            resize(front, work),
            resize(alpha, work).astype(np.float32) / np.float32(255),
            prompt,
            "" if scene.fast else scene.negative_prompt,
            seeds,
            fast=scene.fast,
            reference=reference,
        )


def _prompt(scene: Scene, models: Models) -> str:
    """Return the scene's prompt, made fuller where that is asked for and can be had."""
    if not scene.prompt or not scene.refine or not models.offers(PROMPT_REFINEMENT):
        return scene.prompt
    with models.use(PROMPT_REFINEMENT) as refinement:
        return refinement.refine(scene.prompt)


def _reference(scene: Scene, size: tuple[int, int]) -> Rgb | None:
    """Return the reference picture, cut to the result's shape and its light evened out when asked."""
    if scene.reference is None:
        return None
    rgb = scene.reference.rgb
    if scene.reference.alpha is not None:
        rgb = flatten(rgb, scene.reference.alpha, 255)
    if not scene.enhance:
        return rgb
    height, width = rgb.shape[:2]
    ratio = size[0] / size[1]
    wide, high = min(width, round(height * ratio)) or 1, min(height, round(width / ratio)) or 1
    left, top = (width - wide) // 2, (height - high) // 2
    return _stretched(rgb[top : top + high, left : left + wide])


def _stretched(rgb: Rgb) -> Rgb:
    """Stretch the levels so that the darkest and lightest hundredth are black and white.

    All channels alike, so that the light keeps its colour; never more than twice.
    """
    low, high = np.percentile(rgb, (1, 99))
    gain = min(2.0, 255 / max(1.0, high - low))
    levels = np.clip((np.arange(256) - low) * gain, 0, 255).round().astype(np.uint8)
    stretched: Rgb = levels[rgb]
    return stretched
