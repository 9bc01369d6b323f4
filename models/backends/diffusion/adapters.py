"""Strict loading of LoRA and IP-Adapter files into a view of a UNet: every weight of the file must fit."""

from pathlib import Path
from typing import Any

from diffusers.utils import convert_unet_state_dict_to_peft
from peft import get_peft_model_state_dict
from safetensors import safe_open

from models.backends.diffusion.components import check_safetensors
from models.errors import BadWeightsError

LORA_FILE = "pytorch_lora_weights.safetensors"
"""The file name of a LoRA in hub repositories."""
_NAME = "fast"


def only_file(path: Path, wanted: str) -> Path:
    """Return the safetensors file of a folder. If `path` is a file, return `path` itself.

    wanted: the name to choose if there are several. Raises BadWeightsError if there is no such
    file.
    """
    if path.is_file():
        return path
    files = sorted(path.glob("*.safetensors"))
    named = [file for file in files if file.name == wanted]
    if len(files) != 1 and not named:
        raise BadWeightsError(
            f"{path / wanted}: no such file, and no single other .safetensors file in the folder"
        )
    return (named or files)[0]


def load_lora(pipe: Any, file: Path) -> None:
    """Load a LoRA into a pipeline's UNet. It stays active.

    Raises BadWeightsError if the file is damaged, does not fit, has a weight that the UNet does not
    have, or changes the text encoders, which other calls share.
    """
    check_safetensors(file)
    try:
        weights, alphas, metadata = type(pipe).lora_state_dict(
            file.parent,
            weight_name=file.name,
            local_files_only=True,
            use_safetensors=True,
            unet_config=pipe.unet.config,
            return_lora_metadata=True,
        )
        if others := [key for key in weights if not key.startswith("unet.")]:
            raise BadWeightsError(f"{file}: {others[0]} is not of a UNet")
        type(pipe).load_lora_into_unet(
            weights, network_alphas=alphas, unet=pipe.unet, adapter_name=_NAME, metadata=metadata
        )
    except BadWeightsError:
        raise
    except Exception as error:
        raise BadWeightsError(f"{file}: {error}") from error
    # diffusers only logs a weight that it does not use, and fills a missing one with random numbers.
    loaded = set(get_peft_model_state_dict(pipe.unet, adapter_name=_NAME))
    if different := sorted(_names(weights) ^ loaded):
        raise BadWeightsError(f"{file}: {different[0]} does not fit the UNet")
    match_unet(pipe.unet)


def fuse_lora(pipe: Any, file: Path) -> None:
    """Add a LoRA to the weights of a pipeline's UNet for good. Nothing is left of it that would run.

    Raises BadWeightsError as `load_lora` does.
    """
    load_lora(pipe, file)
    pipe.unet.fuse_lora()
    pipe.unet.unload_lora()


def _names(weights: dict[str, Any]) -> set[str]:
    """Return PEFT's names of a LoRA's weights. The file may use any of the usual naming schemes."""
    tensors = {
        key.removeprefix("unet."): tensor
        for key, tensor in weights.items()
        if not key.endswith(".alpha")
    }
    if not any(".lora_A." in key for key in tensors):
        tensors = convert_unet_state_dict_to_peft(tensors)
    return set(tensors)


def load_ip_adapter(pipe: Any, file: Path) -> None:
    """Load an IP-Adapter into a pipeline's UNet. Its image encoder must be loaded before.

    Raises BadWeightsError if the file is damaged or does not fit.
    """
    check_safetensors(file)
    with safe_open(file, framework="pt") as opened:
        numbers = {key.split(".")[1] for key in opened.keys() if key.startswith("ip_adapter.")}  # noqa: SIM118
    cross_attentions = sum("attn2" in name for name in pipe.unet.attn_processors)
    if len(numbers) != cross_attentions:
        raise BadWeightsError(
            f"{file}: for {len(numbers)} attention layers, but the UNet has {cross_attentions}"
        )
    try:
        pipe.load_ip_adapter(
            str(file.parent), subfolder="", weight_name=file.name, local_files_only=True
        )
    except Exception as error:
        raise BadWeightsError(f"{file}: {type(error).__name__}: {error}") from error
    pipe.set_ip_adapter_scale(1.0)
    match_unet(pipe.unet)


def share_ip_adapter(source: Any, target: Any) -> None:
    """Add the IP-Adapter of the pipeline `source` to the pipeline `target`.

    They share its weights.
    """
    target.register_modules(
        image_encoder=source.image_encoder, feature_extractor=source.feature_extractor
    )
    target.unet.encoder_hid_proj = source.unet.encoder_hid_proj
    target.unet.config.encoder_hid_dim_type = source.unet.config.encoder_hid_dim_type
    target.unet.set_attn_processor(dict(source.unet.attn_processors))


def match_unet(unet: Any) -> None:
    """Move new weights to the device and dtype of the UNet's own."""
    first = next(unet.parameters())
    for tensor in unet.parameters():
        if tensor.dtype != first.dtype or tensor.device != first.device:
            tensor.data = tensor.data.to(device=first.device, dtype=first.dtype)
    unet.eval().requires_grad_(False)
