"""What models that edit by words are fed for a photograph, in all their roles, against the published recipe.

One row for each card. The networks are tiny ones of the real classes, behind the card's own class.
"""

import json
import re
from pathlib import Path
from typing import Any

import cv2
import diffusers
import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import QwenImageEncoder3d
from diffusers.models.autoencoders.autoencoder_kl_wan import WanEncoder3d
from diffusers.models.autoencoders.vae import Encoder
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionTransformerPretrainedModel,
)

from imaging.picture import Rgb
from models import roles
from models.catalog import repositories
from models.tiny import klein
from tests.helpers.network_inputs import CLIP, PICTURES, Array, assert_same, hole_of, normalised
from tests.helpers.plain_resampling import bicubic, resampled
from tests.helpers.recorder import watched
from tests.helpers.tiny_cards import (
    CARD,
    SMALL,
    Row,
    call,
    load,
    of_range,
    published,
    reduced,
    square_of,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
_LEVEL = 1 / 127.5
_EXACT = 0.01
"""Of a level, for pictures that are not resampled."""
_GREY = 128


def klein_edit(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """black-forest-labs/flux2, src/flux2/sampling.py (pictures in -1..1, sides that are multiples of 16; at most
    about one megapixel) and src/flux2/autoencoder.py (2 x 2 latents become channels, in the order channel,
    row, column, and are normalised by the running figures of the batch normalisation)."""
    repository = folder / repositories.KLEIN.name
    klein.make_tiny(repository)
    file = repository / "vae" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    state["bn.running_mean"] = torch.linspace(-1, 1, len(state["bn.running_mean"]))
    state["bn.running_var"] = torch.linspace(0.5, 2, len(state["bn.running_var"]))
    save_file(state, file, {"format": "pt"})
    model = load(name, folder)
    encoded, passes = watched(patch, Encoder), watched(patch, diffusers.Flux2Transformer2DModel)
    model.edit([PICTURES["portrait"]], "make it red", "", [7], (96, 64))
    (given,) = encoded
    fed = given["sample"]
    assert all(side % 16 == 0 for side in fed.shape[2:])
    expected = of_range(reduced(PICTURES["portrait"], fed))
    assert_same(fed, expected, _LEVEL, most=1.01)
    kind: Any = diffusers.AutoencoderKLFlux2
    vae = kind.from_pretrained(repository / "vae")
    with torch.no_grad():
        latents = vae.encode(torch.from_numpy(fed)).latent_dist.mode().numpy()[0]
    channels, high, wide = latents.shape
    blocks = latents.reshape(channels, high // 2, 2, wide // 2, 2).transpose(0, 2, 4, 1, 3)
    tokens = blocks.reshape(4 * channels, -1).T
    mean, variance = (state[f"bn.running_{figure}"].numpy() for figure in ("mean", "var"))
    normal = (tokens - mean) / np.sqrt(variance + vae.config.batch_norm_eps)
    assert np.allclose(passes[0]["hidden_states"][0, -len(normal) :], normal, atol=1e-4)


def assert_around(name: str, pictures: list[Array], rgb: Rgb, where: Array) -> None:
    """Assert that pictures are the photograph outside the hole, and none of its old pixels inside."""
    assert pictures
    role, own = CARD[name].role, of_range(rgb)
    for picture in pictures:
        assert np.abs(picture - own)[..., ~where].max() < _EXACT * _LEVEL
        inside = picture[..., where]
        if role is roles.SCENE_GENERATION:
            assert np.abs(inside - (_GREY / 127.5 - 1)).max() < _EXACT * _LEVEL
        elif role is roles.FACE_EDITING:
            assert np.abs(inside - own[..., where]).max() < _EXACT * _LEVEL
        else:
            assert np.abs(inside - own[..., where]).mean() > _LEVEL


def klein_hole(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """As klein_edit: -1..1, at the size of the result. A hole is blurred, the background of a scene grey; a face
    is seen as it is. docs/decisions/0033-editing-models-in-every-role.md: this is not published, but ours."""
    encoded = watched(patch, Encoder)
    where = call(name, load(name, folder), rgb)
    assert_around(name, [given["sample"] for given in encoded], rgb, where)


def klein_erase(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """As klein_edit, of LaMa's fill at the size of the model."""
    model, (picture, hole) = load(name, folder), square_of(rgb)
    coarse = model._lama.fill(picture, hole)
    encoded = watched(patch, Encoder)
    model.fill(picture, hole)
    assert encoded
    for given in encoded:
        fed = given["sample"]
        assert_same(fed, of_range(reduced(coarse, fed)), _LEVEL, most=_EXACT)


def qwen_edit(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """huggingface/diffusers, pipelines/qwenimage/pipeline_qwenimage_edit_plus.py: the VAE gets each picture in
    -1..1 at an area of one megapixel (here 64 x 64), the text encoder at one of 384 x 384, in multiples of 32;
    Qwen/Qwen2.5-VL, preprocessor_config.json: patches of 14 x 14 pixels, each twice (in time), CLIP's
    figures, in groups of 2 x 2."""
    encoded = watched(patch, QwenImageEncoder3d)
    looked = watched(patch, Qwen2_5_VisionTransformerPretrainedModel)
    load(name, folder).edit([rgb], "make it red", "", [7], (64, 64), effort=0.05)
    (given,) = encoded
    fed = given["x"]
    assert fed.shape[:3] == (1, 3, 1)
    first = within(rgb, 64 * 64)
    height, width = first.shape[:2]

    def area(side: int) -> tuple[int, int]:
        wide = (side * side * width / height) ** 0.5
        return round(wide / 32) * 32, round(wide * height / width / 32) * 32

    lanczos = Image.Resampling.LANCZOS
    vae = np.asarray(Image.fromarray(first).resize(area(64), lanczos))
    assert_same(fed[:, :, 0], of_range(vae), _LEVEL, most=_EXACT)
    patches, (_, high, wide) = looked[0]["hidden_states"], looked[0]["grid_thw"][0].astype(int)
    grouped = patches.reshape(high // 2, wide // 2, 2, 2, 3, 2, 14, 14)
    assert np.array_equal(grouped[..., 0, :, :], grouped[..., 1, :, :])
    planes = grouped[:, :, :, :, :, 0].transpose(4, 0, 2, 5, 1, 3, 6)
    picture = planes.reshape(1, 3, 14 * high, 14 * wide)
    middle = np.asarray(Image.fromarray(first).resize(area(384), lanczos))
    expected = resampled(middle, (14 * wide, 14 * high), bicubic, 2.0)
    # Rounded after each of two passes, by fixed-point weights: two levels in one value of 50,000.
    assert_same(picture, normalised(expected, CLIP), 1 / 255 / 0.26, most=2.01)


def within(rgb: Rgb, area: int) -> Rgb:
    """Return a picture averaged to at most an area, in multiples of 16 pixels."""
    height, width = rgb.shape[:2]
    factor = min(1.0, (area / (width * height)) ** 0.5)
    size = int(width * factor) // 16 * 16, int(height * factor) // 16 * 16
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def qwen_hole(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """As qwen_edit for the picture to be looked at, and the picture at its own size, from which the hole is
    made. What is in the hole: see klein_hole."""
    patch.setattr("models.backends.diffusion.qwen_edit._STEPS", 2)
    encoded = watched(patch, QwenImageEncoder3d)
    where = call(name, load(name, folder), rgb)
    pictures = [given["x"][:, :, 0] for given in encoded]
    own = [picture for picture in pictures if picture.shape[2:] == rgb.shape[:2]]
    assert_around(name, own, rgb, where)
    (seen,) = {picture.shape for picture in pictures} - {(1, 3, *rgb.shape[:2])}
    assert all(side % 32 == 0 for side in seen[2:])


def fibo(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """huggingface/diffusers, pipelines/bria_fibo/pipeline_bria_fibo_edit.py: a JSON object with an
    edit_instruction; paste_mask_on_image: the hole is grey, 128. AutoencoderKLWan with patch_size 2 (patchify):
    -1..1, 2 x 2 pixels become channels, in the order channel, column, row."""
    model, hole = load(name, folder), hole_of(rgb)
    encoded = watched(patch, WanEncoder3d)
    asked: list[str] = []
    encode = diffusers.BriaFiboEditPipeline.encode_prompt

    def heard(self: Any, *args: Any, **named: Any) -> Any:
        asked.append(named["prompt"] if "prompt" in named else args[0])
        return encode(self, *args, **named)

    patch.setattr(diffusers.BriaFiboEditPipeline, "encode_prompt", heard)
    model.edit([rgb], "make it red", "", [7], (rgb.shape[1], rgb.shape[0]), hole=hole)
    (given,) = encoded
    blocks = given["x"][0, :, 0]
    high, wide = blocks.shape[1:]
    planes = blocks.reshape(3, 2, 2, high, wide).transpose(0, 3, 2, 4, 1)
    picture = planes.reshape(1, 3, 2 * high, 2 * wide)
    expected = of_range(np.where(hole[..., None], _GREY, rgb))
    assert_same(picture, expected, _LEVEL, most=_EXACT)
    assert json.loads(np.ravel(np.array(asked[0]))[0]) == {"edit_instruction": "make it red"}


def refiner(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """Qwen/Qwen3-4B and Qwen/Qwen2.5-VL-7B-Instruct, tokenizer_config.json (chat_template): a turn of the system,
    one of the user, the start of the answer, without thoughts. It reads words, no picture."""
    model = load(name, folder)
    network, tokenizer = model._pipeline.language_model
    seen = watched(patch, type(network))
    model.refine("a red kite", "a cat on a sofa")
    text = tokenizer.decode(seen[0]["input_ids"][0].astype(int))
    start, end = re.escape("<|im_start|>"), re.escape("<|im_end|>\n")
    thoughts = r"(?:<think>\n\n</think>\n\n)?"
    turns = rf"{start}system\n(.+){end}{start}user\n(.+){end}{start}assistant\n{thoughts}"
    found = re.fullmatch(turns, text, re.DOTALL)
    assert found, text
    assert "<|im" not in found[1] + found[2]
    assert "a red kite" in found[2]
    assert "a cat on a sofa" in found[2]


ROWS: dict[str, Row] = {
    "klein-4b-edit": klein_edit,
    "klein-fill": klein_hole,
    "klein-scene": klein_hole,
    "klein-outpaint": klein_hole,
    "klein-faces": klein_hole,
    "klein-erase": klein_erase,
    "klein-refiner": refiner,
    "qwen-image-edit-2511": qwen_edit,
    "qwen-fill": qwen_hole,
    "qwen-scene": qwen_hole,
    "qwen-outpaint": qwen_hole,
    "qwen-faces": qwen_hole,
    "qwen-refiner": refiner,
    "fibo-edit-turbo": fibo,
}


def test_every_card_that_edits_by_words_has_a_row() -> None:
    assert published(editors=True) == set(ROWS)


@pytest.mark.parametrize("shape", SMALL)
@pytest.mark.parametrize("name", ROWS)
def test_networks_are_fed_what_their_publisher_says(
    name: str, shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = SMALL[shape]
    before = rgb.copy()
    ROWS[name](name, tmp_path, rgb, monkeypatch)
    assert np.array_equal(rgb, before)
