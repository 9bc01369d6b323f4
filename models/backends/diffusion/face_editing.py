"""Face editing with an SDXL inpainting model: actions become a soft mask and a prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np

from imaging.picture import Alpha, Rgb
from models.backends.diffusion.face_changes import changes_for
from models.backends.diffusion.face_regions import soft_mask
from models.backends.diffusion.face_table import Change
from models.backends.diffusion.sdxl_base import SdxlModel
from models.backends.diffusion.sdxl_pipeline import Recipe, without_vae
from models.device import DeviceConfig
from models.roles import Face

_FULL = Recipe(steps=25, guidance=7.0, strength=1.0)
_ALWAYS_AVOIDED = "deformed, blurry, cartoon, painting, asymmetric eyes"


class SdxlFaceEditing(SdxlModel):
    """Implements the role `models.roles.FaceEditing`.

    It shares its pipeline with fill, scenes and outpainting. Changes with the same strength are
    made together. The others are made one after the other, the strongest first: so a weak change of
    the whole face does not run with the high strength of a beard. Prompts and strengths were not
    tested with full weights.
    """

    @classmethod
    def load(
        cls,
        paths: Sequence[Path],
        device_config: DeviceConfig,
        vae: bool = False,
        fused: bool = False,
    ) -> Self:
        """Load the model of a card; paths: the pipeline, optionally a fast LoRA, and with `vae` a VAE."""
        (base, *lora), own_vae = without_vae(paths, vae)
        return cls(base, device_config, lora[0] if lora else None, own_vae, fused)

    def edit_face(
        self, rgb: Rgb, face: Face, actions: Mapping[str, str | float], seed: int
    ) -> tuple[Rgb, Alpha]:
        """Return the changed crop, and the alpha of the change; see the role.

        If no action changes anything, the crop is unchanged and the alpha is 0. Raises ValueError
        for an unknown action or word.
        """
        changes = changes_for(face, actions)
        alpha = np.zeros((*rgb.shape[:2], 1), np.float32)
        colour = np.zeros(rgb.shape, np.float32)  # premultiplied by alpha, to stack the layers
        for group in _by_strength(changes):
            regions = [region for change in group for region in change.regions]
            layer = soft_mask(face, regions, *rgb.shape[:2])[..., None]
            if not layer.any():
                continue  # the region is outside the crop
            prompt, avoid = _prompts(face, group)
            recipe = replace(self._face_recipe(), strength=group[0].strength)
            current = (rgb * (1 - alpha) + colour).round().astype(np.uint8)
            made = self._pipeline.generate(
                current, layer[..., 0] > 0, prompt, avoid, [seed], recipe
            )[0]
            colour = colour * (1 - layer) + made * layer
            alpha = alpha * (1 - layer) + layer
        changed = np.where(alpha > 0, colour / np.maximum(alpha, 1e-6), rgb)
        return changed.round().clip(0, 255).astype(np.uint8), np.ascontiguousarray(alpha[..., 0])

    def _face_recipe(self) -> Recipe:
        """Return the recipe of a change, whose strength is its own."""
        return self._recipe(fast=False)[0] if self._is_fused else _FULL


def _by_strength(changes: Sequence[Change]) -> list[list[Change]]:
    """Group changes by strength, the strongest first."""
    strengths = sorted({change.strength for change in changes}, reverse=True)
    return [[one for one in changes if one.strength == strength] for strength in strengths]


def _prompts(face: Face, changes: Sequence[Change]) -> tuple[str, str]:
    """Return the prompt and the negative prompt."""
    person = {"Female": "woman", "Male": "man", None: "person"}[face.gender]
    wanted = ", ".join(change.prompt for change in changes)
    avoided = ", ".join(change.avoid for change in changes if change.avoid)
    prompt = (
        f"portrait photograph of a {person}, {wanted}, natural light, sharp focus, detailed skin"
    )
    return prompt, f"{avoided}, {_ALWAYS_AVOIDED}" if avoided else _ALWAYS_AVOIDED
