"""LoRA and IP-Adapter files, put on one view of a UNet strictly: each weight of the file must find its place."""

from pathlib import Path
from typing import Any

from diffusers import StableDiffusionXLInpaintPipeline
from diffusers.utils import convert_unet_state_dict_to_peft
from peft import get_peft_model_state_dict
from safetensors import safe_open

from models.backends.diffusion.diffusion import check_safetensors
from models.errors import BadWeightsError

LORA_FILE = "pytorch_lora_weights.safetensors"
"""The name that hub repositories give a LoRA."""
_NAME = "fast"


def only_file(path: Path, wanted: str) -> Path:
    """Return the one file of a folder to use, or the path where it is a file itself.

    wanted: the name taken where there are several. Raises BadWeightsError where there is none.
    """
    if path.is_file():
        return path
    files = sorted(path.glob("*.safetensors"))
    named = [file for file in files if file.name == wanted]
    if len(files) != 1 and not named:
        raise BadWeightsError(
            f"{path / wanted}: no such file, and not one other .safetensors file there"
        )
    return (named or files)[0]


def load_lora(pipe: Any, file: Path) -> None:
    """Put a LoRA on a pipeline's UNet, switched on for good.

    Raises BadWeightsError where the file is broken, does not fit, leaves a weight without a place, or
    changes the text encoders, which other calls share.
    """
    check_safetensors(file)
    try:
        weights, alphas, metadata = StableDiffusionXLInpaintPipeline.lora_state_dict(
            file.parent,
            weight_name=file.name,
            local_files_only=True,
            use_safetensors=True,
            unet_config=pipe.unet.config,
            return_lora_metadata=True,
        )
        if others := [key for key in weights if not key.startswith("unet.")]:
            raise BadWeightsError(f"{file}: {others[0]} is not of a UNet")
        StableDiffusionXLInpaintPipeline.load_lora_into_unet(
            weights, network_alphas=alphas, unet=pipe.unet, adapter_name=_NAME, metadata=metadata
        )
    except BadWeightsError:
        raise
    except Exception as error:
        raise BadWeightsError(f"{file}: {error}") from error
    # diffusers only logs a weight that finds no place, and fills a place that got none at random.
    placed = set(get_peft_model_state_dict(pipe.unet, adapter_name=_NAME))
    if astray := sorted(_names(weights) ^ placed):
        raise BadWeightsError(f"{file}: {astray[0]} does not fit the UNet")
    _settle(pipe.unet)


def _names(weights: dict[str, Any]) -> set[str]:
    """Return the names of a LoRA's weights as PEFT has them, whichever of the usual ways they are told."""
    given = {
        key.removeprefix("unet."): tensor
        for key, tensor in weights.items()
        if not key.endswith(".alpha")
    }
    if not any(".lora_A." in key for key in given):
        given = convert_unet_state_dict_to_peft(given)
    return set(given)


def load_ip_adapter(pipe: Any, file: Path) -> None:
    """Put an IP-Adapter on a pipeline's UNet; its picture encoder is there already.

    Raises BadWeightsError where the file is broken or does not fit.
    """
    check_safetensors(file)
    with safe_open(file, framework="pt") as opened:
        numbers = {key.split(".")[1] for key in opened.keys() if key.startswith("ip_adapter.")}  # noqa: SIM118
    crossing = sum("attn2" in name for name in pipe.unet.attn_processors)
    if len(numbers) != crossing:
        raise BadWeightsError(
            f"{file}: for {len(numbers)} attention layers, the UNet has {crossing}"
        )
    try:
        pipe.load_ip_adapter(
            str(file.parent), subfolder="", weight_name=file.name, local_files_only=True
        )
    except Exception as error:
        raise BadWeightsError(f"{file}: {type(error).__name__}: {error}") from error
    pipe.set_ip_adapter_scale(1.0)
    _settle(pipe.unet)


def share_ip_adapter(source: Any, target: Any) -> None:
    """Put the IP-Adapter of one pipeline on another pipeline's view too, its weights shared."""
    target.register_modules(
        image_encoder=source.image_encoder, feature_extractor=source.feature_extractor
    )
    target.unet.encoder_hid_proj = source.unet.encoder_hid_proj
    target.unet.config.encoder_hid_dim_type = source.unet.config.encoder_hid_dim_type
    target.unet.set_attn_processor(dict(source.unet.attn_processors))


def _settle(unet: Any) -> None:
    """Bring fresh weights to where and how the UNet's own are."""
    first = next(unet.parameters())
    for tensor in unet.parameters():
        if tensor.dtype != first.dtype or tensor.device != first.device:
            tensor.data = tensor.data.to(device=first.device, dtype=first.dtype)
    unet.eval().requires_grad_(False)
