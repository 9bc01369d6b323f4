"""The backends of profile `bria` with tiny random weights, loaded as real ones are."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from imaging.picture import Alpha, Mask, Rgb
from models.backends.diffusion.bria import BriaErase, BriaExpand, BriaFill, BriaScene
from models.backends.diffusion.latent_control import Request
from models.deadline import Deadline, deadline_scope
from models.errors import CallerDisconnectedError, NothingToCopyError
from models.tiny.bria import make_repositories
from tests.helpers.one_at_a_time import one_at_a_time
from tests.helpers.tiny_bria import (
    alpha,
    apart,
    load_erase,
    load_expand,
    load_fill,
    load_scene,
    noise,
    square,
)

# EulerAncestralDiscreteScheduler passes a tensor to np.array (diffusers 0.42 with NumPy 2).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("bria")
    make_repositories(folder)
    return folder


@pytest.fixture(scope="module")
def scene(folder: Path) -> BriaScene:
    return load_scene(folder, "prompt")


@pytest.fixture(scope="module")
def fill(folder: Path) -> BriaFill:
    return load_fill(folder)


@pytest.fixture(scope="module")
def erase(folder: Path) -> BriaErase:
    return load_erase(folder)


@pytest.fixture(scope="module")
def expand(folder: Path) -> BriaExpand:
    return load_expand(folder)


@pytest.mark.parametrize("fast", [True, False])
def test_a_seed_repeats_its_picture_alone_and_within_two_levels_in_a_batch(
    scene: BriaScene, fast: bool
) -> None:
    def draw(*seeds: int) -> list[Rgb]:
        return scene.scenes(noise(), alpha(), "a beach", "", seeds, fast=fast)

    (alone,) = draw(7)
    assert alone.shape == (64, 64, 3)
    assert alone.dtype == np.uint8
    assert np.array_equal(draw(7)[0], alone)
    among = draw(6, 7, 8)
    assert apart(among[1], alone) <= 2
    assert apart(among[0], alone) > 20
    assert apart(among[2], alone) > 20


def test_more_seeds_than_a_batch_give_one_picture_each(fill: BriaFill) -> None:
    made = fill.fill_by_prompt(noise(), square(), "a dog", "", range(6))
    assert len(made) == 6
    for seed in (3, 5):
        alone = fill.fill_by_prompt(noise(), square(), "a dog", "", [seed])[0]
        assert apart(made[seed], alone) <= 2


def test_no_seed_gives_no_picture(fill: BriaFill) -> None:
    assert fill.fill_by_prompt(noise(), square(), "a dog", "", []) == []


def test_calls_of_other_threads_do_not_change_the_result(scene: BriaScene, fill: BriaFill) -> None:
    def draw(seed: int) -> Rgb:
        if seed % 3 == 2:
            return fill.fill_by_prompt(noise(), square(), "a dog", "", [seed])[0]
        return scene.scenes(noise(), alpha(), "a wood", "", [seed], fast=seed % 3 == 0)[0]

    alone = [draw(seed) for seed in range(6)]
    with one_at_a_time() as queued, ThreadPoolExecutor(4) as threads:
        together = list(threads.map(queued(draw), range(6)))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_inputs_are_not_modified(scene: BriaScene, fill: BriaFill, erase: BriaErase) -> None:
    rgb, matte, hole = noise(), alpha(), square()
    for array in (rgb, matte, hole):
        array.flags.writeable = False
    scene.scenes(rgb, matte, "a beach", "", [1])
    fill.fill_by_prompt(rgb, hole, "a dog", "", [1])
    erase.fill(rgb, hole, ~hole & (noise(1)[..., 0] > 250))


def test_a_scene_depends_on_the_subject_and_its_mask_but_not_on_the_background(
    scene: BriaScene,
) -> None:
    def draw(rgb: Rgb, matte: Alpha) -> Rgb:
        return scene.scenes(rgb, matte, "a beach", "", [1])[0]

    first = draw(noise(), alpha())
    other_subject, other_background = noise(), noise()
    other_subject[square()] = 255
    other_background[~square()] = 255
    assert not np.array_equal(draw(other_subject, alpha()), first)
    assert np.array_equal(draw(other_background, alpha()), first)
    # The same picture with another mask.
    black = np.zeros((64, 64, 3), np.uint8)
    assert not np.array_equal(draw(black, alpha()), draw(black, np.zeros_like(alpha())))


def test_the_content_of_the_hole_does_not_affect_the_fill(fill: BriaFill) -> None:
    other = noise()
    other[square()] = 200
    first, second = (
        fill.fill_by_prompt(rgb, square(), "a dog", "", [1])[0] for rgb in (noise(), other)
    )
    assert np.array_equal(first, second)


def test_prompts_that_differ_after_77_tokens_give_different_pictures(fill: BriaFill) -> None:
    start = "a dog in the grass " * 12
    one, other = (
        fill.fill_by_prompt(noise(), square(), start + end, "", [1])[0] for end in ("red", "blue")
    )
    assert not np.array_equal(one, other)


def test_a_picture_with_different_sides_keeps_its_size(fill: BriaFill) -> None:
    hole = square(64, 128)
    made = fill.fill_by_prompt(noise(0, 64, 128), hole, "a dog", "", [1])[0]
    assert made.shape == (64, 128, 3)


def test_a_side_that_no_latent_fits_is_refused(fill: BriaFill) -> None:
    with pytest.raises(ValueError, match="100x64"):
        fill.fill_by_prompt(noise(0, 64, 100), square(64, 100), "a dog", "", [1])


def test_a_reference_picture_needs_an_image_prompt(folder: Path) -> None:
    without = load_scene(folder)
    with pytest.raises(ValueError, match="reference"):
        without.scenes(noise(), alpha(), "", "", [1], reference=noise(2))
    without.scenes(noise(), alpha(), "", "", [1], reference=noise(2), influence=0)


@pytest.mark.parametrize("fast", [True, False])
def test_a_reference_picture_has_its_influence_and_changes_no_other_call(
    scene: BriaScene, fast: bool
) -> None:
    def draw(**options: Any) -> Rgb:
        return scene.scenes(noise(), alpha(), "a beach", "", [1], fast=fast, **options)[0]

    plain = draw()
    full = draw(reference=noise(2))
    # How much says nothing: the tiny encoder's random weights hardly tell pictures apart.
    assert apart(full, plain) > 0
    assert apart(draw(reference=noise(3)), full) > 0
    assert apart(draw(reference=noise(2), influence=0.3), full) > 0
    assert np.array_equal(draw(reference=noise(2), influence=0), plain)
    assert np.array_equal(draw(), plain)


def test_a_slow_scene_is_of_the_base_without_the_fast_lora(scene: BriaScene) -> None:
    slow, fast = (scene._model._pipes[way].unet for way in (True, False))
    assert not torch.equal(next(slow.parameters()), next(fast.parameters()))
    assert fast is scene._model._base.pipe.unet


def test_roles_on_one_base_share_its_weights(
    scene: BriaScene, fill: BriaFill, erase: BriaErase, expand: BriaExpand
) -> None:
    for model in (fill, erase, expand):
        assert scene._model._base is model._model._base


def test_an_expansion_depends_on_the_canvas_but_not_on_what_is_in_the_margin(
    expand: BriaExpand,
) -> None:
    other_margin, other_middle = noise(), noise()
    other_margin[~square()] = 200
    other_middle[square()] = 200
    first, same, differing = (
        expand.outpaint(canvas, ~square(), "a beach", "", 1)
        for canvas in (noise(), other_margin, other_middle)
    )
    assert np.array_equal(first, same)
    assert apart(first, differing) > 0
    assert np.array_equal(
        expand.outpaint(noise(), np.zeros((64, 64), np.bool_), "", "", 1), noise()
    )


def test_a_cancelled_generation_ends_without_a_picture(fill: BriaFill) -> None:
    deadline = Deadline()
    deadline.cancel()
    with deadline_scope(deadline), pytest.raises(CallerDisconnectedError):
        fill.fill_by_prompt(noise(), square(), "a dog", "", [1])
    assert fill.fill_by_prompt(noise(), square(), "a dog", "", [1])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (300, 403), (1, 40), (37, 1000)])
def test_erasing_changes_only_the_hole_at_any_size(
    erase: BriaErase, height: int, width: int
) -> None:
    rgb = noise(0, height, width)
    hole = np.zeros((height, width), np.bool_)
    hole[height // 3 : height // 3 + 20, 10:30] = True
    made = erase.fill(rgb, hole)
    assert np.array_equal(made[~hole], rgb[~hole])
    assert (made[hole] != rgb[hole]).any()
    assert np.array_equal(erase.fill(rgb, hole), made)


def test_pixels_to_avoid_do_not_affect_the_erased_hole(erase: BriaErase) -> None:
    rgb, avoid = noise(0, 128, 128), square(128, 128, 80)
    other = rgb.copy()
    other[avoid] = 255
    hole = square(128, 128, 20, 24)
    made, again = erase.fill(rgb, hole, avoid), erase.fill(other, hole, avoid)
    assert np.array_equal(made[hole], again[hole])
    assert np.array_equal(again[avoid], other[avoid])


def test_distant_holes_are_each_filled(erase: BriaErase) -> None:
    rgb = noise(0, 400, 600)
    hole = square(400, 600, 10, 20)
    hole[350:380, 500:560] = True
    made = erase.fill(rgb, hole)
    assert np.array_equal(made[~hole], rgb[~hole])
    assert (made[:40, :40] != rgb[:40, :40]).any()
    assert (made[350:380, 500:560] != rgb[350:380, 500:560]).any()


@pytest.mark.parametrize("size", [64, 500])
def test_a_line_one_pixel_wide_is_in_the_mask_of_the_model(
    erase: BriaErase, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    masks: list[Mask] = []
    generate = erase._model.generate

    def spy(request: Request, seeds: list[int]) -> list[Rgb]:
        masks.append(request.mask)
        return generate(request, seeds)

    monkeypatch.setattr(erase._model, "generate", spy)
    hole = np.zeros((size, size), np.bool_)
    hole[size // 2 + 3, 4:-4] = True
    erase.fill(noise(0, size, size), hole)
    assert masks[0][::8, ::8].any(axis=0).mean() > 0.8


def test_an_empty_hole_changes_nothing(erase: BriaErase) -> None:
    assert np.array_equal(erase.fill(noise(), np.zeros((64, 64), np.bool_)), noise())


def test_a_hole_with_nothing_around_it_is_refused(erase: BriaErase) -> None:
    with pytest.raises(NothingToCopyError):
        erase.fill(noise(), square(), ~square())
