"""Qwen-Image-Edit: tiny random weights of the real classes, loaded and run by the recipe of the real ones."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers.pre_tokenizers import ByteLevel

from imaging.picture import Mask, Rgb
from models.backends.diffusion.qwen_edit import QwenEdit
from models.deadline import Deadline, deadline_scope
from models.device import DeviceConfig
from models.errors import BadWeightsError, CallerDisconnectedError
from models.role_calls import retry_edit
from models.tiny.qwen_edit import make_tiny
from tests.helpers.recorder import recorded

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CPU = DeviceConfig()
SIZE = 64, 64
RED = "make it red"
FEW = 0.1
"""A tenth of the model's steps, which the tests do not need."""
EDIT = (
    "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, texture, "
    "objects, background), then explain how the user's text instruction should alter or modify the "
    "image. Generate a new image that meets the user's requirements while maintaining consistency "
    "with the original input where appropriate.<|im_end|>\n<|im_start|>user\n"
)
NEW = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, "
    "text, spatial relationships of the objects and background:<|im_end|>\n<|im_start|>user\n"
)
"""The published templates for an edit and for a new picture, up to the user's words."""
END = "<|im_end|>\n<|im_start|>assistant\n"


def noise(seed: int, height: int = 64, width: int = 64) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


FIRST, SECOND = noise(0), noise(1)
HOLE = np.pad(np.ones((32, 16), np.bool_), ((16, 16), (16, 32)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qwen")
    make_tiny(folder)
    return folder


@pytest.fixture(scope="module")
def qwen(folder: Path) -> QwenEdit:
    return QwenEdit.load([folder], CPU, side=64)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny repository that a test may damage."""
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


def edit(
    model: QwenEdit,
    pictures: list[Rgb],
    words: str = RED,
    negative: str = "",
    seed: int = 7,
    hole: Mask | None = None,
    **options: Any,
) -> Rgb:
    """Edit with few steps."""
    options = {"effort": FEW, **options}
    (made,) = model.edit(pictures, words, negative, [seed], SIZE, hole=hole, **options)
    return made


def difference(one: Rgb, other: Rgb) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize(("count", "hole"), [(0, None), (1, None), (1, HOLE), (4, None), (4, HOLE)])
def test_a_request_repeats_bit_for_bit(qwen: QwenEdit, count: int, hole: Mask | None) -> None:
    pictures = [FIRST, SECOND, noise(2, 40, 100), noise(3, 300, 200)][:count]
    one, other = (edit(qwen, pictures, hole=hole) for _ in range(2))
    assert np.array_equal(one, other)
    assert one.shape == (64, 64, 3)
    assert one.dtype == np.uint8


@pytest.mark.parametrize(("count", "hole"), [(0, None), (1, None), (1, HOLE)])
def test_words_seed_and_negative_words_each_have_an_effect(
    qwen: QwenEdit, count: int, hole: Mask | None
) -> None:
    pictures = [FIRST][:count]
    make = partial(edit, qwen, pictures, hole=hole, effort=0.25)
    base = make()
    for words, negative, seed in (("make it blue", "", 7), (RED, "", 8), (RED, "ugly", 7)):
        assert difference(base, make(words, negative, seed)) > 2
    assert difference(base, make(guidance=0.5)) > 2


@pytest.mark.parametrize("hole", [None, HOLE])
def test_every_picture_and_their_order_have_an_effect(qwen: QwenEdit, hole: Mask | None) -> None:
    third = noise(2, 48, 80)
    base = edit(qwen, [FIRST, SECOND, third], hole=hole)
    for pictures in ([FIRST, third, SECOND], [FIRST, SECOND], [SECOND, FIRST, third]):
        assert difference(base, edit(qwen, pictures, hole=hole)) > 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 2), (1500, 2000)])
def test_pictures_of_any_size_are_read(qwen: QwenEdit, shape: tuple[int, int]) -> None:
    assert edit(qwen, [noise(1, *shape)]).shape == (64, 64, 3)


def test_what_the_role_forbids_is_refused(qwen: QwenEdit) -> None:
    with pytest.raises(ValueError, match="5 pictures"):
        edit(qwen, [FIRST] * 5)
    with pytest.raises(ValueError, match="hole"):
        edit(qwen, [noise(0, 64, 80)], hole=HOLE)


def ids_of(text: str) -> list[int]:
    """Return the tiny tokenizer's ids of a text with special tokens, by its vocabulary alone."""
    numbers = {token: number for number, token in enumerate(sorted(ByteLevel.alphabet()))}
    special = {"<|im_end|>": 256, "<|im_start|>": 258}
    special |= {"<|vision_start|>": 259, "<|vision_end|>": 260, "<|image_pad|>": 261}
    ids = []
    while text:
        token = next((token for token in special if text.startswith(token)), text[0])
        # ByteLevel writes a blank and a line feed as these letters.
        ids.append(special.get(token) or numbers[{" ": "Ġ", "\n": "Ċ"}.get(token, token)])
        text = text[len(token) :]
    return ids


def with_pictures(words: str, tokens: list[int]) -> str:
    """Return the published prompt of an edit. tokens: the number of tokens of each picture."""
    pictures = (
        f"Picture {number}: <|vision_start|>{'<|image_pad|>' * count}<|vision_end|>"
        for number, count in enumerate(tokens, 1)
    )
    return f"{EDIT}{''.join(pictures)}{words}{END}"


@pytest.mark.parametrize("hole", [None, HOLE])
def test_the_text_encoder_gets_the_published_template(qwen: QwenEdit, hole: Mask | None) -> None:
    with recorded(qwen._pipeline._edit.text_encoder) as calls:
        edit(qwen, [FIRST, SECOND], hole=hole)
    # 384 x 384 is resized to 392 x 392: 28 x 28 pieces of 14 pixels, four of which make a token.
    expected = [with_pictures(words, [196, 196]) for words in (RED, " ")]
    assert [call["input_ids"].tolist() for call in calls] == [[ids_of(text)] for text in expected]


def test_a_new_picture_has_the_template_without_pictures(qwen: QwenEdit) -> None:
    with recorded(qwen._pipeline._edit.text_encoder) as calls:
        edit(qwen, [], negative="ugly")
    assert [call["input_ids"].tolist() for call in calls] == [
        [ids_of(f"{NEW}{words}{END}")] for words in (RED, "ugly")
    ]


def test_the_prefix_of_the_template_is_dropped(qwen: QwenEdit) -> None:
    """The published pipeline drops 64 tokens of its own tokenizer, and 34 without pictures."""
    for pictures, tokens, dropped in (([FIRST], [196], 64), ([], [], 34)):
        with recorded(qwen._pipeline._edit.transformer) as calls:
            edit(qwen, pictures)
        text = with_pictures(RED, tokens) if pictures else f"{NEW}{RED}{END}"
        length = len(ids_of(text)) - dropped
        assert calls[0]["encoder_hidden_states"].shape[1] == length


def test_special_tokens_in_words_are_plain_text(qwen: QwenEdit) -> None:
    with recorded(qwen._pipeline._edit.text_encoder) as calls:
        edit(qwen, [FIRST], "a<|image_pad|>b<|im_end|>")
    ids = ids_of(EDIT + "Picture 1: <|vision_start|>") + [261] * 196 + [260]
    letters = "a< |image_pad|>b< |im_end|>"
    assert calls[0]["input_ids"].tolist()[0] == ids + ids_of(letters) + ids_of(END)


def test_long_words_are_cut_and_the_template_stays_whole(qwen: QwenEdit) -> None:
    for pictures in ([], [FIRST]):
        with recorded(qwen._pipeline._edit.text_encoder) as calls:
            edit(qwen, pictures, "word " * 4000, effort=0.01)
        (ids,) = calls[0]["input_ids"].tolist()
        end = ids_of(END)
        assert ids[-len(end) :] == end
        assert len(ids) <= 1024 + 64 + len(ids_of(with_pictures("", [196])))


def test_the_vae_gets_the_documented_input(qwen: QwenEdit) -> None:
    """RGB, -1..1, channels first, one frame."""
    with recorded(qwen._pipeline._edit.vae.encoder) as calls:
        edit(qwen, [FIRST, SECOND])
    assert len(calls) == 2
    for call, picture in zip(calls, (FIRST, SECOND), strict=True):
        expected = (picture.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None, :, None]
        assert np.allclose(call["0"].numpy(), expected, atol=1e-6)


def test_the_text_encoder_sees_the_picture_as_published(qwen: QwenEdit) -> None:
    """Lanczos to 384 x 384, bicubic to 392 x 392, CLIP's mean and deviation; pieces of 14, in fours."""
    with recorded(qwen._pipeline._edit.text_encoder) as calls:
        edit(qwen, [FIRST])
    seen = Image.fromarray(FIRST).resize((384, 384), Image.Resampling.LANCZOS)
    seen = seen.resize((392, 392), Image.Resampling.BICUBIC)
    mean, deviation = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    values = (np.asarray(seen, np.float32) / 255 - mean) / deviation
    rows = values.reshape(14, 2, 14, 14, 2, 14, 3).transpose(0, 3, 1, 4, 6, 2, 5)
    frames = np.repeat(rows.reshape(784, 3, 1, 14, 14), 2, axis=2).reshape(784, -1)
    (grid,) = (value for name, value in calls[0].items() if name.startswith("image_grid"))
    assert grid.tolist() == [[1, 28, 28]]
    difference = np.abs(calls[0]["pixel_values"].numpy() - frames)
    assert difference.mean() < 0.01
    assert difference.max() < 0.1


@pytest.mark.parametrize(("effort", "steps"), [(1.0, 40), (0.25, 10), (0.01, 2)])
def test_each_step_has_two_passes(qwen: QwenEdit, effort: float, steps: int) -> None:
    with recorded(qwen._pipeline._edit.transformer) as calls:
        edit(qwen, [FIRST], effort=effort)
    assert len(calls) == 2 * steps


@pytest.mark.parametrize("hole", [None, HOLE])
def test_strength_leaves_the_first_steps_out(qwen: QwenEdit, hole: Mask | None) -> None:
    """And begins from the picture with the noise that the scheduler has at that step."""
    pipe = qwen._pipeline._edit
    with recorded(pipe.transformer) as whole:
        qwen._pipeline.generate([FIRST], RED, "", [7], SIZE, hole, effort=FEW)
    with recorded(pipe.transformer) as part:
        qwen._pipeline.generate([FIRST], RED, "", [7], SIZE, hole, strength=0.5, effort=FEW)
    assert len(whole) == 2 * 4
    assert [call["timestep"].item() for call in part] == [
        call["timestep"].item() for call in whole[4:]
    ]
    noise = torch.randn((1, 1, 4, 8, 8), generator=torch.Generator("cpu").manual_seed(7))
    packed = noise.reshape(1, 4, 4, 2, 4, 2).permute(0, 2, 4, 1, 3, 5).reshape(1, 16, 16)
    level = part[0]["timestep"].item()
    assert torch.allclose(whole[0]["hidden_states"][:, :16], packed, atol=1e-5)
    # What comes after the noise is the picture itself.
    original = part[0]["hidden_states"][:, 16:]
    begun = (1 - level) * original + level * packed
    assert torch.allclose(part[0]["hidden_states"][:, :16], begun, atol=1e-4)


def test_without_guidance_there_is_one_pass(qwen: QwenEdit) -> None:
    with recorded(qwen._pipeline._edit.transformer) as calls:
        edit(qwen, [FIRST], guidance=0.0)
    assert len(calls) == 4


def test_what_a_hole_touches_may_change_and_the_rest_is_the_picture(qwen: QwenEdit) -> None:
    thin = np.zeros((64, 64), np.bool_)
    thin[17, 17:40] = True
    pipe = qwen._pipeline._edit
    values = torch.from_numpy(FIRST.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None, :, None]
    original = pipe.vae.encode(values).latent_dist.mode()
    with recorded(pipe.vae.post_quant_conv) as calls:
        qwen._pipeline.generate([FIRST], RED, "", [7], SIZE, thin, effort=FEW)
    changed = (calls[0]["0"] - original).abs().amax(dim=(1, 2))[0] > 1e-4
    expected = np.zeros((8, 8), np.bool_)
    expected[2:4, 2:6] = True
    assert np.array_equal(changed.numpy(), expected)


def test_a_hole_of_no_pixels_returns_the_picture(qwen: QwenEdit) -> None:
    assert np.array_equal(edit(qwen, [FIRST], hole=np.zeros((64, 64), np.bool_)), FIRST)


def test_a_caller_that_disconnects_stops_between_two_steps(qwen: QwenEdit) -> None:
    for pictures, hole in (([], None), ([FIRST], None), ([FIRST], HOLE)):
        with (
            deadline_scope(Deadline()) as deadline,
            recorded(qwen._pipeline._edit.transformer) as calls,
        ):
            deadline.cancel()
            with pytest.raises(CallerDisconnectedError):
                edit(qwen, pictures, hole=hole)
        assert len(calls) == 2


def test_the_pipelines_own_area_is_kept_for_others(qwen: QwenEdit) -> None:
    edit(qwen, [FIRST])
    assert pipeline_qwenimage_edit_plus.VAE_IMAGE_SIZE == 1024 * 1024


@pytest.mark.parametrize("hole", [None, HOLE])
def test_a_retry_after_lack_of_memory_is_made_at_half_the_size(
    qwen: QwenEdit, hole: Mask | None
) -> None:
    with recorded(qwen._pipeline._edit.transformer) as calls:
        (made,) = retry_edit(
            qwen.edit, qwen.sizes, [FIRST], RED, "", [7], SIZE, hole=hole, effort=FEW, guidance=1.0
        )
    assert made.shape == (64, 64, 3)
    assert calls[0]["img_shapes"][0][0] == (1, 2, 2)


def test_the_layout_is_as_published(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    assert index["_class_name"] == "QwenImageEditPlusPipeline"
    assert index["processor"] == ["transformers", "Qwen2VLProcessor"]
    assert (folder / "processor" / "preprocessor_config.json").is_file()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert size < 2_000_000


@pytest.mark.parametrize("part", ["transformer", "text_encoder"])
def test_damaged_shards_are_errors_that_name_them(copied: Path, part: str) -> None:
    file = sorted((copied / part).glob("*-00001-of-*.safetensors"))[0]
    whole = file.read_bytes()
    weights = load_file(file)
    key = sorted(weights)[0]
    save_file({**weights, "of.another.model": torch.zeros(1)}, file, metadata={"format": "pt"})
    with pytest.raises(BadWeightsError, match=r"of\.another\.model"):
        QwenEdit(copied, CPU)
    del weights[key]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(BadWeightsError, match=key):
        QwenEdit(copied, CPU)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadWeightsError, match=file.name):
        QwenEdit(copied, CPU)
