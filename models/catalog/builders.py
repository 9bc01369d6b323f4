"""How each card is built: from paths and a device configuration to the role's object.

A backend is imported only when its card is built, so that the registry loads where the packages of
other profiles are not installed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.placement import DeviceConfig

_WEIGHTS = {".safetensors", ".pt", ".pth", ".onnx"}


def only_file(path: Path) -> Path:
    """Give the one weight file of a folder, or the path where it is no folder.

    Raises ValueError where a folder holds none or several.
    """
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix in _WEIGHTS)
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise ValueError(f"{path} should hold one weight file: {names}")
    return found[0]


def u2net(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Matting: U2-Net on onnxruntime."""
    from models.backends.onnx.u2net import U2Net

    return U2Net(paths[0], threads=1)  # requests run side by side, one thread each


def patchmatch(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Inpainting: PatchMatch."""
    from models.backends.classical.patchmatch import PatchMatch

    return PatchMatch()


def cv2_inpaint(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Inpainting: OpenCV's own."""
    from models.backends.classical.cv2_inpaint import Cv2Inpaint

    return Cv2Inpaint()


def realesrgan(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Super-resolution: Real-ESRGAN on ncnn."""
    from models.backends.ncnn.realesrgan import RealEsrgan

    return RealEsrgan(paths[0], paths[1], threads=device_config.threads)


def felzenszwalb(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Segmentation by colour."""
    from models.backends.classical.felzenszwalb import Felzenszwalb

    return Felzenszwalb()


def dlib_faces(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Face analysis: dlib."""
    from models.backends.dlib.faces import DlibFaces

    return DlibFaces()


def open_nsfw(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Moderation: Yahoo's open NSFW network."""
    from models.backends.onnx.open_nsfw import OpenNsfw

    return OpenNsfw(threads=1)


def onnx_matting(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Matting: BiRefNet as exported to ONNX, before its sigmoid."""
    from models.backends.onnx.matting import OnnxMatting

    return OnnxMatting(only_file(paths[0]), device_config)


def onnx_matting_behind_sigmoid(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Matting: RMBG-2.0 as exported to ONNX, behind its sigmoid."""
    from models.backends.onnx.matting import OnnxMatting

    inner = paths[0] / "onnx"
    return OnnxMatting(
        only_file(inner if inner.is_dir() else paths[0]), device_config, logits=False
    )


def birefnet(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Matting: BiRefNet or RMBG-2.0, by the code beside its weights."""
    from models.backends.torch.birefnet import BiRefNet

    return BiRefNet(paths[0], device_config, allow_remote_code=True)


def lama(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Inpainting: LaMa."""
    from models.backends.torch.lama import Lama

    return Lama(only_file(paths[0]), device_config)


def upscaler(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Super-resolution: any network that spandrel knows."""
    from models.backends.torch.upscaler import Upscaler

    return Upscaler(only_file(paths[0]), device_config)


def sam(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Segmentation: SAM."""
    from models.backends.torch.sam import Sam

    return Sam(only_file(paths[0]), device_config)


def sam2(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Segmentation: SAM 2."""
    from models.backends.torch.sam2 import Sam2

    return Sam2(paths[0], device_config)


def tiny_sam(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Random weights find nothing at any number of points: few save the time of many."""
    from models.backends.torch.sam import Sam

    return Sam(only_file(paths[0]), device_config, points=8)


def tiny_sam2(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """As `tiny_sam`."""
    from models.backends.torch.sam2 import Sam2

    return Sam2(paths[0], device_config, points=8)


def nsfw_classifier(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Moderation: an image classifier."""
    from models.backends.torch.nsfw import NsfwClassifier

    return NsfwClassifier(paths[0], device_config)


def captioner(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Captioning: BLIP."""
    from models.backends.torch.captioner import Captioner

    return Captioner(paths[0], device_config)


def refiner(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Prompt refinement: an instruct model."""
    from models.backends.torch.refiner import Refiner

    return Refiner(paths[0], device_config)


def sdxl_fill(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Generative fill: SDXL; paths: the pipeline, then a fast LoRA if there is one."""
    from models.backends.diffusion.sdxl import SdxlFill

    return SdxlFill(paths[0], device_config, fast_lora=paths[1] if len(paths) > 1 else None)


def sdxl_scene(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Scene generation: SDXL; paths: the pipeline, an IP-Adapter, a fast LoRA."""
    from models.backends.diffusion.sdxl import SdxlScene

    return SdxlScene(paths[0], device_config, ip_adapter=paths[1], fast_lora=paths[2])


def sdxl_outpaint(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Outpainting: SDXL."""
    from models.backends.diffusion.sdxl import SdxlOutpaint

    return SdxlOutpaint(paths[0], device_config)


def yunet_faces(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Face analysis: YuNet and FairFace; paths: both files, or the folder that holds them."""
    from models.backends.torch.faces import YuNetFaces

    detector, attributes = paths if len(paths) == 2 else sorted(paths[0].glob("*.onnx"))[::-1]
    return YuNetFaces(detector, attributes, device_config)


def sdxl_faces(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Face editing: SDXL."""
    from models.backends.diffusion.face_editing import SdxlFaceEditing

    return SdxlFaceEditing(paths[0], device_config)


def bria_scene(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Scene generation: BRIA 2.3; paths: the base, a ControlNet, a fast LoRA, a VAE."""
    from models.backends.diffusion.bria import BriaScene

    return BriaScene(paths[0], paths[1], paths[2], device_config, *paths[3:])


def bria_fill(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Generative fill: BRIA 2.3; paths as for scenes."""
    from models.backends.diffusion.bria import BriaFill

    return BriaFill(paths[0], paths[1], paths[2], device_config, *paths[3:])


def bria_erase(paths: Sequence[Path], device_config: DeviceConfig) -> Any:
    """Inpainting: BRIA 2.3; paths as for scenes."""
    from models.backends.diffusion.bria import BriaErase

    return BriaErase(paths[0], paths[1], paths[2], device_config, *paths[3:])
