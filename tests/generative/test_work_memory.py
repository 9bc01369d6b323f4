"""The memory that cards tell of for a call has room for all results of a request.

It is counted without any memory, on torch's meta device.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import diffusers
import pytest
import torch
from torch import nn

from models.backends.diffusion import klein, qwen_edit
from models.backends.diffusion.latent_control import _BATCH
from models.backends.diffusion.micro_batches import MicroBatches
from models.catalog.card import by_name
from models.catalog.registry import CARDS
from models.roles import MAX_PICTURES
from scripts.gpu_benchmark import networks as full
from server.v1.product_lifestyle_fields import MAX_RESULTS
from tests.helpers.peak_memory import peak_mb

CARD = by_name(CARDS)
_KINDS: Any = diffusers
RESULTS = MAX_RESULTS
"""The most that a request has."""
PICTURES_MB = RESULTS * 3 * 1024 * 1024 * (2 + 4) / 2**20
"""All results as the VAE makes them, and in single precision."""
ADDED = 1793 / 1538
"""What the allocator of a GPU added to what is counted for a VAE's decoder; see `test_card_memory`."""
TOKENS = 64 * 64
"""Of a picture of 1024 x 1024."""
half = partial(torch.empty, dtype=torch.float16, device="meta")
bfloat = partial(torch.empty, dtype=torch.bfloat16, device="meta")


class _Controlled(nn.Module):
    """A UNet that a ControlNet tells what to make, as BRIA's roles call the two."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = full.random(partial(full.unet, 4), "meta").half()
        self.controlnet = full.random(full.controlnet, "meta").half()
        for layer in self.controlnet.controlnet_cond_embedding.blocks:
            layer.stride = (1, 1)

    def forward(self, rows: int) -> Any:
        """Make one step for some latents."""
        given = {
            "encoder_hidden_states": half(rows, 77, 2048),
            "added_cond_kwargs": {"text_embeds": half(rows, 1280), "time_ids": half(rows, 6)},
            "return_dict": False,
        }
        latents, time = half(rows, 4, 128, 128), torch.empty((), device="meta")
        down, middle = self.controlnet(
            latents,
            time,
            controlnet_cond=half(rows, 5, 128, 128),
            conditioning_scale=1.0,
            **given,
        )
        return self.unet(
            latents,
            time,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            **given,
        )


def test_bria_has_room_for_a_batch_with_guidance() -> None:
    found = peak_mb(_Controlled(), lambda network: network(2 * _BATCH))
    assert 1700 < found < 1750  # docs/decisions/0036-one-call-for-all-results.md
    vae = full.random(full.vae, "meta").half()
    decoder = peak_mb(vae, lambda network: network.decode(half(1, 4, 128, 128)))
    for name in ("bria-scene", "bria-fill", "bria-expand", "bria-erase"):
        assert ADDED * max(found, decoder) + PICTURES_MB <= CARD[name].work_mb, name


def _all_rows(network: Any, by_row: Iterable[str], **inputs: Any) -> Any:
    return MicroBatches(network, by_row)(**inputs)


@pytest.fixture(scope="module")
def klein_4b() -> Any:
    # One layer of each kind: the others need the same memory again.
    config = {**full.KLEIN_4B, "num_layers": 1, "num_single_layers": 1}
    return full.random(partial(_KINDS.Flux2Transformer2DModel, **config), "meta").bfloat16()


@pytest.mark.parametrize(
    ("names", "seen", "results"),
    [
        (("klein-fill", "klein-outpaint", "klein-faces", "klein-erase"), 1, 4),
        (("klein-scene",), 2, RESULTS),
        (("klein-4b-edit",), MAX_PICTURES, 4),
    ],
)
def test_klein_has_room_for_all_results_and_the_pictures_that_it_sees(
    klein_4b: Any, names: tuple[str, ...], seen: int, results: int
) -> None:
    places = bfloat(results, (1 + seen) * TOKENS, 4)

    def call(network: Any) -> Any:
        words = [bfloat(results, 512, network.config.joint_attention_dim) for _ in range(2)]
        return _all_rows(
            network,
            klein._BY_ROW,
            hidden_states=bfloat(results, (1 + seen) * TOKENS, network.config.in_channels),
            encoder_hidden_states=words[0],  # the other ones are those of a negative prompt
            timestep=bfloat(results),
            img_ids=places,
            txt_ids=places[:, :512],
            guidance=None,
            return_dict=False,
        )

    found = peak_mb(klein_4b, call)
    for name in names:
        assert found <= CARD[name].work_mb, name


def test_kleins_vae_makes_one_picture_after_the_other() -> None:
    vae = full.random(_KINDS.AutoencoderKLFlux2, "meta").bfloat16()
    vae.enable_slicing()
    found = peak_mb(vae, lambda network: network.decode(bfloat(RESULTS, 32, 128, 128)))
    for name, card in CARD.items():
        if name.startswith("klein-") and name != "klein-refiner":
            assert ADDED * found + PICTURES_MB <= card.work_mb, name


def test_qwen_image_edit_has_room_for_all_results() -> None:
    vae = full.random(_KINDS.AutoencoderKLQwenImage, "meta").bfloat16()
    vae.enable_slicing()
    decoder = peak_mb(vae, lambda network: network.decode(bfloat(RESULTS, 16, 1, 128, 128)))
    kind = partial(_KINDS.QwenImageTransformer2DModel, zero_cond_t=True, num_layers=1)
    network = full.random(kind, "meta").bfloat16()
    words = 1024 + 64 + MAX_PICTURES * 196

    def call(network: Any) -> Any:
        texts = [bfloat(RESULTS, words, network.config.joint_attention_dim) for _ in range(2)]
        return _all_rows(
            network,
            qwen_edit._BY_ROW,
            hidden_states=bfloat(RESULTS, (1 + MAX_PICTURES) * TOKENS, 64),
            encoder_hidden_states=texts[0],  # the other ones are those of the negative prompt
            encoder_hidden_states_mask=None,
            timestep=bfloat(RESULTS),
            img_shapes=[[(1, 64, 64)] * (1 + MAX_PICTURES)],
            guidance=None,
            return_dict=False,
        )

    found = max(peak_mb(network, call), decoder + PICTURES_MB)
    for name, card in CARD.items():
        if name.startswith("qwen-") and name != "qwen-refiner":
            assert found <= card.work_mb, name
