"""Cards of published diffusion pipelines on tiny networks of the real classes, and what their rows share.

For tests of what the networks are fed: `test_diffusion_inputs.py` and `test_editing_inputs.py`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from imaging.picture import Mask, Rgb
from models import roles
from models.backends.diffusion.bria import TinyBriaErase
from models.backends.diffusion.klein_roles import TinyKleinErase
from models.catalog import files, repositories
from models.catalog.card import by_name
from models.catalog.cards import tiny
from models.catalog.registry import CARDS
from models.catalog.source import Part
from models.device import DeviceConfig
from models.roles import Face
from models.tiny import bria, fibo_edit, klein, lama, qwen_edit, sd15, sdxl
from tests.helpers.network_inputs import PICTURES, Array, hole_of

Row = Callable[[str, Path, Rgb, pytest.MonkeyPatch], None]
"""Checks one card, by name: makes tiny repositories in a folder, loads and calls the card, looks at the inputs."""

CARD = by_name(CARDS)
SMALL: Mapping[str, Rgb] = {
    "landscape": np.ascontiguousarray(PICTURES["landscape"][60:124, 120:248]),
    "portrait": np.ascontiguousarray(PICTURES["portrait"][40:168, 60:124]),
}
"""Photographs of 128 x 64 and 64 x 128 pixels, which the tiny pipelines take as they are."""
LATENT = 8
"""Pixels of a latent along each side."""
EDITORS = ("klein", "klein_roles", "qwen_edit", "qwen_roles", "fibo_edit")
"""The modules of the models that edit pictures by words."""
_FACE = Face((16, 12, 34, 40), np.zeros((0, 2), np.float32), score=1, yaw=0, roll=0)
_MAKERS: Mapping[Part, Callable[[Path], None]] = {
    repositories.SDXL: sdxl.make_tiny,
    repositories.LCM_LORA: sdxl.make_tiny_lora,
    repositories.IP_ADAPTER: sdxl.make_tiny_ip_adapter,
    repositories.FP16_VAE: sdxl.make_tiny_vae,
    repositories.SD15: sd15.make_tiny,
    repositories.SD15_LCM_LORA: sd15.make_tiny_lora,
    repositories.KLEIN: klein.make_tiny,
    repositories.QWEN_EDIT: qwen_edit.make_tiny,
    repositories.FIBO_EDIT: fibo_edit.make_tiny,
    repositories.BRIA_FAST: bria.make_tiny,
    repositories.BRIA_ERASER: bria.make_tiny,
    repositories.BRIA_EXPANSION: bria.make_tiny_expansion,
    repositories.BRIA: bria.make_tiny_slow,
    repositories.BRIA_IMAGE_PROMPT: bria.make_tiny_image_prompt,
    repositories.bria_control("BG-Gen"): bria.make_tiny_control,
    repositories.bria_control("Generative-Fill"): bria.make_tiny_control,
    files.BIG_LAMA: lama.make_tiny,
    repositories.BIG_LAMA_FOLDER: lama.make_tiny,
}
_WITH_TINY_LAMA: Mapping[str, Any] = {
    "bria-erase": TinyBriaErase,
    "klein-erase": TinyKleinErase,
}
"""The published archive of LaMa is the only one whose code runs in the cards' own classes."""


def load(name: str, folder: Path) -> Any:
    """Load a card's class, with its options, from tiny repositories in the place of the published ones."""
    card, paths = CARD[name], []
    for part in card.parts:
        own = folder / part.name
        if not own.exists():
            _MAKERS[part](own)
        paths.append(own)
    own_class = card._backend_class()
    kind = _WITH_TINY_LAMA.get(name, own_class)
    assert issubclass(kind, own_class)
    options = dict(card.options)
    if _module(name) in EDITORS:
        options["side"] = 64
    return kind.load(paths, DeviceConfig(), **options)


def call(name: str, model: Any, rgb: Rgb) -> Mask:
    """Call a card in the way of its role. Return what is generated: the hole, or all around the subject."""
    role, hole, words = CARD[name].role, hole_of(rgb), ("a red kite", "")
    if role is roles.GENERATIVE_FILL:
        model.fill_by_prompt(rgb, hole, *words, [1])
    elif role is roles.OUTPAINTING:
        model.outpaint(rgb, hole, *words, 1)
    elif role is roles.SCENE_GENERATION:
        model.scenes(rgb, hole.astype(np.float32), *words, [1])
        return ~hole
    else:
        assert role is roles.FACE_EDITING
        _, alpha = model.edit_face(rgb, _FACE, {"expression": "happy"}, 1)
        return np.asarray(alpha > 0)
    return hole


def published(*, editors: bool) -> set[str]:
    """Return the names of all cards of published pipelines: of those that edit by words, or of the others."""
    made_here = {card.name for card in tiny.CARDS}
    return {
        name
        for name, card in CARD.items()
        if card.backend.startswith("models.backends.diffusion.")
        and name not in made_here
        and (_module(name) in EDITORS) == editors
    }


def of_range(rgb: Array) -> Array:
    """Return 1 x 3 x height x width, -1..1."""
    return np.asarray((rgb / 127.5 - 1.0).transpose(2, 0, 1)[None])


def reduced(rgb: Rgb, fed: Array) -> Array:
    """Return a picture averaged to the size of what was fed (its last two axes)."""
    size = fed.shape[-1], fed.shape[-2]
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))


def square_of(rgb: Rgb) -> tuple[Rgb, Mask]:
    """Return a photograph of 128 x 128 pixels of the same orientation, and a large hole in its middle."""
    whole = PICTURES["portrait" if rgb.shape[0] > rgb.shape[1] else "landscape"]
    hole = np.zeros((128, 128), np.bool_)
    hole[34:94, 34:94] = True
    return np.ascontiguousarray(whole[60:188, 100:228]), hole


def grown(hole: Mask, by: int) -> Mask:
    """Return a hole that is larger by some pixels on all sides."""
    kernel = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    return np.asarray(cv2.dilate(hole.astype(np.uint8), kernel) > 0)


def _module(name: str) -> str:
    return CARD[name].backend.partition(":")[0].rpartition(".")[2]
