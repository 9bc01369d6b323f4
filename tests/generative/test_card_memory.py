"""The weights that cards tell of are those of their networks, counted without any memory (torch's meta device)."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model_state_dict
from segment_anything import build_sam_vit_h
from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet
from torch.nn import ModuleList

from models.backends.diffusion.sdxl_pipeline import SdxlPipeline
from models.backends.torch import graphs
from models.backends.torch.fixed_cache import LENGTH
from models.catalog.card import by_name
from models.catalog.registry import CARDS
from models.runtime.device_policy import GRAPHS_MB
from models.tiny import sdxl
from scripts.gpu_benchmark import networks as full
from scripts.gpu_benchmark.weights import ip_adapter_shapes
from tests.helpers.peak_memory import peak_mb

CARD = by_name(CARDS)
HALF, SINGLE = 2, 4
"""Bytes of a number."""
_KINDS: Any = transformers
_DIFFUSERS: Any = diffusers
NOT_COUNTED = {
    "birefnet": "its code comes with its weights: the size of the file",
    "birefnet-hr-matting": "the same network, in single precision",
    "rmbg-2": "its code comes with its weights: the size of the file",
    "freepik-nsfw": "its network is one of timm, by name: the size of the file",
}
"""Cards whose network cannot be built here, and where their figure is from."""


def megabytes(build: Callable[[], Any], size: int = HALF) -> float:
    network = full.random(build, "meta")
    tensors = [*network.parameters(), *network.buffers()]
    return sum(tensor.numel() for tensor in tensors) * size / 2**20


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> float:
    """MiB of SDXL: UNet for inpainting, VAE and both text encoders."""
    folder = tmp_path_factory.mktemp("sdxl")
    sdxl.make_tiny(folder, 9)
    read = _KINDS.CLIPTextConfig.from_pretrained
    first = read(folder / "text_encoder", **full.TEXT)
    second = read(folder / "text_encoder_2", **full.TEXT_2)
    return sum(
        map(
            megabytes,
            (
                full.unet,
                full.vae,
                partial(_KINDS.CLIPTextModel, first),
                partial(_KINDS.CLIPTextModelWithProjection, second),
            ),
        )
    )


def about(found: float, told: int) -> bool:
    """Whether a card tells what was found, to a hundredth and the next 5 MiB."""
    return found <= told <= 1.01 * found + 5


def lora() -> float:
    """Millions of numbers (2^20) of a LoRA for SDXL's UNet."""
    network = full.random(full.unet, "meta")
    network.add_adapter(LoraConfig(r=full.LORA_RANK, target_modules=full.LORA_TARGETS), "default")
    return sum(one.numel() for one in get_peft_model_state_dict(network).values()) / 2**20


def ip_adapter() -> float:
    """Millions of numbers (2^20) of an IP-Adapter for SDXL's UNet, without its image encoder."""
    shapes = ip_adapter_shapes().values()
    return sum(math.prod(shape) for shape in shapes) / 2**20


def x2_network() -> RRDBNet:
    return RRDBNet(in_nc=12, shuffle_factor=2)


def qwen3() -> Any:
    return _KINDS.Qwen3ForCausalLM(_KINDS.Qwen3Config(**full.QWEN3_4B))


@pytest.mark.parametrize(
    ("name", "build", "size"),
    [
        ("big-lama", full.lama_network, SINGLE),
        ("realesrgan-x4plus-torch", RRDBNet, HALF),
        ("realesrgan-x2plus-torch", x2_network, HALF),
        ("realesrgan-torch", lambda: ModuleList([x2_network(), RRDBNet()]), HALF),
        ("sam-vit-huge", build_sam_vit_h, HALF),
        ("sam2-large", lambda: _KINDS.Sam2Model(full.sam2_config()), HALF),
        ("falconsai-nsfw", lambda: _KINDS.ViTForImageClassification(_KINDS.ViTConfig()), HALF),
        ("blip-large", lambda: _KINDS.BlipForConditionalGeneration(full.blip()), HALF),
        ("qwen3-4b", qwen3, HALF),
    ],
)
def test_a_card_tells_the_weights_of_its_network(
    name: str, build: Callable[[], Any], size: int
) -> None:
    assert about(megabytes(build, size), CARD[name].weights_mb)


SDXL = ("sdxl-fill", "sdxl-outpaint", "sdxl-faces")
SDXL_FAST = ("sdxl-fill-fast", "sdxl-outpaint-fast", "sdxl-faces-fast")


@pytest.mark.parametrize("name", [*SDXL, *SDXL_FAST])
def test_the_cards_of_sdxl_share_all_their_weights(name: str, base: float) -> None:
    card = CARD[name]
    assert card.shared_mb == card.weights_mb
    assert about(base, card.weights_mb)


@pytest.mark.parametrize(("name", "beside"), [("sdxl-scene", 1), ("sdxl-scene-fast", 0)])
def test_an_ip_adapter_and_a_lora_that_is_not_fused_come_on_top(
    name: str, beside: int, base: float
) -> None:
    config = _KINDS.CLIPVisionConfig(**full.VISION)
    encoder = megabytes(partial(_KINDS.CLIPVisionModelWithProjection, config))
    found = base + encoder + HALF * (ip_adapter() + beside * lora())
    assert about(found, CARD[name].weights_mb)
    assert about(base, CARD[name].shared_mb)


def test_the_buffers_of_sdxl_have_room_for_a_batch_with_guidance() -> None:
    empty = partial(torch.empty, dtype=torch.float16, device="meta")
    count = 2 * SdxlPipeline.batch  # with and without the prompt
    unet = peak_mb(
        full.random(full.unet, "meta").half(),
        lambda network: network(
            empty(count, 9, 128, 128),
            torch.empty((), device="meta"),
            encoder_hidden_states=empty(count, 77, 2048),
            added_cond_kwargs={"text_embeds": empty(count, 1280), "time_ids": empty(count, 6)},
        ),
    )
    vae = full.random(full.vae, "meta").half()
    decoder = peak_mb(vae, lambda network: network.decode(empty(1, 4, 128, 128)))
    encoder = peak_mb(vae, lambda network: network.encode(empty(1, 3, 1024, 1024)))
    # What the allocator of a GPU adds: 1,793 MiB were measured where the decoder is counted as 1,538.
    added = 1793 / decoder
    pictures = SdxlPipeline.batch * 3 * 1024 * 1024 * (HALF + SINGLE) / 2**20
    assert unet < decoder
    assert encoder < decoder
    for card in CARDS:
        if card.name.startswith("sdxl-"):
            assert added * decoder + pictures <= card.work_mb, card.name


def test_the_memory_for_cuda_graphs_holds_what_they_take() -> None:
    empty = partial(torch.empty, dtype=torch.float16, device="meta")
    count = graphs.MOST_PASSES
    step = torch.empty((), device="meta")
    words = empty(count, 77, 2048)
    added = {"text_embeds": empty(count, 1280), "time_ids": empty(count, 6)}
    control = full.random(full.controlnet, "meta").half()
    for layer in control.controlnet_cond_embedding.blocks:
        layer.stride = (1, 1)
    given: dict[str, Any] = {"encoder_hidden_states": words, "added_cond_kwargs": added}
    picture = empty(count, 4, 128, 128)
    shown = {"controlnet_cond": empty(count, 5, 128, 128), "return_dict": False}
    down, middle = control(picture, step, **given, **shown)
    residuals = {
        "down_block_additional_residuals": down,
        "mid_block_additional_residual": middle,
    }
    unet = full.random(partial(full.unet, 4), "meta").half()
    # One pool for all: the buffers of the largest graph. Beside it what each graph keeps.
    buffers = max(
        peak_mb(control, lambda network: network(picture, step, **given, **shown)),
        peak_mb(unet, lambda network: network(picture, step, **given, **residuals)),
    )
    newest = sum(one.numel() for one in (*down, middle)) * HALF / 2**20
    assert newest == pytest.approx(count * 51.3, abs=1)
    config = full.QWEN3_4B
    width = config["num_hidden_layers"] * config["num_key_value_heads"] * config["head_dim"]
    cache = 2 * width * LENGTH * HALF / 2**20
    assert cache == 144
    assert buffers + graphs._MOST_BYTES / 2**20 + newest + cache <= GRAPHS_MB


def test_klein_shares_transformer_text_encoder_and_vae() -> None:
    kinds: Any = diffusers
    transformer = partial(kinds.Flux2Transformer2DModel, **full.KLEIN_4B)
    found = sum(map(megabytes, (transformer, qwen3, kinds.AutoencoderKLFlux2)))
    names = ("klein-fill", "klein-scene", "klein-outpaint", "klein-faces", "klein-4b-edit")
    for name in (*names, "klein-refiner"):
        assert about(found, CARD[name].weights_mb)
        assert CARD[name].shared_mb == CARD[name].weights_mb


def test_klein_that_erases_has_lama_beside_it() -> None:
    card = CARD["klein-erase"]
    assert card.shared_mb == CARD["klein-fill"].shared_mb
    assert card.weights_mb - card.shared_mb == CARD["big-lama"].weights_mb


QWEN_TEXT: dict[str, Any] = {
    "vocab_size": 152_064,
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
    "tie_word_embeddings": False,
}
QWEN_VISION: dict[str, Any] = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "out_hidden_size": 3584,
}
"""Of Qwen2.5-VL-7B, the text encoder of Qwen-Image-Edit."""


def test_qwen_image_edit_shares_transformer_text_encoder_and_vae() -> None:
    kinds: Any = diffusers
    config = _KINDS.Qwen2_5_VLConfig(
        text_config=QWEN_TEXT, vision_config=QWEN_VISION, tie_word_embeddings=False
    )
    text_encoder = partial(_KINDS.Qwen2_5_VLForConditionalGeneration, config)
    transformer = partial(kinds.QwenImageTransformer2DModel, zero_cond_t=True)
    found = sum(map(megabytes, (transformer, text_encoder, kinds.AutoencoderKLQwenImage)))
    names = ("qwen-fill", "qwen-scene", "qwen-outpaint", "qwen-faces", "qwen-image-edit-2511")
    for name in (*names, "qwen-refiner"):
        assert about(found, CARD[name].weights_mb)
        assert CARD[name].shared_mb == CARD[name].weights_mb


def image_prompt() -> float:
    """MiB of an IP-Adapter of four words for SDXL, with its ViT-H."""
    network = full.random(partial(full.unet, 4), "meta")
    modules = dict(network.named_modules())
    wide = network.config.cross_attention_dim
    count = (4 * wide) * (full.VISION["projection_dim"] + 1) + 2 * wide
    for name in network.attn_processors:
        if "attn2" in name:
            count += 2 * wide * modules[name.removesuffix(".processor")].to_k.out_features
    vision = _KINDS.CLIPVisionConfig(**full.VISION)
    return count * HALF / 2**20 + megabytes(partial(_KINDS.CLIPVisionModelWithProjection, vision))


def test_the_cards_of_bria_share_their_base_and_add_networks_of_their_own(base: float) -> None:
    control = megabytes(full.controlnet)
    own = {
        "bria-fill": control,
        "bria-expand": control,
        "bria-erase": control + megabytes(full.lama_network, SINGLE),
        "bria-scene": control + image_prompt(),  # the UNet of slow scenes waits in main memory
    }
    for name, added in own.items():
        assert about(base, CARD[name].shared_mb)
        assert about(base + added, CARD[name].weights_mb)


def test_fibo_edit_tells_transformer_text_encoder_and_vae() -> None:
    kinds: Any = diffusers
    transformer = partial(
        kinds.BriaFiboTransformer2DModel, in_channels=48, num_layers=8, num_single_layers=38
    )
    text = partial(_KINDS.SmolLM3ForCausalLM, _KINDS.SmolLM3Config())
    vae = partial(
        kinds.AutoencoderKLWan,
        base_dim=160,
        decoder_base_dim=256,
        z_dim=48,
        temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 48,
        latents_std=[1.0] * 48,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
    )
    found = sum(map(megabytes, (transformer, text, vae)))
    assert about(found, CARD["fibo-edit-turbo"].weights_mb)


def test_every_card_for_a_gpu_is_counted() -> None:
    counted = Path(__file__).read_text()
    typed = [card.name for card in CARDS if card.needs_gpu and f'"{card.name}"' not in counted]
    assert typed == []
    assert {*NOT_COUNTED} <= CARD.keys()


@pytest.mark.parametrize("name", ["sd15-lcm-fill", "sd15-lcm-scene", "sd15-lcm-outpaint"])
def test_stable_diffusion_1_5_in_single_precision_with_its_lora(name: str) -> None:
    unet = partial(
        _DIFFUSERS.UNet2DConditionModel, sample_size=64, in_channels=9, cross_attention_dim=768
    )
    blocks = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2}
    vae = partial(
        _DIFFUSERS.AutoencoderKL,
        **blocks,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    text = partial(
        _KINDS.CLIPTextModel,
        _KINDS.CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12),
    )
    adapted = full.random(unet, "meta")
    adapted.add_adapter(LoraConfig(r=full.LORA_RANK, target_modules=full.LORA_TARGETS), "default")
    added = sum(one.numel() for one in get_peft_model_state_dict(adapted).values())
    found = sum(megabytes(build, SINGLE) for build in (unet, vae, text)) + SINGLE * added / 2**20
    assert about(found, CARD[name].weights_mb)
    assert CARD[name].shared_mb == CARD[name].weights_mb


def test_qwen_image_edit_in_half_precision() -> None:
    text = {
        **{"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28},
        **{"num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064},
    }
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584}
    config = _KINDS.Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    found = sum(
        map(
            megabytes,
            (
                _DIFFUSERS.QwenImageTransformer2DModel,
                partial(_KINDS.Qwen2_5_VLForConditionalGeneration, config),
                _DIFFUSERS.AutoencoderKLQwenImage,
            ),
        )
    )
    assert found <= CARD["qwen-image-edit-2511"].weights_mb <= 1.1 * found
