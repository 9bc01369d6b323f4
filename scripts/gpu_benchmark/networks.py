"""The networks of the GPU benchmark: the real architectures at full size, each with a tiny one of the same code.

The sizes are those of the published repositories' config.json files; `tests/generative` counts their
parameters. Random weights take as long as trained ones.
"""

from collections.abc import Callable
from typing import Any

import diffusers
import torch
import transformers
from segment_anything.modeling import ImageEncoderViT
from spandrel.architectures.LaMa.__arch.LaMa import LaMa

from models.backends.diffusion.bria_base import CHANNELS
from models.backends.torch.loading import LOADING

KLEIN_4B: dict[str, Any] = {
    "num_layers": 5,
    "num_single_layers": 20,
    "num_attention_heads": 24,
    "joint_attention_dim": 7680,
    "guidance_embeds": False,
}
"""Of the transformer of FLUX.2 klein 4B; the rest is as diffusers has it."""
UNET: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
}
TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
TEXT_2: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
VISION: dict[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "patch_size": 14,
    "projection_dim": 1024,
    "hidden_act": "gelu",
}
BLIP_TEXT: dict[str, Any] = {"vocab_size": 30524, "encoder_hidden_size": 1024}
BLIP_VISION: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 384,
}
QWEN3_4B: dict[str, Any] = {
    "vocab_size": 151936,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 262144,
    "tie_word_embeddings": True,
}
HIERA_LARGE: dict[str, Any] = {
    "hidden_size": 144,
    "num_attention_heads": 2,
    "blocks_per_stage": [2, 6, 36, 4],
    "embed_dim_per_stage": [144, 288, 576, 1152],
    "num_attention_heads_per_stage": [2, 4, 8, 16],
    "window_positional_embedding_background_size": [7, 7],
    "window_size_per_stage": [8, 4, 16, 8],
    "global_attention_blocks": [23, 33, 43],
}
LORA_RANK = 64
LORA_TARGETS = [
    *("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"),
    *("conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv"),
    "time_emb_proj",
]
_KINDS: Any = diffusers
"""diffusers as Any, because its constructors are not typed."""


def unet(channels: int = 9) -> Any:
    """Return SDXL's UNet; 9 channels for inpainting, else 4."""
    return _KINDS.UNet2DConditionModel(**UNET, in_channels=channels)


def vae(force_upcast: bool = True) -> Any:
    """Return SDXL's VAE."""
    return _KINDS.AutoencoderKL(**VAE, force_upcast=force_upcast)


def controlnet() -> Any:
    """Return a ControlNet of SDXL that reads latents and a mask."""
    shared = {k: v for k, v in UNET.items() if k not in ("sample_size", "up_block_types")}
    return _KINDS.ControlNetModel(
        **shared,
        conditioning_channels=CHANNELS,
        conditioning_embedding_out_channels=(16, 32, 96, 256),
    )


def blip() -> Any:
    """Return BLIP-large's configuration."""
    kinds: Any = transformers
    return kinds.BlipConfig(
        text_config=BLIP_TEXT, vision_config=BLIP_VISION, image_text_hidden_size=256
    )


def sam2_config() -> Any:
    """Return SAM 2.1 hiera-large's configuration."""
    kinds: Any = transformers
    backbone = kinds.Sam2HieraDetConfig(**HIERA_LARGE)
    vision = kinds.Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[1152, 576, 288, 144]
    )
    return kinds.Sam2Config(vision_config=vision)


def random(build: Callable[[], Any], device: str) -> Any:
    """Return a module with random weights on a device, also in layers that are initialised to zero."""
    with LOADING, torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(0)
        module = build()
        for tensor in module.parameters():
            if tensor.device.type != "meta" and tensor.dim() > 1 and not tensor.any():
                torch.nn.init.normal_(tensor, std=0.02)
    return module.eval().requires_grad_(False)


def lama_network() -> Any:
    """Return big-lama's network, which sees the colours and the mask."""
    return LaMa(in_nc=4)


TINY_UNET: dict[str, Any] = {
    **UNET,
    "sample_size": 8,
    "block_out_channels": (16, 16, 32),
    "norm_num_groups": 8,
    "layers_per_block": 1,
    "transformer_layers_per_block": (1, 1, 1),
    "attention_head_dim": (1, 2, 2),
    "cross_attention_dim": 64,
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 6 * 8 + 32,
}
"""Without a GPU: the same kinds of blocks, few and narrow. So are the other two."""
TINY_VAE: dict[str, Any] = {
    **VAE,
    "block_out_channels": (8, 8, 16, 16),
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "sample_size": 64,
}
TINY_KLEIN: dict[str, Any] = {
    **KLEIN_4B,
    "in_channels": 16,
    "num_layers": 1,
    "num_single_layers": 1,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 96,
    "timestep_guidance_channels": 16,
    "axes_dims_rope": (4, 4, 4, 4),
}


def tiny_vit() -> Any:
    """Return a small image encoder of SAM."""
    return ImageEncoderViT(
        img_size=64,
        patch_size=16,
        embed_dim=32,
        depth=2,
        num_heads=2,
        out_chans=16,
        window_size=2,
        use_rel_pos=True,
    )


def find_masks(network: Any) -> Any:
    """Change a SAM of random weights so that its masks are certain: as a trained one, it finds some.

    The estimated quality is near 0.95 and the edges are sharp, so that masks pass the usual thresholds.
    """
    decoder = network.mask_decoder
    last = decoder.iou_prediction_head.layers[-1]
    with torch.no_grad():
        last.weight.mul_(0.02)
        last.bias.fill_(0.95)
        for mlp in decoder.output_hypernetworks_mlps:
            mlp.layers[-1].weight.mul_(10_000)
            mlp.layers[-1].bias.mul_(10_000)
    return network
