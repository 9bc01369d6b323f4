"""The backends of the GPU benchmark: how each is built, its work, and what it is compared with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imaging.resize import working_size
from models.backends.diffusion.bria import BriaExpand, BriaFill, BriaScene, TinyBriaErase
from models.backends.diffusion.face_editing import SdxlFaceEditing
from models.backends.diffusion.fibo_edit import FiboEdit
from models.backends.diffusion.klein import KleinEdit
from models.backends.diffusion.klein_roles import KleinFaceEditing
from models.backends.diffusion.qwen_edit import QwenEdit
from models.backends.diffusion.sdxl import SdxlFill, SdxlOutpaint, SdxlScene
from models.backends.onnx.face_analysis import FaceNetworks
from models.backends.torch.birefnet import BiRefNet
from models.backends.torch.captioner import Captioner
from models.backends.torch.lama import TinyLama
from models.backends.torch.nsfw import NsfwClassifier
from models.backends.torch.refiner import Refiner
from models.backends.torch.sam import Sam
from models.backends.torch.sam2 import Sam2
from models.backends.torch.upscaler import Upscaler
from models.device import DeviceConfig
from models.roles import Face
from scripts.gpu_benchmark import rivals
from scripts.gpu_benchmark.rivals import Rival, Sample

_BRIA = ("bria/erase", "bria/control")


@dataclass(frozen=True)
class Case:
    """One row: a backend as its card builds it, and the same work by the original package.

    parts: names in `weights.PARTS`, or folders in them, in the order of `build`. side: of the picture in
    pixels, at full size. dtype: of the weights on a GPU.
    """

    name: str
    work: str
    build: Callable[[Sequence[Path], DeviceConfig], Any]
    parts: tuple[str, ...]
    call: Callable[[Any, Sample], object]
    rival: Rival | None = None
    side: int = 1024
    dtype: str = "float16"

    def names(self) -> set[str]:
        """Names of the parts it needs."""
        return {part.partition("/")[0] for part in self.parts}


def _fill(model: Any, sample: Sample) -> object:
    return model.fill_by_prompt(sample.rgb, sample.hole, sample.prompt, "", [sample.seed])[0]


def _scene(model: Any, sample: Sample) -> object:
    alpha = sample.hole.astype(np.float32)
    return model.scenes(sample.rgb, alpha, sample.prompt, "", [sample.seed], fast=True)[0]


def _face(model: Any, sample: Sample) -> object:
    side = sample.rgb.shape[0]
    box = (side * 0.25, side * 0.2, side * 0.5, side * 0.6)
    face = Face(box, np.zeros((0, 2), np.float32), 1.0, 0.0, 0.0)
    return model.edit_face(sample.rgb, face, {"gender": "femininity"}, sample.seed)[0]


def _sam(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    return Sam.load(paths, device_config, points=rivals.points(device_config))


def _sam2(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    return Sam2.load(paths, device_config, points=rivals.points(device_config))


def _faces(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    return FaceNetworks.load(paths, device_config, detector="yunet", fairface=True)


def _klein(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    return KleinEdit.load(paths, device_config, side=_side(device_config))


def _klein_faces(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    return KleinFaceEditing.load(paths, device_config, side=_side(device_config))


def _qwen(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    return QwenEdit.load(paths, device_config, side=_side(device_config))


def _fibo(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    return FiboEdit.load(paths, device_config, side=_side(device_config))


def _side(device_config: DeviceConfig) -> int:
    """Return the side of an edited picture; small on the processor, which is not measured."""
    return 64 if device_config.device == "cpu" else 1024


def _edit(model: Any, sample: Sample) -> object:
    size = working_size(sample.rgb.shape[1], sample.rgb.shape[0], model.sizes)
    return model.edit([sample.rgb], sample.prompt, "", [sample.seed], size)[0]


CASES = (
    Case(
        "SdxlFill",
        "20 steps, guidance 8",
        SdxlFill.load,
        ("sdxl",),
        _fill,
        rivals.inpainting_pipeline(),
    ),
    Case(
        "SdxlFill, fast",
        "LCM LoRA, 8 steps",
        SdxlFill.load,
        ("sdxl", "lora"),
        _fill,
        rivals.inpainting_pipeline(8, 1.0, 1.0, lora=1),
    ),
    Case(
        "SdxlScene",
        "fast: LCM LoRA, 8 steps",
        SdxlScene.load,
        ("sdxl", "ip_adapter", "lora"),
        _scene,
        rivals.inpainting_pipeline(8, 1.0, 1.0, lora=2),
    ),
    Case(
        "SdxlOutpaint",
        "20 steps, guidance 8",
        SdxlOutpaint.load,
        ("sdxl",),
        lambda model, sample: model.outpaint(
            sample.rgb, sample.hole, sample.prompt, "", sample.seed
        ),
        rivals.inpainting_pipeline(),
    ),
    Case("SdxlFaceEditing", "gender", SdxlFaceEditing.load, ("sdxl",), _face),
    Case(
        "BriaScene",
        "8 steps, ControlNet",
        BriaScene.load,
        (*_BRIA, "bria/slow"),
        _scene,
        rivals.controlnet_pipeline,
    ),
    Case(
        "BriaExpand",
        "12 steps, guidance 1.2, ControlNet",
        BriaExpand.load,
        ("bria/erase", "bria/expansion"),
        lambda model, sample: model.outpaint(
            sample.rgb, sample.hole, sample.prompt, "", sample.seed
        ),
    ),
    Case("BriaFill", "12 steps, guidance 1.2, ControlNet", BriaFill.load, _BRIA, _fill),
    Case(
        "BriaErase",
        "tiny LaMa; 12 steps, guidance 1.2, ControlNet",
        TinyBriaErase.load,
        ("bria/erase", "bria/erase", "bria/lama"),
        lambda model, sample: model.fill(sample.rgb, sample.hole),
    ),
    Case(
        "BiRefNet",
        "matte",
        BiRefNet.load,
        ("birefnet",),
        lambda model, sample: model.matte(sample.rgb).astype(np.float32),
    ),
    Case(
        "Lama",
        "hole of a ninth",
        TinyLama.load,
        ("lama",),
        lambda model, sample: model.fill(sample.rgb, sample.hole),
        rivals.whole_picture_lama,
    ),
    Case(
        "Upscaler",
        "RRDBNet, x4",
        Upscaler.load,
        ("upscaler",),
        lambda model, sample: model.upscale(sample.rgb, 4),
        rivals.whole_picture_upscaler,
        side=512,
    ),
    Case(
        "Sam",
        "ViT-H, 32 x 32 points",
        _sam,
        ("sam",),
        lambda model, sample: model.segment(sample.rgb),
        rivals.mask_generator,
    ),
    Case(
        "Sam2",
        "hiera-large, 32 x 32 points",
        _sam2,
        ("sam2",),
        lambda model, sample: model.segment(sample.rgb),
        rivals.hub_pipeline("mask-generation"),
    ),
    Case(
        "FaceNetworks",
        "YuNet and FairFace",
        _faces,
        ("faces",),
        lambda model, sample: [tuple(face.rect) for face in model.analyse(sample.rgb)],
    ),
    Case(
        "Captioner",
        "BLIP-large, 3 beams, 40 tokens",
        Captioner.load,
        ("captioner",),
        lambda model, sample: model.caption(sample.rgb),
        rivals.blip,
    ),
    Case(
        "Refiner",
        "Qwen3-4B, 96 tokens",
        Refiner.load,
        ("refiner",),
        lambda model, sample: model.refine(sample.prompt),
        rivals.chat,
        dtype="bfloat16",
    ),
    Case(
        "NsfwClassifier",
        "ViT-base",
        NsfwClassifier.load,
        ("nsfw",),
        lambda model, sample: model.score(sample.rgb),
        rivals.hub_pipeline("image-classification"),
    ),
    Case("KleinEdit", "4 steps, one picture", _klein, ("klein",), _edit, dtype="bfloat16"),
    Case("KleinFaceEditing", "gender", _klein_faces, ("klein",), _face, dtype="bfloat16"),
    Case("FiboEdit", "4 steps, one picture", _fibo, ("fibo_edit",), _edit, dtype="bfloat16"),
    Case("QwenEdit", "40 steps, one picture", _qwen, ("qwen_edit",), _edit, dtype="bfloat16"),
)
