"""The roles of models: one protocol per role, with its array contract, and one `Role` row per role.

Every array is a NumPy array in C order. Pictures are RGB, uint8, 0..255, never BGR. Masks are True
where a picture is edited. Mattes are 255 on the subject and 0 on the background. A backend never
changes its inputs. Several threads may call it at once, unless its card says that it takes one call
at a time (`models.catalog.card.Card.exclusive`): then the scheduler makes its calls one by one.

>>> with models.use(MATTING) as matting:
...     matte = matting.matte(rgb)
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from models.errors import RoleNotInProfileError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imaging.picture import Alpha, Labels, Mask, Matte, Rgb
    from imaging.resize import SizeRule


class Matting(Protocol):
    """Separates the subject of a picture from its background."""

    def matte(self, rgb: Rgb) -> Matte:
        """Return the subject's opacity at the size of `rgb`: uint8, 0..255, soft at hair and edges."""
        ...


class Inpainting(Protocol):
    """Fills a hole from its surroundings, without a prompt.

    A model whose class has `copies_texture = True` copies pieces of the picture. Callers then find out
    what must not be repeated, such as faces, and pass it as `avoid`.
    """

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Return `rgb` with plausible texture where `hole` is True.

        Outside the hole the result is `rgb`, bit for bit. No texture is copied from pixels where
        `avoid` is True, such as the subject, which must not be cloned. The same input gives the
        same output.

        Raises NothingToCopyError if `hole` and `avoid` together leave no source pixel.
        """
        ...


class SuperResolution(Protocol):
    """Enlarges a picture."""

    def upscale(self, rgb: Rgb, factor: int) -> Rgb:
        """Return `rgb` enlarged to `factor` (2 or 4) times its width and height."""
        ...


class Segmentation(Protocol):
    """Divides a picture into objects or parts."""

    def segment(self, rgb: Rgb) -> Labels:
        """Return a label map of the size of `rgb`: at most 255 parts, numbered from 1, the largest first.

        One map replaces a mask for each part: parts cannot overlap, and 255 parts of a large
        picture take one byte per pixel. The numbers have no gaps. The same input gives the same
        output.
        """
        ...


@dataclass(frozen=True)
class Face:
    """One face, in pixels of its picture. An attribute that cannot be estimated is None.

    rect: x, y, width and height of the box around the face; it may extend beyond the picture.
    landmarks: n x 2, float32, x and y; 5 are the centre of the eye on the left of the picture, of
    the eye on the right, the tip of the nose, and the corners of the mouth, left and right. score:
    the detector's confidence; higher is more certain. yaw, roll: degrees; 0 for an upright face seen
    from the front. age: lowest and highest likely age in years. gender: "Female" or "Male".
    gender_probability: 0.5..1. expression: one of "angry", "calm", "disgusted", "fear", "happy",
    "sad" and "surprised".
    """

    rect: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]
    score: float
    yaw: float
    roll: float
    age: tuple[int, int] | None = None
    gender: Literal["Female", "Male"] | None = None
    gender_probability: float | None = None
    expression: str | None = None


class FaceAnalysis(Protocol):
    """Finds faces and estimates their attributes."""

    def analyse(self, rgb: Rgb, attributes: bool = True) -> list[Face]:
        """Return the faces of `rgb`, largest first.

        attributes: False leaves age, gender and expression unknown, which is quicker.
        """
        ...


class Moderation(Protocol):
    """Scores unwanted content."""

    def score(self, rgb: Rgb) -> Mapping[str, float]:
        """Return a score 0..1 for each category, such as `nsfw`. Higher is worse."""
        ...


class GenerativeFill(Protocol):
    """Generates what a prompt describes, inside a hole."""

    sizes: SizeRule

    def fill_by_prompt(
        self, rgb: Rgb, hole: Mask, prompt: str, negative_prompt: str, seeds: Sequence[int]
    ) -> list[Rgb]:
        """Return one picture for each seed, at the size of `rgb`. That size must follow `sizes`.

        The same call gives the same pictures, bit for bit. A seed among others gives a picture that
        looks the same as the one it gives alone: a batch may sum in another order. Pixels outside the
        hole need not be exact: the pipeline pastes the originals back.
        """
        ...


class SceneGeneration(Protocol):
    """Generates a new background behind a subject."""

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
        influence: float = 1.0,
    ) -> list[Rgb]:
        """Return one picture for each seed, at the size of `rgb`. That size must follow `sizes`.

        alpha: 1 on the subject. `prompt` or `reference` describes the scene. fast: take fewer
        steps. influence: the weight of the reference picture, 0..1; with 0 the result is the same as
        without one. Seeds work as in `GenerativeFill`. The pipeline pastes the subject back. Raises
        ReferenceUnsupportedError if the model cannot use a reference picture.
        """
        ...


class Outpainting(Protocol):
    """Continues a picture beyond its borders."""

    sizes: SizeRule

    def outpaint(
        self, canvas: Rgb, hole: Mask, prompt: str, negative_prompt: str, seed: int
    ) -> Rgb:
        """Return `canvas` with its hole, the margin, generated. Its size must follow `sizes`."""
        ...


class FaceEditing(Protocol):
    """Changes how a person looks."""

    sizes: SizeRule

    def edit_face(
        self, rgb: Rgb, face: Face, actions: Mapping[str, str | float], seed: int
    ) -> tuple[Rgb, Alpha]:
        """Return the changed picture, and an alpha that says where it changed, both at the size of `rgb`.

        rgb: a crop around one face, at a size that follows `sizes`. face: in pixels of `rgb`.
        actions: the actions of `pipelines.people.actions`, already checked. The alpha is soft: 1
        where the pipeline uses the changed pixels, 0 where it keeps the original ones.
        """
        ...


MAX_PICTURES = 4
"""The largest number of pictures that an instruction speaks of."""


class InstructionEditing(Protocol):
    """Changes pictures as a text says, or makes a picture from a text alone."""

    sizes: SizeRule

    def edit(
        self,
        pictures: Sequence[Rgb],
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        size: tuple[int, int],
        *,
        hole: Mask | None = None,
        effort: float = 1.0,
        guidance: float = 1.0,
    ) -> list[Rgb]:
        """Return one picture of `size` for each seed: width and height, which must follow `sizes`.

        pictures: what the prompt calls image 1, image 2 and so on, up to MAX_PICTURES, each of any
        size; empty: the text alone says what to show. hole: height x width of `size`, True where the
        first picture, which then has that size, may change. Pixels outside need not be exact: the
        pipeline pastes the originals back. effort: number of steps as a multiple of the model's own.
        guidance: weight of the prompt likewise; without guidance of its own, a model that was made to
        need none ignores it. Seeds work as in `GenerativeFill`.
        """
        ...


class Captioning(Protocol):
    """Describes a picture in words."""

    def caption(self, rgb: Rgb) -> str:
        """Return one English sentence, without a full stop."""
        ...


@dataclass(frozen=True)
class DetectedObject:
    """One object of a picture.

    label: what it is, in English. box: left, top, right and bottom in pixels of the picture.
    """

    label: str
    box: tuple[float, float, float, float]


class ObjectDetection(Protocol):
    """Finds objects and names them."""

    def detect(self, rgb: Rgb) -> list[DetectedObject]:
        """Return the objects of `rgb`. Boxes may overlap; each has an area."""
        ...


Task = Literal["scene", "edit"]
"""What a prompt is for: it describes a scene, or says what to change in a picture."""


class PromptRefinement(Protocol):
    """Turns a short prompt into a detailed one."""

    def refine(self, prompt: str, caption: str = "", task: Task = "scene") -> str:
        """Return a more detailed prompt for the same scene, or for the same change of a picture.

        caption: describes the picture it is for. task: whether the prompt describes a scene, or says
        what to change in a picture, "edit". The same call gives the same answer: engines keep it.
        """
        ...


P = TypeVar("P")


@dataclass(frozen=True)
class Role(Generic[P]):
    """One role. Two roles are equal if their names are.

    name: as in profiles and cards. method: the one method of its protocol `P`. warm_up: calls a
    model once on a tiny picture; None for models that have `sizes`. generate_once: makes one picture
    of a size, width and height, with such a model (`models.runtime.first_calls`). retry:
    repeats a call with less memory, as `retry(method, sizes, *args, **kwargs)`; sizes is the
    model's SizeRule or None. retry is None if the memory of a call does not depend on a picture.
    keeps_answers: whether a call has only texts as arguments and always gives the same text, so that
    engines keep the latest answers (`models.runtime.answer_cache`).
    """

    name: str
    method: str
    warm_up: Callable[[P], object] | None = field(default=None, compare=False)
    generate_once: Callable[[P, tuple[int, int]], object] | None = field(
        default=None, compare=False
    )
    retry: Callable[..., Any] | None = field(default=None, compare=False)
    keeps_answers: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Callable[[str], Role[Any]], tuple[str]]:
        # Pickle by name: the functions of a row cannot be pickled, and every process has its own.
        return role_named, (self.name,)


class Models(Protocol):
    """The models of a profile, by role. Threads may share it."""

    def use(self, role: Role[P]) -> AbstractContextManager[P]:
        """Return a context in which the model of a role can be called. It is not evicted there.

        The context or the first call raises RoleNotInProfileError if there is no such model, and
        ModelUnavailableError if it cannot be loaded. Calls raise the errors in `models.errors`.
        """
        ...

    def offers(self, role: Role[Any]) -> bool:
        """Whether the profile has a model for a role."""
        ...


def require(models: Models, role: Role[Any]) -> None:
    """Raise RoleNotInProfileError if the profile has no model for a role."""
    if not models.offers(role):
        raise RoleNotInProfileError(role.name)


def _later(name: str) -> Callable[..., Any]:
    """Return a function of `models.role_calls`, which is imported at its first call.

    So the roles and the catalog can be read before NumPy and OpenCV are installed
    (`models.catalog.requirements`).
    """

    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(importlib.import_module("models.role_calls"), name)(*arguments, **options)

    return call


MATTING: Role[Matting] = Role(
    "matting", "matte", _later("warm_matting"), retry=_later("retry_matte")
)
INPAINTING: Role[Inpainting] = Role(
    "inpainting", "fill", _later("warm_inpainting"), retry=_later("retry_fill")
)
SEGMENTATION: Role[Segmentation] = Role(
    "segmentation", "segment", _later("warm_segmentation"), retry=_later("retry_segment")
)
SUPER_RESOLUTION: Role[SuperResolution] = Role(
    "super_resolution", "upscale", _later("warm_super_resolution"), retry=_later("retry_upscale")
)
FACE_ANALYSIS: Role[FaceAnalysis] = Role("face_analysis", "analyse", _later("warm_face_analysis"))
MODERATION: Role[Moderation] = Role(
    "moderation", "score", _later("warm_moderation"), retry=_later("retry_at_half_size")
)
GENERATIVE_FILL: Role[GenerativeFill] = Role(
    "generative_fill",
    "fill_by_prompt",
    generate_once=_later("first_fill"),
    retry=_later("retry_generate"),
)
SCENE_GENERATION: Role[SceneGeneration] = Role(
    "scene_generation",
    "scenes",
    generate_once=_later("first_scene"),
    retry=_later("retry_generate"),
)
OUTPAINTING: Role[Outpainting] = Role(
    "outpainting",
    "outpaint",
    generate_once=_later("first_outpainting"),
    retry=_later("retry_outpaint"),
)
FACE_EDITING: Role[FaceEditing] = Role(
    "face_editing",
    "edit_face",
    generate_once=_later("first_face"),
    retry=_later("retry_edit_face"),
)
INSTRUCTION_EDITING: Role[InstructionEditing] = Role(
    "instruction_editing", "edit", generate_once=_later("first_edit"), retry=_later("retry_edit")
)
CAPTIONING: Role[Captioning] = Role(
    "captioning", "caption", _later("warm_captioning"), retry=_later("retry_at_half_size")
)
OBJECT_DETECTION: Role[ObjectDetection] = Role(
    "object_detection", "detect", _later("warm_object_detection"), retry=_later("retry_detect")
)
PROMPT_REFINEMENT: Role[PromptRefinement] = Role(
    "prompt_refinement", "refine", _later("warm_prompt_refinement"), keeps_answers=True
)

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
    INSTRUCTION_EDITING,
    CAPTIONING,
    OBJECT_DETECTION,
    PROMPT_REFINEMENT,
)


def role_named(name: str) -> Role[Any]:
    """Return the role with that name; raises KeyError if there is none."""
    for role in ROLES:
        if role.name == name:
            return role
    raise KeyError(name)
