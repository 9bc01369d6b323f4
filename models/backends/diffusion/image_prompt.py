"""Bria's Image-Prompt for BRIA 2.3: an IP-Adapter, which lets a picture describe what to generate.

How it is loaded and fed is in the program of the Space briaai/Multi-Image-Prompt: the file
`models/ip_adapter_bria.bin` of briaai/Image-Prompt with the encoder beside it, and pictures squeezed
to 224 x 224, not cropped. The `.bin` file is a pickle, of which only tensors are read.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from imaging.resize import resize
from models.backends.diffusion import diffusion
from models.backends.diffusion.adapters import match_unet
from models.backends.diffusion.published import load_published
from models.backends.diffusion.sdxl_pipeline import Guide
from models.backends.torch.checkpoints import read_state
from models.backends.weight_files import first_line
from models.device import DeviceConfig
from models.errors import BadWeightsError

_FILE = "ip_adapter_bria"
_PARTS = ("image_proj", "ip_adapter")


def load_image_prompt(pipe: Any, folder: Path, device_config: DeviceConfig) -> None:
    """Add the adapter to a pipeline, whose UNet must be its own view.

    folder: briaai/Image-Prompt. Raises BadWeightsError that names the file.
    """
    dtype = diffusion.torch_dtype(device_config)
    models = folder / "models"
    encoder = load_published(CLIPVisionModelWithProjection, models / "image_encoder", dtype)
    side = encoder.config.image_size
    if not diffusion.offloads(device_config):
        encoder.to(device_config.device)
    pipe.register_modules(
        image_encoder=encoder, feature_extractor=CLIPImageProcessor(size=side, crop_size=side)
    )
    file = models / f"{_FILE}.safetensors"
    if not file.exists():
        file = models / f"{_FILE}.bin"
    state = _by_part(read_state(file), file)
    _check_layers(state["ip_adapter"], pipe.unet, file)
    try:
        pipe.load_ip_adapter(state, subfolder="", weight_name="")
    except Exception as error:
        raise BadWeightsError(f"{file} does not fit: {first_line(error)}") from error
    pipe.set_ip_adapter_scale(1.0)
    match_unet(pipe.unet)


def _by_part(state: Mapping[str, Any], file: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Return the tensors of the projection and those of the attention layers.

    A pickle holds the two as dictionaries; a safetensors file has their names in its keys.
    """
    parts: dict[str, dict[str, torch.Tensor]] = {part: {} for part in _PARTS}
    for key, value in state.items():
        if isinstance(value, torch.Tensor):
            part, _, name = key.partition(".")
            named = {name: value}
        else:
            part, named = key, value
        if part not in parts or not isinstance(named, Mapping):
            raise BadWeightsError(f"{file}: {key} is not of an IP-Adapter")
        parts[part] |= named
    for part, tensors in parts.items():
        if not tensors:
            raise BadWeightsError(f"{file}: {part} is missing")
    return parts


def _check_layers(tensors: Mapping[str, torch.Tensor], unet: Any, file: Path) -> None:
    """Raise BadWeightsError unless each cross-attention of the UNet has its two matrices, and no more.

    diffusers itself takes what it finds, and ignores the rest.
    """
    places = [number for number, name in enumerate(unet.attn_processors) if "attn2" in name]
    wanted = {f"{number}.to_{way}_ip.weight" for number in places for way in "kv"}
    if different := sorted(wanted ^ set(tensors)):
        raise BadWeightsError(f"{file}: {different[0]} does not fit the UNet")


def arguments(pipe: Any, guide: Guide, size: tuple[int, int]) -> dict[str, Any]:
    """Return the arguments of a call for a picture of `size` (height, width), with the guide squeezed."""
    side = pipe.image_encoder.config.image_size
    return replace(guide, picture=resize(guide.picture, (side, side))).arguments(size)
