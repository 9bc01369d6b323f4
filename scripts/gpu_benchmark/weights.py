"""Random weights for the GPU benchmark: real architectures, at full size or tiny, as backends load them.

The sizes are those of the published repositories' config.json files; `tests/generative` counts their
parameters. Random weights take as long as trained ones. A part that cannot be built at full size
without files of its publisher gives the reason.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file
from segment_anything import build_sam_vit_h
from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet

from models.backends.diffusion.adapters import LORA_FILE
from models.backends.diffusion.bria_base import FUSED
from models.backends.torch import birefnet as birefnet_backend
from models.tiny import (
    birefnet,
    bria,
    captioner,
    faces,
    fibo_edit,
    klein,
    lama,
    nsfw,
    qwen_edit,
    refiner,
    sam,
    sam2,
    sdxl,
    upscaler,
)
from scripts.gpu_benchmark import matting_code
from scripts.gpu_benchmark.networks import (
    KLEIN_4B,
    LORA_RANK,
    LORA_TARGETS,
    QWEN3_4B,
    TEXT,
    TEXT_2,
    UNET,
    VISION,
    blip,
    controlnet,
    find_masks,
    lama_network,
    random,
    sam2_config,
    unet,
    vae,
)

_KINDS: Any = diffusers
"""diffusers as Any, because its constructors are not typed."""
_IP_WORDS, _IP_WIDTH = 4, 1024


def _save(build: Callable[[], Any], folder: Path, device: str, dtype: Any = torch.float16) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    random(build, device).to(dtype).save_pretrained(folder)


def make_sdxl(folder: Path, device: str, channels: int = 9, force_upcast: bool = True) -> None:
    """Write an SDXL repository in float16, 7 GB: the tiny one, with networks of full size."""
    kinds: Any = transformers
    sdxl.make_tiny(folder, channels)
    first = kinds.CLIPTextConfig.from_pretrained(folder / "text_encoder", **TEXT)
    second = kinds.CLIPTextConfig.from_pretrained(folder / "text_encoder_2", **TEXT_2)
    _save(partial(kinds.CLIPTextModel, first), folder / "text_encoder", device)
    _save(partial(kinds.CLIPTextModelWithProjection, second), folder / "text_encoder_2", device)
    _save(partial(vae, force_upcast), folder / "vae", device)
    _save(partial(unet, channels), folder / "unet", device)


def make_lora(folder: Path, device: str, channels: int = 9) -> None:
    """Write a LoRA of the size of lcm-lora-sdxl."""
    network = random(partial(unet, channels), "meta")
    network.add_adapter(LoraConfig(r=LORA_RANK, target_modules=LORA_TARGETS), "default")
    state = get_peft_model_state_dict(network)
    layers = {
        name: torch.randn(shape.shape, device=device).mul(0.01).half().cpu()
        for name, shape in state.items()
    }
    _KINDS.StableDiffusionXLInpaintPipeline.save_lora_weights(
        folder, unet_lora_layers=layers, weight_name=LORA_FILE
    )


def ip_adapter_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shapes of an IP-Adapter for SDXL, by the names in its file."""
    crossing: int = UNET["cross_attention_dim"]
    shapes: dict[str, tuple[int, ...]] = {
        "image_proj.proj.weight": (_IP_WORDS * crossing, _IP_WIDTH),
        "image_proj.proj.bias": (_IP_WORDS * crossing,),
        "image_proj.norm.weight": (crossing,),
        "image_proj.norm.bias": (crossing,),
    }
    network = random(unet, "meta")
    modules = dict(network.named_modules())
    for number, name in enumerate(network.attn_processors):
        if "attn2" in name:
            wide = modules[name.removesuffix(".processor")].to_k.out_features
            for way in ("k", "v"):
                shapes[f"ip_adapter.{number}.to_{way}_ip.weight"] = (wide, crossing)
    return shapes


def make_ip_adapter(folder: Path, device: str) -> None:
    """Write an IP-Adapter for SDXL with its ViT-H, in the layout of h94/IP-Adapter."""
    kinds: Any = transformers
    build = partial(kinds.CLIPVisionModelWithProjection, kinds.CLIPVisionConfig(**VISION))
    _save(build, folder / "models" / "image_encoder", device)
    shapes = ip_adapter_shapes()
    weights = {name: torch.randn(shape).mul(0.02).half() for name, shape in shapes.items()}
    (folder / "sdxl_models").mkdir(parents=True)
    save_file(weights, folder / "sdxl_models" / "ip-adapter_sdxl_vit-h.safetensors")


def make_bria(folder: Path, device: str) -> None:
    """Write the weights of BRIA 2.3's roles as `models.tiny.bria.make_repositories` does, 25 GB."""
    base = folder / "erase" / FUSED
    make_sdxl(base, device, channels=4, force_upcast=False)
    shutil.rmtree(folder / "erase" / "vae", ignore_errors=True)
    shutil.move(base / "vae", folder / "erase" / "vae")
    _save(partial(unet, 4), folder / "slow" / "unet", device)
    for part in ("control", "erase/controlnet_xl_eraser", "expansion/controlnet_expansion"):
        _save(controlnet, folder / part, device)
    lama.make_tiny(folder / "lama")


def _save_state(build: Callable[[], Any], file: Path, device: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    state = random(build, device).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, file)


def make_birefnet(folder: Path, device: str) -> None:
    """Write a network of BiRefNet's size and its code, `matting_code.py`, in hub layout."""
    code = Path(matting_code.__file__)
    shutil.copy(code, folder / code.name)
    config = {
        "auto_map": {
            "AutoConfig": f"{code.stem}.SwinMattingConfig",
            birefnet_backend.TASK: f"{code.stem}.SwinMatting",
        }
    }
    (folder / "config.json").write_text(json.dumps(config))
    network = partial(matting_code.SwinMatting, matting_code.SwinMattingConfig())
    _save_state(network, folder / "model.safetensors", device)


def make_lama(folder: Path, device: str) -> None:
    """Write big-lama's network as plain weights, under the names of the published archive."""
    _save_state(lama_network, folder / "lama.safetensors", device)


def make_upscaler(folder: Path, device: str) -> None:
    """Write RealESRGAN_x4plus's network."""
    _save_state(RRDBNet, folder / "x4.safetensors", device)


def make_sam(folder: Path, device: str) -> None:
    """Write SAM ViT-H, changed so that it finds masks."""
    _save_state(lambda: find_masks(build_sam_vit_h()), folder / "sam.safetensors", device)


def make_sam2(folder: Path, device: str) -> None:
    """Write SAM 2.1 hiera-large."""
    kinds: Any = transformers
    _save(partial(kinds.Sam2Model, sam2_config()), folder, device)
    kinds.Sam2ImageProcessor().save_pretrained(folder)


def make_captioner(folder: Path, device: str) -> None:
    """Write BLIP-large; its tokenizer has single letters."""
    kinds: Any = transformers
    captioner.make_tiny(folder)
    tokenizer = kinds.BertTokenizer.from_pretrained(folder)
    config = blip()
    config.text_config.bos_token_id = tokenizer.vocab["[DEC]"]
    _save(partial(kinds.BlipForConditionalGeneration, config), folder, device)
    processor = kinds.BlipImageProcessor(size={"height": 384, "width": 384})
    kinds.BlipProcessor(processor, tokenizer).save_pretrained(folder)


def make_refiner(folder: Path, device: str) -> None:
    """Write Qwen3-4B; its tokenizer has single bytes."""
    kinds: Any = transformers
    refiner.make_tiny(folder)
    tokenizer = kinds.AutoTokenizer.from_pretrained(folder)
    config = kinds.Qwen3Config(**QWEN3_4B, eos_token_id=None, pad_token_id=tokenizer.pad_token_id)
    _save(partial(kinds.Qwen3ForCausalLM, config), folder, device, torch.bfloat16)
    tokenizer.save_pretrained(folder)


def make_klein(folder: Path, device: str) -> None:
    """Write a FLUX.2 klein 4B in bfloat16, 16 GB: the tiny one, with networks of full size."""
    kinds: Any = transformers
    library: Any = diffusers
    klein.make_tiny(folder)
    config = kinds.Qwen3Config(**QWEN3_4B)
    _save(partial(kinds.Qwen3ForCausalLM, config), folder / "text_encoder", device, torch.bfloat16)
    transformer = partial(library.Flux2Transformer2DModel, **KLEIN_4B)
    _save(transformer, folder / "transformer", device, torch.bfloat16)
    _save(library.AutoencoderKLFlux2, folder / "vae", device, torch.bfloat16)


def make_nsfw(folder: Path, device: str) -> None:
    """Write ViT-base, the network of Falconsai's classifier."""
    kinds: Any = transformers
    labels = {0: "normal", 1: "nsfw"}
    config = kinds.ViTConfig(id2label=labels, label2id={name: i for i, name in labels.items()})
    _save(partial(kinds.ViTForImageClassification, config), folder, device)
    kinds.ViTImageProcessor(size={"height": 224, "width": 224}).save_pretrained(folder)


@dataclass(frozen=True)
class Part:
    """The functions that make a folder of weights.

    full: gets a folder and a device; None for the reason in `why`.
    """

    tiny: Callable[[Path], None]
    full: Callable[[Path, str], None] | None = None
    why: str = ""


PARTS = {
    "birefnet": Part(birefnet.make_tiny, make_birefnet),
    "lama": Part(lama.make_tiny, make_lama),
    "upscaler": Part(upscaler.make_tiny, make_upscaler),
    "sam": Part(sam.make_tiny, make_sam),
    "sam2": Part(sam2.make_tiny, make_sam2),
    "faces": Part(faces.make_tiny, why="ONNX files, which always run on the processor"),
    "nsfw": Part(nsfw.make_tiny, make_nsfw),
    "captioner": Part(captioner.make_tiny, make_captioner),
    "refiner": Part(refiner.make_tiny, make_refiner),
    "sdxl": Part(sdxl.make_tiny, partial(make_sdxl, force_upcast=False)),
    "lora": Part(sdxl.make_tiny_lora, make_lora),
    "ip_adapter": Part(sdxl.make_tiny_ip_adapter, make_ip_adapter),
    "bria": Part(bria.make_repositories, make_bria),
    "klein": Part(klein.make_tiny, make_klein),
    "fibo_edit": Part(fibo_edit.make_tiny, why="the sizes of its transformer are not public"),
    "qwen_edit": Part(qwen_edit.make_tiny, why="58 GB are too many to make here"),
}
