"""A storefront program, unchanged but for the address, on a real server with profile `tiny`."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.server_process import Server, sample
from tests.helpers.storefront import Storefront, first_link, links

PRODUCT = sample("coffee", 240)
REFERENCE = sample("astronaut", 160)
SCENE = "on a marble shelf, morning light"
SMALL = {"shot_size": [192, 128]}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storefront]:
    """The program, with a server of tiny weights of its own."""
    folder = tmp_path_factory.mktemp("tiny")
    weights = folder / "weights"
    weights.mkdir()
    server = Server(folder, weights)
    yield Storefront(server.start(PROFILE="tiny", DEVICE="cpu").http)
    server.close()


@pytest.mark.parametrize(
    ("placement", "chosen"),
    [
        ("Original", {}),
        ("Manual Placement", {"manual_placement_selection": "bottom_right", **SMALL}),
        ("Manual Padding", {"padding_values": [20, 20, 10, 40]}),
        (
            "Custom Coordinates",
            {"foreground_image_size": [90, 60], "foreground_image_location": [-20, 40], **SMALL},
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("by", ["text", "image"])
def test_a_scene_is_made_around_the_product(
    shop: Storefront, placement: str, chosen: dict[str, Any], by: str
) -> None:
    wanted = {"sync": True, "num_results": 1, **chosen}
    answer = (
        shop.lifestyle_by_text(PRODUCT, SCENE, placement, **wanted)
        if by == "text"
        else shop.lifestyle_by_image(PRODUCT, REFERENCE, placement, **wanted)
    )
    made = shop.get(first_link(answer))
    assert made.mode == "RGB"
    if "shot_size" in chosen:
        assert made.size == tuple(chosen["shot_size"])


def test_shots_that_come_later_are_ready_in_the_end(shop: Storefront) -> None:
    found = links(shop.lifestyle_by_text(PRODUCT, SCENE, num_results=2), 2)
    assert found
    shop.wait(found)
    assert all(shop.get(link).mode == "RGB" for link in found)


def test_words_become_a_picture_and_others_another(shop: Storefront) -> None:
    def made(prompt: str, **chosen: Any) -> bytes:
        answer = shop.hd_image(prompt, aspect_ratio="16:9", seed=4, **chosen)
        picture = shop.get(first_link(answer))
        assert picture.size == (1920, 1080)
        return picture.resize((240, 135)).tobytes()

    first = made("a red mug")
    assert made("a red mug") == first
    assert made("a blue kite") != first
    assert made("a red mug", medium="art") != first


def test_a_prompt_is_refined(shop: Storefront) -> None:
    assert shop.enhanced("a red mug")
