"""The roles of Qwen-Image-Edit beside edits by words, all on its one set of weights."""

from models.backends.diffusion.editing_roles import (
    FacesByEditing,
    FillByEditing,
    OutpaintByEditing,
    SceneByEditing,
)
from models.backends.diffusion.encoder_refiner import EncoderRefiner
from models.backends.diffusion.qwen_edit import QwenPipeline


class QwenFill(FillByEditing):
    """Implements the role `models.roles.GenerativeFill`."""

    kind = QwenPipeline


class QwenScene(SceneByEditing):
    """Implements the role `models.roles.SceneGeneration`; picture 2 is the reference picture."""

    kind = QwenPipeline


class QwenOutpaint(OutpaintByEditing):
    """Implements the role `models.roles.Outpainting`."""

    kind = QwenPipeline


class QwenFaceEditing(FacesByEditing):
    """Implements the role `models.roles.FaceEditing`."""

    kind = QwenPipeline


class QwenRefiner(EncoderRefiner):
    """Implements the role `models.roles.PromptRefinement` with the text encoder, a Qwen2.5-VL-7B."""

    kind = QwenPipeline
