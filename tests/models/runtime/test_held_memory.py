"""What loaded models take together, and which requests fit which GPU with the profiles' own cards."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.catalog.card import Card, Profile
from models.catalog.profile import load_profile
from models.catalog.registry import CARDS
from models.roles import (
    INPAINTING,
    MATTING,
    OUTPAINTING,
    PROMPT_REFINEMENT,
    SCENE_GENERATION,
    SEGMENTATION,
    Role,
)
from models.runtime.device_policy import DevicePolicy
from models.runtime.held_memory import held_mb
from models.runtime.pool import Pool
from tests.helpers.cards import card as function_card
from tests.helpers.places import ROOT

REPLACE = (MATTING, PROMPT_REFINEMENT, SCENE_GENERATION)
"""The roles of a default background/replace, in the order in which it uses them."""


def sized(role: Role[Any], weights: int, work: int, shared: int = 0, torch: bool = True) -> Card:
    card = function_card(role, lambda paths, device_config: object())
    return replace(card, memory_mb=weights + work, work_mb=work, shared_mb=shared, torch=torch)


def one_base(card: Card) -> str:
    return "base"


def test_weights_add_up_and_of_the_buffers_of_a_device_the_largest_counts() -> None:
    cards = [sized(MATTING, 10, 5), sized(INPAINTING, 20, 7), sized(SEGMENTATION, 30, 6)]
    assert held_mb(cards, one_base) == 60 + 7
    assert held_mb([], one_base) == 0


def test_the_buffers_of_models_that_run_beside_one_another_add_up() -> None:
    cards = [sized(MATTING, 10, 5, torch=False), sized(INPAINTING, 20, 7, torch=False)]
    assert held_mb([*cards, sized(SEGMENTATION, 30, 6)], one_base) == 60 + 5 + 7 + 6


def test_shared_weights_count_once() -> None:
    cards = [sized(MATTING, 10, 5, shared=8), sized(INPAINTING, 20, 7, shared=8)]
    assert held_mb(cards, one_base) == 10 + 20 - 8 + 7
    assert held_mb(cards, lambda card: card.role) == 30 + 7


class Loads:
    """A pool of a profile's cards on a GPU of some size, whose models are empty; it counts what is loaded."""

    def __init__(self, name: str, gib: int, folder: Path) -> None:
        self.loaded: list[Role[Any]] = []
        profile: Profile = {role: self._empty(card) for role, card in load_profile(name).items()}
        # What a driver and torch's context leave of a card, and the share of it that models may hold.
        budget = int(0.92 * (gib * 1024 - 700))
        self.pool = Pool(profile, folder, policy=DevicePolicy("cuda:0", memory_mb=budget))

    def _empty(self, card: Card) -> Card:
        def load(paths: object, device_config: object) -> object:
            self.loaded.append(card.role)
            return object()

        return replace(
            function_card(card.role, load),
            memory_mb=card.memory_mb,
            work_mb=card.work_mb,
            shared_mb=card.shared_mb,
            torch=card.torch,
            folders=card.folders,
            options=card.options,
        )

    def request(self, *roles: Role[Any]) -> list[Role[Any]]:
        """Use roles one after another; return those whose models were loaded."""
        self.loaded.clear()
        for role in roles:
            if self.pool.offers(role):
                with self.pool.use(role):
                    pass
        return list(self.loaded)


@pytest.fixture(autouse=True)
def without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pool find all weights, which the empty models do not read."""
    monkeypatch.setattr("models.weights.cache.WeightsCache.problem", lambda self, part: None)
    monkeypatch.setattr("models.runtime.device_policy.DevicePolicy.release", lambda self: None)


@pytest.mark.parametrize(
    ("profile", "gib"), [("open", 24), ("open", 80), ("bria", 24), ("bria", 80)]
)
def test_a_second_default_replace_loads_nothing_where_it_fits(
    profile: str, gib: int, tmp_path: Path
) -> None:
    loads = Loads(profile, gib, tmp_path)
    assert loads.request(*REPLACE)
    assert loads.request(*REPLACE) == []


@pytest.mark.parametrize("gib", [12, 16])
def test_on_a_smaller_gpu_it_loads_each_time(gib: int, tmp_path: Path) -> None:
    loads = Loads("open", gib, tmp_path)
    loads.request(*REPLACE)
    assert loads.request(*REPLACE)


@pytest.mark.parametrize("profile", ["open", "bria"])
def test_80_gib_hold_a_whole_profile(profile: str, tmp_path: Path) -> None:
    loads = Loads(profile, 80, tmp_path)
    roles = tuple(load_profile(profile))
    loads.request(*roles)
    assert loads.request(*roles) == []


def test_most_cards_with_torch_tell_their_buffers_apart() -> None:
    without = {card.name for card in CARDS if card.needs_gpu and not card.work_mb}
    assert without == {"qwen-image-edit-2511"}


def test_the_page_about_models_tells_what_a_gpu_needs() -> None:
    page = (ROOT / "docs" / "models.md").read_text()
    for name in ("open", "bria"):
        profile = load_profile(name)
        for roles in (REPLACE, (MATTING, INPAINTING), (OUTPAINTING,), tuple(profile)):
            cards = [profile[role] for role in roles if role in profile]
            assert f"{held_mb(cards, lambda card: (card.parts[0], card.options)):,}" in page
