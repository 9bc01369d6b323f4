"""What the networks of SDXL, Stable Diffusion 1.5 and BRIA are fed for a photograph, against the published recipe.

One row for each card. The networks are tiny ones of the real classes, behind the card's own class.
"""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import transformers
from diffusers.models.autoencoders.vae import Encoder

from imaging.picture import Mask, Rgb
from tests.helpers.network_inputs import CLIP, PICTURES, assert_same, hole_of, normalised
from tests.helpers.plain_resampling import bicubic, resampled
from tests.helpers.recorder import watched
from tests.helpers.tiny_cards import (
    LATENT,
    SMALL,
    Row,
    call,
    grown,
    load,
    of_range,
    published,
    reduced,
    square_of,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
_KINDS: Any = transformers
_LEVEL = 1 / 127.5
_CLIP_LEVEL = 1 / 255 / 0.26
_EXACT = 0.01
"""Of a level, for pictures that are not resampled."""


def inpainting(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """huggingface/diffusers, pipelines/stable_diffusion(_xl)/pipeline_stable_diffusion(_xl)_inpaint.py, and
    runwayml/stable-diffusion, scripts/inpaint_st.py: nine channels: noise, the mask (1 in the hole, nearest
    neighbour), the latents of the picture in -1..1, which is 0 in the hole. SDXL also gets the sizes
    (height, width, 0, 0, height, width)."""
    encoded, passes = watched(patch, Encoder), watched(patch, diffusers.UNet2DConditionModel)
    hole = call(name, load(name, folder), rgb)
    assert 0 < hole.mean() < 1
    masked = of_range(rgb) * ~hole
    pictures = [picture for given in encoded for picture in given["sample"]]
    assert any(np.abs(picture - masked).max() < 1e-5 for picture in pictures)
    assert passes
    for given in passes:
        assert given["sample"].shape[1] == 9
        for mask in given["sample"][:, 4]:
            assert np.array_equal(mask, hole[::LATENT, ::LATENT])
        if name.startswith("sdxl"):
            size = rgb.shape[0], rgb.shape[1]
            for ids in given["added_cond_kwargs"]["time_ids"]:
                assert ids.tolist() == [*size, 0, 0, *size]


def scene_with_adapter(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """The inpainting network as above; tencent-ailab/IP-Adapter, ip_adapter/ip_adapter.py
    (CLIPImageProcessor() with its defaults) for the reference picture: the shorter side becomes the encoder's
    by the bicubic filter, the middle square, CLIP's figures. The tiny encoder has 32 pixels a side."""
    inpainting(name, folder, rgb, patch)
    seen = watched(patch, _KINDS.CLIPVisionModelWithProjection)
    reference = large_of(rgb)
    subject = hole_of(rgb).astype(np.float32)
    load(name, folder).scenes(rgb, subject, "", "", [1], reference=reference)
    height, width = reference.shape[:2]
    size = tuple(int(32 * side / min(height, width)) for side in (width, height))
    left, top = ((side - 32) // 2 for side in size)
    square = resampled(reference, size, bicubic, 2.0)[top : top + 32, left : left + 32]
    assert_same(seen[0]["pixel_values"][:1], normalised(square, CLIP), _CLIP_LEVEL)


def large_of(rgb: Rgb) -> Rgb:
    """Return the whole photograph of the same orientation."""
    return PICTURES["portrait" if rgb.shape[0] > rgb.shape[1] else "landscape"]


def assert_controls(controls: list[dict[str, Any]], mask: Mask) -> None:
    """Assert that each control is four channels of latents, then the mask by nearest neighbour."""
    assert controls
    for given in controls:
        for control in given["controlnet_cond"]:
            assert control.shape[0] == 5
            assert np.array_equal(control[4], mask[::LATENT, ::LATENT])


def bria_scene(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """briaai/BRIA-2.3-ControlNet-BG-Gen, replace_bg/utilities.py (get_control_image_tensor): the VAE gets the
    picture in -1..1, black where the mask is below 0.5; the control is its latents, then the mask, 1 on
    the subject, by nearest neighbour. The Space briaai/Multi-Image-Prompt squeezes a reference picture to the
    side of the encoder, here 32, without cutting; CLIP's figures."""
    encoded, controls = watched(patch, Encoder), watched(patch, diffusers.ControlNetModel)
    model = load(name, folder)
    around = call(name, model, rgb)
    black = np.where(around[..., None], 0, rgb)
    assert_same(encoded[0]["sample"], of_range(black), _LEVEL, most=_EXACT)
    assert_controls(controls, ~around)
    seen = watched(patch, _KINDS.CLIPVisionModelWithProjection)
    reference = large_of(rgb)
    model.scenes(rgb, hole_of(rgb).astype(np.float32), "", "", [1], reference=reference)
    fed = seen[0]["pixel_values"][:1]
    assert_same(fed, normalised(reduced(reference, fed), CLIP), _CLIP_LEVEL)


def bria_hole(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """docs/decisions/0035-bria-as-it-is-published.md, which has it from memory, not from a page: the hole is grey,
    127 for the fill and 128 for expansion, and the mask is 1 in it. It is grown by half a latent here."""
    encoded, controls = watched(patch, Encoder), watched(patch, diffusers.ControlNetModel)
    hole = grown(call(name, load(name, folder), rgb), LATENT // 2)
    grey = np.where(hole[..., None], 128 if name == "bria-expand" else 127, rgb)
    assert_same(encoded[0]["sample"], of_range(grey), _LEVEL, most=_EXACT)
    known = of_range(rgb)[..., ~hole]
    for given in encoded:
        assert np.abs(given["sample"][..., ~hole] - known).max() < _EXACT * _LEVEL
    assert_controls(controls, hole)


def bria_erase(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """docs/decisions/0035-bria-as-it-is-published.md: the mask is 1 in the hole (published), grown by half a
    latent at the size of the model, here 64 x 64; that the control is LaMa's fill is a judgement."""
    model, (picture, hole) = load(name, folder), square_of(rgb)
    coarse = model._lama.fill(picture, hole)
    encoded, controls = watched(patch, Encoder), watched(patch, diffusers.ControlNetModel)
    model.fill(picture, hole)
    for given in encoded:
        assert given["sample"].shape == (1, 3, 64, 64)
        expected = of_range(reduced(coarse, given["sample"]))
        assert_same(given["sample"], expected, _LEVEL, most=_EXACT)
    touched = np.asarray(hole.reshape(64, 2, 64, 2).any(axis=(1, 3)))
    assert_controls(controls, grown(touched, LATENT // 2))


ROWS: dict[str, Row] = {
    "sdxl-fill": inpainting,
    "sdxl-fill-fast": inpainting,
    "sdxl-scene": scene_with_adapter,
    "sdxl-scene-fast": scene_with_adapter,
    "sdxl-outpaint": inpainting,
    "sdxl-outpaint-fast": inpainting,
    "sdxl-faces": inpainting,
    "sdxl-faces-fast": inpainting,
    "sd15-lcm-fill": inpainting,
    "sd15-lcm-scene": inpainting,
    "sd15-lcm-outpaint": inpainting,
    "bria-scene": bria_scene,
    "bria-fill": bria_hole,
    "bria-expand": bria_hole,
    "bria-erase": bria_erase,
}


def test_every_card_with_a_pipeline_has_a_row() -> None:
    assert published(editors=False) == set(ROWS)


@pytest.mark.parametrize("shape", SMALL)
@pytest.mark.parametrize("name", ROWS)
def test_networks_are_fed_what_their_publisher_says(
    name: str, shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = SMALL[shape]
    before = rgb.copy()
    ROWS[name](name, tmp_path, rgb, monkeypatch)
    assert np.array_equal(rgb, before)
