"""Fake models: quick and with predictable results, so that tests see the server's own behaviour."""

import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np

from imaging.picture import Alpha, Labels, Mask, Matte, Rgb
from imaging.resize import SizeRule
from models.errors import NothingToCopyError, RoleNotInProfileError
from models.roles import (
    FACE_ANALYSIS,
    INPAINTING,
    MATTING,
    MODERATION,
    ROLES,
    SEGMENTATION,
    SUPER_RESOLUTION,
    DetectedObject,
    Face,
    P,
    Role,
    Task,
)


class EllipseMatting:
    """Finds a centred ellipse as the subject."""

    def matte(self, rgb: Rgb) -> Matte:
        """Return 255 inside the ellipse and 0 outside."""
        height, width = rgb.shape[:2]
        y, x = np.ogrid[:height, :width]
        inside = ((x + 0.5) / width - 0.5) ** 2 + ((y + 0.5) / height - 0.5) ** 2 < 0.09
        return np.where(inside, 255, 0).astype(np.uint8)


class HeldMatting(EllipseMatting):
    """Begins, and then waits until the test lets it go on."""

    def __init__(self) -> None:
        self.running = threading.Semaphore(0)
        self.proceed = threading.Event()

    def matte(self, rgb: Rgb) -> Matte:
        """Return the matte, once the test lets it."""
        self.running.release()
        assert self.proceed.wait(60)
        return super().matte(rgb)


class MeanInpainting:
    """Fills a hole with the mean colour of the pixels around it."""

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Return `rgb` with its hole in one colour."""
        source = ~hole if avoid is None else ~(hole | avoid)
        if not source.any():
            raise NothingToCopyError
        filled = rgb.copy()
        filled[hole] = rgb[source].mean(axis=0).astype(np.uint8)
        return filled


class PlainResolution:
    """Enlarges by interpolation."""

    def upscale(self, rgb: Rgb, factor: int) -> Rgb:
        """Return `rgb` enlarged `factor` times."""
        size = (rgb.shape[1] * factor, rgb.shape[0] * factor)
        return cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)


class BandSegmentation:
    """Divides a picture into three bands."""

    def segment(self, rgb: Rgb) -> Labels:
        """Return 1, 2 and 3 from top to bottom; 1 and 2 are twice as high as 3."""
        rows = np.minimum(np.arange(rgb.shape[0]) * 5 // rgb.shape[0], 4)
        bands = np.array([1, 1, 2, 2, 3], np.uint8)[rows]
        return np.ascontiguousarray(np.broadcast_to(bands[:, None], rgb.shape[:2]))


class NoFaces:
    """Finds no faces."""

    def analyse(self, rgb: Rgb, attributes: bool = True) -> list[Face]:
        """Return an empty list."""
        return []


class RedModeration:
    """Blocks red pictures."""

    def score(self, rgb: Rgb) -> dict[str, float]:
        """Return how red the picture is, 0..1."""
        red, green, blue = rgb.reshape(-1, 3).mean(axis=0) / 255
        return {"nsfw": float(np.clip(red - max(green, blue), 0, 1))}


class FakeModels:
    """Yields fake models and counts the uses, so that a test can check that no work started.

    given: models of the test that are used instead of the fakes.
    """

    fakes: Mapping[Role[Any], type] = {
        MATTING: EllipseMatting,
        INPAINTING: MeanInpainting,
        SUPER_RESOLUTION: PlainResolution,
        SEGMENTATION: BandSegmentation,
        FACE_ANALYSIS: NoFaces,
        MODERATION: RedModeration,
    }

    def __init__(self, given: Mapping[Role[Any], Any] | None = None) -> None:
        self.given = dict(given or {})
        self.use_count = 0

    def offers(self, role: Role[Any]) -> bool:
        """Whether there is a fake for this role."""
        return role in self.fakes

    def before(self, role: Role[Any]) -> None:
        """Hook for subclasses: called before each use of a model; may raise."""

    @contextmanager
    def use(self, role: Role[P]) -> Iterator[P]:
        """Yield a model; given models and moderation are not counted."""
        if role not in self.given and role not in self.fakes:
            raise RoleNotInProfileError(role.name)
        self.before(role)
        if role in self.given:
            yield self.given[role]
        else:
            self.use_count += role != MODERATION
            yield self.fakes[role]()

    def warm_up(self) -> None:
        """Do nothing: fakes load nothing."""

    def close(self, timeout_s: float) -> bool:
        """Return True: nothing is running."""
        return True


class BlockingModels(FakeModels):
    """Models that wait until the test lets them run."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Event()
        self.unblocked = threading.Event()

    def before(self, role: Role[Any]) -> None:
        """Wait until the test lets the call run."""
        self.started.set()
        assert self.unblocked.wait(10)


class SeedPainter:
    """Serves every generative role; paints one colour that depends on seed and prompt."""

    sizes = SizeRule(multiple=8, area=64 * 64, least=32)

    def colour(self, seed: int, prompt: str) -> tuple[int, int, int]:
        """Return the colour of a result; never red, which moderation blocks."""
        mixed = zlib.crc32(f"{seed} {prompt}".encode())
        return 0, 64 + mixed % 128, 64 + mixed // 128 % 128

    def fill_by_prompt(
        self, rgb: Rgb, hole: Mask, prompt: str, negative_prompt: str, seeds: Sequence[int]
    ) -> list[Rgb]:
        """Paint the whole picture; the pipeline must restore what is outside the hole."""
        return [np.full_like(rgb, self.colour(seed, prompt)) for seed in seeds]

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
        """Paint the whole picture, the subject too."""
        seen = None if reference is None or influence == 0 else (reference.mean(), influence)
        text = f"{prompt} {negative_prompt} {fast} {seen}"
        return [np.full_like(rgb, self.colour(seed, text)) for seed in seeds]

    def outpaint(
        self, canvas: Rgb, hole: Mask, prompt: str, negative_prompt: str, seed: int
    ) -> Rgb:
        """Paint the whole canvas, not only the margin."""
        return np.full_like(canvas, self.colour(seed, prompt))

    def edit_face(
        self, rgb: Rgb, face: Face, actions: Mapping[str, str | float], seed: int
    ) -> tuple[Rgb, Alpha]:
        """Paint the face's box."""
        alpha = np.zeros(rgb.shape[:2], np.float32)
        x, y, width, height = (round(side) for side in face.rect)
        alpha[max(0, y) : y + height, max(0, x) : x + width] = 1
        return np.full_like(rgb, self.colour(seed, str(sorted(actions.items())))), alpha

    def caption(self, rgb: Rgb) -> str:
        """Return the same caption for every picture."""
        return "a picture of noise"

    def detect(self, rgb: Rgb) -> list[DetectedObject]:
        """Return one object that fills the picture."""
        return [DetectedObject("noise", (0.0, 0.0, float(rgb.shape[1]), float(rgb.shape[0])))]

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
        """Paint the whole picture, also outside the hole."""
        assert hole is None or (pictures and hole.shape == pictures[0].shape[:2])
        seen = [float(rgb.mean()) for rgb in pictures]
        text = f"{prompt} {negative_prompt} {seen} {hole is not None} {effort} {guidance}"
        return [np.full((size[1], size[0], 3), self.colour(seed, text), np.uint8) for seed in seeds]

    def refine(self, prompt: str, caption: str = "", task: Task = "scene") -> str:
        """Return the prompt with three more words."""
        return f"{prompt}, in fine detail"


class OneFace:
    """A face analysis that returns one face for every picture."""

    def analyse(self, rgb: Any, attributes: bool = True) -> list[Face]:
        """Return the face."""
        corners = np.zeros((68, 2), np.float32)
        return [Face((90.0, 60.0, 120.0, 120.0), corners, 1.0, 0.0, 0.0, (26, 42), "Female")]


class GenerativeModels(FakeModels):
    """Has fakes for every role."""

    fakes = {role: SeedPainter for role in ROLES} | dict(FakeModels.fakes)
