"""Loads each role's model once, keeps it warm and lends it, counted, to whoever needs it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models import weights
from models.base import (
    FaceAnalysis,
    Inpainting,
    Matting,
    Moderation,
    Segmentation,
    SuperResolution,
)
from models.registry import Card, Profile, Role, load_profile


class ModelUnavailable(Exception):  # noqa: N818 - reads as what it is
    """A role's model could not be loaded, or the profile has none; the text says why."""


@dataclass(frozen=True)
class RoleStats:
    """What the pool holds for a role: its card's name, whether loaded, and to how many lent."""

    model: str
    loaded: bool
    lent: int


@dataclass
class _Slot:
    card: Card
    model: Any = None
    lent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while loading: only those who wait for this very model wait."""


class Pool:
    """The models of one profile; fulfils models.base.Models and is safe to share by threads.

    Weights are looked for when a role is first lent, never fetched then: serving needs no network.
    """

    def __init__(self, profile: Profile, weights_dir: Path, threads: int = 1) -> None:
        self._weights_dir = weights_dir
        self._threads = threads
        self._slots: dict[Role, _Slot] = {role: _Slot(card) for role, card in profile.items()}

    @classmethod
    def for_profile(cls, name: str, weights_dir: Path, threads: int = 1) -> "Pool":
        """Make the pool of a named profile, its missing weights fetched into `weights_dir`.

        threads: processor threads that one call of a model may use.
        Raises UnknownProfile and WeightsUnavailable. Nothing is loaded yet.
        """
        profile = load_profile(name)
        weights.fetch_profile(profile, weights_dir)
        return cls(profile, weights_dir, threads)

    def matting(self) -> AbstractContextManager[Matting]:
        """Lend the matting model; raises ModelUnavailable."""
        return self._lend("matting")

    def inpainting(self) -> AbstractContextManager[Inpainting]:
        """Lend the prompt-free inpainting model; raises ModelUnavailable."""
        return self._lend("inpainting")

    def super_resolution(self) -> AbstractContextManager[SuperResolution]:
        """Lend the super-resolution model; raises ModelUnavailable."""
        return self._lend("super_resolution")

    def segmentation(self) -> AbstractContextManager[Segmentation]:
        """Lend the segmentation model; raises ModelUnavailable."""
        return self._lend("segmentation")

    def face_analysis(self) -> AbstractContextManager[FaceAnalysis]:
        """Lend the face analysis model; raises ModelUnavailable."""
        return self._lend("face_analysis")

    def moderation(self) -> AbstractContextManager[Moderation]:
        """Lend the moderation model; raises ModelUnavailable."""
        return self._lend("moderation")

    def warm_up(self) -> None:
        """Load every role of the profile and run each once on a tiny picture.

        One failure leaves the others loaded; raises ModelUnavailable with all of them in the end.
        """
        failures: list[Exception] = []
        for role in self._slots:
            try:
                with self._lend(role) as model:
                    _TRIALS[role](model)
            except Exception as error:
                error.add_note(f"while warming up {role}")
                failures.append(error)
        if failures:
            text = "; ".join(str(error) or type(error).__name__ for error in failures)
            raise ModelUnavailable(text) from ExceptionGroup("warm-up", failures)

    def stats(self) -> dict[Role, RoleStats]:
        """Tell what is loaded and lent, by role."""
        return {
            role: RoleStats(slot.card.name, slot.model is not None, slot.lent)
            for role, slot in self._slots.items()
        }

    @contextmanager
    def _lend(self, role: Role) -> Iterator[Any]:
        slot = self._slots.get(role)
        if slot is None:
            raise ModelUnavailable(f"this profile has no model for {role}")
        with slot.lock:
            if slot.model is None:
                slot.model = self._load(slot.card)
            model = slot.model
            slot.lent += 1
        try:
            yield model
        finally:
            with slot.lock:
                slot.lent -= 1

    def _load(self, card: Card) -> Any:
        paths = []
        for file in card.files:
            path = self._weights_dir / file.name
            if wrong := weights.fault(file, path):
                raise ModelUnavailable(f"{card.role} ({card.name}): {path}: {wrong}")
            paths.append(path)
        try:
            return card.build(paths, self._threads)
        except Exception as error:
            # Backends fail in ways of their own; each is the same to whoever asked for the role.
            where = ", ".join(map(str, paths)) or "no files"
            raise ModelUnavailable(f"{card.role} ({card.name}) from {where}: {error}") from error


_GREY = np.full((64, 64, 3), 128, np.uint8)
_HOLE = np.pad(np.ones((8, 8), np.bool_), 28)

_TRIALS: dict[Role, Callable[[Any], object]] = {
    "matting": lambda model: model.matte(_GREY),
    "inpainting": lambda model: model.fill(_GREY, _HOLE),
    "segmentation": lambda model: model.segment(_GREY),
    "super_resolution": lambda model: model.upscale(_GREY, 2),
    "face_analysis": lambda model: model.analyse(_GREY),
    "moderation": lambda model: model.score(_GREY),
}
