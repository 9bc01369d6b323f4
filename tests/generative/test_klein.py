"""FLUX.2 klein: tiny random weights of the real classes, loaded and run by the recipe of the real ones."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel

from imaging.picture import Mask, Rgb
from imaging.resize import Size
from models.backends.diffusion.klein import KleinEdit
from models.deadline import Deadline, deadline_scope
from models.device import DeviceConfig
from models.errors import CallerDisconnectedError
from models.role_calls import retry_edit
from models.tiny.klein import make_tiny
from tests.helpers.recorder import recorded

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CPU = DeviceConfig()
SIZE = 64, 64
RED = "make it red"


def noise(seed: int, height: int = 64, width: int = 64) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


FIRST, SECOND = noise(0), noise(1)
HOLE = np.pad(np.ones((32, 16), np.bool_), ((16, 16), (16, 32)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("klein")
    make_tiny(folder)
    return folder


@pytest.fixture(scope="module")
def klein(folder: Path) -> KleinEdit:
    return KleinEdit.load([folder], CPU, side=64)


def edit(
    model: KleinEdit,
    pictures: list[Rgb],
    words: str,
    negative: str,
    seed: int,
    size: Size,
    **options: Any,
) -> Rgb:
    """Return the picture of one seed."""
    (made,) = model.edit(pictures, words, negative, [seed], size, **options)
    return made


def difference(one: Rgb, other: Rgb) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize(
    ("count", "hole"), [(0, None), (1, None), (1, HOLE), (2, None), (4, None), (4, HOLE)]
)
def test_a_request_repeats_bit_for_bit(klein: KleinEdit, count: int, hole: Mask | None) -> None:
    pictures = [FIRST, SECOND, noise(2, 40, 100), noise(3, 300, 200)][:count]
    one, other = (edit(klein, pictures, RED, "", 7, SIZE, hole=hole) for _ in range(2))
    assert np.array_equal(one, other)
    assert one.shape == (64, 64, 3)
    assert one.dtype == np.uint8


def test_words_seed_and_negative_words_each_have_an_effect(klein: KleinEdit) -> None:
    base = edit(klein, [FIRST], RED, "", 7, SIZE)
    for words, negative, seed in (("make it blue", "", 7), (RED, "", 8), (RED, "ugly", 7)):
        assert difference(base, edit(klein, [FIRST], words, negative, seed, SIZE)) > 2
    one, other = (edit(klein, [FIRST], RED, words, 7, SIZE) for words in ("ugly", "blurred"))
    assert difference(one, other) > 2
    weak = edit(klein, [FIRST], RED, "ugly", 7, SIZE, guidance=0.5)
    assert difference(one, weak) > 2
    assert np.array_equal(base, edit(klein, [FIRST], RED, "", 7, SIZE, guidance=2.0))


@pytest.mark.parametrize("hole", [None, HOLE])
def test_every_picture_and_their_order_have_an_effect(klein: KleinEdit, hole: Mask | None) -> None:
    make = partial(edit, klein, words=RED, negative="", seed=7, size=SIZE, hole=hole)
    third = noise(2, 48, 80)
    base = make([FIRST, SECOND, third])
    for pictures in ([FIRST, third, SECOND], [FIRST, SECOND], [SECOND, FIRST, third]):
        assert difference(base, make(pictures)) > 2


def test_words_have_an_effect_inside_a_hole_and_without_a_picture(klein: KleinEdit) -> None:
    for pictures, hole in (([FIRST], HOLE), ([], None)):
        one, other = (
            edit(klein, pictures, words, "", 7, SIZE, hole=hole) for words in (RED, "make it blue")
        )
        assert difference(one, other) > 2


def test_a_hole_of_no_pixels_returns_the_picture(klein: KleinEdit) -> None:
    made = edit(klein, [FIRST], RED, "", 7, SIZE, hole=np.zeros((64, 64), np.bool_))
    assert np.array_equal(made, FIRST)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 2), (1500, 2000), (64, 64)])
def test_pictures_of_any_size_are_read(klein: KleinEdit, shape: tuple[int, int]) -> None:
    assert edit(klein, [noise(1, *shape)], RED, "", 7, (96, 48)).shape == (48, 96, 3)
    assert edit(klein, [FIRST, noise(1, *shape)], RED, "", 7, SIZE, hole=HOLE).shape == (64, 64, 3)


def test_what_the_role_forbids_is_refused(klein: KleinEdit) -> None:
    with pytest.raises(ValueError, match="5 pictures"):
        edit(klein, [FIRST] * 5, RED, "", 7, SIZE)
    with pytest.raises(ValueError, match="hole"):
        edit(klein, [noise(0, 64, 80)], RED, "", 7, SIZE, hole=HOLE)
    with pytest.raises(ValueError, match="hole"):
        edit(klein, [], RED, "", 7, SIZE, hole=HOLE)
    with pytest.raises(ValueError, match="multiples"):
        edit(klein, [], RED, "", 7, (60, 64))


def published_ids(words: str) -> list[int]:
    """Return the ids of Qwen3's chat template without thinking, padded to 512, for the tiny tokenizer."""
    numbers = {token: number for number, token in enumerate(sorted(ByteLevel.alphabet()))}
    # ByteLevel writes a blank and a line feed as these letters.
    of_bytes = {**{chr(byte): numbers[chr(byte)] for byte in range(33, 127)}, " ": numbers["Ġ"]}
    of_bytes["\n"] = numbers["Ċ"]
    end, pad, start, think, thought = 256, 257, 258, 263, 264
    text = [of_bytes[letter] for letter in words]
    line = of_bytes["\n"]
    ids = [start, *(of_bytes[letter] for letter in "user\n"), *text, end, line]
    ids += [start, *(of_bytes[letter] for letter in "assistant\n")]
    ids += [think, line, line, thought, line, line]
    return ids + [pad] * (512 - len(ids))


@pytest.mark.parametrize("hole", [None, HOLE])
def test_the_text_encoder_gets_the_published_template(klein: KleinEdit, hole: Mask | None) -> None:
    with recorded(klein._pipeline._plain.text_encoder) as calls:
        edit(klein, [FIRST], RED, "", 7, SIZE, hole=hole)
    (call,) = calls
    ids = published_ids(RED)
    assert call["input_ids"].tolist() == [ids]
    assert call["attention_mask"].tolist() == [[int(number != 257) for number in ids]]


def test_a_negative_prompt_has_the_same_template_and_a_second_pass(klein: KleinEdit) -> None:
    pipe = klein._pipeline._plain
    with recorded(pipe.text_encoder) as texts, recorded(pipe.transformer) as passes:
        edit(klein, [FIRST], RED, "ugly", 7, SIZE)
    ids = [call["input_ids"].tolist() for call in texts]
    assert sorted(ids) == sorted([[published_ids(RED)], [published_ids("ugly")]])
    assert len(passes) == 2 * 4
    with recorded(pipe.transformer) as passes:
        edit(klein, [FIRST], RED, " ", 7, SIZE)
    assert len(passes) == 4


def test_special_tokens_in_words_are_plain_text(klein: KleinEdit) -> None:
    with recorded(klein._pipeline._plain.text_encoder) as calls:
        edit(klein, [], "a<|im_end|><think>b", "", 7, SIZE)
    assert calls[0]["input_ids"].tolist() == [published_ids("a< |im_end|>< think>b")]


def test_long_words_are_cut_and_the_template_stays_whole(
    klein: KleinEdit, caplog: pytest.LogCaptureFixture
) -> None:
    with recorded(klein._pipeline._plain.text_encoder) as calls:
        edit(klein, [], "word " * 400, "", 7, SIZE)
    (ids,) = calls[0]["input_ids"].tolist()
    assert len(ids) == 512
    assert ids[-19:] == published_ids("")[6:25]
    assert "2000 tokens is cut" in caplog.text


def of_range(rgb: Rgb) -> Any:
    """Return what the publisher feeds a VAE: RGB, -1..1, channels first."""
    return (rgb.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]


@pytest.mark.parametrize("hole", [None, HOLE])
def test_the_vae_gets_the_documented_input(klein: KleinEdit, hole: Mask | None) -> None:
    with recorded(klein._pipeline._plain.vae.encoder) as calls:
        edit(klein, [FIRST, SECOND], RED, "", 7, SIZE, hole=hole)
    assert len(calls) == 2
    for call, picture in zip(calls, (FIRST, SECOND), strict=True):
        assert np.allclose(call["0"].numpy(), of_range(picture), atol=1e-6)


def test_the_transformer_gets_noise_then_the_pictures(klein: KleinEdit) -> None:
    pipe = klein._pipeline._plain
    with recorded(pipe.transformer) as calls:
        edit(klein, [FIRST, SECOND], RED, "", 7, SIZE)
    assert len(calls) == 4
    first = calls[0]
    drawn = torch.randn((1, 16, 4, 4), generator=torch.Generator("cpu").manual_seed(7))
    tokens = drawn.reshape(1, 16, 16).permute(0, 2, 1)
    assert torch.allclose(first["hidden_states"][:, :16], tokens, atol=1e-6)
    assert first["hidden_states"].shape == (1, 3 * 16, 16)
    times = first["img_ids"][0, :, 0].tolist()
    assert times == [0] * 16 + [10] * 16 + [20] * 16
    assert first["encoder_hidden_states"].shape == (1, 512, 96)
    assert first["guidance"] is None


def test_what_a_hole_touches_may_change_and_the_rest_is_the_picture(klein: KleinEdit) -> None:
    """The last latents outside the hole are those of the picture: the mask is 1 where it changes."""
    thin = np.zeros((64, 64), np.bool_)
    thin[17, 17:40] = True  # within the second row of tokens: the second and the third
    pipe = klein._pipeline._inpaint
    latents = pipe.vae.encode(torch.from_numpy(of_range(FIRST))).latent_dist.mode()
    with recorded(pipe.vae.decoder) as calls:
        klein._pipeline.generate([FIRST], RED, "", [7], SIZE, thin)
    post = pipe.vae.post_quant_conv(latents)
    changed = (calls[0]["0"] - post).abs().amax(dim=1)[0] > 1e-4
    expected = np.zeros((8, 8), np.bool_)
    expected[2:4, 2:6] = True
    assert np.array_equal(changed.numpy(), expected)


def test_a_large_picture_is_reduced_before_the_pipeline(klein: KleinEdit) -> None:
    grey = np.full((1500, 2000, 3), 128, np.uint8)
    with recorded(klein._pipeline._plain.vae.encoder) as calls:
        edit(klein, [grey], RED, "", 7, SIZE)
    assert calls[0]["0"].shape == (1, 3, 64, 64)
    with recorded(klein._pipeline._plain.vae.encoder) as calls:
        edit(klein, [grey], RED, "", 7, (80, 64))  # 4:3, as nearly as its sides allow
    assert calls[0]["0"].shape == (1, 3, 64, 80)


@pytest.mark.parametrize(("effort", "steps"), [(1.0, 4), (2.0, 8), (0.5, 2), (0.01, 1)])
def test_effort_is_the_number_of_steps(klein: KleinEdit, effort: float, steps: int) -> None:
    with recorded(klein._pipeline._plain.transformer) as calls:
        edit(klein, [FIRST], RED, "", 7, SIZE, effort=effort)
    assert len(calls) == steps


def test_strength_leaves_the_first_steps_out(klein: KleinEdit) -> None:
    pipeline = klein._pipeline
    with recorded(pipeline._plain.transformer) as calls:
        (weak,) = pipeline.generate([FIRST], RED, "", [7], SIZE, HOLE, strength=0.5)
        pipeline.generate([FIRST], RED, "", [7], SIZE, strength=0.25)
    assert len(calls) == 2 + 1
    assert difference(weak, edit(klein, [FIRST], RED, "", 7, SIZE, hole=HOLE)) > 2


def test_the_base_model_is_guided_in_every_call(tmp_path: Path) -> None:
    make_tiny(tmp_path, distilled=False)
    base = KleinEdit.load([tmp_path], CPU, side=64)
    with recorded(base._pipeline._plain.transformer) as calls:
        plain = edit(base, [FIRST], RED, "", 7, SIZE, effort=0.25)
    assert len(calls) == 2 * 7
    for negative, guidance in (("ugly", 1.0), ("", 2.0)):
        made = edit(base, [FIRST], RED, negative, 7, SIZE, effort=0.25, guidance=guidance)
        assert difference(plain, made) > 2


def test_a_caller_that_disconnects_stops_between_two_steps(klein: KleinEdit) -> None:
    for hole in (None, HOLE):
        with (
            deadline_scope(Deadline()) as deadline,
            recorded(klein._pipeline._plain.transformer) as calls,
        ):
            deadline.cancel()
            with pytest.raises(CallerDisconnectedError):
                edit(klein, [FIRST], RED, "", 7, SIZE, hole=hole)
        assert len(calls) == 1


def test_one_set_of_weights_serves_every_role(folder: Path, klein: KleinEdit) -> None:
    other = KleinEdit.load([folder], CPU, side=64)
    assert other._pipeline is klein._pipeline
    assert klein._pipeline._inpaint.transformer is klein._pipeline._plain.transformer


@pytest.mark.parametrize("hole", [None, HOLE])
def test_a_retry_after_lack_of_memory_is_made_at_half_the_size(
    klein: KleinEdit, hole: Mask | None
) -> None:
    with recorded(klein._pipeline._plain.transformer) as calls:
        (made,) = retry_edit(
            klein.edit, klein.sizes, [noise(0), SECOND], RED, "", [7], SIZE, hole=hole
        )
    assert made.shape == (64, 64, 3)
    assert calls[0]["hidden_states"].shape[1] < 3 * 16
