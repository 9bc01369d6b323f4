"""What the network of each card with torch is fed for two photographs, against its publisher's transform.

One row for each card; those of pipelines are in test_diffusion_inputs.py and test_editing_inputs.py. The
networks are tiny ones of the real classes, behind the card's own class and with the published preprocessing
files; the transforms are written here from what the publishers' repositories say, each named in its row.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import transformers
from safetensors.torch import save_file
from segment_anything.modeling import ImageEncoderViT, PromptEncoder
from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet
from transformers.models.blip.modeling_blip import BlipVisionModel
from transformers.models.sam2.modeling_sam2 import Sam2PromptEncoder, Sam2VisionModel
from transformers.models.timm_wrapper.modeling_timm_wrapper import (
    TimmWrapperForImageClassification,
)

from imaging.picture import Rgb
from models.backends.torch.lama import TinyLama
from models.catalog.card import by_name
from models.catalog.cards import tiny
from models.catalog.registry import CARDS
from models.device import DeviceConfig
from models.tiny import birefnet, captioner, lama, nsfw, refiner, sam, sam2
from tests.helpers.network_inputs import (
    CLIP,
    HALF,
    IMAGENET,
    PICTURES,
    assert_same,
    assert_tiles,
    hole_of,
    normalised,
)
from tests.helpers.plain_resampling import bicubic, bilinear, resampled
from tests.helpers.recorder import recorded, watched

CARD = by_name(CARDS)
Row = Callable[[str, Path, Rgb, pytest.MonkeyPatch], None]
"""Checks one card, by name: makes tiny files in a folder, loads the card, calls it and looks at what was fed."""

_LEVEL = 1 / 255 / 0.225
"""About one level, where ImageNet's figures normalise."""
_CLIP_LEVEL = 1 / 255 / 0.26
_KINDS: Any = transformers


def load(name: str, path: Path, **options: Any) -> Any:
    options |= dict(CARD[name].options)
    return CARD[name]._backend_class().load([path], DeviceConfig(), **options)


def edit(file: Path, **changes: object) -> None:
    before = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**before, **changes}))


def matting(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """Model cards of ZhengPeng7/BiRefNet and briaai/RMBG-2.0: torchvision's Resize of a Pillow picture to
    1024 x 1024 (bilinear), ToTensor, Normalize with ImageNet's figures; ZhengPeng7/BiRefNet_HR-matting: the
    same, 2048 x 2048."""
    cache = str(folder / "modules")
    patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", cache)
    birefnet.make_tiny(folder / "net")
    (folder / "net" / "preprocessor_config.json").unlink()  # BiRefNet's repository has none
    model = load(name, folder / "net")
    with model._module.on_device() as network, recorded(network) as calls:
        model.matte(rgb)
    side = 2048 if name == "birefnet-hr-matting" else 1024
    small = resampled(rgb, side, bilinear, 1.0)
    assert_same(calls[0]["0"].numpy(), normalised(small, IMAGENET), _LEVEL)


def big_lama(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """Sanster/IOPaint, iopaint/model/lama.py and iopaint/helper.py (pad_img_to_modulo, norm_img), whose archive
    it is: RGB in 0..1, an integer mask that is 1 in the hole, both mirrored (np.pad, symmetric) to
    multiples of 8. The archive itself hides the hole."""
    lama.make_tiny(folder)
    assert issubclass(
        TinyLama, CARD[name]._backend_class()
    )  # which runs only the published archive
    model = TinyLama.load([folder], DeviceConfig())
    part = np.ascontiguousarray(rgb[:201, :221])  # so small that the network sees all of it
    hole = hole_of(part)
    with model._module.on_device() as network, recorded(network) as calls:
        model.fill(part, hole)
    (call,) = calls
    height, width = part.shape[:2]
    pad = ((0, -height % 8), (0, -width % 8))
    picture = np.pad(part, (*pad, (0, 0)), mode="symmetric") / 255
    assert_same(call["0"].numpy(), picture.transpose(2, 0, 1)[None], 1 / 255, most=0.01)
    assert call["1"].dtype == torch.int64
    assert np.array_equal(call["1"][0, 0].numpy(), np.pad(hole, pad, mode="symmetric"))


def realesrgan(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """xinntao/Real-ESRGAN, realesrgan/utils.py (enhance, pre_process, tile_process): RGB in 0..1, tiles with
    mirrored margins. The network of x2plus itself turns 2 x 2 pixels into channels
    (xinntao/BasicSR, basicsr/archs/rrdbnet_arch.py)."""
    files = []
    for scale in (2, 4):
        if f"x{6 - scale}" in name:
            continue  # a card of one network, the other one
        options: dict[str, Any] = {"shuffle_factor": 2} if scale == 2 else {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = RRDBNet(num_filters=8, num_blocks=1, scale=scale, **options)
        files.append(folder / f"x{scale}.safetensors")
        save_file(network.state_dict(), files[-1])
    model = CARD[name]._backend_class().load(files, DeviceConfig())
    seen = watched(patch, RRDBNet)
    model.upscale(rgb, 2)
    tiles = [picture for call in seen for picture in next(iter(call.values()))]
    assert_tiles(tiles, rgb, 32, 1 / 255)


def segment_anything(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """facebookresearch/segment-anything: utils/transforms.py (the longer side becomes the network's, Pillow's
    bilinear filter), modeling/sam.py (0..255, minus the mean, divided by the deviation, then padded with 0
    below and on the right), automatic_mask_generator.py and utils/amg.py (one foreground point in the
    centre of each of n x n cells, here 8 x 8), modeling/prompt_encoder.py (with a padding point)."""
    sam.make_tiny(folder)
    pictures, prompts = watched(patch, ImageEncoderViT), watched(patch, PromptEncoder)
    load(name, folder / "tiny-sam.safetensors", points=8).segment(rgb)
    height, width = rgb.shape[:2]
    scale = 256 / max(height, width)
    wide, high = int(width * scale + 0.5), int(height * scale + 0.5)
    small = resampled(rgb, (wide, high), bilinear, 1.0)
    mean, deviation = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    expected = np.zeros((1, 3, 256, 256))
    expected[0, :, :high, :wide] = ((small - mean) / deviation).transpose(2, 0, 1)
    assert_same(pictures[0]["x"], expected, 1 / 57)
    points = [
        (x, y, label)
        for call in prompts
        for (x, y), label in zip(
            call["points"][0].reshape(-1, 2).tolist(),
            call["points"][1].ravel().tolist(),
            strict=True,
        )
    ]
    assert_grid(points, 8, wide, high)


def sam2_large(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """facebookresearch/sam2, sam2/utils/transforms.py: squeezed to a square with torchvision's bilinear
    Resize, ImageNet's figures; points are shares of the picture's own sides, times the square's;
    facebook/sam2.1-hiera-large, preprocessor_config.json. Points as in Segment Anything."""
    sam2.make_tiny(folder)
    pictures, prompts = watched(patch, Sam2VisionModel), watched(patch, Sam2PromptEncoder)
    load(name, folder, points=8).segment(rgb)
    small = resampled(rgb, 128, bilinear, 1.0)
    assert_same(pictures[0]["pixel_values"], normalised(small, IMAGENET), _LEVEL, most=1.5)
    points = [
        (x, y, label)
        for call in prompts
        for (x, y), label in zip(
            call["input_points"].reshape(-1, 2).tolist(),
            call["input_labels"].ravel().tolist(),
            strict=True,
        )
    ]
    assert_grid(points, 8, 128, 128)


def assert_grid(
    points: list[tuple[float, float, float]], count: int, wide: float, high: float
) -> None:
    """Assert that the points are the centres of count x count cells of wide x high pixels, all foreground."""
    cells = (np.arange(count) + 0.5) / count
    expected = sorted((x * wide, y * high, 1.0) for x in cells for y in cells)
    # The package rounds the points of the full picture to its own pixels first.
    assert len(points) == count**2
    assert np.abs(np.array(sorted(points)) - expected).max() < 0.01


def freepik(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """Freepik/nsfw_image_detector, config.json (timm_wrapper; pretrained_cfg as that of
    timm/eva02_base_patch14_448.mim_in22k_ft_in22k_in1k): squeezed to 448 x 448 with Pillow's bicubic filter,
    CLIP's figures. The tiny network has 28 pixels a side."""
    published = timm.get_pretrained_cfg("eva02_base_patch14_448.mim_in22k_ft_in22k_in1k")
    given = {**published.to_dict(), "input_size": (3, 28, 28), "num_classes": 4}
    sizes = {"img_size": 28, "embed_dim": 24, "depth": 1, "num_heads": 2, "ref_feat_shape": (2, 2)}
    config = _KINDS.TimmWrapperConfig(
        architecture="eva02_base_patch14_448",
        pretrained_cfg=given,
        model_args=sizes,
        num_labels=4,
        id2label=dict(enumerate(("neutral", "low", "medium", "high"))),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        TimmWrapperForImageClassification(config).save_pretrained(folder)
    seen = watched(patch, TimmWrapperForImageClassification)
    load(name, folder).score(rgb)
    small = resampled(rgb, 28, bicubic, 2.0)
    assert_same(seen[0]["pixel_values"], normalised(small, CLIP), _CLIP_LEVEL)


def falconsai(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """Falconsai/nsfw_image_detection, preprocessor_config.json: 224 x 224, resample 2 (bilinear), 1/255, mean
    and deviation 0.5. The tiny network has 32 pixels a side."""
    nsfw.make_tiny(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "do_normalize": True,
                "do_rescale": True,
                "do_resize": True,
                "image_mean": [0.5, 0.5, 0.5],
                "image_processor_type": "ViTImageProcessor",
                "image_std": [0.5, 0.5, 0.5],
                "resample": 2,
                "rescale_factor": 1 / 255,
                "size": {"height": 32, "width": 32},
            }
        )
    )
    seen = watched(patch, _KINDS.ViTForImageClassification)
    load(name, folder).score(rgb)
    small = resampled(rgb, 32, bilinear, 1.0)
    assert_same(seen[0]["pixel_values"], normalised(small, HALF), 1 / 127.5)


def blip(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """Salesforce/blip-image-captioning-large, preprocessor_config.json: 384 x 384, resample 3 (bicubic), 1/255,
    CLIP's figures. The tiny network has 32 pixels a side."""
    captioner.make_tiny(folder)
    edit(
        folder / "preprocessor_config.json",
        do_resize=True,
        do_rescale=True,
        do_normalize=True,
        image_mean=CLIP[0],
        image_std=CLIP[1],
        image_processor_type="BlipImageProcessor",
        resample=3,
        size={"height": 32, "width": 32},
    )
    seen = watched(patch, BlipVisionModel)
    load(name, folder).caption(rgb)
    small = resampled(rgb, 32, bicubic, 2.0)
    assert_same(seen[0]["pixel_values"], normalised(small, CLIP), _CLIP_LEVEL)


def qwen3(name: str, folder: Path, rgb: Rgb, patch: pytest.MonkeyPatch) -> None:
    """Qwen/Qwen3-4B-Instruct-2507, tokenizer_config.json (chat_template): a turn of the system, one of the user,
    the start of the answer, which has no thoughts. It reads words, no picture."""
    refiner.make_tiny(folder)
    seen = watched(patch, _KINDS.Qwen2ForCausalLM)
    model = load(name, folder)
    model.refine("a red kite", "a cat on a sofa")
    text = model._tokenizer.decode(seen[0]["input_ids"][0].astype(int))
    start, end = re.escape("<|im_start|>"), re.escape("<|im_end|>\n")
    turns = rf"{start}system\n(.+){end}{start}user\n(.+){end}{start}assistant\n"
    found = re.fullmatch(turns, text, re.DOTALL)
    assert found
    assert "<|im" not in found[1] + found[2]
    assert "a red kite" in found[2]
    assert "a cat on a sofa" in found[2]


ROWS: dict[str, Row] = {
    "birefnet": matting,
    "birefnet-hr-matting": matting,
    "rmbg-2": matting,
    "big-lama": big_lama,
    "realesrgan-torch": realesrgan,
    "realesrgan-x2plus-torch": realesrgan,
    "realesrgan-x4plus-torch": realesrgan,
    "sam-vit-huge": segment_anything,
    "sam2-large": sam2_large,
    "freepik-nsfw": freepik,
    "falconsai-nsfw": falconsai,
    "blip-large": blip,
    "qwen3-4b": qwen3,
}


def test_every_card_with_a_network_has_a_row() -> None:
    made_here = {card.name for card in tiny.CARDS}
    cards = [card for card in CARDS if card.torch and card.name not in made_here]
    pipelines = {
        card.name for card in cards if card.backend.startswith("models.backends.diffusion.")
    }
    assert {card.name for card in cards} - pipelines == set(ROWS)


@pytest.mark.parametrize("shape", PICTURES)
@pytest.mark.parametrize("name", ROWS)
def test_a_network_is_fed_what_its_publisher_says(
    name: str, shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = PICTURES[shape]
    before = rgb.copy()
    ROWS[name](name, tmp_path, rgb, monkeypatch)
    assert np.array_equal(rgb, before)
