"""What loaded models take together, and which requests fit which GPU with the profiles' own cards."""

from dataclasses import replace
from typing import Any

import pytest

from models.catalog.card import Card
from models.catalog.profile import load_profile
from models.catalog.registry import CARDS
from models.roles import (
    GENERATIVE_FILL,
    INPAINTING,
    MATTING,
    OUTPAINTING,
    PROMPT_REFINEMENT,
    SCENE_GENERATION,
    SEGMENTATION,
    Role,
)
from models.runtime.held_memory import evicted_mb, held_mb
from scripts.residency_table import (
    GPUS_GB,
    PAGE,
    REQUESTS,
    Served,
    SimulatedPool,
    gpu_profiles,
    renewed,
    second,
)
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


def test_evicted_models_have_no_part_of_weights_that_loaded_ones_share() -> None:
    fill, outpaint = sized(GENERATIVE_FILL, 20, 7, shared=8), sized(OUTPAINTING, 10, 5, shared=8)
    assert evicted_mb([fill, outpaint], [], one_base) == 20 + 10 - 8
    assert evicted_mb([fill], [outpaint], one_base) == 12
    assert evicted_mb([], [fill], one_base) == 0


@pytest.mark.parametrize("gpu_gb", GPUS_GB)
@pytest.mark.parametrize("profile", gpu_profiles())
def test_a_second_request_loads_nothing_from_disk_where_its_models_fit(
    profile: str, gpu_gb: int
) -> None:
    found = second(profile, gpu_gb)
    assert Served.LOADS not in found.values(), found


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize(("profile", "gpu_gb"), [("open", 24), ("open", 80), ("bria", 24)])
def test_what_fits_a_gpu_together_stays_there(profile: str, gpu_gb: int, kind: str) -> None:
    assert second(profile, gpu_gb, main_gb=0)[kind] is Served.STAYS


def test_without_main_memory_a_small_gpu_loads_each_time() -> None:
    assert second("bria", 16, main_gb=0)["background/replace"] is Served.LOADS


@pytest.mark.parametrize("profile", ["open", "bria", "studio"])
def test_80_gb_hold_a_whole_profile(profile: str) -> None:
    pool, roles = SimulatedPool(profile, 80, main_gb=0), tuple(load_profile(profile))
    pool.serve(roles)
    assert pool.serve(roles) is Served.STAYS


def test_the_page_about_gpus_tells_which_profile_fits_which() -> None:
    page = PAGE.read_text()
    assert renewed(page) == page, "python -m scripts.residency_table"


def test_most_cards_with_torch_tell_their_buffers_apart() -> None:
    without = {card.name for card in CARDS if card.needs_gpu and not card.work_mb}
    assert without == set()


def test_the_page_about_models_tells_what_a_gpu_needs() -> None:
    page = (ROOT / "docs" / "models.md").read_text()
    for name in ("open", "bria", "sdxl", "studio"):
        profile = load_profile(name)
        for roles in (REPLACE, (MATTING, INPAINTING), (OUTPAINTING,), tuple(profile)):
            cards = [profile[role] for role in roles if role in profile and profile[role].torch]
            assert f"{held_mb(cards, lambda card: (card.base, card.options)):,}" in page
