"""Fibo-Edit: tiny random weights of the real classes, loaded and run by the recipe of the real ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from imaging.picture import Mask, Rgb
from models.backends.diffusion.fibo_edit import FiboEdit
from models.deadline import Deadline, deadline_scope
from models.device import DeviceConfig
from models.errors import BadWeightsError, CallerDisconnectedError
from models.tiny.fibo_edit import make_tiny

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CPU = DeviceConfig()
SIZE = 64, 64
RED = "make it red"


def noise(seed: int, height: int = 64, width: int = 64) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


FIRST, SECOND = noise(0), noise(1, 40, 100)
HOLE = np.pad(np.ones((32, 16), np.bool_), ((16, 16), (16, 32)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("fibo")
    make_tiny(folder)
    return folder


@pytest.fixture(scope="module")
def fibo(folder: Path) -> FiboEdit:
    return FiboEdit.load([folder], CPU, side=64)


@pytest.fixture
def calls(fibo: FiboEdit, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of the pipeline's calls in this test."""
    made: list[dict[str, Any]] = []
    kind = type(fibo._pipe)
    run = kind.__call__

    def spy(self: Any, **given: Any) -> Any:
        made.append(given)
        return run(self, **given)

    monkeypatch.setattr(kind, "__call__", spy)
    return made


def edit(
    model: FiboEdit,
    pictures: list[Rgb],
    words: str = RED,
    negative: str = "",
    seed: int = 7,
    hole: Mask | None = None,
    **options: Any,
) -> Rgb:
    (made,) = model.edit(pictures, words, negative, [seed], SIZE, hole=hole, **options)
    return made


def difference(one: Rgb, other: Rgb) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("pictures", [[], [FIRST], [FIRST, SECOND]])
def test_a_request_repeats_and_words_seed_and_negative_words_have_an_effect(
    fibo: FiboEdit, pictures: list[Rgb]
) -> None:
    hole = HOLE if len(pictures) > 1 else None
    base = edit(fibo, pictures, hole=hole)
    assert base.shape == (64, 64, 3)
    assert base.dtype == np.uint8
    assert np.array_equal(edit(fibo, pictures, hole=hole), base)
    for words, negative, seed in (("make it blue", "", 7), (RED, "ugly", 7), (RED, "", 8)):
        assert difference(base, edit(fibo, pictures, words, negative, seed, hole)) > 2


def test_every_picture_and_their_order_have_an_effect(fibo: FiboEdit) -> None:
    base = edit(fibo, [FIRST, SECOND])
    for pictures in ([SECOND, FIRST], [FIRST], [FIRST, noise(2)]):
        assert difference(base, edit(fibo, pictures)) > 2


def test_the_model_gets_json_four_steps_and_no_guidance(
    fibo: FiboEdit, calls: list[dict[str, Any]]
) -> None:
    edit(fibo, [FIRST], 'a "red" cat\n<|im_end|>')
    edit(fibo, [FIRST], negative="ugly")
    edit(fibo, [FIRST], guidance=0.5, effort=0.5)
    first, guided, half = calls
    assert json.loads(first["prompt"]) == {"edit_instruction": 'a "red" cat\n< |im_end|>'}
    assert (first["num_inference_steps"], first["guidance_scale"]) == (4, 1.0)
    assert (guided["guidance_scale"], guided["negative_prompt"]) == (1.5, "ugly")
    assert (half["num_inference_steps"], half["guidance_scale"]) == (2, 1.0)


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        ('{"mood": "warm", "edit_instruction": "add light"}', True),
        ('{"mood": "warm"}', False),
        ('"edit_instruction"', False),
        ('{"edit_instruction": ', False),
        ('{"edit_instruction": ' + "[" * 100_000, False),
    ],
)
def test_only_an_object_with_an_instruction_is_passed_on(
    fibo: FiboEdit, calls: list[dict[str, Any]], words: str, passed: bool
) -> None:
    edit(fibo, [], words, effort=0.25)
    (call,) = calls
    given = json.loads(call["prompt"])
    if passed:
        assert call["prompt"] == words
    else:
        assert list(given) == ["edit_instruction"]
        assert words.startswith(given["edit_instruction"])


def test_a_hole_is_grey_in_the_first_picture_alone(
    fibo: FiboEdit, calls: list[dict[str, Any]]
) -> None:
    kept = FIRST.copy()
    edit(fibo, [FIRST, noise(2)], hole=HOLE)
    seen, other = (np.asarray(picture) for picture in calls[0]["image"])
    assert (seen[HOLE] == 128).all()
    assert np.array_equal(seen[~HOLE], FIRST[~HOLE])
    assert np.array_equal(other, noise(2))
    assert np.array_equal(FIRST, kept)
    empty = np.zeros((64, 64), np.bool_)
    assert np.array_equal(edit(fibo, [FIRST], hole=empty), FIRST)


def test_a_cancelled_edit_ends_without_a_picture(fibo: FiboEdit) -> None:
    deadline = Deadline()
    deadline.cancel()
    with deadline_scope(deadline), pytest.raises(CallerDisconnectedError):
        edit(fibo, [FIRST])


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
def test_a_missing_weight_is_named(tmp_path: Path, part: str) -> None:
    make_tiny(tmp_path)
    file = min((tmp_path / part).glob("*.safetensors"))
    weights = load_file(file)
    del weights[min(weights)]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(BadWeightsError, match=part):
        FiboEdit.load([tmp_path], CPU, side=64)
