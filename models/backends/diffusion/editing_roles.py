"""Roles around holes and scenes, played by a model that edits pictures by words.

Such a model is not shown the hole: it reads the picture and an instruction. So the hole is blurred, the
subject of a scene stands before grey, and the instruction says so. The instructions are judgements: nobody
has looked at pictures that the published weights made with them.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from imaging.picture import Alpha, Mask, Rgb
from imaging.resize import resize
from models.backends.diffusion.editing_model import EditingModel, EditingRole, edit_hole
from models.backends.diffusion.face_changes import changes_for
from models.backends.diffusion.face_regions import soft_mask
from models.backends.diffusion.face_table import Change
from models.backends.diffusion.sdxl import prefill, visible_subject
from models.roles import Face

_FILL = (
    "Generate new content in the blurred area of the picture, sharp, and in the perspective, light"
    " and colours of the rest. Keep the rest exactly as it is. The blurred area shows: "
)
_OUTPAINT = (
    "Continue the picture into its blurred margin, sharp, and in the same perspective, light and"
    " colours. Keep the rest exactly as it is."
)
_SCENE = (
    "Replace the grey background by a new scene. Keep the subject exactly as it is, in its place and"
    " size. Perspective, light and shadows of the scene fit it."
)
_SCENE_OF_REFERENCE = " The scene is that of image 2: its place, style, light and colours."
_KEPT = (
    "Keep everything else exactly as it is: the person's identity and pose, the light and the"
    " background."
)
_EFFORT: Mapping[bool, float] = {True: 1.0, False: 2.0}
"""Steps of a scene, as a multiple of the model's own, with and without fast=True. A judgement."""
_LEAST_REFERENCE = 16
"""Shortest side of a weakened reference picture, in pixels."""


class FillByEditing(EditingRole[EditingModel]):
    """Implements the role `models.roles.GenerativeFill`. What was in the hole has no influence."""

    def fill_by_prompt(
        self, rgb: Rgb, hole: Mask, prompt: str, negative_prompt: str, seeds: Sequence[int]
    ) -> list[Rgb]:
        """Return one picture for each seed; see the role."""
        seen = prefill(rgb, hole)
        made = edit_hole(self._pipeline, [seen], _FILL + prompt, negative_prompt, seeds, hole)
        return [np.where(hole[..., None], each, rgb) for each in made]


class OutpaintByEditing(EditingRole[EditingModel]):
    """Implements the role `models.roles.Outpainting`."""

    def outpaint(
        self, canvas: Rgb, hole: Mask, prompt: str, negative_prompt: str, seed: int
    ) -> Rgb:
        """Return the canvas with its hole generated; see the role."""
        if not hole.any():
            return canvas.copy()
        words = _OUTPAINT + (f" The whole picture shows: {prompt}" if prompt.strip() else "")
        return edit_hole(
            self._pipeline, [prefill(canvas, hole)], words, negative_prompt, [seed], hole
        )[0]


class SceneByEditing(EditingRole[EditingModel]):
    """Implements the role `models.roles.SceneGeneration`.

    The model reads the reference picture beside the subject. Less influence is a smaller copy of it,
    which shows less than the picture: its place and colours rather than its details.
    """

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
        """Return one picture for each seed; see the role."""
        visible, hole = visible_subject(rgb, alpha)
        if not hole.any():
            return [rgb.copy() for _ in seeds]
        pictures, words = [visible], _SCENE
        if reference is not None and influence > 0:
            pictures.append(_weakened(reference, influence))
            words += _SCENE_OF_REFERENCE
        if prompt.strip():
            words += f" The scene: {prompt}"
        size = hole.shape[1], hole.shape[0]
        return self._pipeline.generate(
            pictures, words, negative_prompt, seeds, size, hole, effort=_EFFORT[fast]
        )


class FacesByEditing(EditingRole[EditingModel]):
    """Implements the role `models.roles.FaceEditing`: the actions become one instruction.

    All actions are made together, inside the union of their regions. The strengths of the table have no
    effect: the model reads the crop beside the instruction, so that the person stays the same without a
    trace of the old pixels.
    """

    def edit_face(
        self, rgb: Rgb, face: Face, actions: Mapping[str, str | float], seed: int
    ) -> tuple[Rgb, Alpha]:
        """Return the changed crop, and the alpha of the change; see the role.

        If no action changes anything, the crop is unchanged and the alpha is 0. Raises ValueError
        for an unknown action or word.
        """
        changes = changes_for(face, actions)
        regions = [region for change in changes for region in change.regions]
        alpha = soft_mask(face, regions, *rgb.shape[:2])
        if not alpha.any():
            return rgb.copy(), alpha
        words = _face_instruction(changes)
        (made,) = edit_hole(self._pipeline, [rgb], words, "", [seed], alpha > 0)
        return made, alpha


def _weakened(reference: Rgb, influence: float) -> Rgb:
    """Return a picture at `influence` times its width and height."""
    sides = (reference.shape[1], reference.shape[0])
    wide, high = (
        max(min(side, _LEAST_REFERENCE), round(side * min(influence, 1))) for side in sides
    )
    return resize(reference, (wide, high))


def _face_instruction(changes: Sequence[Change]) -> str:
    wanted = "; ".join(change.instruction for change in changes)
    return f"Edit the person: {wanted}. {_KEPT}"
