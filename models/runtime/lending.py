"""The twelve ways to ask for a model, each by its role, above one way to lend any of them."""

from contextlib import AbstractContextManager
from typing import Any

from models.catalog.card import Role
from models.roles import (
    Captioning,
    FaceAnalysis,
    FaceEditing,
    GenerativeFill,
    Inpainting,
    Matting,
    Moderation,
    Outpainting,
    PromptRefinement,
    SceneGeneration,
    Segmentation,
    SuperResolution,
)


class Lending:
    """Fulfils the lending half of models.roles.Models; whoever inherits says how a role is lent."""

    def lend(self, role: Role) -> AbstractContextManager[Any]:
        """Lend the model of a role; raises ModelUnavailableError."""
        raise NotImplementedError

    def matting(self) -> AbstractContextManager[Matting]:
        """Lend the matting model; raises ModelUnavailableError."""
        return self.lend("matting")

    def inpainting(self) -> AbstractContextManager[Inpainting]:
        """Lend the prompt-free inpainting model; raises ModelUnavailableError."""
        return self.lend("inpainting")

    def super_resolution(self) -> AbstractContextManager[SuperResolution]:
        """Lend the super-resolution model; raises ModelUnavailableError."""
        return self.lend("super_resolution")

    def segmentation(self) -> AbstractContextManager[Segmentation]:
        """Lend the segmentation model; raises ModelUnavailableError."""
        return self.lend("segmentation")

    def face_analysis(self) -> AbstractContextManager[FaceAnalysis]:
        """Lend the face analysis model; raises ModelUnavailableError."""
        return self.lend("face_analysis")

    def moderation(self) -> AbstractContextManager[Moderation]:
        """Lend the moderation model; raises ModelUnavailableError."""
        return self.lend("moderation")

    def generative_fill(self) -> AbstractContextManager[GenerativeFill]:
        """Lend the model that fills by prompt; raises ModelUnavailableError."""
        return self.lend("generative_fill")

    def scene_generation(self) -> AbstractContextManager[SceneGeneration]:
        """Lend the model that generates backgrounds; raises ModelUnavailableError."""
        return self.lend("scene_generation")

    def outpainting(self) -> AbstractContextManager[Outpainting]:
        """Lend the model that continues pictures; raises ModelUnavailableError."""
        return self.lend("outpainting")

    def face_editing(self) -> AbstractContextManager[FaceEditing]:
        """Lend the model that changes people; raises ModelUnavailableError."""
        return self.lend("face_editing")

    def captioning(self) -> AbstractContextManager[Captioning]:
        """Lend the model that describes pictures; raises ModelUnavailableError."""
        return self.lend("captioning")

    def prompt_refinement(self) -> AbstractContextManager[PromptRefinement]:
        """Lend the model that refines prompts; raises ModelUnavailableError."""
        return self.lend("prompt_refinement")
