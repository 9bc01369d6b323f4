"""The roles that an editing model plays beside edits by words, on tiny klein and tiny Qwen-Image-Edit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from imaging.picture import Mask, Rgb
from imaging.resize import Size, SizeRule
from models.backends.diffusion import erasing, klein_roles, qwen_roles
from models.backends.diffusion.editing_model import edit_hole
from models.backends.diffusion.klein import KleinEdit
from models.backends.diffusion.qwen_edit import QwenEdit
from models.backends.diffusion.sdxl import prefill
from models.backends.torch.lama import TinyLama
from models.backends.weight_files import only_file
from models.device import DeviceConfig
from models.errors import BadWeightsError, NothingToCopyError
from models.roles import Face
from models.tiny import klein, lama, qwen_edit
from tests.helpers.recorder import recorded

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CPU = DeviceConfig()
CLASSES: dict[str, dict[str, Any]] = {
    "klein": {
        "edit": KleinEdit,
        "fill": klein_roles.KleinFill,
        "scene": klein_roles.KleinScene,
        "outpaint": klein_roles.KleinOutpaint,
        "faces": klein_roles.KleinFaceEditing,
        "refiner": klein_roles.KleinRefiner,
    },
    "qwen": {
        "edit": QwenEdit,
        "fill": qwen_roles.QwenFill,
        "scene": qwen_roles.QwenScene,
        "outpaint": qwen_roles.QwenOutpaint,
        "faces": qwen_roles.QwenFaceEditing,
        "refiner": qwen_roles.QwenRefiner,
    },
}
WORDS = "a red kite"


def noise(seed: int, height: int = 64, width: int = 64) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


RGB = noise(0, 96, 96)
HOLE = np.pad(np.ones((32, 32), np.bool_), 32)
ALPHA = np.where(HOLE, np.float32(1), np.float32(0))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    made = {"klein": klein.make_tiny, "qwen": qwen_edit.make_tiny, "lama": lama.make_tiny}
    for name, make in made.items():
        (root / name).mkdir()
        make(root / name)
    return {name: root / name for name in made}


@pytest.fixture(params=["klein", "qwen"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    # Forty steps, with two passes each, would show no more.
    monkeypatch.setattr("models.backends.diffusion.qwen_edit._STEPS", 10)
    return str(request.param)


def role(folders: dict[str, Path], kind: str, name: str) -> Any:
    return CLASSES[kind][name].load([folders[kind]], CPU, side=64)


def network(model: Any, name: str) -> Any:
    """Return a network of a model's pipeline."""
    pipeline = model._pipeline
    return getattr(getattr(pipeline, "_plain", None) or pipeline._edit, name)


def differ(one: Rgb, other: Rgb) -> bool:
    return not np.array_equal(one, other)


def test_one_set_of_weights_serves_every_role(folders: dict[str, Path], kind: str) -> None:
    models = [role(folders, kind, name) for name in CLASSES[kind]]
    assert len({id(model._pipeline) for model in models}) == 1
    refiner = models[-1]
    with refiner._module.on_device() as own:
        assert own is network(refiner, "text_encoder")


def test_a_fill_depends_on_words_negative_words_and_seed(
    folders: dict[str, Path], kind: str
) -> None:
    fill = role(folders, kind, "fill")
    one, other = fill.fill_by_prompt(RGB, HOLE, WORDS, "", [7, 8])
    assert differ(one, other)
    assert np.array_equal(one[~HOLE], RGB[~HOLE])
    assert np.array_equal(fill.fill_by_prompt(RGB, HOLE, WORDS, "", [8])[0], other)
    for words, negative in (("a blue boat", ""), (WORDS, "people")):
        assert differ(fill.fill_by_prompt(RGB, HOLE, words, negative, [7])[0], one)


def test_what_was_in_the_hole_has_no_influence(folders: dict[str, Path], kind: str) -> None:
    changed = RGB.copy()
    changed[HOLE] = 255 - changed[HOLE]
    fill = role(folders, kind, "fill")
    one, other = (fill.fill_by_prompt(rgb, HOLE, WORDS, "", [7])[0] for rgb in (RGB, changed))
    assert np.array_equal(one, other)


def test_the_model_sees_the_hole_blurred_and_the_rest_as_it_is(
    folders: dict[str, Path], kind: str
) -> None:
    fill = role(folders, kind, "fill")
    rgb, hole = noise(1), np.pad(np.ones((16, 16), np.bool_), 24)
    with recorded(network(fill, "vae").encoder) as calls:
        fill.fill_by_prompt(rgb, hole, WORDS, "", [7])
    expected = (prefill(rgb, hole).astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)
    assert np.allclose(calls[0]["0"].numpy().reshape(3, 64, 64), expected, atol=1e-6)


def test_a_hole_of_no_pixels_changes_nothing(folders: dict[str, Path], kind: str) -> None:
    none = np.zeros_like(HOLE)
    made = role(folders, kind, "fill").fill_by_prompt(RGB, none, WORDS, "", [7])
    assert np.array_equal(made[0], RGB)
    assert np.array_equal(role(folders, kind, "outpaint").outpaint(RGB, none, "", "", 7), RGB)


def test_a_margin_depends_on_words_and_seed(folders: dict[str, Path], kind: str) -> None:
    outpaint = role(folders, kind, "outpaint")
    margin = ~HOLE
    base = outpaint.outpaint(RGB, margin, "a field", "", 7)
    assert np.array_equal(base[HOLE], RGB[HOLE])
    assert np.array_equal(base, outpaint.outpaint(RGB, margin, "a field", "", 7))
    for words, negative, seed in (("a sea", "", 7), ("a field", "fog", 7), ("", "", 7)):
        assert differ(base, outpaint.outpaint(RGB, margin, words, negative, seed))
    assert differ(base, outpaint.outpaint(RGB, margin, "a field", "", 8))


def test_a_scene_depends_on_words_reference_and_influence(
    folders: dict[str, Path], kind: str
) -> None:
    scene = role(folders, kind, "scene")

    def made(words: str, **options: Any) -> Rgb:
        pictures: list[Rgb] = scene.scenes(RGB, ALPHA, words, "", [7], **options)
        return pictures[0]

    base = made("a beach")
    assert np.array_equal(base, made("a beach", reference=noise(2), influence=0.0))
    assert differ(base, made("a wood"))
    shown = [made("", reference=noise(2), influence=influence) for influence in (1.0, 0.4)]
    assert differ(*shown)
    assert differ(shown[0], made("", reference=noise(3)))
    assert differ(shown[0], made(""))


def test_the_old_background_has_no_influence_on_a_scene(
    folders: dict[str, Path], kind: str
) -> None:
    changed = RGB.copy()
    changed[~HOLE] = 255 - changed[~HOLE]
    scene = role(folders, kind, "scene")
    one, other = (scene.scenes(rgb, ALPHA, "a beach", "", [7])[0] for rgb in (RGB, changed))
    assert np.array_equal(one, other)


def test_the_reference_picture_is_the_second_image(folders: dict[str, Path]) -> None:
    scene = role(folders, "klein", "scene")
    rgb, reference = noise(0), noise(2)
    with recorded(network(scene, "vae").encoder) as calls:
        scene.scenes(rgb, np.zeros((64, 64), np.float32), "", "", [7], reference=reference)
    assert len(calls) == 2
    expected = (reference.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
    assert np.allclose(calls[1]["0"].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("fast", "steps"), [(True, 4), (False, 8)])
def test_a_fast_scene_has_half_the_steps(folders: dict[str, Path], fast: bool, steps: int) -> None:
    scene = role(folders, "klein", "scene")
    with recorded(network(scene, "transformer")) as calls:
        scene.scenes(RGB, ALPHA, "a beach", "", [7], fast=fast)
    assert len(calls) == steps


def test_a_subject_that_covers_everything_has_no_scene(folders: dict[str, Path], kind: str) -> None:
    scene = role(folders, kind, "scene")
    (made,) = scene.scenes(RGB, np.ones((96, 96), np.float32), "a beach", "", [7])
    assert np.array_equal(made, RGB)


def test_a_face_changes_inside_its_region_alone(folders: dict[str, Path], kind: str) -> None:
    face = Face((28, 24, 40, 48), np.zeros((0, 2), np.float32), score=1, yaw=0, roll=0)
    made, alpha = role(folders, kind, "faces").edit_face(RGB, face, {"age": 8.0}, 7)
    assert 0 < np.count_nonzero(alpha) < alpha.size
    assert np.array_equal(made[alpha == 0], RGB[alpha == 0])
    assert differ(made, RGB)


class Shifting:
    """An editing model that shows what it is given in other colours, with something red in the middle."""

    sizes = SizeRule(16, 1024 * 1024, 64)
    shift = np.array([10, 7, -12])

    def generate(
        self,
        pictures: Sequence[Rgb],
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        size: Size,
        hole: Mask | None = None,
        strength: float = 1.0,
        effort: float = 1.0,
        guidance: float = 1.0,
    ) -> list[Rgb]:
        assert hole is not None
        wanted = with_red(pictures[0])
        made = np.where(hole[..., None], wanted + self.shift, pictures[0]).astype(np.uint8)
        return [made for _ in seeds]


def with_red(rgb: Rgb) -> Rgb:
    return cv2.circle(rgb.copy(), (160, 128), 30, (200, 40, 50), -1).astype(np.uint8)


def test_the_shift_of_a_model_is_undone_in_the_hole_and_nothing_else_changes() -> None:
    calm = cv2.GaussianBlur(noise(0, 256, 320), (0, 0), 8)
    hole = np.pad(np.ones((96, 128), np.bool_), ((80, 80), (96, 96)))
    (made,) = edit_hole(Shifting(), [np.asarray(calm, np.uint8)], WORDS, "", [7], hole)
    assert np.abs(made.astype(int) - with_red(calm)).max() <= 1
    assert np.array_equal(made[~hole], calm[~hole])


ERASED = noise(4, 200, 160)
LARGE = np.pad(np.ones((80, 70), np.bool_), ((60, 60), (45, 45)))
SMALL = np.pad(np.ones((30, 30), np.bool_), ((85, 85), (65, 65)))


@pytest.fixture(scope="module")
def erase(folders: dict[str, Path]) -> klein_roles.TinyKleinErase:
    return klein_roles.TinyKleinErase.load([folders["lama"], folders["klein"]], CPU, side=64)


@pytest.fixture(scope="module")
def coarse(folders: dict[str, Path]) -> TinyLama:
    return TinyLama(only_file(folders["lama"]), CPU)


def test_a_small_hole_is_left_to_lama(erase: klein_roles.TinyKleinErase, coarse: TinyLama) -> None:
    assert np.array_equal(erase.fill(ERASED, SMALL), coarse.fill(ERASED, SMALL))


def test_a_large_hole_is_refined_from_lamas_fill(
    erase: klein_roles.TinyKleinErase, coarse: TinyLama
) -> None:
    with recorded(network(erase, "transformer")) as calls:
        made = erase.fill(ERASED, LARGE)
    assert len(calls) == 3  # of four steps, the last at strength 0.7
    assert np.array_equal(made[~LARGE], ERASED[~LARGE])
    assert differ(made, coarse.fill(ERASED, LARGE))
    assert np.array_equal(made, erase.fill(ERASED, LARGE))


def test_what_was_erased_has_no_influence(erase: klein_roles.TinyKleinErase) -> None:
    changed = ERASED.copy()
    changed[LARGE] = 255 - changed[LARGE]
    assert np.array_equal(erase.fill(ERASED, LARGE), erase.fill(changed, LARGE))


def test_what_is_avoided_is_hidden_from_lama(
    erase: klein_roles.TinyKleinErase, coarse: TinyLama
) -> None:
    avoid = np.zeros_like(SMALL)
    avoid[60:90, 60:100] = True
    made = erase.fill(ERASED, SMALL, avoid & ~SMALL)
    assert np.array_equal(made, coarse.fill(ERASED, SMALL, avoid & ~SMALL))
    assert differ(made, erase.fill(ERASED, SMALL))
    with pytest.raises(NothingToCopyError):
        erase.fill(ERASED, LARGE, ~LARGE)


def test_what_a_large_hole_is_grows_with_the_picture() -> None:
    """A disc of radius 30 is large in a small picture, and small in one of 4,000 pixels."""
    disc = cv2.circle(np.zeros((80, 80), np.uint8), (40, 40), 30, 1, -1) > 0
    assert erasing._depth(disc) == pytest.approx(30, abs=1)
    assert erasing._is_large(disc, (200, 160))
    assert not erasing._is_large(disc, (4000, 3000))


def test_the_encoder_refines_prompts_without_thinking(folders: dict[str, Path], kind: str) -> None:
    refiner = role(folders, kind, "refiner")
    with recorded(network(refiner, "text_encoder")) as calls:
        text = refiner.refine("a beach")
    assert text.isprintable()
    assert text == refiner.refine("a beach")
    ids = calls[0]["input_ids"][0].tolist()
    seen = refiner._tokenizer.decode(ids)
    assert seen.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert "a beach" in seen


def test_pictures_are_the_same_after_the_encoder_has_written(
    folders: dict[str, Path], kind: str
) -> None:
    fill = role(folders, kind, "fill")
    before = fill.fill_by_prompt(RGB, HOLE, WORDS, "", [7])[0]
    role(folders, kind, "refiner").refine("a beach")
    assert np.array_equal(fill.fill_by_prompt(RGB, HOLE, WORDS, "", [7])[0], before)


def test_an_encoder_that_cannot_write_is_refused(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    refiner = role(folders, "klein", "refiner")
    monkeypatch.setattr(
        type(network(refiner, "text_encoder")), "can_generate", lambda _=None: False
    )
    with pytest.raises(BadWeightsError, match="writes none"):
        role(folders, "klein", "refiner")
