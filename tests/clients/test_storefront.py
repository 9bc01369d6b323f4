"""A storefront program, unchanged but for the address, on a real server with profile `lite`."""

import numpy as np
import pytest

from tests.helpers.server_process import Server, sample
from tests.helpers.storefront import RefusedError, Storefront, first_link, links

PRODUCT = sample("coffee", 320)
"""A photograph as people upload it: JPEG, no cut-out."""
COLOUR = "#b0c4de"
BLUE_GREY = (0xB0, 0xC4, 0xDE)
PLACEMENTS = (
    "Original",
    "Automatic",
    "Manual Placement",
    "Manual Padding",
    "Custom Coordinates",
)


@pytest.fixture(scope="module")
def shop(running: Server) -> Storefront:
    """The program."""
    return Storefront(running.http)


def test_a_packshot_shows_the_product_in_the_middle(shop: Storefront) -> None:
    made = np.asarray(shop.get(shop.packshot(PRODUCT, COLOUR)).convert("RGB"))
    assert made.shape == (2000, 2000, 3)
    changed = (made != BLUE_GREY).any(axis=-1)
    rows, columns = np.nonzero(changed.any(axis=1))[0], np.nonzero(changed.any(axis=0))[0]
    for found in (rows, columns):
        assert found[0] > 20
        assert (found[0] + found[-1]) / 2 == pytest.approx(1000, abs=20)
    assert max(np.ptp(rows), np.ptp(columns)) > 1000


def test_a_photograph_gets_a_soft_shadow_on_nothing(shop: Storefront) -> None:
    made = np.asarray(shop.get(shop.shadow(PRODUCT)))
    alpha = made[..., 3]
    assert alpha.min() == 0
    assert alpha.max() == 255
    dark = made[(alpha > 5) & (alpha < 150)]
    assert (dark[:, :3].max(axis=1) < 60).mean() > 0.3
    stronger = np.asarray(shop.get(shop.shadow(PRODUCT, shadow_intensity=100)))
    assert stronger[..., 3].sum(dtype=np.int64) > alpha.sum(dtype=np.int64)


def test_a_cut_out_is_sent_back_by_its_link(shop: Storefront) -> None:
    cut_out = shop.cutout(PRODUCT)
    made = shop.get(cut_out)
    assert made.mode == "RGBA"
    assert made.getchannel("A").getbbox() == (0, 0, *made.size)
    packshot = np.asarray(shop.get(shop.packshot_of_link(cut_out)).convert("RGB"))
    assert (packshot[0] == 255).all()
    shot = shop.get(
        shop.skill_shot(
            "lifestyle_shot_by_text",
            cut_out,
            scene_description=COLOUR,
            mode="high_control",
            placement_type="automatic_aspect_ratio",
            aspect_ratio="4:5",
            num_results=1,
            sync=True,
        )
    )
    assert shot.width / shot.height == pytest.approx(4 / 5, abs=0.01)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_shot_on_a_colour_comes_at_once_and_later(shop: Storefront, placement: str) -> None:
    at_once = shop.lifestyle_by_text(PRODUCT, COLOUR, placement, sync=True, num_results=1)
    later = shop.lifestyle_by_text(PRODUCT, COLOUR, placement, num_results=1)
    found = links(later, 1)
    shop.wait(found)
    one, other = shop.get(first_link(at_once)), shop.get(found[0])
    assert one.tobytes() == other.tobytes()
    assert (np.asarray(one) == BLUE_GREY).all(axis=-1).any()
    if placement not in ("Original", "Manual Padding"):
        assert one.size == (1000, 1000)


def test_what_needs_a_generative_model_is_told_to_people(shop: Storefront) -> None:
    with pytest.raises(RefusedError, match=r"506.*rofile"):
        shop.lifestyle_by_text(PRODUCT, "on a beach", sync=True)
    with pytest.raises(RefusedError, match=r"506.*rofile"):
        shop.lifestyle_by_image(PRODUCT, PRODUCT, sync=True)
    with pytest.raises(RefusedError, match=r"506.*rofile"):
        shop.hd_image("a red mug")


def test_a_prompt_that_cannot_be_refined_stays(shop: Storefront) -> None:
    assert shop.enhanced("a red mug") == "a red mug"
