"""The roles that models play, as Protocols with their tensor contracts.

Every array is a NumPy array in C order. Pictures are RGB, never BGR. Masks are True where a picture
is to be edited. Mattes are 255 on the subject and 0 on the background. A backend never changes its
inputs and is safe to call from several threads at once.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from imaging.picture import Alpha, Labels, Mask, Matte, Rgb


class Matting(Protocol):
    """Tells the subject of a picture from its background."""

    def matte(self, rgb: Rgb) -> Matte:
        """Give the subject's opacity at the size of `rgb`, soft at hair and edges."""
        ...


class Inpainting(Protocol):
    """Fills a hole from what surrounds it, without a prompt."""

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Give `rgb` with plausible texture where `hole` is True.

        Outside the hole the result is `rgb`, bit for bit. No texture is copied from where `avoid`
        is True (the subject, which must not be cloned). The same input gives the same output.

        Raises NothingToCopyError when hole and avoid together leave no source pixel.
        """
        ...


class SuperResolution(Protocol):
    """Enlarges a picture."""

    def upscale(self, rgb: Rgb, factor: int) -> Rgb:
        """Give `rgb` at `factor` (2 or 4) times its width and height."""
        ...


class Segmentation(Protocol):
    """Takes a picture apart into objects or parts."""

    def segment(self, rgb: Rgb) -> Labels:
        """Give the parts of `rgb` at its size, numbered from 1, the largest first; 255 at most.

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
        """Give the faces of `rgb`, largest first."""
        ...


class Moderation(Protocol):
    """Scores what must not be shown."""

    def score(self, rgb: Rgb) -> Mapping[str, float]:
        """Give a score 0..1 for each category, as `nsfw`; larger is worse."""
        ...


@dataclass(frozen=True)
class SizeRule:
    """Which sizes a diffusion model works at; `pipelines.common.canvas` brings pictures to them and back.

    multiple: both sides are multiples of it. area: pixels it was trained at, and works best at.
    least: shortest side.
    """

    multiple: int
    area: int
    least: int


class GenerativeFill(Protocol):
    """Generates what a prompt names where a hole is."""

    sizes: SizeRule

    def fill_by_prompt(
        self, rgb: Rgb, hole: Mask, prompt: str, negative_prompt: str, seeds: Sequence[int]
    ) -> list[Rgb]:
        """Give one picture for each seed, at the size of `rgb`, which keeps `sizes`.

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
        """Give one picture for each seed, at the size of `rgb`, which keeps `sizes`.

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
        """Give `canvas`, whose size keeps `sizes`, with its hole (the margin) generated."""
        ...


class FaceEditing(Protocol):
    """Changes how a person looks."""

    sizes: SizeRule

    def edit_face(
        self, rgb: Rgb, face: Face, actions: Mapping[str, str | float], seed: int
    ) -> tuple[Rgb, Alpha]:
        """Give a changed crop and where it changed, for a crop around one face at a size of `sizes`.

        face: in pixels of `rgb`. actions: of `pipelines.people.actions`, checked. The alpha is soft,
        1 where the pipeline takes the changed pixels and 0 where it keeps the old ones.
        """
        ...


class Captioning(Protocol):
    """Says what a picture shows."""

    def caption(self, rgb: Rgb) -> str:
        """Give one English sentence, without a full stop."""
        ...


class PromptRefinement(Protocol):
    """Makes a good prompt out of a short one."""

    def refine(self, prompt: str, caption: str = "") -> str:
        """Give a fuller prompt for the same scene; caption: of the picture it is for."""
        ...


class Models(Protocol):
    """Lends the model of each role; a lent model is never evicted.

    >>> with models.matting() as matting:
    ...     alpha = matting.matte(rgb)
    """

    def matting(self) -> AbstractContextManager[Matting]:
        """Lend the matting model."""
        ...

    def inpainting(self) -> AbstractContextManager[Inpainting]:
        """Lend the prompt-free inpainting model."""
        ...

    def super_resolution(self) -> AbstractContextManager[SuperResolution]:
        """Lend the super-resolution model."""
        ...

    def segmentation(self) -> AbstractContextManager[Segmentation]:
        """Lend the segmentation model."""
        ...

    def face_analysis(self) -> AbstractContextManager[FaceAnalysis]:
        """Lend the face analysis model."""
        ...

    def moderation(self) -> AbstractContextManager[Moderation]:
        """Lend the moderation model."""
        ...

    def offers(self, role: str) -> bool:
        """Tell whether the profile has a model for a role, by the name of its method here."""
        ...

    def generative_fill(self) -> AbstractContextManager[GenerativeFill]:
        """Lend the model that fills by prompt."""
        ...

    def scene_generation(self) -> AbstractContextManager[SceneGeneration]:
        """Lend the model that generates backgrounds."""
        ...

    def outpainting(self) -> AbstractContextManager[Outpainting]:
        """Lend the model that continues pictures."""
        ...

    def face_editing(self) -> AbstractContextManager[FaceEditing]:
        """Lend the model that changes people."""
        ...

    def captioning(self) -> AbstractContextManager[Captioning]:
        """Lend the model that describes pictures."""
        ...

    def prompt_refinement(self) -> AbstractContextManager[PromptRefinement]:
        """Lend the model that refines prompts."""
        ...
