"""The same work by the original packages, as their documentation recommends."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from PIL import Image
from segment_anything import SamAutomaticMaskGenerator
from spandrel import ModelLoader
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from imaging.picture import Mask, Rgb
from models.backends.diffusion.bria_base import FUSED
from models.backends.matting_input import read_input
from models.backends.torch import sam
from models.backends.torch.birefnet import TASK
from models.backends.torch.checkpoints import read_state
from models.backends.torch.loading import LOADING
from models.backends.torch.pretrained import torch_dtype
from models.backends.weight_files import only_file
from models.device import DeviceConfig


@dataclass(frozen=True)
class Sample:
    """The input of each backend: a photograph, a hole in its middle, a prompt and a seed."""

    rgb: Rgb
    hole: Mask
    prompt: str = "a red wooden boat on a calm lake at sunrise"
    seed: int = 1


def points(device_config: DeviceConfig) -> int:
    """Return the number of SAM's points along each side; small on the processor, which is not measured."""
    return 4 if device_config.device == "cpu" else 32


Work = Callable[[Sample], object]
Rival = Callable[[Sequence[Path], DeviceConfig], Work]


def inpainting_pipeline(
    steps: int = 20,
    guidance: float = 8.0,
    strength: float = 0.99,
    lora: int | None = None,
    fused: bool = False,
) -> Rival:
    """Return a loader of diffusers' SDXL inpainting pipeline.

    lora: which of the paths is an LCM LoRA; fused: whether it is fused into the weights.
    """

    def load(paths: Sequence[Path], device_config: DeviceConfig) -> Work:
        kind: Any = diffusers.StableDiffusionXLInpaintPipeline
        pipe = _pipeline(kind, paths[0], device_config)
        if lora is not None:
            _use_lcm(pipe, paths[lora])
        if fused:
            pipe.fuse_lora()
            pipe.unload_lora_weights()
        return lambda sample: (
            pipe(
                prompt=sample.prompt,
                image=Image.fromarray(sample.rgb),
                mask_image=Image.fromarray(sample.hole),
                height=sample.rgb.shape[0],
                width=sample.rgb.shape[1],
                strength=strength,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=torch.Generator("cpu").manual_seed(sample.seed),
            ).images
        )

    return load


def controlnet_pipeline(paths: Sequence[Path], device_config: DeviceConfig) -> Work:
    """Load diffusers' SDXL ControlNet pipeline with BRIA's fused fast base, the control at the picture's size."""
    base, controlnet = paths[:2]
    dtype = torch_dtype(device_config)
    with LOADING:
        network = diffusers.ControlNetModel.from_pretrained(
            controlnet, torch_dtype=dtype, local_files_only=True
        )
        vae: Any = diffusers.AutoencoderKL.from_pretrained(
            base / "vae", torch_dtype=dtype, local_files_only=True
        )
    kind: Any = diffusers.StableDiffusionXLControlNetPipeline
    pipe = _pipeline(kind, base / FUSED, device_config, controlnet=network, vae=vae)
    scheduler: Any = diffusers.LCMScheduler
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config)

    def run(sample: Sample) -> object:
        pixels = torch.from_numpy(sample.rgb).permute(2, 0, 1)[None].float() / 255
        mask = torch.from_numpy(sample.hole)[None, None].float()
        return pipe(
            prompt=sample.prompt,
            # The decoder expects latents of four channels and pixels have three: green is repeated.
            image=torch.cat([pixels, pixels[:, 1:2], mask], dim=1),
            height=sample.rgb.shape[0],
            width=sample.rgb.shape[1],
            num_inference_steps=8,
            guidance_scale=1.0,
            generator=torch.Generator("cpu").manual_seed(sample.seed),
        ).images

    return run


def _pipeline(kind: Any, folder: Path, device_config: DeviceConfig, **parts: Any) -> Any:
    with LOADING:
        pipe = kind.from_pretrained(
            folder, torch_dtype=torch_dtype(device_config), local_files_only=True, **parts
        )
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device_config.device)


def _use_lcm(pipe: Any, lora: Path) -> None:
    pipe.load_lora_weights(lora, local_files_only=True)
    lcm: Any = diffusers.LCMScheduler
    pipe.scheduler = lcm.from_config(pipe.scheduler.config)


def whole_picture_lama(paths: Sequence[Path], device_config: DeviceConfig) -> Work:
    """Load LaMa from its archive or by spandrel, to run on the whole picture."""
    file = only_file(paths[0])
    jit: Any = torch.jit
    script = file.suffix == ".pt"
    if script:
        network = jit.load(str(file), map_location=device_config.device)
    else:
        with LOADING:
            network = ModelLoader(device_config.device).load_from_file(file).eval()

    def run(sample: Sample) -> object:
        pixels = torch.from_numpy(sample.rgb).to(device_config.device).permute(2, 0, 1)[None] / 255
        mask = torch.from_numpy(sample.hole).to(device_config.device)[None, None]
        with torch.inference_mode():
            filled = network(pixels, mask.long() if script else mask.float())
        return filled[0].mul(255).byte().cpu().numpy()

    return run


def whole_picture_upscaler(paths: Sequence[Path], device_config: DeviceConfig) -> Work:
    """Load spandrel's network, to run on the whole picture."""
    with LOADING:
        network = ModelLoader(device_config.device).load_from_file(only_file(paths[0])).eval()
    network.to(torch_dtype(device_config))

    def run(sample: Sample) -> object:
        pixels = torch.from_numpy(sample.rgb).to(device_config.device).permute(2, 0, 1)[None]
        with torch.inference_mode():
            large = network(pixels.to(torch_dtype(device_config)) / 255)
        return large[0].clamp(0, 1).mul(255).byte().cpu().numpy()

    return run


def matting(paths: Sequence[Path], device_config: DeviceConfig) -> Work:
    """Load a repository with BiRefNet's interface, to run as its model card does: half precision, one picture."""
    dtype = torch_dtype(device_config)
    with LOADING:
        network = _own_network(paths[0]).to(device_config.device, dtype)
    side = read_input(paths[0], None).side
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)

    def run(sample: Sample) -> object:
        picture = Image.fromarray(sample.rgb)
        small = torch.from_numpy(np.array(picture.resize((side, side), Image.Resampling.BILINEAR)))
        pixels = (small.permute(2, 0, 1) / 255 - mean) / deviation
        with torch.inference_mode():
            logits = network(pixels[None].to(device_config.device, dtype))[-1]
            matte = logits.sigmoid()[0, 0].float().cpu().numpy()
        return Image.fromarray((matte * 255).astype(np.uint8)).resize(picture.size)

    return run


def _own_network(folder: Path) -> Any:
    """Return the network of a repository with code of its own, with its weights."""
    names = json.loads((folder / "config.json").read_text())["auto_map"]
    config: Any = get_class_from_dynamic_module(names["AutoConfig"], folder, local_files_only=True)
    kind: Any = get_class_from_dynamic_module(names[TASK], folder, local_files_only=True)
    network = kind(config.from_pretrained(folder, local_files_only=True))
    network.load_state_dict(read_state(folder / "model.safetensors"))
    return network.eval()


def mask_generator(paths: Sequence[Path], device_config: DeviceConfig) -> Work:
    """Load segment-anything's automatic generator with its defaults."""
    file = only_file(paths[0])
    state = read_state(file)
    network = sam.build(state, file)
    network.load_state_dict(state)
    network.to(device_config.device).eval()
    generator = SamAutomaticMaskGenerator(network, points_per_side=points(device_config))
    return lambda sample: generator.generate(sample.rgb)


def hub_pipeline(task: str) -> Rival:
    """Return a loader of a transformers pipeline: mask-generation or image-classification."""

    def load(paths: Sequence[Path], device_config: DeviceConfig) -> Work:
        make: Any = transformers.pipeline
        with LOADING:
            pipe = make(
                task, str(paths[0]), device=device_config.device, dtype=torch_dtype(device_config)
            )
        given = {"points_per_crop": points(device_config)} if task == "mask-generation" else {}
        return lambda sample: pipe(Image.fromarray(sample.rgb), **given)

    return load


def blip(paths: Sequence[Path], device_config: DeviceConfig) -> Work:
    """Load BLIP, to run with three beams as its model card does."""
    kinds: Any = transformers
    dtype = torch_dtype(device_config)
    with LOADING:
        processor = kinds.BlipProcessor.from_pretrained(paths[0])
        model = kinds.BlipForConditionalGeneration.from_pretrained(paths[0], dtype=dtype)
    model.to(device_config.device)

    def run(sample: Sample) -> object:
        inputs = processor.image_processor(Image.fromarray(sample.rgb), return_tensors="pt")
        pixels = inputs["pixel_values"].to(device_config.device, dtype)
        tokens = model.generate(pixel_values=pixels, num_beams=3, max_new_tokens=40)
        return processor.tokenizer.decode(tokens[0], skip_special_tokens=True)

    return run


def chat(paths: Sequence[Path], device_config: DeviceConfig) -> Work:
    """Load an instruct model, to rewrite a prompt by greedy decoding."""
    kinds: Any = transformers
    with LOADING:
        tokenizer = kinds.AutoTokenizer.from_pretrained(paths[0])
        model = kinds.AutoModelForCausalLM.from_pretrained(
            paths[0], dtype=torch_dtype(device_config)
        )
    model.to(device_config.device)

    def run(sample: Sample) -> object:
        turns = [{"role": "user", "content": f"Rewrite this prompt: {sample.prompt}"}]
        inputs = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
        ).to(device_config.device)
        tokens = model.generate(**inputs, do_sample=False, max_new_tokens=96)
        return np.asarray(tokens.cpu())

    return run
