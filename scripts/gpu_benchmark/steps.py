"""The networks of the benchmark with random weights and random inputs, each as one step."""

from collections.abc import Callable
from functools import partial
from typing import Any

import diffusers
import torch
from peft import LoraConfig
from segment_anything import sam_model_registry
from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet
from torch import Tensor, nn

from scripts.gpu_benchmark import matting_code, networks
from scripts.gpu_benchmark.bench import Bench
from scripts.gpu_benchmark.variants import Call, Step

_KINDS: Any = diffusers
_WORDS, _FLUX_WORDS = 77, 512
"""Tokens of a prompt, for SDXL and for FLUX.2."""


def _on(bench: Bench, build: Callable[[], Any], dtype: str, channels_last: bool = True) -> Any:
    module = networks.random(build, bench.device).to(bench.dtype(dtype))
    return module.to(memory_format=torch.channels_last) if bench.gpu and channels_last else module


def unet(bench: Bench, lora: str = "") -> Step:
    """Return one step of SDXL's UNet for inpainting. lora: "beside" the weights, "fused" into them, or ""."""
    sizes = networks.UNET if bench.gpu else networks.TINY_UNET
    module = _on(bench, partial(_KINDS.UNet2DConditionModel, **sizes, in_channels=9), "float16")
    if lora:
        rank, targets = (networks.LORA_RANK, networks.LORA_TARGETS)
        config = LoraConfig(
            r=rank if bench.gpu else 2, target_modules=targets, init_lora_weights=False
        )
        module.add_adapter(config, "default")
        module.to(bench.device, bench.dtype("float16"))
        if lora == "fused":
            module.fuse_lora()
            module.unload_lora()
        module.eval().requires_grad_(False)
    config = module.config
    side, dtype = config.sample_size, bench.dtype("float16")
    ids = 6
    pooled = config.projection_class_embeddings_input_dim - ids * config.addition_time_embed_dim

    def call(batch: int) -> Call:
        new = partial(torch.randn, device=bench.device, dtype=dtype)
        given = {
            "sample": new(batch, 9, side, side),
            "timestep": torch.full((batch,), 500, device=bench.device),
            "encoder_hidden_states": new(batch, _WORDS, config.cross_attention_dim),
            "added_cond_kwargs": {
                "text_embeds": new(batch, pooled),
                "time_ids": torch.full((batch, ids), 1024, device=bench.device, dtype=dtype),
            },
            "return_dict": False,
        }
        return lambda: module(**given)[0]

    name = {
        "": "UNet",
        "beside": "UNet, LoRA beside the weights",
        "fused": "UNet, LoRA fused into the weights",
    }[lora]
    return Step(name, module, call, ("BasicTransformerBlock",))


def transformer(bench: Bench, pictures: int = 1) -> Step:
    """Return one step of a transformer of FLUX.2 klein 4B's size. pictures: 2 with a reference picture."""
    sizes = networks.KLEIN_4B if bench.gpu else networks.TINY_KLEIN
    build = partial(_KINDS.Flux2Transformer2DModel, **sizes)
    module = _on(bench, build, "bfloat16", channels_last=False)
    rows = bench.side // 16
    words = _FLUX_WORDS if bench.gpu else 8

    def call(batch: int) -> Call:
        new = partial(torch.randn, device=bench.device, dtype=bench.dtype("bfloat16"))
        given = {
            "hidden_states": new(batch, pictures * rows * rows, module.config.in_channels),
            "encoder_hidden_states": new(batch, words, module.config.joint_attention_dim),
            "timestep": torch.full(
                (batch,), 0.5, device=bench.device, dtype=bench.dtype("bfloat16")
            ),
            "img_ids": _places(pictures, rows).to(bench.device),
            "txt_ids": torch.cartesian_prod(*map(torch.arange, (1, 1, 1, words))).to(bench.device),
            "return_dict": False,
        }
        return lambda: module(**given)[0]

    name = (
        "transformer" if pictures == 1 else "transformer, with a reference picture of the same size"
    )
    return Step(name, module, call, ("Flux2TransformerBlock", "Flux2SingleTransformerBlock"))


def _places(pictures: int, rows: int) -> Tensor:
    """Return the place of each token: picture, row, column, 0."""
    ranges = (torch.arange(pictures) * 10, torch.arange(rows), torch.arange(rows), torch.arange(1))
    return torch.cartesian_prod(*ranges)


class _Part(nn.Module):
    """A method of a network as a network of its own."""

    def __init__(self, module: nn.Module, run: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.module = module
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)


def _by_shape(
    bench: Bench, name: str, module: nn.Module, shape: tuple[int, ...], dtype: str
) -> Step:
    def call(batch: int) -> Call:
        given = torch.randn(batch, *shape, device=bench.device, dtype=bench.dtype(dtype))
        return lambda: module(given)

    return Step(name, module, call)


def vae(bench: Bench, dtype: str) -> list[Step]:
    """Return both ways of SDXL's VAE."""
    sizes = networks.VAE if bench.gpu else networks.TINY_VAE
    module = _on(bench, partial(_KINDS.AutoencoderKL, **sizes), dtype)
    side = bench.side
    encode = _Part(module, lambda x: module.encode(x).latent_dist.mean)
    decode = _Part(module, lambda x: module.decode(x, return_dict=False)[0])
    return [
        _by_shape(bench, f"a picture into latents, {dtype}", encode, (3, side, side), dtype),
        _by_shape(
            bench, f"latents into a picture, {dtype}", decode, (4, side // 8, side // 8), dtype
        ),
    ]


def matting(bench: Bench) -> Step:
    """Return a network of BiRefNet's size in float16."""
    sizes = {} if bench.gpu else matting_code.TINY
    config = matting_code.SwinMattingConfig(**sizes)
    module = _on(bench, partial(matting_code.SwinMatting, config), "float16")
    last = _Part(module, lambda x: module(x)[-1])
    step = _by_shape(bench, "Swin-L and decoder", last, (3, config.side, config.side), "float16")
    return Step(step.name, last, step.call, ("SwinTransformerBlock",))


def sam_encoder(bench: Bench) -> Step:
    """Return SAM's image encoder: ViT-H, without a GPU a tiny one."""
    if not bench.gpu:
        module = networks.random(networks.tiny_vit, "cpu")
    else:
        module = _on(bench, lambda: sam_model_registry["vit_h"]().image_encoder, "float16", False)
    return _by_shape(
        bench, "SAM ViT-H, image encoder", module, (3, module.img_size, module.img_size), "float16"
    )


def upscaler(bench: Bench) -> Step:
    """Return Real-ESRGAN's network on a picture of half the side."""
    build = RRDBNet if bench.gpu else partial(RRDBNet, num_filters=8, num_blocks=1)
    module = _on(bench, build, "float16")
    half = bench.side // 2
    return _by_shape(bench, "RRDBNet x4, half the side", module, (3, half, half), "float16")
