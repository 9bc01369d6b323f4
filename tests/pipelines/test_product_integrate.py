"""Products in a scene: what is placed, what the model may change, and what stays bit for bit."""

import numpy as np
import pytest

from imaging.picture import Alpha8, Picture
from models.roles import INSTRUCTION_EDITING
from pipelines.errors import OutsideCanvasError
from pipelines.product_integrate import MAX_PRODUCTS, Box, product_integrate
from tests.helpers.fake_models import GenerativeModels, SeedPainter
from tests.helpers.requests import noise

SCENE = Picture(noise(160, 120))
RED = (200, 30, 40)
BOX = Box(40, 30, 50, 40)
REACH = 10


def product(alpha: Alpha8 | None = None) -> Picture:
    """Return a red ellipse with soft edges in the middle of 80 x 60 pixels, by default opaque inside."""
    y, x = np.ogrid[:60, :80]
    away = np.hypot((x - 39.5) / 25, (y - 29.5) / 20)
    soft = np.clip((1.1 - away) * 5, 0, 1) * 255
    return Picture(
        np.broadcast_to(np.array(RED, np.uint8), (60, 80, 3)).copy(),
        soft.astype(np.uint8) if alpha is None else alpha,
    )


def test_only_what_is_near_a_product_changes_and_the_product_is_as_sent() -> None:
    made = product_integrate(SCENE, [(product(), BOX)], GenerativeModels(), 3)
    changed = np.any(made.rgb != SCENE.rgb, axis=2)
    rows, columns = np.nonzero(changed)
    assert (rows.min(), columns.min()) >= (30 - REACH, 40 - REACH)
    assert rows.max() < 70 + REACH
    assert columns.max() < 90 + REACH
    assert changed[30 - REACH // 2, 65]  # beside the product
    centre = made.rgb[40:60, 55:75]
    assert np.array_equal(centre, np.broadcast_to(RED, centre.shape))
    assert made.alpha is None


def test_a_product_fills_its_box_whatever_is_empty_around_it() -> None:
    wide = Picture(
        np.pad(product().rgb, ((30, 5), (60, 2), (0, 0))),
        np.pad(product().alpha, ((30, 5), (60, 2))),
    )
    one, other = (
        product_integrate(SCENE, [(each, BOX)], GenerativeModels(), 3) for each in (product(), wide)
    )
    assert np.array_equal(one.rgb, other.rgb)


def test_a_product_without_alpha_is_cut_out() -> None:
    models = GenerativeModels()
    opaque = Picture(product().rgb)
    made = product_integrate(SCENE, [(opaque, BOX)], models, 3)
    assert models.use_count == 2  # matting and the edit
    assert np.array_equal(made.rgb[50, 65], RED)
    assert np.array_equal(made.rgb[:10], SCENE.rgb[:10])


@pytest.mark.parametrize("seed", [3, 4])
def test_a_request_repeats_and_a_seed_changes_the_surroundings(seed: int) -> None:
    first = product_integrate(SCENE, [(product(), BOX)], GenerativeModels(), 3)
    again = product_integrate(SCENE, [(product(), BOX)], GenerativeModels(), seed)
    assert np.array_equal(first.rgb, again.rgb) == (seed == 3)


def test_later_products_are_in_front_and_earlier_ones_are_not_repainted() -> None:
    blue = Picture(np.full((60, 80, 3), (10, 20, 230), np.uint8), product().alpha)
    boxes = (Box(20, 30, 50, 40), Box(45, 30, 50, 40))
    made = product_integrate(
        SCENE, list(zip((product(), blue), boxes, strict=True)), GenerativeModels(), 3
    )
    assert np.array_equal(made.rgb[50, 30], RED)
    assert np.array_equal(made.rgb[50, 58], (10, 20, 230))
    assert np.array_equal(made.rgb[50, 80], (10, 20, 230))


@pytest.mark.parametrize("box", [Box(-25, 30, 50, 40), Box(130, 90, 50, 40), Box(0, 0, 160, 120)])
def test_a_box_over_the_edge_cuts_the_product_off(box: Box) -> None:
    made = product_integrate(SCENE, [(product(), box)], GenerativeModels(), 3)
    assert made.rgb.shape == SCENE.rgb.shape
    y, x = box.y + box.height // 2, max(0, min(159, box.x + box.width // 2))
    assert np.array_equal(made.rgb[min(119, y), x], RED)


@pytest.mark.parametrize("box", [Box(-50, 0, 50, 40), Box(0, 120, 50, 40)])
def test_a_box_outside_is_refused(box: Box) -> None:
    with pytest.raises(OutsideCanvasError):
        product_integrate(SCENE, [(product(), box)], GenerativeModels(), 3)


def test_a_transparent_scene_is_opaque_where_the_product_is_and_else_as_it_was() -> None:
    alpha = np.zeros((120, 160), np.uint8)
    alpha[:, 130:] = 77
    made = product_integrate(Picture(SCENE.rgb, alpha), [(product(), BOX)], GenerativeModels(), 3)
    assert made.alpha is not None
    assert made.alpha[50, 65] == 255
    assert np.array_equal(made.alpha[:, 110:], alpha[:, 110:])
    assert np.array_equal(made.rgb[:, 110:], SCENE.rgb[:, 110:])


def test_glass_that_lets_half_through_is_not_repainted() -> None:
    alpha = np.asarray(product().alpha) // 4 * 3
    made = product_integrate(SCENE, [(product(alpha), BOX)], GenerativeModels(), 3)
    other = product_integrate(SCENE, [(product(alpha), BOX)], GenerativeModels(), 4)
    assert np.array_equal(made.rgb[40:60, 55:75], other.rgb[40:60, 55:75])
    assert not np.array_equal(made.rgb, other.rgb)


def test_too_many_products() -> None:
    with pytest.raises(ValueError, match="at most 8"):
        product_integrate(SCENE, [(product(), BOX)] * (MAX_PRODUCTS + 1), GenerativeModels(), 3)


def test_the_model_sees_the_product_in_the_scene_and_what_to_do() -> None:
    seen: list[tuple[float, str]] = []

    class Recording(SeedPainter):
        def edit(self, pictures, prompt, *arguments, **options):  # type: ignore[no-untyped-def]
            near = np.abs(pictures[0].astype(int) - RED).max(axis=2) < 40
            seen.append((float(near.mean()), prompt))
            return super().edit(pictures, prompt, *arguments, **options)

    models = GenerativeModels({INSTRUCTION_EDITING: Recording()})
    product_integrate(SCENE, [(product(), BOX)] * 2, models, 3)
    assert len(seen) == 2
    assert all(share > 0.05 and "shadow" in prompt for share, prompt in seen)
