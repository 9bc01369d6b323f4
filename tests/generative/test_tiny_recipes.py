"""Tiny cards have the recipes of the cards they stand for; a negative prompt has its effect on each of SDXL's."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from imaging.picture import Rgb
from models.backends.diffusion import face_editing
from models.catalog import files, repositories
from models.catalog.card import Card, by_name
from models.catalog.registry import CARDS
from models.catalog.source import MadeFolder
from models.device import DeviceConfig
from models.roles import Face
from models.tiny import maker
from models.weights.cache import WeightsCache

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
RGB = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
HOLE = np.pad(np.ones((32, 32), np.bool_), 16)
FACE = Face((12, 12, 40, 40), np.zeros((0, 2), np.float32), score=1, yaw=0, roll=0)
Call = Callable[[Any, str], Rgb]


def _face(model: Any, negative: str) -> Rgb:
    """Return a face whose standing negative prompt is replaced: callers send none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_editing, "_ALWAYS_AVOIDED", negative)
        made: Rgb = model.edit_face(RGB, FACE, {"makeup": "light"}, 1)[0]
        return made


CALLS: dict[str, Call] = {
    "tiny-fill": lambda model, text: model.fill_by_prompt(RGB, HOLE, "a cat", text, [1])[0],
    "tiny-scene": lambda model, text: model.scenes(
        RGB, (~HOLE).astype(np.float32), "a cat", text, [1]
    )[0],
    "tiny-outpaint": lambda model, text: model.outpaint(RGB, HOLE, "a cat", text, 1),
    "tiny-faces": _face,
}


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Return a function that loads a tiny card as the server does."""
    cache = WeightsCache(tmp_path_factory.mktemp("weights"))
    cards = by_name(CARDS)

    def load(name: str) -> Any:
        for part in cards[name].folders:
            maker.make(part, cache.path(part))  # type: ignore[arg-type]
        return cards[name].load(cache.paths(cards[name]), DeviceConfig())

    return load


@pytest.mark.parametrize("name", CALLS)
def test_a_negative_prompt_changes_the_result_and_an_empty_one_nothing(
    load: Callable[[str], Any], name: str
) -> None:
    model = load(name)
    without, blank, ugly = (CALLS[name](model, text) for text in ("", "  ", "ugly"))
    assert np.array_equal(without, blank)
    assert not np.array_equal(without, ugly)


STAND_FOR = {
    "tiny-birefnet": "birefnet",
    "tiny-lama": "big-lama",
    "tiny-upscaler": "realesrgan-x4plus-torch",
    "tiny-sam": "sam-vit-huge",
    "tiny-sam2": "sam2-large",
    "tiny-yunet": "yunet-fairface",
    "tiny-nsfw": "falconsai-nsfw",
    "tiny-fill": "sdxl-fill-fast",
    "tiny-scene": "sdxl-scene-fast",
    "tiny-outpaint": "sdxl-outpaint-fast",
    "tiny-faces": "sdxl-faces-fast",
    "tiny-sd15-fill": "sd15-lcm-fill",
    "tiny-sd15-scene": "sd15-lcm-scene",
    "tiny-sd15-outpaint": "sd15-lcm-outpaint",
    "tiny-klein-faces": "klein-faces",
    "tiny-klein-edit": "klein-4b-edit",
    "tiny-klein-erase": "klein-erase",
    "tiny-bria-erase": "bria-erase",
    "tiny-captioner": "blip-large",
    "tiny-refiner": "qwen3-4b",
    "tiny-qwen-edit": "qwen-image-edit-2511",
}
"""The card that each tiny card stands for; one that is not here stands for the one real card of its class."""
SMALLER = {"points", "side"}
"""Options that say how much a tiny card does, not how."""
PARTS = {
    repositories.SDXL.name: "tiny/sdxl",
    repositories.LCM_LORA.name: "tiny/sdxl-lora",
    repositories.IP_ADAPTER.name: "tiny/sdxl-ip-adapter",
    repositories.FP16_VAE.name: "tiny/sdxl-vae",
    repositories.SD15.name: "tiny/sd15",
    repositories.SD15_LCM_LORA.name: "tiny/sd15-lora",
    repositories.KLEIN.name: "tiny/klein",
    repositories.QWEN_EDIT.name: "tiny/qwen_edit",
    files.BIG_LAMA.name: "tiny/lama",
}
"""What stands for a repository of weights, by the names of both."""


def _tiny_cards() -> dict[str, Card]:
    return {
        card.name: card
        for card in CARDS
        if card.parts and all(isinstance(part, MadeFolder) for part in card.parts)
    }


def _real(tiny: Card) -> Card:
    if tiny.name in STAND_FOR:
        return by_name(CARDS)[STAND_FOR[tiny.name]]
    of_class = [card for card in CARDS if card.backend == tiny.backend and card.needs_gpu]
    assert len(of_class) == 1, f"{tiny.name} stands for no card, or for several: add it above"
    return of_class[0]


@pytest.mark.parametrize("tiny", _tiny_cards().values(), ids=lambda card: card.name)
def test_a_tiny_card_has_the_recipe_of_its_real_card(tiny: Card) -> None:
    real = _real(tiny)
    module, _, name = real.backend.partition(":")
    assert tiny.backend in (real.backend, f"{module}:Tiny{name}")
    assert tiny.role == real.role
    kept = {key: value for key, value in tiny.options if key not in SMALLER}
    assert kept == {key: value for key, value in real.options if key not in SMALLER}
    assert (tiny.torch, tiny.remote_code, tiny.exclusive) == (
        real.torch,
        real.remote_code,
        real.exclusive,
    )
    assert (tiny.max_batch > 1, tiny.asynchronous) == (real.max_batch > 1, real.asynchronous)
    if any(part.name in PARTS for part in real.parts):
        assert [part.name for part in tiny.parts] == [PARTS[part.name] for part in real.parts]


@pytest.mark.parametrize(
    "change",
    [
        {"folders": _tiny_cards()["tiny-fill"].folders[:1]},
        {"options": ()},
        {"options": (("vae", True),)},
        {"max_batch": 4},
        {"torch": False},
    ],
)
def test_a_tiny_card_with_another_recipe_fails(change: dict[str, Any]) -> None:
    other = replace(_tiny_cards()["tiny-fill"], **change)
    with pytest.raises(AssertionError):
        test_a_tiny_card_has_the_recipe_of_its_real_card(other)


def test_the_tiny_base_has_the_noise_scheduler_of_the_published_one(
    load: Callable[[str], Any],
) -> None:
    # model_index.json of diffusers/stable-diffusion-xl-1.0-inpainting-0.1 names it.
    scheduler = load("tiny-fill")._pipeline._plain.scheduler
    assert type(scheduler).__name__ == "EulerDiscreteScheduler"
    assert scheduler.config.beta_schedule == "scaled_linear"
