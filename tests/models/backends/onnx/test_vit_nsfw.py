"""The vision transformer for moderation: its input, and the score made from its output."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from imaging.picture import Picture
from models.backends.nsfw_labels import unsafe_places
from models.backends.onnx.vit_nsfw import VitNsfw, pixel_values
from models.device import DeviceConfig
from models.errors import BadWeightsError
from tests.helpers.plain_resampling import bilinear, resampled
from tests.helpers.tiny_onnx import classifier

CPU = DeviceConfig()


def test_a_photograph_becomes_the_tensor_that_the_publisher_describes(
    photo: Callable[[str], Picture],
) -> None:
    rgb = photo("chelsea").rgb
    tensor = pixel_values(rgb)
    assert tensor.shape == (1, 3, 384, 384)
    assert tensor.dtype == np.float32
    small = resampled(rgb, 384, bilinear, 1.0)
    expected = ((small / 255 - 0.5) / 0.5).transpose(2, 0, 1)
    levels = np.abs(tensor[0] - expected) * 127.5
    assert levels.max() < 1.01, "one level of rounding"
    assert levels.mean() < 0.05


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_the_score_is_the_probability_of_the_unsafe_label(tmp_path: Path, kind: int) -> None:
    model = VitNsfw.load([classifier(tmp_path / "vit.onnx", kind=kind)], CPU)
    red = np.full((40, 60, 3), (255, 0, 0), np.uint8)
    before = red.copy()
    e = np.e
    assert model.score(red) == {"nsfw": pytest.approx(e / (1 + e), abs=1e-3)}
    cyan = np.full((40, 60, 3), (0, 255, 255), np.uint8)
    assert model.score(cyan) == {"nsfw": pytest.approx(1 / (1 + e), abs=1e-3)}
    assert np.array_equal(red, before)


def test_several_unsafe_labels_count_together(tmp_path: Path) -> None:
    file = classifier(tmp_path / "vit.onnx", outputs=5)
    labels = ("drawings", "hentai", "neutral", "porn", "sexy")
    grey = np.full((8, 8, 3), 0, np.uint8)
    weights = np.exp([0, 0, 0, 0, -1])
    expected = weights[[1, 3, 4]].sum() / weights.sum()
    assert VitNsfw.load([file], CPU, labels).score(grey)["nsfw"] == pytest.approx(
        expected, abs=1e-4
    )


def test_a_side_fixed_in_the_file_is_used(tmp_path: Path) -> None:
    model = VitNsfw.load([classifier(tmp_path / "vit.onnx", side=16)], CPU)
    assert 0 <= model.score(np.zeros((1, 1, 3), np.uint8))["nsfw"] <= 1


def test_labels_of_unknown_meaning_are_refused(tmp_path: Path) -> None:
    file = classifier(tmp_path / "vit.onnx")
    assert unsafe_places(("sfw", "NSFW")) == [1]
    for labels in (("sfw", "other"), ("sfw", "normal")):
        with pytest.raises(ValueError, match="unknown meaning"):
            VitNsfw.load([file], CPU, labels)


def test_a_file_with_another_output_is_named(tmp_path: Path) -> None:
    model = VitNsfw.load([classifier(tmp_path / "vit.onnx", outputs=3)], CPU)
    with pytest.raises(BadWeightsError, match=r"vit\.onnx returns the shape \(1, 3\)"):
        model.score(np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "vit.onnx").write_bytes(b"nothing")
    with pytest.raises(BadWeightsError, match=r"vit\.onnx cannot be loaded"):
        VitNsfw.load([tmp_path / "vit.onnx"], CPU)


def test_concurrent_calls_return_the_same_as_single_ones(
    tmp_path: Path, photo: Callable[[str], Picture]
) -> None:
    model = VitNsfw.load([classifier(tmp_path / "vit.onnx")], CPU)
    pictures = [photo(name).rgb for name in ("astronaut", "coffee", "chelsea")] * 2
    with ThreadPoolExecutor(3) as threads:
        at_once = list(threads.map(model.score, pictures))
    assert at_once == [model.score(picture) for picture in pictures]
