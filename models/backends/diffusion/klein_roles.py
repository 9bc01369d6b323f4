"""The roles of FLUX.2 klein beside edits by words, all on its one set of weights."""

from models.backends.diffusion.editing_roles import (
    FacesByEditing,
    FillByEditing,
    OutpaintByEditing,
    SceneByEditing,
)
from models.backends.diffusion.encoder_refiner import EncoderRefiner
from models.backends.diffusion.erasing import EraseByEditing
from models.backends.diffusion.klein import KleinPipeline
from models.backends.torch.lama import TinyLama


class KleinFill(FillByEditing):
    """Implements the role `models.roles.GenerativeFill`. A negative prompt costs a second pass."""

    kind = KleinPipeline


class KleinScene(SceneByEditing):
    """Implements the role `models.roles.SceneGeneration`; image 2 is the reference picture."""

    kind = KleinPipeline


class KleinOutpaint(OutpaintByEditing):
    """Implements the role `models.roles.Outpainting`."""

    kind = KleinPipeline


class KleinFaceEditing(FacesByEditing):
    """Implements the role `models.roles.FaceEditing`."""

    kind = KleinPipeline


class KleinErase(EraseByEditing):
    """Implements the role `models.roles.Inpainting`: LaMa, refined in large holes."""

    kind = KleinPipeline


class TinyKleinErase(KleinErase):
    """The same with the LaMa that `models.tiny.lama` makes."""

    lama = TinyLama


class KleinRefiner(EncoderRefiner):
    """Implements the role `models.roles.PromptRefinement` with klein's text encoder, a Qwen3-4B."""

    kind = KleinPipeline
