"""The roles that models play: each one's protocol with its tensor contract, and one row that names it.

Every array is a NumPy array in C order. Pictures are RGB, never BGR. Masks are True where a picture
is to be edited. Mattes are 255 on the subject and 0 on the background. A backend never changes its
inputs. It is safe to call from several threads at once, unless its card says that it works on one call at
a time (`models.catalog.card.Card.exclusive`): the scheduler then sees to that.

>>> with models.use(MATTING) as matting:
...     matte = matting.matte(rgb)
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.half_size import enlarge_like, half_size, in_two_halves, shrink_to
from imaging.picture import Alpha, Labels, Mask, Matte, Rgb
from imaging.resize import SizeRule, resize_labels


class Matting(Protocol):
    """Tells the subject of a picture from its background."""

    def matte(self, rgb: Rgb) -> Matte:
        """Return the subject's opacity at the size of `rgb`, soft at hair and edges."""
        ...


class Inpainting(Protocol):
    """Fills a hole from what surrounds it, without a prompt."""

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Return `rgb` with plausible texture where `hole` is True.

        Outside the hole the result is `rgb`, bit for bit. No texture is copied from where `avoid`
        is True (the subject, which must not be cloned). The same input gives the same output.

        Raises NothingToCopyError when hole and avoid together leave no source pixel.
        """
        ...


class SuperResolution(Protocol):
    """Enlarges a picture."""

    def upscale(self, rgb: Rgb, factor: int) -> Rgb:
        """Return `rgb` at `factor` (2 or 4) times its width and height."""
        ...


class Segmentation(Protocol):
    """Takes a picture apart into objects or parts."""

    def segment(self, rgb: Rgb) -> Labels:
        """Return the parts of `rgb` at its size, numbered from 1, the largest first; 255 at most.

        One map instead of a mask for each part: it cannot overlap, and 255 parts of a large picture
        take one byte a pixel. The numbers in use have no gap. The same input gives the same output.
        """
        ...


@dataclass(frozen=True)
class Face:
    """One face, in pixels of the picture it was found in; what cannot be told is None.

    rect: x, y, width, height of the box around it; it may reach beyond the picture. landmarks: n x 2,
    x and y. age: youngest and oldest likely age in years. gender: "Female" or "Male".
    gender_probability: 0.5..1. score: the detector's confidence, larger is surer. yaw, roll: degrees,
    0 for a face seen from the front, upright.
    """

    rect: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]
    score: float
    yaw: float
    roll: float
    age: tuple[int, int] | None = None
    gender: Literal["Female", "Male"] | None = None
    gender_probability: float | None = None


class FaceAnalysis(Protocol):
    """Finds faces and tells what can be told of them."""

    def analyse(self, rgb: Rgb) -> list[Face]:
        """Return the faces of `rgb`, largest first."""
        ...


class Moderation(Protocol):
    """Scores what must not be shown."""

    def score(self, rgb: Rgb) -> Mapping[str, float]:
        """Return a score 0..1 for each category, as `nsfw`; larger is worse."""
        ...


class GenerativeFill(Protocol):
    """Generates what a prompt names where a hole is."""

    sizes: SizeRule

    def fill_by_prompt(
        self, rgb: Rgb, hole: Mask, prompt: str, negative_prompt: str, seeds: Sequence[int]
    ) -> list[Rgb]:
        """Return one picture for each seed, at the size of `rgb`, which keeps `sizes`.

        The same seed gives the same picture: bit for bit alone, within 2 of 255 levels among others.
        What lies outside the hole need not be exact: the pipeline pastes it back.
        """
        ...


class SceneGeneration(Protocol):
    """Generates another background behind a subject."""

    sizes: SizeRule

    def scenes(
        self,
        rgb: Rgb,
        alpha: Alpha,
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        *,
        fast: bool = True,
        reference: Rgb | None = None,
    ) -> list[Rgb]:
        """Return one picture for each seed, at the size of `rgb`, which keeps `sizes`.

        alpha: 1 on the subject. Either `prompt` or `reference` says what the scene is; `fast` takes
        fewer steps. Seeds as in `GenerativeFill`; the pipeline pastes the subject back.
        Raises ReferenceUnsupportedError where the model does not read pictures.
        """
        ...


class Outpainting(Protocol):
    """Continues a picture beyond its borders."""

    sizes: SizeRule

    def outpaint(
        self, canvas: Rgb, hole: Mask, prompt: str, negative_prompt: str, seed: int
    ) -> Rgb:
        """Return `canvas`, whose size keeps `sizes`, with its hole (the margin) generated."""
        ...


class FaceEditing(Protocol):
    """Changes how a person looks."""

    sizes: SizeRule

    def edit_face(
        self, rgb: Rgb, face: Face, actions: Mapping[str, str | float], seed: int
    ) -> tuple[Rgb, Alpha]:
        """Return a changed crop and where it changed, for a crop around one face at a size of `sizes`.

        face: in pixels of `rgb`. actions: of `pipelines.people.actions`, checked. The alpha is soft,
        1 where the pipeline takes the changed pixels and 0 where it keeps the old ones.
        """
        ...


class Captioning(Protocol):
    """Says what a picture shows."""

    def caption(self, rgb: Rgb) -> str:
        """Return one English sentence, without a full stop."""
        ...


class PromptRefinement(Protocol):
    """Makes a good prompt out of a short one."""

    def refine(self, prompt: str, caption: str = "") -> str:
        """Return a fuller prompt for the same scene; caption: of the picture it is for."""
        ...


P = TypeVar("P")


@dataclass(frozen=True)
class Role(Generic[P]):
    """One role; two are equal when their names are.

    name: as profiles and cards spell it. method: the one method of its protocol `P`. warm_up: calls a
    model once on a tiny picture; None for models that generate, as one call takes many steps.
    retry: makes a call again with less memory, as `retry(method, sizes, *args, **kwargs)`, where sizes is
    the model's SizeRule or None; None for calls whose memory does not depend on a picture.
    """

    name: str
    method: str
    warm_up: Callable[[P], object] | None = field(default=None, compare=False)
    retry: Callable[..., Any] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Callable[[str], "Role[Any]"], tuple[str]]:
        # By name: its functions need not travel between processes.
        return role_named, (self.name,)


class Models(Protocol):
    """The models of a profile, by their roles; safe to share by threads."""

    def use(self, role: Role[P]) -> AbstractContextManager[P]:
        """Return a context in which the model of a role can be called; it is not evicted meanwhile.

        The context or the first call raises ModelUnavailableError where there is no such model or it
        cannot be loaded; calls raise what `models.errors` lists.
        """
        ...

    def offers(self, role: Role[Any]) -> bool:
        """Whether the profile has a model for a role."""
        ...


_GREY = np.full((64, 64, 3), 128, np.uint8)
_HOLE = np.pad(np.ones((8, 8), np.bool_), 28)


def _retry_matte(matte: Any, _: SizeRule | None, rgb: Rgb) -> Matte:
    small = matte(shrink_to(rgb, half_size(rgb)))
    enlarged: Matte = enlarge_like(small, rgb, cv2.INTER_LINEAR)
    return enlarged


def _retry_fill(
    fill: Any, _: SizeRule | None, rgb: Rgb, hole: Mask, avoid: Mask | None = None
) -> Rgb:
    size = half_size(rgb)
    small_avoid = None if avoid is None else shrink_to(avoid, size)
    small = fill(shrink_to(rgb, size), shrink_to(hole, size), small_avoid)
    return np.where(hole[..., None], enlarge_like(small, rgb), rgb)


def _retry_segment(segment: Any, _: SizeRule | None, rgb: Rgb) -> Labels:
    small = segment(shrink_to(rgb, half_size(rgb)))
    return resize_labels(small, (rgb.shape[1], rgb.shape[0]))


def _retry_look(look: Any, _: SizeRule | None, rgb: Rgb) -> Any:
    return look(shrink_to(rgb, half_size(rgb)))


def _retry_upscale(upscale: Any, _: SizeRule | None, rgb: Rgb, factor: int) -> Rgb:
    return in_two_halves(upscale, rgb, factor)


def _retry_generate(
    generate: Any,
    sizes: SizeRule,
    rgb: Rgb,
    mask: Mask | Alpha,
    prompt: str,
    negative_prompt: str,
    seeds: Sequence[int],
    **options: Any,
) -> list[Rgb]:
    """Generate seed by seed, which gives the same pictures; one seed at half the size."""
    if len(seeds) > 1:
        return [
            generate(rgb, mask, prompt, negative_prompt, [seed], **options)[0] for seed in seeds
        ]
    size = half_size(rgb, sizes.multiple, sizes.least)
    small = generate(
        shrink_to(rgb, size), shrink_to(mask, size), prompt, negative_prompt, seeds, **options
    )
    return [enlarge_like(picture, rgb) for picture in small]


def _retry_outpaint(
    outpaint: Any,
    sizes: SizeRule,
    canvas: Rgb,
    hole: Mask,
    prompt: str,
    negative_prompt: str,
    seed: int,
) -> Rgb:
    size = half_size(canvas, sizes.multiple, sizes.least)
    small = outpaint(shrink_to(canvas, size), shrink_to(hole, size), prompt, negative_prompt, seed)
    enlarged: Rgb = enlarge_like(small, canvas)
    return enlarged


def _retry_edit_face(
    edit_face: Any,
    sizes: SizeRule,
    rgb: Rgb,
    face: Face,
    actions: Mapping[str, str | float],
    seed: int,
) -> tuple[Rgb, Alpha]:
    size = half_size(rgb, sizes.multiple, sizes.least)
    x, y = size[0] / rgb.shape[1], size[1] / rgb.shape[0]
    left, top, width, height = face.rect
    nearer = replace(
        face,
        rect=(left * x, top * y, width * x, height * y),
        landmarks=face.landmarks * np.array([x, y], np.float32),
    )
    picture, alpha = edit_face(shrink_to(rgb, size), nearer, actions, seed)
    return enlarge_like(picture, rgb), enlarge_like(alpha, rgb, cv2.INTER_LINEAR)


MATTING: Role[Matting] = Role("matting", "matte", lambda model: model.matte(_GREY), _retry_matte)
INPAINTING: Role[Inpainting] = Role(
    "inpainting", "fill", lambda model: model.fill(_GREY, _HOLE), _retry_fill
)
SEGMENTATION: Role[Segmentation] = Role(
    "segmentation", "segment", lambda model: model.segment(_GREY), _retry_segment
)
SUPER_RESOLUTION: Role[SuperResolution] = Role(
    "super_resolution", "upscale", lambda model: model.upscale(_GREY, 2), _retry_upscale
)
FACE_ANALYSIS: Role[FaceAnalysis] = Role(
    "face_analysis", "analyse", lambda model: model.analyse(_GREY)
)
MODERATION: Role[Moderation] = Role(
    "moderation", "score", lambda model: model.score(_GREY), _retry_look
)
GENERATIVE_FILL: Role[GenerativeFill] = Role(
    "generative_fill", "fill_by_prompt", retry=_retry_generate
)
SCENE_GENERATION: Role[SceneGeneration] = Role("scene_generation", "scenes", retry=_retry_generate)
OUTPAINTING: Role[Outpainting] = Role("outpainting", "outpaint", retry=_retry_outpaint)
FACE_EDITING: Role[FaceEditing] = Role("face_editing", "edit_face", retry=_retry_edit_face)
CAPTIONING: Role[Captioning] = Role(
    "captioning", "caption", lambda model: model.caption(_GREY), _retry_look
)
PROMPT_REFINEMENT: Role[PromptRefinement] = Role("prompt_refinement", "refine")

ROLES: tuple[Role[Any], ...] = (
    MATTING,
    INPAINTING,
    SEGMENTATION,
    SUPER_RESOLUTION,
    FACE_ANALYSIS,
    MODERATION,
    GENERATIVE_FILL,
    SCENE_GENERATION,
    OUTPAINTING,
    FACE_EDITING,
    CAPTIONING,
    PROMPT_REFINEMENT,
)


def role_named(name: str) -> Role[Any]:
    """Return the role of that name; raises KeyError."""
    for role in ROLES:
        if role.name == name:
            return role
    raise KeyError(name)
