"""Face editing with a tiny SDXL: the regions of the actions, and unchanged pixels."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.backends.diffusion import face_editing
from models.backends.diffusion.face_editing import SdxlFaceEditing
from models.backends.diffusion.face_regions import Region, soft_mask
from models.device import DeviceConfig
from models.roles import Face
from models.tiny.sdxl import make_tiny
from pipelines.people.actions import ACTIONS

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
RGB = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
NO_MARKS = np.zeros((0, 2), np.float32)
REGIONS: tuple[Region, ...] = ("face", "skin", "eyes", "lower", "hair_line", "hair")
WORDS = {
    name: [word for word in action.words if word != "original"] for name, action in ACTIONS.items()
}


def marks(scale: float = 1.0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return 68 points of an upright face: eyes at (36, 40) and (60, 40), chin at (48, 90), scaled."""
    angle = np.linspace(np.pi, 0, 17)
    jaw = np.stack([48 + 28 * np.cos(angle), 42 + 48 * np.sin(angle)], axis=1)
    brows = np.stack([np.r_[28:44:5j, 52:68:5j], np.full(10, 32)], axis=1)
    nose = np.stack([np.r_[[48] * 4, 43:53:5j], np.r_[40:56:4j, [60] * 5]], axis=1)
    eye = np.array([[-5, 0], [-2, -2], [2, -2], [5, 0], [2, 2], [-2, 2]])
    left, right = eye + np.array([36, 40]), eye + np.array([60, 40])
    mouth = np.stack([np.linspace(38, 58, 20), np.full(20, 72)], axis=1)
    points = np.concatenate([jaw, brows, nose, left, right, mouth])
    return (points * scale).astype(np.float32)


UPRIGHT = Face((20, 28, 56, 62), NO_MARKS, score=1, yaw=0, roll=0)
MARKED = Face((20, 28, 56, 62), marks(), score=1, yaw=0, roll=0)
SPOTS = {"eyes": (48, 40), "chin": (48, 84), "forehead": (48, 16), "hair": (48, 2)}


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_editing, "_FULL", replace(face_editing._FULL, steps=4))
        yield


@pytest.fixture(scope="module")
def editing(tmp_path_factory: pytest.TempPathFactory) -> SdxlFaceEditing:
    folder = tmp_path_factory.mktemp("tiny")
    make_tiny(folder)
    return SdxlFaceEditing(folder, DeviceConfig())


@pytest.mark.parametrize("face", [UPRIGHT, MARKED], ids=["box", "landmarks"])
@pytest.mark.parametrize(
    ("region", "inside", "outside"),
    [
        ("eyes", "eyes", "chin"),
        ("lower", "chin", "eyes"),
        ("hair_line", "forehead", "chin"),
        ("hair", "hair", "eyes"),
        ("face", "eyes", "hair"),
        ("skin", "eyes", "hair"),
    ],
)
def test_regions_are_at_the_named_parts_of_the_face(
    face: Face, region: Region, inside: str, outside: str
) -> None:
    # The crop has a wide margin, because the fade at its borders is not tested here.
    room = 60
    roomy = Face(
        (face.rect[0] + room, face.rect[1] + room, *face.rect[2:]),
        face.landmarks + np.float32(room),
        1,
        0,
        0,
    )
    mask = soft_mask(roomy, [region], 96 + 2 * room, 96 + 2 * room)
    (x, y), (u, v) = SPOTS[inside], SPOTS[outside]
    assert mask[y + room, x + room] > 0.5
    assert mask[v + room, u + room] < 0.2


def test_regions_are_around_the_eyes_of_five_landmarks() -> None:
    def middle(shift: float) -> float:
        eyes = [(130 + shift, 120), (170 + shift, 120)]
        below = [(150 + shift, 145), (135 + shift, 165), (165 + shift, 165)]
        face = Face((105, 80, 90, 110), np.array([*eyes, *below], np.float32), 1, 0, 0)
        mask = soft_mask(face, ["eyes"], 300, 300)
        return float((mask * np.arange(300)).sum() / mask.sum())

    assert middle(0) == pytest.approx(150, abs=1)
    assert middle(14) == pytest.approx(164, abs=1)


@pytest.mark.parametrize("region", REGIONS)
def test_masks_are_soft_and_zero_at_the_borders_of_the_crop(region: Region) -> None:
    mask = soft_mask(UPRIGHT, [region], 96, 96)
    assert mask.dtype == np.float32
    assert 0 <= mask.min() <= mask.max() <= 1
    assert ((mask > 0.1) & (mask < 0.9)).any()
    assert not mask[0].any()
    assert not mask[-1].any()
    assert not mask[:, 0].any()
    assert not mask[:, -1].any()


def test_regions_rotate_with_the_head() -> None:
    face = Face((100, 100, 100, 100), NO_MARKS, 1, 0, roll=90)
    mask = soft_mask(face, ["lower"], 300, 300)
    # A head rotated clockwise by 90 degrees has its chin on the left.
    across = (mask * np.arange(300)).sum() / mask.sum()
    down = (mask * np.arange(300)[:, None]).sum() / mask.sum()
    assert across < 120
    assert 140 < down < 160


@pytest.mark.parametrize("rect", [(-500.0, -500.0, 10.0, 10.0), (0.0, 0.0, 0.0, 0.0)])
def test_a_face_outside_the_crop_or_without_size_is_no_error(
    editing: SdxlFaceEditing, rect: tuple[float, float, float, float]
) -> None:
    face = Face(rect, NO_MARKS, 1, 0, 0)
    changed, alpha = editing.edit_face(RGB, face, {"Beard": "full"}, 1)
    assert np.array_equal(changed[alpha == 0], RGB[alpha == 0])


def test_the_change_has_the_size_of_the_crop_and_stays_in_its_region(
    editing: SdxlFaceEditing,
) -> None:
    rgb = RGB.copy()
    changed, alpha = editing.edit_face(rgb, UPRIGHT, {"glasses": "heavy"}, 1)
    assert np.array_equal(rgb, RGB)
    assert changed.shape == RGB.shape
    assert changed.dtype == np.uint8
    assert alpha.shape == RGB.shape[:2]
    assert alpha.dtype == np.float32
    assert 0 <= alpha.min() <= alpha.max() <= 1
    assert alpha[40, 48] > 0.5
    assert alpha[84, 48] == 0
    assert np.array_equal(changed[alpha == 0], RGB[alpha == 0])
    assert not np.array_equal(changed, RGB)


def test_actions_without_a_change_return_the_crop(editing: SdxlFaceEditing) -> None:
    changed, alpha = editing.edit_face(RGB, UPRIGHT, {"age": 0.0, "diversity": "original"}, 1)
    assert np.array_equal(changed, RGB)
    assert not alpha.any()


def test_a_seed_repeats_its_picture_and_another_seed_does_not(editing: SdxlFaceEditing) -> None:
    first, again, other = (
        editing.edit_face(RGB, UPRIGHT, {"expression": "happy"}, seed)[0] for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_several_actions_change_the_union_of_their_regions(editing: SdxlFaceEditing) -> None:
    both = {"glasses": "heavy", "Beard": "full"}
    _, alpha = editing.edit_face(RGB, UPRIGHT, both, 1)
    for name, word in both.items():
        _, one = editing.edit_face(RGB, UPRIGHT, {name: word}, 1)
        assert (alpha >= one - 1e-6).all()


@pytest.mark.parametrize("strongest", [True, False])
def test_changes_of_different_strengths_are_applied_in_order(
    editing: SdxlFaceEditing, monkeypatch: pytest.MonkeyPatch, strongest: bool
) -> None:
    # A fake paints each change in one colour, which shows the changes and their order.
    painted: list[tuple[float, int]] = []

    def paint(rgb: Any, hole: Any, prompt: str, avoid: str, seeds: Any, recipe: Any) -> Any:
        level = 50 + 100 * len(painted)
        painted.append((recipe.strength, level))
        return [np.full_like(rgb, level)]

    monkeypatch.setattr(editing._pipeline, "generate", paint)
    actions: dict[str, str | float] = {"Beard": "full", "makeup": "light"}
    if strongest:
        actions = dict(reversed(actions.items()))
    changed, alpha = editing.edit_face(np.zeros((96, 96, 3), np.uint8), UPRIGHT, actions, 1)
    assert [strength for strength, _ in painted] == [0.9, 0.35]
    skin = soft_mask(UPRIGHT, ["skin"], 96, 96)
    lower = soft_mask(UPRIGHT, ["lower"], 96, 96)
    expected = (50 * lower) * (1 - skin) + 150 * skin
    result = changed[..., 0] * alpha
    assert np.abs(result - expected).max() < 1.5


@pytest.mark.parametrize("name", WORDS)
def test_every_action_runs(editing: SdxlFaceEditing, name: str) -> None:
    changed, alpha = editing.edit_face(RGB, MARKED, {name: WORDS[name][-1]}, 1)
    assert alpha.any()
    assert not np.array_equal(changed, RGB)
